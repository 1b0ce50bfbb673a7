/* SPDX-License-Identifier: MIT */
/*
 * Process pool: jobs for worker processes.
 *
 * Each job is a task, which waits for one of the pool's slots, asks the worker in it
 * (process_slot.h), and keeps the answer in its own descriptor. So to cancel, await and time out
 * are what they are for any task. The slot used last is used next: its worker is there and has its
 * memory in the caches.
 *
 * Jobs stand in line from the moment they are submitted, whenever their tasks begin. Who brings a
 * slot and a job together gives the slot to the job, and wakes its task if that waits; one that has
 * not begun yet finds it later. A task that was cancelled before it was given a slot leaves the
 * line; one that has not begun by then gives the slot back, since the worker would be lost.
 *
 * The close waits until the last job's task is done, and cancels all when it is cut short; the list
 * of jobs is for that. A job is noted by its submitter and gone from the list before its task ends.
 * It holds the pool until that is done, as the pool itself does until it is closed; the event that
 * tells the closer is the last touch of the pool.
 *
 * Invariants
 *   I1  there is no idle slot, or nobody in line, but while the lock is held.
 *
 * Pairs
 *   P1  let go: holds, acq_rel -> the last to let go: holds, acq_rel     all that jobs did, before
 *                                                                       the pool is freed
 *
 * Tested: tests/io/test_process_pool.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <weft/scope.h>
#include <weft/sync.h>
#include <weft/task.h>

#include "cpu_count.h"
#include "extra.h"
#include "future.h"
#include "list.h"
#include "park.h"
#include "process_job.h"
#include "process_slot.h"
#include "sync_word.h"

struct weft_process_pool {
    struct weft_process_pool_options options; /* immutable; its own copies */
    struct process_slot *slots;
    pthread_mutex_t lock;
    /* under lock */
    struct process_slot *idle; /* the last used first */
    struct list jobs; /* all */
    struct list line; /* those without a slot */
    bool is_closing;
    bool is_cancelling; /* those that begin now are too late as well */
    _Atomic(size_t) holds;  /* jobs whose tasks are not done; one more until it is closed */
    struct weft_event over; /* nobody holds it any more */
};

struct pool_job {
    weft_process_pool *pool;
    struct waiter end; /* of its task */
    /* under the pool's lock */
    struct list link;
    struct list in_line;       /* empty: it is not */
    struct process_slot *slot; /* NULL: it has none */
    weft_task *task;           /* NULL: it has not begun */
    bool is_waiting;           /* so that the node is announced */
    struct wait_node node;
    /* immutable */
    const char *name; /* in the same memory, as the input */
    const char *in;
    size_t in_bytes;
};

/* I1. Returns the node of a task that was claimed, to be resumed after the lock, or NULL. Lock
 * held; one slot or job was added since the last call. */
static struct wait_node *pool_match(weft_process_pool *pool)
{
    while (pool->idle != NULL && !list_empty(&pool->line)) {
        struct pool_job *j = WEFT_CONTAINER(pool->line.next, struct pool_job, in_line);
        list_remove(&j->in_line);
        if (j->is_waiting && !weft__wait_claim(j->node.fiber, j->node.ticket)) {
            continue; /* it was cancelled */
        }
        j->slot = pool->idle;
        pool->idle = j->slot->next;
        if (j->is_waiting) {
            return &j->node;
        }
    }
    return NULL;
}

static void slot_give(weft_process_pool *pool, struct process_slot *s)
{
    pthread_mutex_lock(&pool->lock);
    s->next = pool->idle;
    pool->idle = s;
    struct wait_node *n = pool_match(pool);
    pthread_mutex_unlock(&pool->lock);
    if (n != NULL) {
        weft__wait_queue_resume(n);
    }
}

/* Leave the line, or give the slot back. */
static void job_give_up(struct pool_job *j)
{
    pthread_mutex_lock(&j->pool->lock);
    list_remove(&j->in_line);
    struct process_slot *s = j->slot;
    pthread_mutex_unlock(&j->pool->lock);
    if (s != NULL) {
        slot_give(j->pool, s);
    }
}

/* Wait for the slot. 0, or why not: then it may have one all the same. */
static int job_wait(struct pool_job *j)
{
    struct fiber *f = weft__fiber_current();
    int err = weft__sync_wait_begin(&j->node, f, WAIT_CLAIMABLE, j->pool);
    pthread_mutex_lock(&j->pool->lock);
    bool has_slot = j->slot != NULL;
    j->is_waiting = !has_slot && err == 0;
    pthread_mutex_unlock(&j->pool->lock);
    if (has_slot) {
        (void)weft__sync_wait_retract(&j->node);
        return weft_scope_error();
    }
    if (err < 0) {
        return weft__sync_wait_refused(&j->node, err);
    }
    weft__park(f);
    return f->outcome;
}

/* True: nobody holds it any more, and the event is not needed. */
static bool pool_let_go(weft_process_pool *pool)
{
    /* ORD P1: what the caller did with the pool; what all others did. */
    return atomic_sub_acq_rel(&pool->holds, 1) == 1;
}

/* Its task is done, or there is none: the last use of the pool. */
static void job_free(struct pool_job *j)
{
    weft_process_pool *pool = j->pool;
    free(j);
    if (pool_let_go(pool)) {
        weft_event_set(&pool->over);
    }
}

static void job_wake(struct waiter *node, weft_future *f)
{
    (void)f;
    job_free(WEFT_CONTAINER(node, struct pool_job, end));
}

/* 0, or why it is not to be done. */
static int job_begin(struct pool_job *j)
{
    weft_task *self = weft_self();
    j->end.wake = job_wake;
    (void)weft__future_add_waiter(self, &j->end); /* it is not done */
    pthread_mutex_lock(&j->pool->lock);
    j->task = self;
    int err = j->pool->is_cancelling ? -ECANCELED : 0;
    pthread_mutex_unlock(&j->pool->lock);
    return err;
}

/* It is not to be cancelled any more. */
static void job_leave(struct pool_job *j)
{
    pthread_mutex_lock(&j->pool->lock);
    list_remove(&j->link);
    pthread_mutex_unlock(&j->pool->lock);
}

static void *job_run(void *arg)
{
    struct pool_job *j = arg;
    weft_process_pool *pool = j->pool;
    struct process_result *result = NULL;
    struct task_extra *extra = weft__extra_make(weft_self());
    int err = job_begin(j);
    err = extra == NULL ? -ENOMEM : err;
    err = err < 0 ? err : job_wait(j);
    if (err == 0) {
        struct process_call call = {j->name, j->in, j->in_bytes};
        err = weft__process_slot_call(j->slot, &pool->options, &call, &result);
    }
    job_give_up(j);
    if (extra != NULL) {
        extra_keep(extra, result, free);
    }
    job_leave(j);
    return err < 0 ? weft_fail(err) : result->data;
}

static void *shut_run(void *arg)
{
    (void)arg;
    return weft_fail(-ESHUTDOWN);
}

static struct pool_job *job_make(weft_process_pool *pool, const char *name, const void *in,
                                 size_t in_bytes)
{
    size_t name_bytes = strlen(name) + 1;
    if (name_bytes > WEFT_PROCESS_NAME_MAX + 1 || in_bytes > SIZE_MAX / 2) {
        return NULL;
    }
    struct pool_job *j = malloc(sizeof *j + name_bytes + in_bytes);
    if (j != NULL) {
        char *text = (char *)(j + 1);
        memcpy(text, name, name_bytes);
        if (in_bytes > 0) {
            memcpy(text + name_bytes, in, in_bytes);
        }
        *j = (struct pool_job){
            .pool = pool,
            .name = text,
            .in = text + name_bytes,
            .in_bytes = in_bytes,
        };
        list_init(&j->in_line);
    }
    return j;
}

weft_future *weft_submit_process(weft_process_pool *pool, const char *name, const void *in,
                                 size_t in_bytes)
{
    struct pool_job *j = job_make(pool, name, in, in_bytes);
    if (j == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&pool->lock);
    bool is_refused = pool->is_closing;
    if (!is_refused) {
        (void)atomic_add_relaxed(&pool->holds, 1); /* ORD none: it has a holder already */
        list_push_back(&pool->jobs, &j->link);
        list_push_back(&pool->line, &j->in_line);
        (void)pool_match(pool); /* which claims nobody: those who wait are before it in line */
    }
    pthread_mutex_unlock(&pool->lock);
    struct weft_spawn_options options = {.name = name};
    weft_task *t = weft_spawn_with(&options, is_refused ? shut_run : job_run, j);
    if (is_refused) {
        free(j);
    } else if (t == NULL) {
        job_give_up(j);
        job_leave(j);
        job_free(j);
    }
    return t;
}

int weft_process_result(weft_future *f, const void **data, size_t *bytes)
{
    const struct task_extra *extra = f == NULL ? NULL : extra_of(f);
    bool has_ended = f != NULL && weft_done(f);
    const struct process_result *r =
        has_ended && extra != NULL && extra->kept_free == free ? extra->kept : NULL;
    *data = r != NULL ? r->data : "";
    if (bytes != NULL) {
        *bytes = r != NULL ? r->bytes : 0;
    }
    if (f != NULL && f->fn != job_run && f->fn != shut_run) {
        return -EINVAL;
    }
    return weft_result(f, NULL);
}

static void pool_free(weft_process_pool *pool)
{
    free((char *)(uintptr_t)pool->options.initializer);
    free((void *)(uintptr_t)pool->options.initializer_in);
    free(pool->slots);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* The pool's own copies of what the options point to. */
static int options_copy(struct weft_process_pool_options *to,
                        const struct weft_process_pool_options *from)
{
    static const struct weft_process_pool_options none;
    from = from == NULL ? &none : from;
    for (size_t i = 0; i < sizeof from->reserved / sizeof from->reserved[0]; i++) {
        if (from->reserved[i] != 0) {
            return -EINVAL;
        }
    }
    if (from->workers > WEFT_PROCESS_WORKERS_MAX || from->initializer_bytes > SIZE_MAX / 2 ||
        (from->initializer != NULL && strlen(from->initializer) > WEFT_PROCESS_NAME_MAX)) {
        return -EINVAL;
    }
    to->workers = from->workers > 0 ? from->workers : weft__cpu_count();
    to->jobs_max = from->jobs_max;
    if (from->initializer != NULL) {
        char *copy = malloc(from->initializer_bytes + 1);
        to->initializer = strdup(from->initializer);
        to->initializer_in = copy;
        to->initializer_bytes = from->initializer_bytes;
        if (copy == NULL || to->initializer == NULL) {
            return -ENOMEM;
        }
        if (from->initializer_bytes > 0) {
            memcpy(copy, from->initializer_in, from->initializer_bytes);
        }
    }
    return 0;
}

int weft_process_pool_create(const struct weft_process_pool_options *options,
                             weft_process_pool **out)
{
    if (!weft__process_may_pool()) {
        return -EPERM;
    }
    weft_process_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_init(&pool->lock, NULL);
    list_init(&pool->jobs);
    list_init(&pool->line);
    atomic_init(&pool->holds, 1);
    int err = options_copy(&pool->options, options);
    unsigned workers = pool->options.workers;
    pool->slots = err == 0 ? calloc(workers, sizeof *pool->slots) : NULL;
    err = err == 0 && pool->slots == NULL ? -ENOMEM : err;
    if (err < 0) {
        pool_free(pool);
        return err;
    }
    for (unsigned i = workers; i > 0; i--) {
        pool->slots[i - 1].next = pool->idle;
        pool->idle = &pool->slots[i - 1];
    }
    *out = pool;
    return 0;
}

/* Have all jobs end as cancelled. */
static void pool_cancel(weft_process_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_cancelling = true;
    for (struct list *l = pool->jobs.next; l != &pool->jobs; l = l->next) {
        struct pool_job *j = WEFT_CONTAINER(l, struct pool_job, link);
        if (j->task != NULL) {
            (void)weft__cancel(j->task); /* which lets nobody else run, as weft_cancel may */
        }
    }
    pthread_mutex_unlock(&pool->lock);
}

/* All at once, so that it takes no longer than the slowest. */
static void pool_end_workers(weft_process_pool *pool)
{
    for (unsigned i = 0; i < pool->options.workers; i++) {
        weft__process_slot_hang_up(&pool->slots[i]);
    }
    int64_t until_ns = weft_now() + SLOT_PATIENCE_NS;
    for (unsigned i = 0; i < pool->options.workers; i++) {
        weft__process_slot_end(&pool->slots[i], until_ns);
    }
}

int weft_process_pool_close(weft_process_pool *pool)
{
    if (weft_self() == NULL) {
        return -EPERM;
    }
    pthread_mutex_lock(&pool->lock);
    pool->is_closing = true;
    pthread_mutex_unlock(&pool->lock);
    int err = pool_let_go(pool) ? 0 : weft_event_wait(&pool->over);
    if (err < 0) {
        pool_cancel(pool);
        WEFT_SHIELD
        {
            while (weft_event_wait(&pool->over) < 0) {
                /* nothing ends this wait */
            }
        }
    }
    pool_end_workers(pool);
    pool_free(pool);
    return err;
}
