/* SPDX-License-Identifier: MIT */
/*
 * Question: how much memory does a task take that waits, and what is left when all have ended?
 *
 * A million tasks sleep until they are cancelled. rss_each and page_tables_each are what a waiting
 * one takes; rss_left_each is what the process has more than before, for each, four seconds after
 * the last has ended. It does not show what a task with deep frames costs: each of these touches
 * one page of its stack.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench.h"

#define LEFT_AFTER_NS (4 * WEFT_SECOND)

static _Atomic uint64_t parked_count; /* only counted: relaxed */

static void *parked(void *arg)
{
    (void)arg;
    atomic_fetch_add_explicit(&parked_count, 1, memory_order_relaxed);
    return weft_sleep(WEFT_FOREVER) == -ECANCELED ? arg : NULL;
}

static uint64_t parked_round(uint64_t size)
{
    weft_task **tasks = calloc(size, sizeof *tasks);
    uint64_t right = 0;
    if (tasks == NULL) {
        return 0;
    }
    double rss = bench_status_bytes("VmRSS");
    atomic_store_explicit(&parked_count, 0, memory_order_relaxed);
    bench_watch_begin();
    for (uint64_t i = 0; i < size; i++) {
        tasks[i] = weft_spawn(parked, (void *)(uintptr_t)(i + 1));
    }
    while (atomic_load_explicit(&parked_count, memory_order_relaxed) < size) {
        weft_sleep(10 * WEFT_MS);
    }
    bench_watch_end(size);
    for (uint64_t i = 0; i < size; i++) {
        weft_cancel(tasks[i]);
    }
    for (uint64_t i = 0; i < size; i++) {
        void *n = NULL;
        right += weft_join(tasks[i], &n) == 0 && n == (void *)(uintptr_t)(i + 1);
    }
    free(tasks);
    weft_sleep(LEFT_AFTER_NS);
    bench_figure("rss_left_each", (bench_status_bytes("VmRSS") - rss) / (double)size);
    return right == size ? size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "parked",
        .what = "A million tasks wait: the memory of each.",
        .size_of = "tasks",
        .size = 1000000,
        .round = parked_round,
        .is_cold = true};
    return bench_main(argc, argv, &spec);
}
