/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a child of a group cost, from its spawn to the group's exit?
 *
 * Batches of 1000, as in the workloads spawn and gather. It does not show children that wait, nor
 * what a failure costs.
 */
#include "bench.h"

#define TASKS 1000

static intptr_t results[TASKS];

static void *add_one(void *arg)
{
    results[(intptr_t)arg] = (intptr_t)arg + 1;
    return NULL;
}

static uint64_t group_round(uint64_t batches)
{
    uint64_t sum = 0;
    for (uint64_t batch = 0; batch < batches; batch++) {
        struct weft_group g;
        weft_group_enter(&g);
        int err = 0;
        for (intptr_t i = 0; i < TASKS && err == 0; i++) {
            err = weft_group_go(&g, add_one, (void *)i);
        }
        if (weft_group_exit(&g) < 0 || err < 0) {
            return 0;
        }
        for (int i = 0; i < TASKS; i++) {
            sum += (uint64_t)results[i];
        }
    }
    return sum == batches * TASKS * (TASKS + 1) / 2 ? batches * TASKS : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "group",
        .what = "Empty tasks as children of a group, in batches of 1000: the cost of a child.",
        .size_of = "batches",
        .size = 200,
        .round = group_round};
    return bench_main(argc, argv, &spec);
}
