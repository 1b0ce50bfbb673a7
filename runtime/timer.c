/* SPDX-License-Identifier: MIT */
/*
 * Timer objects: one callback, startable and stoppable from any thread.
 *
 * Whether a call is wanted, and from when on, is under the timer's lock. The deadline is armed in
 * some worker's heap; expiry comes with the heap's lock held, so it takes no other: it queues the
 * callback, unless it is queued already. When the callback comes to run it looks whether it is
 * still wanted, and due; if not it does nothing.
 *
 *   stopped --start--> wanted, armed --expiry--> wanted, queued --runs--> running --> stopped
 *      ^-------stop-------'-------------------------'
 *
 * A timer that is started while its callback runs, and comes to be due on another worker, is not
 * run beside it: the running one queues it anew when it returns.
 *
 * Whoever waits for a running callback awaits a future made for that. What the callback starts
 * while somebody waits is stopped when it returns: a timer that starts itself could never be caught
 * between two calls otherwise. A timer that is destroyed while its callback runs cannot be started.
 *
 * Invariants
 *   I1  the callback object is in a queue at most once: is_queued.
 *   I2  users: the handle, and the queued or running callback, hold the memory.
 *
 * Lock order: timer, then heap.
 * Pairs
 *   P1  expire: is_queued, acq_rel   -> invoke: is_queued, acq_rel    one queueing at a time
 *   P2  put: users, acq_rel          -> the last put                  all uses before the free
 *   P3  unlock: lock, release       -> lock: lock, acquire          what is under it
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/timer.h>

#include "backoff.h"
#include "locals.h"
#include "runtime_object.h"

struct weft_timer {
    /* immutable */
    weft_runtime *rt;
    weft_callback_fn fn;
    void *arg;
    /* atomic */
    _Atomic(uint32_t) users;
    _Atomic(uint32_t) is_queued;
    /* the heap's lock */
    struct deadline deadline;
    /* the queue it is in */
    struct callback callback;
    /* under lock */
    _Atomic(uint32_t) lock; /* held for a few instructions, never over a wait */
    bool is_wanted;
    int64_t due_ns;
    struct worker *runs_on; /* while the callback runs */
    bool is_due_again;      /* it was to be called anew meanwhile */
    weft_future *over;      /* done when it has returned; made by the first who waits */
    bool is_destroyed;      /* the handle is gone; the callback that runs may not know */
    struct local_set *locals; /* of who started it */
};

static void timer_lock(weft_timer *t)
{
    unsigned turns = 0;
    /* ORD P3: what the holder before did. */
    while (atomic_exchange_acquire(&t->lock, 1) != 0) {
        backoff_wait(&turns);
    }
}

static void timer_unlock(weft_timer *t)
{
    atomic_store_release(&t->lock, 0); /* ORD P3: what we did */
}

static void timer_put(weft_timer *t)
{
    if (atomic_sub_acq_rel(&t->users, 1) == 1) { /* ORD P2: the last user */
        weft__runtime_release(t->rt);
        weft__locals_drop(t->locals);
        free(t);
    }
}

/* Queue the callback, unless it is. The caller keeps t, and the runtime open. */
static void timer_queue(weft_timer *t)
{
    /* ORD P1: queued once. */
    if (atomic_exchange_acq_rel(&t->is_queued, 1) == 0) {
        (void)atomic_add_relaxed(&t->users, 1); /* ORD none: there is one, the caller's */
        weft__callback_queue(t->rt, &t->callback);
    }
}

/* Take what a due callback needs to know. False: it is not wanted any more, or not yet. */
static bool timer_begin(weft_timer *t, struct local_set **locals)
{
    timer_lock(t);
    bool is_due = t->is_wanted && t->due_ns <= weft__runtime_now(t->rt);
    if (t->runs_on != NULL) {
        t->is_due_again = t->is_due_again || is_due; /* once at a time: when this call is over */
        is_due = false;
    }
    if (is_due) {
        t->is_wanted = false;
        t->runs_on = weft__worker_current();
        *locals = t->locals;
        t->locals = NULL;
    }
    timer_unlock(t);
    return is_due;
}

/* Keep the callback from being called. Lock held; the heap is there. True: it would have been. */
static bool timer_unwant(weft_timer *t)
{
    (void)weft__timers_disarm(&t->deadline);
    bool was_wanted = t->is_wanted;
    t->is_wanted = false;
    return was_wanted;
}

static void timer_end(weft_timer *t)
{
    timer_lock(t);
    weft_future *over = t->over;
    if (over != NULL) {
        /* Who waits has stopped it: also from what the callback has started since. */
        over->value.result = timer_unwant(t) ? t : NULL;
    }
    t->over = NULL;
    t->runs_on = NULL;
    bool is_due_again = t->is_due_again && t->is_wanted;
    t->is_due_again = false;
    timer_unlock(t);
    if (over != NULL) {
        weft__future_end(over);
    }
    if (is_due_again) {
        timer_queue(t);
    }
}

static void timer_invoke(struct callback *c)
{
    weft_timer *t = WEFT_CONTAINER(c, weft_timer, callback);
    /* ORD P1: from here on an expiry queues it anew. */
    (void)atomic_exchange_acq_rel(&t->is_queued, 0);
    struct local_set *locals;
    if (timer_begin(t, &locals)) {
        struct callback_frame frame;
        callback_begin(&frame, locals, (uintptr_t)t->fn);
        t->fn(t->arg);
        callback_end(&frame);
        timer_end(t);
    }
    timer_put(t);
}

/* Called with the heap's lock held. */
static int64_t timer_expire(struct deadline *d, int64_t now_ns)
{
    (void)now_ns;
    weft_timer *t = WEFT_CONTAINER(d, weft_timer, deadline);
    if (weft__runtime_enter_unkept(t->rt, RUNTIME_STOPPING) < 0) {
        return 0; /* the workers are about to end: as if it were not due yet */
    }
    timer_queue(t);
    runtime_leave(t->rt);
    return 0;
}

int weft_timer_create(weft_timer **timer, weft_runtime *rt, weft_callback_fn fn, void *arg)
{
    if (timer == NULL || rt == NULL || fn == NULL) {
        return -EINVAL;
    }
    int err = weft__runtime_enter(rt, RUNTIME_CLOSING);
    if (err < 0) {
        return err;
    }
    weft_timer *t = calloc(1, sizeof *t);
    if (t != NULL) {
        weft__runtime_hold(rt);
    }
    weft__runtime_exit(rt);
    if (t == NULL) {
        return -ENOMEM;
    }
    t->rt = rt;
    t->fn = fn;
    t->arg = arg;
    t->deadline.expire = timer_expire;
    t->callback.invoke = timer_invoke;
    atomic_store_relaxed(&t->users, 1); /* ORD none: not shared yet */
    *timer = t;
    return 0;
}

/* Arm the timer and give it the locals; what it had before. -ESHUTDOWN: it is destroyed. */
static int timer_arm(weft_timer *t, struct worker *w, int64_t for_ns, struct local_set **locals)
{
    timer_lock(t);
    if (t->is_destroyed) {
        timer_unlock(t);
        return -ESHUTDOWN;
    }
    int64_t now = weft__runtime_now(t->rt);
    int64_t wait = for_ns > 0 ? for_ns : 0;
    t->due_ns = wait > WEFT_FOREVER - 1 - now ? WEFT_FOREVER - 1 : now + wait;
    int err = weft__timers_arm(&w->timers, &t->deadline, t->due_ns);
    t->is_wanted = err == 0;
    struct local_set *before = t->locals;
    t->locals = *locals;
    *locals = before;
    timer_unlock(t);
    return err;
}

int weft_timer_start(weft_timer *t, int64_t for_ns)
{
    weft_runtime *rt = t->rt; /* once t is unlocked the callback may run, and destroy it */
    struct worker *w = weft__worker_current();
    struct local_set *locals;
    if (locals_capture(w, &locals) < 0) {
        (void)weft_timer_stop(t);
        return -ENOMEM;
    }
    int err = weft__runtime_enter(rt, RUNTIME_CLOSING);
    if (err == 0) {
        bool is_inside = w != NULL && w->rt == rt;
        w = is_inside ? w : &rt->workers[0];
        err = timer_arm(t, w, for_ns, &locals);
        if (err == 0 && !is_inside) {
            weft__worker_nudge(w);
        }
        weft__runtime_exit(rt);
    }
    weft__locals_drop(locals);
    return err;
}

/* The future that tells when the running callback has returned, with a reference; NULL: none runs,
 * or it is the caller. Lock held. */
static weft_future *timer_over(weft_timer *t)
{
    struct worker *w = weft__worker_current();
    bool is_own_callback = w != NULL && t->runs_on == w && w->in_loop;
    if (t->runs_on == NULL || is_own_callback) {
        return NULL;
    }
    if (t->over == NULL) {
        t->over = weft__promise_create(t->rt);
    }
    return weft_get(t->over);
}

/* Stop; over: if not NULL gets what timer_over returns, as of the same moment. */
static bool timer_stop(weft_timer *t, bool for_good, weft_future **over)
{
    weft_runtime *rt = t->rt;
    if (over != NULL) {
        *over = NULL;
    }
    if (weft__runtime_is_parents(rt)) {
        return false; /* one of the parent's threads may have held the lock */
    }
    bool has_heap = weft__runtime_enter(rt, RUNTIME_CLOSED) == 0;
    timer_lock(t);
    bool was_wanted = has_heap && timer_unwant(t);
    t->is_wanted = false;
    t->is_destroyed = t->is_destroyed || for_good;
    struct local_set *locals = t->locals;
    t->locals = NULL;
    if (over != NULL) {
        *over = timer_over(t);
    }
    timer_unlock(t);
    if (has_heap) {
        weft__runtime_exit(rt);
    }
    weft__locals_drop(locals);
    return was_wanted;
}

bool weft_timer_stop(weft_timer *t)
{
    return timer_stop(t, false, NULL);
}

bool weft_timer_stop_and_wait(weft_timer *t)
{
    weft_future *over;
    bool was_wanted = timer_stop(t, false, &over);
    if (over != NULL) {
        void *prevented = NULL;
        if (weft__fiber_current() != NULL) {
            weft__future_wait_firm(over); /* for a cancel is no reason to go on before */
        } else {
            (void)weft_future_wait_blocking(over, WEFT_FOREVER, NULL);
        }
        (void)weft_result(over, &prevented); /* it ends in one way only */
        was_wanted = was_wanted || prevented != NULL;
        weft_put(over);
    }
    return was_wanted;
}

void weft_timer_destroy(weft_timer *t)
{
    if (t != NULL) {
        (void)timer_stop(t, true, NULL);
        timer_put(t);
    }
}
