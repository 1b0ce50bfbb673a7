/* SPDX-License-Identifier: MIT */
/*
 * Reader-writer lock.
 *
 * The word is LOCK, WAITERS (sync_word.h) and
 *   WRITER clear   how many tasks have it for reading, times READER
 *   WRITER set     the task that has it for writing, in place of the count
 *
 * First come, first served: while there are waiters nobody gets it but by its turn. Who lets go of
 * it last gives it to the first waiter, and when that is a reader to all readers up to the next
 * writer. A writer that was cancelled may have been all that kept readers behind it waiting, so who
 * leaves the queue serves it, too.
 *
 * Pairs
 *   P1  unlock: word, release  -> lock: word, acquire    what those who had it before did
 *
 * Tested: tests/model/model_rwlock.c (all interleavings), tests/unit/test_rt_rwlock.c,
 * tests/stress/stress_sync.c.
 */
#include <errno.h>

#include <weft/sync.h>

#include "backoff.h"
#include "runtime_object.h"
#include "rwlock.h"
#include "sync_word.h"

#define RWLOCK_WRITER ((uint64_t)4)
#define RWLOCK_READER ((uint64_t)8)

struct rwlock_waiter {
    struct wait_node node;
    bool writes;
};

/* The word, once t has the lock, from one under which it may have it. */
static inline uint64_t rwlock_taken(uint64_t old, const weft_task *t, bool writes)
{
    return writes ? old | RWLOCK_WRITER | (uint64_t)(uintptr_t)t : old + RWLOCK_READER;
}

/* Whether the lock can be had under this word, but for those who wait. */
static inline bool rwlock_is_open(uint64_t word, bool writes)
{
    return writes ? (word & ~SYNC_WAITERS) == 0 : (word & RWLOCK_WRITER) == 0;
}

/* Whether t has it for writing. */
static inline bool rwlock_is_writer(uint64_t word, const weft_task *t)
{
    return (word & ~(SYNC_LOCK | SYNC_WAITERS)) == ((uint64_t)(uintptr_t)t | RWLOCK_WRITER);
}

/* Give the lock to those whose turn it is. word: without WAITERS. Returns it as it is then.
 * Caller has LOCK. */
static uint64_t rwlock_serve(struct weft_rwlock *l, uint64_t word, struct wait_chain *served)
{
    struct wait_queue *q = sync_queue(&l->first);
    while (!wait_queue_is_empty(q)) {
        struct rwlock_waiter *w = WEFT_CONTAINER(q->first, struct rwlock_waiter, node);
        if (!rwlock_is_open(word, w->writes)) {
            break;
        }
        if (weft__wait_queue_take(q, &w->node)) {
            word = rwlock_taken(word, w->node.fiber->top, w->writes);
            wait_chain_add(served, &w->node);
        }
    }
    return word | sync_waiters(q);
}

/* Take the lock if it can be had at once. */
static inline bool rwlock_take(struct weft_rwlock *l, const weft_task *self, bool writes)
{
    unsigned turns = 0;
    uint64_t old = atomic_load_relaxed(&l->word); /* ORD none: the CAS checks it */
    while ((old & SYNC_WAITERS) == 0 && rwlock_is_open(old & ~SYNC_LOCK, writes)) {
        if ((old & SYNC_LOCK) != 0) {
            backoff_wait(&turns);
            old = atomic_load_relaxed(&l->word); /* ORD none: as above */
            continue;
        }
        /* ORD P1: what those before did. */
        if (atomic_cas_acquire(&l->word, &old, rwlock_taken(old, self, writes))) {
            return true;
        }
    }
    return false;
}

/* Its wait was cut short: out of the queue, and those behind may go on. */
static void rwlock_leave(struct weft_rwlock *l, struct wait_node *n)
{
    struct wait_chain served = {NULL, NULL};
    uint64_t old = sync_lock(&l->word);
    (void)wait_queue_remove(sync_queue(&l->first), n);
    sync_unlock(&l->word, rwlock_serve(l, old & ~SYNC_WAITERS, &served));
    weft__wait_chain_resume(&served);
}

const weft_task *weft__rwlock_writer(const struct weft_rwlock *l)
{
    /* ORD none: it may be another's by the time it is told. */
    uint64_t word = atomic_load_relaxed(&((struct weft_rwlock *)(uintptr_t)l)->word);
    bool is_written = (word & RWLOCK_WRITER) != 0;
    word &= ~(SYNC_LOCK | SYNC_WAITERS | RWLOCK_WRITER);
    return is_written ? (const weft_task *)(uintptr_t)word : NULL;
}

static WEFT_NOINLINE int rwlock_lock_slow(struct weft_rwlock *l, struct fiber *f, bool writes)
{
    /* ORD none: whether the caller is its writer, only the caller changes. */
    if (rwlock_is_writer(atomic_load_relaxed(&l->word), f->top)) {
        return -EDEADLK;
    }
    struct rwlock_waiter w = {.writes = writes};
    f->wait_for = writes ? WAIT_FOR_WRITING : WAIT_FOR_READING;
    int err = weft__sync_wait_begin(&w.node, f, WAIT_CLAIMABLE, l);
    uint64_t old = sync_lock(&l->word);
    if ((old & SYNC_WAITERS) == 0 && rwlock_is_open(old, writes)) {
        sync_unlock(&l->word, rwlock_taken(old, f->top, writes));
        return weft__sync_wait_retract(&w.node);
    }
    if (err < 0) {
        sync_unlock(&l->word, old);
        return weft__sync_wait_refused(&w.node, err);
    }
    wait_queue_push(sync_queue(&l->first), &w.node);
    sync_unlock(&l->word, old | SYNC_WAITERS);
    weft__park(f);
    err = f->outcome;
    if (err < 0) {
        rwlock_leave(l, &w.node);
    }
    return err;
}

static inline int rwlock_lock(struct weft_rwlock *l, bool writes)
{
    struct fiber *f = weft__fiber_current();
    if (WEFT_UNLIKELY(f == NULL)) {
        return -EPERM;
    }
    return WEFT_LIKELY(rwlock_take(l, f->top, writes)) ? 0 : rwlock_lock_slow(l, f, writes);
}

static int rwlock_trylock(struct weft_rwlock *l, bool writes)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    return rwlock_take(l, f->top, writes) ? 0 : -EAGAIN;
}

int weft_rwlock_rdlock(struct weft_rwlock *l)
{
    return rwlock_lock(l, false);
}

int weft_rwlock_wrlock(struct weft_rwlock *l)
{
    return rwlock_lock(l, true);
}

int weft_rwlock_tryrdlock(struct weft_rwlock *l)
{
    return rwlock_trylock(l, false);
}

int weft_rwlock_trywrlock(struct weft_rwlock *l)
{
    return rwlock_trylock(l, true);
}

/* The word without the caller's lock; the same, if t has none. */
static inline uint64_t rwlock_dropped(uint64_t old, const weft_task *t)
{
    if (rwlock_is_writer(old, t)) {
        return old & (SYNC_LOCK | SYNC_WAITERS);
    }
    return (old & RWLOCK_WRITER) == 0 && old >= RWLOCK_READER ? old - RWLOCK_READER : old;
}

int weft_rwlock_unlock(struct weft_rwlock *l)
{
    struct fiber *f = weft__fiber_current();
    if (WEFT_UNLIKELY(f == NULL)) {
        return -EPERM;
    }
    uint64_t old = atomic_load_relaxed(&l->word); /* ORD none: the CAS checks it */
    while ((old & (SYNC_LOCK | SYNC_WAITERS)) == 0) {
        uint64_t new = rwlock_dropped(old, f->top);
        if (new == old) {
            return -EPERM;
        }
        /* ORD P1: what the caller did. */
        if (atomic_cas_acq_rel(&l->word, &old, new)) {
            return 0;
        }
    }
    struct wait_chain served = {NULL, NULL};
    old = sync_lock(&l->word);
    uint64_t new = rwlock_dropped(old, f->top);
    if (new == old) {
        sync_unlock(&l->word, old);
        return -EPERM;
    }
    sync_unlock(&l->word, rwlock_serve(l, new & ~SYNC_WAITERS, &served));
    weft__wait_chain_resume(&served);
    return 0;
}
