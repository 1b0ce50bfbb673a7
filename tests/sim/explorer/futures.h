/* SPDX-License-Identifier: MIT */
/*
 * The explorer's tasks, promises, timers and callbacks. Conserved: each task runs once; a promise
 * is set once, and all get that value; a callback is called once, or was taken back.
 */
#ifndef WEFT_EXPLORER_FUTURES_H
#define WEFT_EXPLORER_FUTURES_H

#include "world.h"

#define PROMISES 3
#define TICKETS_MAX 32

/* What is to be called once, or taken back: a timer, or a registration. */
struct ticket {
    weft_timer *timer;
    weft_future *on;
    int called;
    int prevented;
};

static weft_future *promises[PROMISES];
static int promise_wins[PROMISES];
static struct ticket tickets[TICKETS_MAX];
static int ticket_count;

static void *actor_main(void *arg);

static int act_yield(struct actor *a)
{
    wait_begin(a, "yield", always, NULL);
    int err = wait_end(a, weft_yield());
    return err < 0 ? wait_failed(err) : 0;
}

static int act_sleep(struct actor *a)
{
    wait_begin(a, "sleep", always, NULL);
    int err = wait_end(a, weft_sleep(dice(a, 4) * 100 * WEFT_US));
    return err < 0 ? wait_failed(err) : 0;
}

static struct actor *actor_new(uint64_t seed)
{
    struct actor *a = &actors[actor_count];
    *a = (struct actor){.number = actor_count, .dice = seed, .patience = 2};
    actor_count++;
    return a;
}

static int act_spawn(struct actor *a)
{
    if (actor_count < ACTORS_MAX) {
        struct weft_spawn_options options = {.pinned = dice(a, 2) == 0};
        struct actor *child = actor_new(test_random(&a->dice));
        trace(a, "spawn", child->number, 0);
        weft_task *t = dice(a, 3) == 0 ? weft_spawn_with(&options, actor_main, child)
                                       : weft_spawn(actor_main, child);
        CHECK(t != NULL);
        child->task = t;
    }
    return 0;
}

static bool future_is_there(void *on)
{
    return weft_done(on);
}

/* Only of those that came later: so nobody waits in a circle. */
static struct actor *later_actor(struct actor *a)
{
    struct actor *other = other_actor(a);
    return other == NULL || other->number < a->number ? NULL : other;
}

static int act_await(struct actor *a)
{
    struct actor *other = later_actor(a);
    if (other == NULL) {
        return 0;
    }
    void *result = NULL;
    wait_begin(a, "await", future_is_there, other->task);
    a->is_firm = true;
    int err = wait_end(a, weft_await(other->task, &result));
    CHECK(weft_done(other->task) && other->has_ended);
    CHECK(err == 0 ? result == other : err == -ECANCELED);
    return 0;
}

static int act_shielded(struct actor *a)
{
    struct actor *other = later_actor(a);
    if (other == NULL) {
        return 0;
    }
    void *result = NULL;
    wait_begin(a, "shielded", future_is_there, other->task);
    int err = wait_end(a, weft_shielded(other->task, &result));
    if (err < 0 && !weft_done(other->task)) {
        return wait_failed(err);
    }
    CHECK(err == 0 ? result == other : err == -ECANCELED || weft_scope_error() < 0);
    return 0;
}

static int act_cancel(struct actor *a)
{
    struct actor *other = other_actor(a);
    if (other != NULL && dice(a, 2) == 0) {
        trace(a, "cancel", other->number, 0);
        other->is_asked = true;
        (void)weft_cancel(other->task);
    }
    return 0;
}

static int act_promise_set(struct actor *a)
{
    uint32_t i = dice(a, PROMISES);
    trace(a, "set", i, 0);
    if (dice(a, 4) == 0) {
        promise_wins[i] += weft_cancel(promises[i]);
    } else {
        int err = weft_future_set_result(promises[i], &promises[i]);
        CHECK(err == 0 || err == -EALREADY);
        promise_wins[i] += err == 0;
    }
    return 0;
}

static int act_promise_await(struct actor *a)
{
    uint32_t i = dice(a, PROMISES);
    void *result = NULL;
    wait_begin(a, "promise", future_is_there, promises[i]);
    int err = wait_end(a, dice(a, 2) == 0 ? weft_await(promises[i], &result)
                                          : weft_shielded(promises[i], &result));
    CHECK(err == 0 ? result == &promises[i] : err == -ECANCELED || weft_scope_error() < 0);
    return err < 0 ? weft_scope_error() : 0;
}

static void ticket_call(void *arg)
{
    ((struct ticket *)arg)->called++;
}

static void ticket_on_done(weft_future *f, void *arg)
{
    struct ticket *t = arg;
    CHECK(f == t->on && weft_done(f));
    ticket_call(arg);
}

static int act_timer(struct actor *a)
{
    if (ticket_count < TICKETS_MAX) {
        struct ticket *t = &tickets[ticket_count++];
        CHECK_EQUAL(weft_timer_create(&t->timer, weft_runtime_current(), ticket_call, t), 0);
        CHECK_EQUAL(weft_timer_start(t->timer, dice(a, 4) * 100 * WEFT_US), 0);
    }
    return 0;
}

static int act_on_done(struct actor *a)
{
    struct actor *other = other_actor(a);
    if (other != NULL && ticket_count < TICKETS_MAX) {
        struct ticket *t = &tickets[ticket_count++];
        t->on = dice(a, 3) == 0 ? promises[dice(a, PROMISES)] : other->task;
        CHECK_EQUAL(weft_on_done(t->on, ticket_on_done, t), 0);
    }
    return 0;
}

static int act_take_back(struct actor *a)
{
    if (ticket_count > 0) {
        struct ticket *t = &tickets[dice(a, (uint32_t)ticket_count)];
        if (t->timer != NULL) {
            t->prevented += weft_timer_stop(t->timer);
        } else if (t->on != NULL) {
            t->prevented += weft_on_done_remove(t->on, ticket_on_done, t);
        }
    }
    return 0;
}

static const struct action future_actions[] = {
    {"yield", act_yield},         {"sleep", act_sleep},
    {"sleep", act_sleep},         {"spawn", act_spawn},
    {"await", act_await},         {"shielded", act_shielded},
    {"cancel", act_cancel},       {"set", act_promise_set},
    {"await", act_promise_await}, {"timer", act_timer},
    {"on_done", act_on_done},     {"take back", act_take_back},
};

static void futures_begin(void)
{
    actor_count = 0;
    ticket_count = 0;
    memset(tickets, 0, sizeof tickets);
    for (int i = 0; i < PROMISES; i++) {
        promise_wins[i] = 0;
        promises[i] = weft_future_create();
        CHECK(promises[i] != NULL);
    }
}

/* All have ended, and time has passed. */
static void futures_end(void)
{
    for (int i = 0; i < actor_count; i++) {
        CHECK(actors[i].has_started && actors[i].has_ended);
        CHECK(weft_done(actors[i].task));
        weft_put(actors[i].task);
    }
    for (int i = 0; i < PROMISES; i++) {
        (void)weft_cancel(promises[i]); /* who registered with it is called */
    }
    CHECK_EQUAL(weft_sleep(WEFT_SECOND), 0);
    for (int i = 0; i < PROMISES; i++) {
        CHECK(promise_wins[i] <= 1);
        CHECK(promise_wins[i] == 1 || weft_cancelled(promises[i]));
        weft_put(promises[i]);
    }
    for (int i = 0; i < ticket_count; i++) {
        CHECK_EQUAL(tickets[i].called + tickets[i].prevented, 1);
        weft_timer_destroy(tickets[i].timer);
    }
}

#endif
