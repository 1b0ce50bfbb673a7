/* SPDX-License-Identifier: MIT */
/*
 * Work-stealing deque: the runnables of one worker, oldest at the top, newest at the bottom.
 *
 * Problem. One worker (the owner) adds work and takes it: the oldest as the next to run, the newest
 * to hand over when the deque is full, and one particular element, wherever it is, when the task
 * that spawned it awaits it. Any other worker (a thief) may take the oldest at any moment. The
 * owner's part is the hottest path of the runtime.
 *
 * The slot decides. An element lives in one slot; to take it is to replace it by NULL in one atomic
 * step, an exchange, or for a particular element a compare-and-swap. Whoever gets the pointer has
 * the element; nobody else can. top and bottom only say where to look; the owner alone writes them.
 *
 *        top                                   bottom
 *         |                                      |
 *    . .  A   B   -   D   -   -   G   H   -   J  .  .     - taken: a hole
 *         thieves, deque_next: A     deque_pop: J     deque_take_back(G): its slot
 *
 * Element i lives in slots[i & mask]; each runnable knows its i. Holes are passed over; the owner
 * moves top and bottom past holes at the ends when it comes by, so a child that is spawned and
 * awaited at once leaves none. Indices are 64 bits wide and do not wrap; bottom may fall, and an
 * index be used again: a thief that comes late finds NULL there or a newer element, and either is
 * right.
 *
 * Invariants.
 *   I1  only the owner writes top and bottom, and anything but NULL into a slot.
 *   I2  the owner writes a slot only when it is NULL: every element's index is in [top, bottom),
 *       and bottom - top <= capacity.
 *   I3  a runnable is in at most one slot of one deque.
 *   I4  an element that nobody has taken is within [top, bottom) as every thread will come to see
 *       them: the owner moves top only past slots it has seen NULL, and so for bottom.
 *
 * A thief may scan between an old top and an old bottom: it may miss what was pushed since, which
 * matters only to one that is about to sleep; that one passes a heavy barrier first (idle.h), after
 * which it sees at least what its waker had pushed.
 *
 * Owned. As long as no thief has come lately the owner takes by a load and a store (ownership.h).
 *
 * Pairs
 *   P1  push: slot, release    -> take, steal: slot, acquire     what the runnable points to
 *   P2  take: slot, exchange  <-> steal: slot, exchange          one taker: the order of one word
 *   P3  push: bottom, release  -> steal: bottom, acquire         the slots below it
 *
 * One worker. With `shared` false there are no thieves: taking is a load and a store, and a full
 * deque can grow, so that what one worker is given stays in order, however much it is.
 *
 * Costs with thieves: push two stores; each take five loads and stores, or where thieves come one
 * read-modify-write on a line that they seldom touch, to decline nothing.
 *
 * Rejected. Chase and Lev's deque, where a compare-and-swap of top decides: it cannot give up an
 * element in the middle, so a parent that awaits its children in the order of spawning parks at the
 * first one, and a tree of tasks is run breadth first, with a stack for every node. Growing when
 * there are thieves: an overflow goes to the runtime's inject queue, where idle workers look.
 *
 * Tested: tests/model/model_deque.c (all interleavings), tests/unit/test_deque.c,
 * tests/stress/stress_deque.c.
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
#include "ownership.h"
#include "runnable.h"

struct deque {
    /* immutable after init, but for deque_grow; with bottom, so that a thief fetches one line */
    alignas(WEFT_CACHE_LINE) _Atomic(struct runnable *) *slots;
    uint64_t mask; /* capacity - 1 */
    bool shared;   /* there may be thieves */
    /* written by the owner, read by all */
    _Atomic(int64_t) top;    /* at or below the oldest element */
    _Atomic(int64_t) bottom; /* one above the newest element, or more */
    struct ownership ownership;
    /* written by thieves */
    alignas(WEFT_CACHE_LINE) _Atomic(int64_t) scan_hint; /* where the last thief left off */
    _Atomic(uint32_t) thieves; /* that are stealing */
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
    atomic_store_relaxed(&d->top, 0);       /* ORD none: nobody else knows the deque */
    atomic_store_relaxed(&d->bottom, 0);    /* ORD none: nobody else knows the deque */
    atomic_store_relaxed(&d->scan_hint, 0); /* ORD none: nobody else knows the deque */
    atomic_store_relaxed(&d->thieves, 0);   /* ORD none: as above */
    atomic_store_relaxed(&d->ownership.is_taking, 0); /* ORD none: as above */
    atomic_store_relaxed(&d->ownership.mode, OWNERSHIP_OPEN); /* ORD none: as above */
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

/* At least as many as there are elements. Context: any thread. */
static inline int64_t deque_size_hint(const struct deque *d)
{
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: hint */
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: hint; a sleeper brings its barrier */
    return b > t ? b - t : 0;
}

/* Take whatever is in a slot, from thieves if need be. Returns NULL when it has been taken. */
static inline struct runnable *deque_exchange_slot(_Atomic(struct runnable *) *slot)
{
    if (atomic_load_relaxed(slot) == NULL) { /* ORD none: the exchange decides */
        return NULL;
    }
    return atomic_exchange_acq_rel(slot, NULL); /* ORD P1, P2: one taker, who sees the runnable */
}

/* The same by the owner. */
static inline struct runnable *deque_take_slot(struct deque *d, _Atomic(struct runnable *) *slot)
{
    struct runnable *item = atomic_load_relaxed(slot); /* ORD none: looked at once more */
    if (item == NULL) {
        return NULL;
    }
    if (!d->shared) {
        atomic_store_relaxed(slot, NULL); /* ORD none: no thieves */
        return item;
    }
    if (WEFT_UNLIKELY(!ownership_begin(&d->ownership))) {
        return deque_exchange_slot(slot);
    }
    item = atomic_load_relaxed(slot);  /* ORD none: no thieves */
    atomic_store_relaxed(slot, NULL);  /* ORD none: no thieves */
    ownership_end(&d->ownership);
    return item;
}

/* Take exactly this element out of a slot. Context: owner. */
static inline bool deque_take_slot_of(struct deque *d, _Atomic(struct runnable *) *slot,
                                      struct runnable *item)
{
    if (atomic_load_relaxed(slot) != item) { /* ORD none: looked at once more */
        return false;
    }
    if (!d->shared) {
        atomic_store_relaxed(slot, NULL); /* ORD none: no thieves */
        return true;
    }
    if (WEFT_UNLIKELY(!ownership_begin(&d->ownership))) {
        return atomic_cas_acq_rel(slot, &item, NULL); /* ORD P1, P2: one taker */
    }
    bool is_here = atomic_load_relaxed(slot) == item; /* ORD none: no thieves */
    if (is_here) {
        atomic_store_relaxed(slot, NULL); /* ORD none: no thieves */
    }
    ownership_end(&d->ownership);
    return is_here;
}

/* Move top past holes, up to bottom. Context: owner. Returns the new top. */
static inline int64_t deque_trim_top(struct deque *d, int64_t t, int64_t b)
{
    /* ORD none: NULL stays NULL unless we write it. */
    while (t < b && atomic_load_relaxed(deque_slot(d, t)) == NULL) {
        t++;
    }
    atomic_store_relaxed(&d->top, t); /* ORD none: I4, a late thief scans more than it need */
    return t;
}

/*
 * Add the newest element. Context: owner.
 * Returns false when the deque is full; nothing was added.
 */
static inline bool deque_push(struct deque *d, struct runnable *item)
{
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: own variable */
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: own variable */
    if (WEFT_UNLIKELY((uint64_t)(b - t) > d->mask)) {
        t = deque_trim_top(d, t, b);
        if ((uint64_t)(b - t) > d->mask) {
            return false;
        }
    }
    /* ORD none: read by an owner that compares the slot, which decides. */
    atomic_store_relaxed(&item->index, (uint32_t)b);
    /* ORD P1: what the runnable points to. */
    atomic_store_release(deque_slot(d, b), item);
    /* ORD P3: a thief that sees the new bottom sees the slot. */
    atomic_store_release(&d->bottom, b + 1);
    return true;
}

/* Double the room. Context: owner, not shared. False: no memory, or too large; all is as it was. */
bool weft__deque_grow(struct deque *d);

/* Let bottom fall past holes, and past one at b - 1 that the caller has made. Context: owner. */
static inline void deque_trim_bottom(struct deque *d, int64_t t, int64_t b)
{
    do {
        b--;
        /* ORD none: NULL stays NULL unless we write it. */
    } while (b > t && atomic_load_relaxed(deque_slot(d, b - 1)) == NULL);
    atomic_store_relaxed(&d->bottom, b); /* ORD none: I4, nothing is above it */
}

/*
 * Take exactly this element, if it is here. Context: owner. The caller holds a reference on it.
 * Returns false when it is not in this deque (any more); the deque is as it was.
 */
static inline bool deque_take_back(struct deque *d, struct runnable *item)
{
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: own variable */
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: own variable */
    /* ORD none: where to look; if it is in another deque the slot here holds something else. */
    uint32_t index = atomic_load_relaxed(&item->index);
    _Atomic(struct runnable *) *slot = deque_slot(d, (int64_t)index);
    if (!deque_take_slot_of(d, slot, item)) {
        return false;
    }
    if (index + 1 == (uint32_t)b) {
        deque_trim_bottom(d, t, b);
    }
    return true;
}

/* Take the oldest element. Context: owner. Returns NULL when the deque is empty. */
static inline struct runnable *deque_next(struct deque *d)
{
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: own variable */
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: own variable */
    struct runnable *item = NULL;
    while (t < b && item == NULL) {
        item = deque_take_slot(d, deque_slot(d, t));
        t++;
    }
    /* ORD none: I4; a thief that sees the old one finds holes. */
    atomic_store_relaxed(&d->top, t);
    return item;
}

/*
 * Take the newest element. Context: owner.
 * Returns NULL when the deque is empty.
 */
static inline struct runnable *deque_pop(struct deque *d)
{
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: own variable */
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: own variable */
    struct runnable *item = NULL;
    while (b > t && item == NULL) {
        b--;
        item = deque_take_slot(d, deque_slot(d, b));
    }
    atomic_store_relaxed(&d->bottom, b); /* ORD none: I4, nothing is above it */
    return item;
}

/* Take the oldest element, or one of the oldest when several thieves scan. NULL: the thief found
 * none. Context: any thread; the deque must be a shared one. */
struct runnable *weft__deque_steal(struct deque *d);

/* Whether an element is there: a hint, but for one who has passed the heavy barrier. */
static inline bool deque_holds_work(const struct deque *d)
{
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: as in deque_steal */
    int64_t b = atomic_load_acquire(&d->bottom); /* ORD P3: the slots below it */
    t = b - t > (int64_t)d->mask + 1 ? b - (int64_t)d->mask - 1 : t;
    for (; t < b; t++) {
        /* ORD none: only whether there is one. */
        if (atomic_load_relaxed(deque_slot(d, t)) != NULL) {
            return true;
        }
    }
    return false;
}

#endif
