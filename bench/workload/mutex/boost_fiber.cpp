// SPDX-License-Identifier: MIT
//
// 1000 fibers lock one boost::fibers::mutex, count and unlock. It does not show a lock that is held
// while its holder waits for something.
#include "bench_fiber.hpp"

static constexpr uint64_t fiber_count = 1000;

static uint64_t mutex_round(bench::run &, uint64_t size)
{
    boost::fibers::mutex mutex;
    uint64_t count = 0;
    std::vector<boost::fibers::fiber> fibers;
    for (uint64_t i = 0; i < fiber_count; i++) {
        fibers.push_back(bench::spawn([&] {
            for (uint64_t n = 0; n < size; n++) {
                std::lock_guard<boost::fibers::mutex> lock(mutex);
                count++;
            }
        }));
    }
    for (auto &fiber : fibers) {
        fiber.join();
    }
    return count == fiber_count * size ? count : 0;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"mutex", "boost_fiber", 1000}, argc, argv, mutex_round);
}
