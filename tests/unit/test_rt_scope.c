/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a scope does to the waits inside it, and what its exit tells.
 *
 * Method: deadlines are past from the start, or come while the task waits for nothing else, or are
 * an hour away; so no result depends on how fast the machine is. The cases hold on any number of
 * workers. How a scope reaches other tasks is in test_rt_scope_await.c, the statements in
 * test_rt_scope_block.c, races in stress_scope.c.
 */
#include "task_help.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define HOUR (60 * WEFT_MINUTE)

/* Keep the worker until the clock shows t, as a task that computes. */
static void burn_until(int64_t t)
{
    while (weft_now() < t) {
        sched_yield();
    }
}

static int pair[2];

/* Each kind of wait, which would wait, or not. */
static int wait_somehow(int kind)
{
    char byte = 'x';
    struct pollfd p = {.fd = pair[0], .events = POLLIN};
    switch (kind) {
    case 0:
        return weft_sleep(WEFT_FOREVER);
    case 1:
        return weft_sleep(HOUR);
    case 2:
        return (int)weft_recv(pair[0], &byte, 1, 0);
    case 3:
        return weft_wait_fd(pair[0], POLLIN);
    case 4:
        return weft_poll(&p, 1);
    case 5:
        return weft_yield();
    case 6:
        return weft_sleep(0);
    case 7:
        return weft_sleep_until(0);
    case 8:
        return (int)weft_send(pair[0], &byte, 1, 0);
    default:
        return weft_wait_fd(pair[0], POLLOUT);
    }
}

enum { WAITS_THAT_PARK = 5, WAITS = 10 };

static void with_pair(weft_fn fn)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    run_case(fn, NULL);
    close(pair[0]);
    close(pair[1]);
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void *deadline_main(void *arg)
{
    struct weft_scope s;
    for (int kind = 0; kind < WAITS_THAT_PARK; kind++) {
        int64_t before = weft_now();
        weft_scope_enter(&s, 2 * WEFT_MS);
        CHECK_EQUAL(weft_scope_error(), 0);
        CHECK_EQUAL(wait_somehow(kind), -ETIMEDOUT);
        CHECK(weft_now() - before >= 2 * WEFT_MS);
        CHECK_EQUAL(weft_scope_error(), -ETIMEDOUT);
        for (int i = 0; i < WAITS; i++) {
            CHECK_EQUAL(wait_somehow(i), -ETIMEDOUT);
        }
        CHECK(weft_scope_expired(&s));
        CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
        CHECK(weft_scope_expired(&s));
        CHECK_EQUAL(weft_scope_result(&s), -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_error(), 0);
        CHECK_EQUAL(weft_cancelling(), 0);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    }
    return arg;
}

static void item_121_128_every_wait_ends_by_the_deadline_and_fails_until_the_exit(void **state)
{
    (void)state;
    with_pair(deadline_main);
}

static void *in_time_main(void *arg)
{
    struct weft_scope s;
    for (int i = 0; i < 1000; i++) {
        weft_scope_enter(&s, i % 2 == 0 ? HOUR : WEFT_FOREVER);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_sleep(0), 0);
        CHECK_EQUAL(i % 10 == 0 ? weft_sleep(WEFT_US) : 0, 0);
        CHECK(!weft_scope_expired(&s));
        CHECK_EQUAL(weft_scope_exit(&s), 0);
        CHECK(!weft_scope_expired(&s));
    }
    weft_scope_enter(&s, 2 * WEFT_MS);
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    CHECK_EQUAL(weft_sleep(10 * WEFT_MS), 0); /* whatever timer it left disturbs nobody */
    return arg;
}

static void item_123_a_scope_left_in_time_has_no_effect(void **state)
{
    (void)state;
    run_case(in_time_main, NULL);
}

static void *past_main(void *arg)
{
    struct weft_scope s;
    for (int kind = 0; kind < WAITS; kind++) {
        weft_scope_enter(&s, kind % 2 == 0 ? 0 : -HOUR);
        CHECK_EQUAL(weft_scope_error(), -ETIMEDOUT);
        CHECK_EQUAL(wait_somehow(kind), -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_scope_enter(&s, INT64_MIN);
    CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);

    weft_scope_enter(&s, 0);
    CHECK_EQUAL(weft_scope_exit(&s), 0); /* no wait, no failure */
    CHECK(weft_scope_expired(&s));
    CHECK_EQUAL(weft_scope_result(&s), 0);
    return arg;
}

static void item_124_a_past_deadline_meets_the_first_wait_and_nothing_else(void **state)
{
    (void)state;
    with_pair(past_main);
}

static void *burning_main(void *arg)
{
    struct weft_scope s;
    for (int kind = 0; kind < WAITS; kind++) {
        weft_scope_enter(&s, WEFT_MS);
        burn_until(weft_deadline());
        CHECK_EQUAL(wait_somehow(kind), -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    }
    weft_scope_enter(&s, WEFT_MS);
    burn_until(weft_deadline());
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    CHECK(weft_scope_expired(&s));
    return arg;
}

static void a_deadline_that_passed_in_a_computation_meets_the_next_wait(void **state)
{
    (void)state;
    with_pair(burning_main);
}

static void *swallow_main(void *arg)
{
    struct weft_scope s;
    weft_scope_enter(&s, 0);
    (void)weft_yield();
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT); /* C has no way to tell that it was swallowed */
    CHECK(weft_scope_expired(&s));
    return arg;
}

static void item_132_an_error_that_was_overlooked_is_told_by_the_exit(void **state)
{
    (void)state;
    run_case(swallow_main, NULL);
}

static void *sleep_first_main(void *arg)
{
    struct weft_scope s;
    for (int i = 0; i < 20; i++) {
        weft_scope_enter(&s, 2 * WEFT_MS);
        CHECK_EQUAL(weft_sleep_until(weft_deadline()), 0); /* done at the deadline is done */
        CHECK_EQUAL(weft_scope_exit(&s), 0);
        CHECK(weft_scope_expired(&s));
    }
    return arg;
}

static void item_97_a_sleep_that_ends_at_the_deadline_has_ended(void **state)
{
    (void)state;
    run_case(sleep_first_main, NULL);
}

/* --- nesting ---------------------------------------------------------------------------------- */

static void *same_deadline_main(void *arg)
{
    struct weft_scope outer;
    struct weft_scope inner;
    for (int i = 0; i < 3; i++) {
        weft_scope_enter(&outer, i == 0 ? 2 * WEFT_MS : 0);
        weft_scope_enter(&inner, HOUR);
        CHECK_EQUAL(weft_sleep(HOUR), -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_exit(&inner), 0);
        CHECK(!weft_scope_expired(&inner));
        CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_exit(&outer), -ETIMEDOUT);
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_scope_enter(&outer, INT64_MIN);
    weft_scope_enter(&inner, INT64_MIN);
    (void)inner;
    CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
    CHECK(weft_scope_expired(&inner));
    (void)weft_scope_exit(&inner);
    CHECK(weft_scope_expired(&inner));
    CHECK_EQUAL(weft_scope_exit(&outer), -ETIMEDOUT);
    return arg;
}

static void item_122_the_outer_scope_ends_what_is_inside_and_tells(void **state)
{
    (void)state;
    run_case(same_deadline_main, NULL);
}

static void *inner_first_main(void *arg)
{
    struct weft_scope outer;
    struct weft_scope inner;
    weft_scope_enter(&outer, 4 * WEFT_MS);
    int64_t outer_ns = weft_deadline();
    weft_scope_enter(&inner, WEFT_MS);
    burn_until(outer_ns);
    CHECK_EQUAL(weft_sleep(HOUR), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&inner), -ETIMEDOUT);
    CHECK_EQUAL(weft_sleep(HOUR), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&outer), -ETIMEDOUT);
    CHECK_EQUAL(weft_yield(), 0);
    return arg;
}

static void item_129_both_over_after_a_computation_each_ends_its_own_wait(void **state)
{
    (void)state;
    run_case(inner_first_main, NULL);
}

static void *inner_only_main(void *arg)
{
    struct weft_scope outer;
    struct weft_scope inner;
    weft_scope_enter(&outer, HOUR);
    weft_scope_enter(&inner, WEFT_MS);
    CHECK_EQUAL(weft_sleep(HOUR), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&inner), -ETIMEDOUT);
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    CHECK_EQUAL(weft_scope_exit(&outer), 0);
    CHECK(!weft_scope_expired(&outer));
    return arg;
}

static void item_125_what_the_inner_scope_ends_is_not_the_outer_ones(void **state)
{
    (void)state;
    run_case(inner_only_main, NULL);
}

/* --- with a cancel of the task ---------------------------------------------------------------- */

static void *cancelled_main(void *arg)
{
    struct weft_scope s;
    struct weft_scope shield;
    weft_scope_enter(&s, HOUR);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_sleep(HOUR), -ECANCELED);
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    CHECK(!weft_scope_expired(&s));
    CHECK_EQUAL(weft_scope_error(), -ECANCELED);

    weft_shield_enter(&shield); /* clean-up with a limit */
    CHECK_EQUAL(weft_scope_error(), 0);
    CHECK_EQUAL(weft_cancelling(), 1);
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    weft_scope_enter(&s, WEFT_MS);
    CHECK_EQUAL(weft_sleep(HOUR), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_scope_exit(&shield), 0);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_cancelling(), 2);

    CHECK_EQUAL(weft_uncancel(), 1);
    CHECK_EQUAL(weft_uncancel(), 0);
    weft_scope_enter(&s, HOUR); /* one after an acknowledged cancel works */
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    CHECK_EQUAL(weft_uncancel(), 0);
    return arg;
}

static void item_134_135_clean_up_of_a_cancelled_task_can_be_shielded_and_limited(void **state)
{
    (void)state;
    run_case(cancelled_main, NULL);
}

static void *cancel_arg(void *arg)
{
    CHECK(weft_cancel(arg));
    return NULL;
}

static void *foreign_cancel_main(void *arg)
{
    struct weft_scope s;
    weft_scope_enter(&s, HOUR);
    CHECK_EQUAL(weft_go(cancel_arg, weft_self()), 0);
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    CHECK(!weft_scope_expired(&s));
    CHECK_EQUAL(weft_uncancel(), 0);

    weft_shield_enter(&s);
    CHECK_EQUAL(weft_go(cancel_arg, weft_self()), 0);
    while (weft_cancelling() == 0) {
        CHECK_EQUAL(weft_sleep(WEFT_MS), 0); /* it is not woken either */
    }
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_uncancel(), 0);
    return arg;
}

static void item_127_a_cancel_from_elsewhere_stays_a_cancel(void **state)
{
    (void)state;
    run_case(foreign_cancel_main, NULL);
}

/* --- shield ----------------------------------------------------------------------------------- */

static void *shield_main(void *arg)
{
    struct weft_scope outer;
    struct weft_scope shield;
    weft_scope_enter(&outer, WEFT_MS);
    int64_t outer_ns = weft_deadline();
    weft_shield_enter(&shield);
    CHECK_EQUAL(weft_deadline(), WEFT_FOREVER);
    CHECK_EQUAL(weft_sleep_until(outer_ns + WEFT_MS), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_scope_error(), 0);
    weft_scope_cancel(&shield); /* a scope itself */
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_scope_exit(&shield), -ECANCELED);
    CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&outer), -ETIMEDOUT);
    return arg;
}

static void a_shield_hides_what_is_outside_until_it_is_left(void **state)
{
    (void)state;
    run_case(shield_main, NULL);
}

/* --- moving the deadline ---------------------------------------------------------------------- */

static void *reschedule_main(void *arg)
{
    struct weft_scope s;
    struct weft_scope inner;
    weft_scope_enter(&s, WEFT_MS);
    CHECK_EQUAL(weft_scope_reschedule(&s, HOUR), 0);
    CHECK_EQUAL(weft_sleep(3 * WEFT_MS), 0);
    CHECK(weft_deadline() > weft_now());
    CHECK_EQUAL(weft_scope_reschedule(&s, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_deadline(), WEFT_FOREVER);
    weft_scope_enter(&inner, HOUR);
    CHECK_EQUAL(weft_scope_reschedule(&s, WEFT_MS), 0); /* from inside another one */
    CHECK_EQUAL(weft_sleep(HOUR), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&inner), 0);
    CHECK_EQUAL(weft_scope_reschedule(&s, HOUR), -ETIMEDOUT); /* it has ended */
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_reschedule(&s, HOUR), -EPERM);

    weft_scope_enter(&s, HOUR);
    CHECK_EQUAL(weft_scope_reschedule(&s, 0), 0);
    CHECK_EQUAL(weft_scope_reschedule(&s, HOUR), -ETIMEDOUT);
    CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);

    weft_scope_enter(&s, HOUR);
    weft_scope_cancel(&s);
    CHECK_EQUAL(weft_scope_reschedule(&s, HOUR), -ECANCELED);
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    CHECK(weft_scope_expired(&s));
    return arg;
}

static void item_130_a_live_scope_can_be_moved(void **state)
{
    (void)state;
    run_case(reschedule_main, NULL);
}

static void *reschedule_foreign(void *arg)
{
    CHECK_EQUAL(weft_scope_reschedule(arg, HOUR), -EPERM);
    return NULL;
}

static void *reschedule_refused_main(void *arg)
{
    struct weft_scope s;
    weft_scope_enter(&s, WEFT_FOREVER);
    CHECK_EQUAL(weft_join(weft_spawn(reschedule_foreign, &s), NULL), 0);
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    return arg;
}

static void item_131_a_scope_that_is_over_or_anothers_cannot(void **state)
{
    (void)state;
    run_case(reschedule_refused_main, NULL);
}

/* --- cancelling a scope ----------------------------------------------------------------------- */

static void *cancel_scope(void *arg)
{
    weft_scope_cancel(arg);
    return NULL;
}

static void *scope_cancel_main(void *arg)
{
    struct weft_scope s;
    struct weft_scope inner;
    for (int kind = 0; kind < WAITS_THAT_PARK; kind++) {
        weft_scope_enter(&s, HOUR);
        pthread_t thread = pthread_self();
        if (kind % 2 == 0) {
            CHECK_EQUAL(weft_go(cancel_scope, &s), 0);
        } else {
            thread = start_thread(cancel_scope, &s);
        }
        weft_scope_enter(&inner, HOUR);
        CHECK_EQUAL(wait_somehow(kind), -ECANCELED);
        CHECK_EQUAL(weft_scope_exit(&inner), 0);
        for (int i = 0; i < WAITS; i++) {
            CHECK_EQUAL(wait_somehow(i), -ECANCELED);
        }
        CHECK(weft_scope_expired(&s));
        CHECK_EQUAL(weft_scope_exit(&s), -ECANCELED);
        CHECK_EQUAL(weft_cancelling(), 0);
        CHECK_EQUAL(weft_yield(), 0);
        if (kind % 2 != 0) {
            pthread_join(thread, NULL);
        }
    }
    return arg;
}

static void a_scope_that_is_cancelled_from_elsewhere_ends_the_waits_inside(void **state)
{
    (void)state;
    with_pair(scope_cancel_main);
}

static void *cancel_late_main(void *arg)
{
    struct weft_scope s;
    weft_scope_enter(&s, 0);
    CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
    weft_scope_cancel(&s);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT); /* what was noticed first */
    return arg;
}

static void a_scope_past_its_deadline_can_be_cancelled(void **state)
{
    (void)state;
    run_case(cancel_late_main, NULL);
}

/* --- refused ---------------------------------------------------------------------------------- */

static void item_133_outside_a_task_a_scope_has_no_effect(void **state)
{
    (void)state;
    struct weft_scope s;
    weft_scope_enter(&s, 0);
    assert_int_equal(weft_deadline(), WEFT_FOREVER);
    assert_false(weft_scope_expired(&s));
    assert_int_equal(weft_scope_reschedule(&s, HOUR), -EPERM);
    weft_scope_cancel(&s);
    assert_int_equal(weft_scope_exit(&s), -EPERM);
}

static void *leave_open(void *arg)
{
    weft_scope_enter(arg, HOUR);
    return NULL;
}

static void *enter_twice(void *arg)
{
    weft_scope_enter(arg, HOUR);
    weft_scope_enter(arg, HOUR);
    return NULL;
}

static void *leave_wrong(void *arg)
{
    struct weft_scope inner;
    weft_scope_enter(arg, HOUR);
    weft_scope_enter(&inner, HOUR);
    (void)weft_scope_exit(arg);
    return NULL;
}

static void *leave_parents(void *arg)
{
    (void)weft_scope_exit(arg);
    return NULL;
}

static void *leave_in_child(void *arg)
{
    weft_scope_enter(arg, HOUR);
    (void)weft_join(weft_spawn(leave_parents, arg), NULL);
    return NULL;
}

static void *left_open_in_child(void *arg)
{
    (void)weft_join(weft_spawn(leave_open, arg), NULL);
    return NULL;
}

static void item_133_misuse_ends_the_process(void **state)
{
    (void)state;
    static const weft_fn misuses[] = {leave_open,     enter_twice,        leave_wrong,
                                      leave_in_child, left_open_in_child};
    for (size_t i = 0; i < sizeof misuses / sizeof misuses[0]; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct weft_scope s;
            (void)!freopen("/dev/null", "w", stderr);
            signal(SIGABRT, SIG_DFL); /* the checks end by abort */
            (void)weft_run(misuses[i], &s, NULL);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_121_128_every_wait_ends_by_the_deadline_and_fails_until_the_exit),
        cmocka_unit_test(item_123_a_scope_left_in_time_has_no_effect),
        cmocka_unit_test(item_124_a_past_deadline_meets_the_first_wait_and_nothing_else),
        cmocka_unit_test(a_deadline_that_passed_in_a_computation_meets_the_next_wait),
        cmocka_unit_test(item_132_an_error_that_was_overlooked_is_told_by_the_exit),
        cmocka_unit_test(item_97_a_sleep_that_ends_at_the_deadline_has_ended),
        cmocka_unit_test(item_122_the_outer_scope_ends_what_is_inside_and_tells),
        cmocka_unit_test(item_129_both_over_after_a_computation_each_ends_its_own_wait),
        cmocka_unit_test(item_125_what_the_inner_scope_ends_is_not_the_outer_ones),
        cmocka_unit_test(item_134_135_clean_up_of_a_cancelled_task_can_be_shielded_and_limited),
        cmocka_unit_test(item_127_a_cancel_from_elsewhere_stays_a_cancel),
        cmocka_unit_test(a_shield_hides_what_is_outside_until_it_is_left),
        cmocka_unit_test(item_130_a_live_scope_can_be_moved),
        cmocka_unit_test(item_131_a_scope_that_is_over_or_anothers_cannot),
        cmocka_unit_test(a_scope_that_is_cancelled_from_elsewhere_ends_the_waits_inside),
        cmocka_unit_test(a_scope_past_its_deadline_can_be_cancelled),
        cmocka_unit_test(item_133_outside_a_task_a_scope_has_no_effect),
        cmocka_unit_test(item_133_misuse_ends_the_process),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
