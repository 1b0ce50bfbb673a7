/* SPDX-License-Identifier: MIT */
/*
 * Steps on a reader-writer lock and on two conditions, which the actors share as they do the locks
 * of share.c. Who waits at a condition without a deadline is let go by those of the other kind
 * only: a notify that is lost is a hang, which the watchdog tells of.
 */
#include <errno.h>

#include "soak.h"

/* Half of the waits have a deadline that often meets the moment in which they are satisfied. */
static int64_t patience(struct soak_actor *a)
{
    return soak_below(&a->random, 2) == 0 ? WEFT_FOREVER
                                          : (int64_t)soak_below(&a->random, 300) * WEFT_US;
}

static void check(struct soak_actor *a, const char *what, int err)
{
    if (err < 0 && !soak_excused(a->round, err)) {
        soak_broken("round %u: %s: %s", a->round->number, what, strerrordesc_np(-err));
    }
}

static void pause_within(struct soak_actor *a)
{
    unsigned way = (unsigned)soak_below(&a->random, 4);
    if (way == 0) {
        (void)weft_yield();
    } else if (way == 1) {
        (void)weft_sleep((int64_t)soak_below(&a->random, 200) * WEFT_US);
    }
}

/* --- one that writes, or any number that read ------------------------------------------------- */

static void read_pages(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    int err = weft_rwlock_rdlock(&r->rwlock);
    check(a, "rwlock, reading", err);
    if (err < 0) {
        return;
    }
    soak_in(r, SOAK_READINGS, 1);
    unsigned long long page = r->pages[0];
    if (page != r->pages[1]) {
        soak_broken("round %u: a reader has seen half of what was written", r->number);
    }
    pause_within(a);
    if (page != r->pages[0] || page != r->pages[1]) {
        soak_broken("round %u: somebody has written while one was reading", r->number);
    }
    soak_out(r, SOAK_READINGS, 1);
    if (weft_rwlock_unlock(&r->rwlock) < 0) {
        soak_broken("round %u: the rwlock was not a reader's", r->number);
    }
}

static void write_pages(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    int err = weft_rwlock_wrlock(&r->rwlock);
    check(a, "rwlock, writing", err);
    if (err < 0) {
        return;
    }
    soak_in(r, SOAK_WRITINGS, 1);
    unsigned long long page = ++r->pages[0];
    pause_within(a);
    r->pages[1]++;
    if (page != r->pages[0] || page != r->pages[1]) {
        soak_broken("round %u: two have the rwlock for writing", r->number);
    }
    if (weft_rwlock_unlock(&r->rwlock) < 0) {
        soak_broken("round %u: the rwlock was not a writer's", r->number);
    }
}

void soak_step_rwlock(struct soak_actor *a)
{
    WEFT_TIMEOUT(patience(a)) {
        if (soak_below(&a->random, 3) == 0) {
            write_pages(a);
        } else {
            read_pages(a);
        }
    }
    (void)weft_yield();
}

/* --- a shelf that half of the actors fill, and half empty ------------------------------------- */

enum { SHELF_ROOM = 2 };

/* Wait for what `wanted` tells, under the lock. Each change wakes one, who may find that another
 * has come first, and waits again. */
static int await_shelf(struct soak_round *r, struct weft_cond *c, unsigned unwanted)
{
    int err = 0;
    while (err == 0 && r->shelf == unwanted) {
        err = weft_cond_wait(c, &r->shelf_mutex);
    }
    return r->shelf == unwanted ? err : 0;
}

void soak_step_condition(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    bool puts = a->number % 2 == 0;
    WEFT_TIMEOUT(patience(a)) {
        int err = weft_mutex_lock(&r->shelf_mutex);
        if (err == 0) {
            err = await_shelf(r, puts ? &r->has_room : &r->has_goods, puts ? SHELF_ROOM : 0);
            if (err == 0 && puts) {
                r->shelf++;
                soak_in(r, SOAK_GOODS, 1);
                err = weft_cond_notify(&r->has_goods, 1);
            } else if (err == 0) {
                r->shelf--;
                soak_out(r, SOAK_GOODS, 1);
                err = weft_cond_notify(&r->has_room, 1);
            }
            if (weft_mutex_unlock(&r->shelf_mutex) < 0) {
                soak_broken("round %u: a wait came back without the mutex", r->number);
            }
        }
        check(a, "condition", err);
    }
    if (soak_below(&a->random, 4) == 0) {
        (void)weft_sleep((int64_t)soak_below(&a->random, 300) * WEFT_US); /* others want to run */
    } else {
        (void)weft_yield();
    }
}

/* --- when the round is over ------------------------------------------------------------------- */

static void *look(void *arg)
{
    struct soak_round *r = arg;
    if (weft_mutex_trylock(&r->mutex) < 0 || weft_mutex_trylock(&r->shelf_mutex) < 0 ||
        weft_rwlock_trywrlock(&r->rwlock) < 0) {
        soak_broken("round %u: a lock that nobody has is locked", r->number);
    }
    if (r->shelf > SHELF_ROOM || r->pages[0] != r->pages[1]) {
        soak_broken("round %u: %u on the shelf, and pages %llu and %llu", r->number, r->shelf,
                    r->pages[0], r->pages[1]);
    }
    soak_out(r, SOAK_WRITINGS, r->pages[0]);
    soak_out(r, SOAK_GOODS, r->shelf);
    return NULL;
}

void soak_guards_check(struct soak_round *r)
{
    struct weft_options o = {.workers = 1, .backend = r->options->backend};
    weft_runtime *rt;
    int err = weft_runtime_create(&rt, &o);
    if (err == 0) {
        weft_task *t;
        err = weft_runtime_spawn(rt, look, r, &t);
        if (err == 0) {
            err = weft_future_wait_blocking(t, WEFT_FOREVER, NULL);
            weft_put(t);
        }
        (void)weft_runtime_close(rt);
        (void)weft_runtime_destroy(rt);
    }
    if (err < 0) {
        soak_broken("round %u: no runtime to look at the locks: %s", r->number,
                    strerrordesc_np(-err));
    }
}
