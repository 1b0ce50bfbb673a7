/* SPDX-License-Identifier: MIT */
/*
 * Work-stealing deque: the runnables of one worker, oldest at the top, newest at the bottom.
 *
 * Problem. One worker (the owner) adds work and takes it at both ends: the oldest as the next to
 * run, the newest to hand over when the deque is full, and one particular element, just pushed,
 * when the pusher awaits it. Any other worker (a thief) may take the oldest at any moment. The
 * owner's part is the hottest path of the runtime.
 *
 * Words. Elements have indices that only grow, 64 bits wide: they never wrap, so there is no ABA.
 * Element i lives in slots[i & mask]; the live ones are top <= i < bottom.
 *
 *         top                              bottom
 *          |                                 |
 *     . .  A    B    C    D    E    F    G   .  .         thieves, deque_next: A
 *          |                             |                deque_pop: G
 *        taken with a CAS of top      claimed by lowering bottom (owner alone)
 *
 * Invariants.
 *   I1  top never falls, and moves by one, by CAS: each index is taken at the top at most once.
 *   I2  only the owner writes bottom and the slots.
 *   I3  bottom - top <= capacity, and top <= bottom + 1. The 1 is the owner looking: it has lowered
 *       bottom and not yet seen that thieves took everything.
 *   I4  the owner takes index i by lowering bottom only after it has seen top < i with bottom at i
 *       already. If it sees top == i it is one competitor among others, and needs the CAS.
 *   I5  a runnable is in at most one deque, once. So a slot that holds it is either live or stale,
 *       and which of the two follows from top and bottom.
 *
 * The last element. With one element, which is the case of spawn-then-await, the bottom is the top.
 * Then the owner leaves bottom alone and takes the element as a thief would, with the one CAS; a
 * Chase-Lev deque pays an exchange of bottom, the CAS, and a store that puts bottom back. With two
 * or more the exchange alone decides. Both ways together are needed only when thieves have taken
 * everything but the last between the peek at top and the exchange.
 *
 * The argument for I4 (P2). Say the owner takes i through bottom: exchange(bottom, i), then
 * load(top) gave t < i. A thief that takes i must have loaded top == i, so after the CAS that made
 * it i, which the owner's load did not see: in the single order of seq_cst accesses the thief's
 * load of top comes after the owner's load of top, hence after the exchange. Its load of bottom
 * comes later still, and finds i or what the owner wrote afterwards. If it is more than i then the
 * owner has pushed another element at i, its slot is visible (P1), and the thief takes that.
 *
 * A slot's reuse (P3). The owner writes slots[i & mask] for index i + capacity only after it has
 * seen top > i. A thief that reads the new content for index i is therefore late: its CAS fails.
 * For the one whose CAS succeeded, P3 puts its read of the slot before the owner's write.
 *
 * Pairs
 *   P1  push, take_bottom: bottom, release  -> steal: bottom, seq_cst (an acquire)  slots below it
 *   P2  take_bottom: bottom, top; seq_cst  <-> steal: top, bottom; seq_cst    one taker an index
 *   P3  steal: top, seq_cst CAS (a release) -> push: top, acquire     the slot may be written again
 *
 * One worker. With `shared` false there are no thieves and the same words are read and written with
 * relaxed loads and stores; size hints from other threads stay valid.
 *
 * Costs with thieves: push a store, next and steal one RMW each, take_back one and none to decline.
 * `top` is the line that thieves write; push looks at it once in `capacity` pushes, since a lower
 * bound from earlier (top_seen) proves that there is room.
 *
 * Rejected. Growing: an overflow goes to the runtime's global queue, where idle workers look
 * anyway. Private elements that must be asked for (a split point, a claimed batch): they strand
 * behind a task that burns. A heavy barrier on the thief's side instead of the exchange: a steal
 * would cost microseconds.
 *
 * Tested: tests/model/model_deque.c (all interleavings, and that P1 and P2 are needed),
 * tests/unit/test_deque.c, tests/stress/stress_deque.c.
 * Papers: Chase and Lev, Dynamic Circular Work-Stealing Deque (2005); Le, Pop, Cohen and Zappa
 * Nardelli, Correct and Efficient Work-Stealing for Weak Memory Models (2013).
 */
#ifndef WEFT_DEQUE_H
#define WEFT_DEQUE_H

#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "atomic.h"
#include "check.h"

struct runnable;

struct deque {
    /* immutable after init; with bottom, so that a thief fetches one line for all of it */
    alignas(WEFT_CACHE_LINE) _Atomic(struct runnable *) *slots;
    uint64_t mask; /* capacity - 1 */
    bool shared;   /* there may be thieves */
    /* owner */
    int64_t top_seen; /* top as push last saw it: a lower bound */
    /* written by the owner, read by all */
    _Atomic(int64_t) bottom; /* one above the newest element */
    /* written by whoever takes the oldest element */
    alignas(WEFT_CACHE_LINE) _Atomic(int64_t) top; /* the oldest element; I1 */
};

/*
 * Prepare an empty deque; the memory is the caller's, the slots are allocated.
 * capacity: a power of two, 2 or more. shared: false when no other thread will ever steal.
 * Context: any thread, before the deque is known to others.
 * Returns 0, or -ENOMEM (nothing to undo).
 */
static inline int deque_init(struct deque *d, uint32_t capacity, bool shared)
{
    WEFT_ASSERT(capacity >= 2 && (capacity & (capacity - 1)) == 0);
    size_t bytes = capacity * sizeof(d->slots[0]);
    bytes = (bytes + WEFT_CACHE_LINE - 1) / WEFT_CACHE_LINE * WEFT_CACHE_LINE;
    d->slots = aligned_alloc(WEFT_CACHE_LINE, bytes);
    if (d->slots == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < capacity; i++) {
        atomic_store_relaxed(&d->slots[i], NULL); /* ORD none: nobody else knows the deque */
    }
    d->mask = capacity - 1;
    d->shared = shared;
    d->top_seen = 0;
    atomic_store_relaxed(&d->bottom, 0); /* ORD none: nobody else knows the deque */
    atomic_store_relaxed(&d->top, 0);    /* ORD none: nobody else knows the deque */
    return 0;
}

/* Free the slots and forget what is left. Context: when no thief can come any more. */
static inline void deque_fini(struct deque *d)
{
    free(d->slots);
    d->slots = NULL;
}

/* The slot of an index. */
static inline _Atomic(struct runnable *) *deque_slot(const struct deque *d, int64_t index)
{
    return &d->slots[(uint64_t)index & d->mask];
}

/* How many elements there are, or were a moment ago. Context: any thread. */
static inline int64_t deque_size_hint(const struct deque *d)
{
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: hint */
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: hint; a sleeper brings its barrier */
    return b > t ? b - t : 0;
}

/*
 * Add the newest element. Context: owner.
 * Returns false when the deque is full; nothing was added.
 */
static inline bool deque_push(struct deque *d, struct runnable *item)
{
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: own variable */
    if (WEFT_UNLIKELY((uint64_t)(b - d->top_seen) > d->mask)) {
        /* ORD P3: whoever took the elements below has read their slots. */
        d->top_seen = atomic_load_acquire(&d->top);
        if ((uint64_t)(b - d->top_seen) > d->mask) {
            return false;
        }
    }
    atomic_store_relaxed(deque_slot(d, b), item); /* ORD none: published by bottom */
    /* ORD P1: a thief that sees the new bottom sees the slot and what the runnable points to. */
    atomic_store_release(&d->bottom, b + 1);
    return true;
}

/*
 * Take the element at `t`, the oldest as far as the owner knows. Context: owner.
 * Returns false when a thief was faster.
 */
static inline bool deque_take_top(struct deque *d, int64_t t)
{
    if (!d->shared) {
        atomic_store_relaxed(&d->top, t + 1); /* ORD none: no thieves */
        return true;
    }
    /* ORD P2: as a thief's; whoever moves top from t to t + 1 has the element. */
    return atomic_cas_seq_cst(&d->top, &t, t + 1);
}

/*
 * Take the element at b - 1, where b is bottom, if it is still there. Context: owner.
 * Returns false when the deque turned out to be empty.
 */
static inline bool deque_take_bottom(struct deque *d, int64_t b)
{
    int64_t t = atomic_load_relaxed(&d->top); /* ORD none: hint; a stale value errs towards P2 */
    if (t < b - 1) {
        if (!d->shared) {
            atomic_store_relaxed(&d->bottom, b - 1); /* ORD none: no thieves */
            return true;
        }
        /* ORD P2: before the load of top; a thief that could collide will see it. */
        (void)atomic_exchange_seq_cst(&d->bottom, b - 1);
        t = atomic_load_seq_cst(&d->top); /* ORD P2: after the exchange of bottom */
        if (WEFT_LIKELY(t < b - 1)) {
            return true;
        }
        /* ORD P1: the claim is withdrawn, and thieves may take that element again. */
        atomic_store_release(&d->bottom, b);
    }
    return t == b - 1 && deque_take_top(d, t);
}

/*
 * Take exactly this element: if it is the newest, else if it is the oldest, else decline.
 * Context: owner. The caller holds a reference on item, so that no second runnable has its address.
 * Returns false when it was neither or a thief has it; the deque is as it was.
 */
static inline bool deque_take_back(struct deque *d, const struct runnable *item)
{
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: own variable */
    /* ORD none: only the owner writes slots; when it is stale, take_bottom finds the deque empty */
    if (WEFT_LIKELY(atomic_load_relaxed(deque_slot(d, b - 1)) == item)) {
        return deque_take_bottom(d, b);
    }
    int64_t t = atomic_load_relaxed(&d->top); /* ORD none: hint; take_top fails when it is stale */
    /* ORD none: only the owner writes slots */
    return t < b && atomic_load_relaxed(deque_slot(d, t)) == item && deque_take_top(d, t);
}

/*
 * Take the oldest element. Context: owner.
 * Returns NULL when the deque is empty.
 */
static inline struct runnable *deque_next(struct deque *d)
{
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: own variable */
    /* Each failure means that a thief took one, so there are at most b - t rounds. */
    for (;;) {
        /* ORD none: hint; take_top fails when it is stale */
        int64_t t = atomic_load_relaxed(&d->top);
        if (t >= b) {
            return NULL;
        }
        struct runnable *item = atomic_load_relaxed(deque_slot(d, t)); /* ORD none: own writes */
        if (WEFT_LIKELY(deque_take_top(d, t))) {
            return item;
        }
    }
}

/*
 * Take the newest element. Context: owner.
 * Returns NULL when the deque is empty.
 */
static inline struct runnable *deque_pop(struct deque *d)
{
    int64_t b = atomic_load_relaxed(&d->bottom);                       /* ORD none: own variable */
    struct runnable *item = atomic_load_relaxed(deque_slot(d, b - 1)); /* ORD none: own writes */
    return deque_take_bottom(d, b) ? item : NULL;
}

/*
 * Take the oldest element. Context: any thread; the deque must be a shared one.
 * Returns NULL when there is none, or when another taker was faster; then *lost is true and it may
 * be worth another try.
 */
static inline struct runnable *deque_steal(struct deque *d, bool *lost)
{
    *lost = false;
    int64_t t = atomic_load_seq_cst(&d->top);    /* ORD P2: before the load of bottom */
    int64_t b = atomic_load_seq_cst(&d->bottom); /* ORD P1, P2: after the load of top */
    if (t >= b) {
        return NULL;
    }
    /* ORD none: made visible by P1; if the owner has written it again since, the CAS fails */
    struct runnable *item = atomic_load_relaxed(deque_slot(d, t));
    /* ORD P2, P3: one taker an index; the slot was read before. */
    if (atomic_cas_seq_cst(&d->top, &t, t + 1)) {
        return item;
    }
    *lost = true;
    return NULL;
}

#endif
