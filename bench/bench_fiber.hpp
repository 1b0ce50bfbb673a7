// SPDX-License-Identifier: MIT
//
// What the programs for Boost.Fiber share: threads that steal fibers from each other, and stacks
// that are kept for the next fiber.
#ifndef WEFT_BENCH_BENCH_FIBER_H
#define WEFT_BENCH_BENCH_FIBER_H

#include <mutex>
#include <thread>
#include <vector>

#include <boost/fiber/all.hpp>
#include <boost/fiber/algo/work_stealing.hpp>

#include "bench.hpp"

namespace bench {

// boost::context::pooled_fixedsize_stack belongs to one thread; fibers that are stolen end on
// another. So: a pool a thread, into which goes what ends there.
class stack_cache {
  public:
    static constexpr size_t bytes = 16 * 1024;

    boost::context::stack_context allocate()
    {
        auto &stacks = pool().stacks;
        void *base = nullptr;
        if (stacks.empty()) {
            base = std::malloc(bytes);
            if (base == nullptr) {
                throw std::bad_alloc();
            }
        } else {
            base = stacks.back();
            stacks.pop_back();
        }
        boost::context::stack_context context;
        context.size = bytes;
        context.sp = static_cast<char *>(base) + bytes;
        return context;
    }

    void deallocate(boost::context::stack_context &context) noexcept
    {
        pool().stacks.push_back(static_cast<char *>(context.sp) - bytes);
    }

  private:
    struct stack_pool {
        std::vector<void *> stacks;
        ~stack_pool()
        {
            for (void *stack : stacks) {
                std::free(stack);
            }
        }
    };

    // Not inlined: the fiber that asks may have come from another thread.
    [[gnu::noinline]] static stack_pool &pool()
    {
        static thread_local stack_pool mine;
        return mine;
    }
};

// A fiber that is queued behind those that are ready.
template <typename Function> boost::fibers::fiber spawn(Function &&function)
{
    return boost::fibers::fiber(boost::fibers::launch::post, std::allocator_arg, stack_cache{},
                                std::forward<Function>(function));
}

// A fiber that runs at once; whoever made it is queued.
template <typename Function> boost::fibers::fiber spawn_now(Function &&function)
{
    return boost::fibers::fiber(boost::fibers::launch::dispatch, std::allocator_arg, stack_cache{},
                                std::forward<Function>(function));
}

// What a thread does that finds nothing to steal: burn its CPU until there is something, or sleep
// until a fiber of its own is made ready. (Then it does not learn of work on other threads; for
// small work it is the quicker way all the same.)
enum class when_idle { look_on, sleep };

// Call function() in a fiber of this thread, while workers - 1 other threads steal. One thread
// needs no stealing and keeps the default scheduler.
template <typename Function>
void with_workers(unsigned workers, when_idle idle, Function &&function)
{
    bool may_sleep = idle == when_idle::sleep;
    using stealing = boost::fibers::algo::work_stealing;
    if (workers == 1) {
        function();
        return;
    }
    std::mutex mutex;
    boost::fibers::condition_variable_any ended;
    bool is_ended = false;
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < workers; i++) {
        threads.emplace_back([&] {
            boost::fibers::use_scheduling_algorithm<stealing>(workers, may_sleep);
            std::unique_lock<std::mutex> lock(mutex);
            ended.wait(lock, [&] { return is_ended; });
        });
    }
    boost::fibers::use_scheduling_algorithm<stealing>(workers, may_sleep); // waits for the others
    function();
    {
        std::lock_guard<std::mutex> lock(mutex);
        is_ended = true;
    }
    ended.notify_all();
    for (auto &thread : threads) {
        thread.join();
    }
}

template <typename Round>
int fiber_main(const spec &what, int argc, char **argv, Round &&round,
               when_idle idle = when_idle::sleep)
{
    options given = parse(what, argc, argv);
    int status = 1;
    with_workers(given.workers, idle, [&] { status = rounds_run(what, given, round); });
    return status;
}

} // namespace bench

#endif
