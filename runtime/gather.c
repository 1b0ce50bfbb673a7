/* SPDX-License-Identifier: MIT */
/*
 * Gather: the results of several futures, in the order of the arguments.
 *
 * A cancel ends the wait; the waiter then passes it on to what is pending, and waits for the rest
 * whatever comes: a child may be using its stack. So it is the waiter who walks over its children,
 * and not the canceller, who holds the fiber, and could not hold a thousand references.
 */
#include <errno.h>

#include <weft/future.h>
#include <weft/task.h>

#include "wait_set.h"

/* The first failure is delivered; what the others come to concerns nobody any more. */
static int gather_failure(struct wait_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->futures[i] != NULL) {
            /* ORD none: as in future_mark_seen. */
            atomic_store_relaxed(&s->futures[i]->seen, 1);
        }
    }
    return weft_result(s->first, NULL);
}

static void gather_results(const struct wait_set *s, void *results[])
{
    for (size_t i = 0; i < s->count; i++) {
        (void)weft_result(s->futures[i], results != NULL ? &results[i] : NULL);
    }
}

/* Every outcome. Returns whether one of them was cancelled. */
static bool gather_outcomes(const struct wait_set *s, void *results[], int errors[])
{
    bool any_cancelled = false;
    for (size_t i = 0; i < s->count; i++) {
        void *result = NULL;
        errors[i] = weft_result(s->futures[i], &result);
        any_cancelled = any_cancelled || errors[i] == -ECANCELED;
        if (results != NULL) {
            results[i] = result;
        }
    }
    return any_cancelled;
}

int weft_gather(size_t n, weft_future *const f[], void *results[], int errors[])
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    if (n > 0 && f == NULL) {
        return -EINVAL;
    }
    struct wait_set s;
    int err = weft__wait_set_begin(&s, f, n, errors == NULL ? SET_FAILURE : SET_ALL);
    if (err < 0) {
        return err;
    }
    if (!weft__wait_set_is_over(&s)) {
        err = weft__wait_set_park(&s, WAIT_CLAIMABLE);
        if (err < 0) {
            err = weft__wait_set_cancel(&s) ? err : 0;
            (void)weft__wait_set_park(&s, WAIT_FIRM);
        }
    }
    weft__wait_set_end(&s);
    if (errors != NULL) {
        return gather_outcomes(&s, results, errors) ? err : 0;
    }
    /* ORD none: nobody else has the set any more. */
    if ((atomic_load_relaxed(&s.state) & SET_FIRED) != 0) {
        return gather_failure(&s);
    }
    gather_results(&s, results);
    return 0;
}
