/* SPDX-License-Identifier: MIT */
/* Two conversions that take a second each, side by side: a second in all. */
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

static void *convert_int(void *text)
{
    int err = weft_sleep(1 * WEFT_SECOND);
    return err < 0 ? weft_fail(err) : (void *)(intptr_t)atoi(text);
}

static void *calc_add(void *arg)
{
    (void)arg;
    int64_t start = weft_now();
    weft_task *a = weft_spawn(convert_int, "1");
    weft_task *b = weft_spawn(convert_int, "2");
    void *int_a = NULL;
    void *int_b = NULL;
    int err_a = weft_join(a, &int_a);
    int err_b = weft_join(b, &int_b);
    if (err_a < 0 || err_b < 0) {
        return weft_fail(err_a < 0 ? err_a : err_b);
    }
    puts("both done");
    printf("execution time: %lld s\n", (long long)((weft_now() - start) / WEFT_SECOND));
    return (void *)((intptr_t)int_a + (intptr_t)int_b);
}

int main(void)
{
    void *sum;
    int err = weft_run(calc_add, NULL, &sum);
    if (err == 0) {
        printf("%d\n", (int)(intptr_t)sum);
    }
    return err < 0;
}
