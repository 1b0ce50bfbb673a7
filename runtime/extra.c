/* SPDX-License-Identifier: MIT */
/* Extra: the record and the name in it; see extra.h. */
#include "extra.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/task.h>

#include "blocking.h"
#include "locals.h"

struct task_extra *weft__extra_make(weft_task *t)
{
    struct task_extra *extra = extra_of(t);
    if (extra != NULL) {
        return extra;
    }
    struct task_extra *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    /* ORD P1: zeroed before; of two who make one, one stays. */
    if (!atomic_cas_acq_rel(&t->extra, &extra, made)) {
        free(made);
        return extra;
    }
    return made;
}

void weft__extra_free(weft_task *t)
{
    struct task_extra *extra = extra_of(t);
    weft__locals_forget(extra);
    if (extra->kept_free != NULL) {
        extra->kept_free(extra->kept);
    }
    free(atomic_load_relaxed(&extra->name)); /* ORD none: nobody else is left */
    free(extra);
    atomic_store_relaxed(&t->extra, NULL); /* ORD none: as above */
}

/* The name a task was given, or NULL. Context: the future's lock is held, or nobody can rename. */
static const char *extra_name(weft_task *t)
{
    struct task_extra *extra = extra_of(t);
    return extra == NULL ? NULL : atomic_load_acquire(&extra->name); /* ORD P2: the characters */
}

int weft__extra_name_new(weft_task *t, const char *name)
{
    char *copy = strdup(name);
    struct task_extra *extra = copy == NULL ? NULL : weft__extra_make(t);
    if (extra == NULL) {
        free(copy);
        return -ENOMEM;
    }
    atomic_store_relaxed(&extra->name, copy); /* ORD none: the task is not published yet */
    return 0;
}

static int format_name(weft_task *t, char *buf, size_t bytes)
{
    if (t->fn == NULL) {
        const char *job = weft__blocking_name(t->job);
        return snprintf(buf, bytes, "%s", job != NULL ? job : "without a name");
    }
    const char *name = extra_name(t);
    return name != NULL ? snprintf(buf, bytes, "%s", name)
                        : snprintf(buf, bytes, "Task-%llu", (unsigned long long)t->id);
}

void weft__task_format_name(const weft_task *t, char *buf, size_t bytes)
{
    (void)format_name((weft_task *)(uintptr_t)t, buf, bytes);
}

ssize_t weft_task_name(weft_task *task, char *buf, size_t bytes)
{
    if (task == NULL || (task->fn == NULL && task->job == NULL)) {
        return -EINVAL;
    }
    if (!weft__slab_is_ours(task)) {
        return format_name(task, buf, bytes); /* it changes no more; nor would the lock */
    }
    weft__future_lock(task); /* the name can change meanwhile */
    int n = format_name(task, buf, bytes);
    weft__future_unlock(task);
    return n;
}

int weft_task_set_name(weft_task *task, const char *name)
{
    if (task == NULL || task->fn == NULL || name == NULL) {
        return -EINVAL;
    }
    if (!weft__slab_is_ours(task)) {
        return -ESHUTDOWN;
    }
    char *copy = strdup(name);
    struct task_extra *extra = copy == NULL ? NULL : weft__extra_make(task);
    if (extra == NULL) {
        free(copy);
        return -ENOMEM;
    }
    weft__future_lock(task);
    char *before = atomic_load_relaxed(&extra->name); /* ORD none: written under the lock we hold */
    atomic_store_release(&extra->name, copy);         /* ORD P2: the characters were copied */
    weft__future_unlock(task);
    free(before);
    return 0;
}
