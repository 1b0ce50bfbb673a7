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
