/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a mutex cost that all workers want?
 *
 * 1000 tasks lock one mutex, count and unlock. With one worker nobody ever waits, so the figure is
 * the uncontended pair of calls; with more it is contention at its worst. It does not show a lock
 * that is held while its holder waits for something.
 */
#include "bench.h"

#define TASKS 1000

static struct weft_mutex mutex = WEFT_MUTEX_INIT;
static uint64_t count;

static void *counter(void *arg)
{
    for (intptr_t i = 0; i < (intptr_t)arg; i++) {
        if (weft_mutex_lock(&mutex) < 0) {
            break; /* the count is wrong then */
        }
        count++;
        weft_mutex_unlock(&mutex);
    }
    return NULL;
}

static uint64_t mutex_round(uint64_t size)
{
    static weft_task *tasks[TASKS];
    count = 0;
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = weft_spawn(counter, (void *)(intptr_t)size);
    }
    int err = 0;
    for (int i = 0; i < TASKS; i++) {
        int each = weft_join(tasks[i], NULL);
        err = each < 0 ? each : err;
    }
    return err == 0 && count == TASKS * size ? count : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "mutex",
        .what = "1000 tasks take turns at a mutex.",
        .size_of = "locks of each task",
        .size = 2000,
        .round = mutex_round};
    return bench_main(argc, argv, &spec);
}
