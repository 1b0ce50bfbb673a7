/* SPDX-License-Identifier: MIT */
/* Detached calls; see detached.h. */
#include "detached.h"

#include <errno.h>
#include <sched.h>

#include "blocking.h"
#include "park.h"
#include "pool.h"
#include "runtime_object.h"
#include "simulation.h"
#include "worker.h"

enum detached_state {
    DETACHED_WAITING,
    DETACHED_OVER,
    DETACHED_WOKEN,
    DETACHED_LEFT,
};

/* NULL: no memory. */
static struct weft_pool *pool_of(weft_runtime *rt)
{
    struct weft_pool *pool = atomic_load_acquire(&rt->detached); /* ORD P3: the pool */
    if (WEFT_LIKELY(pool != NULL)) {
        return pool;
    }
    struct pool_config config = {
        .name = "weft-names",
        .threads_max = DETACHED_THREADS,
        .idle_ns = rt->options.blocking_idle_ns,
    };
    struct weft_pool *made = weft__pool_create(&config);
    /* ORD P3: of two who make one, one stays. */
    if (made != NULL && !atomic_cas_acq_rel(&rt->detached, &pool, made)) {
        weft__pool_release(made);
        return pool;
    }
    return made;
}

void weft__detached_end(weft_runtime *rt)
{
    struct weft_pool *pool = atomic_load_acquire(&rt->detached); /* ORD P3: the pool */
    if (pool != NULL) {
        weft__pool_dismiss_threads(pool);
    }
}

static void detached_end(struct job *job)
{
    struct detached *d = WEFT_CONTAINER(job, struct detached, job);
    uint32_t waiting = DETACHED_WAITING;
    /* ORD P1: the outcome is the task's, or the call is ours. */
    if (!atomic_cas_acq_rel(&d->state, &waiting, DETACHED_OVER)) {
        d->drop(d);
        return;
    }
    weft_runtime *rt = d->rt;
    struct fiber *f = d->fiber;
    uint64_t ticket = d->ticket;
    runtime_visit(rt);
    /* ORD P2: our last touch of the call. */
    atomic_store_release(&d->state, DETACHED_WOKEN);
    (void)weft__wake(f, ticket); /* or the wait was cut short: the task finds WOKEN */
    runtime_leave(rt);
}

/* The wait was cut short. Whether the outcome is there all the same; else the call is gone. */
static bool detached_leave(struct detached *d, struct weft_pool *pool)
{
    if (weft__pool_withdraw(pool, &d->job)) {
        d->drop(d);
        return false;
    }
    uint32_t waiting = DETACHED_WAITING;
    /* ORD P1: the call is the thread's, or its outcome ours. */
    if (atomic_cas_acq_rel(&d->state, &waiting, DETACHED_LEFT)) {
        return false;
    }
    while (atomic_load_acquire(&d->state) != DETACHED_WOKEN) { /* ORD P2: it is done with it */
        sched_yield();
    }
    return true;
}

/* In a simulation nothing comes from elsewhere: the call is waited for. */
static int detached_simulate(struct detached *d)
{
    int err = weft__run_blocking(d->job.name, d->job.fn, d->job.arg, NULL);
    if (err < 0) {
        d->drop(d);
    }
    return err;
}

int weft__run_detached(struct detached *d)
{
    struct fiber *f = weft__fiber_current();
    d->rt = weft__worker_current()->rt;
    d->fiber = f;
    d->job.end = detached_end;
    if (simulation_is_on(d->rt)) {
        return detached_simulate(d);
    }
    struct weft_pool *pool = pool_of(d->rt);
    if (pool == NULL) {
        d->drop(d);
        return -ENOMEM;
    }
    f->wait_for = WAIT_FOR_CALL;
    d->ticket = weft__wait_begin(f, WAIT_CLAIMABLE, (void *)(uintptr_t)d->job.fn);
    int err = weft__interrupted(f);
    if (WEFT_UNLIKELY(err < 0) && weft__wait_abort(f, d->ticket)) {
        d->drop(d);
        return err;
    }
    atomic_store_relaxed(&d->state, DETACHED_WAITING); /* ORD none: nobody else knows of it */
    if (err == 0) {
        d->job.tells_crash = d->rt->options.crash_report;
        weft__pool_submit(pool, &d->job);
    }
    weft__park(f);
    int outcome = f->outcome;
    if (err < 0) {
        d->drop(d); /* somebody else has ended the wait: it fails of that */
        return outcome < 0 ? outcome : err;
    }
    if (outcome < 0 && !detached_leave(d, pool)) {
        return outcome;
    }
    if (outcome < 0) {
        weft__interrupted_unnote(f); /* it does not fail of that */
    }
    err = d->job.error;
    if (err < 0) {
        d->drop(d);
    }
    return err;
}
