/* SPDX-License-Identifier: MIT */
/* Plain code cancels the tasks of a runtime. One that ends cancelled is silent; one that fails of
 * something else while it cleans up, with nobody to look at it, is told to the error handler. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/weft.h>

static void *sleep_long(void *arg)
{
    (void)arg;
    return weft_fail(weft_sleep(WEFT_FOREVER));
}

static void *fail_in_clean_up(void *arg)
{
    (void)arg;
    (void)weft_sleep(WEFT_FOREVER);
    return weft_fail(-EIO);
}

static void tell(weft_runtime *rt, weft_future *f, int error, void *arg)
{
    (void)rt;
    (void)f;
    (void)arg;
    printf("unhandled error while cancelling: %s\n", strerror(-error));
}

static void cancel_all(weft_runtime *rt)
{
    weft_task *tasks[16];
    size_t n = weft_all_tasks(rt, tasks, 16);
    for (size_t i = 0; i < n && i < 16; i++) {
        weft_cancel(tasks[i]);
        weft_put(tasks[i]);
    }
}

int main(void)
{
    weft_runtime *rt;
    if (weft_runtime_create(&rt, NULL) < 0) {
        return 1;
    }
    weft_set_error_handler(rt, tell, NULL);
    if (weft_runtime_spawn(rt, sleep_long, NULL, NULL) < 0 ||
        weft_runtime_spawn(rt, fail_in_clean_up, NULL, NULL) < 0) {
        return 1;
    }
    cancel_all(rt);
    int err = weft_runtime_close(rt); /* waits until they have ended, and the handler was told */
    printf("all have ended\n");
    return weft_runtime_destroy(rt) < 0 || err < 0;
}
