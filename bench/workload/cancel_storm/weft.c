/* SPDX-License-Identifier: MIT */
/*
 * Question: what does it cost to call off a million waits at once?
 *
 * A million tasks sleep for an hour; then all are cancelled and awaited. A unit is a task, from the
 * first cancel to the last end. It does not show what a task does to clean up.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench.h"

static _Atomic uint64_t waiting; /* only counted: relaxed */

static void *sleeper(void *arg)
{
    atomic_fetch_add_explicit(&waiting, 1, memory_order_relaxed);
    return weft_sleep(60 * WEFT_MINUTE) == -ECANCELED ? arg : NULL;
}

static uint64_t storm_round(uint64_t size)
{
    weft_task **tasks = calloc(size, sizeof *tasks);
    uint64_t cancelled = 0;
    if (tasks == NULL) {
        return 0;
    }
    atomic_store_explicit(&waiting, 0, memory_order_relaxed);
    for (uint64_t i = 0; i < size; i++) {
        tasks[i] = weft_spawn(sleeper, (void *)(uintptr_t)(i + 1));
    }
    while (atomic_load_explicit(&waiting, memory_order_relaxed) < size) {
        weft_sleep(5 * WEFT_MS);
    }
    int64_t begin_ns = weft_now();
    for (uint64_t i = 0; i < size; i++) {
        weft_cancel(tasks[i]);
    }
    for (uint64_t i = 0; i < size; i++) {
        void *n = NULL;
        cancelled += weft_join(tasks[i], &n) == 0 && n == (void *)(uintptr_t)(i + 1);
    }
    bench_took(weft_now() - begin_ns);
    free(tasks);
    return cancelled == size ? size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "cancel_storm",
        .what = "A million waits are cancelled at once.",
        .size_of = "tasks",
        .size = 1000000,
        .round = storm_round,
        .is_cold = true};
    return bench_main(argc, argv, &spec);
}
