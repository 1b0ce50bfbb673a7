/* SPDX-License-Identifier: MIT */
/*
 * Question: does a runtime whose tasks all wait leave the machine in peace?
 *
 * First nothing happens for a while: how often does the kernel switch to a thread of the process?
 * Then one task sleeps for a millisecond, has another do nothing, and so on: how often for each of
 * these wake-ups, and what CPU time does each take, with workers that have nothing to do? Values
 * are this CPU time. It does not show wake-ups by descriptors.
 */
#include <sys/resource.h>

#include "bench.h"

#define SETTLE_NS (100 * WEFT_MS)
#define NAP_NS WEFT_MS

static double switches(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_nvcsw + used.ru_nivcsw);
}

static void *nothing(void *arg)
{
    return arg;
}

static uint64_t idle_round(uint64_t ms)
{
    uint64_t wakes = 0;
    bool is_right = weft_sleep(SETTLE_NS) == 0;
    double before = switches();
    is_right &= weft_sleep((int64_t)ms * WEFT_MS) == 0;
    bench_figure("idle_per_s", (switches() - before) * 1e3 / (double)ms);

    int64_t end_ns = weft_now() + (int64_t)ms * WEFT_MS;
    int64_t cpu_ns = bench_cpu_ns();
    before = switches();
    while (is_right && weft_now() < end_ns) {
        void *value = NULL;
        is_right = weft_sleep(NAP_NS) == 0 && weft_join(weft_spawn(nothing, &wakes), &value) == 0 &&
                   value == &wakes;
        wakes++;
    }
    bench_took(bench_cpu_ns() - cpu_ns);
    bench_figure("switches_each", (switches() - before) / (double)(wakes > 0 ? wakes : 1));
    return is_right ? wakes : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "idle",
        .what = "Context switches of a runtime with nothing to do, and with next to nothing.",
        .size_of = "milliseconds of each half of a round",
        .size = 500,
        .round = idle_round,
        .is_cold = true};
    return bench_main(argc, argv, &spec);
}
