/* SPDX-License-Identifier: MIT */
/*
 * A timer that is started anew, by tasks on all workers, while its callback runs: another worker
 * ran the callback beside itself, and who waited for the one that was running was told too early.
 */
#include "task_help.h"

#include <weft/timer.h>

#define STARTERS 3
#define CALL_NS (200 * WEFT_US)

static weft_timer *timer;
static shared_int calls;
static shared_int running;
static shared_int most_running;

static void called(void *arg)
{
    (void)arg;
    int n = atomic_add_seq_cst(&running, 1) + 1;
    int most = atomic_load_seq_cst(&most_running);
    while (n > most && !atomic_cas_seq_cst(&most_running, &most, n)) {
    }
    for (int64_t until = weft_now() + CALL_NS; weft_now() < until;) {
        sched_yield();
    }
    atomic_add_seq_cst(&calls, 1);
    atomic_sub_seq_cst(&running, 1);
}

static void *start_often(void *arg)
{
    for (size_t i = 0; i < test_scaled(500, 100); i++) {
        CHECK_EQUAL(weft_timer_start(timer, 0), 0);
        CHECK_EQUAL(weft_sleep(CALL_NS / 4), 0);
    }
    return arg;
}

static void *start_from_everywhere(void *arg)
{
    weft_task *starter[STARTERS];
    CHECK_EQUAL(weft_timer_create(&timer, weft_runtime_current(), called, NULL), 0);
    for (int i = 0; i < STARTERS; i++) {
        starter[i] = weft_spawn(start_often, NULL);
    }
    for (int i = 0; i < STARTERS; i++) {
        CHECK_EQUAL(weft_join(starter[i], NULL), 0);
    }
    /* What was asked for while the callback ran comes when it has returned. */
    int before = atomic_load_seq_cst(&calls);
    CHECK_EQUAL(weft_timer_start(timer, 0), 0);
    yield_until(&calls, before + 1);
    for (size_t i = 0; i < test_scaled(200, 50); i++) {
        CHECK_EQUAL(weft_timer_start(timer, 0), 0);
        CHECK_EQUAL(weft_sleep(i % 2 == 0 ? CALL_NS / 4 : 2 * CALL_NS), 0);
        (void)weft_timer_stop_and_wait(timer);
        CHECK_EQUAL(atomic_load_seq_cst(&running), 0);
    }
    weft_timer_destroy(timer);
    return arg;
}

static void it_runs_once_at_a_time(void **state)
{
    (void)state;
    run_case(start_from_everywhere, NULL);
    assert_int_equal(atomic_load_seq_cst(&most_running), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_runs_once_at_a_time),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
