/* SPDX-License-Identifier: MIT */
/*
 * Tasks for the models of what they wait for: a thread of the scenario is one task on one fiber.
 *
 * The wait is reduced to what an object sees of it: a ticket that somebody ends, once. How that
 * works against cancels and holds is model_wait.c's business. wait_queue.c and sync_word.c are the
 * true ones. A task is cancelled by fiber_cancel, from any thread.
 */
#ifndef WEFT_SYNC_FIBERS_H
#define WEFT_SYNC_FIBERS_H

#include <errno.h>

#include "runtime_object.h"

static struct {
    struct fiber fiber;
    weft_task task;
    struct worker worker;
    _Atomic(uint32_t) is_ready;
} fibers[MODEL_THREADS_MAX];

static bool fibers_alone; /* the runtime has one worker: what is_alone is */

static void fibers_setup(void)
{
    memset(fibers, 0, sizeof(fibers));
    for (int i = 0; i < MODEL_THREADS_MAX; i++) {
        fibers[i].fiber.top = &fibers[i].task;
        fibers[i].worker.fiber = &fibers[i].fiber;
        fibers[i].worker.is_alone = fibers_alone;
    }
}

struct worker *weft__worker_current(void)
{
    return &fibers[model_self()].worker;
}

struct fiber *weft__fiber_current(void)
{
    return &fibers[model_self()].fiber;
}

void weft__spend(void)
{
}

static int fiber_index(const struct fiber *f)
{
    for (int i = 0; i < MODEL_THREADS_MAX; i++) {
        if (&fibers[i].fiber == f) {
            return i;
        }
    }
    model_fail("no fiber of this model");
}

uint64_t weft__wait_begin(struct fiber *f, enum wait_kind kind, void *on)
{
    (void)on;
    f->wait_kind = (uint8_t)kind;
    f->outcome = 0;
    f->generation += WAIT_GENERATION;
    uint64_t ticket = f->generation | WAIT_WAITING;
    (void)atomic_exchange_seq_cst(&f->wait, ticket);
    return ticket;
}

void weft__interrupted_unnote(struct fiber *f)
{
    (void)f; /* no scopes here */
}

int weft__interrupted(struct fiber *f)
{
    return atomic_load_seq_cst(&f->top->cancel) != 0 ? -ECANCELED : 0;
}

bool weft__wait_claim(struct fiber *f, uint64_t ticket)
{
    uint64_t old = ticket;
    return atomic_cas_acq_rel(&f->wait, &old, 0);
}

void weft__fiber_ready(struct fiber *f)
{
    uint32_t before = atomic_exchange_acq_rel(&fibers[fiber_index(f)].is_ready, 1);
    model_assert(before == 0);
}

void weft__fiber_ready_last(struct fiber *f)
{
    weft__fiber_ready(f);
}

void weft__park(struct fiber *f)
{
    int i = fiber_index(f);
    model_assert(i == model_self());
    model_wait_until(atomic_load_acquire(&fibers[i].is_ready) != 0);
    (void)atomic_exchange_acq_rel(&fibers[i].is_ready, 0);
}

static void fiber_cancel(int i)
{
    struct fiber *f = &fibers[i].fiber;
    (void)atomic_add_seq_cst(&f->top->cancel, 1);
    uint64_t old = atomic_load_seq_cst(&f->wait);
    if (old != 0 && f->wait_kind != WAIT_FIRM && weft__wait_claim(f, old)) {
        f->outcome = -ECANCELED;
        weft__fiber_ready(f);
    }
}

#include "sync_word.c"

#include "wait_queue.c"

#endif
