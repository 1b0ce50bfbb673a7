/* SPDX-License-Identifier: MIT */
/* Simulation: the loop, the clock, the points; see simulation.h. */
#include "simulation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weft/simulation.h>
#include <weft/task.h>

#include "queued.h"

/* Where the clock begins: not at 0, which some use for "never". */
#define START_NS WEFT_SECOND

/* Items at one moment that cost no time: programs that wait by yielding need a few hundred rounds
 * until it moves; those that do much at once are not slowed down by it noticeably. */
#define FREE_STEPS 1000
#define STEP_NS WEFT_US

/* How long an operation holds the clock: what loopback, pipes and local disks take even on a busy
 * machine, and short enough for an example with a timeout on a silent socket. */
#define HOLD_NS (100 * WEFT_MS)

/* When nothing can go on, that is said after so long: somebody outside may be about to act. */
#define STUCK_NS WEFT_SECOND

/* Random tries to find an item in a deque with holes. There are log n places an item. */
#define PICK_TRIES 64

/* A task could not start for want of a stack, which others may give back: real time. */
#define STACK_RETRY_NS (10 * WEFT_MS)

/* A step later; at the end of time, to which a sleep may have led, it stands still. */
static int64_t later(int64_t now)
{
    return now < WEFT_FOREVER - 1 - STEP_NS ? now + STEP_NS : now;
}

/* The clock is the runtime's from here on. */
static int64_t simulation_now(void *arg)
{
    struct simulation *s = arg;
    int64_t now = atomic_load_relaxed(&s->now_ns); /* ORD none: a figure, the worker's own */
    struct worker *w = weft__worker_current();
    bool is_task = w != NULL && !w->in_loop && w->rt->simulation == s;
    if (is_task && ++s->steps > FREE_STEPS) {
        now = later(now);
        atomic_store_relaxed(&s->now_ns, now); /* ORD none: as above */
    }
    return now;
}

int weft__simulation_create(weft_runtime *rt)
{
    static const uint32_t parts[] = {2, 4, 16};
    struct simulation *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return -ENOMEM;
    }
    rng_init(&s->rng, rt->options.seed);
    s->point_part = parts[rng_below(&s->rng, 3)];
    uint32_t taste = rng_below(&s->rng, 4); /* two of four prefer nothing */
    s->oldest_part = taste == 0 ? 14 : 0;
    s->newest_part = taste == 1 ? 14 : 0;
    atomic_store_relaxed(&s->now_ns, START_NS); /* ORD none: not shared yet */
    rt->simulation = s;
    rt->seams.clock = simulation_now;
    rt->seams.clock_arg = s;
    return 0;
}

/* ---- who drives it ---- */

void weft__simulation_drive(weft_runtime *rt)
{
    if (WEFT_UNLIKELY(rt->simulation != NULL)) {
        (void)atomic_add_seq_cst(&rt->simulation->drivers, 1); /* ORD P1: before the nudge */
        weft__worker_nudge(&rt->workers[0]);
    }
}

static bool is_driven(struct simulation *s)
{
    return atomic_load_seq_cst(&s->drivers) != 0; /* ORD P1: after the nudge was delivered */
}

static void disturb(struct simulation *s)
{
    atomic_store_relaxed(&s->is_disturbed, 1); /* ORD none: a flag that stays */
}

void weft__simulation_rest(weft_runtime *rt)
{
    if (WEFT_UNLIKELY(rt->simulation != NULL)) {
        /* ORD none: that it stands still is seen when it does. */
        (void)atomic_sub_seq_cst(&rt->simulation->drivers, 1);
    }
}

void weft__simulation_tell(weft_runtime *rt, struct simulation_driver *d)
{
    struct simulation *s = rt->simulation;
    if (weft__runtime_is_own_worker(rt)) {
        d->next = s->told;
        s->told = d;
        return;
    }
    disturb(s);
    weft__simulation_rest(rt);
    d->tell(d);
}

bool weft__simulation_wait(weft_future *f, struct waiter *node, weft_runtime **drives)
{
    weft_runtime *rt = f->rt;
    bool is_simulated = rt != NULL && WEFT_UNLIKELY(rt->simulation != NULL) &&
                        weft__runtime_enter(rt, RUNTIME_CLOSED) == 0;
    *drives = is_simulated ? rt : NULL; /* before the waiter can be woken */
    bool is_added = weft__future_add_waiter(f, node);
    if (is_simulated) {
        if (is_added) {
            weft__simulation_drive(rt);
        }
        weft__runtime_exit(rt);
    }
    return is_added;
}

/* Those who waited go on from here, when all that this item does has been done. */
static void tell_drivers(struct worker *w)
{
    struct simulation_driver *d = w->rt->simulation->told;
    w->rt->simulation->told = NULL;
    while (d != NULL) {
        struct simulation_driver *next = d->next;
        weft__simulation_rest(w->rt);
        d->tell(d);
        d = next;
    }
}

/* Nothing is left to run but timers that are ahead, which a close drops. */
static bool is_at_end(struct worker *w)
{
    return runtime_is_closing(w->rt) && weft__runtime_live(w->rt) == 0;
}

void weft__simulation_touch(weft_runtime *rt)
{
    if (is_driven(rt->simulation)) {
        disturb(rt->simulation);
    }
}

/* ---- the order ---- */

bool weft__simulation_flip(struct worker *w)
{
    return rng_below(&w->rt->simulation->rng, 2) == 0;
}

struct simulation *weft__simulation_mute(void)
{
    struct worker *w = weft__worker_current();
    struct simulation *s = w == NULL ? NULL : w->rt->simulation;
    if (s != NULL) {
        s->muted++;
    }
    return s;
}

void weft__simulation_point(void)
{
    struct worker *w = weft__worker_current();
    if (w == NULL || w->in_loop || w->rt->simulation == NULL) {
        return;
    }
    /* ORD none: the fiber's own. */
    bool is_waiting = atomic_load_relaxed(&w->fiber->wait) != 0;
    struct simulation *s = w->rt->simulation;
    if (!is_waiting && s->muted == 0 && rng_below(&s->rng, s->point_part) == 0) {
        weft__fiber_visit_loop(w);
    }
}

/* Put an item where the loop picks from; pinned ones too, since there is one worker. */
static void gather_one(struct worker *w, struct runnable *r)
{
    if (!deque_push(&w->deque, r) &&
        (!weft__deque_grow(&w->deque) || !deque_push(&w->deque, r))) {
        weft__queued_push_slow(w, r); /* no memory: behind the others, where it is found later */
    }
}

/* All that is ready goes into the deque, what was made ready last behind. */
static void gather(struct worker *w)
{
    size_t count;
    struct runnable *r = weft__inject_take(&w->rt->inject, SIZE_MAX, &count);
    while (r != NULL) {
        struct runnable *next = r->next;
        gather_one(w, r);
        r = next;
    }
    struct runnable *pinned = w->pinned_first;
    w->pinned_first = NULL;
    while (pinned != NULL) {
        struct runnable *next = pinned->next;
        gather_one(w, pinned);
        pinned = next;
    }
    r = worker_swap_next(w, NULL);
    if (r != NULL) {
        gather_one(w, r);
    }
    w->next_streak = 0;
}

/* Any item between two places of the deque, of which the first holds one. */
static struct runnable *pick_between(struct worker *w, struct rng *rng, int64_t from, int64_t to)
{
    uint32_t span = (uint32_t)(to - from);
    int64_t at = from;
    for (unsigned i = 0; i < PICK_TRIES; i++) {
        at = from + rng_below(rng, span);
        /* ORD none: nobody else takes anything out, here and below. */
        struct runnable *r = atomic_load_relaxed(deque_slot(&w->deque, at));
        if (r != NULL) {
            return r;
        }
    }
    /* ORD none: as above. */
    while (at > from && atomic_load_relaxed(deque_slot(&w->deque, at)) == NULL) {
        at--;
    }
    return atomic_load_relaxed(deque_slot(&w->deque, at)); /* ORD none: as above */
}

/* The next item to run, taken out; NULL: there is none. */
static struct runnable *pick(struct worker *w)
{
    struct simulation *s = w->rt->simulation;
    struct deque *d = &w->deque;
    gather(w);
    int64_t b = atomic_load_relaxed(&d->bottom); /* ORD none: own variable */
    int64_t t = atomic_load_relaxed(&d->top);    /* ORD none: own variable */
    t = deque_trim_top(d, t, b);
    if (t == b) {
        return pinned_next(w); /* there only when the deque could not grow */
    }
    uint32_t taste = rng_below(&s->rng, 16);
    struct runnable *r;
    if (taste < s->oldest_part) {
        r = atomic_load_relaxed(deque_slot(d, t)); /* ORD none: nobody else takes anything out */
    } else if (taste < s->newest_part) {
        r = atomic_load_relaxed(deque_slot(d, b - 1)); /* ORD none: as above */
    } else {
        r = pick_between(w, &s->rng, t, b);
    }
    bool is_taken = deque_take_back(d, r);
    WEFT_ASSERT(is_taken);
    return r;
}

static void step(struct worker *w)
{
    struct simulation *s = w->rt->simulation;
    if (++s->steps > FREE_STEPS) {
        /* ORD none: a figure, the worker's own. */
        atomic_store_relaxed(&s->now_ns, later(atomic_load_relaxed(&s->now_ns)));
    }
}

/* Expire one deadline if some are due and, with other things to do, the die says so. */
static bool expire(struct worker *w)
{
    struct simulation *s = w->rt->simulation;
    int64_t now = atomic_load_relaxed(&s->now_ns); /* ORD none: own variable */
    if (weft__timers_next(&w->timers) > now) {
        return false;
    }
    bool is_busy = weft__worker_has_local(w) || !inject_empty(&w->rt->inject);
    if (is_busy && rng_below(&s->rng, 2) == 0) {
        return false;
    }
    return weft__timers_expire(&w->timers, now, 1) > 0;
}

/* ---- standing still ---- */

static int64_t real_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

static bool must_stop(struct worker *w)
{
    return atomic_load_relaxed(&w->rt->is_stopping) != 0; /* ORD none: see worker_must_stop */
}

/* Sleep in the poller, in real time, by the protocol of idle.h. */
static void doze(struct worker *w, int64_t for_ns)
{
    struct idle *idle = &w->rt->idle;
    (void)weft__idle_park(idle, 0, false);
    bool is_awaited = !mpsc_empty(&w->inbox) || must_stop(w) ||
                      (is_driven(w->rt->simulation) && !inject_empty(&w->rt->inject));
    counter_add(&w->count.parks, 1);
    w->poller_ops->wait(w->poller, is_awaited ? 0 : for_ns);
    if (weft__idle_unpark(idle, 0, false)) {
        (void)weft__idle_leave_search(idle, 0);
    }
}

/* Whether the world has something to do for us. */
static bool has_operations(struct worker *w)
{
    return w->poller_ops->pending != NULL && w->poller_ops->pending(w->poller);
}

/* How long operations hold the clock; 0: there are none, or it was long enough. */
static int64_t hold_left(struct worker *w)
{
    struct simulation *s = w->rt->simulation;
    if (!has_operations(w)) {
        return 0;
    }
    disturb(s);
    struct poller_counters c;
    w->poller_ops->counters(w->poller, &c);
    int64_t now = real_now();
    if (s->held_since_ns == 0 || c.sqes + c.cqes != s->io_seen) {
        s->io_seen = c.sqes + c.cqes;
        s->held_since_ns = now;
    }
    int64_t left_ns = s->held_since_ns + HOLD_NS - now;
    return left_ns > 0 ? left_ns : 0;
}

/* Nobody inside can go on, and no deadline is ahead. */
static void stuck(struct worker *w)
{
    struct simulation *s = w->rt->simulation;
    doze(w, s->is_stuck_known ? WEFT_FOREVER : STUCK_NS);
    bool is_over = !mpsc_empty(&w->inbox) || !inject_empty(&w->rt->inject) || must_stop(w) ||
                   weft__worker_has_local(w);
    if (!is_over && !s->is_stuck_known) {
        fprintf(stderr, "weft: simulation: every task waits, and no deadline is ahead "
                "(WEFT_SEED=%llu)\n", (unsigned long long)w->rt->options.seed);
        s->is_stuck_known = true;
    }
}

/* Nothing is ready: let time pass, the clock's or the world's. */
static void let_time_pass(struct worker *w)
{
    struct simulation *s = w->rt->simulation;
    int64_t next = weft__timers_next(&w->timers);
    int64_t left_ns = hold_left(w);
    if (is_at_end(w)) {
        doze(w, WEFT_FOREVER);
    } else if (w->starved != NULL) {
        doze(w, STACK_RETRY_NS);
    } else if (left_ns > 0) {
        doze(w, left_ns);
    } else if (next != INT64_MAX) {
        s->steps = 0;
        s->is_stuck_known = false;
        atomic_store_relaxed(&s->now_ns, next); /* ORD none: a figure, the worker's own */
    } else if (has_operations(w)) {
        doze(w, WEFT_FOREVER);
    } else {
        stuck(w);
    }
}

/* ---- the loop ---- */

static void run(struct worker *w, struct runnable *r)
{
    w->loop_item = NULL;
    weft__loop_run(w, r);
    WEFT_ASSERT(w->loop_item == NULL); /* a fiber without ticks picks nothing */
}

/* Those that could not start for want of a stack. */
static void retry_starved(struct worker *w)
{
    struct runnable *r = w->starved;
    w->starved = NULL;
    while (r != NULL) {
        struct runnable *next = r->next;
        run(w, r);
        r = next;
    }
}

/* What the world has sent. */
static void listen(struct worker *w)
{
    (void)weft__worker_deliver(w);
    if (w->poller_ops->ready(w->poller)) {
        if (has_operations(w)) {
            disturb(w->rt->simulation);
        }
        counter_add(&w->count.polls, 1);
        w->poller_ops->wait(w->poller, 0);
        (void)weft__worker_deliver(w);
    }
}

void weft__simulation_loop(struct worker *w)
{
    struct simulation *s = w->rt->simulation;
    while (!must_stop(w)) {
        listen(w);
        tell_drivers(w);
        if (!is_driven(s)) {
            doze(w, WEFT_FOREVER);
            continue;
        }
        worker_set_ticks(w, 0);
        /* ORD none: as in turn_begin. */
        atomic_store_relaxed(&w->turn_started_ns, atomic_load_relaxed(&s->now_ns));
        if (expire(w)) {
            continue;
        }
        struct runnable *r = pick(w);
        if (r != NULL) {
            step(w);
            run(w, r);
        } else {
            let_time_pass(w);
            retry_starved(w);
        }
    }
    (void)weft__worker_deliver(w); /* some hold a reference to a task */
    tell_drivers(w);
}

/* ---- what users ask ---- */

uint64_t weft_simulation_seed(const weft_runtime *rt)
{
    return rt == NULL ? 0 : rt->options.seed;
}

bool weft_simulation_replayable(const weft_runtime *rt)
{
    return rt != NULL && rt->simulation != NULL &&
           /* ORD none: set before what the caller waited for was over. */
           atomic_load_relaxed(&rt->simulation->is_disturbed) == 0;
}
