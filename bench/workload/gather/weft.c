/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a task cost from spawn to its result, when a thousand are gathered?
 *
 * Batches of 1000, as in the workload spawn, but with one weft_gather in place of 1000 joins: the
 * difference is what waiting for all at once costs. It does not show children that wait.
 */
#include "bench.h"

#define TASKS 1000

static void *add_one(void *arg)
{
    return (void *)((intptr_t)arg + 1);
}

static uint64_t gather_round(uint64_t batches)
{
    static weft_task *tasks[TASKS];
    static void *results[TASKS];
    uint64_t sum = 0;
    for (uint64_t batch = 0; batch < batches; batch++) {
        for (intptr_t i = 0; i < TASKS; i++) {
            tasks[i] = weft_spawn(add_one, (void *)i);
        }
        if (weft_gather(TASKS, tasks, results, NULL) < 0) {
            return 0;
        }
        for (int i = 0; i < TASKS; i++) {
            sum += (uint64_t)(intptr_t)results[i];
            weft_put(tasks[i]);
        }
    }
    return sum == batches * TASKS * (TASKS + 1) / 2 ? batches * TASKS : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "gather",
        .what = "Empty tasks spawned and gathered in batches of 1000: the cost of waiting for all.",
        .size_of = "batches",
        .size = 200,
        .round = gather_round};
    return bench_main(argc, argv, &spec);
}
