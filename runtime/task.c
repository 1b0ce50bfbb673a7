/* SPDX-License-Identifier: MIT */
/*
 * Tasks: spawning, starting, ending, and what can be asked of one.
 *
 * A spawn takes a descriptor, fills it and pushes it: no lock, no system call, no shared line but
 * the word that other workers read to be woken. A stack comes when the task first runs.
 */
#include <errno.h>

#include <weft/task.h>

#include "group.h"
#include "job.h"
#include "locals.h"
#include "runtime_object.h"
#include "simulation.h"

char weft__failed;

/* Task ids are handed to the workers in blocks of this many. */
#define ID_BLOCK 1024

static uint64_t worker_next_id(struct worker *w)
{
    if (WEFT_UNLIKELY(w->id_next == w->id_end)) {
        /* ORD none: unique, and that is all. */
        w->id_next = atomic_add_relaxed(&w->rt->ids, ID_BLOCK);
        w->id_end = w->id_next + ID_BLOCK;
    }
    return w->id_next++;
}

/* Fill a descriptor in, but for the word: nobody finds it yet. */
static void task_fill(weft_task *t, weft_runtime *rt, weft_fn fn, void *arg)
{
    t->run.kind = RUNNABLE_TASK;
    t->run.stack_class = (uint8_t)rt->default_class;
    t->run.pinned_to = RUNNABLE_ANYWHERE;
    t->fn = fn;
    t->value.arg = arg;
    t->waiters = NULL;
    t->error = 0;
    t->rt = rt;
    t->passed = 0;
    /* ORD none: the descriptor is ours until the word is written. */
    atomic_store_relaxed(&t->fiber, NULL);
    atomic_store_relaxed(&t->extra, NULL);    /* ORD none: as above */
    atomic_store_relaxed(&t->inbox_flags, 0); /* ORD none: as above */
    atomic_store_relaxed(&t->seen, 0);        /* ORD none: as above */
    atomic_store_relaxed(&t->cancel, runtime_is_closing(rt) ? 1 : 0); /* ORD none: as above */
}

/* From here on it is a task to those who walk over all, and may be held by one of them. refs counts
 * the runtime's own one. */
static void task_publish(weft_task *t, uint64_t flags, unsigned refs)
{
    /* ORD P2 (future.h): who finds the descriptor by walking finds a task. */
    atomic_store_release(&t->word, flags + refs * FUTURE_REF);
}

static bool reserved_is_zero(const struct weft_spawn_options *o)
{
    uint64_t any = 0;
    for (size_t i = 0; i < sizeof o->reserved / sizeof o->reserved[0]; i++) {
        any |= o->reserved[i];
    }
    return any == 0;
}

/* Options of a spawn, checked; the descriptor is filled in. 0, -EINVAL or -ENOMEM. */
static int task_apply(struct worker *w, weft_task *t, const struct weft_spawn_options *o)
{
    if (!reserved_is_zero(o)) {
        return -EINVAL; /* asks for what this version does not know */
    }
    if (o->stack_bytes != 0) {
        int stack_class = weft__stack_class(o->stack_bytes);
        if (stack_class < 0 || o->stack_bytes < WEFT_STACK_BYTES_MIN) {
            return -EINVAL;
        }
        t->run.stack_class = (uint8_t)stack_class;
    }
    int err = o->context != NULL      ? weft__locals_give_context(t, o->context)
              : locals_are_here(w) ? weft__locals_inherit(t)
                                   : 0;
    return err < 0 || o->name == NULL ? err : weft__extra_name_new(t, o->name);
}

/* A task that is not to be. */
static void task_discard(struct worker *w, weft_task *t)
{
    if (extra_of(t) != NULL) {
        weft__extra_free(t);
    }
    slab_give(&w->tasks, t);
}

/* A new task can run. What the caller does with t has to be its own from here on. */
static inline void task_begin(struct worker *w, weft_task *t)
{
    weft_runtime *rt = w->rt;
    weft__runnable_spawn(w, &t->run);
    simulation_point(rt);
}

/* weft_spawn and weft_go. refs counts the runtime's own one. NULL: no memory. */
static inline weft_task *spawn_plain(struct worker *w, weft_fn fn, void *arg, unsigned refs)
{
    weft_task *t = slab_take(&w->tasks);
    if (WEFT_UNLIKELY(t == NULL)) {
        return NULL;
    }
    t->id = worker_next_id(w);
    task_fill(t, w->rt, fn, arg);
    if (WEFT_UNLIKELY(locals_are_here(w)) && weft__locals_inherit(t) < 0) {
        task_discard(w, t);
        return NULL;
    }
    task_publish(t, 0, refs);
    counter_add_release(&w->count.spawned, 1);
    task_begin(w, t);
    return t;
}

weft_task *weft_spawn(weft_fn fn, void *arg)
{
    struct worker *w = weft__worker_current();
    return WEFT_UNLIKELY(w == NULL) ? NULL : spawn_plain(w, fn, arg, 2);
}

/* Publish a task for its spawner, as a child of its group if it has one. False: it was not. */
static bool task_publish_with(weft_task *t, const struct weft_spawn_options *options)
{
    uint64_t flags = options->held ? FUTURE_HELD : 0;
    if (options->group == NULL) {
        task_publish(t, flags, 2);
        return true;
    }
    struct group_child *child = weft__group_child_new(options->group);
    if (child != NULL && !weft__group_add(child, t, flags + 2 * FUTURE_REF)) {
        weft__group_child_drop(child);
        child = NULL;
    }
    return child != NULL;
}

weft_task *weft_spawn_with(const struct weft_spawn_options *options, weft_fn fn, void *arg)
{
    if (options == NULL) {
        return weft_spawn(fn, arg);
    }
    struct worker *w = weft__worker_current();
    weft_task *t = w == NULL ? NULL : slab_take(&w->tasks);
    if (t == NULL) {
        return NULL;
    }
    t->id = worker_next_id(w);
    task_fill(t, w->rt, fn, arg);
    if (options->pinned) {
        t->run.pinned_to = (uint16_t)w->index;
    }
    if (task_apply(w, t, options) < 0 || !task_publish_with(t, options)) {
        task_discard(w, t);
        return NULL;
    }
    counter_add_release(&w->count.spawned, 1);
    if (!options->held) {
        task_begin(w, t);
    } else if (runtime_is_closing(w->rt) && weft__task_unhold(t)) {
        weft__task_end_unrun(t); /* as those that the close finds */
    }
    return t;
}

int weft_go(weft_fn fn, void *arg)
{
    struct worker *w = weft__worker_current();
    if (w == NULL) {
        return -EPERM;
    }
    return spawn_plain(w, fn, arg, 1) == NULL ? -ENOMEM : 0;
}

int weft__runtime_spawn(weft_runtime *rt, weft_fn fn, void *arg, weft_task **task,
                        struct local_set *locals)
{
    int err = weft__runtime_enter(rt, RUNTIME_CLOSING);
    if (err < 0) {
        return err;
    }
    weft_task *t = weft__slab_get(rt->tasks);
    if (t == NULL) {
        weft__runtime_exit(rt);
        return -ENOMEM;
    }
    t->id = atomic_add_relaxed(&rt->ids, 1); /* ORD none: unique, and that is all */
    task_fill(t, rt, fn, arg);
    if (weft__locals_give(t, locals) < 0) {
        weft__slab_put(rt->tasks, t);
        weft__runtime_exit(rt);
        return -ENOMEM;
    }
    task_publish(t, 0, task == NULL ? 1 : 2);
    /* ORD P2 (close.c): counted before it can end. */
    atomic_add_seq_cst(&rt->outside_spawned, 1); /* ORD P5 (close.c): between word and phase */
    /* ORD P5 (close.c): after the task can be found by walking. */
    if (atomic_load_seq_cst(&rt->phase) != RUNTIME_OPEN) {
        uint32_t none = 0;
        /* ORD P4 (future.h): as a request; not one more than that of the walk. */
        (void)atomic_cas_seq_cst(&t->cancel, &none, 1);
    }
    if (task != NULL) {
        *task = t;
    }
    weft__runnable_ready(rt, &t->run);
    weft__runtime_exit(rt);
    return 0;
}

int weft_runtime_spawn(weft_runtime *rt, weft_fn fn, void *arg, weft_task **task)
{
    struct local_set *locals;
    int err = locals_capture(weft__worker_current(), &locals);
    if (err == 0) {
        err = weft__runtime_spawn(rt, fn, arg, task, locals);
        if (err < 0) {
            weft__locals_drop(locals);
        }
    }
    return err;
}

bool weft__task_unhold(weft_task *t)
{
    /* ORD P3 (future.h): one of those who start, drop or close gets the task. */
    return (atomic_and_acq_rel(&t->word, ~FUTURE_HELD) & FUTURE_HELD) != 0;
}

int weft_start(weft_task *task)
{
    if (task == NULL) {
        return -ENOMEM;
    }
    if (!weft__slab_is_ours(task)) {
        return -ESHUTDOWN;
    }
    if (!weft__task_unhold(task)) {
        return -EALREADY;
    }
    weft_runtime *rt = task->rt;
    weft__runnable_ready(rt, &task->run);
    simulation_point(rt);
    return 0;
}

void weft__task_end_unrun(weft_task *t)
{
    weft_runtime *rt = t->rt;
    t->error = -ECANCELED;
    t->value.result = NULL;
    runtime_visit(rt);
    weft__future_end(t);
    /* ORD P2 (close.c): ended. */
    atomic_add_acq_rel(&rt->outside_ended, 1);
    weft__runtime_poke(rt);
    runtime_leave(rt);
}

void *weft_fail(int error)
{
    struct fiber *f = weft__fiber_current();
    struct job *job = f == NULL ? weft__job_current() : NULL;
    WEFT_REQUIRE(f != NULL || job != NULL, "weft_fail outside a task");
    WEFT_REQUIRE(error < 0 && error > -4096, "weft_fail takes a negative errno value");
    *(f != NULL ? &f->top->error : &job->error) = error;
    return &weft__failed;
}

void weft__task_finish(struct worker *w, weft_task *t, void *value)
{
    weft_runtime *rt = w->rt;
    if (WEFT_UNLIKELY(value == &weft__failed)) {
        t->value.result = NULL;
    } else {
        t->error = 0;
        t->value.result = value;
    }
    weft__future_end(t);
    counter_add_release(&w->count.ended, 1);
    if (WEFT_UNLIKELY(runtime_is_closing(rt))) {
        weft__runtime_poke(rt);
    }
}

weft_task *weft_self(void)
{
    struct fiber *f = weft__fiber_current();
    return f == NULL ? NULL : f->top;
}

uint64_t weft_task_id(const weft_task *task)
{
    return task == NULL ? 0 : task->id;
}

size_t weft_stack_high_water(weft_task *task)
{
    if (task == NULL || future_is_done(task)) {
        return 0;
    }
    /* ORD P5 (future.h): the fiber of a task that has started. */
    struct fiber *f = atomic_load_acquire(&task->fiber);
    return f == NULL ? 0 : weft__stack_high_water(&f->stack);
}
