/* SPDX-License-Identifier: MIT */
/*
 * A task that parked in an await with a deadline read, without holding its fiber, whether a cancel
 * had been passed on already, while a canceller wrote that. For the thread sanitizer.
 */
#include "task_help.h"

#define HOUR (60 * WEFT_MINUTE)

enum { ROUNDS = 50 };

static shared_int is_begun;
static weft_future *awaited;

static void *await_for_long(void *arg)
{
    atomic_store_seq_cst(&is_begun, 1);
    CHECK_EQUAL(weft_wait_for(awaited, HOUR, NULL), -ECANCELED);
    return arg;
}

static void *body(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        atomic_store_seq_cst(&is_begun, 0);
        awaited = weft_future_create();
        weft_task *t = weft_spawn(await_for_long, NULL);
        spin_until(&is_begun, 1); /* on the other worker */
        for (int turn = 0; turn < i; turn++) {
            sched_yield();
        }
        CHECK(weft_cancel(t));
        CHECK_EQUAL(weft_join(t, NULL), 0);
        weft_put(awaited);
    }
    return arg;
}

static void a_cancel_meets_one_that_parks(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 2};
    run_case_with(&options, body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_cancel_meets_one_that_parks)};
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
