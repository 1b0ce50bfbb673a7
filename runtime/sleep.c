/* SPDX-License-Identifier: MIT */
/* Sleeping, and the clock. */
#include <errno.h>
#include <time.h>

#include <weft/task.h>

#include "runtime_object.h"
#include "scope.h"

int64_t weft_now(void)
{
    struct worker *w = weft__worker_current();
    if (w != NULL) {
        return weft__runtime_now(w->rt);
    }
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

int weft_sleep_until(int64_t t)
{
    struct worker *w = weft__worker_current();
    if (w == NULL || w->in_loop) {
        return -EPERM;
    }
    if (t <= weft__runtime_now(w->rt)) {
        return weft_yield();
    }
    struct fiber *f = w->fiber;
    f->wake_ns = t == WEFT_FOREVER ? 0 : t;
    f->wait_for = WAIT_FOR_TIME;
    uint64_t ticket = weft__wait_begin(f, WAIT_CLAIMABLE, NULL);
    int err = weft__interrupted(f);
    if (err == 0 && t != WEFT_FOREVER) {
        err = weft__alarm_set_sleep(w, f);
    }
    if (err < 0 && weft__wait_abort(f, ticket)) {
        f->wake_ns = 0;
        (void)weft_yield(); /* for loops that sleep until others have done something */
        return err;
    }
    weft__park(f);
    f->wake_ns = 0;
    return f->outcome;
}

int weft_sleep(int64_t ns)
{
    if (ns <= 0) {
        return weft_yield();
    }
    if (ns == WEFT_FOREVER) {
        return weft_sleep_until(WEFT_FOREVER);
    }
    int64_t now = weft_now();
    return weft_sleep_until(ns > WEFT_FOREVER - 1 - now ? WEFT_FOREVER - 1 : now + ns);
}
