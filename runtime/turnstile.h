/* SPDX-License-Identifier: MIT */
/*
 * Turnstile: the lock of an object that tasks wait for, and the way to wait at it. Queues,
 * channels, broadcasts and watches begin with one, and have one or more wait queues (wait_queue.h)
 * under it.
 *
 *     turnstile_lock(&o->gate)
 *     satisfied? take it; claim whom it lets in;   turnstile_unlock; weft__wait_queue_resume
 *     else                                         weft__turnstile_wait, which unlocks
 *
 * Held for a few instructions and the copy of an element. One who finds it held spins, and gives
 * its time away when the holder does not run.
 *
 * The wait is announced with the lock held: nothing can be missed between the look and the queue,
 * and the lock is taken once. What a waiter is given is written by the one who claimed it, under
 * the lock, to where the waiter said.
 *
 * An object may be freed when nobody is in a call on it. A waiter that was claimed does not touch
 * it again, and who claimed it stops touching it before the waiter goes on; so the one who was
 * given the last item may free the object. A waiter that was cancelled does touch it, also when its
 * node was passed over and is in no queue. `waiting` counts those who will: it is what says that
 * an object cannot be destroyed.
 *
 * Pairs
 *   P1  unlock: is_held, release -> lock: is_held, acquire     all that the lock guards
 *
 * Tested: tests/model/model_channel.c.
 */
#ifndef WEFT_TURNSTILE_H
#define WEFT_TURNSTILE_H

#include "atomic.h"
#include "check.h"
#include "wait_queue.h"

/* Zeroed memory is one that is free. */
struct turnstile {
    _Atomic(uint32_t) is_held;
    uint32_t waiting; /* nodes that were queued, not claimed, and not taken back yet */
};

/* Spin until it was free, and take it. */
void weft__turnstile_lock_slow(struct turnstile *t);

static inline void turnstile_lock(struct turnstile *t)
{
    /* ORD P1: what those before did. */
    if (WEFT_UNLIKELY(atomic_exchange_acquire(&t->is_held, 1) != 0)) {
        weft__turnstile_lock_slow(t);
    }
}

static inline void turnstile_unlock(struct turnstile *t)
{
    atomic_store_release(&t->is_held, 0); /* ORD P1: what we did; the last touch of the object */
}

/* The first in q whose wait can be ended, which it is; NULL: there is none. Caller holds the lock,
 * and owes a weft__wait_queue_resume after it. */
static inline struct wait_node *turnstile_claim(struct turnstile *t, struct wait_queue *q)
{
    if (wait_queue_is_empty(q)) {
        return NULL;
    }
    struct wait_node *n = weft__wait_queue_claim(q);
    t->waiting -= n != NULL;
    return n;
}

/* Claim all in q; a chain by `next`, in their order. As turnstile_claim. */
struct wait_node *weft__turnstile_claim_all(struct turnstile *t, struct wait_queue *q);

/* Resume a chain of claimed ones; NULL: nobody. Caller has let go of the lock. */
void weft__turnstile_resume_all(struct wait_node *chain);

/*
 * Wait in q until claimed. Caller holds the lock, which is let go in every case.
 * on: the object, for those who look at what a task waits for
 * Returns 0 when n was claimed, or why waits fail: then n is in no queue.
 * Context: on f; may return on another worker.
 */
int weft__turnstile_wait(struct turnstile *t, struct wait_queue *q, struct wait_node *n,
                         struct fiber *f, void *on);

#endif
