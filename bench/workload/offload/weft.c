/* SPDX-License-Identifier: MIT */
/*
 * Question: what does it cost to have a call made by a thread for blocking work, there and back?
 *
 * An empty job in weft_run_blocking, one after the other; then in weft_submit_blocking, 64 at a
 * time. It does not show jobs that block, of which as many may do so at once as the pool has
 * threads.
 */
#include "bench.h"

#define AT_A_TIME 64

static void *job(void *arg)
{
    return (char *)arg + 1;
}

/* One after the other: how many were right. */
static uint64_t one_by_one(uint64_t size)
{
    uint64_t right = 0;
    for (uint64_t n = 0; n < size; n++) {
        void *result;
        right += weft_run_blocking(job, (void *)n, &result) == 0 && (uint64_t)result == n + 1;
    }
    return right;
}

/* Many at a time: the sum of what they gave. */
static uint64_t many(uint64_t size)
{
    weft_future *jobs[AT_A_TIME];
    uint64_t sum = 0;
    for (uint64_t n = 0; n < size + AT_A_TIME; n++) {
        void *result = NULL;
        if (n >= AT_A_TIME && n - AT_A_TIME < size &&
            weft_join(jobs[n % AT_A_TIME], &result) == 0) {
            sum += (uint64_t)result;
        }
        if (n < size) {
            jobs[n % AT_A_TIME] = weft_submit_blocking(NULL, job, (void *)n);
        }
    }
    return sum;
}

static uint64_t offload_round(uint64_t size)
{
    int64_t begin_ns = weft_now();
    uint64_t right = one_by_one(size);
    bench_took(weft_now() - begin_ns);
    begin_ns = weft_now();
    uint64_t sum = many(size);
    bench_figure("many_ns", (double)(weft_now() - begin_ns) / (double)size);
    return right == size && sum == size * (size + 1) / 2 ? size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "offload",
        .what = "An empty job in the pool for blocking work, there and back.",
        .size_of = "jobs",
        .size = 20000,
        .round = offload_round};
    return bench_main(argc, argv, &spec);
}
