// SPDX-License-Identifier: MIT
//
// Threads that sleep while they have no fiber that is ready, then one fiber that naps for a
// millisecond and has another do nothing. It does not show stealing, for which Boost.Fiber's
// threads would have to look on.
#include <sys/resource.h>

#include "bench_fiber.hpp"

static double switches()
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return static_cast<double>(used.ru_nvcsw + used.ru_nivcsw);
}

static uint64_t idle_round(bench::run &run, uint64_t ms)
{
    auto half = std::chrono::milliseconds(ms);
    boost::this_fiber::sleep_for(std::chrono::milliseconds(100));
    double before = switches();
    boost::this_fiber::sleep_for(half);
    run.figures["idle_per_s"] = (switches() - before) * 1e3 / static_cast<double>(ms);

    uint64_t wakes = 0;
    uint64_t answered = 0;
    auto end = std::chrono::steady_clock::now() + half;
    int64_t cpu_ns = bench::cpu_ns();
    before = switches();
    while (std::chrono::steady_clock::now() < end) {
        boost::this_fiber::sleep_for(std::chrono::milliseconds(1));
        wakes++;
        bench::spawn([&] { answered++; }).join();
    }
    run.took_ns = bench::cpu_ns() - cpu_ns;
    run.figures["switches_each"] = (switches() - before) / static_cast<double>(wakes);
    return answered == wakes ? wakes : 0;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"idle", "boost_fiber", 500, true}, argc, argv, idle_round);
}
