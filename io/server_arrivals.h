/* SPDX-License-Identifier: MIT */
/*
 * Arrivals: connections that the kernel has accepted for a listener, and no task has yet.
 *
 * One operation accepts again and again: it costs an entry in the completion queue a connection,
 * where an accept of each costs an operation that finds none, a poll, a system call, and another
 * one that says that there is no more. Of the server's CPU for a connection that sends 64 bytes,
 * gets them back and is closed it takes 0.90 with 64 connections at a time, 0.83 with one, and 0.93
 * with 64 and two workers (medians of 8 pairs).
 *
 * What it accepts nobody has asked for one by one, so it is queued here, and who stops takes what
 * is left: no connection that was accepted is dropped. When more are queued than ARRIVALS_MAX the
 * operation is ended until they are taken, and the kernel's backlog fills up, as it is meant to. An
 * error ends it, too, and is told after what had been accepted before; it is begun anew by the next
 * wait.
 *
 * One task takes them. The queue is filled by completions, on whatever worker has the poller; both
 * under the lock. Its home, the worker that it was begun on, is asked to end it, by a message from
 * elsewhere, as in readiness.h.
 */
#ifndef WEFT_SERVER_ARRIVALS_H
#define WEFT_SERVER_ARRIVALS_H

#include <weft/sync.h>

#include "message.h"
#include "op.h"

/* Half as many end the operation in a burst that a task is done with in a millisecond; twice as
 * many are held back for two when their tasks are slow. */
#ifndef ARRIVALS_MAX
#define ARRIVALS_MAX 256u
#endif

/* Zeroed memory is one without a queue. */
struct arrivals {
    struct op op;
    struct message message;
    struct weft_event news; /* something has changed */

    /* the task's */
    bool is_armed;
    bool is_ending;
    uint16_t home;

    _Atomic(uint64_t) lock;
    int *fds; /* a ring of `capacity`, a power of two */
    unsigned first;
    unsigned count;
    unsigned capacity;
    bool is_over;    /* the last completion has come */
    bool is_telling; /* the message is under way */
    int error;       /* which ended it, or 0 */
};

/* Whether the kernel accepts again and again. Context: task */
bool weft__arrivals_can(void);

/*
 * The next connection on a listening socket without O_NONBLOCK; may_wait: or wait for it.
 * Returns its descriptor, -EAGAIN, why the task may not wait, or the error of the accept.
 */
int weft__arrivals_next(struct arrivals *a, int listener, bool may_wait);

/* End the operation; waits until it has, which is soon, and no cancel cuts short. Then _next, which
 * must not wait, gives what is left. Context: task */
void weft__arrivals_end(struct arrivals *a, int listener);

/* Give the memory back. Context: nothing is left */
void weft__arrivals_drop(struct arrivals *a);

#endif
