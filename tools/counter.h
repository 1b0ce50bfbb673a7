/* SPDX-License-Identifier: MIT */
/*
 * Counters of the programs: written by one thread each, read by the one that reports.
 */
#ifndef WEFT_COUNTER_H
#define WEFT_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

static inline void counter_add(_Atomic(uint64_t) *counter, uint64_t n)
{
    /* ORD none: a counter of this thread's own; readers want no order. */
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + n, memory_order_relaxed);
}

static inline uint64_t counter_read(const _Atomic(uint64_t) *counter)
{
    /* ORD none: a figure for people, right or a moment old. */
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
