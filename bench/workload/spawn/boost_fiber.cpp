// SPDX-License-Identifier: MIT
//
// Batches of 1000 fibers, each joined and its answer read from an array. Stacks are 16 KiB and kept
// for the next fiber. It does not show futures (boost::fibers::async), which cost an allocation
// and a lock more.
#include "bench_fiber.hpp"

static constexpr uint64_t fiber_count = 1000;

static uint64_t spawn_round(bench::run &, uint64_t batches)
{
    static uint64_t answers[fiber_count];
    std::vector<boost::fibers::fiber> fibers;
    fibers.reserve(fiber_count);
    uint64_t sum = 0;
    for (uint64_t batch = 0; batch < batches; batch++) {
        for (uint64_t i = 0; i < fiber_count; i++) {
            fibers.push_back(bench::spawn([i] { answers[i] = i + 1; }));
        }
        for (uint64_t i = 0; i < fiber_count; i++) {
            fibers[i].join();
            sum += answers[i];
        }
        fibers.clear();
    }
    return sum == batches * fiber_count * (fiber_count + 1) / 2 ? batches * fiber_count : 0;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"spawn", "boost_fiber", 200}, argc, argv, spawn_round);
}
