/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a wide tree of tasks cost, all of them?
 *
 * Skynet: a task spawns ten, each of them ten, six levels deep; the million leaves return their
 * numbers, everybody else the sum of its children's. 1,111,111 tasks, and the sum is known. It
 * does not show memory: depth first, few of them live at once (ps or /usr/bin/time do).
 */
#include "bench.h"

#define CHILDREN 10
#define LEVELS 6
#define TASKS 1111111
#define LEAF_SUM INT64_C(499999500000)

/* A node is told its number and its height in one word: the height is the last digit. */
static void *skynet(void *arg)
{
    intptr_t number = (intptr_t)arg / 10;
    intptr_t height = (intptr_t)arg % 10;
    weft_task *children[CHILDREN];
    intptr_t sum = 0;
    if (height == 0) {
        return (void *)number;
    }
    for (intptr_t i = 0; i < CHILDREN; i++) {
        children[i] = weft_spawn(skynet, (void *)((number * CHILDREN + i) * 10 + height - 1));
    }
    for (int i = 0; i < CHILDREN; i++) {
        void *part = NULL;
        /* A failed spawn or join gives a wrong sum, which is what is checked. */
        int err = weft_join(children[i], &part);
        sum += err == 0 ? (intptr_t)part : 0;
    }
    return (void *)sum;
}

static bool skynet_round(void)
{
    void *sum = NULL;
    int err = weft_join(weft_spawn(skynet, (void *)(intptr_t)LEVELS), &sum);
    return err == 0 && (intptr_t)sum == LEAF_SUM;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .name = "skynet",
        .unit = "task",
        .what = "A tree of 1.1 million tasks that sum up a million numbers.",
        .units = TASKS,
        .round = skynet_round};
    return bench_main(argc, argv, &spec);
}
