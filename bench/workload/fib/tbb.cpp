// SPDX-License-Identifier: MIT
//
// A task a call by task_group::run; the waiting thread works on. It does not show tasks that may
// wait for anything but other tasks: oneTBB has none, its tasks run on the stack of who waits.
#include "bench_tbb.hpp"

static uint64_t fib(uint64_t n)
{
    if (n < 2) {
        return n;
    }
    uint64_t a = 0;
    tbb::task_group group;
    group.run([&a, n] { a = fib(n - 1); });
    uint64_t b = fib(n - 2);
    group.wait();
    return a + b;
}

static uint64_t fib_round(bench::run &, uint64_t n)
{
    uint64_t a = 0;
    uint64_t b = 1;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    return fib(n) == a ? b - 1 : 0;
}

int main(int argc, char **argv)
{
    return bench::tbb_main({"fib", "tbb", 27}, argc, argv, fib_round);
}
