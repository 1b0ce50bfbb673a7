/* SPDX-License-Identifier: MIT */
/*
 * A job that was let go asked the descriptor of its future how often its end was asked for, when
 * the future was gone: it was told 0, or what concerned another task, or read memory that was not
 * there any more.
 */
#include "unit/blocking_help.h"

static shared_int come;
static shared_int may_ask;
static shared_int told = -1;

static void *job_asks(void *arg)
{
    atomic_store_seq_cst(&come, 1);
    spin_until(&may_ask, 1);
    atomic_store_seq_cst(&told, weft_cancelling());
    return arg;
}

static void *nothing(void *arg)
{
    return arg;
}

static void *body(void *arg)
{
    const struct weft_blocking_options options = {.abandon = true};
    weft_future *f = weft_submit_blocking_with(&options, job_asks, NULL);
    yield_until(&come, 1);
    CHECK(weft_cancel(f));
    CHECK_EQUAL(weft_join(f, NULL), -ECANCELED); /* the last reference */
    CHECK_EQUAL(weft_join(weft_spawn(nothing, NULL), NULL), 0); /* may have its place */
    return arg;
}

static void a_job_that_was_let_go_knows_it_for_good(void **state)
{
    (void)state;
    run_case(body, NULL);
    atomic_store_seq_cst(&may_ask, 1);
    while (atomic_load_seq_cst(&told) < 0) {
        sched_yield();
    }
    assert_int_equal(atomic_load_seq_cst(&told), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_was_let_go_knows_it_for_good),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
