/* SPDX-License-Identifier: MIT */
/*
 * Goal: what the end of a scope does to tasks that are awaited inside it, nested or not, and that
 * weft_close is not cut short.
 *
 * Method: children that wait for ever, so that only the scope can end them; they note how.
 */
#include "task_help.h"

#include <sys/socket.h>

#define HOUR (60 * WEFT_MINUTE)

struct child {
    int outer;      /* what its waits failed with */
    int cancelling; /* the requests that it had then */
    shared_int is_waiting;
};

static void *wait_for_ever(void *arg)
{
    struct child *c = arg;
    atomic_store_seq_cst(&c->is_waiting, 1);
    c->outer = weft_sleep(WEFT_FOREVER);
    c->cancelling = weft_cancelling();
    CHECK_EQUAL(weft_yield(), c->outer);
    return weft_fail(c->outer);
}

static void check_passed_on(const struct child *c)
{
    CHECK_EQUAL(c->outer, -ECANCELED);
    CHECK_EQUAL(c->cancelling, 1);
}

/* Whether it is run on the parent's stack, or has its own. */
static weft_task *spawn_child(struct child *c, bool is_nested)
{
    weft_task *t = weft_spawn(wait_for_ever, c);
    if (!is_nested) {
        yield_until(&c->is_waiting, 1);
    }
    return t;
}

static void *passed_on_main(void *arg)
{
    for (int i = 0; i < 20; i++) {
        struct child c = {0, 0, 0};
        struct weft_scope s;
        weft_task *t = spawn_child(&c, i % 2 == 0);
        weft_scope_enter(&s, i % 4 < 2 ? WEFT_MS : 0);
        CHECK_EQUAL(weft_await(t, NULL), -ECANCELED);
        check_passed_on(&c);
        CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
        CHECK_EQUAL(weft_yield(), 0);
        weft_put(t);
    }
    return arg;
}

static void a_deadline_is_passed_on_to_what_is_awaited_once(void **state)
{
    (void)state;
    run_case(passed_on_main, NULL);
}

/* Three deep: the scope is the lowest's. */
static void *await_child(void *arg)
{
    weft_task *t = weft_spawn(wait_for_ever, arg);
    CHECK_EQUAL(weft_join(t, NULL), -ECANCELED);
    CHECK_EQUAL(weft_scope_error(), -ECANCELED);
    CHECK_EQUAL(weft_cancelling(), 1);
    return arg;
}

static void *deep_main(void *arg)
{
    for (int i = 0; i < 10; i++) {
        struct child c = {0, 0, 0};
        struct weft_scope s;
        weft_scope_enter(&s, WEFT_MS);
        CHECK_EQUAL(weft_join(weft_spawn(await_child, &c), NULL), 0);
        check_passed_on(&c);
        CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    }
    return arg;
}

static void a_deadline_goes_through_tasks_that_await_each_other(void **state)
{
    (void)state;
    run_case(deep_main, NULL);
}

/* The child's own scopes are its own: the parent's are not seen as such. */
static void *own_scope(void *arg)
{
    struct weft_scope s;
    CHECK_EQUAL(weft_deadline(), WEFT_FOREVER);
    weft_scope_enter(&s, WEFT_MS);
    CHECK_EQUAL(weft_sleep(HOUR), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    return arg;
}

static void *own_scope_main(void *arg)
{
    struct weft_scope s;
    weft_scope_enter(&s, HOUR);
    CHECK_EQUAL(weft_join(weft_spawn(own_scope, arg), NULL), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    return arg;
}

static void a_spawned_task_begins_outside_all_scopes(void **state)
{
    (void)state;
    run_case(own_scope_main, NULL);
}

/* A child in a shield: what is asked of the parent waits until it leaves it. */
static void *shielded_child(void *arg)
{
    struct weft_scope shield;
    weft_shield_enter(&shield);
    CHECK_EQUAL(weft_sleep(4 * WEFT_MS), 0);
    CHECK_EQUAL(weft_scope_error(), 0);
    CHECK_EQUAL(weft_scope_exit(&shield), 0);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    return arg;
}

static void *shielded_child_main(void *arg)
{
    struct weft_scope s;
    weft_scope_enter(&s, WEFT_MS);
    CHECK_EQUAL(weft_join(weft_spawn(shielded_child, arg), NULL), 0);
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    return arg;
}

static void a_shield_of_the_child_hides_the_parents_deadline(void **state)
{
    (void)state;
    run_case(shielded_child_main, NULL);
}

/* A parent in a shield: nothing is passed on. */
static void *short_child(void *arg)
{
    CHECK_EQUAL(weft_sleep(4 * WEFT_MS), 0);
    CHECK_EQUAL(weft_cancelling(), 0);
    return arg;
}

static void *shielded_parent_main(void *arg)
{
    for (int i = 0; i < 2; i++) {
        struct weft_scope s;
        struct weft_scope shield;
        weft_scope_enter(&s, WEFT_MS);
        weft_shield_enter(&shield);
        weft_task *t = weft_spawn(short_child, arg);
        CHECK_EQUAL(i == 0 ? 0 : weft_sleep(WEFT_MS), 0); /* then others have begun it */
        CHECK_EQUAL(weft_join(t, NULL), 0);
        CHECK_EQUAL(weft_scope_exit(&shield), 0);
        CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    }
    return arg;
}

static void a_shield_of_the_parent_keeps_its_child(void **state)
{
    (void)state;
    run_case(shielded_parent_main, NULL);
}

/* A task that is pinned to its worker, and is made ready while a cancel is under way to it. */
static void *pinned_main(void *arg)
{
    static const struct weft_spawn_options pinned = {.pinned = true};
    for (int i = 0; i < 20; i++) {
        struct child c = {0, 0, 0};
        struct weft_scope s;
        weft_task *t = weft_spawn_with(&pinned, wait_for_ever, &c);
        yield_until(&c.is_waiting, 1);
        weft_scope_enter(&s, WEFT_MS);
        CHECK_EQUAL(weft_join(t, NULL), -ECANCELED);
        check_passed_on(&c);
        CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    }
    return arg;
}

static void a_deadline_is_passed_on_to_a_pinned_task(void **state)
{
    (void)state;
    run_case(pinned_main, NULL);
}

static void *give_back(void *arg)
{
    return arg;
}

static void *done_main(void *arg)
{
    struct weft_scope s;
    weft_task *t = weft_spawn(give_back, arg);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    weft_scope_enter(&s, 0);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    return arg;
}

static void to_await_what_is_done_succeeds_in_a_scope_that_is_over(void **state)
{
    (void)state;
    run_case(done_main, NULL);
}

static shared_int is_receiving;

static void *receive(void *arg)
{
    char byte;
    int *pair = arg;
    atomic_store_seq_cst(&is_receiving, 1);
    ssize_t n = weft_recv(pair[0], &byte, 1, 0);
    return n < 0 ? weft_fail((int)n) : NULL;
}

/* An operation is in flight on the descriptor: weft_close has to wait for it. */
static void *close_main(void *arg)
{
    for (int i = 0; i < 10; i++) {
        int pair[2];
        CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        struct weft_scope s;
        atomic_store_seq_cst(&is_receiving, 0);
        weft_task *t = weft_spawn(receive, pair);
        yield_until(&is_receiving, 1);
        CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
        weft_scope_enter(&s, 0);
        CHECK_EQUAL(weft_close(pair[0]), 0);
        CHECK_EQUAL(weft_close(pair[1]), 0);
        CHECK_EQUAL(weft_scope_exit(&s), 0);
        CHECK_EQUAL(weft_join(t, NULL), -ECANCELED);
    }
    return arg;
}

static void weft_close_is_not_cut_short(void **state)
{
    (void)state;
    run_case(close_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_is_passed_on_to_what_is_awaited_once),
        cmocka_unit_test(a_deadline_goes_through_tasks_that_await_each_other),
        cmocka_unit_test(a_spawned_task_begins_outside_all_scopes),
        cmocka_unit_test(a_shield_of_the_child_hides_the_parents_deadline),
        cmocka_unit_test(a_shield_of_the_parent_keeps_its_child),
        cmocka_unit_test(a_deadline_is_passed_on_to_a_pinned_task),
        cmocka_unit_test(to_await_what_is_done_succeeds_in_a_scope_that_is_over),
        cmocka_unit_test(weft_close_is_not_cut_short),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
