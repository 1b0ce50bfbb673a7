/* SPDX-License-Identifier: MIT */
/* Five tasks that sleep for two seconds, gathered: two seconds. */
#include <stdio.h>

#include <weft/weft.h>

enum { TASKS = 5 };

static int64_t started;

static void time_log(const char *step)
{
    printf("+%lld %s\n", (long long)((weft_now() - started) / WEFT_SECOND), step);
}

static void *async_sleep(void *arg)
{
    int err = weft_sleep(2 * WEFT_SECOND);
    time_log("async_sleep");
    return err < 0 ? weft_fail(err) : arg;
}

static void *async_execute(void *arg)
{
    started = weft_now();
    time_log("start");
    weft_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = weft_spawn(async_sleep, NULL);
    }
    int err = weft_gather(TASKS, tasks, NULL, NULL);
    time_log("end");
    for (int i = 0; i < TASKS; i++) {
        weft_put(tasks[i]);
    }
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    return weft_run(async_execute, NULL, NULL) < 0;
}
