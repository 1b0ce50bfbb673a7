/* SPDX-License-Identifier: MIT */
/*
 * A cancelled task in a loop of yields, or of sleeps, until another has done something. Since every
 * wait of it fails at once, it kept its worker, and the other never ran.
 */
#include "task_help.h"

static shared_int is_done;

static void *do_it(void *arg)
{
    atomic_store_seq_cst(&is_done, 1);
    return arg;
}

static void *yield_until_done(void *arg)
{
    while (atomic_load_seq_cst(&is_done) == 0) {
        CHECK_EQUAL(weft_yield(), -ECANCELED);
    }
    return arg;
}

static void *sleep_until_done(void *arg)
{
    while (atomic_load_seq_cst(&is_done) == 0) {
        CHECK_EQUAL(weft_sleep(WEFT_MS), -ECANCELED);
    }
    return arg;
}

static weft_fn const loops[] = {yield_until_done, sleep_until_done};

static void *body(void *arg)
{
    for (int i = 0; i < 2; i++) {
        atomic_store_seq_cst(&is_done, 0);
        weft_task *t = weft_spawn(loops[i], NULL);
        CHECK(weft_cancel(t));
        weft_task *other = weft_spawn(do_it, NULL);
        CHECK_EQUAL(weft_join(t, NULL), 0);
        CHECK_EQUAL(weft_join(other, NULL), 0);
    }
    return arg;
}

static void it_lets_others_run(void **state)
{
    (void)state;
    run_case_alone(body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_lets_others_run),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
