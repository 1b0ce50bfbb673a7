// SPDX-License-Identifier: MIT
//
// The tree of a million leaves, a task a node, the children in one task_group. It does not show
// parallel_reduce, which is how such a sum would be made and makes far fewer tasks.
#include "bench_tbb.hpp"

static constexpr uint64_t child_count = 10;

static uint64_t skynet(uint64_t number, uint64_t height)
{
    if (height == 0) {
        return number;
    }
    uint64_t parts[child_count];
    tbb::task_group group;
    for (uint64_t i = 0; i < child_count; i++) {
        group.run([part = &parts[i], n = number * child_count + i, height] {
            *part = skynet(n, height - 1);
        });
    }
    group.wait();
    uint64_t sum = 0;
    for (uint64_t part : parts) {
        sum += part;
    }
    return sum;
}

static uint64_t skynet_round(bench::run &, uint64_t levels)
{
    uint64_t leaves = 1;
    uint64_t tasks = 1;
    for (uint64_t i = 0; i < levels; i++) {
        leaves *= child_count;
        tasks += leaves;
    }
    return skynet(0, levels) == leaves * (leaves - 1) / 2 ? tasks : 0;
}

int main(int argc, char **argv)
{
    return bench::tbb_main({"skynet", "tbb", 6}, argc, argv, skynet_round);
}
