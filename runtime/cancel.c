/* SPDX-License-Identifier: MIT */
/*
 * Cancel: how a request to end reaches a task, wherever it is.
 *
 * The request itself is a count in the task's descriptor. A task that runs sees it at its next
 * wait. A task that waits has to be told, and it may be woken, moved, or ended by others at the
 * same moment. So the canceller takes hold of the fiber (fiber.h): while HELD, nobody can resume
 * it, and all that belongs to its wait stands still and may be looked at. The pointer to the fiber
 * may be stale; under the hold it is checked that the task is on it, and if not, there is nothing
 * to do: the task was running or has ended.
 *
 * What a hold is used for depends on the kind of wait (enum wait_kind): end it; send the worker
 * whose poller has the operation a message; or go on with the task that is awaited, since a cancel
 * is passed on to it, once per await, and the await goes on until it has ended. A promise that is
 * awaited ends there and then. That, and requests to tasks that are nested on one fiber, is in
 * interrupt.c.
 */
#include <errno.h>
#include <sched.h>

#include <weft/task.h>

#include "barrier.h"
#include "job.h"
#include "runtime_object.h"
#include "scope.h"
#include "simulation.h"

/* So many places ahead: a few times 100 ns. */
#define CANCEL_FETCH_PLACES 8

uint64_t weft__wait_begin(struct fiber *f, enum wait_kind kind, void *on)
{
    f->wait_kind = (uint8_t)kind;
    f->wait_on = on;
    f->outcome = 0;
    f->blame = NULL;
    f->noted = NULL;
    f->wait_home = kind == WAIT_OPERATION ? weft__worker_current() : NULL;
    f->generation += WAIT_GENERATION;
    uint64_t ticket = f->generation | WAIT_WAITING;
    if (runtime_is_single(f->top->rt)) {
        /* ORD P2, P6 (fiber.h): publishes what the wait is. */
        atomic_store_release(&f->wait, ticket);
        barrier_light(); /* before the look at the requests */
    } else {
        /* ORD P1, P2 (fiber.h): before the look at the requests; publishes what the wait is. */
        (void)atomic_exchange_seq_cst(&f->wait, ticket);
    }
    return ticket;
}

bool weft__wait_claim(struct fiber *f, uint64_t ticket)
{
    uint64_t old = ticket;
    unsigned spins = 0;
    /* ORD P3 (fiber.h): whoever held it has let go. */
    while (!atomic_cas_acq_rel(&f->wait, &old, 0)) {
        if (old != (ticket | WAIT_HELD)) {
            return false; /* ended, or about to be by its holder */
        }
        cpu_relax();
        if (++spins % 64 == 0) {
            sched_yield();
        }
        old = ticket;
    }
    return true;
}

bool weft__wake(struct fiber *f, uint64_t ticket)
{
    uint64_t old = ticket;
    for (;;) {
        uint64_t new = (old & WAIT_HELD) != 0 ? old | WAIT_NOTIFIED : 0;
        /* ORD P2, P3 (fiber.h): what the wait is; the one who ends it goes first. */
        if (atomic_cas_acq_rel(&f->wait, &old, new)) {
            if (new == 0) {
                weft__fiber_ready(f);
            }
            return true;
        }
        if (old != ticket && old != (ticket | WAIT_HELD)) {
            return false;
        }
    }
}

uint64_t weft__hold(struct fiber *f)
{
    unsigned spins = 0;
    /* ORD P1, P6 (fiber.h): after the request was counted. */
    uint64_t old = atomic_load_seq_cst(&f->wait);
    for (;;) {
        if ((old & WAIT_WAITING) == 0 || (old & WAIT_NOTIFIED) != 0) {
            return 0;
        }
        if ((old & WAIT_HELD) == 0) {
            /* ORD P2 (fiber.h): what the wait is. */
            if (atomic_cas_acq_rel(&f->wait, &old, old | WAIT_HELD)) {
                return old;
            }
            continue;
        }
        /* Another canceller; it holds for a few instructions, and may not have seen our request. */
        cpu_relax();
        if (++spins % 64 == 0) {
            sched_yield();
        }
        old = atomic_load_seq_cst(&f->wait); /* ORD P1 (fiber.h): as above */
    }
}

void weft__unhold(struct fiber *f, uint64_t ticket, bool end)
{
    uint64_t old = ticket | WAIT_HELD;
    /* ORD P3 (fiber.h): the outcome; and nobody may look at the wait any more. */
    if (atomic_cas_acq_rel(&f->wait, &old, end ? 0 : ticket)) {
        if (end) {
            weft__fiber_ready(f);
        }
        return;
    }
    /* Notified: it was ended by another, and to make it ready has become our duty. */
    WEFT_ASSERT(old == (ticket | WAIT_HELD | WAIT_NOTIFIED));
    f->outcome = 0;
    f->blame = NULL;
    /* ORD P3 (fiber.h): as above. */
    atomic_store_release(&f->wait, 0);
    weft__fiber_ready(f);
}

bool weft__request_settle(const weft_runtime *rt)
{
    const struct worker *w = weft__worker_current();
    if (!runtime_is_single(rt) || (w != NULL && w->rt == rt)) {
        return false;
    }
    weft__barrier_heavy();
    return true;
}

/* Hold the fiber that a task is on, if it waits; 0: it does not. */
static uint64_t cancel_hold(weft_task *t, struct fiber **on)
{
    /* ORD P4, P5 (future.h): a start that is missed here comes before a look at the request. */
    *on = atomic_load_seq_cst(&t->fiber);
    return *on == NULL ? 0 : weft__hold(*on);
}

/* Tasks that were spawned in a row are cancelled in a row: then fetch the fiber of a later one. */
static void cancel_fetch_later(const weft_task *t)
{
    struct worker *w = weft__worker_current();
    if (w == NULL) {
        return;
    }
    intptr_t step = (intptr_t)t - (intptr_t)w->cancelled;
    w->cancelled = t;
    if (step == (intptr_t)sizeof *t || step == -(intptr_t)sizeof *t) {
        weft__task_fetch_neighbour(t, step > 0 ? CANCEL_FETCH_PLACES : -CANCEL_FETCH_PLACES);
    }
}

/* One request to one task of a runtime that stays meanwhile. Returns as cancel_one. */
static weft_task *cancel_visiting(weft_task *t)
{
    struct fiber *f;
    cancel_fetch_later(t);
    /* ORD P4 (future.h): counted before the look at what the task does. */
    (void)atomic_add_seq_cst(&t->cancel, 1);
    uint64_t ticket = cancel_hold(t, &f);
    if (ticket == 0 && weft__request_settle(t->rt)) {
        ticket = cancel_hold(t, &f);
    }
    if (ticket == 0) {
        return NULL;
    }
    /* It was running meanwhile, maybe, and has acknowledged the request: the wait that followed is
     * none of ours. ORD none: under the hold; t's own changes came before its wait. */
    if (!fiber_carries(f, t) || atomic_load_relaxed(&t->cancel) == 0) {
        weft__unhold(f, ticket, false);
        return NULL;
    }
    return weft__interrupt(f, ticket, SCOPE_NO_TIME);
}

/* One request to one task, or promise. Returns whom to pass it on to, with a reference, or NULL. */
static weft_task *cancel_one(weft_task *t)
{
    if (t->fn == NULL) {
        (void)weft__promise_cancel(t);
        return NULL;
    }
    weft_runtime *rt = t->rt;
    if (weft__runtime_enter(rt, RUNTIME_CLOSED) < 0) {
        return NULL; /* it has ended by now, as all tasks of rt */
    }
    weft_task *next = cancel_visiting(t);
    weft__runtime_exit(rt);
    return next;
}

void weft__cancel_put(weft_task *t)
{
    while (t != NULL) {
        weft_task *done_with = t;
        t = future_is_done(t) ? NULL : cancel_one(t);
        weft_put(done_with);
    }
}

bool weft__cancel(weft_task *t)
{
    if (future_is_done(t)) {
        return false;
    }
    if (t->fn == NULL) {
        return weft__promise_cancel(t);
    }
    struct worker *w = weft__worker_current();
    if (w != NULL) {
        recent_note(&w->debug.recent, RECENT_CANCEL, t->id, worker_turn_started(w));
    }
    weft__cancel_put(cancel_one(t));
    return true;
}

bool weft_cancel(weft_future *f)
{
    if (f == NULL || !weft__slab_is_ours(f)) {
        return false;
    }
    bool is_asked = weft__cancel(f);
    if (!is_asked && future_is_done(f)) {
        future_mark_seen(f); /* who would call it off knows about it */
    }
    simulation_point(f->rt);
    return is_asked;
}

/* How often the end of the job was asked for that this thread runs. */
static int job_cancelling(void)
{
    struct job *job = weft__job_current();
    return job == NULL || job->requests == NULL
               ? 0
               : (int)atomic_load_relaxed(job->requests); /* ORD none: a figure */
}

int weft_cancelling(void)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return job_cancelling();
    }
    (void)weft__interrupted_look(f);
    /* ORD none: the caller's own; a request that comes now may as well have come later. */
    return (int)atomic_load_relaxed(&f->top->cancel);
}

int weft_uncancel(void)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return 0;
    }
    (void)weft__interrupted_look(f);
    /* ORD none: the CAS checks it. */
    uint32_t old = atomic_load_relaxed(&f->top->cancel);
    do {
        if (old == 0) {
            return 0;
        }
        /* ORD P4 (future.h): as a change of the count. */
    } while (!atomic_cas_seq_cst(&f->top->cancel, &old, old - 1));
    return (int)(old - 1);
}
