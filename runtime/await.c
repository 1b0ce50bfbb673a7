/* SPDX-License-Identifier: MIT */
/*
 * Await: wait for a future's end.
 *
 * A child that has not started and is still in the caller's own deque is run right there, as a call
 * on the caller's stack. It is a task all the same: it has its own identity, may suspend (and with
 * it the stack, and the caller under it), be awaited and cancelled by others. It is not done when
 * the caller was cancelled or a scope of its has ended, when the stack has not the room the child
 * was promised, when either is pinned, or when the caller handles a C++ exception: to C++ it would
 * be the child's. A turn of the loop that falls due meanwhile is taken in between: the caller goes
 * to the loop and comes straight back, so a deep recursion polls, and stays on its one stack.
 */
#include <weft/task.h>

#include "debug_switch.h"
#include "runtime_object.h"
#include "scope.h"

/* Frames of await itself and of a signal on the worker's way, beyond what the child
 * was promised. */
#define NESTED_MARGIN_BYTES 4096

struct fiber_waiter {
    struct waiter node;
    struct fiber *fiber;
    uint64_t ticket;
};

static void fiber_waiter_wake(struct waiter *node, weft_future *f)
{
    (void)f;
    struct fiber_waiter *w = WEFT_CONTAINER(node, struct fiber_waiter, node);
    bool is_ours = weft__wake(w->fiber, w->ticket);
    WEFT_ASSERT(is_ours); /* an awaited task's end is all that ends this wait */
}

struct fiber *weft__await_fiber_of(const struct waiter *node)
{
    return node->wake == fiber_waiter_wake
               ? WEFT_CONTAINER(node, const struct fiber_waiter, node)->fiber
               : NULL;
}

static bool can_nest(const struct worker *w, const weft_task *self, const weft_task *t)
{
    const char *here = __builtin_frame_address(0);
    size_t room = (size_t)(here - (const char *)w->fiber->stack.low);
    return t->fn != NULL && t->run.pinned_to == RUNNABLE_ANYWHERE &&
           self->run.pinned_to == RUNNABLE_ANYWHERE && !worker_in_exception(w) &&
           room >= stack_promise_bytes(t->run.stack_class) + NESTED_MARGIN_BYTES &&
           /* ORD none: own task; a request that comes now finds the child nested. */
           atomic_load_relaxed(&((weft_task *)(uintptr_t)self)->cancel) == 0 &&
           !weft__scope_is_over(w->fiber) &&
           /* ORD none: a task in our deque is not being started by anybody else. */
           atomic_load_relaxed(&((weft_task *)(uintptr_t)t)->fiber) == NULL;
}

/* Run t, which was taken out of the deque, on the current stack. */
static void run_nested(struct worker *w, struct fiber *f, weft_task *self, weft_task *t)
{
    (void)worker_count_item(w);
    counter_add(&w->count.nested, 1);
    struct weft_scope *outer = f->scope; /* the caller's, as long as t enters none */
    self->passed = 0;
    self->above = t;
    t->above = NULL;
    t->under = self;
    /* ORD P5 (future.h): a canceller that sees the fiber sees what is in it. */
    atomic_store_release(&t->fiber, f);
    f->top = t;
    debug_switch(w, t);
    void *value = t->fn(t->value.arg);
    w = weft__worker_current();
    WEFT_REQUIRE(w != NULL, "a child forked inside a task must exec or _exit, not return");
    WEFT_REQUIRE(f->scope == outer, "a task leaves every scope that it has entered");
    debug_switch(w, self);
    f->top = self;
    self->above = NULL;
    weft__task_finish(w, t, value);
}

/* Park until t has ended; a cancel of the caller is passed on to it, once. */
void weft__await_parked(struct fiber *f, weft_future *t)
{
    weft_task *self = f->top;
    struct fiber_waiter waiter = {.node.wake = fiber_waiter_wake, .fiber = f};
    self->passed = 0;
    f->wait_for = WAIT_FOR_FUTURE;
    waiter.ticket = weft__wait_begin(f, WAIT_TASK, t);
    if (weft__interrupted(f) < 0) {
        /* The request came before the wait was announced, or its canceller is about to look. */
        uint64_t ticket = weft__hold(f);
        bool pass_on = !self->passed;
        self->passed = 1;
        weft__unhold(f, ticket, false);
        if (pass_on && !weft__cancel(t)) {
            weft__interrupted_unnote(f);
        }
    }
    if (weft__future_add_waiter(t, &waiter.node)) {
        weft__park(f);
        return;
    }
    bool is_aborted = weft__wait_abort(f, waiter.ticket);
    WEFT_ASSERT(is_aborted); /* nobody was told of this wait but cancellers, who do not end it */
}

int weft_await(weft_future *t, void **result)
{
    if (t == NULL) {
        return -ENOMEM;
    }
    struct worker *w = weft__worker_current();
    if (w == NULL || w->in_loop) {
        return -EPERM;
    }
    if (!future_is_done(t)) {
        struct fiber *f = w->fiber;
        weft_task *self = f->top;
        if (fiber_carries(f, t)) {
            return -EDEADLK;
        }
        bool is_nestable = can_nest(w, self, t);
        if (is_nestable && WEFT_UNLIKELY(worker_ticks(w) <= 1)) {
            weft__fiber_visit_loop(w);
            w = weft__worker_current();
            is_nestable = can_nest(w, self, t);
        }
        if (is_nestable && deque_take_back(&w->deque, &t->run)) {
            run_nested(w, f, self, t);
        } else {
            weft__await_parked(f, t);
        }
    }
    return weft_result(t, result);
}

int weft_join(weft_task *task, void **result)
{
    int err = weft_await(task, result);
    /* The task's own error may be one of those by which the call is refused. */
    if ((err == -EPERM && weft__fiber_current() == NULL) ||
        (err == -EDEADLK && !weft_done(task))) {
        return err;
    }
    weft_put(task);
    return err;
}

int weft_cancel_and_join(weft_task *task, void **result)
{
    weft_cancel(task);
    return weft_join(task, result);
}
