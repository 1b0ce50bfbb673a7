/* SPDX-License-Identifier: MIT */
/*
 * Goal: what can be done to a timer while its callback runs: it is waited for, not run beside
 * itself, stopped, started and destroyed, by the callback and by others.
 *
 * Method: as test_rt_timer.c. A callback that is to be met while it runs is held up by a flag.
 */
#include "task_help.h"

struct tick {
    weft_timer *timer;
    shared_int calls;
};

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

/* --- while the callback runs ------------------------------------------------------------------ */

struct busy {
    weft_timer *timer;
    shared_int entered;
    shared_int may_leave;
    shared_int left;
    shared_int returned; /* of those who waited */
};

static void stay_busy(void *arg)
{
    struct busy *b = arg;
    atomic_add_seq_cst(&b->entered, 1);
    spin_until(&b->may_leave, 1);
    struct timespec t = {0, 1000000};
    nanosleep(&t, NULL); /* whoever does not wait for us is seen to be early */
    atomic_add_seq_cst(&b->left, 1);
}

static void *stop_and_see(void *arg)
{
    struct busy *b = arg;
    CHECK(!weft_timer_stop_and_wait(b->timer));
    CHECK_EQUAL(atomic_load_seq_cst(&b->left), 1);
    atomic_add_seq_cst(&b->returned, 1);
    return NULL;
}

static void item_65_threads_wait_for_a_running_callback(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    for (int round = 0; round < 10; round++) {
        struct busy b = {0};
        b.timer = create_timer(rt, stay_busy, &b);
        assert_int_equal(weft_timer_start(b.timer, 0), 0);
        spin_until(&b.entered, 1);
        assert_false(weft_timer_stop(b.timer)); /* begun: too late, and it does not wait */
        assert_int_equal(atomic_load_seq_cst(&b.left), 0);
        pthread_t one = start_thread(stop_and_see, &b);
        pthread_t two = start_thread(stop_and_see, &b);
        atomic_store_seq_cst(&b.may_leave, 1);
        stop_and_see(&b);
        pthread_join(one, NULL);
        pthread_join(two, NULL);
        weft_timer_destroy(b.timer);
    }
    finish_runtime(rt);
}

static void *task_waits_main(void *arg)
{
    struct busy *b = arg;
    weft_task *t = weft_spawn(stop_and_see, b);
    weft_task *cancelled = weft_spawn(stop_and_see, b);
    weft_cancel(cancelled); /* it waits all the same */
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_join(cancelled, NULL), 0);
    return NULL;
}

static void *let_leave(void *arg)
{
    struct busy *b = arg;
    wait_a_while();
    atomic_store_seq_cst(&b->may_leave, 1);
    return NULL;
}

static void tasks_wait_for_a_running_callback(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    for (int round = 0; round < 5; round++) {
        struct busy b = {0};
        b.timer = create_timer(rt, stay_busy, &b);
        assert_int_equal(weft_timer_start(b.timer, 0), 0);
        spin_until(&b.entered, 1);
        pthread_t thread = start_thread(let_leave, &b);
        assert_int_equal(weft_runtime_run(rt, task_waits_main, &b, NULL), 0);
        assert_int_equal(atomic_load_seq_cst(&b.returned), 2);
        pthread_join(thread, NULL);
        weft_timer_destroy(b.timer);
    }
    finish_runtime(rt);
}

static void a_timer_may_be_destroyed_while_its_callback_runs(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    for (int round = 0; round < 10; round++) {
        struct busy b = {0};
        b.timer = create_timer(rt, stay_busy, &b);
        assert_int_equal(weft_timer_start(b.timer, 0), 0);
        spin_until(&b.entered, 1);
        weft_timer_destroy(b.timer);
        assert_int_equal(atomic_load_seq_cst(&b.left), 0);
        atomic_store_seq_cst(&b.may_leave, 1);
        spin_until(&b.left, 1);
    }
    finish_runtime(rt);
}

/* A callback that a start meets while it runs is called again, after it has returned. */
struct overlap {
    weft_timer *timer;
    shared_int inside;
    shared_int calls;
    int starts;
};

static void start_and_linger(void *arg)
{
    struct overlap *o = arg;
    CHECK_EQUAL(atomic_add_seq_cst(&o->inside, 1), 0);
    if (atomic_load_seq_cst(&o->calls) < o->starts) {
        CHECK_EQUAL(weft_timer_start(o->timer, 0), 0);
    }
    for (int64_t until = weft_now() + 100 * WEFT_US; weft_now() < until;) {
        /* longer than it takes another worker to find the timer due */
    }
    CHECK_EQUAL(atomic_sub_seq_cst(&o->inside, 1), 1);
    atomic_add_seq_cst(&o->calls, 1);
}

static void *start_from_outside(void *arg)
{
    struct overlap *o = arg;
    while (atomic_load_seq_cst(&o->calls) < o->starts) {
        CHECK_EQUAL(weft_timer_start(o->timer, 0), 0);
        sched_yield();
    }
    return NULL;
}

static void a_callback_does_not_run_beside_itself(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    struct overlap o = {.starts = 60};
    o.timer = create_timer(rt, start_and_linger, &o);
    assert_int_equal(weft_timer_start(o.timer, 0), 0);
    pthread_t thread = start_thread(start_from_outside, &o);
    pthread_join(thread, NULL);
    weft_timer_stop_and_wait(o.timer);
    assert_int_equal(atomic_load_seq_cst(&o.inside), 0);
    weft_timer_destroy(o.timer);
    finish_runtime(rt);
}

/* --- inside the callback ---------------------------------------------------------------------- */

static void stop_oneself(void *arg)
{
    struct tick *tick = arg;
    CHECK(!weft_timer_stop(tick->timer));
    CHECK(!weft_timer_stop_and_wait(tick->timer)); /* does not wait for itself */
    CHECK_EQUAL(weft_timer_start(tick->timer, 0), 0);
    CHECK(weft_timer_stop(tick->timer));
    CHECK_EQUAL(weft_timer_start(tick->timer, 0), 0);
    CHECK(weft_timer_stop_and_wait(tick->timer));
    atomic_add_seq_cst(&tick->calls, 1);
}

static void *stop_oneself_main(void *arg)
{
    struct tick tick = {0};
    tick.timer = create_timer(weft_runtime_current(), stop_oneself, &tick);
    for (int i = 1; i <= 10; i++) {
        CHECK_EQUAL(weft_timer_start(tick.timer, 0), 0);
        yield_until(&tick.calls, i);
    }
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&tick.calls), 10);
    CHECK(!weft_timer_stop_and_wait(tick.timer));
    weft_timer_destroy(tick.timer);
    return arg;
}

static void item_65_a_callback_may_stop_its_timer(void **state)
{
    (void)state;
    run_case(stop_oneself_main, NULL);
}

static void destroy_oneself(void *arg)
{
    struct tick *tick = arg;
    if (atomic_load_seq_cst(&tick->calls) % 2 == 0) {
        CHECK_EQUAL(weft_timer_start(tick->timer, 0), 0); /* goes with the timer */
    }
    weft_timer_destroy(tick->timer);
    atomic_add_seq_cst(&tick->calls, 1);
}

static void *destroy_oneself_main(void *arg)
{
    struct tick tick = {0};
    for (int i = 1; i <= 20; i++) {
        tick.timer = create_timer(weft_runtime_current(), destroy_oneself, &tick);
        CHECK_EQUAL(weft_timer_start(tick.timer, 0), 0);
        yield_until(&tick.calls, i);
    }
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&tick.calls), 20);
    return arg;
}

static void a_callback_may_destroy_its_timer(void **state)
{
    (void)state;
    run_case(destroy_oneself_main, NULL);
}

/* --- a periodic timer and stop_and_wait ------------------------------------------------------- */

struct period {
    weft_timer *timer;
    shared_int calls;
    shared_int is_stopped;
};

static void tick_on(void *arg)
{
    struct period *p = arg;
    CHECK_EQUAL(atomic_load_seq_cst(&p->is_stopped), 0);
    atomic_add_seq_cst(&p->calls, 1);
    CHECK_EQUAL(weft_timer_start(p->timer, 0), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&p->is_stopped), 0);
}

static void a_periodic_timer_is_quiet_after_stop_and_wait(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    for (size_t round = 0; test_goes_on(round, test_scaled(300, 50)); round++) {
        struct period p = {0};
        p.timer = create_timer(rt, tick_on, &p);
        assert_int_equal(weft_timer_start(p.timer, 0), 0);
        spin_until(&p.calls, 1 + (int)(round % 5));
        weft_timer_stop_and_wait(p.timer);
        atomic_store_seq_cst(&p.is_stopped, 1);
        int calls = atomic_load_seq_cst(&p.calls);
        for (int i = 0; i < 20; i++) {
            sched_yield();
        }
        assert_int_equal(atomic_load_seq_cst(&p.calls), calls);
        assert_false(weft_timer_stop(p.timer));
        weft_timer_destroy(p.timer);
    }
    finish_runtime(rt);
}

static void tick_until_destroyed(void *arg)
{
    struct period *p = arg;
    atomic_add_seq_cst(&p->calls, 1);
    int err = weft_timer_start(p->timer, 0);
    CHECK(err == 0 || err == -ESHUTDOWN);
    atomic_store_seq_cst(&p->is_stopped, err != 0);
}

static void a_periodic_timer_may_be_destroyed_at_any_moment(void **state)
{
    (void)state;
    enum { ROUNDS = 200 };
    static struct period p[ROUNDS]; /* a callback may still be running when the next is made */
    weft_runtime *rt = create_runtime(NULL);
    memset(p, 0, sizeof p);
    for (size_t round = 0; test_goes_on(round, ROUNDS); round++) {
        p[round].timer = create_timer(rt, tick_until_destroyed, &p[round]);
        assert_int_equal(weft_timer_start(p[round].timer, 0), 0);
        spin_until(&p[round].calls, 1 + (int)(round % 5));
        weft_timer_destroy(p[round].timer);
    }
    finish_runtime(rt);
}

static void start_after_destroy(void *arg)
{
    struct tick *tick = arg;
    weft_timer_destroy(tick->timer);
    CHECK_EQUAL(weft_timer_start(tick->timer, 0), -ESHUTDOWN);
    CHECK(!weft_timer_stop(tick->timer));
    CHECK_EQUAL(weft_timer_start(tick->timer, WEFT_US), -ESHUTDOWN);
    atomic_add_seq_cst(&tick->calls, 1);
}

static void a_destroyed_timer_cannot_be_started_by_its_callback(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    struct tick tick = {0};
    tick.timer = create_timer(rt, start_after_destroy, &tick);
    assert_int_equal(weft_timer_start(tick.timer, 0), 0);
    spin_until(&tick.calls, 1);
    wait_a_while();
    assert_int_equal(atomic_load_seq_cst(&tick.calls), 1);
    finish_runtime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_65_threads_wait_for_a_running_callback),
        cmocka_unit_test(tasks_wait_for_a_running_callback),
        cmocka_unit_test(a_timer_may_be_destroyed_while_its_callback_runs),
        cmocka_unit_test(a_callback_does_not_run_beside_itself),
        cmocka_unit_test(item_65_a_callback_may_stop_its_timer),
        cmocka_unit_test(a_callback_may_destroy_its_timer),
        cmocka_unit_test(a_periodic_timer_is_quiet_after_stop_and_wait),
        cmocka_unit_test(a_periodic_timer_may_be_destroyed_at_any_moment),
        cmocka_unit_test(a_destroyed_timer_cannot_be_started_by_its_callback),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
