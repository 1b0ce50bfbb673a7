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
 * An object whose users are all on one worker needs no read-modify-write: a worker that was alone
 * for a while becomes the turnstile's home, and goes in by plain stores. It says that it is inside,
 * then looks whether it is home still. Whoever else comes, takes the lock, ends that, lets the
 * asymmetric barrier (barrier.h) pass between the two, and waits until the home is outside: either
 * it sees that the home is inside, or the home sees that it is home no more. That costs some
 * microseconds, so each time the while to become home doubles, and after TURNSTILE_HOMES there is
 * none any more. Each home has a flag of its own: one that was interrupted between its two looks
 * may come to say "outside" when others are home and inside.
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
 * Invariants
 *   I1  home is changed by who holds is_held; made to be a worker by that worker, never twice the
 *       same.
 *   I2  inside is the home, while home says so; else who holds is_held. Never both.
 *
 * Pairs
 *   P1  unlock: is_held, release  -> lock: is_held, acquire      all that the lock guards
 *   P2  enter: is_inside, relaxed; light barrier; then home
 *       <-> evict: home, relaxed; heavy barrier; then is_inside
 *           one sees the other
 *   P3  leave: is_inside, release -> evict: is_inside, acquire   all that the lock guards
 *
 * Tested: tests/model/model_turnstile.c; with channels in tests/model/model_channel.c.
 */
#ifndef WEFT_TURNSTILE_H
#define WEFT_TURNSTILE_H

#include "barrier.h"
#include "fiber.h"
#include "tls.h"
#include "wait_queue.h"

/* Passes in a row that make a worker the first home: about as many as pay for an eviction. */
#ifndef TURNSTILE_STREAK
#define TURNSTILE_STREAK 64
#endif
/* Homes that a turnstile has in its life, a power of two. The last has passed 8192 times in a row;
 * half as many would give up before tasks that were spread out have settled on one worker. */
#define TURNSTILE_HOMES 8
#define TURNSTILE_OUTSIDE TURNSTILE_HOMES

/* Zeroed memory is one that is free. Half a line: the rest is for what the lock guards, so that
 * both come at once to who takes it from another. */
struct turnstile {
    _Atomic(uintptr_t) home;                     /* a worker, with the home's number; 0: none */
    _Atomic(uint8_t) is_inside[TURNSTILE_HOMES]; /* written by that home */
    _Atomic(uint8_t) is_held;                    /* by one that is not the home */

    /* guarded by the lock */
    uint8_t homes;     /* so far */
    uint8_t passed_as; /* the number of the home that is inside, or TURNSTILE_OUTSIDE */
    uint16_t streak;   /* times in a row that `last` passed */
    uint32_t last;     /* of a worker's address, the part that tells workers apart; or 0 */
    uint32_t waiting;  /* nodes that were queued, not claimed, and not taken back yet */
};

_Static_assert(sizeof(struct turnstile) <= WEFT_CACHE_LINE / 2, "see above");

/* Spin until the lock was free, and take it. */
void weft__turnstile_take(struct turnstile *t);

/* Nobody is home from now on. Caller has taken is_held. */
void weft__turnstile_evict(struct turnstile *t);

/* Somebody passes who is not the home. Caller holds the lock. */
static inline void turnstile_count(struct turnstile *t, const struct worker *w)
{
    t->passed_as = TURNSTILE_OUTSIDE;
    uint32_t self = (uint32_t)((uintptr_t)w / WEFT_CACHE_LINE);
    if (t->last != self || self == 0) {
        t->last = self;
        t->streak = 0;
    } else if (++t->streak >= (uint32_t)TURNSTILE_STREAK << t->homes &&
               t->homes < TURNSTILE_HOMES) {
        /* ORD none: w reads it; others come after is_held (P1). */
        atomic_store_relaxed(&t->home, (uintptr_t)w | t->homes);
        t->homes++;
        t->streak = 0;
    }
}

/* w: the current worker, NULL on other threads. */
static inline void turnstile_lock_by(struct turnstile *t, const struct worker *w)
{
    uintptr_t home = atomic_load_relaxed(&t->home); /* ORD none: looked at again */
    unsigned number = home % TURNSTILE_HOMES;
    if (WEFT_LIKELY(home - number == (uintptr_t)w && home != 0)) {
        /* ORD P2: before the look whether we are home still. */
        atomic_store_relaxed(&t->is_inside[number], 1);
        barrier_light();
        /* ORD P2: after we said so. */
        if (WEFT_LIKELY(atomic_load_relaxed(&t->home) == home)) {
            t->passed_as = (uint8_t)number;
            return;
        }
        atomic_store_release(&t->is_inside[number], 0); /* ORD P3: nothing but that */
    }
    /* ORD P1: what those before did. */
    if (WEFT_UNLIKELY(atomic_exchange_acquire(&t->is_held, 1) != 0)) {
        weft__turnstile_take(t);
    }
    /* ORD none: changed under is_held, which we have. */
    if (WEFT_UNLIKELY(atomic_load_relaxed(&t->home) != 0)) {
        weft__turnstile_evict(t);
    }
    turnstile_count(t, w);
}

static inline void turnstile_lock(struct turnstile *t)
{
    turnstile_lock_by(t, weft__worker_current());
}

/* The last touch of the object. */
static inline void turnstile_unlock(struct turnstile *t)
{
    if (t->passed_as != TURNSTILE_OUTSIDE) {
        atomic_store_release(&t->is_inside[t->passed_as], 0); /* ORD P3: what we did */
    } else {
        atomic_store_release(&t->is_held, 0); /* ORD P1: what we did */
    }
}

/* The first in q whose wait can be ended, which it is; NULL: there is none. Caller holds the lock,
 * and owes a weft__wait_queue_resume after it. */
static inline struct wait_node *turnstile_claim(struct turnstile *t, struct wait_queue *q)
{
    struct wait_node *n = q->first;
    if (n == NULL) {
        return NULL;
    }
    uint64_t ticket = n->ticket;
    /* ORD P3 (fiber.h): as weft__wait_claim, of which this is the first try. */
    if (WEFT_LIKELY(atomic_cas_acq_rel(&n->fiber->wait, &ticket, 0))) {
        (void)wait_queue_remove(q, n);
    } else {
        n = weft__wait_queue_claim(q);
    }
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
