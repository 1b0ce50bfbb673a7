/* SPDX-License-Identifier: MIT */
/*
 * Ready: putting what can run where it will run, and waking a worker for it.
 *
 * From a task: into the next slot, because what was just woken finds warm caches and the waker is
 * likely to wait for it; what was there before moves on to the deque. From the loop, where
 * completions come in batches: to the end of the deque, in their order. From outside: the inject
 * queue. A pinned task goes to its worker, by message when that is another one.
 */
#include <sched.h>

#include <weft/task.h>

#include "queued.h"
#include "runtime_object.h"
#include "scope.h"
#include "simulation.h"

/* Of items that are scattered one in so many stays; and a worker takes what it has scattered itself
 * one in so many times that it finds it: else the other would not be awake in time. */
#define SCATTER_KEPT_OF 4
#define SCATTER_TAKEN_OF 16

/* The deque is full. On a single worker it grows: nobody else could help, and the order is to be
 * kept. Else its newer half and the item go to the inject queue, where all workers look. The newer
 * half, since the older would be injected over and over. */
static void worker_overflow(struct worker *w, struct runnable *r)
{
    if (w->is_alone && weft__deque_grow(&w->deque)) {
        (void)deque_push(&w->deque, r);
        return;
    }
    struct runnable *chain = r;
    size_t count = 1;
    r->next = NULL;
    for (unsigned i = 0; i < WEFT_DEQUE_CAPACITY / 2; i++) {
        struct runnable *newest = deque_pop(&w->deque);
        if (newest == NULL) {
            break;
        }
        newest->next = chain;
        chain = newest;
        count++;
    }
    weft__inject_push(&w->rt->inject, chain, r, count);
}

static void pinned_push(struct worker *w, struct runnable *r)
{
    r->next = NULL;
    if (w->pinned_first == NULL) {
        w->pinned_first = r;
    } else {
        w->pinned_last->next = r;
    }
    w->pinned_last = r;
}

void weft__queued_push_slow(struct worker *w, struct runnable *r)
{
    if (r->pinned_to != RUNNABLE_ANYWHERE) {
        pinned_push(w, r);
    } else {
        worker_overflow(w, r);
    }
}

bool weft__queued_scatter(struct worker *w, struct runnable *r)
{
    if (r->pinned_to != RUNNABLE_ANYWHERE || rng_below(&w->rng, SCATTER_KEPT_OF) == 0) {
        return false;
    }
    atomic_store_relaxed(&w->rt->scattered_by, w->index); /* ORD none: a hint */
    weft__inject_push(&w->rt->inject, r, r, 1);
    weft__wake_one(w->rt, w->index);
    return true;
}

bool weft__queued_leaves(struct worker *w)
{
    bool leaves = atomic_load_relaxed(&w->rt->scattered_by) == w->index && /* ORD none: a hint */
                  rng_below(&w->rng, SCATTER_TAKEN_OF) != 0;
    if (leaves) {
        sched_yield(); /* to the one that was woken */
    }
    return leaves;
}

void weft__worker_push(struct worker *w, struct runnable *r)
{
    queued_push(w, r);
}

/* Wake a worker that the caller has claimed. */
static void worker_wake(struct worker *w)
{
    struct worker *self = weft__worker_current();
    if (self != NULL && self->rt == w->rt) {
        counter_add(&self->count.wakes, 1);
        recent_note(&self->debug.recent, RECENT_WAKE, w->index, worker_turn_started(self));
    } else {
        (void)atomic_add_relaxed(&w->rt->outside_wakes, 1); /* ORD none: a figure */
    }
    w->poller_ops->wake(w->poller);
}

/* Wake a sleeping worker if there is work for one, of that kind. */
static inline void wake_one(weft_runtime *rt, unsigned near, enum ration_kind kind)
{
    int sleeper = idle_claim(&rt->idle, near);
    if (WEFT_UNLIKELY(sleeper != IDLE_NOBODY)) {
        /* ORD none: the wake brings it along; if not, it is not judged once. */
        atomic_store_relaxed(&rt->workers[sleeper].called, (uint32_t)kind + 1);
        worker_wake(&rt->workers[sleeper]);
    }
}

void weft__wake_one(weft_runtime *rt, unsigned near)
{
    wake_one(rt, near, RATION_ANY);
}

/* Somebody sleeps, and nobody searches. */
static WEFT_NOINLINE void worker_call_sleeper(struct worker *w)
{
    bool is_lone = deque_size_hint(&w->deque) == 1 && worker_next(w) == NULL &&
                   w->pinned_first == NULL;
    if (!is_lone || weft__ration_allows_lone(&w->rt->ration)) {
        wake_one(w->rt, w->index, is_lone ? RATION_LONE : RATION_ANY);
    }
}

void weft__worker_call(struct worker *w)
{
    weft_runtime *rt = w->rt;
    if (ration_allows(&rt->ration, RATION_ANY) && WEFT_UNLIKELY(idle_should_wake(&rt->idle))) {
        worker_call_sleeper(w);
    }
}

void weft__worker_send(struct worker *w, struct message *m)
{
    mpsc_push(&w->inbox, &m->node);
    if (weft__idle_claim_one(&w->rt->idle, w->index)) {
        worker_wake(w);
    }
}

static void nudge_deliver(struct message *m, struct worker *w)
{
    (void)m;
    /* ORD P2: the timers are looked at after this; a later nudge sends the message again. */
    (void)atomic_exchange_seq_cst(&w->is_nudged, 0);
}

/*
 * Pairs
 *   P2  nudge: is_nudged, seq_cst -> deliver: is_nudged, seq_cst     what the worker is to look at
 */
void weft__worker_nudge(struct worker *w)
{
    /* ORD P2: after the change; who finds 1 relies on the message that is in the inbox. */
    if (atomic_exchange_seq_cst(&w->is_nudged, 1) == 0) {
        w->nudge.deliver = nudge_deliver;
        weft__worker_send(w, &w->nudge);
    }
}

void weft__send_to_worker(unsigned index, struct message *m)
{
    weft__worker_send(&weft__worker_current()->rt->workers[index], m);
}

unsigned weft__worker_here(void)
{
    return weft__worker_current()->index;
}

struct poller *weft__poller_current(void)
{
    return weft__worker_current()->poller;
}

struct poller *weft__poller_of(const struct worker *w)
{
    return w->poller;
}

bool weft__wait_is_at(const struct fiber *f, const struct poller *p)
{
    return f->wait_home != NULL && f->wait_home->poller == p;
}

void weft__worker_offer(struct worker *w)
{
    if (w->is_alone) {
        return;
    }
    if (w->in_loop) {
        w->was_woken = true; /* a batch wakes one, at its end */
        return;
    }
    barrier_light();
    weft__worker_call(w);
}

/* On another's thread (rescue.h), or where the message went for another reason, it goes into the
 * inbox of its own worker, who alone may run it. */
static void pinned_deliver(struct worker *w, weft_task *t)
{
    struct worker *own = &t->rt->workers[t->run.pinned_to];
    if (w == own && w == weft__worker_current()) {
        pinned_push(w, &t->run);
    } else {
        (void)weft__task_send(t, own, TASK_INBOX_READY);
    }
}

/* What the descriptor's message is for; both may have been asked for since. */
static void task_inbox_deliver(struct message *m, struct worker *w)
{
    weft_task *t = WEFT_CONTAINER(m, struct weft_future, inbox);
    /* ORD P1 (below): what the senders did before. */
    uint8_t flags = atomic_exchange_acq_rel(&t->inbox_flags, 0);
    weft_runtime *rt = t->rt;
    /* Another runtime's task, to which a cancel is passed on from here: that one may be closed, and
     * its task have ended. */
    bool is_guest = rt != w->rt;
    bool is_there = !is_guest || weft__runtime_enter(rt, RUNTIME_CLOSED) == 0;
    if ((flags & TASK_INBOX_KICK) != 0 && is_there) {
        w->poller_ops->cancel(w->poller, t);
    }
    if ((flags & TASK_INBOX_READY) != 0 && is_there) {
        pinned_deliver(w, t);
    }
    if (is_guest && is_there) {
        weft__runtime_exit(rt);
    }
    if ((flags & TASK_INBOX_KICK) != 0) {
        weft_put(t);
    }
    if ((flags & TASK_INBOX_CANCEL) != 0) {
        weft__cancel_put(t);
    }
}

/*
 * Pairs
 *   P1  send: inbox_flags, acq_rel or -> deliver: inbox_flags, acq_rel exchange    the reason
 */
bool weft__task_send(weft_task *t, struct worker *to, uint8_t why)
{
    /* ORD P1: who finds 0 sends the message; who does not relies on the one under way. */
    uint8_t old = atomic_or_acq_rel(&t->inbox_flags, why);
    if (old == 0) {
        t->inbox.deliver = task_inbox_deliver;
        weft__worker_send(to, &t->inbox);
    }
    return (old & why) == 0;
}

/* Whether the item is for one of the caller's own queues, those that others may take from. Else it
 * was sent: to the worker that it is pinned to, or by a caller that is on none of rt's. */
static bool ready_is_local(struct worker *w, weft_runtime *rt, struct runnable *r)
{
    if (WEFT_UNLIKELY(w == NULL || w->rt != rt)) {
        runtime_visit(rt);
        simulation_touch(rt);
        if (r->pinned_to != RUNNABLE_ANYWHERE) {
            weft__task_send(task_of(r), &rt->workers[r->pinned_to], TASK_INBOX_READY);
        } else {
            weft__inject_push(&rt->inject, r, r, 1);
            weft__wake_one(rt, 0);
        }
        runtime_leave(rt);
        return false;
    }
    if (WEFT_UNLIKELY(r->pinned_to != RUNNABLE_ANYWHERE)) {
        if (r->pinned_to == w->index) {
            pinned_push(w, r);
        } else {
            weft__task_send(task_of(r), &rt->workers[r->pinned_to], TASK_INBOX_READY);
        }
        return false;
    }
    return true;
}

void weft__runnable_ready(weft_runtime *rt, struct runnable *r)
{
    struct worker *w = weft__worker_current();
    if (WEFT_UNLIKELY(!ready_is_local(w, rt, r))) {
        return;
    }
    if (w->in_loop) {
        weft__worker_push(w, r);
        weft__worker_offer(w);
        return;
    }
    queued_push_next(w, r);
}

void weft__fiber_ready_last(struct fiber *f)
{
    weft_task *t = f->top;
    struct worker *w = weft__worker_current();
    if (WEFT_LIKELY(ready_is_local(w, t->rt, &t->run))) {
        weft__worker_push(w, &t->run);
        weft__worker_offer(w);
    }
}

void weft__runnable_spawn(struct worker *w, struct runnable *r)
{
    weft__worker_push(w, r);
    weft__worker_offer(w);
}

void weft__fiber_ready(struct fiber *f)
{
    weft_task *t = f->top;
    weft__runnable_ready(t->rt, &t->run);
}
