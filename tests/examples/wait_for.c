/* SPDX-License-Identifier: MIT */
/* An hour's sleep with a time limit of a second. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

static void *eternity(void *arg)
{
    int err = weft_sleep(60 * WEFT_MINUTE);
    if (err < 0) {
        return weft_fail(err);
    }
    puts("yay!");
    return arg;
}

static void *start(void *arg)
{
    weft_task *t = weft_spawn(eternity, NULL);
    if (weft_wait_for(t, 1 * WEFT_SECOND, NULL) == -ETIMEDOUT) {
        puts("timeout!");
    }
    weft_put(t);
    return arg;
}

int main(void)
{
    return weft_run(start, NULL, NULL) < 0;
}
