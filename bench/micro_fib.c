/* SPDX-License-Identifier: MIT */
/*
 * Question: what does fork and join cost where there is hardly any work between?
 *
 * fib(27) the foolish way: each call above the leaves spawns a task for n - 1, works out n - 2
 * itself and joins, which makes 317,810 spawns. The sum is the least possible work, so the figure
 * is spawn, join, and with several workers stealing. It does not show what a sensible program would
 * do, which is to stop spawning when the work gets small.
 */
#include "bench.h"

#define N 27
#define FIB_N 196418
#define SPAWNS 317810

static void *fib(void *arg)
{
    intptr_t n = (intptr_t)arg;
    if (n < 2) {
        return arg;
    }
    weft_task *child = weft_spawn(fib, (void *)(n - 1));
    intptr_t b = (intptr_t)fib((void *)(n - 2));
    void *a = NULL;
    /* A failed spawn or join gives a wrong sum, which is what is checked. */
    int err = weft_join(child, &a);
    return (void *)(err == 0 ? (intptr_t)a + b : b);
}

static bool fib_round(void)
{
    return (intptr_t)fib((void *)(intptr_t)N) == FIB_N;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .name = "fib",
        .unit = "spawn",
        .what = "fib(27) with a spawn a call: the cost of fork and join.",
        .units = SPAWNS,
        .round = fib_round};
    return bench_main(argc, argv, &spec);
}
