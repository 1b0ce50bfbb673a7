/* SPDX-License-Identifier: MIT */
/*
 * Jobs with a future: submitted, and awaited, cancelled or forgotten by whoever holds the future.
 *
 * The job is an object of its own; its future is a promise that only its end or its cancel sets.
 * The future holds it until it is freed, the pool until the job is over, and it holds a reference
 * to the future so long. It counts as live for the runtime whose future it is: begun by the worker
 * that submits, ended here.
 *
 * What a cancel does is decided under the pool's lock: a job in line is taken back; one that runs
 * is let go, if it was submitted so: the future ends there and then, nobody counts the job as live
 * any more, and its thread, when it comes back, finds that it has nothing to touch but the job and
 * the pool, which the thread keeps. So it may outlive the runtime. Any other goes on.
 *
 * Pairs
 *   P1  forget, over: refs, acq_rel    -> the last of them         all uses come first
 *
 * Tested: tests/unit/test_rt_blocking.c, test_rt_pool.c, tests/stress/stress_blocking.c.
 */
#include "blocking.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/task.h>

#include "locals.h"
#include "pool.h"
#include "runtime_object.h"
#include "simulation.h"

struct blocking_job {
    struct job job;
    _Atomic(uint32_t) refs; /* the future's, and the pool's */
    weft_future *f;         /* a reference, until it is over */
    weft_runtime *rt;       /* the future's; NULL: none */
    struct weft_pool *pool; /* a reference */
    _Atomic(uint32_t) requests; /* how often its end was asked for; outlives the future's count */
    bool may_let_go;
    void (*dispose)(void *result); /* of what nobody gets */
    char name[];
};

void weft__blocking_forget(struct blocking_job *b)
{
    if (atomic_sub_acq_rel(&b->refs, 1) == 1) { /* ORD P1: all uses come first */
        weft__pool_release(b->pool);
        free(b);
    }
}

/* Its future ends. */
static void end_future(struct blocking_job *b, void *result, int error)
{
    weft_runtime *rt = b->rt;
    if (rt != NULL) {
        runtime_visit(rt);
    }
    bool is_set = weft__promise_set(b->f, result, error);
    WEFT_ASSERT(is_set); /* only here, and once */
    weft_put(b->f);
    if (rt != NULL) {
        /* ORD P2 (close.c): ended. */
        (void)atomic_add_acq_rel(&rt->jobs_ended, 1);
        if (WEFT_UNLIKELY(runtime_is_closing(rt))) {
            weft__runtime_poke(rt);
        }
        runtime_leave(rt);
    }
}

static void job_end(struct job *job)
{
    struct blocking_job *b = WEFT_CONTAINER(job, struct blocking_job, job);
    if (WEFT_LIKELY(!job->is_let_go)) {
        end_future(b, job->result, job->error);
    } else if (job->error == 0 && job->result != NULL && b->dispose != NULL) {
        b->dispose(job->result);
    }
    weft__blocking_forget(b);
}

bool weft__blocking_cancel(weft_future *f)
{
    struct blocking_job *b = f->job;
    (void)atomic_add_relaxed(&b->requests, 1); /* ORD none: a figure, for the job to look at */
    (void)atomic_add_relaxed(&f->cancel, 1);   /* ORD none: whether a close has been here */
    switch (weft__pool_cancel(b->pool, &b->job, b->may_let_go)) {
    case JOB_TAKEN_BACK:
        weft__locals_drop(b->job.locals);
        end_future(b, NULL, -ECANCELED);
        weft__blocking_forget(b);
        break;
    case JOB_LET_GO:
        end_future(b, NULL, -ECANCELED);
        break;
    case JOB_GOES_ON:
        break;
    }
    return true;
}

const char *weft__blocking_name(const struct blocking_job *b)
{
    return b->job.name;
}

static bool options_are_valid(const struct weft_blocking_options *o)
{
    uint64_t any = 0;
    for (size_t i = 0; i < sizeof o->reserved / sizeof o->reserved[0]; i++) {
        any |= o->reserved[i];
    }
    return any == 0;
}

/* The object, with one reference to its future; NULL: no memory. */
static struct blocking_job *job_make(struct worker *w, struct weft_pool *pool,
                                     const struct weft_blocking_options *o)
{
    size_t name_bytes = o->name == NULL ? 0 : strlen(o->name) + 1;
    struct blocking_job *b = calloc(1, sizeof *b + name_bytes);
    struct local_set *locals = NULL;
    if (b == NULL || (o->locals && locals_capture(w, &locals) < 0)) {
        free(b);
        return NULL;
    }
    atomic_store_relaxed(&b->refs, 2); /* ORD none: not shared yet */
    b->rt = w == NULL ? NULL : w->rt;
    b->pool = weft__pool_hold(pool);
    b->may_let_go = o->abandon;
    b->dispose = o->dispose;
    b->job.locals = locals;
    b->job.is_interruptible = o->interruptible;
    b->job.requests = &b->requests;
    if (name_bytes != 0) {
        b->job.name = memcpy(b->name, o->name, name_bytes);
    }
    b->f = weft__job_future_create(w, b); /* where a close may find it */
    if (b->f == NULL) {
        weft__pool_release(pool);
        weft__locals_drop(locals);
        free(b);
        return NULL;
    }
    b->job.of = b->f;
    return b;
}

weft_future *weft_submit_blocking_with(const struct weft_blocking_options *options, weft_fn fn,
                                       void *arg)
{
    static const struct weft_blocking_options none;
    const struct weft_blocking_options *o = options != NULL ? options : &none;
    struct worker *w = weft__worker_current();
    struct weft_pool *pool = o->pool;
    if (pool == NULL && w != NULL) {
        pool = weft__blocking_pool(w->rt);
    }
    if (pool == NULL || !options_are_valid(o) || weft__pool_is_parents(pool)) {
        return NULL;
    }
    struct blocking_job *b = job_make(w, pool, o);
    if (b == NULL) {
        return NULL;
    }
    weft_runtime *rt = b->rt;
    weft_future *f = weft_get(b->f);
    b->job.fn = fn;
    b->job.arg = arg;
    b->job.end = job_end;
    if (w != NULL) {
        counter_add_release(&w->count.jobs_begun, 1);
    }
    weft__blocking_hand_over(rt, pool, &b->job);
    if (rt != NULL && WEFT_UNLIKELY(runtime_is_closing(rt))) {
        (void)weft__cancel(f); /* as those that the close finds */
    }
    return f;
}

weft_future *weft_submit_blocking(weft_pool *pool, weft_fn fn, void *arg)
{
    const struct weft_blocking_options options = {.pool = pool};
    return weft_submit_blocking_with(&options, fn, arg);
}
