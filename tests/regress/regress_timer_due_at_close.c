/* SPDX-License-Identifier: MIT */
/*
 * Timers that fall due while their runtime is closed. One that expired after the closer's last look
 * was queued on a worker that was about to end: its callback was left in the queue, its memory with
 * it (which a leak checker shows), or the task that the callback spawned was.
 */
#include "task_help.h"

#include <weft/timer.h>

#define TIMERS 100
#define DUE_WITHIN_US 1000

static shared_int tasks_taken;
static shared_int tasks_ran;

static void *count_run(void *arg)
{
    atomic_add_seq_cst(&tasks_ran, 1);
    return arg;
}

static void spawn_one(void *arg)
{
    if (weft_go(count_run, arg) == 0) {
        atomic_add_seq_cst(&tasks_taken, 1);
    }
}

static void what_an_expired_timer_has_spawned_runs(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (size_t round = 0; test_goes_on(round, test_scaled(500, 50)); round++) {
        weft_timer *timer[TIMERS];
        weft_runtime *rt = create_runtime(NULL);
        for (int i = 0; i < TIMERS; i++) {
            int64_t after = (int64_t)(test_random(&random) % DUE_WITHIN_US) * WEFT_US;
            CHECK_EQUAL(weft_timer_create(&timer[i], rt, spawn_one, NULL), 0);
            CHECK_EQUAL(weft_timer_start(timer[i], after), 0);
        }
        for (uint64_t i = test_random(&random) % 64; i > 0; i--) {
            sched_yield();
        }
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        assert_int_equal(atomic_load_seq_cst(&tasks_ran), atomic_load_seq_cst(&tasks_taken));
        for (int i = 0; i < TIMERS; i++) {
            weft_timer_destroy(timer[i]);
        }
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_expired_timer_has_spawned_runs),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
