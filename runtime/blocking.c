/* SPDX-License-Identifier: MIT */
/*
 * Blocking work: tasks that wait for a job, and futures of jobs.
 *
 * A task that waits (weft_run_blocking) has the job in its frame. The job's thread ends the wait by
 * its ticket, which it takes out of the call with an exchange, the last touch: after it the frame
 * may be gone. When the wait was ended by something else, the task takes the job back; if a thread
 * has it, the task begins another wait, which nothing but the job ends, and puts its ticket in the
 * place of the first; where it finds none the job is over.
 *
 * Most jobs of few microseconds are over before the worker would be asleep, and to wake it takes
 * longer than all the rest. So where the worker has nothing else to do the task looks on for a
 * moment, before it parks; as long as jobs lately were over by then, or shortly after.
 *
 *      WATCHED    --> 0          the job is over, and the task sees it
 *      WATCHED    --> ticket     the task: it parks
 *      ticket     --> 0          the job is over; its thread wakes who waits with that ticket
 *      ticket     --> ticket'    the task: the first wait was cut short, and the job runs
 *
 * In a simulation the worker waits until a thread has run the job, and ends it itself, so that
 * nothing comes from elsewhere.
 *
 * Pairs
 *   P1  end: ticket, acq_rel           -> the task: ticket, acquire         the outcome; and the
 *                                         end of the thread's use of the frame
 *   P2  make: rt->pool, acq_rel CAS    -> whoever reads it: acquire         the pool
 *
 * Tested: tests/model/model_blocking.c, tests/unit/test_rt_blocking.c,
 * tests/stress/stress_blocking.c.
 */
#include "blocking.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <weft/task.h>

#include "cpu_count.h"
#include "locals.h"
#include "pool.h"
#include "runtime_object.h"
#include "simulation.h"

/* As many as Python's default executor has: calls that compute get the processors, and as many
 * others may block. */
#define THREADS_MORE_THAN_CPUS 4
#define THREADS_DEFAULT_MAX 32

/* How long a task looks on: what a wake takes, at the least. */
#define WATCH_NS 10000
#define WATCH_SPINS 8

/* After so many calls in a row that took longer only one in WATCH_TRY tries. */
#define WATCH_IN_VAIN_MAX 4
#define WATCH_TRY 32

/* ---- the runtime's pool ---- */

unsigned weft__blocking_threads_default(void)
{
    unsigned count = weft__cpu_count() + THREADS_MORE_THAN_CPUS;
    return count < THREADS_DEFAULT_MAX ? count : THREADS_DEFAULT_MAX;
}

struct weft_pool *weft__blocking_pool(weft_runtime *rt)
{
    struct weft_pool *pool = atomic_load_acquire(&rt->pool); /* ORD P2: the pool */
    if (WEFT_LIKELY(pool != NULL)) {
        return pool;
    }
    const struct weft_options *o = &rt->options;
    unsigned threads_max = o->blocking_threads_max;
    struct pool_config config = {
        .name = "weft-blocking",
        .threads_max = threads_max != 0 ? threads_max : weft__blocking_threads_default(),
        .idle_ns = o->blocking_idle_ns,
        .signal = o->blocking_signal,
    };
    struct weft_pool *made = weft__pool_create(&config);
    /* ORD P2: of two who make one, one stays. */
    if (made != NULL && !atomic_cas_acq_rel(&rt->pool, &pool, made)) {
        weft__pool_release(made);
        return pool;
    }
    return made;
}

void weft__blocking_end(weft_runtime *rt)
{
    struct weft_pool *pool = atomic_load_acquire(&rt->pool); /* ORD P2: the pool */
    if (pool != NULL) {
        (void)weft__pool_end_threads(pool, WEFT_FOREVER);
    }
}

void weft__blocking_hand_over(weft_runtime *rt, struct weft_pool *pool, struct job *job)
{
    job->rt = rt;
    job->tells_crash = rt != NULL && rt->options.crash_report;
    job->is_awaited = rt != NULL && simulation_is_on(rt);
    if (WEFT_LIKELY(!job->is_awaited)) {
        weft__pool_submit(pool, job);
        return;
    }
    weft__pool_submit(pool, job);
    weft__job_await(job);
    job->end(job);
    simulation_point(rt);
}

bool weft__blocking_is_job_of(const weft_runtime *rt)
{
    const struct job *job = weft__job_current();
    if (WEFT_LIKELY(job == NULL || rt == NULL || job->rt != rt)) {
        return false;
    }
    struct weft_pool *pool = job->slot->pool;
    pthread_mutex_lock(&pool->lock);
    bool is_let_go = job->is_let_go;
    pthread_mutex_unlock(&pool->lock);
    return !is_let_go;
}

bool weft__blocking_holds(const weft_runtime *rt)
{
    return weft__blocking_is_job_of(rt) && simulation_is_on(rt);
}

/* ---- a task that waits ---- */

/* No ticket: the generation is 0. */
#define CALL_WATCHED ((uint64_t)2)

struct blocking_call {
    struct job job;
    weft_runtime *rt;
    struct fiber *fiber;
    _Atomic(uint64_t) ticket; /* of the wait; CALL_WATCHED; 0: the job is over */
};

static void call_end(struct job *job)
{
    struct blocking_call *c = WEFT_CONTAINER(job, struct blocking_call, job);
    weft_runtime *rt = c->rt;
    struct fiber *f = c->fiber;
    uint64_t watched = CALL_WATCHED;
    if (atomic_cas_acq_rel(&c->ticket, &watched, 0)) { /* ORD P1: the outcome; our last touch */
        return;
    }
    runtime_visit(rt);
    /* ORD P1: the outcome; our last touch of the call. */
    uint64_t ticket = atomic_exchange_acq_rel(&c->ticket, 0);
    (void)weft__wake(f, ticket); /* or it was cut short: the task finds 0 */
    runtime_leave(rt);
}

static uint64_t call_begin(struct blocking_call *c, enum wait_kind kind)
{
    c->fiber->wait_for = WAIT_FOR_CALL;
    return weft__wait_begin(c->fiber, kind, (void *)(uintptr_t)c->job.fn);
}

/* The wait was cut short, and the job runs: wait until it is over. */
static void call_await(struct blocking_call *c, uint64_t cut_short)
{
    struct fiber *f = c->fiber;
    uint64_t ticket = call_begin(c, WAIT_FIRM);
    /* ORD P1: the outcome, when it is over. */
    if (atomic_cas_acq_rel(&c->ticket, &cut_short, ticket)) {
        weft__park(f);
        return;
    }
    bool is_aborted = weft__wait_abort(f, ticket);
    WEFT_ASSERT(is_aborted); /* nobody was told of it */
}

static bool worker_has_more(struct worker *w)
{
    return weft__worker_has_local(w) || !mpsc_empty(&w->inbox) ||
           w->poller_ops->ready(w->poller) || !inject_empty(&w->rt->inject);
}

static bool call_is_over(struct blocking_call *c)
{
    return atomic_load_acquire(&c->ticket) == 0; /* ORD P1: the outcome */
}

/* Look on until the job is over, for a moment at most. Returns whether it is. */
static bool call_watch(struct blocking_call *c, struct worker *w, int64_t began_ns)
{
    bool is_over = call_is_over(c);
    while (!is_over && !worker_has_more(w) && weft_now() - began_ns < WATCH_NS) {
        for (unsigned i = 0; i < WATCH_SPINS && !is_over; i++) {
            cpu_relax();
            is_over = call_is_over(c);
        }
        if (!is_over) {
            sched_yield(); /* the thread may be waiting for this very processor */
            is_over = call_is_over(c);
        }
    }
    return is_over;
}

/* Whether it is worth while to look on: it was lately, or the worker is to find out. */
static bool watch_is_on(const struct worker *w)
{
    return w->watched_in_vain < WATCH_IN_VAIN_MAX || w->watched_in_vain % WATCH_TRY == 0;
}

/* The call took so long. Context: the caller's worker, which may be another one by now. */
static void watch_learn(int64_t took_ns)
{
    struct worker *w = weft__worker_current();
    w->watched_in_vain = took_ns < 2 * WATCH_NS ? 0 : w->watched_in_vain + 1;
}

/* In a simulation the job is over when it has been handed over. Others may go on first,
 * as they might anywhere; not before the wait is over, for then the task would be ready twice. */
static void call_simulate(struct blocking_call *c, struct weft_pool *pool, uint64_t ticket)
{
    struct fiber *f = c->fiber;
    atomic_store_relaxed(&c->ticket, CALL_WATCHED); /* ORD none: nobody else knows of the call */
    weft__blocking_hand_over(c->rt, pool, &c->job);
    if (weft__wait_abort(f, ticket)) {
        f->outcome = 0;
        weft__spend();
        simulation_point(c->rt);
    } else {
        weft__park(f); /* another thread has ended the wait meanwhile */
    }
}

/* Hand the job over, and wait until it is over or the announced wait was cut short. */
static void call_submit(struct blocking_call *c, struct weft_pool *pool, uint64_t ticket)
{
    struct worker *w = weft__worker_current();
    struct fiber *f = c->fiber;
    if (simulation_is_on(c->rt)) {
        call_simulate(c, pool, ticket);
        return;
    }
    if (pool->look_on_ns == 0) {
        atomic_store_relaxed(&c->ticket, ticket); /* ORD none: nobody else knows of the call */
        weft__blocking_hand_over(c->rt, pool, &c->job);
        weft__park(f);
        return;
    }
    int64_t began_ns = weft_now();
    atomic_store_relaxed(&c->ticket, CALL_WATCHED); /* ORD none: as above */
    weft__blocking_hand_over(c->rt, pool, &c->job);
    uint64_t watched = CALL_WATCHED;
    bool is_over = (watch_is_on(w) && call_watch(c, w, began_ns)) ||
                   !atomic_cas_acq_rel(&c->ticket, &watched, ticket); /* ORD P1: the outcome */
    if (is_over && weft__wait_abort(f, ticket)) {
        f->outcome = 0;
        weft__spend();
    } else {
        weft__park(f);
    }
    watch_learn(weft_now() - began_ns);
}

/* Submit and wait. Returns 0, or why it has not run. */
static int call_run(struct blocking_call *c, struct weft_pool *pool)
{
    struct fiber *f = c->fiber;
    uint64_t ticket = call_begin(c, WAIT_CLAIMABLE);
    int err = fiber_interrupted(f);
    if (WEFT_LIKELY(err == 0)) {
        call_submit(c, pool, ticket);
    } else if (weft__wait_abort(f, ticket)) {
        return err;
    } else {
        weft__park(f);
        return f->outcome;
    }
    err = f->outcome;
    if (WEFT_LIKELY(err == 0)) {
        return 0;
    }
    if (weft__pool_withdraw(pool, &c->job)) {
        return err;
    }
    weft__interrupted_unnote(f); /* it does not fail of that */
    call_await(c, ticket);
    return 0;
}

int weft__run_blocking(const char *name, weft_fn fn, void *arg, void **result)
{
    struct worker *w = weft__worker_current();
    struct fiber *f = worker_current_fiber(w);
    if (f == NULL) {
        return -EPERM;
    }
    struct weft_pool *pool = weft__blocking_pool(w->rt);
    struct blocking_call c = {
        .job = {.fn = fn, .arg = arg, .name = name, .of = f->top, .end = call_end},
        .rt = w->rt,
        .fiber = f,
    };
    int err = pool == NULL ? -ENOMEM : locals_capture(w, &c.job.locals);
    if (err < 0) {
        return err;
    }
    err = call_run(&c, pool);
    if (err < 0) {
        weft__locals_drop(c.job.locals);
        weft__give_turn(); /* for loops that ask until others have done something */
        return err;
    }
    if (c.job.error == 0 && result != NULL) {
        *result = c.job.result;
    }
    return c.job.error;
}

/* ---- a stretch inside a task ---- */

/* Whether there is somebody to look after what comes to the worker. */
static bool has_helpers(const struct worker *w)
{
    return !w->is_alone && w->rescue.kick.signal != 0 && !simulation_is_on(w->rt);
}

int weft_block_begin(void)
{
    struct worker *w = weft__worker_current();
    if (worker_current_fiber(w) == NULL) {
        return -EPERM;
    }
    if (has_helpers(w)) {
        weft__rescue_block_begin(w);
    }
    return 0;
}

void weft_block_end(void)
{
    struct worker *w = weft__worker_current();
    if (w != NULL) {
        weft__rescue_block_end(w);
    }
}

int weft_run_blocking(weft_fn fn, void *arg, void **result)
{
    return weft__run_blocking(NULL, fn, arg, result);
}
