/* SPDX-License-Identifier: MIT */
/*
 * Goal: a queue keeps its order, and hands items and room to those who wait, in turn; none of them
 * is lost to a cancel or a deadline.
 *
 * Method: where the order of events is the promise, on one worker, where a yield lets all who are
 * ready run until they wait; else on any number. How queues end is in test_rt_queue_end.c, races
 * are in stress_queue.c.
 */
#include "queue_help.h"

/* --- order, room ------------------------------------------------------------------------------ */

static void *order_main(void *arg)
{
    weft_queue *fifo = create(WEFT_FIFO, 0);
    weft_queue *lifo = create(WEFT_LIFO, 0);
    weft_queue *priority = create(WEFT_PRIORITY, 0);
    for (uintptr_t i = 1; i <= 100; i++) {
        CHECK_EQUAL(put(fifo, i), 0);
        CHECK_EQUAL(put(lifo, i), 0);
        CHECK_EQUAL(weft_queue_put_priority(priority, (void *)i, -(int64_t)(i / 10)), 0);
    }
    CHECK_EQUAL(weft_queue_size(fifo), 100);
    CHECK_EQUAL(try_get(priority), 100);
    for (uintptr_t i = 1; i <= 100; i++) {
        CHECK_EQUAL(try_get(fifo), i);
        CHECK_EQUAL(try_get(lifo), 101 - i);
        if (i < 100) { /* tens from the last on, each in order */
            CHECK_EQUAL(try_get(priority),
                        i <= 90 ? 90 - (i - 1) / 10 * 10 + (i - 1) % 10 : i - 90);
        }
    }
    CHECK_EQUAL(weft_queue_put_priority(fifo, NULL, 1), -EINVAL);
    CHECK_EQUAL(weft_queue_try_put_priority(lifo, NULL, 1), -EINVAL);
    CHECK_EQUAL(weft_queue_try_put_priority(priority, (void *)1, 1), 0);
    CHECK_EQUAL(put(priority, 2), 0);
    CHECK_EQUAL(try_get(priority), 2);
    destroy(fifo);
    destroy(lifo);
    destroy(priority);
    return arg;
}

static void item_201_each_kind_keeps_its_order(void **state)
{
    (void)state;
    run_case(order_main, NULL);
}

static void *room_main(void *arg)
{
    weft_queue *any = create(WEFT_FIFO, 0);
    for (uintptr_t i = 1; i <= 5000; i++) {
        CHECK_EQUAL(put(any, i), 0);
    }
    for (uintptr_t i = 1; i <= 5000; i++) {
        CHECK_EQUAL(try_get(any), i);
    }
    destroy(any);
    weft_queue *q = create(WEFT_FIFO, 2);
    struct call putter;
    CHECK_EQUAL(put(q, 1), 0);
    CHECK_EQUAL(put(q, 2), 0);
    begin(&putter, q, put_one, 3);
    let_run();
    CHECK(is_waiting(&putter));
    CHECK_EQUAL(weft_queue_size(q), 2);
    CHECK_EQUAL(try_get(q), 1);
    CHECK_EQUAL(end(&putter), 0);
    CHECK_EQUAL(try_get(q), 2);
    CHECK_EQUAL(try_get(q), 3);
    destroy(q);
    return arg;
}

static void item_202_a_put_waits_only_for_room(void **state)
{
    (void)state;
    run_case_alone(room_main, NULL);
}

static void *try_main(void *arg)
{
    weft_queue *q = create(WEFT_LIFO, 1);
    void *item;
    CHECK_EQUAL(weft_queue_try_get(q, &item), -EAGAIN);
    CHECK_EQUAL(try_put(q, 1), 0);
    CHECK_EQUAL(try_put(q, 2), -EAGAIN);
    CHECK_EQUAL(weft_queue_try_get(q, NULL), 0);
    CHECK_EQUAL(weft_queue_try_get(q, NULL), -EAGAIN);
    destroy(q);
    return arg;
}

static void item_203_tries_do_not_wait(void **state)
{
    (void)state;
    run_case(try_main, NULL);
}

static void *wake_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 1);
    struct call calls[3];
    for (uintptr_t i = 0; i < 3; i++) {
        begin(&calls[i], q, put_one, i + 1);
        let_run();
    }
    CHECK_EQUAL(try_get(q), 1);
    let_run();
    CHECK(!is_waiting(&calls[1]) && is_waiting(&calls[2]));
    CHECK_EQUAL(try_get(q), 2);
    CHECK_EQUAL(try_get(q), 3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(end(&calls[i]), 0);
        begin(&calls[i], q, get_one, 0);
        let_run();
    }
    CHECK_EQUAL(put(q, 4), 0);
    let_run();
    CHECK(!is_waiting(&calls[0]) && is_waiting(&calls[1]) && is_waiting(&calls[2]));
    CHECK_EQUAL(put(q, 5), 0);
    CHECK_EQUAL(put(q, 6), 0);
    for (uintptr_t i = 0; i < 3; i++) {
        CHECK_EQUAL(end(&calls[i]), 0);
        CHECK_EQUAL(calls[i].item, i + 4);
    }
    destroy(q);
    return arg;
}

static void item_204_a_get_lets_one_in_and_a_put_wakes_one(void **state)
{
    (void)state;
    run_case_alone(wake_main, NULL);
}

/* --- cancel ----------------------------------------------------------------------------------- */

static void *cancel_get_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 0);
    struct call calls[4];
    for (int i = 0; i < 4; i++) {
        begin(&calls[i], q, get_one, 0);
        let_run();
    }
    CHECK(weft_cancel(calls[0].task)); /* before an item came */
    CHECK_EQUAL(put(q, 1), 0);
    CHECK(weft_cancel(calls[1].task)); /* after: it has it */
    CHECK_EQUAL(put(q, 2), 0);
    CHECK_EQUAL(put(q, 3), 0);
    CHECK_EQUAL(put(q, 4), 0);
    CHECK_EQUAL(end(&calls[0]), -ECANCELED);
    for (uintptr_t i = 1; i < 4; i++) {
        CHECK_EQUAL(end(&calls[i]), 0);
        CHECK_EQUAL(calls[i].item, i);
    }
    CHECK_EQUAL(try_get(q), 4);
    destroy(q);
    return arg;
}

static void item_205_a_cancelled_getter_loses_no_item(void **state)
{
    (void)state;
    run_case_alone(cancel_get_main, NULL);
}

static void *cancel_put_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 1);
    struct call calls[4];
    CHECK_EQUAL(put(q, 10), 0);
    for (uintptr_t i = 0; i < 4; i++) {
        begin(&calls[i], q, put_one, i + 1);
        let_run();
    }
    CHECK(weft_cancel(calls[0].task));
    CHECK_EQUAL(try_get(q), 10); /* the room is the second one's */
    CHECK(weft_cancel(calls[2].task));
    CHECK_EQUAL(try_get(q), 2);
    CHECK_EQUAL(try_get(q), 4);
    CHECK_EQUAL(try_get(q), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(end(&calls[i]), i % 2 == 0 ? -ECANCELED : 0);
    }
    destroy(q);
    return arg;
}

static void item_206_and_207_a_cancelled_putter_is_passed_over(void **state)
{
    (void)state;
    run_case_alone(cancel_put_main, NULL);
}

static void *entries_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 1);
    struct call calls[20];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20; i++) {
            begin(&calls[i], q, round == 0 ? get_one : put_one, 7);
        }
        let_run();
        for (int i = 0; i < 20; i++) {
            (void)weft_cancel(calls[i].task);
        }
        CHECK_EQUAL(weft_queue_destroy(q), -EBUSY);
        for (int i = 0; i < 20; i++) {
            int err = end(&calls[i]);
            CHECK(err == -ECANCELED || (round == 1 && err == 0));
        }
    }
    destroy(q);
    return arg;
}

static void item_208_the_cancelled_leave_no_entries(void **state)
{
    (void)state;
    run_case_alone(entries_main, NULL);
}

static void *tries_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 3);
    struct call calls[6];
    for (uintptr_t i = 0; i < 6; i++) {
        begin(&calls[i], q, put_one, i + 1);
        let_run();
    }
    for (uintptr_t i = 0; i < 3; i++) { /* in a row, before anybody runs */
        CHECK_EQUAL(try_get(q), i + 1);
    }
    CHECK_EQUAL(weft_queue_size(q), 3);
    for (int i = 0; i < 6; i++) {
        CHECK_EQUAL(end(&calls[i]), 0);
    }
    destroy(q);
    return arg;
}

static void item_209_each_try_lets_one_in(void **state)
{
    (void)state;
    run_case_alone(tries_main, NULL);
}

static void *cancelled_body(void *arg)
{
    weft_queue *q = arg;
    void *item;
    CHECK_EQUAL(weft_queue_join(q), 0); /* none is owed */
    CHECK_EQUAL(put(q, 1), 0);
    CHECK_EQUAL(put(q, 2), -ECANCELED);
    CHECK_EQUAL(weft_queue_join(q), -ECANCELED);
    CHECK_EQUAL(weft_queue_get(q, &item), 0);
    CHECK_EQUAL(weft_queue_get(q, &item), -ECANCELED);
    return NULL;
}

static void *cancelled_main(void *arg)
{
    static const struct weft_spawn_options held = {.held = true};
    weft_queue *q = create(WEFT_FIFO, 1);
    weft_task *t = weft_spawn_with(&held, cancelled_body, q);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_start(t), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    destroy(q);
    return arg;
}

static void a_cancelled_task_does_what_needs_no_wait(void **state)
{
    (void)state;
    run_case(cancelled_main, NULL);
}

static void *timeout_main(void *arg)
{
    weft_queue *q = create(WEFT_FIFO, 1);
    void *item = NULL;
    int err = 0;
    WEFT_TIMEOUT(WEFT_MS)
    {
        err = weft_queue_get(q, &item);
    }
    CHECK_EQUAL(err, -ETIMEDOUT);
    CHECK_EQUAL(put(q, 1), 0);
    WEFT_TIMEOUT(WEFT_MS)
    {
        err = put(q, 2);
    }
    CHECK_EQUAL(err, -ETIMEDOUT);
    WEFT_TIMEOUT(WEFT_MS)
    {
        err = weft_queue_join(q);
    }
    CHECK_EQUAL(err, -ETIMEDOUT);
    CHECK_EQUAL(try_get(q), 1);
    CHECK_EQUAL(try_get(q), 0);
    destroy(q);
    return arg;
}

static void item_208_the_late_leave_no_entries(void **state)
{
    (void)state;
    run_case(timeout_main, NULL);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_201_each_kind_keeps_its_order),
        cmocka_unit_test(item_202_a_put_waits_only_for_room),
        cmocka_unit_test(item_203_tries_do_not_wait),
        cmocka_unit_test(item_204_a_get_lets_one_in_and_a_put_wakes_one),
        cmocka_unit_test(item_205_a_cancelled_getter_loses_no_item),
        cmocka_unit_test(item_206_and_207_a_cancelled_putter_is_passed_over),
        cmocka_unit_test(item_208_the_cancelled_leave_no_entries),
        cmocka_unit_test(item_208_the_late_leave_no_entries),
        cmocka_unit_test(item_209_each_try_lets_one_in),
        cmocka_unit_test(a_cancelled_task_does_what_needs_no_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
