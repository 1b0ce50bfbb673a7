/* SPDX-License-Identifier: MIT */
/*
 * Three factorials side by side, a second a factor.
 *
 * On one worker the steps of a second come in the order in which the tasks began to wait.
 */
#include <stdio.h>

#include <weft/weft.h>

enum { TASKS = 3 };

struct job {
    char name;
    int number;
};

static void *factorial(void *arg)
{
    const struct job *job = arg;
    int f = 1;
    for (int i = 2; i <= job->number; i++) {
        printf("Task %c: Compute factorial(%d)...\n", job->name, i);
        int err = weft_sleep(1 * WEFT_SECOND);
        if (err < 0) {
            return weft_fail(err);
        }
        f *= i;
    }
    printf("Task %c: factorial(%d) = %d\n", job->name, job->number, f);
    return NULL;
}

static void *start(void *arg)
{
    static struct job jobs[TASKS] = {{'A', 2}, {'B', 3}, {'C', 4}};
    weft_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = weft_spawn(factorial, &jobs[i]);
    }
    int err = weft_gather(TASKS, tasks, NULL, NULL);
    for (int i = 0; i < TASKS; i++) {
        weft_put(tasks[i]);
    }
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    struct weft_options one = {.workers = 1};
    return weft_run_with(&one, start, NULL, NULL) < 0;
}
