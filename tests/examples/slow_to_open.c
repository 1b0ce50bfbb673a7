/* SPDX-License-Identifier: MIT */
/* A block whose beginning waits, and whose end is not forgotten, whichever way it is left. */
#include <stdio.h>

#include <weft/weft.h>

struct sum {
    int value;
    bool is_open;
};

static int sum_open(struct sum *s, int a, int b)
{
    int err = weft_sleep(10 * WEFT_MS);
    s->value = a + b;
    s->is_open = err == 0;
    return err;
}

static void sum_close(struct sum *s)
{
    if (s->is_open) {
        printf("closed\n");
    }
}

static void *start(void *arg)
{
    struct sum s __attribute__((cleanup(sum_close))) = {0, false};
    int err = sum_open(&s, 1, 2);
    if (err < 0) {
        return weft_fail(err);
    }
    printf("%d\n", s.value);
    return arg;
}

int main(void)
{
    return weft_run(start, NULL, NULL) < 0;
}
