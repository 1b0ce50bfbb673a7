/* SPDX-License-Identifier: MIT */
/*
 * Question: how long until a waiting task runs, when a thread outside an idle runtime wakes it?
 *
 * A task waits for an event; a thread rests until all is asleep, notes the time and sets it; the
 * waiter notes when it runs. The values are the mean. It does not show a wake inside a busy
 * runtime, which takes no system call.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

#define REST_US 300

/* One wake, from the waiter to the thread. */
struct wake {
    struct weft_event event;
    _Atomic bool is_awaited; /* or will be in a moment */
    int64_t begin_ns;        /* by the thread, before it sets the event */
};

static struct wake *wakes;
static uint64_t wake_count;

static void *wake_all(void *arg)
{
    for (uint64_t i = 0; i < wake_count; i++) {
        /* relaxed: only a moment; the event orders the rest */
        while (!atomic_load_explicit(&wakes[i].is_awaited, memory_order_relaxed)) {
            usleep(20);
        }
        usleep(REST_US);
        wakes[i].begin_ns = weft_now();
        weft_event_set(&wakes[i].event);
    }
    return arg;
}

static uint64_t wake_round(uint64_t size)
{
    int64_t *took_ns = calloc(size, sizeof *took_ns);
    int64_t sum_ns = 0;
    pthread_t thread;
    bool is_right = true;
    wakes = calloc(size, sizeof *wakes); /* all zero is WEFT_EVENT_INIT, too */
    wake_count = size;
    if (took_ns == NULL || wakes == NULL || pthread_create(&thread, NULL, wake_all, NULL) != 0) {
        exit(1);
    }
    for (uint64_t i = 0; i < size; i++) {
        atomic_store_explicit(&wakes[i].is_awaited, true, memory_order_relaxed);
        is_right = weft_event_wait(&wakes[i].event) == 0 && wakes[i].begin_ns != 0 && is_right;
        took_ns[i] = weft_now() - wakes[i].begin_ns;
        sum_ns += took_ns[i];
    }
    pthread_join(thread, NULL);
    bench_took(sum_ns);
    bench_latencies(took_ns, size);
    free(took_ns);
    free(wakes);
    return is_right ? size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "wake_latency",
        .what = "A thread wakes a task of a runtime that sleeps.",
        .size_of = "wakes",
        .size = 500,
        .round = wake_round};
    return bench_main(argc, argv, &spec);
}
