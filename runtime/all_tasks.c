/* SPDX-License-Identifier: MIT */
/* All tasks: found by walking the slabs, as a close does; each is held before it is looked at. */
#include <weft/runtime.h>
#include <weft/task.h>

#include "runtime_object.h"

struct all_tasks {
    weft_task **out;
    size_t room;
    size_t count;
};

static bool all_tasks_add(weft_task *t, void *arg)
{
    struct all_tasks *all = arg;
    if (!weft__task_try_get(t)) {
        return true;
    }
    bool is_task = t->fn != NULL;
    if (is_task && all->count < all->room) {
        all->out[all->count] = t;
    } else {
        weft_put(t);
    }
    all->count += is_task;
    return true;
}

size_t weft_all_tasks(weft_runtime *rt, weft_task **out, size_t n)
{
    struct all_tasks all = {out, out == NULL ? 0 : n, 0};
    /* A visit may be long here: a close that is about to end the workers waits for it. */
    if (weft__runtime_enter(rt, RUNTIME_CLOSED) == 0) {
        weft__slab_walk(rt->tasks, all_tasks_add, &all);
        weft__runtime_exit(rt);
    }
    return all.count;
}
