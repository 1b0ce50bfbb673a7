// SPDX-License-Identifier: MIT
//
// 100 fibers yield to each other with boost::this_fiber::yield. With one thread the scheduler is
// round-robin, the cheapest there is. It does not show fibers that keep to their thread beside
// others on other threads, which need no lock at the queue.
#include "bench_fiber.hpp"

static constexpr uint64_t fiber_count = 100;

static uint64_t yield_round(bench::run &, uint64_t size)
{
    std::vector<uint64_t> done(fiber_count);
    std::vector<boost::fibers::fiber> fibers;
    for (uint64_t i = 0; i < fiber_count; i++) {
        fibers.push_back(bench::spawn([&done, i, size] {
            uint64_t sum = 0;
            for (uint64_t n = 0; n < size; n++) {
                boost::this_fiber::yield();
                sum++;
            }
            done[i] = sum;
        }));
    }
    uint64_t sum = 0;
    for (uint64_t i = 0; i < fiber_count; i++) {
        fibers[i].join();
        sum += done[i];
    }
    return sum == fiber_count * size ? sum : 0;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"yield", "boost_fiber", 10000}, argc, argv, yield_round);
}
