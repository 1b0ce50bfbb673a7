/* SPDX-License-Identifier: MIT */
/*
 * An await with a time limit: a scope around it. What ends the wait is passed on to the future, and
 * it is waited for until it has ended; so what it came to in the end is known, and only when that
 * is to be cancelled was it the time limit that won.
 */
#include <errno.h>

#include <weft/future.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "park.h"

int weft_wait_for(weft_future *f, int64_t for_ns, void **result)
{
    if (f == NULL) {
        return -ENOMEM;
    }
    struct fiber *fiber = weft__fiber_current();
    if (fiber == NULL) {
        return -EPERM;
    }
    int why = 0;
    if (!future_is_done(f)) {
        if (fiber_carries(fiber, f)) {
            return -EDEADLK;
        }
        struct weft_scope limit;
        weft_scope_enter(&limit, for_ns);
        weft__await_parked(fiber, f);
        why = weft_scope_exit(&limit);
    }
    int err = weft_result(f, result);
    return err == -ECANCELED && why == -ETIMEDOUT ? -ETIMEDOUT : err;
}
