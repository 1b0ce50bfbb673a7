// SPDX-License-Identifier: MIT
//
// 64 fibers make a child that computes for about a microsecond, join it and yield. It does not show
// work of a sensible size.
#include "bench_fiber.hpp"

static constexpr unsigned parent_count = 64;
static constexpr unsigned step_count = 400;

static uint64_t child(uint64_t x)
{
    for (unsigned i = 0; i < step_count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

static uint64_t sweep_round(bench::run &, uint64_t size)
{
    uint64_t right[parent_count] = {};
    std::vector<boost::fibers::fiber> parents;
    for (unsigned p = 0; p < parent_count; p++) {
        parents.push_back(bench::spawn([size, mine = &right[p]] {
            uint64_t sum = 0;
            for (uint64_t i = 0; i < size; i++) {
                uint64_t x = 0;
                bench::spawn([&x, i] { x = child(i + 1); }).join();
                sum += x != 0;
                boost::this_fiber::yield();
            }
            *mine = sum;
        }));
    }
    uint64_t sum = 0;
    for (unsigned p = 0; p < parent_count; p++) {
        parents[p].join();
        sum += right[p];
    }
    return sum == parent_count * size ? sum : 0;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"workers_sweep", "boost_fiber", 2000}, argc, argv, sweep_round,
                             bench::when_idle::look_on);
}
