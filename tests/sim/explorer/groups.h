/* SPDX-License-Identifier: MIT */
/*
 * The explorer's groups, waits with a limit, watches, broadcasts and locals. Conserved: a group is
 * left when each child that it took has ended, once, and tells every failure; a wait with a limit
 * returns what the task came to; a watch shows no value twice; of a broadcast each element is
 * received in its order or counted as missed; a local is its task's own.
 */
#ifndef WEFT_EXPLORER_GROUPS_H
#define WEFT_EXPLORER_GROUPS_H

#include "world.h"

#define KIDS_MAX 4

static weft_broadcast *broadcast;
static uint64_t broadcast_sent;
static weft_watch *watch;
static uint64_t watch_sets;
static weft_local_t owner_local;
static bool has_local;

/* A task that is no actor; on its parent's stack. */
struct kid {
    struct actor *parent;
    int64_t sleep_ns;
    int error; /* with which it ends, if it is not cancelled */
    int ended;
    int outcome;
};

static void *kid_main(void *arg)
{
    struct kid *kid = arg;
    CHECK(weft_local_get(owner_local) == kid->parent); /* inherited */
    CHECK_EQUAL(weft_local_set(owner_local, kid), 0);
    bool is_cut = weft_sleep(kid->sleep_ns) < 0;
    CHECK(weft_local_get(owner_local) == kid);
    kid->outcome = is_cut ? -ECANCELED : kid->error;
    kid->ended++;
    return kid->outcome < 0 ? weft_fail(kid->outcome) : kid;
}

static void kid_init(struct actor *a, struct kid *kid)
{
    *kid = (struct kid){.parent = a, .sleep_ns = dice(a, 5) * 50 * WEFT_US};
    kid->error = dice(a, 4) == 0 ? -EIO : 0;
    CHECK_EQUAL(weft_local_set(owner_local, a), 0);
}

static int act_group(struct actor *a)
{
    struct weft_group g;
    struct kid kids[KIDS_MAX];
    bool is_taken[KIDS_MAX];
    uint32_t count = 1 + dice(a, KIDS_MAX);
    uint32_t failures = 0;
    weft_group_enter(&g);
    for (uint32_t i = 0; i < count; i++) {
        kid_init(a, &kids[i]);
        int err = weft_group_go(&g, kid_main, &kids[i]);
        CHECK(err == 0 || err == -ECANCELED);
        is_taken[i] = err == 0;
        if (dice(a, 3) == 0) {
            wait_begin(a, "yield in a group", always, NULL);
            (void)wait_end(a, weft_yield());
        }
    }
    bool is_cancelled = dice(a, 4) == 0;
    if (is_cancelled) {
        weft_group_cancel(&g);
    }
    wait_begin(a, "group", always, NULL);
    int err = wait_end(a, weft_group_exit(&g));
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQUAL(kids[i].ended, is_taken[i]);
        failures += kids[i].outcome == -EIO;
    }
    CHECK_EQUAL(weft_group_error_count(&g), failures);
    CHECK_EQUAL(err == -EIO, failures > 0);
    CHECK(weft_local_get(owner_local) == a);
    return err == 0 || err == -EIO ? 0 : wait_failed(err);
}

static int act_wait_for(struct actor *a)
{
    struct kid kid;
    kid_init(a, &kid);
    weft_task *t = weft_spawn(kid_main, &kid);
    void *result = NULL;
    wait_begin(a, "wait_for", always, NULL);
    int err = wait_end(a, weft_wait_for(t, (int64_t)dice(a, 5) * 50 * WEFT_US, &result));
    CHECK_EQUAL(kid.ended, 1);
    CHECK(kid.outcome == (err == -ETIMEDOUT ? -ECANCELED : err));
    CHECK(err < 0 || result == &kid);
    weft_put(t);
    return 0;
}

static int act_watch_set(struct actor *a)
{
    (void)a;
    uint64_t value = ++watch_sets;
    CHECK_EQUAL(weft_watch_set(watch, &value), 0);
    return 0;
}

static bool watch_has_changed(void *on)
{
    return watch_sets > *(uint64_t *)on;
}

static int act_watch_wait(struct actor *a)
{
    uint64_t seen;
    uint64_t value;
    CHECK_EQUAL(weft_watch_get(watch, &value, &seen), 0);
    uint64_t before = value;
    wait_begin(a, "watch", watch_has_changed, &before);
    int err = wait_end(a, weft_watch_wait(watch, &seen, &value));
    CHECK_EQUAL(err == 0, value > before);
    return err < 0 ? wait_failed(err) : 0;
}

static int act_broadcast_send(struct actor *a)
{
    (void)a;
    uint64_t element = ++broadcast_sent;
    CHECK_EQUAL(weft_broadcast_send(broadcast, &element), 0);
    return 0;
}

static bool broadcast_is_ahead(void *on)
{
    return broadcast_sent > *(uint64_t *)on;
}

static int act_broadcast_receive(struct actor *a)
{
    struct weft_subscription s;
    CHECK_EQUAL(weft_broadcast_subscribe(broadcast, &s), 0);
    uint64_t last = broadcast_sent;
    for (uint32_t i = 1 + dice(a, 3); i > 0; i--) {
        uint64_t element = 0;
        uint64_t missed = 0;
        wait_begin(a, "broadcast", broadcast_is_ahead, &last);
        int err = wait_end(a, weft_broadcast_receive(&s, &element, &missed));
        if (err < 0) {
            return wait_failed(err);
        }
        CHECK_EQUAL(element, last + missed + 1);
        last = element;
    }
    return 0;
}

static const struct action group_actions[] = {
    {"broadcast send", act_broadcast_send}, {"broadcast send", act_broadcast_send},
    {"broadcast receive", act_broadcast_receive},
    {"group", act_group},         {"group", act_group},
    {"wait for", act_wait_for},   {"watch set", act_watch_set},
    {"watch set", act_watch_set}, {"watch wait", act_watch_wait},
};

static void groups_begin(void)
{
    if (!has_local) {
        CHECK_EQUAL(weft_local_create(&owner_local), 0);
        has_local = true;
    }
    broadcast_sent = 0;
    broadcast = weft_broadcast_create(sizeof broadcast_sent, 2);
    CHECK(broadcast != NULL);
    watch_sets = 0;
    watch = weft_watch_create(sizeof watch_sets, &watch_sets);
    CHECK(watch != NULL);
}

static void groups_end(void)
{
    CHECK_EQUAL(weft_watch_destroy(watch), 0);
    CHECK_EQUAL(weft_broadcast_destroy(broadcast), 0);
}

#endif
