/* SPDX-License-Identifier: MIT */
/*
 * Timers of a worker: deadlines in a heap under a lock.
 *
 * The owner arms and expires; anybody may disarm. The lock is the owner's nearly always: a disarm
 * from elsewhere happens when a task that armed here has moved, or was cancelled from elsewhere.
 * Expiry calls back with the lock held, so a disarm that returns knows that nobody will look at the
 * deadline any more.
 *
 * A deadline may be left armed when what it was for is over, if the callback can tell: whoever
 * needs it next finds in `armed_ns` that it goes off early enough, and saves both.
 *
 * Pairs
 *   P1  unlock: lock, release -> lock: lock, acquire     the heap, the deadlines in it
 *   P2  expire: armed_ns, seq_cst; then what the callback looks at, seq_cst
 *       <-> deadline_armed: what the callback looks at, seq_cst; then armed_ns, seq_cst
 *           who relies on an armed deadline is seen by its callback
 */
#ifndef WEFT_TIMERS_H
#define WEFT_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "timer_heap.h"

struct timers;

/*
 * What a deadline may be late for the sake of others that come so soon after it: what the kernel
 * allows itself with each, by default. With a million in a second, half of it doubles what sleeping
 * and waking costs. Fewer than TIMERS_BATCH_MIN are not worth a delay.
 */
#define TIMERS_BATCH_NS 50000
#define TIMERS_BATCH_MIN 4u

/* Embedded in what has a deadline; zeroed memory is a valid one that is not armed. */
struct deadline {
    struct timer_node node;
    struct timers *home; /* where it is armed, or was last; written by whoever arms it */
    /* Called when it is due, with the lock held, on the worker that owns the heap. Must not wait,
     * arm or disarm. The node is not in the heap any more. Returns 0, or when to call again, after
     * now; if there is no memory for that it is called at once, as if the end of time had come. */
    int64_t (*expire)(struct deadline *self, int64_t now_ns);
    _Atomic(int64_t) armed_ns; /* written under home's lock; when it goes off, 0: never */
};

/* The end of time; no deadline is later. */
#define TIMERS_END (INT64_MAX - 1)

struct timers {
    _Atomic(uint32_t) lock;
    struct timer_heap heap; /* under lock */
};

void weft__timers_init(struct timers *t);
void weft__timers_fini(struct timers *t); /* what is armed is not touched, nor may it be disarmed */

/*
 * Arm d, whose `expire` is set, at an absolute time (> 0); one that is armed, here or elsewhere, is
 * moved. -ENOMEM: it is not armed.
 * Context: any thread, one at a time.
 */
int weft__timers_arm(struct timers *t, struct deadline *d, int64_t at_ns);

/* When it goes off; 0: it does not. Context: who may arm it. */
static inline int64_t deadline_armed(struct deadline *d)
{
    /* ORD P2: after what the callback looks at was written. */
    return atomic_load_seq_cst(&d->armed_ns);
}

/*
 * Disarm. False when it was not armed (any more): it has expired, and the callback has returned.
 * Context: any thread.
 */
bool weft__timers_disarm(struct deadline *d);

/*
 * Call back what is due at now, `max` at most, in the order of the deadlines. Returns how many.
 * Context: the owner.
 */
unsigned weft__timers_expire(struct timers *t, int64_t now_ns, unsigned max);

/* The next deadline; INT64_MAX: none. Context: the owner. */
int64_t weft__timers_next(struct timers *t);

/*
 * When to wake up for deadlines: at the next one; or where several come within TIMERS_BATCH_NS, at
 * the end of that time, for all of them. Each sleep and wake takes several microseconds, as long as
 * ten short tasks. INT64_MAX: there is none.
 * Context: the owner.
 */
int64_t weft__timers_wake_at(struct timers *t);

#endif
