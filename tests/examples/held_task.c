/* SPDX-License-Identifier: MIT */
/*
 * A task that is made and not started does nothing: what is there is a handle. Dropped like that,
 * it is reported on standard error, since it is nearly always a mistake.
 */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

static void *get_hihi(void *arg)
{
    (void)arg;
    return "{\"message\":\"hihi\"}";
}

static void *main_task(void *arg)
{
    (void)arg;
    struct weft_spawn_options held = {.name = "get_hihi", .held = true};
    weft_task *task = weft_spawn_with(&held, get_hihi, NULL);
    char name[32];
    if (weft_task_name(task, name, sizeof name) < 0) {
        return weft_fail(-EINVAL);
    }
    printf("<task %s, %s>\n", name, weft_done(task) ? "done" : "not started");
    weft_put(task);
    return NULL;
}

int main(void)
{
    return weft_run(main_task, NULL, NULL) < 0;
}
