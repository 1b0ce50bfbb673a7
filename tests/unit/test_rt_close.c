/* SPDX-License-Identifier: MIT */
/*
 * Goal: a close ends whatever the runtime is doing, in bounded time and with nothing lost: tasks
 * that sleep, receive, yield or spawn for ever, wait for each other, were held and never started;
 * posts that are queued are called, timers that are not due are dropped. A close that cannot end
 * says who is stuck and can be repeated. Handles, timers and registrations may outlive the runtime.
 *
 * Method: the real runtime. A load is spawned, proves that it runs, and then the runtime is closed;
 * each task counts that it has ended.
 */
#include "life_help.h"

#include <sys/socket.h>

#include "close_loads.h"

/* --- after the close --- */

static void ignore_callback(void *arg)
{
    (void)arg;
}

static void *give_back(void *arg)
{
    return arg;
}

static void item_16_332_everything_is_refused_after_the_close(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    weft_timer *timer = NULL;
    assert_int_equal(weft_timer_create(&timer, rt, ignore_callback, NULL), 0);
    assert_int_equal(weft_runtime_destroy(rt), -EBUSY);
    run_on(rt, give_back, NULL);
    assert_int_equal(weft_runtime_destroy(rt), -EBUSY);
    assert_int_equal(weft_runtime_close(rt), 0);

    weft_task *t = NULL;
    weft_timer *another = NULL;
    void *result = &t;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_runtime_close(rt), -ESHUTDOWN);
        assert_int_equal(weft_runtime_run(rt, give_back, NULL, &result), -ESHUTDOWN);
        assert_int_equal(weft_runtime_spawn(rt, give_back, NULL, &t), -ESHUTDOWN);
        assert_int_equal(weft_post(rt, ignore_callback, NULL), -ESHUTDOWN);
        assert_int_equal(weft_timer_create(&another, rt, ignore_callback, NULL), -ESHUTDOWN);
        assert_int_equal(weft_timer_start(timer, 0), -ESHUTDOWN);
        assert_false(weft_timer_stop(timer));
        assert_false(weft_timer_stop_and_wait(timer));
    }
    assert_ptr_equal(result, &t);
    assert_null(t);
    assert_null(another);
    struct weft_metrics m;
    assert_int_equal(weft_metrics(rt, &m), 0);
    assert_int_equal(m.tasks_live, 0);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    weft_timer_destroy(timer);
    assert_int_equal(weft_runtime_close(NULL), -EINVAL);
    assert_int_equal(weft_runtime_destroy(NULL), 0);
    assert_int_equal(weft_runtime_run(NULL, give_back, NULL, NULL), -EINVAL);
}

static void *fail_hard(void *arg)
{
    (void)arg;
    return weft_fail(-EIO);
}

/* Handles of every sort are used and given back when the runtime is gone. */
static void futures_outlive_the_runtime(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    weft_task *value = spawn_on(rt, give_back, value_of(5));
    weft_task *error = spawn_on(rt, fail_hard, NULL);
    weft_task *ended = spawn_on(rt, sleep_load, NULL);
    assert_int_equal(wait_on(value), 0);
    assert_int_equal(wait_on(error), -EIO);
    runtime_end(rt);

    void *result = NULL;
    assert_true(weft_done(value) && weft_done(error) && weft_done(ended));
    assert_int_equal(weft_result(value, &result), 0);
    assert_int_equal((intptr_t)result, 5);
    assert_int_equal(weft_result(error, NULL), -EIO);
    assert_int_equal(wait_on(ended), -ECANCELED);
    assert_true(weft_cancelled(ended));
    assert_false(weft_cancel(ended));
    assert_int_equal(weft_start(value), -EALREADY);
    assert_true(weft_task_id(value) > 0);
    assert_int_equal(weft_stack_high_water(value), 0);
    assert_int_equal(weft_task_set_name(value, "late"), 0);
    char name[8];
    assert_int_equal(weft_task_name(value, name, sizeof name), 4);
    assert_string_equal(name, "late");
    weft_put(weft_get(value));
    weft_put(value);
    weft_put(error);
    weft_put(ended);
}

static atomic_int timer_calls;

static void count_call(void *arg)
{
    (void)arg;
    atomic_add_seq_cst(&timer_calls, 1);
}

/* Timers that have fired, are armed, were stopped, never started: all outlive their runtime. */
static void timers_outlive_the_runtime(void **state)
{
    (void)state;
    weft_timer *timers[4];
    for (int is_destroyed = 0; is_destroyed < 2; is_destroyed++) {
        atomic_store_seq_cst(&timer_calls, 0);
        weft_runtime *rt = runtime_make(NULL);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(weft_timer_create(&timers[i], rt, count_call, NULL), 0);
        }
        assert_int_equal(weft_timer_start(timers[0], 0), 0);
        wait_until(&timer_calls, 1);
        assert_int_equal(weft_timer_start(timers[1], WEFT_MINUTE), 0);
        assert_int_equal(weft_timer_start(timers[2], WEFT_MINUTE), 0);
        assert_true(weft_timer_stop(timers[2]));
        assert_int_equal(weft_runtime_close(rt), 0);
        if (is_destroyed) {
            assert_int_equal(weft_runtime_destroy(rt), 0);
        }
        for (int i = 0; i < 4; i++) {
            assert_int_equal(weft_timer_start(timers[i], 0), -ESHUTDOWN);
            (void)weft_timer_stop(timers[i]);
            assert_false(weft_timer_stop_and_wait(timers[i]));
            weft_timer_destroy(timers[i]);
        }
        if (!is_destroyed) {
            assert_int_equal(weft_runtime_destroy(rt), 0);
        }
        assert_int_equal(atomic_load_seq_cst(&timer_calls), 1);
    }
}

static void never_called(weft_future *f, void *arg)
{
    (void)f;
    (void)arg;
    abort();
}

static void *watch_it(void *t)
{
    int err = weft_on_done(t, never_called, NULL);
    WEFT_ASSERT(err == 0);
    return NULL;
}

/* Who registered with another runtime's future, and is gone when that ends, is not called. */
static void registrations_outlive_the_runtime(void **state)
{
    (void)state;
    weft_runtime *a = runtime_make(NULL);
    weft_runtime *b = runtime_make(NULL);
    weft_task *t = spawn_on(a, sleep_load, NULL);
    run_on(b, watch_it, t);
    run_on(b, watch_it, t);
    runtime_end(b);
    assert_true(weft_cancel(t));
    assert_int_equal(wait_on(t), -ECANCELED);
    weft_put(t);
    runtime_end(a);
}

/* A held task that nobody starts ends unrun; its handle may go later, or during the close. */
static void held_handles_outlive_the_runtime(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    weft_task *t = run_on(rt, spawn_held, NULL);
    assert_false(weft_done(t));
    runtime_end(rt);
    assert_int_equal(weft_start(t), -EALREADY);
    assert_int_equal(wait_on(t), -ECANCELED);
    weft_put(t);
}

/* --- under load --- */

static void close_ends(weft_fn load, intptr_t arg, int count)
{
    weft_runtime *rt = runtime_make(NULL);
    atomic_store_seq_cst(&load_running, 0);
    atomic_store_seq_cst(&load_ended, 0);
    for (int i = 0; i < count; i++) {
        weft_task *t = spawn_on(rt, load, value_of(arg));
        weft_put(t);
    }
    wait_until(&load_running, count);
    runtime_end(rt);
    assert_int_equal(atomic_load_seq_cst(&load_ended), count);
}

static void close_ends_sleepers(void **state)
{
    (void)state;
    close_ends(sleep_load, 0, (int)test_scaled(2000, 200));
}

static void close_ends_yielders(void **state)
{
    (void)state;
    close_ends(yield_load, 0, 20);
}

static void close_ends_receivers(void **state)
{
    (void)state;
    close_ends(receive_load, 0, (int)test_scaled(500, 100));
}

static void close_ends_those_that_echo(void **state)
{
    (void)state;
    close_ends(echo_load, 0, 20);
}

static void close_ends_spawners(void **state)
{
    (void)state;
    close_ends(spawn_load, 0, 8);
}

static void close_ends_trees_of_waiters(void **state)
{
    (void)state;
    close_ends(await_load, 30, 20);
    close_ends(await_load, 0, 20);
}

static void close_ends_held_ones(void **state)
{
    (void)state;
    close_ends(await_held_load, 0, 20);
    close_ends(late_held_load, 0, 20);
}

static void close_ends_pollers_and_timers(void **state)
{
    (void)state;
    close_ends(poll_load, 0, 20);
    close_ends(timer_load, 0, 20);
}

static void close_ends_a_mixture(void **state)
{
    (void)state;
    static const weft_fn loads[] = {sleep_load, yield_load, receive_load,
                                    spawn_load, poll_load,  await_held_load,
                                    timer_load, echo_load,  late_held_load};
    size_t kinds = sizeof loads / sizeof loads[0];
    weft_runtime *rt = runtime_make(NULL);
    atomic_store_seq_cst(&load_running, 0);
    atomic_store_seq_cst(&load_ended, 0);
    for (size_t i = 0; i < 10 * kinds; i++) {
        weft_put(spawn_on(rt, loads[i % kinds], NULL));
    }
    wait_until(&load_running, (int)(10 * kinds));
    runtime_end(rt);
    assert_int_equal(atomic_load_seq_cst(&load_ended), 10 * kinds);
}

/* A main task that returns early leaves the rest to weft_run: cancelled and awaited. */
static void *leave_them(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        weft_put(spawn_must(sleep_load, NULL));
        weft_put(spawn_must(yield_load, NULL));
        weft_put(spawn_must(receive_load, NULL));
    }
    return value_of(1);
}

static void item_324_run_ends_what_is_left(void **state)
{
    (void)state;
    atomic_store_seq_cst(&load_ended, 0);
    void *result = NULL;
    assert_int_equal(weft_run(leave_them, NULL, &result), 0);
    assert_int_equal((intptr_t)result, 1);
    assert_int_equal(atomic_load_seq_cst(&load_ended), 30); /* a spawned function always runs */
}

/* Every post that was taken is called, also those made while the runtime closes. */
static void *post_and_end(void *arg)
{
    weft_runtime *rt = weft_runtime_current();
    WEFT_ASSERT(weft_sleep(WEFT_FOREVER) == -ECANCELED);
    for (int i = 0; i < 100; i++) {
        int err = weft_post(rt, count_call, NULL);
        WEFT_ASSERT(err == 0);
    }
    return arg;
}

static void queued_posts_are_called(void **state)
{
    (void)state;
    atomic_store_seq_cst(&timer_calls, 0);
    weft_runtime *rt = runtime_make(NULL);
    for (int i = 0; i < 10; i++) {
        weft_put(spawn_on(rt, post_and_end, NULL));
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(weft_post(rt, count_call, NULL), 0);
    }
    runtime_end(rt);
    assert_int_equal(atomic_load_seq_cst(&timer_calls), 2000);
}

/* --- others use the runtime while it is closed --- */

struct intruder {
    pthread_t thread;
    weft_runtime *rt;
    atomic_int *go;
};

static void *intrude(void *arg)
{
    struct intruder *in = arg;
    int taken = 0;
    atomic_add_seq_cst(in->go, 1);
    for (;;) {
        weft_task *t = NULL;
        int err = weft_runtime_spawn(in->rt, give_back, value_of(1), &t);
        if (err == 0) {
            taken++;
            err = wait_on(t); /* it runs, whatever happens */
            WEFT_ASSERT(err == 0);
            weft_put(t);
            err = weft_post(in->rt, count_call, NULL);
            taken += err == 0;
        }
        if (err < 0) {
            WEFT_ASSERT(err == -ESHUTDOWN);
            return value_of(taken);
        }
    }
}

static void outsiders_are_served_or_refused(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        struct intruder in[3];
        atomic_int go = 0;
        atomic_store_seq_cst(&timer_calls, 0);
        weft_runtime *rt = runtime_make(NULL);
        for (int i = 0; i < 3; i++) {
            in[i].rt = rt;
            in[i].go = &go;
            assert_int_equal(pthread_create(&in[i].thread, NULL, intrude, &in[i]), 0);
        }
        wait_until(&go, 3);
        assert_int_equal(weft_runtime_close(rt), 0);
        for (int i = 0; i < 3; i++) {
            pthread_join(in[i].thread, NULL);
        }
        assert_int_equal(weft_runtime_destroy(rt), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_16_332_everything_is_refused_after_the_close),
        cmocka_unit_test(futures_outlive_the_runtime),
        cmocka_unit_test(timers_outlive_the_runtime),
        cmocka_unit_test(registrations_outlive_the_runtime),
        cmocka_unit_test(held_handles_outlive_the_runtime),
        cmocka_unit_test(close_ends_sleepers),
        cmocka_unit_test(close_ends_yielders),
        cmocka_unit_test(close_ends_receivers),
        cmocka_unit_test(close_ends_those_that_echo),
        cmocka_unit_test(close_ends_spawners),
        cmocka_unit_test(close_ends_trees_of_waiters),
        cmocka_unit_test(close_ends_held_ones),
        cmocka_unit_test(close_ends_pollers_and_timers),
        cmocka_unit_test(close_ends_a_mixture),
        cmocka_unit_test(item_324_run_ends_what_is_left),
        cmocka_unit_test(queued_posts_are_called),
        cmocka_unit_test(outsiders_are_served_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
