/* SPDX-License-Identifier: MIT */
/* Looking at a task from time to time, and giving up on it. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

static void *request_somewhere(void *arg)
{
    (void)arg;
    int err = weft_sleep(1 * WEFT_MINUTE);
    return err < 0 ? weft_fail(err) : "result";
}

static void *request_handle(void *arg)
{
    (void)arg;
    weft_task *task = weft_spawn(request_somewhere, NULL);
    for (int sleeps = 0; !weft_done(task) && sleeps <= 3; sleeps++) {
        int err = weft_sleep(1 * WEFT_SECOND);
        if (err < 0) {
            break;
        }
        puts("task is running");
    }
    if (!weft_done(task)) {
        puts("can't wait anymore, cancel!");
    }
    int err = weft_cancel_and_join(task, NULL);
    return err == -ECANCELED ? NULL : weft_fail(-EPROTO);
}

int main(void)
{
    return weft_run(request_handle, NULL, NULL) < 0;
}
