/* SPDX-License-Identifier: MIT */
/*
 * Waiting for one future without passing anything on to it: weft_shielded, which returns when the
 * task is cancelled, and a wait that nothing cuts short.
 *
 * The node is on the waiter's stack. A waiter that was woken by the future is not touched after
 * that; one that leaves for another reason takes the node out first, under the future's lock, under
 * which nodes are woken. When it is not in the list any more it was woken, so the future is done:
 * its outcome is not thrown away for having come at the same time.
 */
#include <errno.h>

#include <weft/task.h>

#include "runtime_object.h"

struct shielded_waiter {
    struct waiter node;
    struct fiber *fiber;
    uint64_t ticket;
};

static void shielded_wake(struct waiter *node, weft_future *f)
{
    (void)f;
    struct shielded_waiter *w = WEFT_CONTAINER(node, struct shielded_waiter, node);
    (void)weft__wake(w->fiber, w->ticket);
}

struct fiber *weft__shielded_fiber_of(const struct waiter *node)
{
    return node->wake == shielded_wake
               ? WEFT_CONTAINER(node, const struct shielded_waiter, node)->fiber
               : NULL;
}

/* Park until f is done, or until the task's waits fail. 0 when it is done, or that error. */
static int shielded_park(struct fiber *fiber, weft_future *f, enum wait_kind kind)
{
    struct shielded_waiter waiter = {.node.wake = shielded_wake, .fiber = fiber};
    fiber->wait_for = WAIT_FOR_FUTURE;
    waiter.ticket = weft__wait_begin(fiber, kind, f);
    int err = kind == WAIT_FIRM ? 0 : weft__interrupted(fiber);
    bool is_added = err == 0 && weft__future_add_waiter(f, &waiter.node);
    if (!is_added && weft__wait_abort(fiber, waiter.ticket)) {
        if (err < 0) {
            weft__give_turn(); /* for loops that ask until others have done something */
        }
        return err;
    }
    weft__park(fiber);
    err = fiber->outcome;
    if (err < 0 && is_added) {
        (void)weft__future_remove_waiter(f, &waiter.node);
    }
    if (err < 0 && future_is_done(f)) {
        weft__interrupted_unnote(fiber);
        return 0;
    }
    return err;
}

int weft_shielded(weft_future *f, void **result)
{
    if (f == NULL) {
        return -ENOMEM;
    }
    struct fiber *fiber = weft__fiber_current();
    if (fiber == NULL) {
        return -EPERM;
    }
    if (!future_is_done(f)) {
        if (fiber_carries(fiber, f)) {
            return -EDEADLK;
        }
        int err = shielded_park(fiber, f, WAIT_CLAIMABLE);
        if (err < 0) {
            return err;
        }
    }
    return weft_result(f, result);
}

void weft__future_wait_firm(weft_future *f)
{
    if (!future_is_done(f)) {
        int err = shielded_park(weft__fiber_current(), f, WAIT_FIRM);
        WEFT_ASSERT(err == 0);
    }
}
