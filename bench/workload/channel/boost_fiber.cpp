// SPDX-License-Identifier: MIT
//
// Four fibers push to a buffered channel with room for 128, four pop. It does not show a queue
// without a lock; Boost.Fiber has none for many.
#include "bench_fiber.hpp"

static constexpr unsigned sides = 4;
static constexpr size_t capacity = 128;

static uint64_t channel_round(bench::run &, uint64_t size)
{
    boost::fibers::buffered_channel<uint64_t> items(capacity);
    std::vector<boost::fibers::fiber> senders;
    std::vector<boost::fibers::fiber> receivers;
    uint64_t sums[sides] = {};
    for (unsigned i = 0; i < sides; i++) {
        senders.push_back(bench::spawn([&items, size] {
            for (uint64_t n = 1; n <= size; n++) {
                items.push(n);
            }
        }));
        receivers.push_back(bench::spawn([&items, sum = &sums[i]] {
            uint64_t n = 0;
            while (items.pop(n) == boost::fibers::channel_op_status::success) {
                *sum += n;
            }
        }));
    }
    for (auto &sender : senders) {
        sender.join();
    }
    items.close();
    for (auto &receiver : receivers) {
        receiver.join();
    }
    uint64_t sum = 0;
    for (uint64_t part : sums) {
        sum += part;
    }
    return sum == sides * size * (size + 1) / 2 ? sides * size : 0;
}

int main(int argc, char **argv)
{
    return bench::fiber_main({"channel", "boost_fiber", 100000}, argc, argv, channel_round);
}
