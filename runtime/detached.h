/* SPDX-License-Identifier: MIT */
/*
 * Detached call: a blocking call that a task can leave behind.
 *
 * A job of the blocking pool is waited for when its task is cancelled, as it may use the task's
 * stack. A look-up of a name may take half a minute, and nothing ends it. So it owns all that it
 * uses, on the heap; a task that is to end its wait goes at once, and the call's thread frees what
 * came of it, later, when even the runtime may be gone.
 *
 * Such calls have a pool of their own, with few threads: those that are stuck hold up others of
 * their kind, and no other blocking work.
 *
 *      WAITING --thread: it is over--> OVER --thread: has seen to it that rt stays--> WOKEN
 *          '-----task: its wait was cut short--> LEFT: the call is the thread's
 *
 * A task whose wait was cut short and that does not find WAITING any more has the outcome; it waits
 * for the few instructions between OVER and WOKEN. From WOKEN on the thread uses nothing of the
 * call. In LEFT it uses nothing of the runtime.
 *
 * Pairs
 *   P1  end: state, acq_rel CAS    <-> the task: state, acq_rel CAS   the outcome; or the call
 *   P2  end: state WOKEN, release   -> the task: state, acquire       the thread's use of the call
 *   P3  make: rt->detached, acq_rel CAS -> whoever reads it: acquire  the pool
 */
#ifndef WEFT_DETACHED_H
#define WEFT_DETACHED_H

#include <weft/base.h>

#include "fiber.h"
#include "job.h"

/* Threads of a runtime for such calls. Half makes four dead name servers a standstill; double is
 * paid for in connections to those that live. */
#define DETACHED_THREADS 8

struct detached {
    struct job job; /* fn, arg, name: the call's; fn must not use weft_fail */
    void (*drop)(struct detached *self); /* free it, and what came of it */
    /* the rest is not the caller's */
    weft_runtime *rt;
    struct fiber *fiber;
    uint64_t ticket;
    _Atomic(uint32_t) state;
};

/*
 * Make the call on a thread, and wait for it.
 * d: on the heap; job.fn, job.arg, job.name and drop are set, the rest is zero
 * Context: task     Blocks: task
 * Returns 0: it has run, and d is the caller's again. -ECANCELED, -ETIMEDOUT, -EAGAIN (no thread),
 * -ENOMEM: it has not run, or nobody will know, and d is gone.
 */
int weft__run_detached(struct detached *d);

/* The threads are to end, those that are stuck when they can. Context: who closes rt, no worker is
 * left. */
void weft__detached_end(weft_runtime *rt);

#endif
