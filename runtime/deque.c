/* SPDX-License-Identifier: MIT */
/* Deque: what is rare enough not to be inline; see deque.h. */
#include "deque.h"

/* A deque grows to so many slots at the most, 128 MiB: more tasks than there is memory for. */
#define DEQUE_CAPACITY_MAX ((uint64_t)1 << 24)

bool weft__deque_grow(struct deque *d)
{
    WEFT_ASSERT(!d->shared);
    uint64_t capacity = 2 * (d->mask + 1);
    _Atomic(struct runnable *) *slots = NULL;
    if (capacity <= DEQUE_CAPACITY_MAX) {
        size_t bytes = capacity * sizeof(slots[0]);
        bytes = (bytes + WEFT_CACHE_LINE - 1) / WEFT_CACHE_LINE * WEFT_CACHE_LINE;
        slots = aligned_alloc(WEFT_CACHE_LINE, bytes);
    }
    if (slots == NULL) {
        return false;
    }
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: own variable */
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: own variable */
    /* An element keeps its index. What is not in [top, bottom) is empty. */
    for (int64_t i = t; i < t + (int64_t)capacity; i++) {
        /* ORD none: no thieves. */
        struct runnable *item = i < b ? atomic_load_relaxed(deque_slot(d, i)) : NULL;
        atomic_store_relaxed(&slots[(uint64_t)i & (capacity - 1)], item); /* ORD none: as above */
    }
    free(d->slots);
    d->slots = slots;
    d->mask = capacity - 1;
    return true;
}

/* The first element in [from, to), by a thief; *at is where it was. */
static struct runnable *deque_steal_between(struct deque *d, int64_t from, int64_t to,
                                                   int64_t *at)
{
    for (int64_t i = from; i < to; i++) {
        struct runnable *item = deque_exchange_slot(deque_slot(d, i));
        if (item != NULL) {
            *at = i;
            return item;
        }
    }
    return NULL;
}

/* The same in all of it, by a thief that has entered. */
static struct runnable *deque_steal_open(struct deque *d, int64_t t, int64_t b)
{
    int64_t hint = atomic_load_relaxed(&d->scan_hint); /* ORD none: where to begin */
    /* A top from long ago; the slots wrap around, and one round shows all. */
    t = b - t > (int64_t)d->mask + 1 ? b - (int64_t)d->mask - 1 : t;
    hint = hint < t || hint > b ? t : hint;
    int64_t at = t;
    struct runnable *item = deque_steal_between(d, hint, b, &at);
    if (item == NULL) {
        item = deque_steal_between(d, t, hint, &at);
    }
    if (item != NULL) {
        atomic_store_relaxed(&d->scan_hint, at + 1); /* ORD none: a hint */
    }
    return item;
}

struct runnable *weft__deque_steal(struct deque *d)
{
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: an older one means more to scan */
    int64_t b = atomic_load_acquire(&d->bottom); /* ORD P3: the slots below it */
    if (t >= b) {
        return NULL;
    }
    struct runnable *item = NULL;
    if (weft__ownership_enter(&d->ownership, &d->thieves)) {
        item = deque_steal_open(d, t, b);
    }
    ownership_leave(&d->thieves);
    return item;
}
