/* SPDX-License-Identifier: MIT */
/*
 * Goal: a queue counts what is owed, ends when it is shut down, and says who may call.
 *
 * Method: as in test_rt_queue.c.
 */
#include "queue_help.h"

/* --- join ------------------------------------------------------------------------------------- */

static void *work(void *arg)
{
    struct call *c = arg;
    void *item;
    int done = 0;
    while (weft_queue_get(c->queue, &item) == 0) {
        CHECK_EQUAL(weft_yield(), 0);
        done++;
        CHECK_EQUAL(weft_queue_task_done(c->queue), 0);
    }
    atomic_store_seq_cst(&c->err, done);
    return NULL;
}

static void *join_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 4);
    struct call workers[3];
    CHECK_EQUAL(weft_queue_join(q), 0);
    CHECK_EQUAL(weft_queue_task_done(q), -EOVERFLOW);
    for (int i = 0; i < 3; i++) {
        begin(&workers[i], q, work, 0);
    }
    for (int round = 0; round < 3; round++) {
        for (uintptr_t i = 0; i < 100; i++) {
            CHECK_EQUAL(put(q, i), 0);
        }
        CHECK_EQUAL(weft_queue_join(q), 0);
        CHECK_EQUAL(weft_queue_size(q), 0);
        CHECK_EQUAL(weft_queue_task_done(q), -EOVERFLOW);
    }
    CHECK_EQUAL(weft_queue_shutdown(q, false), 0);
    int done = 0;
    for (int i = 0; i < 3; i++) {
        done += end(&workers[i]);
    }
    CHECK_EQUAL(done, 300);
    destroy(q);
    return arg;
}

static void item_210_a_join_waits_for_each_item(void **state)
{
    (void)state;
    run_case(join_main, NULL);
}

/* --- shutdown --------------------------------------------------------------------------------- */

static void *shutdown_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 2);
    struct call putter;
    struct call joiner;
    void *item;
    CHECK_EQUAL(put(q, 1), 0);
    CHECK_EQUAL(put(q, 2), 0);
    begin(&putter, q, put_one, 3);
    begin(&joiner, q, join_once, 0);
    let_run();
    CHECK_EQUAL(weft_queue_shutdown(q, false), 0);
    CHECK_EQUAL(weft_queue_shutdown(q, false), 0);
    CHECK_EQUAL(end(&putter), -ESHUTDOWN);
    CHECK_EQUAL(put(q, 4), -ESHUTDOWN);
    CHECK_EQUAL(try_put(q, 4), -ESHUTDOWN);
    CHECK_EQUAL(weft_queue_get(q, &item), 0);
    CHECK_EQUAL((uintptr_t)item, 1);
    CHECK_EQUAL(try_get(q), 2);
    CHECK_EQUAL(weft_queue_get(q, &item), -ESHUTDOWN);
    CHECK_EQUAL(weft_queue_try_get(q, &item), -ESHUTDOWN);
    CHECK_EQUAL(weft_queue_task_done(q), 0);
    let_run();
    CHECK(is_waiting(&joiner)); /* item 213 */
    CHECK_EQUAL(weft_queue_task_done(q), 0);
    CHECK_EQUAL(end(&joiner), 0);
    destroy(q);
    return arg;
}

static void item_211_to_213_a_gentle_shutdown_drains(void **state)
{
    (void)state;
    run_case_alone(shutdown_main, NULL);
}

static void *shutdown_waiting_main(void *arg)
{
    weft_queue *q = create(WEFT_PRIORITY, 0);
    struct call calls[3];
    for (int i = 0; i < 3; i++) {
        begin(&calls[i], q, get_one, 5);
    }
    settle();
    CHECK_EQUAL(weft_queue_shutdown(q, false), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(end(&calls[i]), -ESHUTDOWN);
        CHECK_EQUAL(calls[i].item, 5);
    }
    destroy(q);
    return arg;
}

static void item_212_getters_of_an_empty_queue_fail_at_once(void **state)
{
    (void)state;
    run_case(shutdown_waiting_main, NULL);
}

static void *immediate_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 4);
    struct call putter;
    struct call joiner;
    void *item;
    for (uintptr_t i = 1; i <= 4; i++) {
        CHECK_EQUAL(put(q, i), 0);
    }
    CHECK_EQUAL(try_get(q), 1);
    CHECK_EQUAL(put(q, 5), 0);
    begin(&putter, q, put_one, 6);
    begin(&joiner, q, join_once, 0);
    let_run();
    CHECK_EQUAL(weft_queue_shutdown(q, true), 0);
    CHECK_EQUAL(end(&putter), -ESHUTDOWN);
    CHECK_EQUAL(weft_queue_size(q), 0);
    CHECK_EQUAL(weft_queue_get(q, &item), -ESHUTDOWN);
    let_run();
    CHECK(is_waiting(&joiner)); /* one was handed out */
    CHECK_EQUAL(weft_queue_task_done(q), 0);
    CHECK_EQUAL(end(&joiner), 0);
    CHECK_EQUAL(weft_queue_task_done(q), -EOVERFLOW);
    destroy(q);
    q = create(WEFT_FIFO, 0);
    CHECK_EQUAL(put(q, 1), 0);
    begin(&joiner, q, join_once, 0);
    let_run();
    CHECK_EQUAL(weft_queue_shutdown(q, false), 0);
    CHECK_EQUAL(weft_queue_shutdown(q, true), 0); /* and then at once */
    CHECK_EQUAL(end(&joiner), 0);
    destroy(q);
    return arg;
}

static void item_214_an_immediate_shutdown_drops(void **state)
{
    (void)state;
    run_case_alone(immediate_main, NULL);
}

/* --- who may call ----------------------------------------------------------------------------- */

static void *outside_thread(void *arg)
{
    weft_queue *q = arg;
    void *item = NULL;
    CHECK_EQUAL(put(q, 1), -EPERM);
    CHECK_EQUAL(weft_queue_get(q, &item), -EPERM);
    CHECK_EQUAL(weft_queue_join(q), -EPERM);
    CHECK_EQUAL(try_put(q, 4), 0);
    while (try_put(q, 5) == -EAGAIN) {
        sched_yield();
    }
    while (weft_queue_try_get(q, &item) == -EAGAIN || (uintptr_t)item != 6) {
        if (item != NULL) {
            CHECK_EQUAL(try_put(q, (uintptr_t)item), 0); /* not for us */
            item = NULL;
        }
        sched_yield();
    }
    CHECK_EQUAL(weft_queue_shutdown(q, false), 0);
    return NULL;
}

static void *outside_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 1);
    pthread_t thread = start_thread(outside_thread, q);
    void *item;
    for (uintptr_t i = 4; i <= 5; i++) {
        CHECK_EQUAL(weft_queue_get(q, &item), 0);
        CHECK_EQUAL((uintptr_t)item, i);
    }
    CHECK_EQUAL(put(q, 6), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(weft_queue_get(q, &item), -ESHUTDOWN);
    destroy(q);
    return arg;
}

static void plain_threads_may_try(void **state)
{
    (void)state;
    run_case(outside_main, NULL);
}

static void a_null_queue_is_refused(void **state)
{
    (void)state;
    assert_null(weft_queue_create((enum weft_queue_kind)7, 0));
    assert_int_equal(weft_queue_try_put(NULL, NULL), -ENOMEM);
    assert_int_equal(weft_queue_try_put_priority(NULL, NULL, 0), -ENOMEM);
    assert_int_equal(weft_queue_try_get(NULL, NULL), -ENOMEM);
    assert_int_equal(weft_queue_task_done(NULL), -ENOMEM);
    assert_int_equal(weft_queue_shutdown(NULL, true), -ENOMEM);
    assert_int_equal(weft_queue_size(NULL), 0);
    assert_int_equal(weft_queue_destroy(NULL), 0);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_210_a_join_waits_for_each_item),
        cmocka_unit_test(item_211_to_213_a_gentle_shutdown_drains),
        cmocka_unit_test(item_212_getters_of_an_empty_queue_fail_at_once),
        cmocka_unit_test(item_214_an_immediate_shutdown_drops),
        cmocka_unit_test(plain_threads_may_try),
        cmocka_unit_test(a_null_queue_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
