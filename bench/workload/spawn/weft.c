/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a task cost from spawn to join, when it does nothing?
 *
 * Batches of 1000: all are spawned, then all are joined in the same order, as a server fans out and
 * gathers. It does not show the first touch of a stack: the batches reuse what the first left.
 */
#include "bench.h"

#define TASKS 1000

static void *add_one(void *arg)
{
    return (void *)((intptr_t)arg + 1);
}

static uint64_t spawn_round(uint64_t batches)
{
    static weft_task *tasks[TASKS];
    uint64_t sum = 0;
    for (uint64_t batch = 0; batch < batches; batch++) {
        for (intptr_t i = 0; i < TASKS; i++) {
            tasks[i] = weft_spawn(add_one, (void *)i);
        }
        for (int i = 0; i < TASKS; i++) {
            void *n = NULL;
            int err = weft_join(tasks[i], &n);
            sum += err == 0 ? (uint64_t)(intptr_t)n : 0;
        }
    }
    return sum == batches * TASKS * (TASKS + 1) / 2 ? batches * TASKS : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "spawn",
        .what = "Empty tasks spawned and joined in batches of 1000: the cost of a task.",
        .size_of = "batches",
        .size = 200,
        .round = spawn_round};
    return bench_main(argc, argv, &spec);
}
