/* SPDX-License-Identifier: MIT */
/* Futures: references, outcome, waiters; the word and its protocol are in future.h. */
#include "future.h"

#include <errno.h>
#include <sched.h>

#include <weft/task.h>

#include "blocking.h"
#include "extra.h"
#include "report.h"
#include "runtime_object.h"
#include "simulation.h"

/* Lock, and set `flags` with it. Returns the word from before. */
static uint64_t future_lock_setting(weft_future *f, uint64_t flags)
{
    unsigned spins = 0;
    /* ORD none: the CAS checks it. */
    uint64_t old = atomic_load_relaxed(&f->word);
    for (;;) {
        if ((old & FUTURE_LOCK) == 0) {
            /* ORD P1, P3: the outcome before DONE; what the holder before did to the list. */
            if (atomic_cas_acq_rel(&f->word, &old, old | FUTURE_LOCK | flags)) {
                return old;
            }
            continue;
        }
        cpu_relax();
        if (++spins % 64 == 0) {
            sched_yield();
        }
        old = atomic_load_relaxed(&f->word); /* ORD none: as above */
    }
}

void weft__future_lock(weft_future *f)
{
    (void)future_lock_setting(f, 0);
}

bool weft__future_trylock(weft_future *f)
{
    uint64_t old = atomic_load_relaxed(&f->word); /* ORD none: the CAS checks it */
    return (old & FUTURE_LOCK) == 0 &&
           atomic_cas_acquire(&f->word, &old, old | FUTURE_LOCK); /* ORD P3: the list */
}

void weft__future_unlock(weft_future *f)
{
    uint64_t old = atomic_load_relaxed(&f->word); /* ORD none: the CAS checks it */
    uint64_t new;
    do {
        new = old & ~(FUTURE_LOCK | FUTURE_WAITERS);
        new |= f->waiters != NULL ? FUTURE_WAITERS : 0;
        /* ORD P3: the list as we leave it. */
    } while (!atomic_cas_acq_rel(&f->word, &old, new));
}

bool weft__future_add_waiter(weft_future *f, struct waiter *node)
{
    weft__future_lock(f);
    bool is_pending = !future_is_done(f);
    if (is_pending) {
        struct waiter *first = f->waiters;
        if (first == NULL) {
            node->next = node;
            node->prev = node;
            f->waiters = node;
        } else {
            node->next = first;
            node->prev = first->prev;
            first->prev->next = node;
            first->prev = node;
        }
    }
    weft__future_unlock(f);
    return is_pending;
}

void weft__waiter_unlink(weft_future *f, struct waiter *node)
{
    if (node->next == node) {
        f->waiters = NULL;
    } else {
        node->next->prev = node->prev;
        node->prev->next = node->next;
        if (f->waiters == node) {
            f->waiters = node->next;
        }
    }
    node->next = NULL;
}

bool weft__future_remove_waiter(weft_future *f, struct waiter *node)
{
    weft__future_lock(f);
    bool is_listed = node->next != NULL;
    if (is_listed) {
        weft__waiter_unlink(f, node);
    }
    weft__future_unlock(f);
    return is_listed;
}

/* The end of a future somebody waits for, or may be about to. */
static void future_end_waited(weft_future *f)
{
    /* ORD P1: the outcome comes before. */
    uint64_t old = future_lock_setting(f, FUTURE_DONE);
    struct simulation *muted = simulation_mute(f->rt);
    while (f->waiters != NULL) {
        struct waiter *node = f->waiters;
        weft__waiter_unlink(f, node);
        node->wake(node, f);
    }
    simulation_unmute(muted);
    /* Nobody but who holds the lock changes WAITERS, and now nobody comes any more. */
    uint64_t drop = FUTURE_LOCK + (old & FUTURE_WAITERS) + FUTURE_REF;
    /* ORD P2, P3: our use of f, the list as we leave it. */
    old = atomic_sub_acq_rel(&f->word, drop);
    if (old < 2 * FUTURE_REF) {
        weft__future_free(f);
    }
}

void weft__future_end(weft_future *f)
{
    /* ORD none: the CAS checks it. */
    uint64_t old = atomic_load_relaxed(&f->word);
    do {
        WEFT_ASSERT((old & FUTURE_DONE) == 0);
        if (WEFT_UNLIKELY((old & (FUTURE_LOCK | FUTURE_WAITERS)) != 0)) {
            future_end_waited(f);
            return;
        }
        /* ORD P1, P2: the outcome comes before DONE, our use of f before its last put. */
    } while (!atomic_cas_acq_rel(&f->word, &old, old + FUTURE_DONE - FUTURE_REF));
    if (old < 2 * FUTURE_REF) {
        weft__future_free(f);
    }
}

bool weft__task_try_get(weft_task *t)
{
    /* ORD none: the CAS checks it. */
    uint64_t old = atomic_load_relaxed(&t->word);
    do {
        if (old < FUTURE_REF || (old & FUTURE_DONE) != 0) {
            return false;
        }
        /* ORD P2: its contents are those of a task that is alive. */
    } while (!atomic_cas_acquire(&t->word, &old, old + FUTURE_REF));
    return true;
}

void weft__future_free(weft_future *f)
{
    /* ORD none: we hold the last reference, and P2 has ordered everybody before us. */
    if (WEFT_UNLIKELY(f->error < 0 && f->error != -ECANCELED && !atomic_load_relaxed(&f->seen)) &&
        weft__slab_is_ours(f)) {
        /* ORD none: as above; whoever puts it had counted it off, maybe. */
        atomic_store_relaxed(&f->word, FUTURE_DONE | FUTURE_REF);
        if (weft__report_future(f, REPORT_UNSEEN, f->error)) {
            return; /* the handler has it */
        }
    }
    if (WEFT_UNLIKELY(extra_of(f) != NULL)) {
        weft__extra_free(f);
    }
    if (WEFT_UNLIKELY(f->fn == NULL) && f->job != NULL) {
        weft__blocking_forget(f->job);
    }
    struct slab_pool *pool = weft__slab_pool_of(f);
    /* ORD P2: an unused descriptor reads as 0 to those who walk. */
    atomic_store_release(&f->word, 0);
    struct worker *w = weft__worker_current();
    if (WEFT_LIKELY(w != NULL && w->tasks.pool == pool)) {
        slab_give(&w->tasks, f);
    } else {
        weft__slab_put(pool, f);
    }
}

weft_future *weft_get(weft_future *f)
{
    if (f != NULL) {
        /* ORD none: the caller holds a reference, which keeps f. */
        uint64_t old = atomic_add_relaxed(&f->word, FUTURE_REF);
        WEFT_REQUIRE(old >= FUTURE_REF, "weft_get on a future whose last reference is gone");
    }
    return f;
}

/* The last handle of a held task went before it was started: it ends unrun. */
static void future_drop_held(weft_task *t)
{
    weft__task_end_unrun(t);
    if (!weft__report_future(weft_get(t), REPORT_DROPPED, -ECANCELED)) {
        weft_put(t);
    }
}

/* Give back a handle of a held task. False: that was all. True: it was the last one, the task has
 * ended, and the handle is still to be given back. */
static bool future_put_held(weft_future *f)
{
    /* ORD none: the CAS checks it. */
    uint64_t old = atomic_load_relaxed(&f->word);
    for (;;) {
        bool is_held = (old & FUTURE_HELD) != 0 && weft__slab_is_ours(f);
        bool is_last = old < 3 * FUTURE_REF; /* but for the runtime's own reference */
        if (!is_held) {
            return true;
        }
        /* ORD P2: our uses come before the last put. */
        if (atomic_cas_acq_rel(&f->word, &old, is_last ? old & ~FUTURE_HELD : old - FUTURE_REF)) {
            if (is_last) {
                future_drop_held(f);
            }
            return is_last;
        }
    }
}

void weft_put(weft_future *f)
{
    if (f == NULL) {
        return;
    }
    /* ORD P2: everybody else's uses, when it turns out that ours is the last reference. */
    uint64_t old = atomic_load_acquire(&f->word);
    WEFT_REQUIRE(old >= FUTURE_REF, "weft_put on a future whose last reference is gone");
    if ((old & ~(FUTURE_DONE | FUTURE_SET)) == FUTURE_REF && (old & FUTURE_DONE) != 0) {
        weft__future_free(f); /* nobody can get another one any more */
        return;
    }
    if (WEFT_UNLIKELY((old & FUTURE_HELD) != 0) && !future_put_held(f)) {
        return;
    }
    /* ORD P2: our uses come before the last put. */
    old = atomic_sub_acq_rel(&f->word, FUTURE_REF);
    if (old < 2 * FUTURE_REF) {
        weft__future_free(f);
    }
}

bool weft_done(const weft_future *f)
{
    return f != NULL && future_is_done(f);
}

bool weft_cancelled(const weft_future *f)
{
    return weft_done(f) && f->error == -ECANCELED;
}

int weft_result(weft_future *f, void **result)
{
    if (f == NULL) {
        return -ENOMEM;
    }
    if (!future_is_done(f)) {
        return -EINPROGRESS;
    }
    future_mark_seen(f);
    if (f->error == 0 && result != NULL) {
        *result = f->value.result;
    }
    return f->error;
}
