/* SPDX-License-Identifier: MIT */
/*
 * Goal: the list of all tasks holds each task of its runtime that has not ended, once, and no
 * other; it can be asked for from anywhere while tasks come and go; the handles are references.
 *
 * Method: as test_rt_task.c.
 */
#include "task_help.h"

enum { CHILDREN = 100, LOOPS = 10, STREAM = 1000 };

static void *sleep_on(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    return arg;
}

static bool is_listed(weft_task *const list[], size_t n, const weft_task *t)
{
    size_t times = 0;
    for (size_t i = 0; i < n; i++) {
        times += list[i] == t;
    }
    CHECK(times <= 1);
    return times == 1;
}

static void put_all(weft_task *const list[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        weft_put(list[i]);
    }
}

/* --- what is listed --------------------------------------------------------------------------- */

static void *end_at_once(void *arg)
{
    return arg;
}

static void *exact_main(void *arg)
{
    static const struct weft_spawn_options held = {.held = true};
    weft_runtime *rt = weft_runtime_current();
    weft_task *list[8];
    weft_task *sleeper = weft_spawn(sleep_on, NULL);
    weft_task *waiting = weft_spawn_with(&held, end_at_once, NULL);
    weft_task *ended = weft_spawn(end_at_once, NULL);
    weft_future *promise = weft_future_create();
    CHECK_EQUAL(weft_await(ended, NULL), 0);
    CHECK_EQUAL(weft_all_tasks(rt, list, 8), 3);
    CHECK(is_listed(list, 3, weft_self()));
    CHECK(is_listed(list, 3, sleeper));
    CHECK(is_listed(list, 3, waiting));
    put_all(list, 3);
    CHECK_EQUAL(weft_all_tasks(rt, list, 1), 3); /* cut to fit */
    put_all(list, 1);
    CHECK_EQUAL(weft_all_tasks(rt, NULL, 8), 3);
    CHECK_EQUAL(weft_cancel_and_join(sleeper, NULL), 0);
    CHECK_EQUAL(weft_start(waiting), 0);
    CHECK_EQUAL(weft_join(waiting, NULL), 0);
    CHECK_EQUAL(weft_all_tasks(rt, list, 8), 1);
    CHECK(list[0] == weft_self());
    put_all(list, 1);
    weft_put(ended);
    weft_put(promise);
    return arg;
}

static void item_011_exactly_those_that_have_not_ended(void **state)
{
    (void)state;
    run_case(exact_main, NULL);
}

static void *listed_until_put(void *arg)
{
    weft_task *list[2];
    CHECK_EQUAL(weft_go(sleep_on, NULL), 0);
    CHECK_EQUAL(weft_all_tasks(weft_runtime_current(), list, 2), 2);
    weft_task *child = list[0] == weft_self() ? list[1] : list[0];
    CHECK(weft_cancel(child));
    CHECK_EQUAL(weft_join(child, NULL), 0); /* the only handle there is */
    weft_put(weft_self());
    return arg;
}

static void a_listed_task_can_be_held_on_to(void **state)
{
    (void)state;
    run_case(listed_until_put, NULL);
}

/* --- several runtimes ------------------------------------------------------------------------- */

static void *loop_main(void *arg)
{
    weft_task *child[CHILDREN];
    weft_task *list[CHILDREN + 2];
    for (int i = 0; i < CHILDREN; i++) {
        child[i] = weft_spawn(sleep_on, NULL);
    }
    CHECK_EQUAL(weft_all_tasks(weft_runtime_current(), list, CHILDREN + 2), CHILDREN + 1);
    CHECK(is_listed(list, CHILDREN + 1, weft_self()));
    for (int i = 0; i < CHILDREN; i++) {
        CHECK(is_listed(list, CHILDREN + 1, child[i]));
        CHECK_EQUAL(weft_cancel_and_join(child[i], NULL), 0);
    }
    put_all(list, CHILDREN + 1);
    return arg;
}

static void *loop_thread(void *arg)
{
    struct weft_options options = {.workers = 1};
    CHECK_EQUAL(weft_run_with(&options, loop_main, NULL, NULL), 0);
    return arg;
}

static void item_012_ten_runtimes_list_their_own(void **state)
{
    (void)state;
    pthread_t thread[LOOPS];
    for (int i = 0; i < LOOPS; i++) {
        thread[i] = start_thread(loop_thread, NULL);
    }
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(thread[i], NULL);
    }
}

/* --- from elsewhere --------------------------------------------------------------------------- */

struct stream {
    weft_runtime *rt;
    weft_task *visible; /* there all the time */
    shared_int is_over;
    shared_int lists;
};

static void *list_on(void *arg)
{
    struct stream *s = arg;
    static weft_task *list[2 * STREAM];
    do {
        size_t n = weft_all_tasks(s->rt, list, 2 * STREAM);
        CHECK(n >= 1 && n <= 2 * STREAM);
        CHECK(is_listed(list, n, s->visible));
        put_all(list, n);
        atomic_add_seq_cst(&s->lists, 1);
    } while (atomic_load_seq_cst(&s->is_over) == 0);
    return NULL;
}

static void *stream_main(void *arg)
{
    struct stream *s = arg;
    s->rt = weft_runtime_current();
    s->visible = weft_self();
    pthread_t thread = start_thread(list_on, s);
    for (int i = 0; i < STREAM || atomic_load_seq_cst(&s->lists) < 3; i++) {
        if (i % 3 == 0) {
            CHECK_EQUAL(weft_join(weft_spawn(end_at_once, NULL), NULL), 0);
        } else {
            CHECK_EQUAL(weft_go(end_at_once, NULL), 0);
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    atomic_store_seq_cst(&s->is_over, 1);
    pthread_join(thread, NULL);
    return NULL;
}

static void item_013_a_thread_lists_while_tasks_come_and_go(void **state)
{
    (void)state;
    struct stream s = {0};
    run_case(stream_main, &s);
}

static void a_closed_runtime_has_none(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    assert_int_equal(weft_all_tasks(rt, NULL, 0), 0);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_int_equal(weft_all_tasks(rt, NULL, 0), 0);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    assert_int_equal(weft_all_tasks(NULL, NULL, 0), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_011_exactly_those_that_have_not_ended),
        cmocka_unit_test(a_listed_task_can_be_held_on_to),
        cmocka_unit_test(item_012_ten_runtimes_list_their_own),
        cmocka_unit_test(item_013_a_thread_lists_while_tasks_come_and_go),
        cmocka_unit_test(a_closed_runtime_has_none),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
