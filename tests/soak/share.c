/* SPDX-License-Identifier: MIT */
/*
 * Steps on what the actors share: a queue, a channel, a mutex, a semaphore. Half of the waits have
 * a deadline so short that it often meets the moment in which they are satisfied.
 */
#include <errno.h>

#include "soak.h"

static int64_t patience(struct soak_actor *a)
{
    return soak_below(&a->random, 2) == 0 ? WEFT_SECOND
                                          : (int64_t)soak_below(&a->random, 300) * WEFT_US;
}

static void check(struct soak_actor *a, const char *what, int err)
{
    if (err < 0 && !soak_excused(a->round, err)) {
        soak_broken("round %u: %s: %s", a->round->number, what, strerrordesc_np(-err));
    }
}

void soak_step_queue(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    WEFT_TIMEOUT(patience(a)) {
        int err;
        if (soak_below(&a->random, 2) == 0) {
            uintptr_t value = 1 + soak_below(&a->random, 1000000);
            err = weft_queue_put_priority(r->queue, (void *)value, (int64_t)value);
            if (err == 0) {
                soak_in(r, SOAK_QUEUE_ITEMS, 1);
                soak_in(r, SOAK_QUEUE_SUM, value);
            }
        } else {
            void *item;
            err = weft_queue_get(r->queue, &item);
            if (err == 0) {
                soak_out(r, SOAK_QUEUE_ITEMS, 1);
                soak_out(r, SOAK_QUEUE_SUM, (uintptr_t)item);
            }
        }
        check(a, "queue", err);
    }
    (void)weft_yield();
}

void soak_step_channel(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    WEFT_TIMEOUT(patience(a)) {
        int err;
        uint64_t value = 1 + soak_below(&a->random, 1000000);
        uint64_t got;
        struct weft_select_case both[] = {
            {.kind = WEFT_SELECT_SEND, .channel = r->channel, .element = &value},
            {.kind = WEFT_SELECT_RECEIVE, .channel = r->channel, .element = &got},
        };
        unsigned way = (unsigned)soak_below(&a->random, 3);
        if (way == 0) {
            err = weft_channel_send(r->channel, &value);
        } else if (way == 1) {
            err = weft_channel_receive(r->channel, &got);
        } else {
            err = weft_select(both, 2);
            way = err == 1;
        }
        if (err >= 0 && way == 0) {
            soak_in(r, SOAK_CHANNEL_ITEMS, 1);
            soak_in(r, SOAK_CHANNEL_SUM, value);
        } else if (err >= 0) {
            soak_out(r, SOAK_CHANNEL_ITEMS, 1);
            soak_out(r, SOAK_CHANNEL_SUM, got);
        }
        check(a, "channel", err);
    }
    (void)weft_yield();
}

static void pause_within(struct soak_actor *a)
{
    switch (soak_below(&a->random, 4)) {
    case 0:
        (void)weft_yield();
        break;
    case 1:
        (void)weft_sleep((int64_t)soak_below(&a->random, 200) * WEFT_US);
        break;
    default:
        break;
    }
}

static void lock_mutex(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    int err = weft_mutex_lock(&r->mutex);
    check(a, "mutex", err);
    if (err < 0) {
        return;
    }
    soak_in(r, SOAK_LOCKS, 1);
    if (r->inside != 0) {
        soak_broken("round %u: two have the mutex", r->number);
    }
    r->inside = a->number + 1;
    pause_within(a);
    if (r->inside != a->number + 1) {
        soak_broken("round %u: another one had the mutex meanwhile", r->number);
    }
    r->inside = 0;
    soak_out(r, SOAK_LOCKS, 1);
    if (weft_mutex_unlock(&r->mutex) < 0) {
        soak_broken("round %u: the mutex was not the holder's", r->number);
    }
}

static void take_permit(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    int err = weft_semaphore_acquire(&r->semaphore);
    check(a, "semaphore", err);
    if (err < 0) {
        return;
    }
    soak_in(r, SOAK_PERMITS_IN, 1);
    /* ORD none: the semaphore is to order them; so are those below. */
    if (atomic_fetch_add_explicit(&r->holders, 1, memory_order_relaxed) >= SOAK_PERMITS) {
        soak_broken("round %u: more have a permit than there are", r->number);
    }
    pause_within(a);
    atomic_fetch_sub_explicit(&r->holders, 1, memory_order_relaxed);
    soak_out(r, SOAK_PERMITS_IN, 1);
    if (weft_semaphore_release(&r->semaphore) < 0) {
        soak_broken("round %u: a permit too many", r->number);
    }
}

void soak_step_lock(struct soak_actor *a)
{
    WEFT_TIMEOUT(patience(a)) {
        if (soak_below(&a->random, 2) == 0) {
            lock_mutex(a);
        } else {
            take_permit(a);
        }
    }
    (void)weft_yield();
}
