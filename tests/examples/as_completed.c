/* SPDX-License-Identifier: MIT */
/* Tasks in the order in which they end. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

enum { TASKS = 4 };

static void *sleep_sort(void *number)
{
    int err = weft_sleep((intptr_t)number * 200 * WEFT_MS);
    return err < 0 ? weft_fail(err) : number;
}

static void *start(void *arg)
{
    static const intptr_t numbers[TASKS] = {3, 1, 4, 2};
    weft_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = weft_spawn(sleep_sort, (void *)numbers[i]);
    }
    struct weft_as_completed it;
    weft_future *f;
    int err = weft_as_completed_init(&it, TASKS, tasks);
    while (err == 0 && (err = weft_as_completed_next(&it, &f)) == 0) {
        void *number;
        if (weft_join(f, &number) == 0) {
            printf("%d\n", (int)(intptr_t)number);
        }
    }
    if (err == -ENODATA) {
        return arg;
    }
    weft_as_completed_fini(&it);
    return weft_fail(err);
}

int main(void)
{
    return weft_run(start, NULL, NULL) < 0;
}
