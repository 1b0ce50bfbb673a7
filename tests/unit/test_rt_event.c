/* SPDX-License-Identifier: MIT */
/* The event: whom a set wakes, who gets through, and what a cancel does. */
#include "task_help.h"

static struct weft_event event;
static shared_int arrived;
static shared_int passed;

struct each {
    int got;
    int place; /* in the order in which they came through; from 1 on */
};

static void *wait_for_event(void *arg)
{
    struct each *e = arg;
    atomic_add_seq_cst(&arrived, 1);
    e->got = weft_event_wait(&event);
    e->place = atomic_add_seq_cst(&passed, 1) + 1;
    return NULL;
}

static void begin(void)
{
    event = (struct weft_event)WEFT_EVENT_INIT;
    atomic_store_seq_cst(&arrived, 0);
    atomic_store_seq_cst(&passed, 0);
}

static weft_task *spawn_waiter(struct each *e)
{
    int before = atomic_load_seq_cst(&arrived);
    weft_task *t = weft_spawn(wait_for_event, e);
    CHECK(t != NULL);
    yield_until(&arrived, before + 1);
    settle();
    return t;
}

static void *set_wakes_all(void *arg)
{
    enum { WAITERS = 4 };

    struct each each[WAITERS] = {{0, 0}};
    weft_task *tasks[WAITERS];
    begin();
    CHECK(!weft_event_is_set(&event));
    for (int i = 0; i < WAITERS; i++) {
        tasks[i] = spawn_waiter(&each[i]);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&passed), 0);
    weft_event_set(&event);
    weft_event_set(&event);
    CHECK(weft_event_is_set(&event));
    CHECK_EQUAL(weft_event_wait(&event), 0);
    for (int i = 0; i < WAITERS; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK_EQUAL(each[i].got, 0);
        CHECK(arg == NULL || each[i].place == i + 1);
    }
    return NULL;
}

static void item_175_set_wakes_all(void **state)
{
    (void)state;
    run_case_alone(set_wakes_all, &event); /* in their order */
    run_case(set_wakes_all, NULL);
}

static void *cleared_before_they_run(void *arg)
{
    enum { WAITERS = 3 };

    struct each each[WAITERS] = {{0, 0}};
    weft_task *tasks[WAITERS];
    begin();
    for (int i = 0; i < WAITERS; i++) {
        tasks[i] = spawn_waiter(&each[i]);
    }
    weft_event_set(&event);
    weft_event_clear(&event);
    CHECK(!weft_event_is_set(&event));
    for (int i = 0; i < WAITERS; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK_EQUAL(each[i].got, 0);
    }
    weft_event_clear(&event);
    CHECK(!weft_event_is_set(&event));
    return arg;
}

static void item_176_cleared_before_they_run(void **state)
{
    (void)state;
    run_case_alone(cleared_before_they_run, NULL);
}

static void *later_ones_pass(void *arg)
{
    struct each each = {0, 0};
    begin();
    weft_task *t = spawn_waiter(&each);
    weft_event_set(&event);
    CHECK_EQUAL(weft_event_wait(&event), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&passed), 0); /* the one that was woken has not run */
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void item_177_later_ones_pass_the_woken(void **state)
{
    (void)state;
    run_case_alone(later_ones_pass, NULL);
}

static void *cancelled_waiter(void *arg)
{
    struct each each[3] = {{0, 0}};
    weft_task *tasks[3];
    begin();
    for (int i = 0; i < 3; i++) {
        tasks[i] = spawn_waiter(&each[i]);
    }
    CHECK(weft_cancel(tasks[1]));
    CHECK_EQUAL(weft_join(tasks[1], NULL), 0);
    CHECK_EQUAL(each[1].got, -ECANCELED);
    weft_event_set(&event);
    (void)weft_cancel(tasks[2]);
    CHECK_EQUAL(weft_join(tasks[0], NULL), 0);
    CHECK_EQUAL(weft_join(tasks[2], NULL), 0);
    CHECK_EQUAL(each[0].got, 0);
    CHECK_EQUAL(each[2].got, 0); /* the set came first */
    return arg;
}

static void item_178_a_cancelled_waiter_leaves(void **state)
{
    (void)state;
    run_case(cancelled_waiter, NULL);
}

static void *wait_when_cancelled(void *arg)
{
    begin();
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_event_wait(&event), -ECANCELED);
    weft_event_set(&event);
    CHECK_EQUAL(weft_event_wait(&event), 0);
    CHECK_EQUAL(weft_uncancel(), 0);
    return arg;
}

static void a_cancelled_task_gets_through_a_set_one(void **state)
{
    (void)state;
    run_case(wait_when_cancelled, NULL);
}

static void *set_outside(void *arg)
{
    CHECK_EQUAL(weft_event_wait(&event), -EPERM);
    CHECK(!weft_event_is_set(&event));
    weft_event_set(arg);
    CHECK_EQUAL(weft_event_wait(&event), -EPERM);
    return NULL;
}

static void *wait_for_thread(void *arg)
{
    for (size_t round = 0; test_goes_on(round, test_scaled(200, 20)); round++) {
        begin();
        pthread_t thread = start_thread(set_outside, &event);
        CHECK_EQUAL(weft_event_wait(&event), 0);
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
    }
    return arg;
}

static void a_thread_may_set_it(void **state)
{
    (void)state;
    run_case(wait_for_thread, NULL);
}

static void *set_given(void *arg)
{
    weft_event_set(arg);
    return NULL;
}

static void *waiter_frees(void *arg)
{
    for (size_t round = 0; test_goes_on(round, test_scaled(2000, 200)); round++) {
        struct weft_event *e = calloc(1, sizeof(*e));
        weft_task *t = weft_spawn(set_given, e);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_event_wait(e), 0);
        free(e);
        CHECK_EQUAL(weft_join(t, NULL), 0);
    }
    return arg;
}

static void the_waiter_may_free_it(void **state)
{
    (void)state;
    run_case(waiter_frees, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_175_set_wakes_all),
        cmocka_unit_test(item_176_cleared_before_they_run),
        cmocka_unit_test(item_177_later_ones_pass_the_woken),
        cmocka_unit_test(item_178_a_cancelled_waiter_leaves),
        cmocka_unit_test(a_cancelled_task_gets_through_a_set_one),
        cmocka_unit_test(a_thread_may_set_it),
        cmocka_unit_test(the_waiter_may_free_it),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
