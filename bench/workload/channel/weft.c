/* SPDX-License-Identifier: MIT */
/*
 * Question: what does an item cost that goes through a channel which many use?
 *
 * Four tasks send to a channel with room for 128, four receive from it. It does not show select.
 */
#include "bench.h"

#define SIDES 4
#define CAPACITY 128

struct line {
    weft_channel *items;
    uint64_t size;
};

static void *sender(void *arg)
{
    const struct line *line = arg;
    for (uint64_t n = 1; n <= line->size; n++) {
        if (weft_channel_send(line->items, &n) < 0) {
            return weft_fail(-1);
        }
    }
    return NULL;
}

static void *receiver(void *arg)
{
    const struct line *line = arg;
    uint64_t sum = 0;
    uint64_t n;
    while (weft_channel_receive(line->items, &n) == 0) {
        sum += n;
    }
    return (void *)(uintptr_t)sum;
}

static uint64_t channel_round(uint64_t size)
{
    struct line line = {weft_channel_create(sizeof(uint64_t), CAPACITY), size};
    weft_task *senders[SIDES];
    weft_task *receivers[SIDES];
    for (int i = 0; i < SIDES; i++) {
        senders[i] = weft_spawn(sender, &line);
        receivers[i] = weft_spawn(receiver, &line);
    }
    for (int i = 0; i < SIDES; i++) {
        (void)weft_join(senders[i], NULL);
    }
    weft_channel_close(line.items);
    uint64_t sum = 0;
    for (int i = 0; i < SIDES; i++) {
        void *part = NULL;
        (void)weft_join(receivers[i], &part);
        sum += (uint64_t)(uintptr_t)part;
    }
    weft_channel_destroy(line.items);
    return sum == SIDES * (size * (size + 1) / 2) ? SIDES * size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "channel",
        .what = "Four tasks send, four receive, over one channel: the cost of an item.",
        .size_of = "items of each of 4 senders",
        .size = 250000,
        .round = channel_round};
    return bench_main(argc, argv, &spec);
}
