/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a timeout cost that never comes?
 *
 * 10,000 timers are armed and stay; then, in batches of 1000, timers are started for one to eleven
 * seconds and stopped again, as a server does around each request. A unit is a start and a stop. It
 * does not show timers of other workers, which are stopped by message.
 */
#include "bench.h"

#define STANDING 10000
#define BATCH 1000
#define STEP 2654435761u

static void never(void *arg)
{
    (void)arg;
}

static int64_t for_ns(uint64_t n)
{
    return WEFT_SECOND + (int64_t)(n * STEP % (uint64_t)(10 * WEFT_SECOND));
}

static uint64_t arm_and_cancel(weft_timer **timers, uint64_t batches)
{
    uint64_t done = 0;
    for (uint64_t batch = 0; batch < batches; batch++) {
        for (uint64_t i = 0; i < BATCH; i++) {
            done += weft_timer_start(timers[i], for_ns(batch * BATCH + i)) == 0;
        }
        for (uint64_t i = 0; i < BATCH; i++) {
            done += weft_timer_stop(timers[i]);
        }
    }
    return done == 2 * batches * BATCH ? done / 2 : 0;
}

static uint64_t timer_round(uint64_t batches)
{
    static weft_timer *timers[STANDING + BATCH];
    bool is_right = true;
    for (uint64_t i = 0; i < STANDING + BATCH; i++) {
        is_right = is_right &&
                   weft_timer_create(&timers[i], weft_runtime_current(), never, NULL) == 0;
    }
    for (uint64_t i = 0; i < STANDING; i++) {
        is_right = is_right && weft_timer_start(timers[BATCH + i], 60 * for_ns(i)) == 0;
    }
    int64_t begin_ns = weft_now();
    uint64_t done = is_right ? arm_and_cancel(timers, batches) : 0;
    bench_took(weft_now() - begin_ns);
    for (uint64_t i = 0; i < STANDING + BATCH; i++) {
        weft_timer_destroy(timers[i]);
        timers[i] = NULL;
    }
    return done;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "timer_arm_cancel",
        .what = "Timers are armed and cancelled beside 10,000 that stand.",
        .size_of = "batches of 1000",
        .size = 200,
        .round = timer_round};
    return bench_main(argc, argv, &spec);
}
