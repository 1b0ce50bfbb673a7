/* SPDX-License-Identifier: MIT */
/* Jobs in a queue are run one by one: the urgent one first, though it came last. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

struct job {
    const char *name;
    int64_t priority; /* the lowest number goes first; among equals the one that came first */
    int64_t takes_ns;
};

static int run_all(weft_queue *jobs)
{
    void *item;
    int err;
    while ((err = weft_queue_try_get(jobs, &item)) == 0) {
        struct job *job = item;
        printf("%s started\n", job->name);
        err = weft_sleep(job->takes_ns);
        if (err < 0) {
            return err;
        }
        printf("%s finished\n", job->name);
    }
    return err == -EAGAIN ? 0 : err;
}

static void *start(void *arg)
{
    struct job low = {"Low", 2, 20 * WEFT_MS};
    struct job high = {"High", 1, 10 * WEFT_MS};
    weft_queue *jobs = weft_queue_create(WEFT_PRIORITY, 0);
    int err = weft_queue_put_priority(jobs, &low, low.priority);
    if (err == 0) {
        err = weft_queue_put_priority(jobs, &high, high.priority);
    }
    if (err == 0) {
        err = run_all(jobs);
    }
    weft_queue_destroy(jobs);
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    return weft_run(start, NULL, NULL) < 0;
}
