/* SPDX-License-Identifier: MIT */
/*
 * Two threads and two semaphores, which are futexes. It does not show threads that spin before they
 * sleep, which is quicker on two CPUs and a waste on one.
 */
#include <pthread.h>
#include <semaphore.h>

#include "bench.h"

static sem_t there;
static sem_t back;
static uint64_t box; /* whoever has the turn */

static void *answer(void *arg)
{
    for (uint64_t i = 0; i < *(uint64_t *)arg; i++) {
        sem_wait(&there);
        box++;
        sem_post(&back);
    }
    return NULL;
}

static uint64_t ping_round(uint64_t size)
{
    pthread_t thread;
    uint64_t right = 0;
    sem_init(&there, 0, 0);
    sem_init(&back, 0, 0);
    if (pthread_create(&thread, NULL, answer, &size) != 0) {
        return 0;
    }
    for (uint64_t i = 0; i < size; i++) {
        box = i;
        sem_post(&there);
        sem_wait(&back);
        right += box == i + 1;
    }
    pthread_join(thread, NULL);
    return right == size ? size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "ping_pong",
        .implementation = "threads",
        .what = "Two threads wake each other by semaphores.",
        .size_of = "round trips",
        .size = 30000,
        .round = ping_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
