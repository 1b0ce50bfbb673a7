/* SPDX-License-Identifier: MIT */
/*
 * What loads measure with and print: clocks, and percentiles of all values, which are kept: a run
 * is short.
 */
#ifndef WEFT_BENCH_FIGURES_H
#define WEFT_BENCH_FIGURES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

#define FIGURES_SECOND_NS INT64_C(1000000000)

static inline int64_t figures_clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0) {
        return 0;
    }
    return (int64_t)t.tv_sec * FIGURES_SECOND_NS + t.tv_nsec;
}

/* The CPU a process has used, all its threads; 0 when it cannot be seen. */
static inline int64_t figures_process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    return pid > 0 && clock_getcpuclockid(pid, &clock) == 0 ? figures_clock_ns(clock) : 0;
}

static inline int figures_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The value that a part of all do not exceed, as microseconds; 0 when there are none. */
static inline double figures_quantile_us(const int64_t *sorted_ns, size_t count, double part)
{
    size_t at = (size_t)(part * (double)count);
    return count == 0 ? 0 : (double)sorted_ns[at < count ? at : count - 1] / 1e3;
}

/* Print a member of a JSON object: percentiles of the values, which are sorted for it. */
static inline void figures_print(const char *name, int64_t *values_ns, size_t count)
{
    qsort(values_ns, count, sizeof *values_ns, figures_compare);
    printf("\"%s\": {\"count\": %zu, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}",
           name, count, figures_quantile_us(values_ns, count, 0.5),
           figures_quantile_us(values_ns, count, 0.99),
           figures_quantile_us(values_ns, count, 0.999), figures_quantile_us(values_ns, count, 1));
}

#endif
