/* SPDX-License-Identifier: MIT */
/*
 * A close of the runtime inside a job of it (blocking.h) waited for that job, and so for itself,
 * without end.
 */
#include "../task_help.h"

#include <weft/blocking.h>

static void *job_closes(void *rt)
{
    CHECK_EQUAL(weft_runtime_close(rt), -EBUSY); /* which would wait for this job */
    CHECK_EQUAL(weft_runtime_destroy(rt), -EBUSY);
    return NULL;
}

static void *closes_in_jobs(void *arg)
{
    weft_pool *pool;
    CHECK_EQUAL(weft_run_blocking(job_closes, arg, NULL), 0);
    CHECK_EQUAL(weft_pool_create(NULL, &pool), 0);
    weft_future *f = weft_submit_blocking(pool, job_closes, arg);
    CHECK_EQUAL(weft_join(f, NULL), 0);
    CHECK_EQUAL(weft_pool_close(pool), 0);
    return NULL;
}

static void *job_closes_another(void *arg)
{
    (void)arg;
    weft_runtime *rt = create_runtime(NULL);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    return NULL;
}

static void *closes_another(void *arg)
{
    CHECK_EQUAL(weft_run_blocking(job_closes_another, arg, NULL), 0);
    return NULL;
}

static void a_job_does_not_close_the_runtime_that_waits_for_it(void **state)
{
    (void)state;
    for (int is_simulated = 0; is_simulated < 2; is_simulated++) {
        struct weft_options options = {.simulation = is_simulated != 0};
        weft_runtime *rt = create_runtime(&options);
        assert_int_equal(weft_runtime_run(rt, closes_in_jobs, rt, NULL), 0);
        assert_int_equal(weft_runtime_run(rt, closes_another, NULL, NULL), 0);
        assert_int_equal(weft_runtime_close(rt), 0);
        assert_int_equal(weft_runtime_destroy(rt), 0);
    }
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_does_not_close_the_runtime_that_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
