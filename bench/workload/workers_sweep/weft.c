/* SPDX-License-Identifier: MIT */
/*
 * Question: does throughput last when there are more workers than CPUs?
 *
 * 64 tasks each spawn a child that computes for about a microsecond, join it and yield, over and
 * over. A unit is a child, so that throughput is one over it. It does not show the best a machine
 * can do: the work is too fine for that.
 */
#include "bench.h"

#define PARENTS 64
#define STEPS 400

static void *child(void *arg)
{
    uint64_t x = (uint64_t)(uintptr_t)arg;
    /* Xorshift: no compiler makes one step of several, and it never comes to 0. */
    for (int i = 0; i < STEPS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return (void *)(uintptr_t)x;
}

static void *parent(void *arg)
{
    uintptr_t right = 0;
    for (uint64_t i = 0; i < *(uint64_t *)arg; i++) {
        void *x = NULL;
        int err = weft_join(weft_spawn(child, (void *)(uintptr_t)(i + 1)), &x);
        right += err == 0 && x != NULL && weft_yield() == 0;
    }
    return (void *)right;
}

static uint64_t sweep_round(uint64_t size)
{
    weft_task *tasks[PARENTS];
    uint64_t sum = 0;
    for (int i = 0; i < PARENTS; i++) {
        tasks[i] = weft_spawn(parent, &size);
    }
    for (int i = 0; i < PARENTS; i++) {
        void *right = NULL;
        int err = weft_join(tasks[i], &right);
        sum += err == 0 ? (uintptr_t)right : 0;
    }
    return sum == PARENTS * size ? sum : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "workers_sweep",
        .what = "Fine work for ever more workers: throughput must last.",
        .size_of = "children of each of 64 tasks",
        .size = 2000,
        .round = sweep_round};
    return bench_main(argc, argv, &spec);
}
