/* SPDX-License-Identifier: MIT */
/* The semaphore: permits are neither lost nor doubled, and are given in the order of asking. */
#include "task_help.h"

static struct weft_semaphore semaphore;
static shared_int arrived;
static shared_int served;

struct each {
    int64_t wants;
    int got;
    int place; /* in the order in which they were served; from 1 on */
};

static void *acquire(void *arg)
{
    struct each *e = arg;
    atomic_add_seq_cst(&arrived, 1);
    e->got = e->wants == 1 ? weft_semaphore_acquire(&semaphore)
                           : weft_semaphore_acquire_many(&semaphore, e->wants);
    if (e->got == 0) {
        e->place = atomic_add_seq_cst(&served, 1) + 1;
    }
    return NULL;
}

static void begin(int64_t value)
{
    CHECK_EQUAL(weft_semaphore_init(&semaphore, value), 0);
    atomic_store_seq_cst(&arrived, 0);
    atomic_store_seq_cst(&served, 0);
}

static weft_task *spawn_acquirer(struct each *e)
{
    int before = atomic_load_seq_cst(&arrived);
    weft_task *t = weft_spawn(acquire, e);
    CHECK(t != NULL);
    yield_until(&arrived, before + 1);
    settle();
    return t;
}

static void item_186_values(void **state)
{
    (void)state;
    struct weft_semaphore s = WEFT_SEMAPHORE_INIT(2);
    assert_int_equal(weft_semaphore_value(&s), 2);
    assert_int_equal(weft_semaphore_init(&s, -1), -EINVAL);
    assert_int_equal(weft_semaphore_init(&s, WEFT_SEMAPHORE_MAX + 1), -EINVAL);
    assert_int_equal(weft_semaphore_value(&s), 2);
    assert_int_equal(weft_semaphore_tryacquire(&s), 0);
    assert_int_equal(weft_semaphore_tryacquire(&s), 0);
    assert_int_equal(weft_semaphore_tryacquire(&s), -EAGAIN);
    assert_int_equal(weft_semaphore_init(&s, 0), 0);
    assert_int_equal(weft_semaphore_tryacquire(&s), -EAGAIN);
    assert_int_equal(weft_semaphore_release(&s), 0);
    assert_int_equal(weft_semaphore_release_many(&s, 3), 0);
    assert_int_equal(weft_semaphore_release_many(&s, 0), -EINVAL);
    assert_int_equal(weft_semaphore_value(&s), 4);
    assert_int_equal(weft_semaphore_acquire(&s), -EPERM);
    assert_int_equal(weft_semaphore_acquire_many(&s, 1), -EPERM);
}

static void item_192_bounds(void **state)
{
    (void)state;
    struct weft_semaphore s = WEFT_BOUNDED_SEMAPHORE_INIT(1);
    assert_int_equal(weft_semaphore_release(&s), -EOVERFLOW);
    assert_int_equal(weft_semaphore_tryacquire(&s), 0);
    assert_int_equal(weft_semaphore_release_many(&s, 2), -EOVERFLOW);
    assert_int_equal(weft_semaphore_value(&s), 0);
    assert_int_equal(weft_semaphore_release(&s), 0);
    assert_int_equal(weft_bounded_semaphore_init(&s, 0), -EINVAL);
    assert_int_equal(weft_bounded_semaphore_init(&s, -1), -EINVAL);
    assert_int_equal(weft_bounded_semaphore_init(&s, 2), 0);
    assert_int_equal(weft_semaphore_release(&s), -EOVERFLOW);
    assert_int_equal(weft_semaphore_init(&s, WEFT_SEMAPHORE_MAX), 0);
    assert_int_equal(weft_semaphore_release(&s), -EOVERFLOW);
    assert_int_equal(weft_semaphore_tryacquire(&s), 0);
    assert_int_equal(weft_semaphore_release(&s), 0);
}

static void *in_order(void *arg)
{
    enum { WAITERS = 3 };

    struct each each[WAITERS + 1] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
    weft_task *tasks[WAITERS + 1];
    begin(1);
    CHECK_EQUAL(weft_semaphore_acquire(&semaphore), 0);
    for (int i = 0; i < WAITERS; i++) {
        tasks[i] = spawn_acquirer(&each[i]);
    }
    CHECK_EQUAL(weft_semaphore_release(&semaphore), 0);
    CHECK_EQUAL(weft_semaphore_tryacquire(&semaphore), -EAGAIN); /* the first waiter's */
    tasks[WAITERS] = weft_spawn(acquire, &each[WAITERS]);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&served), 1);
    CHECK_EQUAL(weft_semaphore_release_many(&semaphore, 2), 0); /* several before anyone runs */
    CHECK_EQUAL(weft_semaphore_release(&semaphore), 0);
    for (int i = 0; i <= WAITERS; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK_EQUAL(each[i].got, 0);
        CHECK_EQUAL(each[i].place, i + 1);
    }
    CHECK_EQUAL(weft_semaphore_value(&semaphore), 0);
    return arg;
}

static void item_187_189_first_come_first_served(void **state)
{
    (void)state;
    run_case_alone(in_order, NULL);
}

static void *nobody_barges(void *arg)
{
    struct each big = {3, 0, 0};
    struct each small = {1, 0, 0};
    begin(2);
    weft_task *first = spawn_acquirer(&big); /* two are there, but it wants three */
    CHECK_EQUAL(weft_semaphore_value(&semaphore), 2);
    CHECK_EQUAL(weft_semaphore_tryacquire(&semaphore), -EAGAIN);
    weft_task *second = spawn_acquirer(&small);
    CHECK_EQUAL(atomic_load_seq_cst(&served), 0);
    CHECK_EQUAL(weft_semaphore_release(&semaphore), 0);
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(big.got, 0);
    CHECK_EQUAL(atomic_load_seq_cst(&served), 1);
    CHECK_EQUAL(weft_semaphore_release(&semaphore), 0);
    CHECK_EQUAL(weft_join(second, NULL), 0);
    CHECK_EQUAL(small.got, 0);
    CHECK_EQUAL(weft_semaphore_value(&semaphore), 0);
    return arg;
}

static void item_188_nobody_barges(void **state)
{
    (void)state;
    run_case_alone(nobody_barges, NULL);
}

static void *cancelled_before_release(void *arg)
{
    struct each each[3] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
    weft_task *tasks[3];
    begin(0);
    for (int i = 0; i < 3; i++) {
        tasks[i] = spawn_acquirer(&each[i]);
    }
    CHECK(weft_cancel(tasks[0]));
    CHECK(weft_cancel(tasks[1]));
    CHECK_EQUAL(weft_semaphore_release(&semaphore), 0); /* before they have run */
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK_EQUAL(each[i].got, i < 2 ? -ECANCELED : 0);
    }
    CHECK_EQUAL(weft_semaphore_value(&semaphore), 0);
    return arg;
}

static void item_190_a_cancelled_waiter_is_passed_over(void **state)
{
    (void)state;
    run_case_alone(cancelled_before_release, NULL);
}

static void *cancelled_after_release(void *arg)
{
    struct each each[2] = {{1, 0, 0}, {1, 0, 0}};
    begin(0);
    weft_task *first = spawn_acquirer(&each[0]);
    weft_task *second = spawn_acquirer(&each[1]);
    CHECK_EQUAL(weft_semaphore_release(&semaphore), 0);
    (void)weft_cancel(first);
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(each[0].got, 0); /* it has the permit */
    CHECK_EQUAL(weft_semaphore_release(&semaphore), 0);
    CHECK_EQUAL(weft_join(second, NULL), 0);
    CHECK_EQUAL(each[1].got, 0);
    CHECK_EQUAL(weft_semaphore_value(&semaphore), 0);
    return arg;
}

static void item_191_cancelled_after_it_was_given(void **state)
{
    (void)state;
    run_case_alone(cancelled_after_release, NULL);
}

static void *big_one_goes_away(void *arg)
{
    struct each big = {3, 0, 0};
    struct each small[2] = {{1, 0, 0}, {1, 0, 0}};
    begin(2);
    weft_task *first = spawn_acquirer(&big);
    weft_task *second = spawn_acquirer(&small[0]);
    weft_task *third = spawn_acquirer(&small[1]);
    CHECK(weft_cancel(first));
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(big.got, -ECANCELED);
    CHECK_EQUAL(weft_join(second, NULL), 0);
    CHECK_EQUAL(weft_join(third, NULL), 0);
    CHECK_EQUAL(small[0].got, 0);
    CHECK_EQUAL(small[1].got, 0);
    CHECK_EQUAL(weft_semaphore_value(&semaphore), 0);
    return arg;
}

static void those_behind_a_cancelled_one_go_on(void **state)
{
    (void)state;
    run_case(big_one_goes_away, NULL);
}

static void *when_cancelled(void *arg)
{
    begin(1);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_semaphore_acquire(&semaphore), 0);
    CHECK_EQUAL(weft_semaphore_acquire(&semaphore), -ECANCELED);
    CHECK_EQUAL(weft_semaphore_acquire_many(&semaphore, 0), -EINVAL);
    CHECK_EQUAL(weft_semaphore_value(&semaphore), 0);
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_bounded_semaphore_init(&semaphore, 2), 0);
    CHECK_EQUAL(weft_semaphore_acquire_many(&semaphore, 3), -EINVAL); /* there never will be */
    return arg;
}

static void a_cancelled_task_gets_what_is_there(void **state)
{
    (void)state;
    run_case(when_cancelled, NULL);
}

enum { FROM_THREAD = 100 };

static void *release_outside(void *arg)
{
    for (int i = 0; i < FROM_THREAD; i++) {
        CHECK_EQUAL(weft_semaphore_release(arg), 0);
    }
    return NULL;
}

static void *acquire_from_thread(void *arg)
{
    begin(0);
    pthread_t thread = start_thread(release_outside, &semaphore);
    for (int i = 0; i < FROM_THREAD; i++) {
        CHECK_EQUAL(weft_semaphore_acquire(&semaphore), 0);
    }
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(weft_semaphore_tryacquire(&semaphore), -EAGAIN);
    return arg;
}

static void a_thread_may_release(void **state)
{
    (void)state;
    run_case(acquire_from_thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_186_values),
        cmocka_unit_test(item_187_189_first_come_first_served),
        cmocka_unit_test(item_188_nobody_barges),
        cmocka_unit_test(item_190_a_cancelled_waiter_is_passed_over),
        cmocka_unit_test(item_191_cancelled_after_it_was_given),
        cmocka_unit_test(item_192_bounds),
        cmocka_unit_test(those_behind_a_cancelled_one_go_on),
        cmocka_unit_test(a_cancelled_task_gets_what_is_there),
        cmocka_unit_test(a_thread_may_release),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
