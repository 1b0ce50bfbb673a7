/* SPDX-License-Identifier: MIT */
/*
 * Futures and tasks: the object behind a handle.
 *
 * Who holds what
 *   Each reference is one in `word`. A task that has not ended holds one on itself (the runtime's),
 *   so it lives on when every handle is gone. Descriptors come from slabs and are never given back
 *   to the system while the runtime lives: a stale pointer reads a descriptor, if not the one it
 *   meant, and whoever acts on one has to verify it first (see cancel.c).
 *
 * The word
 *   bits 8..63  references
 *   DONE        the outcome is there, for good
 *   WAITERS     the list of waiters is not empty
 *   LOCK        somebody changes or walks that list; held for a few instructions a waiter
 *   HELD        a task that was spawned `held` and not started
 *   SET         a promise whose outcome is being written, or was (promise.c)
 *
 *   end of a task      one compare-and-swap sets DONE and drops the runtime's reference, when there
 *                      are no waiters: nothing else is paid. With waiters: lock and set DONE, wake
 *                      all while the lock is held (a waiter that leaves early takes the lock to
 *                      remove its node, so it cannot go while it is looked at), unlock and put.
 *   last reference     DONE with one reference left is ours alone: nobody can get another (the walk
 *                      over all tasks passes over those that are DONE), so no read-modify-write.
 *
 * Invariants
 *   I1  DONE is set once and never cleared while a reference exists.
 *   I2  result, error: written before DONE, never after.
 *   I3  a node is in `waiters` only while WAITERS or LOCK is set.
 *
 * Pairs
 *   P1  end: word, release (CAS)  -> await, result, done: word, acquire    the outcome
 *   P2  put: word, acq_rel        -> the last put: word, acq_rel, acquire  everybody's uses come
 *                                    before the descriptor is given out again
 *   P3  unlock: word, release     -> lock: word, acquire                   the waiter list
 *   P4  cancel: cancel, seq_cst; then fiber.wait, seq_cst
 *       <-> park (fiber.h P1): fiber.wait, seq_cst; then cancel, seq_cst
 *           a cancel that finds no wait is seen by the next one
 *   P5  start: fiber, release     -> cancel: fiber, seq_cst (acquire)      the fiber's contents
 *
 * Tested: tests/model/model_future.c (all interleavings).
 */
#ifndef WEFT_FUTURE_OBJECT_H
#define WEFT_FUTURE_OBJECT_H

#include <weft/base.h>

#include "atomic.h"
#include "check.h"
#include "message.h"
#include "runnable.h"

struct blocking_job;
struct fiber;
struct slab_pool;
struct task_extra;

#define FUTURE_DONE ((uint64_t)1)
#define FUTURE_LOCK ((uint64_t)2)
#define FUTURE_WAITERS ((uint64_t)4)
#define FUTURE_HELD ((uint64_t)8)
#define FUTURE_SET ((uint64_t)16)
#define FUTURE_REF ((uint64_t)256)

/* Somebody who wants to know when a future is done; lives where its owner wants. */
struct waiter {
    struct waiter *next; /* circular list, guarded by the future's LOCK */
    struct waiter *prev;
    /* Called with LOCK held; must not touch the node after its owner may have gone on. */
    void (*wake)(struct waiter *self, weft_future *f);
};

/* Bits of weft_future.inbox_flags: why the descriptor's message is under way. */
#define TASK_INBOX_KICK 1u  /* its operation is to be cancelled; holds a reference */
#define TASK_INBOX_READY 2u /* a pinned task to be made ready */
#define TASK_INBOX_CANCEL 4u /* a cancel is passed on to it; holds a reference */

struct weft_future {
    struct runnable run;
    _Atomic(uint64_t) word;
    weft_fn fn; /* immutable while the task has not ended; NULL: not a task */
    union {
        void *arg;    /* before the function was called */
        void *result; /* I2 */
    } value;
    weft_task *under;       /* what it is nested on; the fiber's, or of one who holds that */
    int error;              /* I2; before the end what weft_fail noted */
    _Atomic(uint32_t) cancel; /* requests not acknowledged */
    _Atomic(struct fiber *) fiber; /* where it runs; NULL before the start; written once */

    /* second cache line */
    weft_runtime *rt;          /* immutable; the object's memory stays as long as this */
    uint64_t id;               /* immutable */
    _Atomic(struct task_extra *) extra; /* a name, locals: extra.h; NULL: none */
    struct waiter *waiters;    /* LOCK */
    union {
        weft_task *above;         /* the task nested on it; the same */
        struct blocking_job *job; /* of no task: what ends it (blocking.c); immutable; or NULL */
    };
    struct message inbox;      /* to the worker that has to do something about it */
    _Atomic(uint8_t) inbox_flags;
    _Atomic(uint8_t) seen;     /* somebody looked at the outcome */
    uint8_t passed;            /* a cancel was passed on to what it awaits; as under */
    uint8_t free_mark;         /* in a free list: the pool's own check */
};

_Static_assert(sizeof(struct weft_future) <= 2 * WEFT_CACHE_LINE, "two cache lines a task");

/* The handle of a queue item that is a task. */
static inline weft_task *task_of(struct runnable *r)
{
    return WEFT_CONTAINER(r, struct weft_future, run);
}

static inline bool future_is_done(const weft_future *f)
{
    /* ORD P1: the outcome was written before. */
    return (atomic_load_acquire(&f->word) & FUTURE_DONE) != 0;
}

/* Somebody looks at the outcome of one that is done. */
static inline void future_mark_seen(weft_future *f)
{
    if (WEFT_UNLIKELY(f->error < 0)) {
        /* ORD none: read by the last holder, ordered by P2. */
        atomic_store_relaxed(&f->seen, 1);
    }
}

/*
 * Add a waiter. Returns false when the future is done already; then the node was not added.
 * Context: any thread, holding a reference.
 */
bool weft__future_add_waiter(weft_future *f, struct waiter *node);

/*
 * Take a waiter out. Returns false when it is not in the list: it has been woken, or is being.
 * After the call nobody looks at the node any more.
 * Context: any thread, holding a reference.
 */
bool weft__future_remove_waiter(weft_future *f, struct waiter *node);

/* Park until f is done; what ends the waits of fiber's top task is passed on to it, once.
 * Context: on fiber, with a reference to f. */
void weft__await_parked(struct fiber *fiber, weft_future *f);

/* Wait until f is done, whatever is asked of the task. Context: task, holding a reference. */
void weft__future_wait_firm(weft_future *f);

/* The fiber of the task that waits by that node, when it is of that file's; else NULL. Caller holds
 * the lock, the node is listed. */
struct fiber *weft__await_fiber_of(const struct waiter *node);
struct fiber *weft__shielded_fiber_of(const struct waiter *node);
struct fiber *weft__wait_set_fiber_of(const struct waiter *node);

/* Take a node out of the list. Caller holds the lock. */
void weft__waiter_unlink(weft_future *f, struct waiter *node);

/* Set the outcome (value.result, error) as final, wake the waiters, drop the ender's reference. */
void weft__future_end(weft_future *f);

/* Set the outcome of a promise. False: it has one, or is being given one. Context: any thread,
 * holding a reference. */
bool weft__promise_set(weft_future *f, void *result, int error);

/* Cancel one that is no task: a promise ends, a job is taken back if it has not begun. False: it
 * was done. Context: any thread, holding a reference. */
bool weft__promise_cancel(weft_future *f);

/* The last reference is gone: give the descriptor back. */
void weft__future_free(weft_future *f);

/* Take a held task for starting or dropping it; false when somebody else has. */
bool weft__task_unhold(weft_task *t);

/* End a task as cancelled whose function is never to run. Context: any thread, after unhold. */
void weft__task_end_unrun(weft_task *t);

/* The name of a task, in buf; always terminated. Context: any thread, also a signal handler's. */
void weft__task_format_name(const weft_task *t, char *buf, size_t bytes);

/* Lock and unlock the list of waiters and the name; or lock it if it is free, for a handler of
 * signals. */
void weft__future_lock(weft_future *f);
bool weft__future_trylock(weft_future *f);
void weft__future_unlock(weft_future *f);

/*
 * A reference to a task found by walking slabs, if it is one and has not ended.
 * Context: any thread.
 */
bool weft__task_try_get(weft_task *t);

/* What weft_fail returns; compared, never used. */
extern char weft__failed;

#endif
