/* SPDX-License-Identifier: MIT */
/*
 * Question: what does it cost to wait for an answer no longer than a second?
 *
 * The round trip of the workload ping_pong, each answer awaited in a scope of its own: what this
 * is more than that is the scope's. It does not show a time that runs out.
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

static uint64_t timeout_round(uint64_t size)
{
    struct court court = {weft_channel_create(sizeof(uint64_t), 0),
                          weft_channel_create(sizeof(uint64_t), 0)};
    weft_task *task = weft_spawn(answer, &court);
    uint64_t right = 0;
    for (uint64_t i = 0; i < size; i++) {
        uint64_t n = 0;
        int err = weft_channel_send(court.there, &i);
        WEFT_TIMEOUT(WEFT_SECOND) {
            err = err < 0 ? err : weft_channel_receive(court.back, &n);
        }
        right += err == 0 && n == i + 1;
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
        .workload = "timeout_scope",
        .what = "Two tasks hand a number back and forth, the answer awaited within a time limit.",
        .size_of = "round trips",
        .size = 200000,
        .round = timeout_round};
    return bench_main(argc, argv, &spec);
}
