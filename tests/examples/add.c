/* SPDX-License-Identifier: MIT */
/* A function that waits, called by another one: plain C calls, no keyword. */
#include <stdio.h>

#include <weft/weft.h>

static int add(int a, int b, int *sum)
{
    printf("add: %d + %d\n", a, b);
    int err = weft_sleep(1 * WEFT_SECOND);
    *sum = a + b;
    return err;
}

static void *print_add(void *arg)
{
    (void)arg;
    int sum;
    int err = add(1, 2, &sum);
    if (err < 0) {
        return weft_fail(err);
    }
    printf("print_add: %d + %d = %d\n", 1, 2, sum);
    return NULL;
}

int main(void)
{
    return weft_run(print_add, NULL, NULL) < 0;
}
