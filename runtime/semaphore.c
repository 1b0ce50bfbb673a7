/* SPDX-License-Identifier: MIT */
/*
 * Semaphore.
 *
 * The word is the permits that nobody has, times PERMIT, and LOCK and WAITERS (sync_word.h). While
 * there are waiters nobody takes permits but by its turn, so a release gives them to the first, and
 * to those behind for whom there are enough; what remains, which is too few for the first, stays in
 * the word. A waiter that was cancelled may have been all that kept the others waiting, so who
 * leaves the queue serves it, too.
 *
 * Pairs
 *   P1  release: word, release  -> acquire: word, acquire    what the releasers did before
 *
 * Tested: tests/model/model_semaphore.c (all interleavings), tests/unit/test_rt_semaphore.c,
 * tests/stress/stress_sync.c.
 */
#include <errno.h>

#include <weft/sync.h>

#include "backoff.h"
#include "runtime_object.h"
#include "sync_word.h"

#define PERMIT ((uint64_t)4)

_Static_assert((uint64_t)1 << 2 == PERMIT, "what the public initialisers write");

struct semaphore_waiter {
    struct wait_node node;
    uint64_t wants; /* permits, times PERMIT */
};

static int semaphore_init(struct weft_semaphore *s, int64_t value, int64_t limit)
{
    if (value < 0 || value > WEFT_SEMAPHORE_MAX) {
        return -EINVAL;
    }
    atomic_store_relaxed(&s->word, (uint64_t)value * PERMIT); /* ORD none: not shared yet */
    s->first = NULL;
    s->limit = (uint64_t)limit;
    return 0;
}

int weft_semaphore_init(struct weft_semaphore *s, int64_t value)
{
    return semaphore_init(s, value, 0);
}

int weft_bounded_semaphore_init(struct weft_semaphore *s, int64_t value)
{
    return value == 0 ? -EINVAL : semaphore_init(s, value, value);
}

/* How many permits there may be, times PERMIT. */
static uint64_t semaphore_most(const struct weft_semaphore *s)
{
    return (s->limit != 0 ? s->limit : (uint64_t)WEFT_SEMAPHORE_MAX) * PERMIT;
}

/* Give permits to those whose turn it is. Returns the word with what remains. Caller has LOCK. */
static uint64_t semaphore_serve(struct weft_semaphore *s, uint64_t permits,
                                struct wait_chain *served)
{
    struct wait_queue *q = sync_queue(&s->first);
    while (!wait_queue_is_empty(q)) {
        struct semaphore_waiter *w = WEFT_CONTAINER(q->first, struct semaphore_waiter, node);
        if (w->wants > permits) {
            break;
        }
        if (weft__wait_queue_take(q, &w->node)) {
            permits -= w->wants;
            wait_chain_add(served, &w->node);
        }
    }
    return permits | sync_waiters(q);
}

/* Whether so many can be had at once; then they were taken. */
static inline bool semaphore_take(struct weft_semaphore *s, uint64_t wants)
{
    unsigned turns = 0;
    uint64_t old = atomic_load_relaxed(&s->word); /* ORD none: the CAS checks it */
    while ((old & SYNC_WAITERS) == 0 && old >= wants) {
        if ((old & SYNC_LOCK) != 0) {
            backoff_wait(&turns);
            old = atomic_load_relaxed(&s->word); /* ORD none: as above */
            continue;
        }
        /* ORD P1: what the releasers did. */
        if (atomic_cas_acquire(&s->word, &old, old - wants)) {
            return true;
        }
    }
    return false;
}

/* Its wait was cut short: out of the queue, and those behind may go on. */
static void semaphore_leave(struct weft_semaphore *s, struct wait_node *n)
{
    struct wait_chain served = {NULL, NULL};
    uint64_t old = sync_lock(&s->word);
    (void)wait_queue_remove(sync_queue(&s->first), n);
    sync_unlock(&s->word, semaphore_serve(s, old & ~SYNC_WAITERS, &served));
    weft__wait_chain_resume(&served);
}

static WEFT_NOINLINE int semaphore_acquire_slow(struct weft_semaphore *s, struct fiber *f,
                                                uint64_t wants)
{
    struct semaphore_waiter w = {.wants = wants};
    f->wait_for = WAIT_FOR_SEMAPHORE;
    int err = weft__sync_wait_begin(&w.node, f, WAIT_CLAIMABLE, s);
    uint64_t old = sync_lock(&s->word);
    if ((old & SYNC_WAITERS) == 0 && old >= wants) {
        sync_unlock(&s->word, old - wants);
        return weft__sync_wait_retract(&w.node);
    }
    if (err < 0) {
        sync_unlock(&s->word, old);
        return weft__sync_wait_refused(&w.node, err);
    }
    wait_queue_push(sync_queue(&s->first), &w.node);
    sync_unlock(&s->word, old | SYNC_WAITERS);
    weft__park(f);
    err = f->outcome;
    if (err < 0) {
        semaphore_leave(s, &w.node);
    }
    return err;
}

int weft_semaphore_acquire_many(struct weft_semaphore *s, int64_t n)
{
    struct fiber *f = weft__fiber_current();
    if (WEFT_UNLIKELY(f == NULL)) {
        return -EPERM;
    }
    if (n < 1 || n > WEFT_SEMAPHORE_MAX || (uint64_t)n * PERMIT > semaphore_most(s)) {
        return -EINVAL;
    }
    uint64_t wants = (uint64_t)n * PERMIT;
    return semaphore_take(s, wants) ? 0 : semaphore_acquire_slow(s, f, wants);
}

int weft_semaphore_acquire(struct weft_semaphore *s)
{
    struct fiber *f = weft__fiber_current();
    if (WEFT_UNLIKELY(f == NULL)) {
        return -EPERM;
    }
    return WEFT_LIKELY(semaphore_take(s, PERMIT)) ? 0 : semaphore_acquire_slow(s, f, PERMIT);
}

int weft_semaphore_tryacquire(struct weft_semaphore *s)
{
    return semaphore_take(s, PERMIT) ? 0 : -EAGAIN;
}

/* A release that may have somebody to serve. */
static WEFT_NOINLINE int semaphore_release_slow(struct weft_semaphore *s, uint64_t gives)
{
    struct wait_chain served = {NULL, NULL};
    uint64_t old = sync_lock(&s->word);
    uint64_t permits = old & ~SYNC_WAITERS;
    if (gives > semaphore_most(s) - permits) {
        sync_unlock(&s->word, old);
        return -EOVERFLOW;
    }
    sync_unlock(&s->word, semaphore_serve(s, permits + gives, &served));
    weft__wait_chain_resume(&served);
    return 0;
}

int weft_semaphore_release_many(struct weft_semaphore *s, int64_t n)
{
    if (n < 1) {
        return -EINVAL;
    }
    if (n > WEFT_SEMAPHORE_MAX) {
        return -EOVERFLOW;
    }
    uint64_t gives = (uint64_t)n * PERMIT;
    uint64_t most = semaphore_most(s);
    uint64_t old = atomic_load_relaxed(&s->word); /* ORD none: the CAS checks it */
    while ((old & (SYNC_LOCK | SYNC_WAITERS)) == 0) {
        if (gives > most - old) {
            return -EOVERFLOW;
        }
        /* ORD P1: what the caller did. */
        if (atomic_cas_acq_rel(&s->word, &old, old + gives)) {
            return 0;
        }
    }
    return semaphore_release_slow(s, gives);
}

int weft_semaphore_release(struct weft_semaphore *s)
{
    return weft_semaphore_release_many(s, 1);
}

int64_t weft_semaphore_value(const struct weft_semaphore *s)
{
    /* ORD none: a figure. */
    return (int64_t)(atomic_load_relaxed(&((struct weft_semaphore *)(uintptr_t)s)->word) / PERMIT);
}
