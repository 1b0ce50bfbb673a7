/* SPDX-License-Identifier: MIT */
/*
 * Where a value goes: let k be the number of its highest bit. Below 2^7 the value is the index.
 * Above, the seven bits after the highest select one of 128 buckets of octave k:
 *
 *     value  1 b6 b5 b4 b3 b2 b1 b0 x x x x      k = 11, shift = k - 7 = 4
 *     index  (shift + 1) * 128 + b6..b0
 *
 * so the index grows with the value without a gap, and the bucket holds 2^shift values.
 */
#include <math.h>

#include "histogram.h"

/* ORD none: each word is a count that nothing else is told by; one thread writes it. */
static uint64_t word_read(const _Atomic(uint64_t) *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* ORD none: as word_read. */
static void word_write(_Atomic(uint64_t) *word, uint64_t n)
{
    atomic_store_explicit(word, n, memory_order_relaxed);
}

static unsigned bucket_index(uint64_t ns)
{
    if (ns < HISTOGRAM_SUB) {
        return (unsigned)ns;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
    return (shift + 1) * HISTOGRAM_SUB + (unsigned)(ns >> shift) - HISTOGRAM_SUB;
}

/* The largest value of a bucket. */
static uint64_t bucket_end(unsigned index)
{
    if (index < HISTOGRAM_SUB) {
        return index;
    }
    unsigned shift = index / HISTOGRAM_SUB - 1;
    uint64_t first = (uint64_t)(index % HISTOGRAM_SUB + HISTOGRAM_SUB) << shift;
    return first + (UINT64_C(1) << shift) - 1;
}

/* The value in the middle of a bucket. */
static double bucket_middle(unsigned index)
{
    double before = index > 0 ? (double)bucket_end(index - 1) + 1 : 0;
    return (before + (double)bucket_end(index)) / 2;
}

void histogram_record(struct histogram *h, uint64_t ns)
{
    if (ns > HISTOGRAM_MAX_NS) {
        ns = HISTOGRAM_MAX_NS;
    }
    _Atomic(uint64_t) *count = &h->counts[bucket_index(ns)];
    word_write(count, word_read(count) + 1);
    if (ns > word_read(&h->max_ns)) {
        word_write(&h->max_ns, ns);
    }
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t n = word_read(&from->counts[i]);
        if (n > 0) {
            word_write(&into->counts[i], word_read(&into->counts[i]) + n);
        }
    }
    uint64_t max = word_read(&from->max_ns);
    if (max > word_read(&into->max_ns)) {
        word_write(&into->max_ns, max);
    }
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum += word_read(&h->counts[i]);
    }
    return sum;
}

uint64_t histogram_max(const struct histogram *h)
{
    return word_read(&h->max_ns);
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    uint64_t count = histogram_count(h);
    uint64_t max = histogram_max(h);
    /* The rank of the wanted value among the sorted ones, from 1 on. */
    double rank = ceil((double)count * percent / 100.0);
    uint64_t wanted = rank < 1 ? 1 : (uint64_t)rank;
    uint64_t sum = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum += word_read(&h->counts[i]);
        if (sum >= wanted) {
            uint64_t end = bucket_end(i);
            return end < max ? end : max;
        }
    }
    return max;
}

double histogram_mean(const struct histogram *h)
{
    double sum = 0;
    double count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double n = (double)word_read(&h->counts[i]);
        sum += n * bucket_middle(i);
        count += n;
    }
    return count > 0 ? sum / count : 0;
}
