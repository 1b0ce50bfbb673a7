// SPDX-License-Identifier: MIT
//
// A fiber a call. The queues are first in, first out, so the tree is walked breadth first, and very
// many stacks exist at a time. It does not show more than that Boost.Fiber was not made for this.
#include "bench_fiber.hpp"

static uint64_t fib(uint64_t n)
{
    if (n < 2) {
        return n;
    }
    uint64_t a = 0;
    boost::fibers::fiber child = bench::spawn_now([&a, n] { a = fib(n - 1); });
    uint64_t b = fib(n - 2);
    child.join();
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
    return bench::fiber_main({"fib", "boost_fiber", 27}, argc, argv, fib_round,
                             bench::when_idle::look_on);
}
