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
#define YIELDS 10000

static void *yielder(void *arg)
{
    intptr_t done = 0;
    (void)arg;
    for (int i = 0; i < YIELDS; i++) {
        done += weft_yield() == 0;
    }
    return (void *)done;
}

static bool yield_round(void)
{
    weft_task *tasks[TASKS];
    intptr_t sum = 0;
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = weft_spawn(yielder, NULL);
    }
    for (int i = 0; i < TASKS; i++) {
        void *done = NULL;
        int err = weft_join(tasks[i], &done);
        sum += err == 0 ? (intptr_t)done : 0;
    }
    return sum == (intptr_t)TASKS * YIELDS;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .name = "yield",
        .unit = "yield",
        .what = "100 tasks hand the worker to each other: the cost of a yield.",
        .units = (uint64_t)TASKS * YIELDS,
        .round = yield_round};
    return bench_main(argc, argv, &spec);
}
