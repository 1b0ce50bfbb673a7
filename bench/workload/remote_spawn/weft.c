/* SPDX-License-Identifier: MIT */
/*
 * Question: what does it cost a plain thread to have something done by the runtime?
 *
 * First an idle runtime: a thread spawns a task, waits for it, rests a little, and so on; p50, p99
 * and p999 are of that round trip. Then a busy one: two threads spawn as fast as they can, 100,000
 * tasks each; the values are the time from the first spawn until all have run, a task. It does not
 * show more threads than two, nor tasks that do anything.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

#define THREADS 2
#define TRIPS 500
#define REST_US 200

static _Atomic uint64_t ran; /* only counted: relaxed */

static void *add_one(void *arg)
{
    atomic_fetch_add_explicit(&ran, 1, memory_order_relaxed);
    return arg;
}

static bool round_trips(weft_runtime *rt)
{
    static int64_t trips_ns[TRIPS];
    for (int i = 0; i < TRIPS; i++) {
        weft_task *task;
        usleep(REST_US);
        int64_t begin_ns = weft_now();
        if (weft_runtime_spawn(rt, add_one, NULL, &task) < 0 ||
            weft_future_wait_blocking(task, WEFT_FOREVER, NULL) < 0) {
            return false;
        }
        trips_ns[i] = weft_now() - begin_ns;
        weft_put(task);
    }
    bench_latencies(trips_ns, TRIPS);
    return true;
}

/* What a spawning thread is told. */
struct spawner {
    pthread_t thread;
    weft_runtime *rt;
    uint64_t count;
    int err;
};

static void *spawner_run(void *arg)
{
    struct spawner *s = arg;
    for (uint64_t i = 0; i < s->count && s->err == 0; i++) {
        s->err = weft_runtime_spawn(s->rt, add_one, NULL, NULL);
    }
    return NULL;
}

static bool spawn_many(weft_runtime *rt, uint64_t size)
{
    struct spawner spawners[THREADS];
    bool is_right = true;
    atomic_store_explicit(&ran, 0, memory_order_relaxed);
    int64_t begin_ns = weft_now();
    for (int i = 0; i < THREADS; i++) {
        spawners[i] = (struct spawner){.rt = rt, .count = size};
        if (pthread_create(&spawners[i].thread, NULL, spawner_run, &spawners[i]) != 0) {
            exit(1);
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(spawners[i].thread, NULL);
        is_right = is_right && spawners[i].err == 0;
    }
    while (is_right && atomic_load_explicit(&ran, memory_order_relaxed) < THREADS * size) {
        usleep(50);
    }
    bench_took(weft_now() - begin_ns);
    return is_right;
}

static uint64_t remote_round(uint64_t size)
{
    struct weft_options options = {.workers = bench_workers()};
    weft_runtime *rt;
    if (weft_runtime_create(&rt, &options) < 0) {
        return 0;
    }
    bool is_right = round_trips(rt) && spawn_many(rt, size);
    is_right = weft_runtime_close(rt) == 0 && weft_runtime_destroy(rt) == 0 && is_right;
    return is_right ? THREADS * size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "remote_spawn",
        .what = "Plain threads spawn tasks on an idle and on a busy runtime.",
        .size_of = "tasks that each of two threads spawns on a busy runtime",
        .size = 100000,
        .round = remote_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
