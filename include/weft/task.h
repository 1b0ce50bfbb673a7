/* SPDX-License-Identifier: MIT */
/*
 * Tasks: plain C functions that run concurrently on the runtime's workers.
 *
 *     static void *twice(void *n) { return (void *)((intptr_t)n * 2); }
 *
 *     weft_task *t = weft_spawn(twice, (void *)21);
 *     void *answer;
 *     int err = weft_join(t, &answer);
 *
 * A spawned function runs, exactly once, also when it was cancelled before it started: it owns its
 * argument. Nothing may be assumed about when it starts: on several workers that can be before
 * weft_spawn has returned. Its outcome is what it returned: a value, or weft_fail(error).
 *
 * Cancelling is a request, and level-triggered: from then on every wait of the task fails with
 * -ECANCELED, until the task has ended or has called weft_uncancel. Input and output, sleeping and
 * yielding look for a request when they are called, an await only where it would have to wait.
 * A result that was won is never thrown away: a read that had its bytes when the cancel came
 * returns them, and the next wait fails.
 *
 * References: weft_spawn and weft_get give one, weft_put and weft_join take one back. A task that
 * nobody holds runs on to its end.
 */
#ifndef WEFT_TASK_H
#define WEFT_TASK_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

#define WEFT_STACK_BYTES_MIN ((size_t)16 * 1024)
#define WEFT_STACK_BYTES_DEFAULT ((size_t)64 * 1024)
#define WEFT_STACK_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* How to spawn; all zero is what weft_spawn does. */
struct weft_spawn_options {
    const char *name;     /* copied; NULL: "Task-<id>" */
    size_t stack_bytes;   /* what the task may rely on, 16 KiB to 64 MiB, rounded up to a power
                             of two; 0: the runtime's default */
    bool pinned;          /* always runs on the worker that spawned it */
    bool held;            /* does not run before weft_start */
    struct weft_context *context; /* whose locals the task has; NULL: a copy of the spawner's;
                             see local.h */
    struct weft_group *group; /* of which it is a child, see group.h; NULL: none */
    uint64_t reserved[4]; /* zero */
};

/*
 * Make a task that runs fn(arg). The caller gets one reference.
 * Context: worker     Blocks: nothing
 * arg: handed to fn as it is; fn owns it
 * Returns the task, or NULL outside a task or callback, or when memory ran out; then fn does not
 * run, and the argument is still the caller's. Calls that take a task answer -ENOMEM to NULL.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_task *weft_spawn(weft_fn fn, void *arg);

/*
 * weft_spawn with options (NULL: none).
 * Context: worker     Blocks: nothing
 * Returns as weft_spawn; NULL also when an option is out of range, or a reserved one is not zero.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_task *weft_spawn_with(const struct weft_spawn_options *options,
                                                       weft_fn fn, void *arg);

/*
 * Make a task and keep no reference: fire and forget. When it fails, the error handler (runtime.h)
 * is told.
 * Context: worker     Blocks: nothing
 * Returns 0, -EPERM outside a task or callback, -ENOMEM, -ESHUTDOWN; then fn does not run.
 */
WEFT_PUBLIC int weft_go(weft_fn fn, void *arg);

/*
 * Let a task that was spawned with `held` run.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EALREADY when it was started before, -ESHUTDOWN in a forked child, -ENOMEM for NULL.
 */
WEFT_PUBLIC int weft_start(weft_task *task);

/*
 * End the current task as failed: `return weft_fail(-EIO);` from its function. -ECANCELED ends it
 * cancelled. The call itself ends nothing: the value must be what the function returns.
 * Context: task     Blocks: nothing
 * error: a negative errno value; any other number, 0 too, ends the process
 */
WEFT_PUBLIC WEFT_MUST_CHECK void *weft_fail(int error);

/*
 * Wait until f is done. Any number of tasks may await the same future, any number of times.
 * A cancel that reaches the caller while it waits here is passed on to f, once; the call still
 * returns only when f has ended, with f's outcome, because f may be using the caller's stack. A
 * promise (future.h) ends at once then, for all who await it.
 * Context: task     Blocks: task
 * result: where the value goes; may be NULL; untouched unless 0 is returned
 * Returns 0, or the task's error (-ECANCELED when it ended cancelled), or -EDEADLK when f is the
 * caller, -ENOMEM when f is NULL, -EPERM outside a task.
 */
WEFT_PUBLIC int weft_await(weft_future *f, void **result);

/*
 * Wait until f is done, and pass nothing on to it: a cancel ends the call, and f goes on.
 * Context: task     Blocks: task
 * result: where the value goes; may be NULL; untouched unless 0 is returned
 * Returns 0 or f's error when f is done; -ECANCELED or -ETIMEDOUT also when the caller's own waits
 * fail while f is pending (weft_done tells); or -EDEADLK, -ENOMEM, -EPERM as weft_await.
 */
WEFT_PUBLIC int weft_shielded(weft_future *f, void **result);

/*
 * weft_await, then weft_put.
 * Context: task     Blocks: task
 * Returns as weft_await; the reference is gone unless the call was refused: -EPERM outside a task,
 * -EDEADLK when task is the caller. When these are the task's own error, it is gone.
 */
WEFT_PUBLIC int weft_join(weft_task *task, void **result);

/*
 * weft_cancel, then weft_join.
 * Context: task     Blocks: task
 * Returns as weft_join: -ECANCELED when the task ended cancelled.
 */
WEFT_PUBLIC int weft_cancel_and_join(weft_task *task, void **result);

/*
 * Take another reference; NULL is passed through.
 * Context: any thread, holding a reference     Blocks: nothing
 */
WEFT_PUBLIC weft_future *weft_get(weft_future *f);

/*
 * Give a reference back; NULL does nothing. The last one frees the future; a task goes on to its
 * end all the same, and when it failed and nobody looked at its outcome, the error handler
 * (runtime.h) is told. A held task that was never started is reported and freed.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_put(weft_future *f);

/*
 * Whether f has ended, in whatever way.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC bool weft_done(const weft_future *f);

/*
 * Whether f has ended cancelled.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC bool weft_cancelled(const weft_future *f);

/*
 * The outcome, without waiting.
 * Context: any thread     Blocks: nothing
 * result: where the value goes; may be NULL; untouched unless 0 is returned
 * Returns 0, the future's error, -EINPROGRESS while it is pending, -ENOMEM for NULL.
 */
WEFT_PUBLIC int weft_result(weft_future *f, void **result);

/*
 * Ask a task to end: its waits fail with -ECANCELED from now on. Each call counts as one request.
 * A promise ends cancelled at once. When f has failed already this counts as a look at its outcome.
 * Context: any thread     Blocks: nothing
 * Returns true, or false when f is already done (or NULL): then nothing happened.
 */
WEFT_PUBLIC bool weft_cancel(weft_future *f);

/*
 * How many cancel requests the current task has not acknowledged; in a job (blocking.h) how often
 * its future was cancelled.
 * Context: task, job (elsewhere 0)     Blocks: nothing
 */
WEFT_PUBLIC int weft_cancelling(void);

/*
 * Acknowledge one cancel request and go on; with none left, waits work again.
 * Context: task (elsewhere 0)     Blocks: nothing
 * Returns how many requests are left, never below 0.
 */
WEFT_PUBLIC int weft_uncancel(void);

/*
 * Why the current task's waits fail now: 0 (they do not), -ECANCELED, -ETIMEDOUT (scope.h). Tells
 * apart whose error it is that a call has returned.
 * Context: task (elsewhere 0)     Blocks: nothing
 */
WEFT_PUBLIC int weft_scope_error(void);

/* Called when a future is done; see weft_on_done. */
typedef void (*weft_done_fn)(weft_future *f, void *arg);

/*
 * Have cb(f, arg) called once when f is done. It is always queued, never called from inside this
 * call, and runs on a worker of the runtime it was registered on. Those that were registered before
 * the future was done run in the order they were added, one after the other; one that comes later
 * may run beside them on another worker. f is referenced until then. In the callback weft_spawn and
 * weft_go work, waiting does not. When f is another runtime's and this one is closed before f is
 * done, cb is not called.
 * Context: worker     Blocks: nothing
 * Returns 0, -EPERM where there is no runtime, -ENOMEM.
 */
WEFT_PUBLIC int weft_on_done(weft_future *f, weft_done_fn cb, void *arg);

/*
 * Take back every registration of cb with arg on f that has not been queued yet.
 * Context: any thread     Blocks: nothing
 * Returns how many were removed.
 */
WEFT_PUBLIC int weft_on_done_remove(weft_future *f, weft_done_fn cb, void *arg);

/*
 * The current task, without a reference; NULL outside a task.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC weft_task *weft_self(void);

/*
 * Copy a task's name to buf, cut to fit, always terminated when bytes > 0.
 * Context: any thread     Blocks: nothing
 * Returns the length of the whole name; -EINVAL for NULL.
 */
WEFT_PUBLIC ssize_t weft_task_name(weft_task *task, char *buf, size_t bytes);

/*
 * Give a task another name (copied).
 * Context: any thread     Blocks: nothing
 * Returns 0, -ENOMEM (the old name stays), -EINVAL for a future that is no task or a NULL name,
 * -ESHUTDOWN for a parent's task in a child of fork.
 */
WEFT_PUBLIC int weft_task_set_name(weft_task *task, const char *name);

/*
 * A number that no other task of its runtime has or had; grows from 1 on. 0 for NULL.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC uint64_t weft_task_id(const weft_task *task);

/*
 * The most stack a task has used so far, in bytes, in steps of a page. For a task that runs on its
 * waiter's stack or shares one with tasks before it, what that stack has seen.
 * Context: any thread, the task suspended or the caller itself     Blocks: nothing
 * Returns the bytes, 0 for a task that has not started or has ended.
 */
WEFT_PUBLIC size_t weft_stack_high_water(weft_task *task);

/*
 * Suspend the current task for at least ns nanoseconds; 0 or less is weft_yield.
 * Context: task     Blocks: task
 * ns: WEFT_FOREVER sleeps until cancelled
 * Returns 0; -ECANCELED, -ETIMEDOUT (at the time of the cancel, or when the deadline of a scope
 * around it passes); -EPERM outside a task; -ENOMEM (then the call did not wait).
 */
WEFT_PUBLIC int weft_sleep(int64_t ns);

/*
 * Suspend the current task until the clock of weft_now shows t; a t that is past is weft_yield.
 * Equal times wake in the order in which the sleeps began, on one worker.
 * Context: task     Blocks: task
 * Returns as weft_sleep.
 */
WEFT_PUBLIC int weft_sleep_until(int64_t t);

/*
 * Let others run: what was ready on this worker before runs first. So it is in a cancelled task.
 * Context: task     Blocks: task
 * Returns 0; -ECANCELED, -ETIMEDOUT in a cancelled task or a scope that has ended: others have run
 * all the same; -EPERM outside a task.
 */
WEFT_PUBLIC int weft_yield(void);

/*
 * Nanoseconds on CLOCK_MONOTONIC.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC int64_t weft_now(void);

WEFT_END_DECLS

#endif
