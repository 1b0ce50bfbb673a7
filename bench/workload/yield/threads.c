/* SPDX-License-Identifier: MIT */
/*
 * 100 threads call sched_yield on as many CPUs as there would be workers (tools/bench pins them).
 * It does not show more than the kernel's scheduler, which is fair and looks far.
 */
#include <pthread.h>
#include <sched.h>

#include "bench.h"

#define THREADS 100

static void *yielder(void *arg)
{
    uintptr_t done = 0;
    for (uint64_t i = 0; i < *(uint64_t *)arg; i++) {
        done += sched_yield() == 0;
    }
    return (void *)done;
}

static uint64_t yield_round(uint64_t size)
{
    pthread_t threads[THREADS];
    uint64_t sum = 0;
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, yielder, &size) != 0) {
            return 0;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        void *done = NULL;
        pthread_join(threads[i], &done);
        sum += (uintptr_t)done;
    }
    return sum == THREADS * size ? sum : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "yield",
        .implementation = "threads",
        .what = "100 threads yield to each other.",
        .size_of = "yields of each thread",
        .size = 1000,
        .round = yield_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
