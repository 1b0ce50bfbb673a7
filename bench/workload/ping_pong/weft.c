/* SPDX-License-Identifier: MIT */
/*
 * Question: what does it cost to hand something to another task and to get an answer?
 *
 * Two tasks and two channels without room. It does not show channels that many use at once.
 */
#include "bench.h"

struct court {
    weft_channel *there;
    weft_channel *back;
};

static void *answer(void *arg)
{
    const struct court *court = arg;
    uint64_t n;
    while (weft_channel_receive(court->there, &n) == 0) {
        n++;
        if (weft_channel_send(court->back, &n) < 0) {
            break;
        }
    }
    weft_channel_close(court->back);
    return NULL;
}

static uint64_t ping_round(uint64_t size)
{
    struct court court = {weft_channel_create(sizeof(uint64_t), 0),
                          weft_channel_create(sizeof(uint64_t), 0)};
    weft_task *task = weft_spawn(answer, &court);
    uint64_t right = 0;
    for (uint64_t i = 0; i < size; i++) {
        uint64_t n = 0;
        right += weft_channel_send(court.there, &i) == 0 &&
                 weft_channel_receive(court.back, &n) == 0 && n == i + 1;
    }
    weft_channel_close(court.there);
    int err = weft_join(task, NULL);
    weft_channel_destroy(court.there);
    weft_channel_destroy(court.back);
    return err == 0 && right == size ? size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "ping_pong",
        .what = "Two tasks hand a number back and forth over two channels: the cost of a trip.",
        .size_of = "round trips",
        .size = 300000,
        .round = ping_round};
    return bench_main(argc, argv, &spec);
}
