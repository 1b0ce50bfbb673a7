/* SPDX-License-Identifier: MIT */
/*
 * Goal: what threads outside a runtime can do with its tasks: spawn, wait, start runs; and what
 * they are refused.
 *
 * Method: as test_rt_task.c.
 */
#include "task_help.h"

static void *give_back(void *arg)
{
    return arg;
}

static void *count_up(void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
    return arg;
}

/* --- outside a task --------------------------------------------------------------------------- */

static void outside_a_task_nothing_is_spawned(void **state)
{
    (void)state;
    static const struct weft_spawn_options options = {.name = "nobody"};
    shared_int runs = 0;
    assert_null(weft_spawn(count_up, &runs));
    assert_null(weft_spawn_with(NULL, count_up, &runs));
    assert_null(weft_spawn_with(&options, count_up, &runs));
    assert_int_equal(weft_go(count_up, &runs), -EPERM);
    assert_int_equal(atomic_load_seq_cst(&runs), 0);
}

static void outside_a_task_no_call_waits(void **state)
{
    (void)state;
    char byte;
    size_t done = 99;
    weft_runtime *rt = create_runtime(NULL);
    weft_task *t = NULL;
    assert_int_equal(weft_runtime_spawn(rt, give_back, NULL, &t), 0);
    for (int i = 0; i < 2; i++) { /* pending or not, then done */
        assert_int_equal(weft_await(t, NULL), -EPERM);
        assert_int_equal(weft_join(t, NULL), -EPERM); /* keeps the reference */
        assert_int_equal(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
    }
    assert_int_equal(weft_cancel_and_join(t, NULL), -EPERM);
    assert_int_equal(weft_sleep(0), -EPERM);
    assert_int_equal(weft_sleep(WEFT_MS), -EPERM);
    assert_int_equal(weft_sleep_until(0), -EPERM);
    assert_int_equal(weft_sleep_until(WEFT_FOREVER), -EPERM);
    assert_int_equal(weft_yield(), -EPERM);
    assert_int_equal(weft_read(0, &byte, 1), -EPERM);
    assert_int_equal(weft_write(1, &byte, 1), -EPERM);
    assert_int_equal(weft_recv(0, &byte, 1, 0), -EPERM);
    assert_int_equal(weft_read_full(0, &byte, 1, &done), -EPERM);
    assert_int_equal(weft_wait_fd(0, POLLIN), -EPERM);
    assert_int_equal(weft_close(0), -EPERM);
    assert_int_equal(weft_on_done(t, NULL, NULL), -EPERM);
    weft_put(t);
    finish_runtime(rt);
}

/* --- from other threads ----------------------------------------------------------------------- */

enum { THREADS = 4 };

struct outsider {
    weft_runtime *rt;
    shared_int *runs;
    int count;
};

static void *yield_and_count(void *arg)
{
    CHECK_EQUAL(weft_yield(), 0);
    return count_up(arg);
}

static void *spawn_from_outside(void *arg)
{
    struct outsider *o = arg;
    for (int i = 0; i < o->count; i++) {
        weft_fn fn = i % 2 == 0 ? count_up : yield_and_count;
        if (i % 3 == 0) {
            CHECK_EQUAL(weft_runtime_spawn(o->rt, fn, o->runs, NULL), 0);
            continue;
        }
        weft_task *t = NULL;
        void *result = NULL;
        CHECK_EQUAL(weft_runtime_spawn(o->rt, fn, o->runs, &t), 0);
        if (i % 3 == 1) {
            CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, &result), 0);
            CHECK(result == o->runs);
        }
        weft_put(t);
    }
    return NULL;
}

static void many_threads_spawn_at_once(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    shared_int runs = 0;
    struct outsider o = {rt, &runs, (int)test_scaled(2000, 300)};
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        thread[i] = start_thread(spawn_from_outside, &o);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    finish_runtime(rt);
    assert_int_equal(atomic_load_seq_cst(&runs), THREADS * o.count);
}

static void *inside_out_main(void *arg)
{
    shared_int runs = 0;
    weft_task *t = NULL;
    CHECK_EQUAL(weft_runtime_spawn(weft_runtime_current(), count_up, &runs, &t), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 1);
    return arg;
}

static void a_task_may_spawn_as_a_thread_does(void **state)
{
    (void)state;
    run_case(inside_out_main, NULL);
}

struct crowd {
    shared_int is_over;
    shared_int count;
};

static void *yield_in_crowd(void *arg)
{
    struct crowd *c = arg;
    atomic_add_seq_cst(&c->count, 1);
    yield_until(&c->is_over, 1);
    return NULL;
}

static void *end_crowd(void *arg)
{
    struct crowd *c = arg;
    atomic_store_seq_cst(&c->is_over, 1);
    return NULL;
}

static void a_crowd_that_yields_starves_no_spawn_from_outside(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    struct crowd c = {0, 0};
    int count = (int)test_scaled(10000, 500); /* more than a deque holds */
    for (int i = 0; i < count; i++) {
        assert_int_equal(weft_runtime_spawn(rt, yield_in_crowd, &c, NULL), 0);
    }
    spin_until(&c.count, count);
    assert_int_equal(weft_runtime_spawn(rt, end_crowd, &c, NULL), 0);
    finish_runtime(rt);
}

/* --- waiting outside -------------------------------------------------------------------------- */

static void *wait_for_flag(void *flag)
{
    yield_until(flag, 1);
    return flag;
}

static void a_wait_that_times_out_changes_nothing(void **state)
{
    (void)state;
    static const int64_t times[] = {0, -1, INT64_MIN, 1, 5 * WEFT_MS};
    weft_runtime *rt = create_runtime(NULL);
    weft_task *t = NULL;
    shared_int flag = 0;
    int untouched;
    void *result = &untouched;
    assert_int_equal(weft_runtime_spawn(rt, wait_for_flag, &flag, &t), 0);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        int64_t before = weft_now();
        assert_int_equal(weft_future_wait_blocking(t, times[i], &result), -ETIMEDOUT);
        assert_true(weft_now() - before >= times[i]);
        assert_ptr_equal(result, &untouched);
        assert_false(weft_done(t));
    }
    atomic_store_seq_cst(&flag, 1);
    assert_int_equal(weft_future_wait_blocking(t, WEFT_FOREVER, &result), 0);
    assert_ptr_equal(result, &flag);
    assert_int_equal(weft_future_wait_blocking(t, 0, &result), 0);
    assert_int_equal(weft_future_wait_blocking(t, -1, NULL), 0);
    weft_put(t);
    assert_int_equal(weft_future_wait_blocking(NULL, 0, NULL), -ENOMEM);
    finish_runtime(rt);
}

static void *time_out(void *arg)
{
    (void)arg;
    return weft_fail(-ETIMEDOUT);
}

static void the_tasks_own_timeout_is_told_from_ours(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    weft_task *t = NULL;
    assert_int_equal(weft_runtime_spawn(rt, time_out, NULL, &t), 0);
    assert_int_equal(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), -ETIMEDOUT);
    assert_true(weft_done(t));
    weft_put(t);
    finish_runtime(rt);
}

static void *blocking_in_task(void *arg)
{
    weft_task *t = weft_spawn(give_back, NULL);
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), -EDEADLK);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void waiting_as_a_thread_inside_a_task_is_refused(void **state)
{
    (void)state;
    run_case(blocking_in_task, NULL);
}

static void *wait_from_thread(void *t)
{
    void *result = NULL;
    int err;
    int64_t for_ns = WEFT_US;
    while ((err = weft_future_wait_blocking(t, for_ns, &result)) == -ETIMEDOUT) {
        for_ns = for_ns > WEFT_MS ? WEFT_FOREVER : for_ns * 2;
    }
    CHECK_EQUAL(err, 0);
    return result;
}

static void many_threads_wait_for_one_task(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    for (size_t n = 0; n < test_scaled(50, 10); n++) {
        weft_task *t = NULL;
        shared_int flag = 0;
        pthread_t thread[THREADS];
        assert_int_equal(weft_runtime_spawn(rt, wait_for_flag, &flag, &t), 0);
        for (int i = 0; i < THREADS; i++) {
            thread[i] = start_thread(wait_from_thread, t);
        }
        atomic_store_seq_cst(&flag, 1);
        for (int i = 0; i < THREADS; i++) {
            void *result = NULL;
            pthread_join(thread[i], &result);
            assert_ptr_equal(result, &flag);
        }
        weft_put(t);
    }
    finish_runtime(rt);
}

static void *leave_behind(void *flag)
{
    CHECK_EQUAL(weft_go(wait_for_flag, flag), 0);
    return NULL;
}

static void item_50_329_tasks_live_on_from_run_to_run(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    shared_int flag = 0;
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(weft_runtime_run(rt, leave_behind, &flag, NULL), 0);
        await_live(rt, (uint64_t)i); /* the main task is counted out after its waiter is woken */
    }
    atomic_store_seq_cst(&flag, 1);
    finish_runtime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outside_a_task_nothing_is_spawned),
        cmocka_unit_test(outside_a_task_no_call_waits),
        cmocka_unit_test(many_threads_spawn_at_once),
        cmocka_unit_test(a_task_may_spawn_as_a_thread_does),
        cmocka_unit_test(a_crowd_that_yields_starves_no_spawn_from_outside),
        cmocka_unit_test(a_wait_that_times_out_changes_nothing),
        cmocka_unit_test(the_tasks_own_timeout_is_told_from_ours),
        cmocka_unit_test(waiting_as_a_thread_inside_a_task_is_refused),
        cmocka_unit_test(many_threads_wait_for_one_task),
        cmocka_unit_test(item_50_329_tasks_live_on_from_run_to_run),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
