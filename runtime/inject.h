/* SPDX-License-Identifier: MIT */
/*
 * The runtime's global queue: first in, first out, any thread pushes, any worker takes.
 *
 * It holds what has no worker of its own: tasks spawned from outside, and what overflowed a
 * worker's deque. Both come in chains, and workers take chains, so that one lock serves many
 * runnables.
 *
 * Roles
 *   pusher  any thread; gives away a chain of runnables linked through `next`
 *   taker   any worker; gets the oldest ones as a chain that is its own
 *   looker  anyone; asks without the lock whether there is something
 *
 * Invariants
 *   I1  under the lock: `length` runnables are linked from `head` to `tail`, and tail->next is NULL
 *   I2  `length` is written only under the lock, so its values follow each other as the lock's
 *       owners do: a looker that reads 0 "after" a push reads it because a taker took what was
 *       pushed
 *
 * Sleep protocol, the counterpart of the one in mpsc.h
 *     worker: publish "idle" by a seq_cst RMW;  inject_empty;        sleep only if it was empty
 *     pusher: weft__inject_push;  read "idle" by a seq_cst load;       wake a worker if it was set
 * By the total order of the four, either the worker sees the length or the pusher sees the idle
 * worker.
 *
 * Pairs (the lock orders everything else)
 *   P1  push: length; then idle; seq_cst <-> worker: idle; then empty: length; seq_cst    the wake
 *
 * Bounds: no limit on the length (what is pushed exists already, and has nowhere else to go); the
 * lock is held for a few instructions by a push and for at most `count_max` links by a take.
 *
 * Rejected: a lock-free queue. Workers come here rarely (every some tens of turns, or when out of
 * work), chains make the lock rarer still, and taking n oldest nodes from a lock-free list needs
 * safe memory reclamation, since a taker reads links of nodes that another one may take and run.
 *
 * Tested in tests/unit/test_inject.c, tests/stress/stress_inject.c, tests/model/model_inject.c.
 */
#ifndef WEFT_INJECT_H
#define WEFT_INJECT_H

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>

#include "atomic.h"
#include "runnable.h"

struct inject {
    /* written under the lock, read by everyone: a line of its own, so that looking costs nothing */
    alignas(WEFT_CACHE_LINE) _Atomic(size_t) length; /* runnables in the queue (I1, I2) */
    /* under the lock */
    alignas(WEFT_CACHE_LINE) pthread_mutex_t lock;
    struct runnable *head; /* oldest; NULL when empty */
    struct runnable *tail; /* newest; undefined when empty */
};

/* Context: before the queue is shared. */
void weft__inject_init(struct inject *q);

/* Context: after the last user. The queue must be empty. */
void weft__inject_fini(struct inject *q);

/*
 * Append `count` runnables, linked from first to last; last->next need not be set.
 * Context: any thread.  Blocks: the thread, for another's few instructions.  The queue owns the
 * chain from here on.
 */
void weft__inject_push(struct inject *q, struct runnable *first, struct runnable *last,
                       size_t count);

/*
 * Take up to `count_max` of the oldest: a chain ended by NULL, its length in *count; NULL and 0
 * when there is nothing. An empty queue is noticed without the lock, so a push at the same time may
 * be missed; a worker that is about to sleep asks inject_empty after it has said so. Context: any
 * thread.  Blocks: the thread, for another's few instructions.
 */
struct runnable *weft__inject_take(struct inject *q, size_t count_max, size_t *count);

/* The number of runnables a moment ago, for choosing how many to take. Context: any thread. */
static inline size_t inject_length_hint(struct inject *q)
{
    return atomic_load_relaxed(&q->length); /* ORD none: a hint, the lock decides */
}

/* True when the queue holds nothing (see the sleep protocol). Context: any thread; no lock. */
static inline bool inject_empty(struct inject *q)
{
    /* ORD P1: stands after the worker's "idle" in the total order. */
    return atomic_load_seq_cst(&q->length) == 0;
}

#endif
