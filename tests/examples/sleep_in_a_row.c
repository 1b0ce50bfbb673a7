/* SPDX-License-Identifier: MIT */
/* Two calls that wait, one after the other: four seconds. */
#include <stdio.h>

#include <weft/weft.h>

static int64_t started;

static void time_log(const char *step)
{
    printf("+%lld %s\n", (long long)((weft_now() - started) / WEFT_SECOND), step);
}

static int async_sleep(void)
{
    int err = weft_sleep(2 * WEFT_SECOND);
    time_log("async_sleep");
    return err;
}

static void *async_execute(void *arg)
{
    (void)arg;
    started = weft_now();
    time_log("start");
    int err = async_sleep();
    if (err == 0) {
        err = async_sleep();
    }
    time_log("end");
    return err < 0 ? weft_fail(err) : NULL;
}

int main(void)
{
    return weft_run(async_execute, NULL, NULL) < 0;
}
