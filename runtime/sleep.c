/* SPDX-License-Identifier: MIT */
/* Sleeping, and the clock. */
#include <errno.h>
#include <time.h>

#include <weft/task.h>

#include "runtime_object.h"

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

/* Called with the timers' lock held. */
static void sleep_expire(struct deadline *d)
{
    struct fiber *f = WEFT_CONTAINER(d, struct fiber, deadline);
    weft__wake(f, f->deadline_ticket);
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
    uint64_t ticket = weft__wait_begin(f, WAIT_CLAIMABLE, NULL);
    int err = weft__interrupted(f);
    if (err == 0 && t != WEFT_FOREVER) {
        f->deadline_ticket = ticket;
        f->deadline.expire = sleep_expire;
        err = weft__timers_arm(&w->timers, &f->deadline, t);
    }
    if (err < 0 && weft__wait_abort(f, ticket)) {
        (void)weft_yield(); /* for loops that sleep until others have done something */
        return err;
    }
    weft__park(f);
    if (f->outcome < 0 && t != WEFT_FOREVER && err == 0) {
        (void)weft__timers_disarm(&f->deadline);
    }
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
