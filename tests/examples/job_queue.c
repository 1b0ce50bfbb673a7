/* SPDX-License-Identifier: MIT */
/* Three workers take jobs from a queue; the main task waits until all are done. */
#include <stdatomic.h>
#include <stdio.h>

#include <weft/weft.h>

enum { WORKERS = 3, JOBS = 12 };

struct office {
    weft_queue *jobs;
    _Atomic(int) done;
};

static void *work(void *arg)
{
    struct office *office = arg;
    void *job;
    while (weft_queue_get(office->jobs, &job) == 0) {
        (void)weft_sleep((intptr_t)job * WEFT_MS);
        atomic_fetch_add_explicit(&office->done, 1, memory_order_relaxed); /* it only counts */
        (void)weft_queue_task_done(office->jobs);
    }
    return NULL;
}

static void *start(void *arg)
{
    struct office office = {weft_queue_create(WEFT_FIFO, 4), 0};
    weft_task *workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = weft_spawn(work, &office);
    }
    int err = 0;
    for (intptr_t job = 1; err == 0 && job <= JOBS; job++) {
        err = weft_queue_put(office.jobs, (void *)job); /* waits while four are in the queue */
    }
    if (err == 0) {
        err = weft_queue_join(office.jobs);
    }
    /* The join has waited for task_done of each job: that orders what came before it. */
    printf("%d jobs done\n", atomic_load_explicit(&office.done, memory_order_relaxed));
    weft_queue_shutdown(office.jobs, false); /* the workers' gets end */
    for (int i = 0; i < WORKERS; i++) {
        (void)weft_join(workers[i], NULL);
    }
    weft_queue_destroy(office.jobs);
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    return weft_run(start, NULL, NULL) < 0;
}
