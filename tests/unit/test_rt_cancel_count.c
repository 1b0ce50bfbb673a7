/* SPDX-License-Identifier: MIT */
/*
 * Goal: cancel requests are counted, whoever makes them, and acknowledged one by one; what is left
 * when all are acknowledged is a task as if it had never been cancelled.
 *
 * Method: as test_rt_cancel.c.
 */
#include "task_help.h"

static void *sleep_for_ever(void *arg)
{
    int err = weft_sleep(WEFT_FOREVER);
    return err < 0 ? weft_fail(err) : arg;
}

/* --- counting --------------------------------------------------------------------------------- */

static void *count_main(void *arg)
{
    CHECK_EQUAL(weft_cancelling(), 0);
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_cancelling(), 0);
    for (int i = 1; i <= 5; i++) {
        CHECK(weft_cancel(weft_self()));
        CHECK_EQUAL(weft_cancelling(), i);
    }
    for (int i = 4; i >= 0; i--) {
        CHECK_EQUAL(weft_yield(), -ECANCELED);
        CHECK_EQUAL(weft_uncancel(), i);
        CHECK_EQUAL(weft_cancelling(), i);
    }
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    return arg;
}

static void item_42_43_every_cancel_counts_and_uncancel_counts_down(void **state)
{
    (void)state;
    run_case(count_main, NULL);
}

static void *withdraw_main(void *arg)
{
    for (int i = 0; i < 10; i++) {
        CHECK(weft_cancel(weft_self()));
        CHECK_EQUAL(weft_uncancel(), 0); /* before any wait has met it */
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    }
    return arg;
}

static void item_44_a_cancel_can_be_withdrawn_before_a_wait_meets_it(void **state)
{
    (void)state;
    run_case(withdraw_main, NULL);
}

/* A block that cancels what is in it, and takes back only its own request. */
static int cancelled_block(void)
{
    int before = weft_cancelling();
    CHECK(weft_cancel(weft_self()));
    int err = weft_sleep(WEFT_FOREVER);
    CHECK_EQUAL(err, -ECANCELED);
    return weft_uncancel() > before ? err : weft_scope_error();
}

static void *blocks_main(void *arg)
{
    CHECK_EQUAL(cancelled_block(), 0); /* nobody else asked: what follows runs undisturbed */
    CHECK_EQUAL(weft_yield(), 0);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(cancelled_block(), -ECANCELED); /* somebody did: it goes on up */
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_uncancel(), 0);
    return arg;
}

static void item_45_a_block_takes_back_its_own_request_only(void **state)
{
    (void)state;
    run_case(blocks_main, NULL);
}

static void *count_and_go_on(void *arg)
{
    shared_int *swallowed = arg;
    int rounds = 0;
    while (rounds < 5) { /* quiet ones, after it was cancelled */
        int err = weft_sleep(50 * WEFT_US);
        if (err < 0) {
            CHECK_EQUAL(err, -ECANCELED);
            CHECK(weft_cancelling() >= 1);
            while (weft_uncancel() > 0) {
            }
            CHECK_EQUAL(weft_yield(), 0); /* not cancelled once more on its own */
            CHECK_EQUAL(weft_sleep(WEFT_US), 0);
            atomic_add_seq_cst(swallowed, 1);
        }
        rounds += err == 0 && atomic_load_seq_cst(swallowed) > 0;
    }
    return arg;
}

static void *swallow_main(void *arg)
{
    shared_int swallowed = 0;
    weft_task *t = weft_spawn(count_and_go_on, &swallowed);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&swallowed), 1);
    return arg;
}

static void item_34_a_cancel_that_was_swallowed_does_not_come_back(void **state)
{
    (void)state;
    run_case(swallow_main, NULL);
}

static void outside_a_task_nothing_is_cancelled(void **state)
{
    (void)state;
    assert_int_equal(weft_cancelling(), 0);
    assert_int_equal(weft_uncancel(), 0);
    assert_int_equal(weft_scope_error(), 0);
}

static void *report_own_state(void *arg)
{
    *(int *)arg = weft_cancelling() * 1000 - weft_yield();
    return arg;
}

static void *child_main(void *arg)
{
    int seen = -1;
    CHECK(weft_cancel(weft_self()));
    weft_task *t = weft_spawn(report_own_state, &seen);
    while (!weft_done(t)) {
        CHECK_EQUAL(weft_uncancel(), 0);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK(weft_cancel(weft_self()));
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(seen, 0);
    CHECK_EQUAL(weft_uncancel(), 0);
    return arg;
}

static void a_child_does_not_inherit_a_cancel(void **state)
{
    (void)state;
    run_case(child_main, NULL);
}

/* --- from elsewhere --------------------------------------------------------------------------- */

enum { CANCELLERS = 4, CANCELS_EACH = 250 };

static void *cancel_often(void *t)
{
    for (int i = 0; i < CANCELS_EACH; i++) {
        CHECK(weft_cancel(t));
    }
    return NULL;
}

static void *count_all(void *arg)
{
    (void)arg;
    int requests = 0;
    while (requests < CANCELLERS * CANCELS_EACH) {
        int err = weft_sleep(WEFT_FOREVER);
        CHECK_EQUAL(err, -ECANCELED);
        CHECK(weft_cancelling() > 0);
        weft_uncancel();
        requests++;
    }
    CHECK_EQUAL(weft_cancelling(), 0);
    return NULL;
}

static void requests_of_several_threads_add_up(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    weft_task *t = NULL;
    pthread_t thread[CANCELLERS];
    assert_int_equal(weft_runtime_spawn(rt, count_all, NULL, &t), 0);
    for (int i = 0; i < CANCELLERS; i++) {
        thread[i] = start_thread(cancel_often, t);
    }
    assert_int_equal(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
    for (int i = 0; i < CANCELLERS; i++) {
        pthread_join(thread[i], NULL);
    }
    weft_put(t);
    finish_runtime(rt);
}

static void cancel_in_callback(void *t)
{
    CHECK(weft_cancel(t));
    weft_put(t);
}

static void *callback_main(void *arg)
{
    for (int i = 0; i < 20; i++) {
        weft_task *t = weft_spawn(sleep_for_ever, NULL);
        CHECK_EQUAL(weft_post(weft_runtime_current(), cancel_in_callback, weft_get(t)), 0);
        CHECK_EQUAL(weft_join(t, NULL), -ECANCELED);
    }
    return arg;
}

static void a_callback_may_cancel(void **state)
{
    (void)state;
    run_case(callback_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_42_43_every_cancel_counts_and_uncancel_counts_down),
        cmocka_unit_test(item_44_a_cancel_can_be_withdrawn_before_a_wait_meets_it),
        cmocka_unit_test(item_45_a_block_takes_back_its_own_request_only),
        cmocka_unit_test(item_34_a_cancel_that_was_swallowed_does_not_come_back),
        cmocka_unit_test(outside_a_task_nothing_is_cancelled),
        cmocka_unit_test(a_child_does_not_inherit_a_cancel),
        cmocka_unit_test(requests_of_several_threads_add_up),
        cmocka_unit_test(a_callback_may_cancel),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
