/* SPDX-License-Identifier: MIT */
/*
 * Goal: a runtime can be started, used by many threads, used again, and is gone when it is gone;
 * results and errors arrive as they were returned; several runtimes live side by side and know
 * nothing of each other but the futures they share; an idle one does nothing at all.
 *
 * Method: the real runtime, on as many workers as the environment says.
 */
#include "life_help.h"

/* --- results and errors --- */

static void *twice(void *n)
{
    return value_of((intptr_t)n * 2);
}

static void *fail_with(void *error)
{
    return weft_fail((int)(intptr_t)error);
}

static void *give_null(void *arg)
{
    (void)arg;
    return NULL;
}

static void item_322_run_gives_the_value(void **state)
{
    (void)state;
    void *result = NULL;
    assert_int_equal(weft_run(twice, value_of(21), &result), 0);
    assert_int_equal((intptr_t)result, 42);
    assert_int_equal(weft_run_with(NULL, twice, value_of(-3), &result), 0);
    assert_int_equal((intptr_t)result, -6);
    struct weft_options options = {.seed = 1};
    assert_int_equal(weft_run_with(&options, twice, value_of(4), &result), 0);
    assert_int_equal((intptr_t)result, 8);
    assert_int_equal(weft_run(give_null, NULL, &result), 0);
    assert_null(result);
    assert_int_equal(weft_run(twice, NULL, NULL), 0);
}

static void item_322_run_gives_the_error(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -ECANCELED, -ETIMEDOUT, -EBUSY, -EINPROGRESS, -4095};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        void *result = &result;
        assert_int_equal(weft_run(fail_with, value_of(errors[i]), &result), errors[i]);
        assert_ptr_equal(result, &result);
    }
}

static void *note_fail_and_return(void *arg)
{
    void *unused = weft_fail(-EIO); /* says nothing unless it is returned */
    (void)unused;
    return arg;
}

static void a_failure_not_returned_is_none(void **state)
{
    (void)state;
    void *result = NULL;
    assert_int_equal(weft_run(note_fail_and_return, value_of(7), &result), 0);
    assert_int_equal((intptr_t)result, 7);
}

/* --- inside a task or a callback --- */

static atomic_int ran;

static void *count_run(void *arg)
{
    atomic_add_seq_cst(&ran, 1);
    return arg;
}

static void try_to_run(weft_runtime *rt)
{
    WEFT_ASSERT(weft_run(count_run, NULL, NULL) == -EBUSY);
    WEFT_ASSERT(weft_run_with(NULL, count_run, NULL, NULL) == -EBUSY);
    WEFT_ASSERT(weft_runtime_run(rt, count_run, NULL, NULL) == -EBUSY);
    WEFT_ASSERT(weft_runtime_close(rt) == -EBUSY);
    WEFT_ASSERT(weft_runtime_destroy(rt) == -EBUSY);
    WEFT_ASSERT(weft_runtime_current() == rt);
}

static void run_in_callback(void *arg)
{
    try_to_run(weft_runtime_current());
    atomic_store_seq_cst((atomic_int *)arg, 1);
}

static void *run_in_task(void *rt)
{
    atomic_int is_called = 0;
    try_to_run(rt);
    int err = weft_post(rt, run_in_callback, &is_called);
    WEFT_ASSERT(err == 0);
    yield_until(&is_called);
    return NULL;
}

static void item_323_333_running_inside_is_busy(void **state)
{
    (void)state;
    atomic_store_seq_cst(&ran, 0);
    assert_null(weft_runtime_current());
    weft_runtime *rt = runtime_make(NULL);
    run_on(rt, run_in_task, rt);
    assert_null(weft_runtime_current());
    runtime_end(rt);
    assert_int_equal(atomic_load_seq_cst(&ran), 0);
}

/* A task may make, use as a thread would, and end another runtime, but not run it. */
static void *host_another(void *arg)
{
    struct weft_options one = {.workers = 1};
    weft_runtime *inner = runtime_make(&one);
    WEFT_ASSERT(weft_runtime_run(inner, twice, arg, NULL) == -EBUSY);
    weft_task *t = spawn_on(inner, twice, arg);
    void *result = NULL;
    WEFT_ASSERT(weft_join(t, &result) == 0);
    WEFT_ASSERT(weft_runtime_current() != inner);
    runtime_end(inner);
    return result;
}

static void a_task_hosts_a_runtime(void **state)
{
    (void)state;
    void *result = NULL;
    assert_int_equal(weft_run(host_another, value_of(5), &result), 0);
    assert_int_equal((intptr_t)result, 10);
}

/* --- one runtime, many runs --- */

static void *current_runtime(void *arg)
{
    (void)arg;
    return weft_runtime_current();
}

static void item_328_330_runs_again_and_again(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    assert_null(weft_runtime_current());
    assert_true(weft_runtime_workers(rt) >= 1);
    for (intptr_t i = 0; i < 200; i++) {
        assert_int_equal((intptr_t)run_on(rt, twice, value_of(i)), 2 * i);
    }
    assert_ptr_equal(run_on(rt, current_runtime, NULL), rt);
    assert_int_equal(weft_runtime_run(rt, fail_with, value_of(-EIO), NULL), -EIO);
    assert_int_equal((intptr_t)run_on(rt, twice, value_of(1)), 2);
    runtime_end(rt);
    assert_int_equal(weft_runtime_workers(NULL), 0);
}

struct user {
    pthread_t thread;
    weft_runtime *rt;
    intptr_t base;
};

static void *sum_of_children(void *n)
{
    weft_task *children[4];
    intptr_t sum = 0;
    for (intptr_t i = 0; i < 4; i++) {
        children[i] = spawn_must(twice, value_of((intptr_t)n + i));
    }
    for (int i = 0; i < 4; i++) {
        void *part = NULL;
        WEFT_ASSERT(weft_join(children[i], &part) == 0);
        sum += (intptr_t)part;
    }
    return value_of(sum);
}

static void *user_main(void *arg)
{
    struct user *u = arg;
    for (intptr_t i = 0; i < 100; i++) {
        intptr_t n = u->base + i;
        WEFT_ASSERT((intptr_t)run_on(u->rt, sum_of_children, value_of(n)) == 2 * (4 * n + 6));
    }
    return NULL;
}

static void several_threads_run_at_once(void **state)
{
    (void)state;
    struct user users[4];
    weft_runtime *rt = runtime_make(NULL);
    for (int i = 0; i < 4; i++) {
        users[i].rt = rt;
        users[i].base = 1000 * i;
        assert_int_equal(pthread_create(&users[i].thread, NULL, user_main, &users[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(users[i].thread, NULL);
    }
    runtime_end(rt);
}

static atomic_int go_on;

static void *live_on(void *arg)
{
    yield_until(&go_on);
    return arg;
}

static void *leave_one_behind(void *arg)
{
    return spawn_must(live_on, arg);
}

static void *find_it_again(void *t)
{
    WEFT_ASSERT(!weft_done(t));
    atomic_store_seq_cst(&go_on, 1);
    void *result = NULL;
    WEFT_ASSERT(weft_join(t, &result) == 0);
    return result;
}

static void unfinished_tasks_live_on(void **state)
{
    (void)state;
    atomic_store_seq_cst(&go_on, 0);
    weft_runtime *rt = runtime_make(NULL);
    weft_task *t = run_on(rt, leave_one_behind, value_of(9));
    for (int i = 0; i < 10; i++) {
        run_on(rt, give_null, NULL);
        assert_false(weft_done(t));
    }
    assert_int_equal((intptr_t)run_on(rt, find_it_again, t), 9);
    runtime_end(rt);
}

/* --- waiting on a plain thread --- */

static void *wait_in_task(void *f)
{
    WEFT_ASSERT(weft_future_wait_blocking(f, 0, NULL) == -EDEADLK);
    WEFT_ASSERT(weft_future_wait_blocking(f, WEFT_FOREVER, NULL) == -EDEADLK);
    return NULL;
}

static void waiting_on_a_thread(void **state)
{
    (void)state;
    atomic_store_seq_cst(&go_on, 0);
    weft_runtime *rt = runtime_make(NULL);
    weft_task *t = spawn_on(rt, live_on, value_of(3));
    void *result = &result;
    assert_int_equal(weft_future_wait_blocking(NULL, 0, &result), -ENOMEM);
    assert_int_equal(weft_future_wait_blocking(t, 0, &result), -ETIMEDOUT);
    assert_int_equal(weft_future_wait_blocking(t, INT64_MIN, &result), -ETIMEDOUT);
    int64_t before = weft_now();
    assert_int_equal(weft_future_wait_blocking(t, 2 * WEFT_MS, &result), -ETIMEDOUT);
    assert_true(weft_now() - before >= 2 * WEFT_MS);
    assert_ptr_equal(result, &result);
    assert_false(weft_done(t));
    run_on(rt, wait_in_task, t);
    atomic_store_seq_cst(&go_on, 1);
    assert_int_equal(weft_future_wait_blocking(t, WEFT_FOREVER - 1, &result), 0);
    assert_int_equal((intptr_t)result, 3);
    assert_int_equal(weft_future_wait_blocking(t, 0, &result), 0);
    weft_put(t);
    t = spawn_on(rt, fail_with, value_of(-ETIMEDOUT));
    assert_int_equal(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), -ETIMEDOUT);
    assert_true(weft_done(t));
    weft_put(t);
    runtime_end(rt);
}

/* Many threads wait for one future, with limits that run out as it ends. */
static void *wait_often(void *arg)
{
    for (int64_t for_ns = 1;; for_ns = for_ns % 100000 + 777) {
        void *result = NULL;
        int err = weft_future_wait_blocking(arg, for_ns, &result);
        if (err == 0) {
            return result;
        }
        WEFT_ASSERT(err == -ETIMEDOUT);
    }
}

static void many_threads_wait_for_one(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    for (int round = 0; round < 20; round++) {
        pthread_t threads[4];
        atomic_store_seq_cst(&go_on, 0);
        weft_task *t = spawn_on(rt, live_on, value_of(11));
        for (int i = 0; i < 4; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, wait_often, t), 0);
        }
        sched_yield();
        atomic_store_seq_cst(&go_on, 1);
        for (int i = 0; i < 4; i++) {
            void *result = NULL;
            pthread_join(threads[i], &result);
            assert_int_equal((intptr_t)result, 11);
        }
        weft_put(t);
    }
    runtime_end(rt);
}

/* --- two runtimes --- */

struct bridge {
    weft_runtime *other;
    intptr_t n;
};

static void *here_is_other(void *other)
{
    WEFT_ASSERT(weft_runtime_current() == other);
    WEFT_ASSERT(weft_yield() == 0);
    return other;
}

/* Spawn into the other runtime, await there what was spawned here, and here what is there. */
static void *cross(void *arg)
{
    struct bridge *b = arg;
    weft_runtime *own = weft_runtime_current();
    WEFT_ASSERT(own != b->other);
    for (int i = 0; i < 50; i++) {
        weft_task *there = spawn_on(b->other, here_is_other, b->other);
        weft_task *more = spawn_on(b->other, sum_of_children, value_of(i));
        weft_task *here = spawn_must(here_is_other, own);
        void *result = NULL;
        WEFT_ASSERT(weft_join(there, &result) == 0 && result == b->other);
        WEFT_ASSERT(weft_runtime_current() == own);
        WEFT_ASSERT(weft_join(here, &result) == 0 && result == own);
        WEFT_ASSERT(weft_join(more, &result) == 0 && (intptr_t)result == 2 * (4 * i + 6));
        b->n++;
    }
    return NULL;
}

static void two_runtimes_serve_each_other(void **state)
{
    (void)state;
    weft_runtime *a = runtime_make(NULL);
    weft_runtime *b = runtime_make(NULL);
    struct bridge to_b = {b, 0};
    struct bridge to_a = {a, 0};
    weft_task *ta = spawn_on(a, cross, &to_b);
    weft_task *tb = spawn_on(b, cross, &to_a);
    assert_int_equal(wait_on(ta), 0);
    assert_int_equal(wait_on(tb), 0);
    weft_put(ta);
    weft_put(tb);
    assert_int_equal(to_a.n + to_b.n, 100);
    runtime_end(a);
    runtime_end(b);
}

static void *sleep_for_ever(void *arg)
{
    (void)arg;
    int err = weft_sleep(WEFT_FOREVER);
    return weft_fail(err);
}

static void *await_it(void *t)
{
    int err = weft_await(t, NULL);
    return err < 0 ? weft_fail(err) : NULL;
}

static void a_cancel_crosses_runtimes(void **state)
{
    (void)state;
    weft_runtime *a = runtime_make(NULL);
    weft_runtime *b = runtime_make(NULL);
    weft_task *sleeper = spawn_on(a, sleep_for_ever, NULL);
    weft_task *waiter = spawn_on(b, await_it, sleeper);
    assert_true(weft_cancel(waiter));
    assert_int_equal(wait_on(waiter), -ECANCELED);
    assert_int_equal(wait_on(sleeper), -ECANCELED);
    weft_put(waiter);
    weft_put(sleeper);

    /* Closing one ends what the other awaits of it; the other lives. */
    sleeper = spawn_on(a, sleep_for_ever, NULL);
    waiter = spawn_on(b, await_it, sleeper);
    runtime_end(a);
    assert_int_equal(wait_on(waiter), -ECANCELED);
    weft_put(waiter);
    weft_put(sleeper);
    assert_int_equal((intptr_t)run_on(b, twice, value_of(2)), 4);
    runtime_end(b);
}

/* --- nothing is left behind --- */

static void *touch_everything(void *rt)
{
    int ends[2];
    char byte;
    WEFT_ASSERT(pipe(ends) == 0);
    WEFT_ASSERT(weft_write(ends[1], "x", 1) == 1);
    WEFT_ASSERT(weft_read(ends[0], &byte, 1) == 1);
    WEFT_ASSERT(weft_close(ends[0]) == 0 && weft_close(ends[1]) == 0);
    WEFT_ASSERT(weft_sleep(WEFT_US) == 0);
    weft_task *t = spawn_must(sum_of_children, value_of(1));
    WEFT_ASSERT(weft_join(t, NULL) == 0);
    return rt;
}

static void round_of_runtime(void)
{
    weft_runtime *rt = runtime_make(NULL);
    run_on(rt, touch_everything, rt);
    runtime_end(rt);
}

/* Closed is enough: not only the destroy. */
static void a_close_gives_descriptors_back(void **state)
{
    (void)state;
    unsigned fds = fd_count();
    weft_runtime *rt = runtime_make(NULL);
    run_on(rt, touch_everything, rt);
    assert_true(fd_count() > fds);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_int_equal(fd_count(), fds);
    assert_int_equal(weft_runtime_destroy(rt), 0);
}

/* Counted before any runtime: one that a case before has joined may still be listed later. */
static unsigned threads_at_start;

static void a_hundred_runtimes_leave_nothing(void **state)
{
    (void)state;
    unsigned threads = threads_at_start;
#ifdef __SANITIZE_THREAD__
    threads++; /* the tool's own, begun with the first of ours */
#endif
    for (int i = 0; i < 20; i++) {
        round_of_runtime(); /* what the C library keeps, it has then */
    }
    unsigned fds = fd_count();
    unsigned maps = map_count();
    size_t rounds = test_scaled(100, 20);
    for (size_t i = 0; i < rounds; i++) {
        round_of_runtime();
    }
    assert_int_equal(fd_count(), fds);
    assert_threads(threads);
#ifndef TEST_SANITIZED
    assert_in_range(map_count(), 0, maps + rounds / 2);
#endif
    (void)maps;
}

int main(void)
{
    threads_at_start = thread_count();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_322_run_gives_the_value),
        cmocka_unit_test(item_322_run_gives_the_error),
        cmocka_unit_test(a_failure_not_returned_is_none),
        cmocka_unit_test(item_323_333_running_inside_is_busy),
        cmocka_unit_test(a_task_hosts_a_runtime),
        cmocka_unit_test(item_328_330_runs_again_and_again),
        cmocka_unit_test(several_threads_run_at_once),
        cmocka_unit_test(unfinished_tasks_live_on),
        cmocka_unit_test(waiting_on_a_thread),
        cmocka_unit_test(many_threads_wait_for_one),
        cmocka_unit_test(two_runtimes_serve_each_other),
        cmocka_unit_test(a_cancel_crosses_runtimes),
        cmocka_unit_test(a_close_gives_descriptors_back),
        cmocka_unit_test(a_hundred_runtimes_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
