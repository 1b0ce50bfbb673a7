/* SPDX-License-Identifier: MIT */
/* Five tasks that return text, gathered: the texts are in the order of the tasks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

enum { TASKS = 5, TEXT_BYTES = 64 };

static int64_t started;

static int now(void)
{
    return (int)((weft_now() - started) / WEFT_SECOND);
}

/* The text is the caller's to free. */
static void *async_sleep(void *number)
{
    int err = weft_sleep(2 * WEFT_SECOND);
    char *text = malloc(TEXT_BYTES);
    if (err < 0 || text == NULL) {
        free(text);
        return weft_fail(err < 0 ? err : -ENOMEM);
    }
    snprintf(text, TEXT_BYTES, "+%d async_sleep %d", now(), (int)(intptr_t)number);
    return text;
}

static void *async_execute(void *arg)
{
    weft_task *tasks[TASKS];
    void *texts[TASKS];
    int errors[TASKS];
    started = weft_now();
    printf("+%d start\n", now());
    for (intptr_t i = 0; i < TASKS; i++) {
        tasks[i] = weft_spawn(async_sleep, (void *)i);
    }
    int err = weft_gather(TASKS, tasks, texts, errors);
    for (int i = 0; i < TASKS; i++) {
        puts(errors[i] == 0 ? texts[i] : "failed");
        free(texts[i]);
        weft_put(tasks[i]);
    }
    printf("+%d end\n", now());
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    return weft_run(async_execute, NULL, NULL) < 0;
}
