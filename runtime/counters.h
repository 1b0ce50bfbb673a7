/* SPDX-License-Identifier: MIT */
/* Counters: what a worker has done so far. */
#ifndef WEFT_COUNTERS_H
#define WEFT_COUNTERS_H

#include <stdint.h>

#include "atomic.h"

/* Written by the worker alone, read by anybody. */
struct worker_counters {
    _Atomic(uint64_t) spawned;
    _Atomic(uint64_t) ended;
    _Atomic(uint64_t) callbacks_queued;
    _Atomic(uint64_t) callbacks_run;
    _Atomic(uint64_t) jobs_begun; /* that have a future */
    _Atomic(uint64_t) switches;
    _Atomic(uint64_t) nested;
    _Atomic(uint64_t) polls;
    _Atomic(uint64_t) steals;
    _Atomic(uint64_t) parks;
    _Atomic(uint64_t) wakes;
    _Atomic(uint64_t) rescues;
    _Atomic(uint64_t) slow;
};

/* Count something; the worker is the only writer. */
static inline void counter_add(_Atomic(uint64_t) *c, uint64_t n)
{
    /* ORD none: single writer; readers want a figure, not an order. */
    atomic_store_relaxed(c, atomic_load_relaxed(c) + n);
}

/* Order-bearing form: whoever reads this count sees what was done before. See close.c P2. */
static inline void counter_add_release(_Atomic(uint64_t) *c, uint64_t n)
{
    /* ORD none: single writer. */
    uint64_t old = atomic_load_relaxed(c);
    /* ORD none: pairs with the acquire in close.c (live count). */
    atomic_store_release(c, old + n);
}

#endif
