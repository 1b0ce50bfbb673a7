/* SPDX-License-Identifier: MIT */
/*
 * Looking at a task from time to time instead of waiting for it.
 *
 * The fourth look and the task's end fall due together. On one worker the timer that was set first
 * comes first: the task's, which is given the turn to set it. On several workers they would race.
 */
#include <stdio.h>

#include <weft/weft.h>

static void *request_somewhere(void *arg)
{
    (void)arg;
    int err = weft_sleep(4 * WEFT_SECOND);
    return err < 0 ? weft_fail(err) : "result";
}

static void *request_handle(void *arg)
{
    (void)arg;
    weft_task *task = weft_spawn(request_somewhere, NULL);
    weft_yield();
    while (!weft_done(task)) {
        int err = weft_sleep(1 * WEFT_SECOND);
        if (err < 0) {
            break;
        }
        puts("task is running");
    }
    void *result;
    int err = weft_join(task, &result);
    if (err < 0) {
        return weft_fail(err);
    }
    puts("finally ready");
    puts(result);
    return NULL;
}

int main(void)
{
    struct weft_options one = {.workers = 1};
    return weft_run_with(&one, request_handle, NULL, NULL) < 0;
}
