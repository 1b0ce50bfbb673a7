/* SPDX-License-Identifier: MIT */
/*
 * The floor: a thread waits on an eventfd, another one wakes it. It does not show what a scheduler
 * adds; --workers is without a meaning.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench.h"

#define REST_US 300

static int events;
static uint64_t wake_count;
static _Atomic uint64_t waits; /* how many waits have begun */
static int64_t begin_ns;

static void *wake_all(void *arg)
{
    for (uint64_t i = 1; i <= wake_count; i++) {
        /* acquire, release: begin_ns of the wait before has been read, and is written next */
        while (atomic_load_explicit(&waits, memory_order_acquire) < i) {
            usleep(20);
        }
        usleep(REST_US);
        begin_ns = weft_now();
        if (eventfd_write(events, 1) < 0) {
            exit(1);
        }
    }
    return arg;
}

static uint64_t wake_round(uint64_t size)
{
    int64_t *took_ns = calloc(size, sizeof *took_ns);
    int64_t sum_ns = 0;
    pthread_t thread;
    bool is_right = true;
    events = eventfd(0, EFD_CLOEXEC);
    wake_count = size;
    atomic_store_explicit(&waits, 0, memory_order_relaxed); /* no thread yet */
    if (took_ns == NULL || events < 0 || pthread_create(&thread, NULL, wake_all, NULL) != 0) {
        exit(1);
    }
    for (uint64_t i = 0; i < size; i++) {
        eventfd_t n = 0;
        atomic_fetch_add_explicit(&waits, 1, memory_order_release);
        is_right = eventfd_read(events, &n) == 0 && n == 1 && is_right;
        took_ns[i] = weft_now() - begin_ns;
        sum_ns += took_ns[i];
    }
    pthread_join(thread, NULL);
    bench_took(sum_ns);
    bench_latencies(took_ns, size);
    free(took_ns);
    close(events);
    return is_right ? size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "wake_latency",
        .implementation = "threads",
        .what = "A thread wakes another one by an eventfd.",
        .size_of = "wakes",
        .size = 500,
        .round = wake_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
