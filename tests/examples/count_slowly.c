/* SPDX-License-Identifier: MIT */
/* An iteration each step of which waits. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

struct counter {
    int current;
    int stop;
};

/* 0 and the next number, -ENODATA after the last, or why the wait failed. */
static int counter_next(struct counter *c, int *number)
{
    if (c->current == c->stop) {
        return -ENODATA;
    }
    int err = weft_sleep(10 * WEFT_MS);
    if (err == 0) {
        *number = c->current++;
    }
    return err;
}

static void *start(void *arg)
{
    struct counter c = {.stop = 3};
    int number;
    int err;
    while ((err = counter_next(&c, &number)) == 0) {
        printf("%d ", number);
    }
    printf("\n");
    return err == -ENODATA ? arg : weft_fail(err);
}

int main(void)
{
    return weft_run(start, NULL, NULL) < 0;
}
