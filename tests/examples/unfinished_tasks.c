/* SPDX-License-Identifier: MIT */
/* Which tasks have not ended: the quick one is not among them, and neither is who asks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

static void *sleep_for(void *ns)
{
    (void)weft_sleep((intptr_t)ns);
    return NULL;
}

static weft_task *sleeper(const char *name, int64_t ns)
{
    const struct weft_spawn_options options = {.name = name};
    return weft_spawn_with(&options, sleep_for, (void *)(intptr_t)ns);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void print_others(void)
{
    weft_task *tasks[16];
    char names[16][32];
    int count = 0;
    size_t n = weft_all_tasks(weft_runtime_current(), tasks, 16);
    for (size_t i = 0; i < n && i < 16; i++) {
        if (tasks[i] != weft_self()) {
            (void)weft_task_name(tasks[i], names[count++], sizeof names[0]);
        }
        weft_put(tasks[i]); /* each handle is a reference */
    }
    qsort(names, (size_t)count, sizeof names[0], by_name);
    for (int i = 0; i < count; i++) {
        printf("%s has not ended\n", names[i]);
    }
}

static void *start(void *arg)
{
    weft_task *tasks[] = {sleeper("quick", 0), sleeper("long", WEFT_MINUTE),
                          sleeper("longer", 2 * WEFT_MINUTE)};
    (void)weft_await(tasks[0], NULL);
    print_others();
    for (int i = 0; i < 3; i++) {
        weft_cancel(tasks[i]);
        (void)weft_join(tasks[i], NULL);
    }
    return arg;
}

int main(void)
{
    return weft_run(start, NULL, NULL) < 0;
}
