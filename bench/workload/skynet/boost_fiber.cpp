// SPDX-License-Identifier: MIT
//
// The tree of a million leaves, a fiber a node. The queues are first in, first out, so that very
// many stacks exist at a time. It does not show stacks of a usual size: these have 16 KiB.
#include "bench_fiber.hpp"

static constexpr uint64_t child_count = 10;

static uint64_t skynet(uint64_t number, uint64_t height)
{
    if (height == 0) {
        return number;
    }
    uint64_t parts[child_count];
    boost::fibers::fiber children[child_count];
    for (uint64_t i = 0; i < child_count; i++) {
        auto run = [part = &parts[i], n = number * child_count + i, height] {
            *part = skynet(n, height - 1);
        };
        children[i] = bench::spawn_now(run);
    }
    uint64_t sum = 0;
    for (uint64_t i = 0; i < child_count; i++) {
        children[i].join();
        sum += parts[i];
    }
    return sum;
}

static uint64_t skynet_round(bench::run &, uint64_t levels)
{
    uint64_t leaves = 1;
    uint64_t fibers = 1;
    for (uint64_t i = 0; i < levels; i++) {
        leaves *= child_count;
        fibers += leaves;
    }
    return skynet(0, levels) == leaves * (leaves - 1) / 2 ? fibers : 0;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"skynet", "boost_fiber", 6}, argc, argv, skynet_round,
                             bench::when_idle::look_on);
}
