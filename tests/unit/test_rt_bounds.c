/* SPDX-License-Identifier: MIT */
/*
 * Goal: sizes, counts and times that are out of range are refused as the headers say, or mean what
 * the nearest one in range means, and nothing has changed then; no sum of them wraps.
 *
 * Method: tables of the ends of each type, given to each public call that takes a number. With the
 * undefined-behaviour sanitizer a sum that wraps ends the test. Descriptors and streams:
 * test_io_bounds.c.
 *
 * Workers: 1 2
 */
#include "task_help.h"

#include <limits.h>
#include <signal.h>

#define COUNT_OF(table) (sizeof(table) / sizeof(table)[0])

/* Nothing has so many bytes. */
static const size_t too_many[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 64, SIZE_MAX - 4096,
                                  SIZE_MAX / 2 + 1, SIZE_MAX / 2};

static const int64_t past[] = {INT64_MIN, INT64_MIN + 1, -WEFT_SECOND, -1, 0};

/* WEFT_FOREVER is no time, the others are some day. */
static const int64_t far[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX - WEFT_SECOND, INT64_MAX / 2};

static void *end_at_once(void *arg)
{
    return arg;
}

static void *sleep_for_ever(void *arg)
{
    (void)arg;
    return weft_fail(weft_sleep(WEFT_FOREVER));
}

/* --- what has elements ------------------------------------------------------------------------ */

static void *elements_main(void *arg)
{
    static const struct {
        size_t bytes;
        size_t count;
    } sizes[] = {
        {SIZE_MAX, 1},         {SIZE_MAX, SIZE_MAX}, {1, SIZE_MAX},
        {1, SIZE_MAX - 100},   {SIZE_MAX / 2, 3},    {(size_t)1 << 32, (size_t)1 << 32},
        {SIZE_MAX / 2 + 1, 2}, {8, SIZE_MAX / 8},    {8, SIZE_MAX / 8 + 1},
    };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        CHECK(weft_channel_create(sizes[i].bytes, sizes[i].count) == NULL);
        CHECK(weft_broadcast_create(sizes[i].bytes, sizes[i].count) == NULL);
    }
    CHECK(weft_broadcast_create(8, 0) == NULL);
    for (size_t i = 0; i < COUNT_OF(too_many); i++) {
        CHECK(weft_watch_create(too_many[i], "") == NULL);
    }
    CHECK(weft_queue_create((enum weft_queue_kind)3, 1) == NULL);
    CHECK(weft_queue_create((enum weft_queue_kind)UINT32_MAX, 1) == NULL);
    return arg;
}

/* As many as can be counted, of nothing, and a queue of any length. */
static void *longest_main(void *arg)
{
    weft_channel *c = weft_channel_create(0, SIZE_MAX);
    weft_broadcast *b = weft_broadcast_create(0, SIZE_MAX);
    weft_queue *q = weft_queue_create(WEFT_FIFO, SIZE_MAX);
    struct weft_subscription s;
    uint64_t missed = 1;
    CHECK_EQUAL(weft_broadcast_subscribe(b, &s), 0);
    for (intptr_t i = 1; i <= 100; i++) {
        CHECK_EQUAL(weft_channel_try_send(c, NULL), 0);
        CHECK_EQUAL(weft_broadcast_send(b, NULL), 0);
        CHECK_EQUAL(weft_queue_try_put(q, (void *)i), 0);
    }
    for (intptr_t i = 1; i <= 100; i++) {
        void *item = NULL;
        CHECK_EQUAL(weft_channel_try_receive(c, NULL), 0);
        CHECK_EQUAL(weft_broadcast_try_receive(&s, NULL, &missed), 0);
        CHECK_EQUAL(missed, 0);
        CHECK_EQUAL(weft_queue_try_get(q, &item), 0);
        CHECK_EQUAL((intptr_t)item, i);
    }
    CHECK_EQUAL(weft_channel_try_receive(c, NULL), -EAGAIN);
    CHECK_EQUAL(weft_channel_destroy(c), 0);
    CHECK_EQUAL(weft_broadcast_destroy(b), 0);
    CHECK_EQUAL(weft_queue_destroy(q), 0);
    return arg;
}

static void test_elements_that_nothing_holds(void **state)
{
    (void)state;
    run_case(elements_main, NULL);
    run_case(longest_main, NULL);
}

/* --- permits ---------------------------------------------------------------------------------- */

static void *permits_main(void *arg)
{
    static const int64_t no_value[] = {-1, INT64_MIN, WEFT_SEMAPHORE_MAX + 1, INT64_MAX};
    static const int64_t no_count[] = {0, -1, INT64_MIN};
    static const int no_parties[] = {0, -1, INT_MIN};
    struct weft_semaphore s;
    struct weft_barrier b;
    for (size_t i = 0; i < COUNT_OF(no_parties); i++) {
        CHECK_EQUAL(weft_barrier_init(&b, no_parties[i]), -EINVAL);
    }
    CHECK_EQUAL(weft_barrier_init(&b, INT_MAX), 0);
    CHECK_EQUAL(weft_semaphore_init(&s, 3), 0);
    for (size_t i = 0; i < COUNT_OF(no_value); i++) {
        CHECK_EQUAL(weft_semaphore_init(&s, no_value[i]), -EINVAL);
        CHECK_EQUAL(weft_bounded_semaphore_init(&s, no_value[i]), -EINVAL);
    }
    for (size_t i = 0; i < COUNT_OF(no_count); i++) {
        CHECK_EQUAL(weft_semaphore_acquire_many(&s, no_count[i]), -EINVAL);
        CHECK_EQUAL(weft_semaphore_release_many(&s, no_count[i]), -EINVAL);
    }
    CHECK_EQUAL(weft_semaphore_acquire_many(&s, INT64_MAX), -EINVAL);
    CHECK_EQUAL(weft_semaphore_release_many(&s, INT64_MAX), -EOVERFLOW);
    CHECK_EQUAL(weft_semaphore_release_many(&s, WEFT_SEMAPHORE_MAX - 2), -EOVERFLOW);
    CHECK_EQUAL(weft_semaphore_value(&s), 3);
    CHECK_EQUAL(weft_semaphore_release_many(&s, WEFT_SEMAPHORE_MAX - 3), 0);
    CHECK_EQUAL(weft_semaphore_release(&s), -EOVERFLOW);
    CHECK_EQUAL(weft_semaphore_value(&s), WEFT_SEMAPHORE_MAX);
    CHECK_EQUAL(weft_semaphore_acquire_many(&s, WEFT_SEMAPHORE_MAX), 0);
    CHECK_EQUAL(weft_semaphore_value(&s), 0);
    return arg;
}

static void test_permits_that_there_cannot_be(void **state)
{
    (void)state;
    run_case(permits_main, NULL);
}

/* --- times ------------------------------------------------------------------------------------ */

static void count_call(void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
}

static void *past_main(void *arg)
{
    for (size_t i = 0; i < COUNT_OF(past); i++) {
        shared_int calls = 0;
        weft_timer *timer = NULL;
        weft_future *f = weft_future_create();
        CHECK_EQUAL(weft_sleep(past[i]), 0);
        CHECK_EQUAL(weft_sleep_until(past[i]), 0);
        CHECK_EQUAL(weft_wait_for(f, past[i], NULL), -ETIMEDOUT);
        weft_put(f);
        WEFT_TIMEOUT(past[i]) {
            CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ETIMEDOUT);
        }
        CHECK_EQUAL(weft_timer_create(&timer, weft_runtime_current(), count_call, &calls), 0);
        CHECK_EQUAL(weft_timer_start(timer, past[i]), 0);
        yield_until(&calls, 1);
        (void)weft_timer_stop_and_wait(timer);
        weft_timer_destroy(timer);
    }
    return arg;
}

static void *far_main(void *arg)
{
    for (size_t i = 0; i < COUNT_OF(far); i++) {
        shared_int calls = 0;
        weft_timer *timer = NULL;
        weft_task *t = weft_spawn(end_at_once, NULL);
        CHECK_EQUAL(weft_wait_for(t, far[i], NULL), 0);
        weft_put(t);
        WEFT_TIMEOUT(far[i]) {
            CHECK(weft_deadline() > weft_now());
            CHECK_EQUAL(weft_sleep(0), 0);
            WEFT_TIMEOUT(0) {
                CHECK_EQUAL(weft_sleep(far[i]), -ETIMEDOUT);
                CHECK_EQUAL(weft_sleep_until(far[i]), -ETIMEDOUT);
            }
        }
        CHECK_EQUAL(weft_timer_create(&timer, weft_runtime_current(), count_call, &calls), 0);
        CHECK_EQUAL(weft_timer_start(timer, far[i]), 0);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK(weft_timer_stop(timer));
        CHECK_EQUAL(atomic_load_seq_cst(&calls), 0);
        weft_timer_destroy(timer);
    }
    return arg;
}

static void test_times_at_the_ends(void **state)
{
    (void)state;
    run_case(past_main, NULL);
    run_case(far_main, NULL);
}

static void *last_day_main(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER - 1), 0);
    for (int i = 0; i < 100000; i++) {
        CHECK(weft_now() > 0); /* a simulation's clock goes on a little when it is asked */
    }
    CHECK_EQUAL(weft_sleep(WEFT_SECOND), 0);
    CHECK_EQUAL(weft_yield(), 0);
    return arg;
}

/* A simulation gets there. */
static void test_the_end_of_time(void **state)
{
    (void)state;
    struct weft_options options = {.simulation = true, .seed = 1};
    CHECK_EQUAL(weft_run_with(&options, last_day_main, NULL, NULL), 0);
}

static void test_times_of_a_thread(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    weft_task *t = NULL;
    CHECK_EQUAL(weft_runtime_spawn(rt, sleep_for_ever, NULL, &t), 0);
    for (size_t i = 0; i < COUNT_OF(past); i++) {
        CHECK_EQUAL(weft_future_wait_blocking(t, past[i], NULL), -ETIMEDOUT);
    }
    CHECK(weft_cancel(t));
    for (size_t i = 0; i < COUNT_OF(far); i++) {
        CHECK_EQUAL(weft_future_wait_blocking(t, far[i], NULL), -ECANCELED);
    }
    weft_put(t);
    finish_runtime(rt);
}

/* --- how many are waited for ------------------------------------------------------------------ */

static void *many_main(void *arg)
{
    weft_task *t = weft_spawn(sleep_for_ever, NULL);
    weft_future *const f[1] = {t};
    void *results[1] = {arg};
    struct weft_as_completed it;
    for (size_t i = 0; i < COUNT_OF(too_many); i++) {
        size_t n = too_many[i];
        struct weft_race race = {.count = n, .fn = end_at_once};
        void *winner = arg;
        CHECK_EQUAL(weft_gather(n, f, results, NULL), -ENOMEM);
        CHECK_EQUAL(weft_wait(n, f, WEFT_ALL_COMPLETED), -EINVAL);
        CHECK_EQUAL(weft_as_completed_init(&it, n, f), -ENOMEM);
        CHECK_EQUAL(weft_staggered_race(&race, &winner), -EINVAL);
        CHECK_EQUAL(weft_select((struct weft_select_case[1]){{.channel = NULL}}, n), -EINVAL);
        CHECK_EQUAL(weft_all_tasks(weft_runtime_current(), NULL, n), 2);
        CHECK_EQUAL(weft_awaiters(t, NULL, n), 0);
    }
    CHECK_EQUAL(weft_gather(1, NULL, NULL, NULL), -EINVAL);
    CHECK_EQUAL(weft_wait((size_t)INT_MAX + 1, f, WEFT_ALL_COMPLETED), -EINVAL);
    CHECK_EQUAL(weft_wait(0, f, WEFT_ALL_COMPLETED), -EINVAL);
    CHECK_EQUAL(weft_wait(1, f, (enum weft_wait_mode)99), -EINVAL);
    CHECK_EQUAL(weft_as_completed_init(&it, 1, NULL), -EINVAL);
    CHECK(!weft_done(t) && results[0] == arg);
    CHECK_EQUAL(weft_cancel_and_join(t, NULL), -ECANCELED);
    return arg;
}

static void test_more_than_can_be_waited_for(void **state)
{
    (void)state;
    run_case(many_main, NULL);
}

/* --- stacks, names, signals ------------------------------------------------------------------- */

static void *spawn_main(void *arg)
{
    static const size_t no_stack[] = {1, WEFT_STACK_BYTES_MIN - 1, WEFT_STACK_BYTES_MAX + 1,
                                      SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(no_stack); i++) {
        struct weft_spawn_options o = {.stack_bytes = no_stack[i]};
        CHECK(weft_spawn_with(&o, end_at_once, NULL) == NULL);
    }
    static char name[100000];
    memset(name, 'n', sizeof name - 1);
    struct weft_spawn_options o = {.name = name, .stack_bytes = WEFT_STACK_BYTES_MIN};
    weft_task *t = weft_spawn_with(&o, end_at_once, NULL);
    char few[8];
    CHECK_EQUAL(weft_task_name(t, NULL, 0), sizeof name - 1);
    CHECK_EQUAL(weft_task_name(t, few, 0), sizeof name - 1);
    CHECK_EQUAL(weft_task_name(t, few, sizeof few), sizeof name - 1);
    CHECK_EQUAL(strlen(few), sizeof few - 1);
    CHECK_EQUAL(weft_task_set_name(t, name), 0);
    CHECK(weft_describe(t, few, sizeof few) > (ssize_t)sizeof few);
    CHECK(weft_describe(t, NULL, 0) > (ssize_t)sizeof few);
    CHECK_EQUAL(weft_backtrace(t, NULL, 0), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void ignore_signal(int signo, void *arg)
{
    (void)signo;
    (void)arg;
}

static void *signals_main(void *arg)
{
    const int none[] = {0, -1, INT_MIN, INT_MAX, NSIG, SIGRTMAX + 1, SIGKILL, SIGSTOP, SIGSEGV};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        CHECK_EQUAL(weft_on_signal(none[i], ignore_signal, NULL), -EINVAL);
        CHECK_EQUAL(weft_on_signal_remove(none[i], ignore_signal, NULL), 0);
    }
    return arg;
}

static void test_stacks_names_and_signals(void **state)
{
    (void)state;
    run_case(spawn_main, NULL);
    run_case(signals_main, NULL);
}

/* --- pools and runtimes ----------------------------------------------------------------------- */

static void test_pools_that_are_refused(void **state)
{
    (void)state;
    static const struct weft_pool_options odd[] = {
        {.threads_max = WEFT_BLOCKING_THREADS_MAX + 1},
        {.threads_max = UINT_MAX},
        {.idle_ns = -1},
        {.idle_ns = INT64_MIN},
        {.close_grace_ns = -1},
        {.close_grace_ns = INT64_MIN},
        {.reserved = {[3] = 1}},
    };
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        weft_pool *pool = NULL;
        CHECK_EQUAL(weft_pool_create(&odd[i], &pool), -EINVAL);
        CHECK(pool == NULL);
    }
}

static void *job_main(void *arg)
{
    void *value = NULL;
    weft_pool *pool = NULL;
    for (size_t i = 0; i < COUNT_OF(far); i++) {
        struct weft_pool_options o = {
            .idle_ns = far[i],
            .close_grace_ns = far[i],
            .queue_max = UINT64_MAX,
            .threads_max = 1,
        };
        CHECK_EQUAL(weft_pool_create(&o, &pool), 0);
        weft_future *f = weft_submit_blocking(pool, end_at_once, &pool);
        CHECK_EQUAL(weft_await(f, &value), 0);
        CHECK(value == &pool);
        weft_put(f);
        CHECK_EQUAL(weft_pool_close(pool), 0);
    }
    CHECK_EQUAL(weft_run_blocking(end_at_once, arg, &value), 0);
    CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    return arg;
}

static void test_runtimes_that_are_refused(void **state)
{
    (void)state;
    static const struct weft_options odd[] = {
        {.workers = WEFT_WORKERS_MAX + 1},
        {.workers = UINT_MAX},
        {.workers = 2, .simulation = true},
        {.ring_entries = 7},
        {.ring_entries = 32769},
        {.ring_entries = UINT_MAX},
        {.stack_bytes = 1},
        {.stack_bytes = WEFT_STACK_BYTES_MAX + 1},
        {.stack_bytes = SIZE_MAX},
        {.backend = (enum weft_backend)3},
        {.backend = (enum weft_backend)UINT32_MAX},
        {.overflow_report = 1},
        {.overflow_report = INT_MIN},
        {.interrupt = 1},
        {.kick_signal = -2},
        {.kick_signal = INT_MAX},
        {.kick_signal = INT_MIN},
        {.blocking_signal = 32},
        {.blocking_signal = INT_MAX},
        {.spin_ns = -1},
        {.slice_ns = INT64_MIN},
        {.slow_ns = -1},
        {.close_grace_ns = INT64_MIN},
        {.blocking_idle_ns = -1},
        {.blocking_threads_max = WEFT_BLOCKING_THREADS_MAX + 1},
        {.blocking_threads_max = UINT_MAX},
        {.reserved = {[8] = 1}},
    };
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        weft_runtime *rt = NULL;
        CHECK_EQUAL(weft_runtime_create(&rt, &odd[i]), -EINVAL);
        CHECK(rt == NULL);
        CHECK_EQUAL(weft_run_with(&odd[i], end_at_once, NULL, NULL), -EINVAL);
    }
}

static void test_runtimes_with_all_the_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(far); i++) {
        struct weft_options options = {
            .spin_ns = far[i],
            .slice_ns = far[i],
            .slow_ns = far[i],
            .close_grace_ns = far[i],
            .blocking_idle_ns = far[i],
            .ring_entries = 32768,
            .debug = true,
        };
        run_case_with(&options, job_main, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements_that_nothing_holds),
        cmocka_unit_test(test_permits_that_there_cannot_be),
        cmocka_unit_test(test_times_at_the_ends),
        cmocka_unit_test(test_the_end_of_time),
        cmocka_unit_test(test_times_of_a_thread),
        cmocka_unit_test(test_more_than_can_be_waited_for),
        cmocka_unit_test(test_stacks_names_and_signals),
        cmocka_unit_test(test_pools_that_are_refused),
        cmocka_unit_test(test_runtimes_that_are_refused),
        cmocka_unit_test(test_runtimes_with_all_the_time),
    };

    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
