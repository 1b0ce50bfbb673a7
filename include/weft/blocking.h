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
 * Cancelling takes a job that waits in line out of it; one that runs is waited for, as it may be
 * using the caller's stack. So it is when the runtime is closed.
 *
 * Threads of a pool leave all signals to the program's own (but see runtime.h). A forked child has
 * none of them; a job that forks must exec or _exit there. In a simulation a job runs at once, and
 * the simulation stands still until it has ended, so it must not wait for a task.
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

WEFT_END_DECLS

#endif
