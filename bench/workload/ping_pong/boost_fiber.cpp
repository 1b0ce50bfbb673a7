// SPDX-License-Identifier: MIT
//
// Two fibers and two unbuffered channels. It does not show the fibers on a thread each for certain:
// with several threads, who steals decides.
#include "bench_fiber.hpp"

using channel = boost::fibers::unbuffered_channel<uint64_t>;

static uint64_t ping_round(bench::run &, uint64_t size)
{
    channel there;
    channel back;
    boost::fibers::fiber other = bench::spawn([&] {
        uint64_t n = 0;
        while (there.pop(n) == boost::fibers::channel_op_status::success) {
            back.push(n + 1);
        }
    });
    uint64_t right = 0;
    // In a fiber of its own: the main one could not be stolen.
    bench::spawn([&] {
        for (uint64_t i = 0; i < size; i++) {
            there.push(i);
            right += back.value_pop() == i + 1;
        }
        there.close();
    }).join();
    other.join();
    return right == size ? size : 0;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"ping_pong", "boost_fiber", 200000}, argc, argv, ping_round);
}
