/* SPDX-License-Identifier: MIT */
/*
 * A histogram of times: constant size, constant cost, percentiles good to 1 part in 128.
 *
 *     histogram_record(h, 41300);
 *     printf("p99 %llu ns\n", (unsigned long long)histogram_percentile(h, 99.0));
 *
 * Values are nanoseconds from 0 to HISTOGRAM_MAX_NS (1000 s and more); larger ones count as that.
 *
 * Buckets are log-linear, as HdrHistogram's: each power of two is cut into 128 buckets of equal
 * width, so the width is at most 1/128 of the value; below 128 ns every value has its own. Written
 * here because Debian 12 packages no library for C that fits: HdrHistogram exists there for Go and
 * Java only, and gsl_histogram finds a bucket by binary search, in tables of doubles, under the
 * GPL.
 *
 * One thread records into a histogram; any thread may read it meanwhile and sees each bucket right
 * or a moment old.
 */
#ifndef WEFT_LOAD_HISTOGRAM_H
#define WEFT_LOAD_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* At half the buckets p99 would be off by up to 1.6 %; at double the counts leave the L1 cache. */
#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_SUB (1u << HISTOGRAM_SUB_BITS)

/* The largest octave kept: values below 2^41 ns, which is 36 minutes. */
#define HISTOGRAM_VALUE_BITS 41
#define HISTOGRAM_MAX_NS ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB)

/* All zero is empty. */
struct histogram {
    _Atomic(uint64_t) max_ns; /* exact */
    _Atomic(uint64_t) counts[HISTOGRAM_BUCKETS];
};

/* Count one value. Context: one thread at a time. */
void histogram_record(struct histogram *h, uint64_t ns);

/* Add all of `from` to `into`. Context: the one that may record into `into`. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/* How many values were recorded. */
uint64_t histogram_count(const struct histogram *h);

/* The largest value, exactly; 0 when empty. */
uint64_t histogram_max(const struct histogram *h);

/*
 * The value that `percent` of the recorded ones do not exceed: at least the exact one, at most the
 * end of its bucket, and never more than the largest value. 0 when empty.
 */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/* The mean, from the middles of the buckets; 0 when empty. */
double histogram_mean(const struct histogram *h);

#endif
