/* SPDX-License-Identifier: MIT */
/*
 * Question: how long does it take to close a runtime that is full of work?
 *
 * 100,000 tasks live, 1000 of them yield for ever, the others sleep for an hour; then the runtime
 * is closed, which cancels them all and waits for them. A unit is the whole. It does not show
 * operations on descriptors that are in flight.
 */
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "bench.h"

#define YIELDERS 1000

/* Only counted: what the tasks did is not looked at. */
static _Atomic uint64_t begun;
static _Atomic uint64_t ended;

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t counted(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void *sleeper(void *arg)
{
    count(&begun, 1);
    count(&ended, weft_sleep(60 * WEFT_MINUTE) == -ECANCELED);
    return arg;
}

static void *yielder(void *arg)
{
    int err = 0;
    count(&begun, 1);
    while (err == 0) {
        err = weft_yield();
    }
    count(&ended, err == -ECANCELED);
    return arg;
}

static void *spawn_all(void *arg)
{
    uint64_t size = *(uint64_t *)arg;
    for (uint64_t i = 0; i < size; i++) {
        int err = weft_go(i < YIELDERS ? yielder : sleeper, NULL);
        if (err < 0) {
            return weft_fail(err);
        }
    }
    return NULL;
}

static uint64_t shutdown_round(uint64_t size)
{
    struct weft_options options = {.workers = bench_workers()};
    weft_runtime *rt;
    atomic_store_explicit(&begun, 0, memory_order_relaxed); /* nobody counts yet */
    atomic_store_explicit(&ended, 0, memory_order_relaxed);
    if (weft_runtime_create(&rt, &options) < 0 ||
        weft_runtime_run(rt, spawn_all, &size, NULL) < 0) {
        return 0;
    }
    while (counted(&begun) < size) {
        usleep(1000);
    }
    int64_t begin_ns = weft_now();
    int err = weft_runtime_close(rt);
    bench_took(weft_now() - begin_ns);
    return err == 0 && weft_runtime_destroy(rt) == 0 && counted(&ended) == size;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "shutdown",
        .what = "A runtime is closed that has 100,000 tasks.",
        .size_of = "tasks, at least 1000",
        .size = 100000,
        .round = shutdown_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
