/* SPDX-License-Identifier: MIT */
/*
 * weft_wait looked twice why it was not to wait, the second time for whose fault it was. When a
 * cancel came in between, the passed deadline of the innermost scope was returned as an error, and
 * not the count: the second look had found the cancel to blame.
 */
#include "task_help.h"

enum { ROUNDS = 20000 };

static shared_int is_over;

static void *cancel_and_cancel(void *task)
{
    while (atomic_load_seq_cst(&is_over) == 0) {
        weft_cancel(task);
    }
    return NULL;
}

static void *body(void *arg)
{
    pthread_t thread;
    weft_future *f = weft_future_create();
    atomic_store_seq_cst(&is_over, 0);
    CHECK_EQUAL(pthread_create(&thread, NULL, cancel_and_cancel, weft_self()), 0);
    for (size_t i = 0; i < test_scaled(ROUNDS, ROUNDS / 10); i++) {
        while (weft_cancelling() > 0) {
            (void)weft_uncancel();
        }
        WEFT_TIMEOUT(0)
        {
            int n = weft_wait(1, &f, WEFT_ALL_COMPLETED);
            CHECK(n == 0 || n == -ECANCELED);
        }
    }
    atomic_store_seq_cst(&is_over, 1);
    pthread_join(thread, NULL);
    while (weft_cancelling() > 0) {
        (void)weft_uncancel();
    }
    weft_put(f);
    return arg;
}

static void a_passed_deadline_is_no_error_beside_a_cancel(void **state)
{
    (void)state;
    run_case(body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_passed_deadline_is_no_error_beside_a_cancel)};
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
