/* SPDX-License-Identifier: MIT */
/*
 * Switching between fibers, and choosing what runs next.
 *
 * fiber_switch is part of the function that parks and of the one that yields, so that a suspended
 * fiber has one frame of ours on its stack (context.h); all else calls fiber_switch_apart. The
 * leaver goes straight to the next fiber; whatever has to happen to the leaver once it is off its
 * stack is the arriver's first act (fiber_arrive).
 *
 * A fresh fiber runs fiber_main, which runs tasks one after another as long as the next item is
 * another task that has not started: a chain of short tasks stays on one hot stack. A stack in the
 * cache is a fiber suspended in that loop, so to take one again is a switch like any other.
 *
 * errno and C++'s exception state belong to a thread; they are saved with the fiber and restored on
 * the thread it resumes on.
 */
#include <errno.h>
#include <sched.h>
#include <stdint.h>

#include <weft/task.h>

#include "context.h"
#include "debug_switch.h"
#include "queued.h"
#include "runtime_object.h"
#include "scope.h"

struct fiber *weft__fiber_current(void)
{
    struct worker *w = weft__worker_current();
    return w == NULL || w->in_loop ? NULL : w->fiber;
}

/* It goes on after a turn of the loop: into the next slot, and first in its streak. */
static void fiber_arrive_next(struct worker *w, struct fiber *left)
{
    struct runnable *before = worker_swap_next(w, &left->top->run);
    if (before != NULL) {
        weft__worker_push(w, before);
        weft__worker_offer(w);
    }
    w->next_streak = 0;
}

/* A task that yielded is queued in the place of another one. Somebody may have looked in between,
 * and sleep now, or have found that nobody need be woken (idle.h). */
static inline void offer_in_place(struct worker *w)
{
    if (w->is_alone) {
        return;
    }
    barrier_light();
    uint32_t looks = idle_looks(&w->rt->idle);
    if (WEFT_UNLIKELY(looks != w->looks_seen)) {
        w->looks_seen = looks;
        weft__worker_offer(w);
    }
}

/* What is not a wait and not a yield. */
static WEFT_NOINLINE void fiber_arrive_seldom(struct worker *w, struct fiber *left)
{
    switch (w->leave) {
    case LEAVE_PARKED:
        break;
    case LEAVE_NEXT:
        fiber_arrive_next(w, left);
        break;
    case LEAVE_REQUEUE:
    case LEAVE_OFFER:
        queued_push(w, &left->top->run);
        weft__worker_offer(w);
        break;
    case LEAVE_FREE:
        stack_cache_put(&w->stacks, &left->stack);
        break;
    }
}

/* What the fiber that was left needs from the one that arrived. */
static WEFT_ALWAYS_INLINE void fiber_arrive(struct worker *w)
{
    struct fiber *left = w->left;
    /* ORD P4 (fiber.h): it is off its stack; whoever was asked to resume it may. */
    atomic_store_release(&left->running, 0);
    if (w->leave == LEAVE_REQUEUE) {
        queued_push(w, &left->top->run);
        offer_in_place(w);
    } else if (w->leave != LEAVE_PARKED) {
        fiber_arrive_seldom(w, left);
    }
}

/* Whether a fiber is off its stack: one that was made ready early may be on the way. */
static inline bool fiber_has_left(struct fiber *f)
{
    return atomic_load_acquire(&f->running) == 0; /* ORD P4 (fiber.h): its registers and fields */
}

/*
 * Wait until a fiber has left: a few instructions, unless its worker was preempted in between. From
 * the loop alone, which nobody waits for: two workers on two fibers, each with the other's fiber as
 * its next, would wait for ever.
 */
static WEFT_NOINLINE void fiber_await_leaver(struct fiber *to)
{
    unsigned spins = 0;
    while (!fiber_has_left(to)) {
        cpu_relax();
        if (++spins % 64 == 0) {
            sched_yield();
        }
    }
}

/*
 * Go from the current fiber to another, which has left its stack. Returns when somebody comes back,
 * with the worker that runs it then. The frame is kept small: it and what is above it are what a
 * switch touches of a stack.
 */
static WEFT_ALWAYS_INLINE struct worker *fiber_switch(struct worker *w, struct fiber *to,
                                                      enum leave_action leave)
{
    struct fiber *from = w->fiber;
    int saved_errno = *w->errno_address;
    atomic_store_relaxed(&to->running, 1); /* ORD none: only its one resumer writes it */
    w->left = from;
    w->leave = leave;
    w->fiber = to;
    w->in_loop = to == &w->loop;
    counter_add(&w->count.switches, 1);
    sanitize_switch_begin(&from->sanitize, &to->sanitize, false);
    w = context_switch(&from->sp, to->sp, w);
    sanitize_switch_end(&from->sanitize);
    fiber_arrive(w);
    *w->errno_address = saved_errno;
    return w;
}

/* The same in a frame of its own. */
static WEFT_NOINLINE struct worker *fiber_switch_apart(struct worker *w, struct fiber *to,
                                                       enum leave_action leave)
{
    return fiber_switch(w, to, leave);
}

/* Before a switch: whose step ends, and whose begins. */
static inline void debug_leave_for(struct worker *w, const struct fiber *to)
{
    if (debug_is_on(w)) {
        weft__debug_switch(w, to == &w->loop || to->top != NULL ? to->top : w->starting);
    }
}

/* The same in debug mode, or in the middle of an exception. */
static WEFT_NOINLINE struct worker *fiber_switch_unusual(struct worker *w, struct fiber *to,
                                                         enum leave_action leave)
{
    if (debug_is_on(w)) {
        weft__debug_leave(w, leave);
    }
    debug_leave_for(w, to);
    if (!worker_in_exception(w)) {
        return fiber_switch_apart(w, to, leave);
    }
    struct cxx_state cxx = *w->cxx_globals;
    *w->cxx_globals = (struct cxx_state){{0, 0}};
    w = fiber_switch_apart(w, to, leave);
    *w->cxx_globals = cxx;
    return w;
}

/* Where the item is to be run: a fiber. NULL: the loop has to do it. */
static inline struct fiber *fiber_for(struct worker *w, struct runnable *r)
{
    if (r == NULL || r->kind != RUNNABLE_TASK) {
        return NULL;
    }
    weft_task *t = task_of(r);
    /* ORD none: written by the worker that ran it last, which queued it, and its queue orders. */
    struct fiber *f = atomic_load_relaxed(&t->fiber);
    if (WEFT_UNLIKELY(f == NULL)) {
        f = weft__fiber_create(w, r->stack_class);
        w->starting = t;
    }
    return f;
}

/* Leave the current fiber for the item, or for the loop, which then runs the item. */
static WEFT_ALWAYS_INLINE struct worker *fiber_leave_for(struct worker *w, struct runnable *r,
                                                         enum leave_action leave)
{
    struct fiber *to = fiber_for(w, r);
    if (WEFT_UNLIKELY(to == NULL || !fiber_has_left(to))) {
        w->loop_item = r;
        to = &w->loop;
    }
    return switch_is_usual(w) ? fiber_switch(w, to, leave) : fiber_switch_unusual(w, to, leave);
}

/* The same in a frame of its own. */
static WEFT_NOINLINE struct worker *fiber_leave_apart(struct worker *w, struct runnable *r,
                                                      enum leave_action leave)
{
    return fiber_leave_for(w, r, leave);
}

/* Run a task that has not started, as the first on this stack. */
static void fiber_run_task(struct worker *w, struct fiber *f, weft_task *t)
{
    debug_switch(w, t); /* after another one on this stack */
    f->top = t;
    t->under = NULL;
    t->above = NULL;
    /* ORD P5 (future.h): a canceller that sees the fiber sees what is in it. */
    atomic_store_release(&t->fiber, f);
    void *value = t->fn(t->value.arg);
    w = weft__worker_current();
    WEFT_REQUIRE(w != NULL, "a child forked inside a task must exec or _exit, not return");
    WEFT_REQUIRE(f->scope == NULL, "a task leaves every scope that it has entered");
    debug_switch(w, NULL);
    f->top = NULL;
    if (WEFT_UNLIKELY(f->has_alarm)) {
        weft__alarm_clear(f);
    }
    weft__task_finish(w, t, value);
}

/* A task whose start can use the stack of one that has just ended. */
static bool can_start_on(const struct fiber *f, const struct runnable *r)
{
    return r != NULL && r->kind == RUNNABLE_TASK && r->stack_class == f->stack.stack_class &&
           /* ORD none: a task in our hands starts nowhere else. */
           atomic_load_relaxed(&WEFT_CONTAINER(r, struct weft_future, run)->fiber) == NULL;
}

/* The first frame of every fiber; value is the worker. */
static void fiber_main(void *value)
{
    struct worker *w = value;
    struct fiber *f = w->fiber;
    sanitize_switch_end(&f->sanitize);
    fiber_arrive(w);
    weft_task *t = w->starting;
    for (;;) {
        fiber_run_task(w, f, t);
        w = weft__worker_current();
        struct runnable *r = weft__worker_pick(w);
        if (can_start_on(f, r)) {
            t = task_of(r);
        } else {
            /* The stack goes to the cache as it is, suspended here; who takes it resumes here. */
            w = fiber_leave_apart(w, r, LEAVE_FREE);
            t = w->starting;
        }
    }
}

struct fiber *weft__fiber_create(struct worker *w, unsigned stack_class)
{
    struct stack *s = stack_cache_get(&w->stacks, stack_class);
    if (s == NULL) {
        return NULL;
    }
    struct fiber *f = WEFT_CONTAINER(s, struct fiber, stack);
    if (WEFT_UNLIKELY(f->sp == NULL)) {
        /* New, or its memory was given back and reads as zeros: the epoch of the stack keeps stale
         * tickets from fitting again. */
        f->generation = (uint64_t)s->epoch << 32;
        sanitize_fiber_init(&f->sanitize, s->low, weft__stack_top(s));
        f->sp = weft__context_make(weft__stack_top(s), fiber_main);
    }
    return f;
}

struct runnable *weft__worker_pick(struct worker *w)
{
    return queued_pick(w);
}

/* Not inline, with link-time optimisation either: a backtrace knows it by its name. */
WEFT_NOINLINE void weft__park(struct fiber *f)
{
    struct worker *w = weft__worker_current();
    WEFT_ASSERT(w != NULL && w->fiber == f);
    struct runnable *r = queued_pick(w);
    if (r != &f->top->run) { /* else it was woken before it left */
        if (WEFT_UNLIKELY(f->scope != NULL)) {
            weft__alarm_set(w, f);
        }
        (void)fiber_leave_for(w, r, LEAVE_PARKED);
    }
    f->wait_for = WAIT_FOR_SOMETHING;
    if (WEFT_UNLIKELY(f->outcome < 0)) {
        weft__interrupted_note(f);
    }
}

static WEFT_ALWAYS_INLINE void give_turn(struct worker *w)
{
    /* What comes from the deque has been offered before. */
    bool is_offered = worker_next(w) == NULL && w->pinned_first == NULL;
    struct runnable *r = queued_pick(w);
    if (WEFT_LIKELY(r != NULL)) {
        (void)fiber_leave_for(w, r, is_offered ? LEAVE_REQUEUE : LEAVE_OFFER);
    } else if (worker_ticks(w) <= 0 || queued_scatters(w)) {
        (void)fiber_leave_apart(w, NULL, LEAVE_OFFER);
    }
}

void weft__give_turn(void)
{
    give_turn(weft__worker_current());
}

int weft_yield(void)
{
    struct worker *w = weft__worker_current();
    if (WEFT_UNLIKELY(w == NULL || w->in_loop)) {
        return -EPERM;
    }
    /* A cancelled task lets others run too: it may be in a loop until one of them has. */
    int err = fiber_interrupted(w->fiber);
    if (WEFT_UNLIKELY(err < 0)) {
        weft__give_turn();
        return err;
    }
    give_turn(w);
    return 0;
}

void weft__fiber_visit_loop(struct worker *w)
{
    struct fiber *f = w->fiber;
    enum leave_action leave = LEAVE_NEXT;
    if (w->slice_fiber != f) {
        w->slice_fiber = f;
        w->slice_started_ns = worker_turn_started(w);
    } else if (worker_turn_started(w) - w->slice_started_ns >= w->rt->options.slice_ns) {
        w->slice_fiber = NULL;
        leave = LEAVE_OFFER;
    }
    worker_set_ticks(w, 0);
    (void)fiber_leave_apart(w, NULL, leave);
}

void weft__spend(void)
{
    struct worker *w = weft__worker_current();
    if (WEFT_UNLIKELY(worker_count_item(w) <= 0)) {
        weft__fiber_visit_loop(w);
    }
}

bool weft__is_alone_here(void)
{
    struct worker *w = weft__worker_current();
    return !weft__worker_has_local(w) && !w->poller_ops->ready(w->poller);
}

void weft__loop_run(struct worker *w, struct runnable *r)
{
    if (r->kind == RUNNABLE_CALLBACK) {
        struct callback *c = WEFT_CONTAINER(r, struct callback, run);
        c->invoke(c);
        counter_add_release(&w->count.callbacks_run, 1);
        if (WEFT_UNLIKELY(runtime_is_closing(w->rt))) {
            weft__runtime_poke(w->rt);
        }
        return;
    }
    struct fiber *to = fiber_for(w, r);
    if (to == NULL) {
        r->next = w->starved;
        w->starved = r;
        return;
    }
    if (WEFT_UNLIKELY(!fiber_has_left(to))) {
        fiber_await_leaver(to);
    }
    debug_leave_for(w, to);
    (void)fiber_switch_apart(w, to, LEAVE_PARKED);
}
