/* SPDX-License-Identifier: MIT */
/*
 * Promises: futures that have no function of their own and are set by hand.
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

WEFT_END_DECLS

#endif
