/* SPDX-License-Identifier: MIT */
/*
 * Promises: futures without a function, set by hand from anywhere.
 *
 * A promise is a descriptor as a task's (future.h), with fn == NULL. On a worker it comes from that
 * worker's cache, on other threads from a pool that belongs to no runtime. Nothing runs for it, so
 * no runtime counts it as live or waits for it when it closes; like the handle of a task that has
 * ended it keeps its pool's memory, and nothing else of its runtime, until the last reference goes.
 *
 * Who may end it is anybody, at any time, several at once. The one who sets SET in the word has won
 * and is alone in writing the outcome; with the same compare-and-swap it takes a reference, which
 * weft__future_end drops: whoever it wakes may drop the last other one.
 *
 * Tested: tests/model/model_future.c.
 */
#include <errno.h>

#include <weft/future.h>

#include "blocking.h"
#include "runtime_object.h"
#include "simulation.h"

static void promise_init(weft_future *f, weft_runtime *rt, struct blocking_job *job)
{
    f->run.kind = RUNNABLE_TASK;
    f->run.pinned_to = RUNNABLE_ANYWHERE;
    f->fn = NULL;
    f->value.result = NULL;
    f->waiters = NULL;
    f->error = 0;
    f->rt = rt;
    f->id = 0;
    f->job = job;
    /* ORD none: the descriptor is ours until the word is written. */
    atomic_store_relaxed(&f->fiber, NULL);
    atomic_store_relaxed(&f->extra, NULL);    /* ORD none: as above */
    atomic_store_relaxed(&f->inbox_flags, 0); /* ORD none: as above */
    atomic_store_relaxed(&f->seen, 0);        /* ORD none: as above */
    atomic_store_relaxed(&f->cancel, 0);      /* ORD none: as above */
    /* ORD P2 (future.h): who finds the descriptor by walking finds no task. */
    atomic_store_release(&f->word, FUTURE_REF);
}

/* From the memory of the worker's runtime, or where there is none of the threads'. */
static weft_future *promise_make(struct worker *w, struct blocking_job *job)
{
    weft_future *f;
    if (w != NULL) {
        f = slab_take(&w->tasks);
    } else {
        struct slab_pool *pool = weft__slab_pool_of_threads();
        f = pool == NULL ? NULL : weft__slab_get(pool);
    }
    if (f != NULL) {
        promise_init(f, w == NULL ? NULL : w->rt, job);
    }
    return f;
}

weft_future *weft_future_create(void)
{
    return promise_make(weft__worker_current(), NULL);
}

weft_future *weft__promise_create(weft_runtime *rt)
{
    struct worker *w = weft__worker_current();
    weft_future *f = w != NULL && w->rt == rt ? slab_take(&w->tasks) : weft__slab_get(rt->tasks);
    if (f != NULL) {
        promise_init(f, rt, NULL);
    }
    return f;
}

weft_future *weft__job_future_create(struct worker *w, struct blocking_job *job)
{
    return promise_make(w, job);
}

bool weft__promise_set(weft_future *f, void *result, int error)
{
    /* ORD none: the CAS checks it. */
    uint64_t old = atomic_load_relaxed(&f->word);
    do {
        if ((old & (FUTURE_DONE | FUTURE_SET)) != 0) {
            return false;
        }
        /* ORD none: who wins writes the outcome, who loses reads nothing of it. */
    } while (!atomic_cas_relaxed(&f->word, &old, (old | FUTURE_SET) + FUTURE_REF));
    f->value.result = result;
    f->error = error;
    weft__future_end(f);
    return true;
}

bool weft__promise_cancel(weft_future *f)
{
    return f->job != NULL ? weft__blocking_cancel(f) : weft__promise_set(f, NULL, -ECANCELED);
}

static int promise_set(weft_future *f, void *result, int error)
{
    if (f == NULL) {
        return -ENOMEM;
    }
    if (f->fn != NULL || f->job != NULL) {
        return -EINVAL;
    }
    if (!weft__slab_is_ours(f)) {
        return -ESHUTDOWN;
    }
    const weft_runtime *rt = f->rt;
    int err = weft__promise_set(f, result, error) ? 0 : -EALREADY;
    simulation_point(rt);
    return err;
}

int weft_future_set_result(weft_future *f, void *result)
{
    return promise_set(f, result, 0);
}

int weft_future_set_error(weft_future *f, int error)
{
    WEFT_REQUIRE(error < 0 && error > -4096, "weft_future_set_error takes a negative errno value");
    return promise_set(f, NULL, error);
}
