/* SPDX-License-Identifier: MIT */
/* View: looking at one task; see view.h. */
#include "view.h"

#include <weft/debug.h>
#include <weft/task.h>

#include "group.h"
#include "mutex.h"
#include "runtime_object.h"
#include "rwlock.h"
#include "wait_set.h"

/* What the wait of a held fiber, off its stack, is for. */
static void view_wait(const struct fiber *f, struct task_view *v)
{
    v->what = f->wait_for;
    v->object = f->wait_on;
    v->wake_ns = f->wake_ns;
    switch (v->what) {
    case WAIT_FOR_FUTURE:
        v->awaited = weft_get(f->wait_on);
        break;
    case WAIT_FOR_FUTURES: {
        struct wait_set *s = f->wait_on;
        v->count = s->count;
        v->pending = (size_t)(atomic_load_relaxed(&s->state) / SET_ONE); /* ORD none: a figure */
        break;
    }
    case WAIT_FOR_MUTEX:
        v->lock_holder = mutex_holder(f->wait_on);
        break;
    case WAIT_FOR_READING:
    case WAIT_FOR_WRITING:
        v->lock_holder = weft__rwlock_writer(f->wait_on);
        break;
    case WAIT_FOR_OPERATION:
        if (f->wait_home->poller_ops->fd_of != NULL) {
            v->fd = f->wait_home->poller_ops->fd_of(f->wait_on);
        }
        break;
    default:
        break;
    }
}

/* t is on a fiber that the caller holds. */
static void view_held(const struct fiber *f, weft_task *t, struct task_view *v)
{
    v->under = weft_get(t->under);
    if (atomic_load_acquire(&f->running) != 0) { /* ORD P4 (fiber.h): its stack and fields */
        v->state = VIEW_RUNNING; /* it is about to wait */
    } else if (f->top != t) {
        v->state = VIEW_UNDER;
        v->awaited = weft_get(t->above);
    } else {
        v->state = VIEW_WAITING;
        view_wait(f, v);
        v->depth = weft__backtrace(f, v->frames, v->room);
    }
}

static void view_started(struct fiber *f, weft_task *t, struct task_view *v)
{
    /* ORD none: a moment's state. */
    v->state = atomic_load_relaxed(&f->running) != 0 ? VIEW_RUNNING : VIEW_READY;
    uint64_t ticket = weft__hold(f);
    if (ticket == 0) {
        return;
    }
    if (fiber_carries(f, t)) {
        view_held(f, t, v);
    }
    weft__unhold(f, ticket, false);
}

void weft__view(weft_task *t, struct task_view *v)
{
    void **frames = v->frames;
    size_t room = v->room;
    *v = (struct task_view){.frames = frames, .room = room, .fd = -1, .state = VIEW_ENDED};
    if (future_is_done(t) || t->fn == NULL || weft__runtime_enter(t->rt, RUNTIME_CLOSED) < 0) {
        return;
    }
    v->asked = atomic_load_relaxed(&t->cancel); /* ORD none: a figure */
    /* ORD P5 (future.h): the fiber's contents. */
    struct fiber *f = atomic_load_acquire(&t->fiber);
    if (f != NULL) {
        view_started(f, t, v);
    } else {
        /* ORD none: a moment's state. */
        bool is_held = (atomic_load_relaxed(&t->word) & FUTURE_HELD) != 0;
        v->state = is_held ? VIEW_HELD_BACK : VIEW_NEW;
    }
    weft__runtime_exit(t->rt);
    if (future_is_done(t)) { /* so what was seen was not its own, maybe */
        weft__view_end(v);
        *v = (struct task_view){.frames = frames, .room = room, .fd = -1, .state = VIEW_ENDED};
    }
}

void weft__view_end(struct task_view *v)
{
    weft_put(v->awaited);
    weft_put(v->under);
    v->awaited = NULL;
    v->under = NULL;
}

size_t weft_backtrace(weft_task *task, void **frames, size_t n)
{
    if (task == NULL) {
        return 0;
    }
    struct task_view v = {.frames = frames, .room = n};
    weft__view(task, &v);
    weft__view_end(&v);
    return v.depth;
}

weft_task *weft__waiter_task(const struct waiter *node)
{
    const struct fiber *f = weft__await_fiber_of(node);
    f = f != NULL ? f : weft__shielded_fiber_of(node);
    f = f != NULL ? f : weft__wait_set_fiber_of(node);
    /* The node is listed while that task is in the call: it is the fiber's top one. */
    return f != NULL ? f->top : weft__group_task_of(node);
}

size_t weft_awaiters(weft_future *f, weft_task **out, size_t n)
{
    if (f == NULL || !weft__slab_is_ours(f)) {
        return 0; /* one of the parent's threads may have had the lock */
    }
    struct task_view v = {.room = 0};
    weft__view(f, &v);
    size_t count = 0;
    if (v.under != NULL) {
        if (n > 0 && out != NULL) {
            out[0] = weft_get(v.under);
        }
        count = 1;
    }
    weft__view_end(&v);
    weft__future_lock(f);
    const struct waiter *first = f->waiters;
    const struct waiter *node = first;
    while (node != NULL) {
        weft_task *t = weft__waiter_task(node);
        if (t != NULL && count < n && out != NULL) {
            out[count] = weft_get(t);
        }
        count += t != NULL;
        node = node->next == first ? NULL : node->next;
    }
    weft__future_unlock(f);
    return count;
}
