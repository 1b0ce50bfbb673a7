/* SPDX-License-Identifier: MIT */
/*
 * A thread of a pool: takes jobs and runs them, looks on for a moment, sleeps, ends.
 *
 * It is a plain thread to all of the library: it runs no task, so what would wait there answers
 * -EPERM. All signals but those that a thread causes itself are left to the program's own threads.
 * For these it has a signal stack, so that a job's stack overflow can be told of (crash.h).
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <weft/task.h>

#include "check.h"
#include "future.h"
#include "futex.h"
#include "locals.h"
#include "pool.h"
#include "signal_stack.h"
#include "tls.h"

/* A searcher that found nothing so many times in a row sleeps at once, until jobs come one after
 * the other again. */
#define IN_VAIN_MAX 4
#define LOOK_ON_SPINS 8

int64_t weft__pool_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

void weft__job_call(struct job *job)
{
    weft__job_set_current(job);
    void *value = job->fn(job->arg);
    weft__job_set_current(NULL);
    if (value == &weft__failed) {
        job->result = NULL;
    } else {
        job->error = 0;
        job->result = value;
    }
    if (WEFT_UNLIKELY(job->locals != NULL)) {
        weft__locals_drop(job->locals);
    }
}

static void run(struct pool_slot *slot, struct job *job)
{
    bool is_open = job->is_interruptible && slot->pool->signal > 0;
    if (WEFT_UNLIKELY(is_open)) {
        weft__pool_signal_open(slot->pool);
    }
    weft__job_call(job);
    if (WEFT_UNLIKELY(is_open)) {
        weft__pool_signal_close(slot->pool);
    }
    weft__pool_job_over(slot);
}

void weft__job_over(struct job *job)
{
    if (WEFT_LIKELY(!job->is_awaited)) {
        job->end(job);
        return;
    }
    /* ORD P1 (job.h): the outcome; the last touch. */
    atomic_store_release(&job->is_over, 1);
    weft__futex_wake(&job->is_over, INT_MAX);
}

void weft__job_await(struct job *job)
{
    while (atomic_load_acquire(&job->is_over) == 0) { /* ORD P1 (job.h): the outcome */
        weft__futex_wait(&job->is_over, 0, WEFT_FOREVER);
    }
}

static bool must_end(struct weft_pool *pool)
{
    return atomic_load_seq_cst(&pool->is_closing) != 0; /* ORD P5 (pool.h): after the push */
}

static uint32_t in_vain(struct weft_pool *pool)
{
    return atomic_load_relaxed(&pool->in_vain); /* ORD none: a hint */
}

static void set_in_vain(struct weft_pool *pool, uint32_t times)
{
    if (in_vain(pool) != times) {
        atomic_store_relaxed(&pool->in_vain, times); /* ORD none: a hint */
    }
}

/* As the searcher: busy-wait for a job. */
static void look_on(struct weft_pool *pool)
{
    if (pool->look_on_ns == 0 || in_vain(pool) >= IN_VAIN_MAX) {
        return;
    }
    int64_t until = weft__pool_now() + pool->look_on_ns;
    do {
        for (unsigned i = 0; i < LOOK_ON_SPINS; i++) {
            cpu_relax();
        }
        if (!weft__pool_has_jobs(pool)) {
            sched_yield(); /* who is to submit the next may be waiting for this very processor */
        }
        if (weft__pool_has_jobs(pool)) {
            set_in_vain(pool, 0);
            return;
        }
    } while (!must_end(pool) && weft__pool_now() < until);
    set_in_vain(pool, in_vain(pool) + 1);
}

/* Sleep until called, which makes it the searcher. False: nobody did for long, or the pool ends;
 * the slot is another's. */
static bool sleep_until_called(struct pool_slot *slot)
{
    struct weft_pool *pool = slot->pool;
    int64_t began = weft__pool_now();
    bool is_over = must_end(pool);
    /* ORD P4 (pool.h): what the caller did. */
    while (atomic_load_acquire(&slot->state) == SLOT_SLEEPING) {
        if (is_over && weft__pool_retire(slot)) {
            return false;
        }
        int64_t slept = weft__pool_now() - began;
        is_over = slept >= pool->idle_ns;
        if (!is_over) {
            bool is_forever = pool->idle_ns == WEFT_FOREVER;
            weft__futex_wait(&slot->state, SLOT_SLEEPING,
                             is_forever ? WEFT_FOREVER : pool->idle_ns - slept);
        }
    }
    if (weft__pool_now() - began < 2 * pool->look_on_ns) {
        set_in_vain(pool, 0); /* to look on would have been right */
    }
    return true;
}

/* The slot's thread begins, and is called again, as the searcher. */
static void run_jobs(struct pool_slot *slot)
{
    struct weft_pool *pool = slot->pool;
    bool is_searching = true;
    for (;;) {
        struct job *job = weft__pool_take(slot);
        if (job == NULL && is_searching) {
            look_on(pool);
            job = weft__pool_take(slot);
        }
        if (job == NULL) {
            weft__pool_sleep_begin(slot);
        }
        if (is_searching) {
            weft__pool_search_end(pool);
        } else {
            weft__pool_look(pool); /* what was moved to the queue */
        }
        if (job != NULL) {
            run(slot, job);
            is_searching = weft__pool_search_begin(pool);
        } else if (sleep_until_called(slot)) {
            is_searching = true;
        } else {
            return;
        }
    }
}

/* Note where this thread's stack ends. Asked now, as a signal handler must not. */
static void note_stack(struct pool_slot *slot)
{
    pthread_attr_t attr;
    void *low = NULL;
    slot->stack_low = NULL;
    if (pthread_getattr_np(pthread_self(), &attr) != 0) {
        return; /* for want of memory */
    }
    if (pthread_attr_getstack(&attr, &low, &slot->stack_bytes) == 0 &&
        pthread_attr_getguardsize(&attr, &slot->guard_bytes) == 0) {
        slot->stack_low = low;
    }
    (void)pthread_attr_destroy(&attr);
}

static void *thread_main(void *arg)
{
    struct pool_slot *slot = arg;
    struct weft_pool *pool = slot->pool;
    (void)prctl(PR_SET_NAME, pool->name);
    slot->tid = (int)syscall(SYS_gettid);
    note_stack(slot);
    (void)weft__signal_stack_begin(); /* without it an overflow is not told of, that is all */
    int err = pool->thread_begin == NULL ? 0 : pool->thread_begin(pool->thread_arg);
    if (err < 0) {
        weft__pool_refuse(pool, err);
        weft__pool_slot_back(slot);
        (void)weft__pool_fail_all(pool, err);
    } else {
        run_jobs(slot); /* the slot is another's from here on */
        if (pool->thread_end != NULL) {
            pool->thread_end(pool->thread_arg);
        }
    }
    weft__signal_stack_end();
    weft__pool_thread_over(pool);
    return NULL;
}

/* All but what a thread causes itself, and what profilers send. */
static void signal_mask(sigset_t *set)
{
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
    sigfillset(set);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        sigdelset(set, open[i]);
    }
}

int weft__pool_thread_start(struct pool_slot *slot)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) {
        return -ENOMEM;
    }
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigset_t set, before;
    signal_mask(&set);
    pthread_sigmask(SIG_SETMASK, &set, &before);
    pthread_t thread;
    int err = -pthread_create(&thread, &attr, thread_main, slot);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return err;
}
