/* SPDX-License-Identifier: MIT */
/*
 * Question: does memory stay flat under churn?
 *
 * Tasks are spawned, suspend once and end, a thousand at a time. Values are the time a task;
 * rss_growth is by how much the resident memory is larger at the end than after the first tenth,
 * in bytes. It does not show fragmentation by tasks of mixed stack sizes.
 */
#include <math.h>

#include "bench.h"

#define BATCH 1000
#define STEPS 10

static void *run_once(void *arg)
{
    int err = weft_yield();
    return err < 0 ? weft_fail(err) : arg;
}

/* Returns how many ended as they should. */
static uint64_t churn(uint64_t count)
{
    weft_task *tasks[BATCH];
    uint64_t right = 0;
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (intptr_t i = 0; i < BATCH; i++) {
            tasks[i] = weft_spawn(run_once, (void *)i);
        }
        for (intptr_t i = 0; i < BATCH; i++) {
            void *value = NULL;
            right += weft_join(tasks[i], &value) == 0 && value == (void *)i;
        }
    }
    return right;
}

static uint64_t memory_round(uint64_t size)
{
    uint64_t step = (size / STEPS + BATCH - 1) / BATCH * BATCH;
    uint64_t right = churn(step);
    double rss = bench_status_bytes("VmRSS");
    right += churn((STEPS - 1) * step);
    bench_figure("rss_growth", fmax(bench_status_bytes("VmRSS") - rss, 0));
    return right == STEPS * step ? right : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "memory",
        .what = "Ten million tasks come and go: does memory stay flat?",
        .size_of = "tasks",
        .size = 10000000,
        .round = memory_round,
        .is_cold = true};
    return bench_main(argc, argv, &spec);
}
