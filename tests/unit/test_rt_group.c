/* SPDX-License-Identifier: MIT */
/*
 * Goal: a group's exit waits for all children, the first failure ends the rest, errors are kept,
 * and the owner's own state is as before afterwards.
 *
 * Method: children that wait for ever, or until they are told to go on, so that each order is
 * forced. Races are in stress_scope.c.
 */
#include "task_help.h"

#define HOUR (60 * WEFT_MINUTE)

static shared_int ended;
static shared_int started;
static shared_int go_on;

static void reset(void)
{
    atomic_store_seq_cst(&ended, 0);
    atomic_store_seq_cst(&started, 0);
    atomic_store_seq_cst(&go_on, 0);
}

static void *end_after_turns(void *arg)
{
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    atomic_add_seq_cst(&ended, 1);
    return arg;
}

static void *wait_for_ever(void *arg)
{
    atomic_add_seq_cst(&started, 1);
    int err = weft_sleep(WEFT_FOREVER);
    CHECK_EQUAL(err, -ECANCELED);
    CHECK_EQUAL(weft_cancelling(), 1);
    atomic_add_seq_cst(&ended, 1);
    (void)arg;
    return weft_fail(err);
}

static void *fail_with(void *arg)
{
    atomic_add_seq_cst(&started, 1);
    return weft_fail((int)(intptr_t)arg);
}

static void *fail_when_told(void *arg)
{
    yield_until(&go_on, 1);
    return weft_fail((int)(intptr_t)arg);
}

static void *as_error(int error)
{
    return (void *)(intptr_t)error;
}

/* --- waiting for all -------------------------------------------------------------------------- */

static void *all_main(void *arg)
{
    struct weft_group g;
    weft_group_enter(&g);
    CHECK_EQUAL(weft_group_exit(&g), 0);

    reset();
    weft_group_enter(&g);
    for (int i = 0; i < 50; i++) {
        CHECK_EQUAL(weft_group_go(&g, end_after_turns, NULL), 0);
    }
    CHECK_EQUAL(weft_yield(), 0);
    weft_task *late = weft_group_spawn(&g, end_after_turns, &g);
    CHECK_EQUAL(weft_group_exit(&g), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&ended), 51);
    CHECK(weft_done(late));
    void *result = NULL;
    CHECK_EQUAL(weft_join(late, &result), 0);
    CHECK(result == &g);
    CHECK_EQUAL(weft_group_error_count(&g), 0);
    return arg;
}

static void item_145_the_exit_waits_for_every_child(void **state)
{
    (void)state;
    run_case(all_main, NULL);
}

struct breeder {
    struct weft_group *group;
    int generations;
};

static void *breed(void *arg)
{
    struct breeder *b = arg;
    (void)weft_sleep(WEFT_US);
    if (b->generations-- > 0) {
        CHECK_EQUAL(weft_group_go(b->group, breed, b), 0);
    }
    atomic_add_seq_cst(&ended, 1);
    return NULL;
}

static void *breed_main(void *arg)
{
    struct weft_group g;
    struct breeder b = {&g, 100};
    reset();
    weft_group_enter(&g);
    CHECK_EQUAL(weft_group_go(&g, breed, &b), 0);
    CHECK_EQUAL(weft_group_exit(&g), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&ended), 101);
    return arg;
}

static void item_146_children_may_add_children_while_the_group_ends(void **state)
{
    (void)state;
    run_case(breed_main, NULL);
}

static void *own_cancel_main(void *arg)
{
    struct weft_group g;
    reset();
    weft_group_enter(&g);
    weft_task *t = weft_group_spawn(&g, wait_for_ever, NULL);
    CHECK_EQUAL(weft_group_go(&g, end_after_turns, NULL), 0);
    CHECK_EQUAL(weft_cancel_and_join(t, NULL), -ECANCELED);
    CHECK_EQUAL(weft_group_go(&g, end_after_turns, NULL), 0);
    CHECK_EQUAL(weft_group_exit(&g), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&ended), 3);
    return arg;
}

static void item_147_a_child_cancelled_on_its_own_is_no_failure(void **state)
{
    (void)state;
    run_case(own_cancel_main, NULL);
}

/* --- failures --------------------------------------------------------------------------------- */

static void *failure_main(void *arg)
{
    for (int i = 0; i < 4; i++) {
        struct weft_group g;
        reset();
        weft_group_enter(&g);
        for (int k = 0; k < 5; k++) {
            CHECK_EQUAL(weft_group_go(&g, wait_for_ever, NULL), 0);
        }
        CHECK_EQUAL(i % 2 == 0 ? 0 : weft_sleep(WEFT_MS), 0);
        CHECK_EQUAL(weft_group_go(&g, fail_with, as_error(-EIO)), 0);
        if (i >= 2) { /* the body waits */
            CHECK_EQUAL(weft_sleep(HOUR), -ECANCELED);
            CHECK_EQUAL(weft_yield(), -ECANCELED);
            /* 161 */
            CHECK(weft_group_spawn(&g, fail_with, NULL) == NULL);
            CHECK_EQUAL(weft_group_go(&g, fail_with, NULL), -ECANCELED);
        }
        CHECK_EQUAL(weft_group_exit(&g), -EIO);
        CHECK_EQUAL(atomic_load_seq_cst(&ended), 5);
        CHECK_EQUAL(weft_group_error_count(&g), 1);
        CHECK_EQUAL(weft_group_error(&g, 0), -EIO);
        CHECK_EQUAL(weft_group_error(&g, 1), 0);
        /* 159 */
        CHECK_EQUAL(weft_cancelling(), 0);
        CHECK_EQUAL(weft_yield(), 0);
        /* 162 */
        CHECK(weft_group_spawn(&g, fail_with, NULL) == NULL);
    }
    return arg;
}

static void item_148_159_161_the_first_failure_ends_siblings_and_body(void **state)
{
    (void)state;
    run_case(failure_main, NULL);
}

static void *body_main(void *arg)
{
    struct weft_group g;
    reset();
    weft_group_enter(&g);
    CHECK_EQUAL(weft_group_go(&g, wait_for_ever, NULL), 0);
    weft_group_fail(&g, -EPIPE);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_group_exit(&g), -EPIPE);
    CHECK_EQUAL(atomic_load_seq_cst(&ended), 1);
    return arg;
}

static void item_149_a_failure_of_the_body_ends_the_children(void **state)
{
    (void)state;
    run_case(body_main, NULL);
}

static void *fail_in_clean_up(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    atomic_add_seq_cst(&ended, 1);
    return weft_fail((int)(intptr_t)arg);
}

static void *many_errors_main(void *arg)
{
    struct weft_group g;
    reset();
    weft_group_enter(&g);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(weft_group_go(&g, fail_in_clean_up, as_error(-EBUSY)), 0);
    }
    weft_group_fail(&g, -EIO);
    CHECK_EQUAL(weft_group_exit(&g), -EIO);
    CHECK_EQUAL(atomic_load_seq_cst(&ended), 10);
    CHECK_EQUAL(weft_group_error_count(&g), 11);
    CHECK_EQUAL(weft_group_error(&g, 0), -EIO);
    for (size_t i = 1; i < WEFT_GROUP_ERRORS; i++) {
        CHECK_EQUAL(weft_group_error(&g, i), -EBUSY);
    }
    CHECK_EQUAL(weft_group_error(&g, WEFT_GROUP_ERRORS), 0);
    CHECK_EQUAL(weft_group_error(&g, SIZE_MAX), 0);
    return arg;
}

static void item_150_errors_of_clean_up_are_kept_too(void **state)
{
    (void)state;
    run_case(many_errors_main, NULL);
}

/* --- ends from outside ------------------------------------------------------------------------ */

/* Cancelled while it waits in the body, or in the exit; or by the deadline of a scope around. */
static void *owner(void *arg)
{
    int *how = arg;
    struct weft_group g;
    weft_group_enter(&g);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_group_go(&g, wait_for_ever, NULL), 0);
    }
    if (*how == 1) {
        CHECK_EQUAL(weft_sleep(HOUR), -ECANCELED);
    }
    CHECK_EQUAL(weft_group_exit(&g), -ECANCELED);
    CHECK_EQUAL(weft_group_error_count(&g), 0);
    CHECK_EQUAL(weft_cancelling(), 1);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    return NULL;
}

static void *cancel_main(void *arg)
{
    for (int how = 0; how < 2; how++) {
        reset();
        weft_task *t = weft_spawn(owner, &how);
        yield_until(&started, 5);
        CHECK_EQUAL(weft_cancel_and_join(t, NULL), 0);
        CHECK_EQUAL(atomic_load_seq_cst(&ended), 5);
    }
    return arg;
}

static void item_151_a_cancel_of_the_owner_reaches_all_children(void **state)
{
    (void)state;
    run_case(cancel_main, NULL);
}

static void *deadline_main(void *arg)
{
    for (int i = 0; i < 10; i++) {
        struct weft_scope s;
        struct weft_group g;
        reset();
        weft_scope_enter(&s, i % 2 == 0 ? WEFT_MS : 0);
        weft_group_enter(&g);
        for (int k = 0; k < 5; k++) {
            CHECK_EQUAL(weft_group_go(&g, wait_for_ever, NULL), 0);
        }
        CHECK_EQUAL(weft_group_exit(&g), -ETIMEDOUT);
        CHECK_EQUAL(atomic_load_seq_cst(&ended), 5);
        CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void the_deadline_of_a_scope_around_reaches_all_children(void **state)
{
    (void)state;
    run_case(deadline_main, NULL);
}

static void *error_and_deadline_main(void *arg)
{
    struct weft_scope s;
    struct weft_group g;
    reset();
    weft_scope_enter(&s, WEFT_MS);
    weft_group_enter(&g);
    CHECK_EQUAL(weft_group_go(&g, fail_in_clean_up, as_error(-EIO)), 0);
    CHECK_EQUAL(weft_group_exit(&g), -EIO);
    CHECK_EQUAL(weft_yield(), -ETIMEDOUT); /* 153: it still counts */
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    return arg;
}

static void item_136_152_errors_win_over_an_end_from_outside(void **state)
{
    (void)state;
    run_case(error_and_deadline_main, NULL);
}

/* Cancelled, in the body, and failing then: in a child's clean-up; in a child, while the body has
 * taken the cancel and cleans up; by the body's own error. */
enum failing { IN_CHILD_CLEAN_UP, IN_CHILD_DURING_CLEAN_UP, IN_BODY };

static void *failing_owner(void *arg)
{
    enum failing how = *(enum failing *)arg;
    struct weft_group g;
    weft_group_enter(&g);
    if (how == IN_CHILD_CLEAN_UP) {
        CHECK_EQUAL(weft_group_go(&g, fail_in_clean_up, as_error(-EIO)), 0);
    } else if (how == IN_CHILD_DURING_CLEAN_UP) {
        CHECK_EQUAL(weft_group_go(&g, fail_when_told, as_error(-EIO)), 0);
    }
    atomic_add_seq_cst(&started, 1);
    CHECK_EQUAL(weft_sleep(HOUR), -ECANCELED);
    int left = 1;
    if (how == IN_CHILD_DURING_CLEAN_UP) {
        left = weft_uncancel();
        atomic_store_seq_cst(&go_on, 1);
        CHECK_EQUAL(weft_sleep(HOUR), -ECANCELED); /* cut short */
    } else if (how == IN_BODY) {
        weft_group_fail(&g, -EIO);
    }
    CHECK_EQUAL(weft_group_exit(&g), -EIO);
    CHECK_EQUAL(weft_group_error_count(&g), 1);
    CHECK_EQUAL(weft_cancelling(), left);
    CHECK_EQUAL(weft_yield(), left > 0 ? -ECANCELED : 0);
    return NULL;
}

static void *failing_main(void *arg)
{
    for (enum failing how = IN_CHILD_CLEAN_UP; how <= IN_BODY; how++) {
        reset();
        weft_task *t = weft_spawn(failing_owner, &how);
        yield_until(&started, 1);
        CHECK_EQUAL(weft_cancel_and_join(t, NULL), 0);
    }
    return arg;
}

static void item_153_154_155_errors_win_over_a_cancel_which_still_counts(void **state)
{
    (void)state;
    run_case(failing_main, NULL);
}

/* --- nested ----------------------------------------------------------------------------------- */

static void *nested_main(void *arg)
{
    struct weft_group outer;
    struct weft_group inner;
    reset(); /* 156 */
    weft_group_enter(&outer);
    CHECK_EQUAL(weft_group_go(&outer, fail_when_told, as_error(-EIO)), 0);
    weft_group_enter(&inner);
    CHECK_EQUAL(weft_group_go(&inner, wait_for_ever, NULL), 0);
    atomic_store_seq_cst(&go_on, 1);
    CHECK_EQUAL(weft_group_exit(&inner), -ECANCELED);
    CHECK_EQUAL(weft_group_error_count(&inner), 0);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_group_exit(&outer), -EIO);

    reset(); /* 157 */
    weft_group_enter(&outer);
    CHECK_EQUAL(weft_group_go(&outer, wait_for_ever, NULL), 0);
    weft_group_enter(&inner);
    CHECK_EQUAL(weft_group_go(&inner, fail_with, as_error(-EPIPE)), 0);
    int err = weft_group_exit(&inner);
    CHECK_EQUAL(err, -EPIPE);
    CHECK_EQUAL(weft_yield(), 0);
    weft_group_fail(&outer, err);
    CHECK_EQUAL(weft_group_exit(&outer), -EPIPE);

    reset(); /* 160 */
    weft_group_enter(&outer);
    weft_group_enter(&inner);
    weft_group_fail(&inner, -EPIPE);
    weft_group_fail(&outer, -EIO);
    CHECK_EQUAL(weft_group_exit(&inner), -EPIPE);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_group_exit(&outer), -EIO);
    CHECK_EQUAL(weft_yield(), 0);
    return arg;
}

static void item_156_157_160_groups_nest(void **state)
{
    (void)state;
    run_case(nested_main, NULL);
}

/* --- cancelling a group ----------------------------------------------------------------------- */

static void *cancel_group(void *arg)
{
    weft_group_cancel(arg);
    weft_group_cancel(arg);
    return NULL;
}

static void *group_cancel_main(void *arg)
{
    for (int how = 0; how < 3; how++) {
        struct weft_group g;
        reset();
        weft_group_enter(&g);
        for (int i = 0; i < 5; i++) {
            CHECK_EQUAL(weft_group_go(&g, wait_for_ever, NULL), 0);
        }
        if (how == 0) {
            weft_group_cancel(&g);
            weft_group_cancel(&g);
        } else if (how == 1) {
            CHECK_EQUAL(weft_group_go(&g, cancel_group, &g), 0); /* a child does */
            CHECK_EQUAL(weft_sleep(HOUR), -ECANCELED);
        } else {
            weft_group_fail(&g, -ECANCELED);
        }
        CHECK_EQUAL(weft_group_exit(&g), 0);
        CHECK_EQUAL(atomic_load_seq_cst(&ended), 5);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_cancelling(), 0);
    }
    return arg;
}

static void item_166_a_cancelled_group_exits_without_an_error(void **state)
{
    (void)state;
    run_case(group_cancel_main, NULL);
}

/* --- spawning --------------------------------------------------------------------------------- */

static void *options_main(void *arg)
{
    struct weft_group g;
    reset();
    weft_group_enter(&g);
    struct weft_spawn_options options = {.name = "child", .held = true, .group = &g};
    weft_task *t = weft_spawn_with(&options, end_after_turns, NULL);
    char name[16];
    CHECK_EQUAL(weft_task_name(t, name, sizeof name), 5);
    CHECK_EQUAL(weft_start(t), 0);
    options.held = false;
    options.group = NULL;
    options.pinned = true;
    weft_put(weft_group_spawn_with(&g, &options, end_after_turns, NULL));
    CHECK_EQUAL(weft_join(t, NULL), 0); /* a child can be awaited, also before the exit */
    CHECK_EQUAL(weft_group_exit(&g), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&ended), 2);
    options.group = &g;
    CHECK(weft_spawn_with(&options, end_after_turns, NULL) == NULL); /* 162 */
    return arg;
}

static void a_child_can_have_options(void **state)
{
    (void)state;
    run_case(options_main, NULL);
}

static void item_162_outside_a_task_a_group_takes_nothing(void **state)
{
    (void)state;
    struct weft_group g;
    weft_group_enter(&g);
    assert_int_equal(weft_group_go(&g, end_after_turns, NULL), -EPERM);
    assert_int_equal(weft_group_exit(&g), -EPERM);
}

/* Finished children are forgotten: it would take a while, and memory, if they were not. */
static void *long_lived_main(void *arg)
{
    struct weft_group g;
    reset();
    weft_group_enter(&g);
    for (size_t i = 0; i < test_scaled(100000, 2000); i++) {
        CHECK_EQUAL(weft_group_go(&g, end_after_turns, NULL), 0);
        if (i % 100 == 99) {
            yield_until(&ended, (int)i + 1);
        }
    }
    CHECK_EQUAL(weft_group_exit(&g), 0);
    return arg;
}

static void item_164_a_long_lived_group_does_not_grow(void **state)
{
    (void)state;
    run_case(long_lived_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_145_the_exit_waits_for_every_child),
        cmocka_unit_test(item_146_children_may_add_children_while_the_group_ends),
        cmocka_unit_test(item_147_a_child_cancelled_on_its_own_is_no_failure),
        cmocka_unit_test(item_148_159_161_the_first_failure_ends_siblings_and_body),
        cmocka_unit_test(item_149_a_failure_of_the_body_ends_the_children),
        cmocka_unit_test(item_150_errors_of_clean_up_are_kept_too),
        cmocka_unit_test(item_151_a_cancel_of_the_owner_reaches_all_children),
        cmocka_unit_test(the_deadline_of_a_scope_around_reaches_all_children),
        cmocka_unit_test(item_136_152_errors_win_over_an_end_from_outside),
        cmocka_unit_test(item_153_154_155_errors_win_over_a_cancel_which_still_counts),
        cmocka_unit_test(item_156_157_160_groups_nest),
        cmocka_unit_test(item_166_a_cancelled_group_exits_without_an_error),
        cmocka_unit_test(a_child_can_have_options),
        cmocka_unit_test(item_162_outside_a_task_a_group_takes_nothing),
        cmocka_unit_test(item_164_a_long_lived_group_does_not_grow),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
