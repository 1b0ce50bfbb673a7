/* SPDX-License-Identifier: MIT */
/* View, in words: the line about one task or promise. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/debug.h>
#include <weft/runtime.h>
#include <weft/task.h>

#include "runtime_object.h"
#include "view.h"

struct text {
    char *buf;
    size_t bytes;
    size_t length; /* of all that was added, also what did not fit */
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t at = t->length < t->bytes ? t->length : t->bytes;
    int n = vsnprintf(at < t->bytes ? t->buf + at : NULL, t->bytes - at, format, args);
    t->length += n > 0 ? (size_t)n : 0;
    va_end(args);
}

int weft__view_name(weft_task *t, char *buf, size_t bytes)
{
    char name[128];
    char number[32];
    (void)weft_task_name(t, name, sizeof name);
    snprintf(number, sizeof number, "Task-%llu", (unsigned long long)weft_task_id(t));
    return strcmp(name, number) == 0 ? snprintf(buf, bytes, "%s", number)
                                     : snprintf(buf, bytes, "%s (%s)", name, number);
}

static void add_name(struct text *text, weft_future *f)
{
    char name[192];
    if (f->fn == NULL) {
        text_add(text, "a promise (%p)", (void *)f);
    } else {
        (void)weft__view_name(f, name, sizeof name);
        text_add(text, "%s", name);
    }
}

static void add_outcome(struct text *text, const weft_future *f)
{
    if (f->error == 0) {
        text_add(text, "has ended with %p", f->value.result);
    } else if (f->error == -ECANCELED) {
        text_add(text, "has ended cancelled");
    } else {
        text_add(text, "has failed with %d (%s)", f->error, strerrordesc_np(-f->error));
    }
}

/* What is waited for, by enum wait_for, where it is an object; "..." stands for its address. */
static const char *const objects[] = {
    [WAIT_FOR_SOMETHING] = "something",
    [WAIT_FOR_COMPLETION] = "the next of several futures",
    [WAIT_FOR_CHILDREN] = "the children of a group",
    [WAIT_FOR_MUTEX] = "a mutex",
    [WAIT_FOR_READING] = "a reader-writer lock, to read",
    [WAIT_FOR_WRITING] = "a reader-writer lock, to write",
    [WAIT_FOR_EVENT] = "an event",
    [WAIT_FOR_CONDITION] = "a condition",
    [WAIT_FOR_SEMAPHORE] = "a semaphore",
    [WAIT_FOR_BARRIER] = "a barrier",
    [WAIT_FOR_ROOM] = "room in a queue",
    [WAIT_FOR_ITEM] = "an item of a queue",
    [WAIT_FOR_JOIN] = "a queue's items to be done",
    [WAIT_FOR_SEND] = "a channel, to send",
    [WAIT_FOR_RECEIVE] = "a channel, to receive",
    [WAIT_FOR_BROADCAST] = "a broadcast",
    [WAIT_FOR_CHANGE] = "a watch to change",
    [WAIT_FOR_SELECT] = "one of several channels",
    [WAIT_FOR_CLOSE] = "a descriptor's operations to end",
    [WAIT_FOR_CALL] = "a call on a thread",
    [WAIT_FOR_SIGNAL] = "a signal",
};

static void add_wait(struct text *text, weft_task *t, const struct task_view *v,
                     weft_task *lock_holder)
{
    switch (v->what) {
    case WAIT_FOR_FUTURE:
        text_add(text, "waits for ");
        add_name(text, v->awaited);
        break;
    case WAIT_FOR_FUTURES:
        text_add(text, "waits for %zu futures, of which %zu are pending", v->count, v->pending);
        break;
    case WAIT_FOR_TIME:
        if (v->wake_ns == 0) {
            text_add(text, "sleeps for ever");
        } else {
            int64_t left_ns = v->wake_ns - weft__runtime_now(t->rt);
            text_add(text, "sleeps for %lld us more",
                     (long long)(left_ns > 0 ? left_ns / WEFT_US : 0));
        }
        break;
    case WAIT_FOR_OPERATION:
        text_add(text, "waits for an operation on descriptor %d", v->fd);
        break;
    default:
        text_add(text, "waits for %s (%p)", objects[v->what], v->object);
        break;
    }
    if (lock_holder != NULL) {
        text_add(text, " that ");
        add_name(text, lock_holder);
        text_add(text, " has");
    }
}

static void add_state(struct text *text, weft_task *t, const struct task_view *v,
                      weft_task *lock_holder)
{
    switch (v->state) {
    case VIEW_ENDED:
        if (future_is_done(t)) {
            add_outcome(text, t);
        } else {
            text_add(text, "is out of reach"); /* a parent's, in a child of fork */
        }
        break;
    case VIEW_HELD_BACK:
        text_add(text, "is held back");
        break;
    case VIEW_NEW:
        text_add(text, "has not started");
        break;
    case VIEW_READY:
        text_add(text, "is ready to run");
        break;
    case VIEW_RUNNING:
        text_add(text, "is running");
        break;
    case VIEW_WAITING:
        add_wait(text, t, v, lock_holder);
        break;
    case VIEW_UNDER:
        text_add(text, "waits for ");
        add_name(text, v->awaited);
        text_add(text, ", which has its stack");
        break;
    }
}

int weft__view_format(weft_task *t, const struct task_view *v, weft_task *lock_holder, char *buf,
                      size_t bytes)
{
    struct text text = {buf, bytes, 0};
    add_name(&text, t);
    text_add(&text, ": ");
    add_state(&text, t, v, lock_holder);
    if (v->asked > 0) {
        text_add(&text, ", asked to end");
        if (v->asked > 1) {
            text_add(&text, " %u times", v->asked);
        }
    }
    return (int)text.length;
}

struct holder_search {
    const weft_task *wanted;
    weft_task *found;
};

static bool holder_is(weft_task *t, void *arg)
{
    struct holder_search *s = arg;
    if (t == s->wanted && weft__task_try_get(t)) {
        s->found = t;
    }
    return t != s->wanted;
}

/* The task of rt at that address, with a reference; NULL: none, any more. */
static weft_task *holder_find(weft_runtime *rt, const weft_task *wanted)
{
    struct holder_search s = {wanted, NULL};
    if (wanted != NULL && weft__runtime_enter(rt, RUNTIME_CLOSED) == 0) {
        weft__slab_walk(rt->tasks, holder_is, &s);
        weft__runtime_exit(rt);
    }
    return s.found;
}

ssize_t weft_describe(weft_future *f, char *buf, size_t bytes)
{
    if (f == NULL) {
        return -EINVAL;
    }
    struct text text = {buf, bytes, 0};
    if (f->fn == NULL) {
        add_name(&text, f);
        text_add(&text, ": ");
        if (future_is_done(f)) {
            add_outcome(&text, f);
        } else {
            text_add(&text, "is pending");
        }
        return (ssize_t)text.length;
    }
    struct task_view v = {.room = 0};
    weft__view(f, &v);
    weft_task *holder = holder_find(f->rt, v.lock_holder);
    int n = weft__view_format(f, &v, holder, buf, bytes);
    weft_put(holder);
    weft__view_end(&v);
    return n;
}
