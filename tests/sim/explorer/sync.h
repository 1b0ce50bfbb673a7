/* SPDX-License-Identifier: MIT */
/*
 * The explorer's mutexes, semaphores and events. Conserved: a mutex has one owner; permits are
 * neither lost nor made up; who waits for an event goes on with the first set that follows, also
 * when it is cleared at once.
 */
#ifndef WEFT_EXPLORER_SYNC_H
#define WEFT_EXPLORER_SYNC_H

#include "world.h"

#define MUTEXES 1
#define PERMITS 2

static struct weft_mutex mutexes[MUTEXES];
static const struct actor *mutex_owners[MUTEXES];
static struct weft_semaphore semaphores[2]; /* the second one is bounded */
static int64_t permits_held[2];
static struct weft_event event;
static int event_sets;

/* Give others a turn or two; what a cancel says about that does not matter here. */
static void linger(struct actor *a)
{
    for (uint32_t i = dice(a, 6); i > 0; i--) {
        wait_begin(a, "linger", always, NULL);
        (void)wait_end(a, dice(a, 2) == 0 ? weft_yield() : weft_sleep(30 * WEFT_US));
    }
}

static bool mutex_is_there(void *on)
{
    return mutex_owners[(struct weft_mutex *)on - mutexes] == NULL;
}

static int act_mutex(struct actor *a)
{
    uint32_t i = dice(a, MUTEXES);
    struct weft_mutex *m = &mutexes[i];
    uint32_t how = dice(a, 4);
    int err;
    if (how == 0) {
        err = weft_mutex_trylock(m);
        CHECK(err == 0 || err == -EAGAIN);
    } else {
        wait_begin(a, "lock", mutex_is_there, m);
        a->is_firm = how == 1;
        err = wait_end(a, how == 1 ? weft_mutex_lock_shielded(m) : weft_mutex_lock(m));
        CHECK(err == 0 || how != 1);
    }
    if (err < 0) {
        return err == -EAGAIN ? 0 : wait_failed(err);
    }
    CHECK(mutex_owners[i] == NULL);
    mutex_owners[i] = a;
    CHECK_EQUAL(weft_mutex_lock_shielded(m), -EDEADLK);
    linger(a);
    CHECK(mutex_owners[i] == a);
    mutex_owners[i] = NULL;
    CHECK_EQUAL(weft_mutex_unlock(m), 0);
    return 0;
}

/* Permits that somebody waits for. */
struct wish {
    uint32_t semaphore;
    int64_t wants;
};

/* There are enough, and nobody can be before the one who waits. */
static bool wish_is_there(void *on)
{
    const struct wish *wish = on;
    for (int i = 0; i < actor_count; i++) {
        const struct actor *a = &actors[i];
        bool waits = a->is_there == wish_is_there;
        if (waits && a->on != on && ((struct wish *)a->on)->semaphore == wish->semaphore) {
            return false;
        }
    }
    return weft_semaphore_value(&semaphores[wish->semaphore]) >= wish->wants;
}

static bool never_there(void *on)
{
    (void)on;
    return false;
}

static int act_permit(struct actor *a)
{
    uint32_t i = dice(a, 2);
    struct weft_semaphore *s = &semaphores[i];
    int64_t wants = 1 + dice(a, PERMITS);
    struct wish wish = {i, wants};
    int err;
    if (dice(a, 4) == 0) {
        wants = 1;
        err = weft_semaphore_tryacquire(s);
        CHECK(err == 0 || err == -EAGAIN);
    } else {
        wait_begin(a, "acquire", wish_is_there, &wish);
        err = wait_end(a, wants == 1 ? weft_semaphore_acquire(s)
                                     : weft_semaphore_acquire_many(s, wants));
    }
    if (err < 0) {
        return err == -EAGAIN ? 0 : wait_failed(err);
    }
    permits_held[i] += wants;
    CHECK(permits_held[i] <= PERMITS);
    if (dice(a, 8) == 0) {
        wait_begin(a, "hog", never_there, s);
        (void)wait_end(a, weft_sleep(WEFT_FOREVER));
    } else {
        linger(a);
    }
    permits_held[i] -= wants;
    if (wants == 1) {
        CHECK_EQUAL(weft_semaphore_release(s), 0);
    } else {
        CHECK_EQUAL(weft_semaphore_release_many(s, wants), 0);
    }
    return 0;
}

static int act_event_set(struct actor *a)
{
    event_sets++;
    weft_event_set(&event);
    if (dice(a, 4) != 0) {
        weft_event_clear(&event);
    }
    return 0;
}

/* on: how often it had been set when the wait began. */
static bool event_is_there(void *on)
{
    return weft_event_is_set(&event) || event_sets != *(int *)on;
}

static int act_event_wait(struct actor *a)
{
    int sets = event_sets;
    wait_begin(a, "event", event_is_there, &sets);
    int err = wait_end(a, weft_event_wait(&event));
    return err < 0 ? wait_failed(err) : 0;
}

static const struct action sync_actions[] = {
    {"mutex", act_mutex},         {"mutex", act_mutex},
    {"permit", act_permit},       {"permit", act_permit},
    {"event set", act_event_set}, {"event wait", act_event_wait},
};

static void sync_begin(void)
{
    memset(mutexes, 0, sizeof mutexes);
    memset(mutex_owners, 0, sizeof mutex_owners);
    memset(permits_held, 0, sizeof permits_held);
    memset(&event, 0, sizeof event);
    event_sets = 0;
    CHECK_EQUAL(weft_semaphore_init(&semaphores[0], PERMITS), 0);
    CHECK_EQUAL(weft_bounded_semaphore_init(&semaphores[1], PERMITS), 0);
}

static void sync_end(void)
{
    for (int i = 0; i < MUTEXES; i++) {
        CHECK_EQUAL(weft_mutex_trylock(&mutexes[i]), 0);
        CHECK_EQUAL(weft_mutex_unlock(&mutexes[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(permits_held[i], 0);
        CHECK_EQUAL(weft_semaphore_value(&semaphores[i]), PERMITS);
    }
    CHECK_EQUAL(weft_semaphore_release(&semaphores[1]), -EOVERFLOW);
}

#endif
