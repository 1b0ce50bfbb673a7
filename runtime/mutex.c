/* SPDX-License-Identifier: MIT */
/*
 * Mutex.
 *
 * The word is the task that has it locked, or 0, and
 *   LOCK, WAITERS   see sync_word.h; but without WAITERS the queue may still be the heir's business
 *   DUE             the first in the queue was heir, and came too late
 *
 * Unlocking with waiters comes in two kinds.
 *   Give    the word gets the first waiter as its owner, which is then made ready. It is strictly
 *           first come, first served, and what a runtime with one worker does. With several it is
 *           slow under contention: the mutex is idle until the new owner runs, the old one has to
 *           wait when it comes again, and once there is a queue each use is two switches.
 *   Free    the mutex is free, and the first waiter is made ready as heir: it will lock the mutex
 *           when it runs, and see to the queue from then on. Who runs meanwhile locks and unlocks
 *           as if nobody waited, at the price of two compare-and-swaps.
 * An heir that finds the mutex locked goes back to the head of the queue, and is DUE: the next
 * unlock gives. So each one gets it who gets to run.
 *
 * Invariants
 *   I1  free: the word is 0, or LOCK.
 *   I2  the queue is not empty: WAITERS or has_heir. So there is always one who will see to it.
 *   I3  not both; DUE only with WAITERS.
 *   I4  has_heir: under LOCK.
 * An heir whose task was cancelled takes the mutex if it is free; if not, its owner gets WAITERS.
 *
 * Pairs
 *   P1  unlock: word, release  -> lock: word, acquire    what the owners before did
 *
 * Tested: tests/model/model_mutex.c (all interleavings), tests/unit/test_rt_mutex.c,
 * tests/stress/stress_sync.c.
 */
#include "mutex.h"

#include <errno.h>

#include "backoff.h"
#include "runtime_object.h"
#include "simulation.h"

#define MUTEX_DUE ((uint64_t)4)
#define MUTEX_OWNER (~MUTEX_BITS)

/* Turns for which one looks whether a locked mutex becomes free, before waiting for it. Each costs
 * the owner the cache line; half or twice as many make no difference that shows. */
#ifndef MUTEX_LOOKS
#define MUTEX_LOOKS 32
#endif

/* Take the mutex if it is free. */
static inline bool mutex_try(struct weft_mutex *m, const weft_task *self)
{
    uint64_t old = 0;
    unsigned turns = 0;
    /* ORD P1: what the owner before did. */
    while (!atomic_cas_acquire(&m->word, &old, mutex_owner(self))) {
        if ((old & MUTEX_OWNER) != 0) {
            return false;
        }
        backoff_wait(&turns); /* somebody is at the queue for a moment */
        old = 0;
    }
    return true;
}

/* Look on for a moment. True: the mutex seems to be free. */
static bool mutex_look(struct weft_mutex *m)
{
    for (int i = 0; i < MUTEX_LOOKS; i++) {
        cpu_relax();
    }
    /* ORD none: it is tried again under LOCK. */
    return (atomic_load_relaxed(&m->word) & MUTEX_OWNER) == 0;
}

/* Its wait was cut short: out of the queue, if it is there. */
static void mutex_leave(struct weft_mutex *m, struct wait_node *n)
{
    struct wait_queue *q = sync_queue(&m->first);
    uint64_t old = sync_lock(&m->word);
    (void)wait_queue_remove(q, n);
    sync_unlock(&m->word, wait_queue_is_empty(q) ? old & ~(SYNC_WAITERS | MUTEX_DUE) : old);
}

/*
 * Under LOCK: take the mutex if it is free, else queue the node, unless err says that its task may
 * not wait. is_heir: the caller is the heir, and will not be it any more. Returns whether the
 * caller is to wait.
 */
static bool mutex_take_or_queue(struct weft_mutex *m, struct wait_node *n, int *err, bool is_heir)
{
    struct wait_queue *q = sync_queue(&m->first);
    uint64_t old = sync_lock(&m->word);
    bool waits = (old & MUTEX_OWNER) != 0 && *err == 0;
    m->has_heir = m->has_heir && !is_heir;
    if ((old & MUTEX_OWNER) == 0) {
        old |= mutex_owner(n->fiber->top);
        *err = 0;
    } else if (waits && is_heir) {
        wait_queue_push_first(q, n);
        old |= MUTEX_DUE;
    } else if (waits) {
        wait_queue_push(q, n);
    }
    sync_unlock(&m->word, m->has_heir ? old : old | sync_waiters(q));
    return waits;
}

static WEFT_NOINLINE int mutex_lock_slow(struct weft_mutex *m, struct worker *w,
                                         enum wait_kind kind)
{
    struct fiber *f = w->fiber;
    if (mutex_is_owned(m, f->top)) {
        return -EDEADLK;
    }
    if (!simulation_is_alone(w) && mutex_look(m) && mutex_try(m, f->top)) {
        return 0;
    }
    for (bool is_heir = false;; is_heir = true) {
        struct wait_node n;
        f->wait_for = WAIT_FOR_MUTEX;
        int err = weft__sync_wait_begin(&n, f, kind, m);
        if (!mutex_take_or_queue(m, &n, &err, is_heir)) {
            return err < 0 ? weft__sync_wait_refused(&n, err) : weft__sync_wait_retract(&n);
        }
        weft__park(f);
        if (f->outcome < 0) {
            err = f->outcome;
            mutex_leave(m, &n);
            return err;
        }
        if (mutex_is_owned(m, f->top)) {
            return 0; /* it was given */
        }
        (void)mutex_look(m);
    }
}

/* Unlock, and see to the queue. */
static WEFT_NOINLINE int mutex_unlock_slow(struct weft_mutex *m, struct worker *w)
{
    if (!mutex_is_owned(m, w->fiber->top)) {
        return -EPERM;
    }
    struct wait_queue *q = sync_queue(&m->first);
    uint64_t old = sync_lock(&m->word);
    uint64_t new = 0;
    struct wait_node *n = (old & SYNC_WAITERS) != 0 ? weft__wait_queue_claim(q) : NULL;
    if (n != NULL && (simulation_is_alone(w) || (old & MUTEX_DUE) != 0)) {
        new = mutex_owner(n->fiber->top) | sync_waiters(q);
    } else if (n != NULL) {
        m->has_heir = true;
    }
    sync_unlock(&m->word, new);
    if (n != NULL) {
        weft__wait_queue_resume(n);
    }
    return 0;
}

/* The worker the caller's task runs on, or NULL. */
static inline struct worker *mutex_worker(void)
{
    struct worker *w = weft__worker_current();
    return WEFT_LIKELY(w != NULL && !w->in_loop) ? w : NULL;
}

static inline int mutex_lock(struct weft_mutex *m, enum wait_kind kind)
{
    struct worker *w = mutex_worker();
    if (WEFT_UNLIKELY(w == NULL)) {
        return -EPERM;
    }
    uint64_t old = 0;
    /* ORD P1: what the owner before did. */
    if (WEFT_LIKELY(atomic_cas_acquire(&m->word, &old, mutex_owner(w->fiber->top)))) {
        return 0;
    }
    return mutex_lock_slow(m, w, kind);
}

int weft_mutex_lock(struct weft_mutex *m)
{
    return mutex_lock(m, WAIT_CLAIMABLE);
}

int weft_mutex_lock_shielded(struct weft_mutex *m)
{
    return mutex_lock(m, WAIT_FIRM);
}

int weft_mutex_trylock(struct weft_mutex *m)
{
    struct worker *w = mutex_worker();
    if (WEFT_UNLIKELY(w == NULL)) {
        return -EPERM;
    }
    return mutex_try(m, w->fiber->top) ? 0 : -EAGAIN;
}

int weft_mutex_unlock(struct weft_mutex *m)
{
    struct worker *w = mutex_worker();
    if (WEFT_UNLIKELY(w == NULL)) {
        return -EPERM;
    }
    uint64_t old = mutex_owner(w->fiber->top);
    /* ORD P1: what we did. */
    if (WEFT_LIKELY(atomic_cas_acq_rel(&m->word, &old, 0))) {
        return 0;
    }
    return mutex_unlock_slow(m, w);
}
