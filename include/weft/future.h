/* SPDX-License-Identifier: MIT */
/*
 * Futures: promises, which have no function of their own and are set by hand, and waiting for
 * several futures at once, tasks and promises alike.
 *
 *     weft_future *reply = weft_future_create();
 *     hand(weft_get(reply));                     somebody will set it: any task, any thread
 *     void *value;
 *     int err = weft_await(reply, &value);
 *     weft_put(reply);
 *
 * A promise is set once: by weft_future_set_result, weft_future_set_error or weft_cancel, which
 * ends it at once. So does a cancel of a task that awaits it, as it is passed on to all that is
 * awaited; weft_shielded does not. All that takes a weft_future takes a promise: weft_await,
 * weft_result, weft_done, weft_on_done, weft_future_wait_blocking, weft_get, weft_put.
 *
 * References: weft_future_create gives one. Who sets a promise needs one of its own, unless it is
 * certain that somebody else's stays meanwhile. One that is dropped by all unset is freed without a
 * word; what was registered with weft_on_done holds it, so set it, or remove that first. A promise
 * may outlive the runtime in which it was made, and be set then.
 */
#ifndef WEFT_FUTURE_H
#define WEFT_FUTURE_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/*
 * Make a promise, pending. The caller gets one reference.
 * Context: any thread     Blocks: nothing
 * Returns NULL when memory ran out; calls that take a future answer -ENOMEM to NULL.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_future *weft_future_create(void);

/*
 * End a promise with a value, and wake who waits for it. What they run does not run inside this
 * call.
 * Context: any thread, holding a reference     Blocks: nothing
 * result: handed to the waiters as it is; whose it is, is between them and the caller
 * Returns 0; -EALREADY when it was set or cancelled before, or another thread is just doing so: the
 * first outcome stays; -EINVAL for a task; -ESHUTDOWN for one of the parent's in a forked child;
 * -ENOMEM for NULL.
 */
WEFT_PUBLIC int weft_future_set_result(weft_future *f, void *result);

/*
 * End a promise as failed. When nobody ever looks at the error, the error handler (runtime.h) is
 * told as the last reference goes.
 * Context: any thread, holding a reference     Blocks: nothing
 * error: a negative errno value; -ECANCELED ends it cancelled
 * Returns as weft_future_set_result.
 */
WEFT_PUBLIC int weft_future_set_error(weft_future *f, int error);

/*
 * Several futures at once
 *
 *     weft_task *t[3] = {weft_spawn(load, a), weft_spawn(load, b), weft_spawn(load, c)};
 *     void *pages[3];
 *     int err = weft_gather(3, t, pages, NULL);
 *
 * The caller holds a reference to each for the time of the call, and gives them back itself. NULL
 * counts as a future that has failed with -ENOMEM, so what weft_spawn returned need not be looked
 * at. One that is given twice is waited for once and counted twice. None is run on the caller's
 * stack, so these calls can return before all have ended. Up to 16 nothing is allocated.
 */

/*
 * Wait for all, and get their results in the order of f, whatever order they end in.
 * errors == NULL: the first failure, in time, is returned at once; the others go on, and their
 *     failures are not reported any more. A child that was cancelled has failed with -ECANCELED.
 * errors != NULL: all are waited for; errors[i] gets 0 or f[i]'s error.
 * A cancel or deadline that reaches the caller while it waits here is passed on, once, to each that
 * is pending, as a cancel; the call still returns only when all have ended, because they may be
 * using the caller's stack.
 * Context: task     Blocks: task
 * results: n places, or NULL; with errors == NULL untouched unless 0 is returned; with errors
 *     NULL goes where there is an error
 * Returns 0 (at once for n == 0); with errors == NULL the error of the first that failed; with
 * errors -ECANCELED or -ETIMEDOUT when such a cancel or deadline has ended one of the futures, all
 * outcomes being stored; or -EDEADLK when the caller is among f, -ENOMEM, -EINVAL (f is NULL),
 * -EPERM outside a task: then nothing was waited for.
 */
WEFT_PUBLIC int weft_gather(size_t n, weft_future *const f[], void *results[], int errors[]);

/*
 * weft_await with a time limit. When it is over, f is cancelled, and the call returns when f has
 * ended: a task that takes its time to clean up is waited for. What it came to is not lost: a
 * result, or another error than -ECANCELED, is returned though it came late. A limit of 0 or less
 * cancels what is not done already. A cancel of the caller is passed on to f as by weft_await.
 * Context: task     Blocks: task
 * for_ns: nanoseconds; WEFT_FOREVER: as weft_await
 * result: where the value goes; may be NULL; untouched unless 0 is returned
 * Returns 0 or f's error; -ETIMEDOUT when f ended cancelled because the time was over; -EDEADLK,
 * -ENOMEM, -EPERM as weft_await.
 */
WEFT_PUBLIC int weft_wait_for(weft_future *f, int64_t for_ns, void **result);

/* How long weft_wait waits. */
enum weft_wait_mode {
    WEFT_ALL_COMPLETED,   /* until all are done */
    WEFT_FIRST_COMPLETED, /* until one is done */
    WEFT_FIRST_ERROR,     /* until one has failed, other than by being cancelled, or all are done */
};

/*
 * Wait for some, and take nothing: weft_done and weft_result tell of each. Nothing is passed on to
 * them. When the deadline of the innermost scope (scope.h) passes, that is no failure:
 *
 *     WEFT_TIMEOUT(WEFT_SECOND) { count = weft_wait(n, f, WEFT_ALL_COMPLETED); }
 *
 * Context: task     Blocks: task
 * Returns how many are done, counted as the call returns; -ECANCELED or -ETIMEDOUT when the
 * caller's waits fail for another reason before it is over; -EINVAL for n == 0 or more than
 * INT_MAX, f == NULL or an unknown mode; -EDEADLK when the caller is among f, -ENOMEM, -EPERM
 * outside a task.
 */
WEFT_PUBLIC int weft_wait(size_t n, weft_future *const f[], enum weft_wait_mode mode);

/*
 * One after the other, in the order in which they end:
 *
 *     struct weft_as_completed it;
 *     weft_future *f;
 *     int err = weft_as_completed_init(&it, n, tasks);
 *     while (err == 0 && (err = weft_as_completed_next(&it, &f)) == 0) {
 *         use(f);
 *     }
 *     weft_as_completed_fini(&it);                  not needed where err is -ENODATA
 *
 * Embedded where the program likes; stays there, and its contents are the library's.
 */
struct weft_as_completed {
    uint64_t opaque[128];
};

/*
 * Begin to watch futures. One that is given twice is handed out once. The caller holds a reference
 * to each, until it is handed out or the iteration is given up; f itself is not kept.
 * Context: task     Blocks: nothing
 * Returns 0 (also for n == 0); -EDEADLK when the caller is among f, -ENOMEM, -EINVAL (a NULL
 * argument), -EPERM outside a task: then there is nothing in it, and nothing to give up.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_as_completed_init(struct weft_as_completed *it, size_t n,
                                                       weft_future *const f[]);

/*
 * Wait for the next one that is done. Several tasks may do so on one iteration: first come, first
 * served. Nothing is passed on to the futures, and a call that fails has taken none: the iteration
 * can go on later.
 * Context: task     Blocks: task
 * f: the future, which is the caller's own reference; NULL for one that was given as NULL
 * Returns 0; -ENODATA when all have been handed out (then nothing is left to give up);
 * -ECANCELED or -ETIMEDOUT when the caller's waits fail and none is there; -EPERM outside a task.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_as_completed_next(struct weft_as_completed *it,
                                                       weft_future **f);

/*
 * Give up an iteration before its end, or after, or one that could not begin. The futures go on. No
 * task may be in weft_as_completed_next; the structure may go when this returns.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_as_completed_fini(struct weft_as_completed *it);

WEFT_END_DECLS

#endif
