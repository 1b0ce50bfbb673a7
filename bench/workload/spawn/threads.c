/* SPDX-License-Identifier: MIT */
/*
 * Batches of 1000 threads that do nothing, made and joined. It does not show a pool of threads,
 * which is what one would have.
 */
#include <pthread.h>

#include "bench.h"

#define THREADS 1000

static void *add_one(void *arg)
{
    return (void *)((uintptr_t)arg + 1);
}

static uint64_t spawn_round(uint64_t batches)
{
    static pthread_t threads[THREADS];
    uint64_t sum = 0;
    for (uint64_t batch = 0; batch < batches; batch++) {
        for (uintptr_t i = 0; i < THREADS; i++) {
            if (pthread_create(&threads[i], NULL, add_one, (void *)i) != 0) {
                return 0;
            }
        }
        for (int i = 0; i < THREADS; i++) {
            void *n = NULL;
            pthread_join(threads[i], &n);
            sum += (uintptr_t)n;
        }
    }
    return sum == batches * THREADS * (THREADS + 1) / 2 ? batches * THREADS : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "spawn",
        .implementation = "threads",
        .what = "Threads made and joined in batches of 1000.",
        .size_of = "batches",
        .size = 2,
        .round = spawn_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
