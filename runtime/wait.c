/* SPDX-License-Identifier: MIT */
/* Waiting for several futures without taking their outcomes or passing anything on to them. */
#include <errno.h>
#include <limits.h>

#include <weft/future.h>

#include "scope.h"
#include "wait_set.h"

/* One that could not be made has failed, and is done. */
static int wait_count_done(size_t n, weft_future *const f[])
{
    int count = 0;
    for (size_t i = 0; i < n; i++) {
        count += f[i] == NULL || future_is_done(f[i]);
    }
    return count;
}

int weft_wait(size_t n, weft_future *const f[], enum weft_wait_mode mode)
{
    static const enum set_end ends[] = {
        [WEFT_ALL_COMPLETED] = SET_ALL,
        [WEFT_FIRST_COMPLETED] = SET_FIRST,
        [WEFT_FIRST_ERROR] = SET_ERROR,
    };
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    if (n == 0 || n > INT_MAX || f == NULL || (size_t)mode >= sizeof ends / sizeof ends[0]) {
        return -EINVAL;
    }
    struct wait_set s;
    int err = weft__wait_set_begin(&s, f, n, ends[mode]);
    if (err < 0) {
        return err;
    }
    if (!weft__wait_set_is_over(&s)) {
        err = weft__wait_set_park(&s, WAIT_CLAIMABLE);
    }
    weft__wait_set_end(&s);
    if (err < 0 && !s.has_parked) {
        weft__give_turn(); /* for loops that ask until others have done something */
    }
    if (err == -ETIMEDOUT && s.blame != NULL && s.blame == s.fiber->scope) {
        weft__interrupted_unnote(s.fiber); /* its time is over, and that is all: no failure */
        err = 0;
    }
    if (err < 0) {
        return err;
    }
    return wait_count_done(n, f);
}
