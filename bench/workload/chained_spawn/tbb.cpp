// SPDX-License-Identifier: MIT
//
// Each task adds the next one to their group and ends. It does not show task_arena::enqueue, which
// is first in, first out, and slower.
#include "bench_tbb.hpp"

static void link(uint64_t left, tbb::task_group &group, uint64_t &ran)
{
    ran++;
    if (left > 1) {
        group.run([left, &group, &ran] { link(left - 1, group, ran); });
    }
}

static uint64_t chain_round(bench::run &, uint64_t size)
{
    tbb::task_group group;
    uint64_t ran = 0;
    group.run([size, &group, &ran] { link(size, group, ran); });
    group.wait();
    return ran == size ? size : 0;
}

int main(int argc, char **argv)
{
    return bench::tbb_main({"chained_spawn", "tbb", 500000}, argc, argv, chain_round);
}
