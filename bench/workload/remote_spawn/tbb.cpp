// SPDX-License-Identifier: MIT
//
// Plain threads enqueue into an arena with no place for them, so that its own threads do all.
// It does not show task_group, with which the waiting thread would do the work itself.
#include <atomic>
#include <future>

#include "bench_tbb.hpp"

static constexpr unsigned thread_count = 2;
static constexpr unsigned trip_count = 500;
static constexpr std::chrono::microseconds rest{200};

static std::atomic<uint64_t> ran{0};

static void round_trips(bench::run &run, tbb::task_arena &arena)
{
    for (unsigned i = 0; i < trip_count; i++) {
        std::promise<void> done;
        std::this_thread::sleep_for(rest);
        auto begin = bench::clock::now();
        arena.enqueue([&done] { done.set_value(); });
        done.get_future().wait();
        run.latencies.push_back(std::chrono::nanoseconds(bench::clock::now() - begin).count());
    }
}

static void spawn_many(bench::run &run, tbb::task_arena &arena, uint64_t size)
{
    std::vector<std::thread> threads;
    ran = 0;
    auto begin = bench::clock::now();
    for (unsigned i = 0; i < thread_count; i++) {
        threads.emplace_back([&arena, size] {
            for (uint64_t n = 0; n < size; n++) {
                arena.enqueue([] { ran.fetch_add(1, std::memory_order_relaxed); });
            }
        });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    while (ran < thread_count * size) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    run.took_ns = std::chrono::nanoseconds(bench::clock::now() - begin).count();
}

int main(int argc, char **argv)
{
    bench::spec what{"remote_spawn", "tbb", 100000};
    bench::options given = bench::parse(what, argc, argv);
    // The limit counts the main thread, which has no place in the arena.
    tbb::global_control most(tbb::global_control::max_allowed_parallelism, given.workers + 1);
    tbb::task_arena arena(static_cast<int>(given.workers), 0);
    return bench::rounds_run(what, given, [&arena](bench::run &run, uint64_t size) -> uint64_t {
        round_trips(run, arena);
        spawn_many(run, arena, size);
        return thread_count * size;
    });
}
