/* SPDX-License-Identifier: MIT */
/* The same two calls as tasks: two seconds. */
#include <stdio.h>

#include <weft/weft.h>

static int64_t started;

static void time_log(const char *step)
{
    printf("+%lld %s\n", (long long)((weft_now() - started) / WEFT_SECOND), step);
}

static void *async_sleep(void *arg)
{
    (void)arg;
    int err = weft_sleep(2 * WEFT_SECOND);
    time_log("async_sleep");
    return err < 0 ? weft_fail(err) : NULL;
}

static void *async_execute(void *arg)
{
    (void)arg;
    started = weft_now();
    time_log("start");
    weft_task *first = weft_spawn(async_sleep, NULL);
    weft_task *second = weft_spawn(async_sleep, NULL);
    int err_first = weft_join(first, NULL);
    int err_second = weft_join(second, NULL);
    time_log("end");
    int err = err_first < 0 ? err_first : err_second;
    return err < 0 ? weft_fail(err) : NULL;
}

int main(void)
{
    return weft_run(async_execute, NULL, NULL) < 0;
}
