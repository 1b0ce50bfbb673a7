/* SPDX-License-Identifier: MIT */
/* A sleep of an hour, cancelled after a second: the sleep fails, and the task cleans up. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

static void *cancel_me(void *arg)
{
    (void)arg;
    puts("cancel_me(): before sleep");
    int err = weft_sleep(60 * WEFT_MINUTE);
    if (err == -ECANCELED) {
        puts("cancel_me(): cancel sleep");
    }
    puts("cancel_me(): after sleep");
    return err < 0 ? weft_fail(err) : NULL;
}

static void *main_task(void *arg)
{
    (void)arg;
    weft_task *task = weft_spawn(cancel_me, NULL);
    int err = weft_sleep(1 * WEFT_SECOND);
    if (err < 0) {
        return weft_fail(err);
    }
    weft_cancel(task);
    err = weft_join(task, NULL);
    if (err == -ECANCELED) {
        puts("main(): cancel_me is cancelled now");
    }
    return NULL;
}

int main(void)
{
    return weft_run(main_task, NULL, NULL) < 0;
}
