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

static uint64_t fib_round(uint64_t n)
{
    uint64_t a = 0;
    uint64_t b = 1;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    /* There is a spawn less than b = fib(n + 1), the number of leaves. */
    return (uint64_t)(intptr_t)fib((void *)(intptr_t)n) == a ? b - 1 : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "fib",
        .what = "Fibonacci's numbers with a spawn a call: the cost of fork and join.",
        .size_of = "which number",
        .size = 27,
        .round = fib_round};
    return bench_main(argc, argv, &spec);
}
