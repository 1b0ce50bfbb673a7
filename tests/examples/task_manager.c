/* SPDX-License-Identifier: MIT */
/*
 * A manager of named tasks: add, list, cancel one or all. It is a table of handles; to close it is
 * to wait for all of them, and the error of each is told, and ends no other.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/weft.h>

enum { TASKS_MAX = 16 };

struct manager {
    weft_task *tasks[TASKS_MAX];
    int count;
};

static void name_of(weft_task *t, char name[32])
{
    (void)weft_task_name(t, name, 32);
}

static int manager_add(struct manager *m, const char *name, weft_fn fn, void *arg)
{
    const struct weft_spawn_options options = {.name = name};
    weft_task *t = m->count == TASKS_MAX ? NULL : weft_spawn_with(&options, fn, arg);
    if (t == NULL) {
        return -ENOMEM;
    }
    m->tasks[m->count++] = t;
    return 0;
}

static void manager_list(const struct manager *m)
{
    for (int i = 0; i < m->count; i++) {
        char name[32];
        name_of(m->tasks[i], name);
        printf("%s: %s\n", name, weft_done(m->tasks[i]) ? "done" : "running");
    }
}

/* NULL: all. Returns how many were asked to end. */
static int manager_cancel(struct manager *m, const char *name)
{
    int asked = 0;
    for (int i = 0; i < m->count; i++) {
        char own[32];
        name_of(m->tasks[i], own);
        if (name == NULL || strcmp(own, name) == 0) {
            asked += weft_cancel(m->tasks[i]);
        }
    }
    return asked;
}

/* Cancel what runs, wait for all, tell what they came to. */
static void manager_close(struct manager *m)
{
    (void)manager_cancel(m, NULL);
    for (int i = 0; i < m->count; i++) {
        char name[32];
        name_of(m->tasks[i], name);
        int err = weft_join(m->tasks[i], NULL);
        printf("%s: %s\n", name,
               err == 0 ? "succeeded" : err == -ECANCELED ? "was cancelled" : strerror(-err));
    }
    m->count = 0;
}

static void *tick(void *arg)
{
    (void)arg;
    int err;
    while ((err = weft_sleep(WEFT_SECOND)) == 0) {
    }
    return weft_fail(err);
}

static void *compute(void *arg)
{
    return arg;
}

static void *break_down(void *arg)
{
    (void)arg;
    return weft_fail(-EIO);
}

static void *start(void *arg)
{
    struct manager m = {.count = 0};
    int err = manager_add(&m, "ticker", tick, NULL);
    err = err == 0 ? manager_add(&m, "clock", tick, NULL) : err;
    err = err == 0 ? manager_add(&m, "sum", compute, NULL) : err;
    err = err == 0 ? manager_add(&m, "broken", break_down, NULL) : err;
    (void)weft_sleep(10 * WEFT_SECOND);
    printf("asked %d of that name to end\n", manager_cancel(&m, "clock"));
    (void)weft_sleep(WEFT_SECOND);
    manager_list(&m);
    manager_close(&m);
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    /* On a clock that jumps: nobody has to wait for what is only slept. */
    struct weft_options options = {.simulation = true, .seed = 1};
    return weft_run_with(&options, start, NULL, NULL) < 0;
}
