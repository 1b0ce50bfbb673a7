/* SPDX-License-Identifier: MIT */
/*
 * Process slot: a place for a worker process in a pool. One job at a time has it, and may do with
 * it what it likes: start a worker, talk to it, end it. All calls are made by that job's task.
 *
 *   empty --start--> a worker that waits for a request --> ... replies, waits again
 *     ^                  '--retire: jobs_max-->.   '--it ends, or the job is cancelled-->.
 *     '------------------------------------------------------------------------------- '
 *
 * A worker that ended while it had nothing to do is noticed before it is given the next job, so
 * that this one does not have to fail for it.
 */
#ifndef WEFT_PROCESS_SLOT_H
#define WEFT_PROCESS_SLOT_H

#include <weft/process.h>
#include <weft/process_pool.h>

/* How long workers that are to end, or have closed their sockets, may take to do so. */
#define SLOT_PATIENCE_NS WEFT_SECOND

struct process_slot {
    struct process_slot *next; /* of the idle ones; the pool's lock */
    weft_process *worker;      /* NULL: empty */
    int fd;                    /* the socket to it */
    unsigned jobs;             /* that it has done */
};

/* What has come of a job; heap memory, which goes with the job's task. */
struct process_result {
    size_t bytes;
    char data[]; /* and a '\0' */
};

/* What is asked. */
struct process_call {
    const char *name;
    const void *in;
    size_t in_bytes;
};

/*
 * Have a call answered. *result: set when it is not NULL after the call, in every case the
 * caller's; a message when there is an error
 * Returns 0, the job's error, -EPIPE: the worker has ended, and the slot is empty; -ECANCELED: so
 * it is; why no worker could be started.
 */
int weft__process_slot_call(struct process_slot *s, const struct weft_process_pool_options *o,
                            const struct process_call *call, struct process_result **result);

/* Have the worker end, if there is one: it has nothing to do. */
void weft__process_slot_hang_up(struct process_slot *s);

/* The same, and wait for its end; at that time it is killed. The slot is empty then. */
void weft__process_slot_end(struct process_slot *s, int64_t until_ns);

#endif
