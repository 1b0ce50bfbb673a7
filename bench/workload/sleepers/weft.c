/* SPDX-License-Identifier: MIT */
/*
 * Question: what do a million tasks cost that sleep and wake, in CPU and in memory?
 *
 * Each sleeps for one to two seconds, the first round with fresh memory, the second with what that
 * has left behind. A unit is a sleeper's whole life, in CPU time of the process, not in time. It
 * does not show how late they wake: a million deadlines in a second are more than get their turn.
 */
#include <stdlib.h>

#include "bench.h"

/* So many nanoseconds between the shortest and the longest sleep. */
#define SPREAD_NS WEFT_SECOND
#define STEP 2654435761u /* spreads neighbours far */

static void *sleeper(void *arg)
{
    uint64_t n = (uint64_t)(uintptr_t)arg;
    int64_t spread_ns = (int64_t)(n * STEP % (uint64_t)SPREAD_NS);
    return weft_sleep(WEFT_SECOND + spread_ns) == 0 ? arg : NULL;
}

static uint64_t sleepers_round(uint64_t size)
{
    weft_task **tasks = calloc(size, sizeof *tasks);
    uint64_t woken = 0;
    if (tasks == NULL) {
        return 0;
    }
    bench_watch_begin();
    int64_t cpu_ns = bench_cpu_ns();
    for (uint64_t i = 0; i < size; i++) {
        tasks[i] = weft_spawn(sleeper, (void *)(uintptr_t)(i + 1));
    }
    for (uint64_t i = 0; i < size; i++) {
        void *n = NULL;
        int err = weft_join(tasks[i], &n);
        woken += err == 0 && n == (void *)(uintptr_t)(i + 1);
    }
    bench_took(bench_cpu_ns() - cpu_ns);
    bench_watch_end(size);
    free(tasks);
    return woken == size ? size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "sleepers",
        .what = "A million tasks sleep for one to two seconds: CPU time and memory of each.",
        .size_of = "tasks",
        .size = 1000000,
        .round = sleepers_round,
        .is_cold = true};
    return bench_main(argc, argv, &spec);
}
