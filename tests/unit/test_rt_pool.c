/* SPDX-License-Identifier: MIT */
/*
 * Goal: pools of the program's own begin and end as their options say; a job that was submitted so
 * is let go, or interrupted, and what comes of it later touches nothing that is gone.
 */
#include "blocking_help.h"

static weft_pool *create_pool(const struct weft_pool_options *options)
{
    weft_pool *pool = NULL;
    CHECK_EQUAL(weft_pool_create(options, &pool), 0);
    return pool;
}

/* ---- own pools ---- */

static void a_pool_works_without_a_runtime(void **state)
{
    (void)state;
    weft_pool *pool = create_pool(NULL);
    void *result;
    weft_future *f = weft_submit_blocking(pool, job_adds, (void *)1);
    assert_int_equal(weft_future_wait_blocking(f, WEFT_FOREVER, &result), 0);
    assert_int_equal((intptr_t)result, 2);
    weft_put(f);
    assert_int_equal(weft_pool_close(pool), 0);
    assert_int_equal(weft_pool_close(NULL), 0);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    weft_pool *pool = NULL;
    struct weft_pool_options o[] = {
        {.threads_max = WEFT_BLOCKING_THREADS_MAX + 1}, {.idle_ns = -1}, {.close_grace_ns = -1},
        {.reserved = {1}},
    };
    for (size_t i = 0; i < sizeof o / sizeof o[0]; i++) {
        assert_int_equal(weft_pool_create(&o[i], &pool), -EINVAL);
        assert_null(pool);
    }
    assert_int_equal(weft_pool_create(NULL, NULL), -EINVAL);
    pool = create_pool(NULL);
    struct weft_blocking_options bad = {.pool = pool, .reserved = {0, 1}};
    assert_null(weft_submit_blocking_with(&bad, job_adds, NULL));
    assert_int_equal(weft_pool_close(pool), 0);
    struct weft_options options = {.blocking_threads_max = WEFT_BLOCKING_THREADS_MAX + 1};
    assert_int_equal(weft_run_with(&options, job_adds, NULL, NULL), -EINVAL);
}

struct shared_pool {
    weft_pool *pool;
    struct gate gate;
    shared_int ran;
};

static void *shutdown_body(void *arg)
{
    struct shared_pool *s = arg;
    weft_future *busy = weft_submit_blocking(s->pool, job_at_gate, &s->gate);
    gate_await(&s->gate, 1);
    weft_future *f[3];
    for (int i = 0; i < 3; i++) {
        f[i] = weft_submit_blocking(s->pool, job_counts, &s->ran);
    }
    gate_open(&s->gate);
    CHECK_EQUAL(weft_pool_close(s->pool), 0); /* runs those in line */
    CHECK_EQUAL(atomic_load_seq_cst(&s->ran), 3);
    CHECK_EQUAL(weft_join(busy, NULL), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(f[i], NULL), 0);
    }
    return NULL;
}

static void *cancel_all_body(void *arg)
{
    struct shared_pool *s = arg;
    weft_future *busy = weft_submit_blocking(s->pool, job_at_gate, &s->gate);
    gate_await(&s->gate, 1);
    weft_future *f[3];
    for (int i = 0; i < 3; i++) {
        f[i] = weft_submit_blocking(s->pool, job_counts, &s->ran);
    }
    CHECK_EQUAL(weft_pool_cancel(s->pool), 3);
    CHECK_EQUAL(weft_join(weft_submit_blocking(s->pool, job_counts, &s->ran), NULL), -ESHUTDOWN);
    CHECK_EQUAL(weft_pool_cancel(s->pool), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(f[i], NULL), -ECANCELED);
    }
    CHECK(!weft_done(busy));
    gate_open(&s->gate);
    CHECK_EQUAL(weft_pool_close(s->pool), 0);
    CHECK_EQUAL(weft_join(busy, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&s->ran), 0);
    return NULL;
}

static void item_313_a_close_runs_what_waits_or_cancels_it(void **state)
{
    (void)state;
    const struct weft_pool_options options = {.threads_max = 1};
    struct shared_pool s = {.pool = create_pool(&options), .gate = GATE_CLOSED};
    run_case(shutdown_body, &s);
    struct shared_pool t = {.pool = create_pool(&options), .gate = GATE_CLOSED};
    run_case(cancel_all_body, &t);
}

static void *job_closes_its_pool(void *arg)
{
    CHECK_EQUAL(weft_pool_close(arg), -EDEADLK);
    return NULL;
}

static void a_close_that_runs_out_of_time_names_its_jobs(void **state)
{
    (void)state;
    const struct weft_pool_options options = {.name = "slow", .close_grace_ns = 10 * WEFT_MS};
    weft_pool *pool = create_pool(&options);
    struct gate gate = GATE_CLOSED;
    const struct weft_blocking_options o = {.pool = pool, .name = "the gate"};
    weft_future *closes = weft_submit_blocking(pool, job_closes_its_pool, pool);
    assert_int_equal(weft_future_wait_blocking(closes, WEFT_FOREVER, NULL), 0);
    weft_put(closes);
    weft_future *f = weft_submit_blocking_with(&o, job_at_gate, &gate);
    gate_spin(&gate, 1);
    FILE *file;
    char text[1000];
    capture_begin(&file);
    int err = weft_pool_close(pool);
    (void)capture_end(&file, text, sizeof text);
    assert_int_equal(err, -ETIMEDOUT);
    assert_non_null(strstr(text, "pool slow: job the gate has not ended"));
    assert_false(weft_done(f));
    gate_open(&gate);
    while ((err = weft_pool_close(pool)) == -ETIMEDOUT) {
    }
    assert_int_equal(err, 0);
    assert_int_equal(weft_result(f, NULL), 0);
    weft_put(f);
}

static void a_full_line_is_refused(void **state)
{
    (void)state;
    const struct weft_pool_options options = {.threads_max = 1, .queue_max = 2};
    weft_pool *pool = create_pool(&options);
    struct gate gate = GATE_CLOSED;
    shared_int ran = 0;
    weft_future *f[4];
    f[0] = weft_submit_blocking(pool, job_at_gate, &gate);
    gate_spin(&gate, 1);
    for (int i = 1; i < 4; i++) {
        f[i] = weft_submit_blocking(pool, job_counts, &ran);
    }
    assert_int_equal(weft_result(f[3], NULL), -EAGAIN);
    gate_open(&gate);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(weft_future_wait_blocking(f[i], WEFT_FOREVER, NULL), i == 3 ? -EAGAIN : 0);
        weft_put(f[i]);
    }
    assert_int_equal(weft_pool_close(pool), 0);
    assert_int_equal(atomic_load_seq_cst(&ran), 2);
}

/* ---- the beginning and the end of threads ---- */

struct hooks {
    struct gate gate;
    shared_int begun;
    shared_int ended;
    int err;
};

static int thread_begin(void *arg)
{
    struct hooks *h = arg;
    if (h->err < 0) {
        (void)job_at_gate(&h->gate);
    }
    atomic_add_seq_cst(&h->begun, 1);
    return h->err;
}

static void thread_end(void *arg)
{
    atomic_add_seq_cst(&((struct hooks *)arg)->ended, 1);
}

static struct weft_pool_options hook_options(struct hooks *h)
{
    return (struct weft_pool_options){.threads_max = 2, .thread_begin = thread_begin,
                                      .thread_end = thread_end, .thread_arg = h};
}

static void threads_begin_and_end_as_told(void **state)
{
    (void)state;
    struct hooks hooks = {.gate = GATE_CLOSED};
    const struct weft_pool_options options = hook_options(&hooks);
    weft_pool *pool = create_pool(&options);
    weft_future *f[2];
    for (int i = 0; i < 2; i++) {
        f[i] = weft_submit_blocking(pool, job_at_gate, &hooks.gate);
    }
    gate_spin(&hooks.gate, 2);
    assert_int_equal(atomic_load_seq_cst(&hooks.begun), 2);
    gate_open(&hooks.gate);
    assert_int_equal(weft_pool_close(pool), 0);
    assert_int_equal(atomic_load_seq_cst(&hooks.ended), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_result(f[i], NULL), 0);
        weft_put(f[i]);
    }
}

static void item_316_a_thread_that_cannot_begin_breaks_the_pool(void **state)
{
    (void)state;
    struct hooks hooks = {.gate = GATE_CLOSED, .err = -EIO};
    const struct weft_pool_options options = hook_options(&hooks);
    weft_pool *pool = create_pool(&options);
    shared_int ran = 0;
    weft_future *f[5];
    for (int i = 0; i < 4; i++) {
        f[i] = weft_submit_blocking(pool, job_counts, &ran);
    }
    gate_spin(&hooks.gate, 1);
    gate_open(&hooks.gate);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(weft_future_wait_blocking(f[i], WEFT_FOREVER, NULL), -EIO);
    }
    f[4] = weft_submit_blocking(pool, job_counts, &ran);
    assert_int_equal(weft_result(f[4], NULL), -EIO);
    for (int i = 0; i < 5; i++) {
        weft_put(f[i]);
    }
    assert_int_equal(weft_pool_close(pool), 0);
    assert_int_equal(atomic_load_seq_cst(&ran), 0);
    assert_int_equal(atomic_load_seq_cst(&hooks.ended), 0);
}

/* ---- callbacks ---- */

static void callback_fails(weft_future *f, void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
    weft_report_error(NULL, f, -EIO);
}

static void callback_counts(weft_future *f, void *arg)
{
    CHECK(weft_done(f));
    atomic_add_seq_cst((shared_int *)arg, 1);
}

static void *callbacks_body(void *arg)
{
    shared_int *called = arg;
    struct gate gate = GATE_CLOSED;
    weft_future *f = weft_submit_blocking(NULL, job_at_gate, &gate);
    CHECK_EQUAL(weft_on_done(f, callback_fails, called), 0);
    CHECK_EQUAL(weft_on_done(f, callback_counts, called), 0);
    gate_await(&gate, 1);
    CHECK_EQUAL(atomic_load_seq_cst(called), 0);
    gate_open(&gate);
    CHECK_EQUAL(weft_await(f, NULL), 0);
    yield_until(called, 2);
    CHECK_EQUAL(weft_on_done(f, callback_counts, called), 0);
    yield_until(called, 3);
    weft_put(f);
    return NULL;
}

static void item_315_a_callback_that_fails_is_reported(void **state)
{
    (void)state;
    shared_int called = 0;
    FILE *file;
    char text[1000];
    capture_begin(&file);
    run_case(callbacks_body, &called);
    (void)capture_end(&file, text, sizeof text);
    assert_non_null(strstr(text, "job without a name failed with -5"));
    assert_int_equal(atomic_load_seq_cst(&called), 3);
}

/* ---- let go ---- */

static shared_int disposed;

static void dispose(void *result)
{
    CHECK(result != NULL);
    atomic_add_seq_cst(&disposed, 1);
}

static const struct weft_blocking_options let_go = {
    .name = "let go", .abandon = true, .dispose = dispose};

static void *let_go_body(void *arg)
{
    struct gate *gate = arg;
    weft_future *f = weft_submit_blocking_with(&let_go, job_at_gate, gate);
    gate_await(gate, 1);
    CHECK(weft_cancel(f));
    CHECK(weft_done(f));
    CHECK(!weft_cancel(f));
    CHECK_EQUAL(weft_join(f, NULL), -ECANCELED);
    weft_future *g = weft_submit_blocking_with(&let_go, job_at_gate, gate);
    gate_await(gate, 2);
    WEFT_TIMEOUT(WEFT_MS) {
        CHECK_EQUAL(weft_await(g, NULL), -ECANCELED); /* passed on */
    }
    weft_put(g);
    weft_put(weft_submit_blocking_with(&let_go, job_at_gate, gate)); /* left to the close */
    gate_await(gate, 3);
    return NULL;
}

static void item_310_a_late_result_touches_no_closed_runtime(void **state)
{
    (void)state;
    struct gate *gate = malloc(sizeof *gate);
    *gate = (struct gate)GATE_CLOSED;
    atomic_store_seq_cst(&disposed, 0);
    weft_runtime *rt = create_runtime(NULL);
    assert_int_equal(weft_runtime_run(rt, let_go_body, gate, NULL), 0);
    assert_int_equal(weft_runtime_close(rt), 0); /* does not wait for them */
    assert_int_equal(weft_runtime_destroy(rt), 0);
    assert_int_equal(atomic_load_seq_cst(&disposed), 0);
    gate_open(gate);
    spin_until(&disposed, 3);
    pthread_mutex_lock(&gate->lock); /* all have left */
    pthread_mutex_unlock(&gate->lock);
    free(gate);
}

static void *stuck_body(void *arg)
{
    static const struct weft_blocking_options named = {.name = "stuck"};
    struct gate *gate = arg;
    weft_future *f = weft_submit_blocking_with(&named, job_at_gate, gate);
    gate_await(gate, 1);
    weft_put(f);
    return NULL;
}

static void item_312_a_close_waits_up_to_a_limit(void **state)
{
    (void)state;
    struct weft_options options = {.close_grace_ns = 10 * WEFT_MS};
    struct gate gate = GATE_CLOSED;
    weft_runtime *rt = create_runtime(&options);
    assert_int_equal(weft_runtime_run(rt, stuck_body, &gate, NULL), 0);
    FILE *file;
    char text[1000];
    capture_begin(&file);
    int err = weft_runtime_close(rt);
    (void)capture_end(&file, text, sizeof text);
    assert_int_equal(err, -ETIMEDOUT);
    assert_non_null(strstr(text, "job stuck has not ended"));
    assert_int_equal(weft_runtime_run(rt, job_adds, NULL, NULL), 0); /* it stays as it was */
    gate_open(&gate);
    while ((err = weft_runtime_close(rt)) == -ETIMEDOUT) {
    }
    assert_int_equal(err, 0);
    assert_int_equal(weft_runtime_destroy(rt), 0);
}

/* A task that goes on in the pool when it is cancelled. */
static void *cleans_up(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_run_blocking(job_counts, arg, NULL), -ECANCELED);
    WEFT_SHIELD {
        CHECK_EQUAL(weft_run_blocking(job_counts, arg, NULL), 0);
    }
    weft_put(weft_submit_blocking(NULL, job_counts, arg)); /* born cancelled; it may be quick */
    return NULL;
}

static void *leaves_a_task(void *arg)
{
    CHECK_EQUAL(weft_go(cleans_up, arg), 0);
    return NULL;
}

static void item_325_a_close_ends_tasks_then_the_pool(void **state)
{
    (void)state;
    shared_int ran = 0;
    weft_runtime *rt = create_runtime(NULL);
    assert_int_equal(weft_runtime_run(rt, leaves_a_task, &ran, NULL), 0);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_true(atomic_load_seq_cst(&ran) >= 1);
    assert_int_equal(metrics_of(rt).blocking_threads, 0);
    assert_int_equal(weft_runtime_destroy(rt), 0);
}

/* ---- interrupted ---- */

struct interrupted {
    struct gate gate;
    int fd[2];
    shared_int begun;
    shared_int requests;
};

static void *job_reads(void *arg)
{
    struct interrupted *i = arg;
    char byte;
    atomic_add_seq_cst(&i->begun, 1);
    ssize_t n = read(i->fd[0], &byte, 1);
    int err = n < 0 ? -errno : (int)n;
    atomic_store_seq_cst(&i->requests, weft_cancelling());
    return weft_fail(err < 0 ? err : -EPROTO);
}

/* Goes on through the first interrupts: they are sent again. */
static void *job_reads_on(void *arg)
{
    struct interrupted *i = arg;
    char byte;
    atomic_add_seq_cst(&i->begun, 1);
    for (int times = 0; times < 5;) {
        times += read(i->fd[0], &byte, 1) < 0 && errno == EINTR;
    }
    return arg;
}

/* Must not be interrupted. */
static void *job_sleeps(void *arg)
{
    struct timespec t = {.tv_nsec = 15000000};
    CHECK_EQUAL(nanosleep(&t, NULL), 0);
    return arg;
}

static void *interrupted_body(void *arg)
{
    static const struct weft_blocking_options o = {.interruptible = true};
    struct interrupted *i = arg;
    weft_future *f = weft_submit_blocking_with(&o, job_reads, i);
    yield_until(&i->begun, 1);
    CHECK(weft_cancel(f));
    CHECK_EQUAL(weft_join(f, NULL), -EINTR);
    CHECK_EQUAL(atomic_load_seq_cst(&i->requests), 1);
    f = weft_submit_blocking_with(&o, job_reads_on, i);
    yield_until(&i->begun, 2);
    CHECK(weft_cancel(f));
    CHECK(weft_cancel(f));
    CHECK_EQUAL(weft_join(f, NULL), 0);
    for (int n = 0; n < 2; n++) {
        CHECK_EQUAL(weft_join(weft_submit_blocking_with(&o, job_sleeps, i), NULL), 0);
        CHECK_EQUAL(weft_run_blocking(job_sleeps, i, NULL), 0);
    }
    CHECK_EQUAL(metrics_of(weft_runtime_current()).blocking_threads, 1);
    return NULL;
}

static void a_job_is_interrupted_until_it_ends(void **state)
{
    (void)state;
    struct interrupted i = {.gate = GATE_CLOSED};
    assert_int_equal(pipe(i.fd), 0);
    struct weft_options options = one_thread();
    run_case_with(&options, interrupted_body, &i);
    close(i.fd[0]);
    close(i.fd[1]);
}

static void *named_failure_body(void *arg)
{
    static const struct weft_blocking_options o = {.name = "parse"};
    weft_future *f = weft_submit_blocking_with(&o, arg == NULL ? job_adds : (weft_fn)arg, NULL);
    char name[16];
    CHECK_EQUAL(weft_task_name(f, name, sizeof name), 5);
    CHECK_EQUAL(strcmp(name, "parse"), 0);
    weft_put(f);
    return NULL;
}

static void *job_fails(void *arg)
{
    (void)arg;
    return weft_fail(-EBADMSG);
}

static void an_error_that_nobody_saw_is_reported_by_name(void **state)
{
    (void)state;
    FILE *file;
    char text[1000];
    capture_begin(&file);
    weft_runtime *rt = create_runtime(NULL);
    CHECK_EQUAL(weft_runtime_run(rt, named_failure_body, (void *)job_fails, NULL), 0);
    while (metrics_of(rt).blocking_idle != 1) {
        sched_yield();
    }
    finish_runtime(rt);
    (void)capture_end(&file, text, sizeof text);
    assert_non_null(strstr(text, "job parse failed with"));
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_works_without_a_runtime),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(item_313_a_close_runs_what_waits_or_cancels_it),
        cmocka_unit_test(a_close_that_runs_out_of_time_names_its_jobs),
        cmocka_unit_test(a_full_line_is_refused),
        cmocka_unit_test(threads_begin_and_end_as_told),
        cmocka_unit_test(item_316_a_thread_that_cannot_begin_breaks_the_pool),
        cmocka_unit_test(item_315_a_callback_that_fails_is_reported),
        cmocka_unit_test(item_310_a_late_result_touches_no_closed_runtime),
        cmocka_unit_test(item_312_a_close_waits_up_to_a_limit),
        cmocka_unit_test(item_325_a_close_ends_tasks_then_the_pool),
        cmocka_unit_test(a_job_is_interrupted_until_it_ends),
        cmocka_unit_test(an_error_that_nobody_saw_is_reported_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
