/* SPDX-License-Identifier: MIT */
/*
 * Sync word: what the objects that tasks wait for between themselves (sync.h) have in common.
 *
 * Each has one atomic word, which holds its state, and a wait queue. Two bits of the word are the
 * same everywhere:
 *   LOCK     somebody changes the queue, for a few instructions; until it is clear nobody else
 *            changes the word. So whoever has it lets go by a plain store.
 *   WAITERS  the queue is not empty; written under LOCK
 *
 * Where there is nobody to wait for and nobody waits, a call is one compare-and-swap of a word
 * without these bits. Everything else is done under LOCK:
 *
 *     wait                                          wake
 *       err = sync_wait_begin(&n, f, kind, o)         old = sync_lock(&o->word)
 *       old = sync_lock(&o->word)                     claim, once or more (wait_queue.h)
 *       satisfied? take it; unlock, retract, 0        sync_unlock(&o->word, new)
 *       err < 0? unlock, then sync_wait_refused       weft__wait_chain_resume(&claimed)
 *       wait_queue_push(q, &n)
 *       sync_unlock(&o->word, old | SYNC_WAITERS)
 *       weft__park(f)
 *       f->outcome < 0? lock, wait_queue_remove,
 *       see what that means to the others, unlock
 *
 * It is asked whether the object is there for the taking before why the task may not wait: what can
 * be had at once is had by a cancelled task, too.
 *
 * The release guarantee: sync_unlock, or the compare-and-swap that saved it, is the waker's last
 * touch of the object. Who was claimed cannot go on before it is resumed, which comes after.
 *
 * Pairs
 *   P1  unlock: word, release  -> lock: word, acquire      the queue, and all else under LOCK
 *
 * Tested: tests/model/model_mutex.c, model_semaphore.c, model_event.c.
 */
#ifndef WEFT_SYNC_WORD_H
#define WEFT_SYNC_WORD_H

#include "atomic.h"
#include "check.h"
#include "park.h"
#include "wait_queue.h"

#define SYNC_LOCK ((uint64_t)1)
#define SYNC_WAITERS ((uint64_t)2)

/* Waiters that were claimed under LOCK and are to go on after it, in this order. */
struct wait_chain {
    struct wait_node *first;
    struct wait_node *last;
};

/* The queue of a public object, which knows it as a pointer. */
static inline struct wait_queue *sync_queue(void **first)
{
    _Static_assert(sizeof(struct wait_queue) == sizeof(*first), "a queue is a pointer");
    return (struct wait_queue *)(void *)first;
}

/* Wait for LOCK to be let go, and take it. Returns the word without it. */
uint64_t weft__sync_lock_contended(_Atomic(uint64_t) *word);

/* Take LOCK. Returns the word without it. */
static inline uint64_t sync_lock(_Atomic(uint64_t) *word)
{
    uint64_t old = atomic_load_relaxed(word); /* ORD none: the CAS checks it */
    /* ORD P1: what the holder before did. */
    if (WEFT_LIKELY((old & SYNC_LOCK) == 0 && atomic_cas_acquire(word, &old, old | SYNC_LOCK))) {
        return old;
    }
    return weft__sync_lock_contended(word);
}

/* Let go of LOCK and leave the word as `value`. */
static inline void sync_unlock(_Atomic(uint64_t) *word, uint64_t value)
{
    atomic_store_release(word, value); /* ORD P1: what we did */
}

/* The bit for a word, by what the queue holds. Caller has LOCK. */
static inline uint64_t sync_waiters(const struct wait_queue *q)
{
    return wait_queue_is_empty(q) ? 0 : SYNC_WAITERS;
}

/* Announce the wait of a node of f's. Returns why f may not wait: 0, or an error. Context: on f. */
int weft__sync_wait_begin(struct wait_node *n, struct fiber *f, enum wait_kind kind, void *on);

/* Take the announcement back: there is no need to wait, whatever has ended meanwhile. The node is
 * in no queue. Returns 0. Context: on its fiber. */
int weft__sync_wait_retract(struct wait_node *n);

/* The same, for a call that fails of err, or of what has ended the wait first, which is returned.
 * Who makes it again and again lets others run. */
int weft__sync_wait_refused(struct wait_node *n, int err);

/* One more. Caller has LOCK, and has claimed it. */
static inline void wait_chain_add(struct wait_chain *c, struct wait_node *n)
{
    n->prev = NULL; /* which the queue uses no more; `next` says that it is in none */
    if (c->first == NULL) {
        c->first = n;
    } else {
        c->last->prev = n;
    }
    c->last = n;
}

/* Let them go on, behind what is ready here: in their order, and behind those of the call before.
 * They may be gone when this returns. Caller has let go of LOCK. Context: any thread. */
void weft__wait_chain_resume(struct wait_chain *c);

#endif
