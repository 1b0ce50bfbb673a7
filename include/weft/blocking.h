/* SPDX-License-Identifier: MIT */
/*
 * Blocking work: calls that block, or compute for long, on threads of their own.
 *
 *     static void *look_up(void *host) { return gethostbyname(host); }
 *
 *     void *entry;
 *     int err = weft_run_blocking(look_up, "example.org", &entry);      the task waits, no worker
 *
 * A job is a function as a task's, run by a thread of a pool; it has the stack of a thread, may use
 * what belongs to a thread, and ends with what it returns: a value, or weft_fail(error). To the
 * library that thread is a plain one: weft_runtime_current is NULL there and calls that wait answer
 * -EPERM, but what any thread may do it may, weft_runtime_spawn and weft_future_wait_blocking
 * among them.
 *
 * Each runtime has a pool by default, which is made when it is first used. A thread is started when
 * a job finds none idle, up to options.blocking_threads_max, else the job waits in line; the one
 * that was idle for the shortest time is used first, and ends after options.blocking_idle_ns
 * without a job. When no thread can be started the job waits for one that is there; when there is
 * none, it fails with -EAGAIN or -ENOMEM, and has not run.
 *
 * Cancelling takes a job that waits in line out of it: it ends with -ECANCELED and has not run. One
 * that runs is waited for, as it may be using the caller's stack; so it is when the runtime is
 * closed, which waits for all that its tasks have submitted. But a job may be submitted so that
 *   abandon        it is let go then: its future ends with -ECANCELED at once, nobody waits for it,
 *                  what it gives later is dropped. It may outlive the runtime, so what it uses
 *                  must be its own
 *   interruptible  its thread gets a signal then, again and again until the job has ended: system
 *                  calls that wait fail with EINTR. The job decides what it does then
 * In the job weft_cancelling tells how often its future was cancelled.
 *
 * Threads of a pool leave all signals to the program's own (but see runtime.h). A forked child has
 * none of them; a job that forks must exec or _exit there. In a simulation a job runs at once, and
 * the simulation stands still until it has ended, so it must not wait for a task there: where the
 * library sees that it does, the wait fails with -EDEADLK.
 */
#ifndef WEFT_BLOCKING_H
#define WEFT_BLOCKING_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* Threads for jobs. */
typedef struct weft_pool weft_pool;

#define WEFT_BLOCKING_THREADS_MAX 4096
#define WEFT_BLOCKING_IDLE_NS_DEFAULT (10 * WEFT_SECOND)

/*
 * Run fn(arg) on a thread of the runtime's pool, and wait until it has ended. The job sees the
 * values of the caller's task locals (local.h) as they are now; what it sets goes when it ends.
 * Context: task     Blocks: task
 * result: where the value goes; may be NULL; untouched unless 0 is returned
 * Returns 0 or the job's error; or, without it having run, -ECANCELED or -ETIMEDOUT when the
 * caller's waits fail before a thread has taken it, -EAGAIN (no thread), -ENOMEM, -EPERM outside a
 * task. Once it runs, the call returns when it has ended, with its outcome.
 */
WEFT_PUBLIC int weft_run_blocking(weft_fn fn, void *arg, void **result);

/*
 * Have fn(arg) run on a thread of a pool. The caller gets one reference to a future that ends with
 * the job, and is cancelled as said above: -ECANCELED when the job had not begun. Locals are not
 * passed on.
 * Context: worker     Blocks: nothing
 * pool: NULL: the runtime's
 * Returns NULL outside a task or callback, and when memory ran out; calls that take a future answer
 * -ENOMEM to NULL. When no thread could be had the future has failed.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_future *weft_submit_blocking(weft_pool *pool, weft_fn fn,
                                                              void *arg);

/*
 * The task is about to block its worker, and has: what else is ready or comes due on that worker
 * meanwhile, the other workers run. For a short call that is not worth a job, and may not be moved
 * to another thread.
 *
 *     weft_block_begin();
 *     err = flock(fd, LOCK_EX);
 *     weft_block_end();
 *
 * The task must not wait in between: a wait ends the stretch. Tasks that are pinned to the worker,
 * and operations on descriptors that it has begun, go on when it does; and where it is the only
 * worker, or options.kick_signal is -1, so does all else: use weft_run_blocking.
 * Context: task     Blocks: nothing
 * Returns 0, or -EPERM outside a task.
 */
WEFT_PUBLIC int weft_block_begin(void);

/*
 * The task blocks its worker no more: what comes to it is its own again. What others have taken
 * over stays with them. Does nothing where nothing was begun, or a wait has ended it.
 * Context: any thread; of use in the task that has begun     Blocks: nothing
 */
WEFT_PUBLIC void weft_block_end(void);

/* How to submit a job; all zero is what weft_submit_blocking does. */
struct weft_blocking_options {
    weft_pool *pool;      /* NULL: the runtime's */
    const char *name;     /* copied; for reports of errors and of what a close waits for */
    bool abandon;         /* let go when it is cancelled while it runs */
    bool interruptible;   /* gets a signal then */
    bool locals;          /* sees the caller's task locals, as by weft_run_blocking */
    void (*dispose)(void *result); /* of a job that was let go: is called in the job's thread with
                             what it gave, if that is not NULL; NULL: nothing */
    uint64_t reserved[4]; /* zero */
};

/*
 * weft_submit_blocking with options (NULL: none).
 * Context: worker; any thread, a job too, where options->pool is given     Blocks: nothing
 * Returns as weft_submit_blocking; NULL also for options with something in `reserved`, and for a
 * pool of the parent in a forked child.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_future *
weft_submit_blocking_with(const struct weft_blocking_options *options, weft_fn fn, void *arg);

/* What a pool is to be; all zero means the defaults. */
struct weft_pool_options {
    const char *name;       /* of its threads, cut to 15 characters, and in reports; copied */
    unsigned threads_max;   /* up to 4096; 0: as in weft_options.blocking_threads_max */
    uint64_t queue_max;     /* how many jobs may be in line, that no thread has taken yet; 0: any
                               number. Where there are as many a job fails with -EAGAIN */
    int64_t idle_ns;        /* as weft_options.blocking_idle_ns */
    int64_t close_grace_ns; /* how long weft_pool_close waits; 0 or WEFT_FOREVER: no limit */
    int (*thread_begin)(void *thread_arg); /* called first on each thread; NULL: nothing. A negative
                               value breaks the pool: jobs in line fail with it, and later ones */
    void (*thread_end)(void *thread_arg);  /* called last on each that could begin; NULL: nothing */
    void *thread_arg;
    uint64_t reserved[4];   /* zero */
};

/*
 * Make a pool, which any task of any runtime and any thread may use. No thread is started yet.
 * Context: any thread     Blocks: nothing
 * options: NULL: none
 * *pool: to be given to weft_pool_close; untouched on error
 * Returns 0, -EINVAL, -ENOMEM.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_pool_create(const struct weft_pool_options *options,
                                                 weft_pool **pool);

/*
 * Let nothing begin any more: jobs in line end with -ECANCELED, and what is submitted from now on
 * fails with -ESHUTDOWN. Jobs that run go on. The pool is still to be closed.
 * Context: any thread     Blocks: nothing
 * Returns how many jobs were in line.
 */
WEFT_PUBLIC size_t weft_pool_cancel(weft_pool *pool);

/*
 * Refuse jobs from now on, with -ESHUTDOWN, run those in line, wait until the last has ended, and
 * free the pool; NULL does nothing. Jobs that were let go are not waited for.
 * Context: any thread, but not a callback; nobody else closes it     Blocks: the task, the thread.
 *     Not cut short by a cancel or deadline of the task
 * Returns 0; -ETIMEDOUT when options.close_grace_ns went by: the jobs that are stuck are named on
 * standard error, and the call may be made again; -EDEADLK in a job of that pool, -EPERM in a
 * callback, -EAGAIN or -ENOMEM when a task's runtime has no thread to wait (call again), -ESHUTDOWN
 * in a forked child.
 */
WEFT_PUBLIC int weft_pool_close(weft_pool *pool);

WEFT_END_DECLS

#endif
