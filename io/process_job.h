/* SPDX-License-Identifier: MIT */
/*
 * Process job: what a pool and its workers say to each other, on a socket.
 *
 *     pool    struct job_request, name, input          worker    struct job_reply, bytes
 *
 * A worker reads a request to its end before it does anything, and writes when it is done; the pool
 * does the opposite. So neither waits for the other to read, however long the parts are. The end of
 * the input is the worker's end. Both sides are the same program: the layout is the compiler's.
 */
#ifndef WEFT_PROCESS_JOB_H
#define WEFT_PROCESS_JOB_H

#include <stdbool.h>
#include <stdint.h>

/* What makes a program a worker: its only argument; and where its socket is. */
#define JOB_WORKER_ARGUMENT "--weft-process-worker"
#define JOB_WORKER_FD 3

struct job_request {
    uint64_t name_bytes;
    uint64_t in_bytes;
};

struct job_reply {
    int64_t error; /* 0 or -errno */
    uint64_t bytes;
};

/* Whether weft_process_main has been called, in a process that is no worker. */
bool weft__process_may_pool(void);

#endif
