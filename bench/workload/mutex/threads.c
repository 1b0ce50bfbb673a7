/* SPDX-License-Identifier: MIT */
/*
 * 1000 threads lock one pthread mutex, count and unlock. It does not show contention: a thread that
 * runs keeps its turn for milliseconds, in which it may well do all of its locking.
 */
#include <pthread.h>

#include "bench.h"

#define THREADS 1000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t count;

static void *counter(void *arg)
{
    for (uint64_t i = 0; i < *(uint64_t *)arg; i++) {
        pthread_mutex_lock(&mutex);
        count++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static uint64_t mutex_round(uint64_t size)
{
    static pthread_t threads[THREADS];
    count = 0;
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, counter, &size) != 0) {
            return 0;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    return count == THREADS * size ? count : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "mutex",
        .implementation = "threads",
        .what = "1000 threads take turns at a mutex.",
        .size_of = "locks of each thread",
        .size = 2000,
        .round = mutex_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
