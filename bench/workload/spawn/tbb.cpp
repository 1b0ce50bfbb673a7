// SPDX-License-Identifier: MIT
//
// Batches of 1000 tasks of one task_group, which is waited for as a whole. It does not show waiting
// for one task alone, for which oneTBB has no handle.
#include "bench_tbb.hpp"

static constexpr uint64_t task_count = 1000;

static uint64_t spawn_round(bench::run &, uint64_t batches)
{
    static uint64_t answers[task_count];
    uint64_t sum = 0;
    for (uint64_t batch = 0; batch < batches; batch++) {
        tbb::task_group group;
        for (uint64_t i = 0; i < task_count; i++) {
            group.run([i] { answers[i] = i + 1; });
        }
        group.wait();
        for (uint64_t answer : answers) {
            sum += answer;
        }
    }
    return sum == batches * task_count * (task_count + 1) / 2 ? batches * task_count : 0;
}

int main(int argc, char **argv)
{
    return bench::tbb_main({"spawn", "tbb", 200}, argc, argv, spawn_round);
}
