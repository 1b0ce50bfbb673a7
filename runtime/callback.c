/* SPDX-License-Identifier: MIT */
/*
 * Callbacks without a fiber: posts, and what is called when a future is done.
 *
 * A callback is queued as a task is, and runs in the loop of whichever worker picks it. What is
 * called for one future is one queue item a runtime: a chain in the order of registration, which
 * keeps that order on any number of workers.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/task.h>
#include <weft/timer.h>

#include "locals.h"
#include "runtime_object.h"

struct post {
    struct callback callback;
    weft_callback_fn fn;
    void *arg;
    struct local_set *locals; /* of the poster */
};

static void post_invoke(struct callback *c)
{
    struct post *p = WEFT_CONTAINER(c, struct post, callback);
    weft_callback_fn fn = p->fn;
    void *arg = p->arg;
    struct callback_frame frame;
    callback_begin(&frame, p->locals, (uintptr_t)fn);
    free(p);
    fn(arg);
    callback_end(&frame);
}

void weft__callback_queue(weft_runtime *rt, struct callback *c)
{
    struct worker *w = weft__worker_current();
    c->run.kind = RUNNABLE_CALLBACK;
    c->run.pinned_to = RUNNABLE_ANYWHERE;
    /* On a single worker in the order posted, also after what other threads have posted. */
    if (w != NULL && w->rt == rt && (!w->is_alone || inject_empty(&rt->inject))) {
        counter_add_release(&w->count.callbacks_queued, 1);
        weft__runnable_spawn(w, &c->run);
        return;
    }
    /* ORD P2 (close.c): counted before it can run. */
    (void)atomic_add_acq_rel(&rt->outside_callbacks, 1);
    weft__runnable_ready(rt, &c->run);
}

int weft_post(weft_runtime *rt, weft_callback_fn fn, void *arg)
{
    struct post *p = malloc(sizeof *p);
    if (p == NULL || locals_capture(weft__worker_current(), &p->locals) < 0) {
        free(p);
        return -ENOMEM;
    }
    p->callback.invoke = post_invoke;
    p->fn = fn;
    p->arg = arg;
    int err = weft__runtime_enter(rt, RUNTIME_CLOSING);
    if (err < 0) {
        weft__locals_drop(p->locals);
        free(p);
        return err;
    }
    weft__callback_queue(rt, &p->callback);
    weft__runtime_exit(rt);
    return 0;
}

/* One registration of weft_on_done; a waiter, then a link of a chain. */
struct done_entry {
    struct waiter node;
    struct callback callback;
    struct done_entry *next; /* of the same future and runtime, later */
    weft_future *f;          /* a reference */
    weft_runtime *rt;        /* its memory is held */
    weft_done_fn fn;
    void *arg;
    struct local_set *locals; /* of who registered it */
};

static void done_free(struct done_entry *e)
{
    weft_put(e->f);
    weft__runtime_release(e->rt);
    weft__locals_drop(e->locals);
    free(e);
}

static void done_invoke(struct callback *c)
{
    struct done_entry *e = WEFT_CONTAINER(c, struct done_entry, callback);
    while (e != NULL) {
        struct done_entry *next = e->next;
        struct callback_frame frame;
        callback_begin(&frame, e->locals, (uintptr_t)e->fn);
        e->locals = NULL;
        e->fn(e->f, e->arg);
        callback_end(&frame);
        done_free(e);
        e = next;
    }
}

static void done_wake(struct waiter *node, weft_future *f);

/* Take the further registrations of the same runtime out of the list, in order. Lock held. */
static void done_collect(struct done_entry *first, weft_future *f)
{
    struct done_entry *last = first;
    struct waiter *node = f->waiters;
    struct waiter *end = node == NULL ? NULL : node->prev;
    while (node != NULL) {
        struct waiter *next = node == end ? NULL : node->next;
        struct done_entry *e = WEFT_CONTAINER(node, struct done_entry, node);
        if (node->wake == done_wake && e->rt == first->rt) {
            weft__waiter_unlink(f, node);
            last->next = e;
            last = e;
        }
        node = next;
    }
    last->next = NULL;
}

/* The future is done: queue one item for this registration and those that belong with it. A runtime
 * that was closed before another one's future is done calls nobody any more. */
static void done_wake(struct waiter *node, weft_future *f)
{
    struct done_entry *e = WEFT_CONTAINER(node, struct done_entry, node);
    weft_runtime *rt = e->rt;
    done_collect(e, f);
    if (weft__runtime_enter(rt, RUNTIME_STOPPING) == 0) {
        weft__callback_queue(rt, &e->callback);
        weft__runtime_exit(rt);
        return;
    }
    while (e != NULL) {
        struct done_entry *next = e->next;
        done_free(e); /* f is held by the one who ends it */
        e = next;
    }
}

int weft_on_done(weft_future *f, weft_done_fn cb, void *arg)
{
    struct worker *w = weft__worker_current();
    if (f == NULL) {
        return -ENOMEM;
    }
    if (w == NULL) {
        return -EPERM;
    }
    struct done_entry *e = malloc(sizeof *e);
    if (e == NULL || locals_capture(w, &e->locals) < 0) {
        free(e);
        return -ENOMEM;
    }
    e->node.wake = done_wake;
    e->callback.invoke = done_invoke;
    e->next = NULL;
    e->f = weft_get(f);
    weft__runtime_hold(w->rt);
    e->rt = w->rt;
    e->fn = cb;
    e->arg = arg;
    if (!weft__future_add_waiter(f, &e->node)) {
        weft__callback_queue(w->rt, &e->callback);
    }
    return 0;
}

int weft_on_done_remove(weft_future *f, weft_done_fn cb, void *arg)
{
    if (f == NULL || !weft__slab_is_ours(f)) {
        return 0; /* one of the parent's threads may have had the lock */
    }
    struct done_entry *removed = NULL;
    weft__future_lock(f);
    struct waiter *node = f->waiters;
    struct waiter *end = node == NULL ? NULL : node->prev;
    while (node != NULL) {
        struct waiter *next = node == end ? NULL : node->next;
        struct done_entry *e = WEFT_CONTAINER(node, struct done_entry, node);
        if (node->wake == done_wake && e->fn == cb && e->arg == arg) {
            weft__waiter_unlink(f, node);
            e->next = removed;
            removed = e;
        }
        node = next;
    }
    weft__future_unlock(f);
    int count = 0;
    while (removed != NULL) {
        struct done_entry *next = removed->next;
        done_free(removed);
        removed = next;
        count++;
    }
    return count;
}
