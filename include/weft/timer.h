/* SPDX-License-Identifier: MIT */
/*
 * Callbacks: functions that run on a worker without a fiber of their own.
 *
 *     weft_post(rt, refresh, cache);                    from any thread, as soon as possible
 *
 *     weft_timer *t;
 *     weft_timer_create(&t, rt, refresh, cache);
 *     weft_timer_start(t, 5 * WEFT_SECOND);             once, five seconds from now
 *
 * A callback may spawn tasks, post, start and stop timers, cancel; it must not wait: every call
 * that would answers -EPERM. It holds up its worker while it runs, so it should be short.
 */
#ifndef WEFT_TIMER_H
#define WEFT_TIMER_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* What a post or a timer calls. */
typedef void (*weft_callback_fn)(void *arg);

/* A callback that runs once at a time; may be started again and again. It may outlive its runtime:
 * then it can only be stopped, which does nothing, and destroyed. */
typedef struct weft_timer weft_timer;

/*
 * Have fn(arg) called on a worker of rt, soon. On one worker, in the order posted.
 * Context: any thread     Blocks: nothing
 * Returns 0, -ENOMEM, -ESHUTDOWN when rt is closed, or, outside its tasks and callbacks, is being
 * closed; then fn is not called.
 */
WEFT_PUBLIC int weft_post(weft_runtime *rt, weft_callback_fn fn, void *arg);

/*
 * Make a timer, stopped.
 * Context: any thread     Blocks: nothing
 * Returns 0, -ENOMEM, -EINVAL (a NULL argument), -ESHUTDOWN as weft_post.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_timer_create(weft_timer **timer, weft_runtime *rt,
                                                  weft_callback_fn fn, void *arg);

/*
 * Have the callback called once, for_ns from now; 0 or less: soon. A timer that is running already
 * is moved. May be called from its own callback, which makes it periodic.
 * Context: any thread     Blocks: nothing
 * Returns 0, -ENOMEM (it is stopped then), -ESHUTDOWN as weft_post, or when the timer was destroyed
 * while the callback, which starts it, was running.
 */
WEFT_PUBLIC int weft_timer_start(weft_timer *timer, int64_t for_ns);

/*
 * Keep the callback from being called.
 * Context: any thread     Blocks: nothing
 * Returns true when a call that was due or ahead was prevented; false when the timer was stopped
 * already or the callback has begun (it may still be running, on another thread).
 */
WEFT_PUBLIC bool weft_timer_stop(weft_timer *timer);

/*
 * weft_timer_stop, and when the callback is running elsewhere wait until it has returned. From
 * inside the callback itself it does not wait. A start meanwhile is stopped as well, by whomever: a
 * periodic timer is quiet afterwards.
 * Context: task, or a thread outside the runtime, or the timer's own callback
 * Blocks: task, or the thread     Returns as weft_timer_stop.
 */
WEFT_PUBLIC bool weft_timer_stop_and_wait(weft_timer *timer);

/*
 * Stop and free a timer; NULL does nothing. When its callback is running the memory goes after it
 * has returned; the callback may do this itself.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_timer_destroy(weft_timer *timer);

WEFT_END_DECLS

#endif
