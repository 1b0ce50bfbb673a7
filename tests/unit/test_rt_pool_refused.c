/* SPDX-License-Identifier: MIT */
/*
 * Goal: where no thread can be started a job waits for one that is there; where there is none it
 * fails with the cause, has not run, and the next one is tried anew.
 *
 * Method: in a child a task refuses its worker's thread clone3(2) by a filter.
 */
#include "blocking_help.h"

#include <sys/syscall.h>

#include "../io/child_help.h"

static void *try_without_threads(void *arg)
{
    shared_int *ran = arg;
    if (!refuse_syscall(__NR_clone3, EAGAIN)) {
        return (void *)CHILD_SKIPPED;
    }
    for (int i = 0; i < 3; i++) {
        CHILD_CHECK(weft_run_blocking(job_counts, ran, NULL) == -EAGAIN);
        CHILD_CHECK(weft_join(weft_submit_blocking(NULL, job_counts, ran), NULL) == -EAGAIN);
    }
    CHILD_CHECK(atomic_load_seq_cst(ran) == 0);
    CHILD_CHECK(metrics_of(weft_runtime_current()).blocking_queued == 0);
    return NULL;
}

static void *try_with_one_thread(void *arg)
{
    struct gate gate = GATE_CLOSED;
    shared_int *ran = arg;
    weft_future *first = weft_submit_blocking(NULL, job_at_gate, &gate);
    gate_await(&gate, 1);
    if (!refuse_syscall(__NR_clone3, EAGAIN)) {
        gate_open(&gate);
        CHILD_CHECK(weft_join(first, NULL) == 0);
        return (void *)CHILD_SKIPPED;
    }
    weft_future *second = weft_submit_blocking(NULL, job_counts, ran);
    weft_future *third = weft_submit_blocking(NULL, job_counts, ran);
    CHILD_CHECK(weft_yield() == 0);
    CHILD_CHECK(!weft_done(second) && !weft_done(third));
    gate_open(&gate);
    CHILD_CHECK(weft_join(first, NULL) == 0);
    CHILD_CHECK(weft_join(second, NULL) == 0);
    CHILD_CHECK(weft_join(third, NULL) == 0);
    CHILD_CHECK(atomic_load_seq_cst(ran) == 2);
    return NULL;
}

/* One worker: the thread that is refused is the one that submits. */
static int run_child(const void *fn)
{
    struct weft_options options = {.workers = 1};
    shared_int ran = 0;
    void *result = NULL;
    weft_fn main_task = *(const weft_fn *)fn;
    CHILD_CHECK(weft_run_with(&options, main_task, &ran, &result) == 0);
    return (int)(intptr_t)result;
}

static void assert_child(weft_fn fn)
{
    int status = in_child(run_child, &fn);
    if (status == CHILD_SKIPPED) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void without_a_thread_a_job_fails(void **state)
{
    (void)state;
    assert_child(try_without_threads);
}

static void a_job_waits_for_the_thread_there_is(void **state)
{
    (void)state;
    assert_child(try_with_one_thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_thread_a_job_fails),
        cmocka_unit_test(a_job_waits_for_the_thread_there_is),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
