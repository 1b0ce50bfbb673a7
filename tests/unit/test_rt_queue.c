/* SPDX-License-Identifier: MIT */
/*
 * Goal: a queue keeps its order, hands items and room to those who wait, in turn, counts what is
 * owed, and ends when it is shut down; no item and no room is lost to a cancel.
 *
 * Method: where the order of events is the promise, on one worker, where a yield lets all who are
 * ready run until they wait; else on any number. Races are in stress_queue.c.
 */
#include "task_help.h"

/* A task that makes one call and notes what came of it. */
struct call {
    weft_queue *queue;
    uintptr_t item;
    shared_int err; /* 1: not yet */
    weft_task *task;
};

static int put(weft_queue *q, uintptr_t item)
{
    return weft_queue_put(q, (void *)item);
}

static int try_put(weft_queue *q, uintptr_t item)
{
    return weft_queue_try_put(q, (void *)item);
}

/* The next item of q; 0 when there is none. */
static uintptr_t try_get(weft_queue *q)
{
    void *item = NULL;
    int err = weft_queue_try_get(q, &item);
    CHECK(err == 0 || (err == -EAGAIN && item == NULL));
    return (uintptr_t)item;
}

static void *put_one(void *arg)
{
    struct call *c = arg;
    atomic_store(&c->err, put(c->queue, c->item));
    return NULL;
}

static void *get_one(void *arg)
{
    struct call *c = arg;
    void *item = (void *)c->item;
    int err = weft_queue_get(c->queue, &item);
    c->item = (uintptr_t)item;
    atomic_store(&c->err, err);
    return NULL;
}

static void *join_once(void *arg)
{
    struct call *c = arg;
    atomic_store(&c->err, weft_queue_join(c->queue));
    return NULL;
}

static void begin(struct call *c, weft_queue *q, weft_fn fn, uintptr_t item)
{
    c->queue = q;
    c->item = item;
    atomic_store(&c->err, 1);
    c->task = weft_spawn(fn, c);
    CHECK(c->task != NULL);
}

static bool is_waiting(struct call *c)
{
    return atomic_load(&c->err) == 1;
}

static int end(struct call *c)
{
    CHECK_EQUAL(weft_join(c->task, NULL), 0);
    return atomic_load(&c->err);
}

/* On one worker: let all others run until they wait. */
static void let_run(void)
{
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

static weft_queue *create(enum weft_queue_kind kind, size_t capacity)
{
    weft_queue *q = weft_queue_create(kind, capacity);
    CHECK(q != NULL);
    return q;
}

static void destroy(weft_queue *q)
{
    CHECK_EQUAL(weft_queue_destroy(q), 0);
}

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
    atomic_store(&c->err, done);
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
        cmocka_unit_test(item_201_each_kind_keeps_its_order),
        cmocka_unit_test(item_202_a_put_waits_only_for_room),
        cmocka_unit_test(item_203_tries_do_not_wait),
        cmocka_unit_test(item_204_a_get_lets_one_in_and_a_put_wakes_one),
        cmocka_unit_test(item_205_a_cancelled_getter_loses_no_item),
        cmocka_unit_test(item_206_and_207_a_cancelled_putter_is_passed_over),
        cmocka_unit_test(item_208_the_cancelled_leave_no_entries),
        cmocka_unit_test(item_209_each_try_lets_one_in),
        cmocka_unit_test(a_cancelled_task_does_what_needs_no_wait),
        cmocka_unit_test(item_210_a_join_waits_for_each_item),
        cmocka_unit_test(item_211_to_213_a_gentle_shutdown_drains),
        cmocka_unit_test(item_212_getters_of_an_empty_queue_fail_at_once),
        cmocka_unit_test(item_214_an_immediate_shutdown_drops),
        cmocka_unit_test(plain_threads_may_try),
        cmocka_unit_test(a_null_queue_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
