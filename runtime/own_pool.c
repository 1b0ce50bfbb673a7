/* SPDX-License-Identifier: MIT */
/*
 * Pools of the program's own. To close one is to refuse jobs, let those that are in line run, and
 * wait until the threads have ended. It blocks a thread; a task has it done by one of its runtime's
 * pool.
 */
#include <errno.h>
#include <stdio.h>

#include <weft/scope.h>
#include <weft/task.h>

#include "blocking.h"
#include "pool.h"
#include "worker.h"

static bool options_are_valid(const struct weft_pool_options *o)
{
    uint64_t any = 0;
    for (size_t i = 0; i < sizeof o->reserved / sizeof o->reserved[0]; i++) {
        any |= o->reserved[i];
    }
    return any == 0 && o->threads_max <= WEFT_BLOCKING_THREADS_MAX && o->idle_ns >= 0 &&
           o->close_grace_ns >= 0;
}

int weft_pool_create(const struct weft_pool_options *options, weft_pool **pool)
{
    static const struct weft_pool_options none;
    const struct weft_pool_options *o = options != NULL ? options : &none;
    if (pool == NULL || !options_are_valid(o)) {
        return -EINVAL;
    }
    struct pool_config config = {
        .name = o->name != NULL ? o->name : "weft-pool",
        .threads_max = o->threads_max != 0 ? o->threads_max : weft__blocking_threads_default(),
        .idle_ns = o->idle_ns != 0 ? o->idle_ns : WEFT_BLOCKING_IDLE_NS_DEFAULT,
        .grace_ns = o->close_grace_ns != 0 ? o->close_grace_ns : WEFT_FOREVER,
        .signal = weft__pool_signal_default(),
        .queue_max = o->queue_max,
        .thread_begin = o->thread_begin,
        .thread_end = o->thread_end,
        .thread_arg = o->thread_arg,
    };
    struct weft_pool *made = weft__pool_create(&config);
    if (made == NULL) {
        return -ENOMEM;
    }
    *pool = made;
    return 0;
}

size_t weft_pool_cancel(weft_pool *pool)
{
    if (pool == NULL || weft__pool_is_parents(pool)) {
        return 0;
    }
    weft__pool_refuse(pool, -ESHUTDOWN);
    return weft__pool_fail_all(pool, -ECANCELED);
}

/* Name the jobs that are stuck. */
static void name_stuck(struct weft_pool *pool)
{
    unsigned count = 0;
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->threads_max; i++) {
        const struct job *job = pool->slots[i].job;
        if (job != NULL && !job->is_let_go) {
            count++;
            fprintf(stderr, "weft: pool %s: job %s has not ended\n", pool->name,
                    job->name != NULL ? job->name : "without a name");
        }
    }
    pthread_mutex_unlock(&pool->lock);
    fprintf(stderr, "weft: pool %s: %u jobs have not ended in time\n", pool->name, count);
}

static int close_here(struct weft_pool *pool)
{
    int64_t now = weft__pool_now();
    int64_t grace_ns = pool->grace_ns;
    if (weft__pool_end_threads(pool, grace_ns >= WEFT_FOREVER - now ? WEFT_FOREVER
                                                                   : now + grace_ns)) {
        weft__pool_release(pool);
        return 0;
    }
    name_stuck(pool);
    return -ETIMEDOUT;
}

static void *job_closes(void *arg)
{
    int err = close_here(arg);
    return err < 0 ? weft_fail(err) : NULL;
}

int weft_pool_close(weft_pool *pool)
{
    if (pool == NULL) {
        return 0;
    }
    if (weft__pool_is_parents(pool)) {
        return -ESHUTDOWN;
    }
    struct job *job = weft__job_current();
    if (job != NULL && weft__pool_runs(pool, job)) {
        return -EDEADLK;
    }
    struct worker *w = weft__worker_current();
    if (w == NULL) {
        weft__pool_refuse(pool, -ESHUTDOWN);
        return close_here(pool);
    }
    if (w->in_loop) {
        return -EPERM;
    }
    weft__pool_refuse(pool, -ESHUTDOWN);
    int err = 0;
    WEFT_SHIELD {
        err = weft__run_blocking("weft_pool_close", job_closes, pool, NULL);
    }
    return err;
}
