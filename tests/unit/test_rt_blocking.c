/* SPDX-License-Identifier: MIT */
/*
 * Goal: a job runs once, on a thread that is none of the workers; who waits for it gets its value
 * or error; a cancel takes it out of the line, and waits for it when it runs.
 */
#include "blocking_help.h"

#include "cpu_count.h"

/* ---- values and errors ---- */

static void *look_around(void *arg)
{
    pthread_t *caller = arg;
    CHECK(!pthread_equal(*caller, pthread_self()));
    CHECK(weft_runtime_current() == NULL);
    CHECK(weft_self() == NULL);
    CHECK_EQUAL(weft_sleep(0), -EPERM);
    CHECK_EQUAL(weft_yield(), -EPERM);
    CHECK_EQUAL(weft_run_blocking(job_adds, NULL, NULL), -EPERM);
    CHECK(weft_submit_blocking(NULL, job_adds, NULL) == NULL);
    CHECK(weft_spawn(job_adds, NULL) == NULL);
    weft_future *f = weft_future_create();
    CHECK_EQUAL(weft_await(f, NULL), -EPERM);
    CHECK_EQUAL(weft_future_wait_blocking(f, 0, NULL), -ETIMEDOUT);
    weft_put(f);
    return arg;
}

static void *job_fails(void *arg)
{
    return weft_fail((int)(intptr_t)arg);
}

static void *values_body(void *arg)
{
    (void)arg;
    pthread_t self = pthread_self();
    void *result = NULL;
    CHECK_EQUAL(weft_run_blocking(look_around, &self, &result), 0);
    CHECK(result == &self);
    result = NULL;
    CHECK_EQUAL(weft_run_blocking(job_fails, (void *)(intptr_t)-EIO, &result), -EIO);
    CHECK(result == NULL);
    CHECK_EQUAL(weft_run_blocking(job_fails, (void *)(intptr_t)-ECANCELED, NULL), -ECANCELED);

    weft_future *f = weft_submit_blocking(NULL, job_adds, (void *)41);
    CHECK_EQUAL(weft_await(f, &result), 0);
    CHECK_EQUAL((intptr_t)result, 42);
    CHECK_EQUAL(weft_await(f, &result), 0);
    CHECK_EQUAL(weft_future_set_result(f, NULL), -EINVAL);
    CHECK(!weft_cancel(f));
    weft_put(f);
    f = weft_submit_blocking(NULL, job_fails, (void *)(intptr_t)-ENOENT);
    CHECK_EQUAL(weft_join(f, &result), -ENOENT);
    return NULL;
}

static void item_308_value_or_error_comes_back(void **state)
{
    (void)state;
    run_case(values_body, NULL);
}

static void outside_a_task_it_is_refused(void **state)
{
    (void)state;
    assert_int_equal(weft_run_blocking(job_adds, NULL, NULL), -EPERM);
    assert_null(weft_submit_blocking(NULL, job_adds, NULL));
}

/* ---- locals ---- */

static weft_local_t local;

static void *job_reads_local(void *arg)
{
    void *before = weft_local_get(local);
    CHECK_EQUAL(weft_local_set(local, arg), 0);
    CHECK(weft_local_get(local) == arg);
    return before;
}

static void *locals_body(void *arg)
{
    (void)arg;
    int mine = 1, other = 2;
    void *result;
    CHECK_EQUAL(weft_local_set(local, &mine), 0);
    CHECK_EQUAL(weft_run_blocking(job_reads_local, &other, &result), 0);
    CHECK(result == &mine);
    CHECK(weft_local_get(local) == &mine);
    CHECK_EQUAL(weft_join(weft_submit_blocking(NULL, job_reads_local, &other), &result), 0);
    CHECK(result == NULL);
    CHECK_EQUAL(weft_run_blocking(job_reads_local, &other, &result), 0);
    CHECK(result == &mine);
    return NULL;
}

static void item_309_a_call_has_the_locals_of_its_caller(void **state)
{
    (void)state;
    assert_int_equal(weft_local_create(&local), 0);
    run_case(locals_body, NULL);
    weft_local_destroy(local);
}

/* ---- cancelling ---- */

static void *cancelled_running_body(void *arg)
{
    (void)arg;
    struct gate gate = GATE_CLOSED;
    weft_task *t = weft_spawn(task_at_gate, &gate);
    gate_await(&gate, 1);
    weft_cancel(t);
    settle();
    CHECK(!weft_done(t));
    gate_open(&gate);
    void *result;
    CHECK_EQUAL(weft_join(t, &result), 0); /* what was won is kept */
    CHECK(result == &gate);
    return NULL;
}

static void item_310_a_cancel_does_not_stop_a_call_that_runs(void **state)
{
    (void)state;
    run_case(cancelled_running_body, NULL);
}

static void *timed_out_body(void *arg)
{
    (void)arg;
    struct gate gate = GATE_CLOSED;
    shared_int ran = 0;
    weft_future *busy = weft_submit_blocking(NULL, job_at_gate, &gate);
    gate_await(&gate, 1);
    int err = 0;
    WEFT_TIMEOUT(WEFT_MS) {
        err = weft_run_blocking(job_counts, &ran, NULL);
    }
    CHECK_EQUAL(err, -ETIMEDOUT);
    WEFT_TIMEOUT(0) {
        err = weft_run_blocking(job_counts, &ran, NULL);
    }
    CHECK_EQUAL(err, -ETIMEDOUT);
    gate_open(&gate);
    CHECK_EQUAL(weft_join(busy, NULL), 0);
    CHECK_EQUAL(weft_run_blocking(job_counts, &ran, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&ran), 1);
    return NULL;
}

static void a_job_that_waits_in_line_is_taken_back_in_time(void **state)
{
    (void)state;
    struct weft_options options = one_thread();
    run_case_with(&options, timed_out_body, NULL);
}

struct counted_call {
    shared_int ran;
};

static void *task_counts(void *arg)
{
    struct counted_call *c = arg;
    int err = weft_run_blocking(job_counts, &c->ran, NULL);
    return err < 0 ? weft_fail(err) : NULL;
}

static void *cancelled_queued_body(void *arg)
{
    (void)arg;
    struct gate gate = GATE_CLOSED;
    struct counted_call call = {0};
    weft_future *busy = weft_submit_blocking(NULL, job_at_gate, &gate);
    gate_await(&gate, 1);
    weft_future *f[3];
    for (int i = 0; i < 3; i++) {
        f[i] = weft_submit_blocking(NULL, job_counts, &call.ran);
    }
    weft_task *t = weft_spawn(task_counts, &call);
    queued_await(4);
    CHECK(weft_cancel(f[1]));
    CHECK(weft_done(f[1]));
    CHECK(!weft_cancel(f[1]));
    CHECK_EQUAL(weft_join(f[1], NULL), -ECANCELED);
    CHECK_EQUAL(weft_cancel_and_join(t, NULL), -ECANCELED);
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_queued, 2);
    CHECK(weft_cancel(busy)); /* it runs: nothing comes of it */
    settle();
    CHECK(!weft_done(busy));
    CHECK_EQUAL(weft_result(busy, NULL), -EINPROGRESS);
    gate_open(&gate);
    CHECK_EQUAL(weft_join(busy, NULL), 0);
    CHECK_EQUAL(weft_join(f[0], NULL), 0);
    CHECK_EQUAL(weft_join(f[2], NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&call.ran), 2);
    return NULL;
}

static void item_314_what_waits_can_be_cancelled_and_what_runs_cannot(void **state)
{
    (void)state;
    struct weft_options options = one_thread();
    run_case_with(&options, cancelled_queued_body, NULL);
}

static void *awaits(void *arg)
{
    void *result;
    int err = weft_await(arg, &result);
    return err < 0 ? weft_fail(err) : result;
}

static void *awaited_body(void *arg)
{
    (void)arg;
    struct gate gate = GATE_CLOSED;
    shared_int ran = 0;
    weft_future *busy = weft_submit_blocking(NULL, job_at_gate, &gate);
    weft_task *t = weft_spawn(awaits, busy);
    gate_await(&gate, 1);
    settle();
    weft_cancel(t); /* is passed on; the await goes on, as the job does */
    settle();
    CHECK(!weft_done(t));
    weft_future *queued = weft_submit_blocking(NULL, job_counts, &ran);
    weft_task *u = weft_spawn(awaits, queued);
    settle();
    CHECK_EQUAL(weft_cancel_and_join(u, NULL), -ECANCELED);
    CHECK(weft_cancelled(queued));
    gate_open(&gate);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_join(busy, NULL), 0);
    weft_put(queued);
    CHECK_EQUAL(atomic_load_seq_cst(&ran), 0);
    return NULL;
}

static void a_cancel_of_who_awaits_is_passed_on(void **state)
{
    (void)state;
    struct weft_options options = one_thread();
    run_case_with(&options, awaited_body, NULL);
}

/* ---- threads ---- */

static void *job_self(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return NULL;
}

static void *reuse_body(void *arg)
{
    (void)arg;
    enum { JOBS = 100 };
    struct gate gate = GATE_CLOSED;
    weft_future *f[3];
    for (int i = 0; i < 3; i++) {
        f[i] = weft_submit_blocking(NULL, job_at_gate, &gate);
    }
    gate_await(&gate, 3); /* each has a thread, though none has ended */
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_threads, 3);
    gate_open(&gate);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(f[i], NULL), 0);
    }
    pthread_t first;
    idle_await(3);
    CHECK_EQUAL(weft_run_blocking(job_self, &first, NULL), 0);
    for (int i = 1; i < JOBS; i++) {
        pthread_t thread;
        idle_await(3);
        CHECK_EQUAL(weft_run_blocking(job_self, &thread, NULL), 0);
        CHECK(pthread_equal(first, thread)); /* it has slept for the shortest time */
    }
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_threads, 3);
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_jobs, 3 + JOBS);
    return NULL;
}

static void item_311_idle_threads_are_used_again(void **state)
{
    (void)state;
    run_case(reuse_body, NULL);
}

static void *saturation_body(void *arg)
{
    (void)arg;
    enum { JOBS_MAX = 40 };
    unsigned threads = weft__cpu_count() + 4 < 32 ? weft__cpu_count() + 4 : 32;
    struct gate gate = GATE_CLOSED;
    weft_future *f[JOBS_MAX];
    for (int i = 0; i < JOBS_MAX; i++) {
        f[i] = weft_submit_blocking(NULL, job_at_gate, &gate);
    }
    gate_await(&gate, (int)threads);
    settle();
    CHECK_EQUAL(gate_come(&gate), threads);
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_threads, threads);
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_queued, JOBS_MAX - threads);
    gate_open(&gate);
    for (int i = 0; i < JOBS_MAX; i++) {
        CHECK_EQUAL(weft_join(f[i], NULL), 0);
    }
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_threads, threads);
    return NULL;
}

static void item_311_so_many_threads_are_made_on_demand(void **state)
{
    (void)state;
    run_case(saturation_body, NULL);
}

static void *retire_body(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_run_blocking(job_adds, NULL, NULL), 0);
        CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_threads, 1);
        while (metrics_of(weft_runtime_current()).blocking_threads != 0) {
            settle();
        }
    }
    return NULL;
}

static void a_thread_that_nobody_needs_ends(void **state)
{
    (void)state;
    struct weft_options options = {.blocking_idle_ns = 200 * WEFT_MS};
    run_case_with(&options, retire_body, NULL);
}

static void *many_body(void *arg)
{
    (void)arg;
    size_t count = test_scaled(1000000, 20000);
    struct gate gate = GATE_CLOSED;
    shared_int ran = 0;
    weft_future *busy = weft_submit_blocking(NULL, job_at_gate, &gate);
    gate_await(&gate, 1);
    weft_future **f = calloc(count, sizeof *f);
    CHECK(f != NULL);
    for (size_t i = 0; i < count; i++) {
        f[i] = weft_submit_blocking(NULL, job_counts, &ran);
        CHECK(f[i] != NULL);
    }
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_queued, count);
    for (size_t i = 0; i < count; i += 2) {
        CHECK(weft_cancel(f[i]));
    }
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_queued, count / 2);
    gate_open(&gate);
    CHECK_EQUAL(weft_join(busy, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQUAL(weft_join(f[i], NULL), i % 2 == 0 ? -ECANCELED : 0);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&ran), count / 2);
    free(f);
    return NULL;
}

static void a_million_jobs_wait_in_line(void **state)
{
    (void)state;
    struct weft_options options = one_thread();
    run_case_with(&options, many_body, NULL);
}

/* ---- jobs that use the runtime ---- */

static void *double_it(void *arg)
{
    CHECK_EQUAL(weft_yield(), 0);
    return (void *)(2 * (intptr_t)arg);
}

static void *task_fails(void *arg)
{
    return weft_fail((int)(intptr_t)arg);
}

static void *task_sleeps(void *arg)
{
    int err = weft_sleep(WEFT_FOREVER);
    atomic_add_seq_cst((shared_int *)arg, 1);
    return weft_fail(err);
}

static void *job_submits_back(void *arg)
{
    weft_runtime *rt = arg;
    weft_task *t;
    void *result;
    CHECK_EQUAL(weft_runtime_spawn(rt, double_it, (void *)21, &t), 0);
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, &result), 0);
    CHECK_EQUAL((intptr_t)result, 42);
    weft_put(t);
    CHECK_EQUAL(weft_runtime_spawn(rt, task_fails, (void *)(intptr_t)-EIO, &t), 0);
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, &result), -EIO);
    weft_put(t);
    shared_int woken = 0;
    CHECK_EQUAL(weft_runtime_spawn(rt, task_sleeps, &woken, &t), 0);
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_MS, &result), -ETIMEDOUT);
    CHECK(!weft_done(t));
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, &result), -ECANCELED);
    CHECK_EQUAL(atomic_load_seq_cst(&woken), 1);
    weft_put(t);
    return arg;
}

static void *submit_back_body(void *arg)
{
    return weft_run_blocking(job_submits_back, arg, NULL) < 0 ? weft_fail(-EIO) : NULL;
}

static void item_320_a_task_of_another_thread_comes_back(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    assert_int_equal(weft_runtime_run(rt, submit_back_body, rt, NULL), 0);
    finish_runtime(rt);
}

static void *ten_body(void *arg)
{
    weft_future *f[10];
    for (int i = 0; i < 10; i++) {
        f[i] = weft_submit_blocking(NULL, job_submits_back, arg);
    }
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(weft_join(f[i], NULL), 0);
    }
    return NULL;
}

static void item_321_ten_threads_submit_back_and_wait(void **state)
{
    (void)state;
    struct weft_options options = {.blocking_threads_max = 10};
    weft_runtime *rt = create_runtime(&options);
    assert_int_equal(weft_runtime_run(rt, ten_body, rt, NULL), 0);
    finish_runtime(rt);
}

/* ---- a stretch inside a task ---- */

static void *counts_when_run(void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
    return NULL;
}

static void *counts_when_woken(void *arg)
{
    shared_int *count = arg;
    atomic_add_seq_cst(count, 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_MS), 0);
    atomic_add_seq_cst(count, 1);
    return NULL;
}

static void block_until(shared_int *value, int at_least)
{
    const struct timespec moment = {.tv_nsec = 100000};
    while (atomic_load_seq_cst(value) < at_least) {
        (void)nanosleep(&moment, NULL);
    }
}

static void *stretch_body(void *arg)
{
    (void)arg;
    shared_int slept = 0, ran = 0;
    bool has_others = weft_runtime_workers(weft_runtime_current()) > 1;
    weft_task *sleeper = weft_spawn(counts_when_woken, &slept);
    yield_until(&slept, 1);
    CHECK_EQUAL(weft_yield(), 0);
    weft_task *t = weft_spawn(counts_when_run, &ran);
    CHECK_EQUAL(weft_block_begin(), 0);
    if (has_others) {
        block_until(&ran, 1);
        block_until(&slept, 2);
    }
    weft_block_end();
    weft_block_end();
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_join(sleeper, NULL), 0);
    return NULL;
}

static void others_go_on_while_a_task_blocks(void **state)
{
    (void)state;
    assert_int_equal(weft_block_begin(), -EPERM);
    weft_block_end();
    for (size_t i = 0; test_goes_on(i, 100); i++) {
        run_case(stretch_body, NULL);
    }
}

/* ---- the end of the runtime ---- */

struct left {
    struct gate gate;
    shared_int ran;
    weft_future *running;
    weft_future *queued;
};

static void *leaves_jobs(void *arg)
{
    struct left *left = arg;
    left->running = weft_submit_blocking(NULL, job_at_gate, &left->gate);
    gate_await(&left->gate, 1);
    left->queued = weft_submit_blocking(NULL, job_counts, &left->ran);
    return NULL;
}

static void a_close_names_the_job_it_waits_for(void **state)
{
    (void)state;
    struct weft_options options = one_thread();
    options.close_grace_ns = 20 * WEFT_MS;
    struct left left = {.gate = GATE_CLOSED};
    weft_runtime *rt = create_runtime(&options);
    assert_int_equal(weft_runtime_run(rt, leaves_jobs, &left, NULL), 0);
    FILE *file;
    char text[1000];
    capture_begin(&file);
    int err = weft_runtime_close(rt);
    int lines = capture_end(&file, text, sizeof text);
    assert_int_equal(err, -ETIMEDOUT);
    assert_int_equal(lines, 2);
    assert_non_null(strstr(text, "job without a name has not ended"));
    assert_true(weft_cancelled(left.queued));
    assert_false(weft_done(left.running));
    gate_open(&left.gate);
    while ((err = weft_runtime_close(rt)) == -ETIMEDOUT) {
    }
    assert_int_equal(err, 0);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    assert_int_equal(weft_result(left.running, NULL), 0);
    weft_put(left.running);
    weft_put(left.queued);
    assert_int_equal(atomic_load_seq_cst(&left.ran), 0);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_308_value_or_error_comes_back),
        cmocka_unit_test(outside_a_task_it_is_refused),
        cmocka_unit_test(item_309_a_call_has_the_locals_of_its_caller),
        cmocka_unit_test(item_310_a_cancel_does_not_stop_a_call_that_runs),
        cmocka_unit_test(a_job_that_waits_in_line_is_taken_back_in_time),
        cmocka_unit_test(item_314_what_waits_can_be_cancelled_and_what_runs_cannot),
        cmocka_unit_test(a_cancel_of_who_awaits_is_passed_on),
        cmocka_unit_test(item_311_idle_threads_are_used_again),
        cmocka_unit_test(item_311_so_many_threads_are_made_on_demand),
        cmocka_unit_test(a_thread_that_nobody_needs_ends),
        cmocka_unit_test(a_million_jobs_wait_in_line),
        cmocka_unit_test(item_320_a_task_of_another_thread_comes_back),
        cmocka_unit_test(item_321_ten_threads_submit_back_and_wait),
        cmocka_unit_test(others_go_on_while_a_task_blocks),
        cmocka_unit_test(a_close_names_the_job_it_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
