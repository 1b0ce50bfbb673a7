// SPDX-License-Identifier: MIT
//
// Each fiber makes the next one and ends. It does not show fibers that somebody waits for.
#include "bench_fiber.hpp"

static void link(uint64_t left, boost::fibers::promise<bool> &end)
{
    if (left == 1) {
        end.set_value(true);
        return;
    }
    bench::spawn([left, &end] { link(left - 1, end); }).detach();
}

static uint64_t chain_round(bench::run &, uint64_t size)
{
    boost::fibers::promise<bool> end;
    bench::spawn([size, &end] { link(size, end); }).detach();
    return end.get_future().get() ? size : 0;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"chained_spawn", "boost_fiber", 200000}, argc, argv, chain_round);
}
