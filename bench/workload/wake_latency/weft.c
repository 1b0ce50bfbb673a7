/* SPDX-License-Identifier: MIT */
/*
 * Question: how long until a waiting task runs, when a thread outside an idle runtime wakes it?
 *
 * A task awaits a held task; a thread rests until all is asleep, notes the time and starts the held
 * one; the waiter notes when it runs. That is a task more than an event would take, which Weft does
 * not have yet. The values are the mean. It does not show a wake inside a busy runtime, which takes
 * no system call.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

#define REST_US 300

/* One wake, from the waiter to the thread. */
struct wake {
    _Atomic(weft_task *) held;
    int64_t begin_ns; /* by the thread, before it starts the held task */
};

static struct wake *wakes;
static uint64_t wake_count;

static void *nothing(void *arg)
{
    return arg;
}

static void *wake_all(void *arg)
{
    for (uint64_t i = 0; i < wake_count; i++) {
        weft_task *held;
        while ((held = wakes[i].held) == NULL) {
            usleep(20);
        }
        usleep(REST_US);
        wakes[i].begin_ns = weft_now();
        weft_start(held);
    }
    return arg;
}

static uint64_t wake_round(uint64_t size)
{
    static const struct weft_spawn_options held = {.held = true};
    int64_t *took_ns = calloc(size, sizeof *took_ns);
    int64_t sum_ns = 0;
    pthread_t thread;
    bool is_right = true;
    wakes = calloc(size, sizeof *wakes);
    wake_count = size;
    if (took_ns == NULL || wakes == NULL || pthread_create(&thread, NULL, wake_all, NULL) != 0) {
        exit(1);
    }
    for (uint64_t i = 0; i < size; i++) {
        weft_task *task = weft_spawn_with(&held, nothing, &wakes[i]);
        void *value = NULL;
        wakes[i].held = task;
        is_right = weft_await(task, &value) == 0 && value == &wakes[i] && is_right;
        took_ns[i] = weft_now() - wakes[i].begin_ns;
        sum_ns += took_ns[i];
        weft_put(task);
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
