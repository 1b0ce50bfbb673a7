/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a wide tree of tasks cost, all of them?
 *
 * Skynet: a task spawns ten, each of them ten, six levels deep; the million leaves return their
 * numbers, everybody else the sum of its children's. 1,111,111 tasks, and the sum is known. It
 * does not show memory: depth first, few of them live at once (rss_bytes does).
 */
#include "bench.h"

#define CHILDREN 10

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

static uint64_t skynet_round(uint64_t levels)
{
    void *sum = NULL;
    uint64_t leaves = 1;
    uint64_t tasks = 1;
    for (uint64_t i = 0; i < levels; i++) {
        leaves *= CHILDREN;
        tasks += leaves;
    }
    int err = weft_join(weft_spawn(skynet, (void *)(intptr_t)levels), &sum);
    return err == 0 && (uint64_t)(intptr_t)sum == leaves * (leaves - 1) / 2 ? tasks : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "skynet",
        .what = "A tree of 1.1 million tasks that sum up a million numbers.",
        .size_of = "levels below the root, at most 9",
        .size = 6,
        .round = skynet_round};
    return bench_main(argc, argv, &spec);
}
