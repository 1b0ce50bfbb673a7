// SPDX-License-Identifier: MIT
//
// A fiber waits for a future; a plain thread rests, then sets it. It does not show more than one
// fiber that waits.
#include <atomic>

#include "bench_fiber.hpp"

static constexpr std::chrono::microseconds rest{300};
static constexpr std::chrono::microseconds poll{20};

static uint64_t wake_round(bench::run &run, uint64_t size)
{
    std::vector<boost::fibers::promise<void>> wakes(size);
    std::vector<bench::clock::time_point> begins(size);
    std::atomic<uint64_t> waits{0};
    std::thread thread([&] {
        for (uint64_t i = 0; i < size; i++) {
            while (waits <= i) {
                std::this_thread::sleep_for(poll);
            }
            std::this_thread::sleep_for(rest);
            begins[i] = bench::clock::now();
            wakes[i].set_value();
        }
    });
    run.took_ns = 0;
    for (uint64_t i = 0; i < size; i++) {
        auto future = wakes[i].get_future();
        waits++;
        future.wait();
        int64_t took_ns = std::chrono::nanoseconds(bench::clock::now() - begins[i]).count();
        run.latencies.push_back(took_ns);
        run.took_ns += took_ns;
    }
    thread.join();
    return size;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"wake_latency", "boost_fiber", 500}, argc, argv, wake_round);
}
