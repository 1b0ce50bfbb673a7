/* SPDX-License-Identifier: MIT */
/*
 * Question: what does it cost to let the next task run?
 *
 * 100 tasks yield 10,000 times each. Nothing else happens between two yields, so the figure is the
 * switch and the ready queue. It does not show what a task's own data costs when another one has
 * had the cache meanwhile.
 */
#include "bench.h"

#define TASKS 100

static void *yielder(void *arg)
{
    intptr_t done = 0;
    for (intptr_t i = 0; i < (intptr_t)arg; i++) {
        done += weft_yield() == 0;
    }
    return (void *)done;
}

static uint64_t yield_round(uint64_t size)
{
    weft_task *tasks[TASKS];
    uint64_t sum = 0;
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = weft_spawn(yielder, (void *)(intptr_t)size);
    }
    for (int i = 0; i < TASKS; i++) {
        void *done = NULL;
        int err = weft_join(tasks[i], &done);
        sum += err == 0 ? (uint64_t)(intptr_t)done : 0;
    }
    return sum == TASKS * size ? sum : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "yield",
        .what = "100 tasks hand the worker to each other: the cost of a yield.",
        .size_of = "yields of each task",
        .size = 10000,
        .round = yield_round};
    return bench_main(argc, argv, &spec);
}
