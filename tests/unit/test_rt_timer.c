/* SPDX-License-Identifier: MIT */
/*
 * Goal: timers: called once for each start, never early, and not when they were stopped in time; by
 * tasks and threads.
 *
 * Method: as test_rt_task.c. That a timer was not called is looked at a good while after it would
 * have been due. What is done while the callback runs is in test_rt_timer_busy.c.
 */
#include "task_help.h"

struct tick {
    weft_timer *timer;
    shared_int calls;
    int64_t last_ns;
};

static void count_tick(void *arg)
{
    struct tick *tick = arg;
    tick->last_ns = weft_now();
    CHECK(weft_runtime_current() != NULL);
    CHECK(weft_self() == NULL);
    atomic_add_seq_cst(&tick->calls, 1);
}

static weft_timer *create_timer(weft_runtime *rt, weft_callback_fn fn, void *arg)
{
    weft_timer *timer = NULL;
    CHECK_EQUAL(weft_timer_create(&timer, rt, fn, arg), 0);
    return timer;
}

/* Outside a task: long enough for what is due by then, were it not stopped. */
static void wait_a_while(void)
{
    struct timespec t = {0, 5000000};
    nanosleep(&t, NULL);
}

/* --- called ----------------------------------------------------------------------------------- */

static void *once_main(void *arg)
{
    static const int64_t delays[] = {WEFT_US, 300 * WEFT_US, 3 * WEFT_MS, 0, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        struct tick tick = {0};
        weft_timer *t = create_timer(weft_runtime_current(), count_tick, &tick);
        for (int round = 1; round <= 3; round++) {
            int64_t before = weft_now();
            CHECK_EQUAL(weft_timer_start(t, delays[i]), 0);
            yield_until(&tick.calls, round);
            CHECK(delays[i] < 0 || tick.last_ns - before >= delays[i]);
            settle();
            CHECK_EQUAL(atomic_load_seq_cst(&tick.calls), round);
        }
        CHECK(!weft_timer_stop(t)); /* it was called: there is nothing to prevent */
        weft_timer_destroy(t);
    }
    return arg;
}

static void a_timer_is_called_once_a_start_and_never_early(void **state)
{
    (void)state;
    run_case(once_main, NULL);
}

static void a_thread_may_start_a_timer(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    struct tick tick = {0};
    weft_timer *t = create_timer(rt, count_tick, &tick);
    for (int i = 1; i <= 5; i++) {
        int64_t before = weft_now();
        assert_int_equal(weft_timer_start(t, i % 2 == 0 ? 0 : WEFT_MS), 0);
        spin_until(&tick.calls, i);
        assert_true(tick.last_ns - before >= (i % 2 == 0 ? 0 : WEFT_MS));
    }
    weft_timer_destroy(t);
    finish_runtime(rt);
}

static void a_sleeping_runtime_is_woken_for_an_earlier_timer(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    struct tick late = {0}, early = {0};
    weft_timer *a = create_timer(rt, count_tick, &late);
    weft_timer *b = create_timer(rt, count_tick, &early);
    assert_int_equal(weft_timer_start(a, 60 * WEFT_MINUTE), 0);
    wait_a_while();
    assert_int_equal(weft_timer_start(b, WEFT_MS), 0);
    spin_until(&early.calls, 1);
    assert_int_equal(atomic_load_seq_cst(&late.calls), 0);
    assert_int_equal(weft_timer_start(a, WEFT_MS), 0); /* moves it */
    spin_until(&late.calls, 1);
    weft_timer_destroy(a);
    weft_timer_destroy(b);
    finish_runtime(rt);
}

static void *moved_main(void *arg)
{
    struct tick tick = {0};
    weft_timer *t = create_timer(weft_runtime_current(), count_tick, &tick);
    int64_t before = weft_now();
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(weft_timer_start(t, WEFT_MS), 0); /* later and later */
    }
    CHECK_EQUAL(weft_timer_start(t, 10 * WEFT_MS), 0);
    yield_until(&tick.calls, 1);
    CHECK(tick.last_ns - before >= 10 * WEFT_MS);
    CHECK_EQUAL(weft_timer_start(t, 60 * WEFT_MINUTE), 0);
    CHECK_EQUAL(weft_timer_start(t, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_timer_start(t, WEFT_US), 0); /* earlier */
    yield_until(&tick.calls, 2);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&tick.calls), 2);
    weft_timer_destroy(t);
    return arg;
}

static void a_start_moves_a_timer_that_is_running(void **state)
{
    (void)state;
    run_case(moved_main, NULL);
}

static void start_anew(void *arg)
{
    struct tick *tick = arg;
    if (atomic_add_seq_cst(&tick->calls, 1) + 1 < 20) {
        CHECK_EQUAL(weft_timer_start(tick->timer, 50 * WEFT_US), 0);
    }
}

static void *periodic_main(void *arg)
{
    struct tick tick = {0};
    tick.timer = create_timer(weft_runtime_current(), start_anew, &tick);
    int64_t before = weft_now();
    CHECK_EQUAL(weft_timer_start(tick.timer, 50 * WEFT_US), 0);
    yield_until(&tick.calls, 20);
    CHECK(weft_now() - before >= 20 * 50 * WEFT_US);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&tick.calls), 20);
    weft_timer_destroy(tick.timer);
    return arg;
}

static void a_timer_that_starts_itself_is_periodic(void **state)
{
    (void)state;
    run_case(periodic_main, NULL);
}

enum { MANY = 300 };

static void *many_main(void *arg)
{
    static struct tick ticks[MANY];
    uint64_t random = test_seed();
    memset(ticks, 0, sizeof ticks);
    for (int i = 0; i < MANY; i++) {
        ticks[i].timer = create_timer(weft_runtime_current(), count_tick, &ticks[i]);
        int64_t delay = (int64_t)(test_random(&random) % (uint64_t)(5 * WEFT_MS));
        CHECK_EQUAL(weft_timer_start(ticks[i].timer, delay), 0);
        if (i % 16 == 0) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    for (int i = 0; i < MANY; i++) {
        yield_until(&ticks[i].calls, 1);
    }
    settle();
    for (int i = 0; i < MANY; i++) {
        CHECK_EQUAL(atomic_load_seq_cst(&ticks[i].calls), 1);
        weft_timer_destroy(ticks[i].timer);
    }
    return arg;
}

static void each_of_many_timers_is_called_once(void **state)
{
    (void)state;
    run_case(many_main, NULL);
}

struct sequence {
    shared_int count;
    int seen[10];
};

struct step {
    struct sequence *sequence;
    int number;
    weft_timer *timer;
};

static void take_step(void *arg)
{
    struct step *s = arg;
    s->sequence->seen[atomic_load_seq_cst(&s->sequence->count)] = s->number;
    atomic_add_seq_cst(&s->sequence->count, 1);
}

/* Each timer is due a step before the one started before it. Returns false when the machine was too
 * busy to start two of them within a step. */
static bool overdue_in_time(int64_t step_ns)
{
    struct sequence q = {0};
    struct step steps[10];
    int64_t begun[10];
    bool is_in_time = true;
    for (int i = 0; i < 10; i++) {
        steps[i] = (struct step){&q, i, NULL};
        steps[i].timer = create_timer(weft_runtime_current(), take_step, &steps[i]);
        begun[i] = weft_now();
        CHECK_EQUAL(weft_timer_start(steps[i].timer, (20 - i) * step_ns), 0);
        is_in_time = is_in_time && (i == 0 || weft_now() - begun[i - 1] < step_ns);
    }
    for (int64_t until = weft_now() + 20 * step_ns; weft_now() < until;) {
        /* all come to be due while the worker is busy */
    }
    yield_until(&q.count, 10);
    for (int i = 0; i < 10; i++) {
        CHECK(!is_in_time || q.seen[i] == 9 - i);
        weft_timer_destroy(steps[i].timer);
    }
    return is_in_time;
}

static void *overdue_main(void *arg)
{
    int64_t step_ns = 100 * WEFT_US;
    while (!overdue_in_time(step_ns)) {
        step_ns *= 2;
    }
    return arg;
}

static void on_one_worker_the_most_overdue_is_called_first(void **state)
{
    (void)state;
    run_case_alone(overdue_main, NULL);
}

/* --- stopped ---------------------------------------------------------------------------------- */

static void *stop_main(void *arg)
{
    struct tick tick = {0};
    weft_timer *t = create_timer(weft_runtime_current(), count_tick, &tick);
    CHECK(!weft_timer_stop(t)); /* never started */
    CHECK(!weft_timer_stop_and_wait(t));
    CHECK_EQUAL(weft_timer_start(t, 50 * WEFT_MS), 0);
    CHECK(weft_timer_stop(t));
    CHECK(!weft_timer_stop(t));
    CHECK_EQUAL(weft_timer_start(t, 50 * WEFT_MS), 0);
    CHECK(weft_timer_stop_and_wait(t));
    CHECK(!weft_timer_stop_and_wait(t));
    CHECK_EQUAL(weft_timer_start(t, WEFT_FOREVER), 0);
    CHECK(weft_timer_stop(t));
    CHECK_EQUAL(weft_sleep(60 * WEFT_MS), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&tick.calls), 0);
    weft_timer_destroy(t);

    t = create_timer(weft_runtime_current(), count_tick, &tick);
    CHECK_EQUAL(weft_timer_start(t, 10 * WEFT_MS), 0);
    weft_timer_destroy(t);
    CHECK_EQUAL(weft_sleep(20 * WEFT_MS), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&tick.calls), 0);
    weft_timer_destroy(NULL);
    return arg;
}

static void item_61_a_stopped_timer_is_not_called(void **state)
{
    (void)state;
    run_case(stop_main, NULL);
}

static void *stop_due_main(void *arg)
{
    struct tick tick = {0};
    weft_timer *t = create_timer(weft_runtime_current(), count_tick, &tick);
    for (int i = 0; i < 50; i++) {
        CHECK_EQUAL(weft_timer_start(t, 0), 0);
        CHECK(weft_timer_stop(t)); /* one worker, no wait in between: due, and prevented */
        CHECK_EQUAL(weft_yield(), 0);
    }
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&tick.calls), 0);
    weft_timer_destroy(t);
    return arg;
}

static void a_due_timer_that_is_stopped_in_time_is_not_called(void **state)
{
    (void)state;
    run_case_alone(stop_due_main, NULL);
}

/* Every start of one thread or task is either called or prevented. */
static void *start_and_stop(void *arg)
{
    weft_runtime *rt = arg;
    struct tick tick = {0};
    weft_timer *t = create_timer(rt, count_tick, &tick);
    int prevented = 0;
    int starts = (int)test_scaled(2000, 300);
    uint64_t random = (uint64_t)(uintptr_t)t;
    for (int i = 0; i < starts; i++) {
        CHECK_EQUAL(weft_timer_start(t, (int64_t)(test_random(&random) % 30) * WEFT_US), 0);
        for (uint64_t spin = test_random(&random) % 4000; spin > 0; spin--) {
            __asm__ volatile("");
        }
        if (i % 2 == 0 && weft_self() != NULL) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        prevented += weft_timer_stop_and_wait(t);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&tick.calls) + prevented, starts);
    weft_timer_destroy(t);
    return NULL;
}

static void *stop_race_main(void *arg)
{
    weft_task *t[3];
    pthread_t thread = start_thread(start_and_stop, weft_runtime_current());
    for (int i = 0; i < 3; i++) {
        t[i] = weft_spawn(start_and_stop, weft_runtime_current());
    }
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void item_64_each_start_is_called_or_prevented(void **state)
{
    (void)state;
    run_case(stop_race_main, NULL);
}

/* --- refused ---------------------------------------------------------------------------------- */

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    weft_timer *untouched = (weft_timer *)&rt;
    weft_timer *t = untouched;
    assert_int_equal(weft_timer_create(NULL, rt, count_tick, NULL), -EINVAL);
    assert_int_equal(weft_timer_create(&t, NULL, count_tick, NULL), -EINVAL);
    assert_int_equal(weft_timer_create(&t, rt, NULL, NULL), -EINVAL);
    assert_ptr_equal(t, untouched);

    struct tick tick = {0};
    weft_timer *ahead = create_timer(rt, count_tick, &tick);
    assert_int_equal(weft_timer_start(ahead, 60 * WEFT_MINUTE), 0);
    assert_int_equal(weft_runtime_close(rt), 0); /* what is not due is dropped */
    assert_int_equal(atomic_load_seq_cst(&tick.calls), 0);
    assert_int_equal(weft_timer_start(ahead, 0), -ESHUTDOWN);
    assert_int_equal(weft_timer_create(&t, rt, count_tick, NULL), -ESHUTDOWN);
    assert_ptr_equal(t, untouched);
    weft_timer_stop_and_wait(ahead);
    weft_timer_destroy(ahead);
    assert_int_equal(weft_runtime_destroy(rt), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_is_called_once_a_start_and_never_early),
        cmocka_unit_test(a_thread_may_start_a_timer),
        cmocka_unit_test(a_sleeping_runtime_is_woken_for_an_earlier_timer),
        cmocka_unit_test(a_start_moves_a_timer_that_is_running),
        cmocka_unit_test(a_timer_that_starts_itself_is_periodic),
        cmocka_unit_test(each_of_many_timers_is_called_once),
        cmocka_unit_test(on_one_worker_the_most_overdue_is_called_first),
        cmocka_unit_test(item_61_a_stopped_timer_is_not_called),
        cmocka_unit_test(a_due_timer_that_is_stopped_in_time_is_not_called),
        cmocka_unit_test(item_64_each_start_is_called_or_prevented),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
