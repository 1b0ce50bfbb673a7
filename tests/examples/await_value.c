/* SPDX-License-Identifier: MIT */
/* A task's value, awaited by another task, handed out by weft_run. */
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
    void *value;
    int err = weft_join(weft_spawn(get_hihi, NULL), &value);
    return err < 0 ? weft_fail(err) : value;
}

int main(void)
{
    void *value;
    int err = weft_run(main_task, NULL, &value);
    if (err == 0) {
        puts(value);
    }
    return err < 0;
}
