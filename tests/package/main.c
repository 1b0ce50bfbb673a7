/* SPDX-License-Identifier: MIT */
/*
 * An outside program: a hundred thousand tasks, all alive at once as far as the library is
 * concerned, each adding its number to what its parent gets.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

enum { TASK_COUNT = 100000 };

static void *number(void *arg)
{
    weft_yield();
    return arg;
}

static void *sum_up(void *arg)
{
    weft_task **tasks = arg;
    intptr_t sum = 0;
    for (intptr_t i = 0; i < TASK_COUNT; i++) {
        tasks[i] = weft_spawn(number, (void *)(i + 1));
    }
    for (intptr_t i = 0; i < TASK_COUNT; i++) {
        void *value;
        int err = weft_join(tasks[i], &value);
        if (err < 0) {
            return weft_fail(err);
        }
        sum += (intptr_t)value;
    }
    return (void *)sum;
}

int main(void)
{
    if (weft_version_check() < 0) {
        fprintf(stderr, "headers %s, library %s\n", WEFT_VERSION_STRING, weft_version_string());
        return 1;
    }

    weft_task **tasks = calloc(TASK_COUNT, sizeof(*tasks));
    void *sum = NULL;
    int err = tasks != NULL ? weft_run(sum_up, tasks, &sum) : -ENOMEM;
    free(tasks);
    if (err < 0) {
        fprintf(stderr, "weft_run: %d\n", err);
        return 1;
    }
    printf("%d tasks, sum %jd\n", TASK_COUNT, (intmax_t)(intptr_t)sum);
    return (intptr_t)sum != (intptr_t)TASK_COUNT * (TASK_COUNT + 1) / 2;
}
