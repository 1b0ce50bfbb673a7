/* SPDX-License-Identifier: MIT */
/*
 * Threads run and post on a runtime while another one closes it. What was taken in the last instant
 * was queued when no worker was left: the thread waited for ever, or the task was never cancelled
 * and the close waited for ever.
 */
#include "task_help.h"

#include <weft/timer.h>

#define THREADS 3

static shared_int runs_begun;
static shared_int runs_taken;
static shared_int posts_called;
static shared_int posts_taken;

/* Ends only when it is cancelled: by the walk of the close, or because it was born so. */
static void *sleep_until_cancelled(void *arg)
{
    (void)arg;
    atomic_add_seq_cst(&runs_begun, 1);
    int err = weft_sleep(WEFT_FOREVER);
    CHECK_EQUAL(err, -ECANCELED);
    return weft_fail(err);
}

static void count_post(void *arg)
{
    (void)arg;
    atomic_add_seq_cst(&posts_called, 1);
}

static void *use_until_closed(void *rt)
{
    for (;;) {
        int err = weft_post(rt, count_post, NULL);
        if (err == 0) {
            atomic_add_seq_cst(&posts_taken, 1);
            err = weft_runtime_run(rt, sleep_until_cancelled, NULL, NULL);
            if (err == -ECANCELED) {
                atomic_add_seq_cst(&runs_taken, 1);
                continue;
            }
        }
        CHECK_EQUAL(err, -ESHUTDOWN);
        return NULL;
    }
}

static void what_is_taken_ends_and_the_rest_is_refused(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (size_t round = 0; test_goes_on(round, test_scaled(300, 40)); round++) {
        pthread_t thread[THREADS];
        weft_runtime *rt = create_runtime(NULL);
        for (int i = 0; i < THREADS; i++) {
            thread[i] = start_thread(use_until_closed, rt);
        }
        for (uint64_t i = test_random(&random) % 8; i > 0; i--) {
            sched_yield();
        }
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(thread[i], NULL);
        }
        CHECK_EQUAL(tasks_live(rt), 0);
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    }
    assert_int_equal(atomic_load_seq_cst(&runs_begun), atomic_load_seq_cst(&runs_taken));
    assert_int_equal(atomic_load_seq_cst(&posts_called), atomic_load_seq_cst(&posts_taken));
}

static shared_int timer_calls;

static void restart(void *timer)
{
    atomic_add_seq_cst(&timer_calls, 1);
    weft_timer *t = *(weft_timer **)timer;
    int err = weft_timer_start(t, 0);
    CHECK(err == 0 || err == -ESHUTDOWN);
}

/* A timer that is always due: the close finds an instant without its callback, and nothing of it is
 * left in a queue. */
static void a_timer_that_is_always_due_does_not_hold_up_the_close(void **state)
{
    (void)state;
    for (size_t round = 0; test_goes_on(round, test_scaled(100, 20)); round++) {
        atomic_store_seq_cst(&timer_calls, 0);
        weft_runtime *rt = create_runtime(NULL);
        weft_timer *t;
        CHECK_EQUAL(weft_timer_create(&t, rt, restart, &t), 0);
        CHECK_EQUAL(weft_timer_start(t, 0), 0);
        spin_until(&timer_calls, 3);
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        weft_timer_destroy(t);
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_ends_and_the_rest_is_refused),
        cmocka_unit_test(a_timer_that_is_always_due_does_not_hold_up_the_close),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
