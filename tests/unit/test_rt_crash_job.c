/* SPDX-License-Identifier: MIT */
/*
 * Goal: a broken rule and a stack overflow of a job on a thread of a pool end the process with a
 * report that tells the job and who waits for it; other faults where that was asked for.
 *
 * Method: as test_rt_crash.c.
 *
 * Workers: 2
 */
#include "crash_task_help.h"

static void (*job_crash)(void);
static _Atomic(weft_future *) job_future;
static _Atomic(bool) is_given_up;

static void *crash_in_job(void *arg)
{
    job_crash();
    return arg;
}

static void wait_for_job(void)
{
    (void)weft_run_blocking(crash_in_job, NULL, NULL);
}

static void *crash_once_awaited(void *arg)
{
    weft_future *f;
    while ((f = atomic_load_seq_cst(&job_future)) == NULL || weft_awaiters(f, NULL, 0) == 0) {
        sched_yield();
    }
    job_crash();
    return arg;
}

static void await_future_of_job(void)
{
    struct weft_blocking_options o = {.name = "indexer"};
    weft_future *f = weft_submit_blocking_with(&o, crash_once_awaited, NULL);
    atomic_store_seq_cst(&job_future, f);
    (void)weft_await(f, NULL);
}

static void *crash_once_given_up(void *arg)
{
    atomic_store_seq_cst(&is_given_up, false);
    while (!atomic_load_seq_cst(&is_given_up)) {
        sched_yield();
    }
    job_crash();
    return arg;
}

static void give_up_job(void)
{
    struct weft_blocking_options o = {.name = "indexer", .abandon = true};
    atomic_store_seq_cst(&is_given_up, true);
    weft_future *f = weft_submit_blocking_with(&o, crash_once_given_up, NULL);
    while (atomic_load_seq_cst(&is_given_up)) { /* until it runs */
        (void)weft_yield();
    }
    (void)weft_cancel(f);
    (void)weft_await(f, NULL);
    atomic_store_seq_cst(&is_given_up, true);
    (void)weft_sleep(WEFT_FOREVER);
}

static void a_fault_in_a_job_tells_who_waits_for_it(void **state)
{
    (void)state;
    options = (struct weft_options){.crash_report = true};
    job_crash = by_segv;
    crash_in_child(wait_for_job);
    expect_killed(&out, SIGSEGV);
    expect_report(&out);
    expect_text(&out, "weft: SIGSEGV at address 0x");
    expect_text(&out, "\ntask: none, in a job on a thread of the pool 'weft-blocking'\n"
                      "job: without a name, function 0x");
    expect_text(&out, ", of the task 'culprit' (id ");
    expect_text(&out, ", no worker\n");
    job_crash = by_abort;
    crash_in_child(await_future_of_job);
    expect_killed(&out, SIGABRT);
    expect_report(&out);
    expect_text(&out, "weft: SIGABRT\n");
    expect_text(&out, "\njob: 'indexer', function 0x");
    expect_text(&out, ", awaited by 'culprit' (id ");
    crash_in_child(give_up_job);
    expect_killed(&out, SIGABRT);
    expect_report(&out);
    expect_text(&out, ", given up\n");
    options = (struct weft_options){0};
}

static void *overflow_in_job(void *arg)
{
    by_recursion();
    return arg;
}

static void wait_for_job_of_own_pool(void)
{
    weft_pool *pool = NULL;
    (void)!weft_pool_create(&(struct weft_pool_options){.name = "indexers"}, &pool);
    weft_future *f = weft_submit_blocking(pool, overflow_in_job, NULL);
    (void)weft_await(f, NULL);
}

static void an_overflow_of_a_job_is_reported(void **state)
{
    (void)state;
    job_crash = by_recursion;
    crash_in_child(wait_for_job);
    expect_killed(&out, SIGSEGV);
    expect_report(&out);
    expect_text(&out, "weft: stack overflow in a job on a thread of a pool (fault at 0x");
    expect_text(&out, "\ntask: none, in a job on a thread of the pool 'weft-blocking'\n"
                      "job: without a name, function 0x");
    expect_text(&out, ", of the task 'culprit' (id ");
    expect_text(&out, " times\n");
    crash_in_child(await_future_of_job);
    expect_killed(&out, SIGSEGV);
    expect_report(&out);
    expect_text(&out, "weft: stack overflow in a job ");
    expect_text(&out, "\njob: 'indexer', function 0x");
    crash_in_child(wait_for_job_of_own_pool);
    expect_killed(&out, SIGSEGV);
    expect_report(&out);
    expect_text(&out, "weft: stack overflow in a job ");
    expect_text(&out, "on a thread of the pool 'indexers'\n");
}

static void a_job_overflows_silently_if_asked_for(void **state)
{
    (void)state;
    job_crash = by_recursion;
    options = (struct weft_options){.overflow_report = -1};
    crash_in_child(wait_for_job);
    options = (struct weft_options){0};
    expect_killed(&out, SIGSEGV);
    expect_no_text(&out, "weft");
}

static void of_a_job_rules_are_told_and_faults_if_asked_for(void **state)
{
    (void)state;
    job_crash = by_segv;
    crash_in_child(wait_for_job);
    expect_killed(&out, SIGSEGV);
    assert_string_equal(out.text, "");
    job_crash = by_broken_rule;
    crash_in_child(wait_for_job);
    expect_killed(&out, SIGABRT);
    expect_report(&out);
    expect_text(&out, "weft: broken rule: ");
    expect_text(&out, ", of the task 'culprit' (id ");
}

int main(void)
{
    setenv("WEFT_WORKERS", "2", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_in_a_job_tells_who_waits_for_it),
        cmocka_unit_test(an_overflow_of_a_job_is_reported),
        cmocka_unit_test(a_job_overflows_silently_if_asked_for),
        cmocka_unit_test(of_a_job_rules_are_told_and_faults_if_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
