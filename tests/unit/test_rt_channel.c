/* SPDX-License-Identifier: MIT */
/*
 * Goal: a channel hands each element to one receiver, in order, waits when it has to, and loses
 * nothing to a cancel or a close.
 *
 * Method: where the order of events is the promise, on one worker, where a yield lets all who are
 * ready run until they wait; else on any number. Selects are in test_rt_select.c, races in
 * stress_channel.c and model_channel.c.
 */
#include "task_help.h"

/* A task that makes one call and notes what came of it. */
struct call {
    weft_channel *channel;
    uint64_t element;
    shared_int err; /* 1: not yet */
    weft_task *task;
};

static void *send_one(void *arg)
{
    struct call *c = arg;
    atomic_store_seq_cst(&c->err, weft_channel_send(c->channel, &c->element));
    return NULL;
}

static void *receive_one(void *arg)
{
    struct call *c = arg;
    atomic_store_seq_cst(&c->err, weft_channel_receive(c->channel, &c->element));
    return NULL;
}

static void begin(struct call *c, weft_channel *channel, weft_fn fn, uint64_t element)
{
    c->channel = channel;
    c->element = element;
    atomic_store_seq_cst(&c->err, 1);
    c->task = weft_spawn(fn, c);
    CHECK(c->task != NULL);
}

/* On one worker: let all others run until they wait. */
static void let_run(void)
{
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

static int end(struct call *c)
{
    CHECK_EQUAL(weft_join(c->task, NULL), 0);
    return atomic_load_seq_cst(&c->err);
}

static void destroy(weft_channel *c)
{
    CHECK_EQUAL(weft_channel_destroy(c), 0);
}

/* --- order and room --------------------------------------------------------------------------- */

static void *order_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 3);
    uint64_t n;
    for (uint64_t round = 0; round < 10; round++) { /* around the end of the ring */
        for (n = 0; n < 3; n++) {
            uint64_t element = 100 * round + n;
            CHECK_EQUAL(weft_channel_size(c), n);
            CHECK_EQUAL(weft_channel_send(c, &element), 0);
        }
        CHECK_EQUAL(weft_channel_try_send(c, &n), -EAGAIN);
        for (uint64_t i = 0; i < 2 + (round == 9); i++) {
            CHECK_EQUAL(weft_channel_receive(c, &n), 0);
            CHECK_EQUAL(n, 100 * round + i);
        }
        if (round < 9) {
            CHECK_EQUAL(weft_channel_try_receive(c, &n), 0);
            CHECK_EQUAL(n, 100 * round + 2);
        }
    }
    CHECK_EQUAL(weft_channel_try_receive(c, &n), -EAGAIN);
    destroy(c);
    return arg;
}

static void elements_come_out_in_order(void **state)
{
    (void)state;
    run_case(order_main, NULL);
}

static void *sizes_main(void *arg)
{
    static const size_t sizes[] = {0, 1, 3, 8, 24, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char out[1001];
        unsigned char in[2][1001];
        memset(in[0], 'a', sizeof in[0]);
        memset(in[1], 'b', sizeof in[1]);
        weft_channel *c = weft_channel_create(sizes[i], 2);
        CHECK_EQUAL(weft_channel_send(c, in[0]), 0);
        CHECK_EQUAL(weft_channel_send(c, in[1]), 0);
        for (int k = 0; k < 2; k++) {
            memset(out, 'x', sizeof out);
            CHECK_EQUAL(weft_channel_receive(c, out), 0);
            CHECK(memcmp(out, in[k], sizes[i]) == 0);
            CHECK_EQUAL(out[sizes[i]], 'x');
        }
        CHECK_EQUAL(weft_channel_send(c, sizes[i] == 0 ? NULL : in[0]), 0);
        CHECK_EQUAL(weft_channel_receive(c, NULL), 0); /* dropped */
        CHECK_EQUAL(weft_channel_size(c), 0);
        destroy(c);
    }
    return arg;
}

static void elements_have_any_size(void **state)
{
    (void)state;
    run_case(sizes_main, NULL);
}

static void *meeting_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 0);
    struct call sender;
    uint64_t n = 0;
    CHECK_EQUAL(weft_channel_try_send(c, &n), -EAGAIN);
    begin(&sender, c, send_one, 7);
    let_run();
    CHECK_EQUAL(atomic_load_seq_cst(&sender.err), 1);
    CHECK_EQUAL(weft_channel_size(c), 0);
    CHECK_EQUAL(weft_channel_receive(c, &n), 0);
    CHECK_EQUAL(n, 7);
    CHECK_EQUAL(end(&sender), 0);
    struct call receiver;
    begin(&receiver, c, receive_one, 0);
    let_run();
    n = 8;
    CHECK_EQUAL(weft_channel_try_send(c, &n), 0);
    CHECK_EQUAL(weft_channel_try_send(c, &n), -EAGAIN); /* it has its element */
    CHECK_EQUAL(end(&receiver), 0);
    CHECK_EQUAL(receiver.element, 8);
    destroy(c);
    return arg;
}

static void without_room_a_send_waits_for_a_receiver(void **state)
{
    (void)state;
    run_case_alone(meeting_main, NULL);
}

static void *turns_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 2);
    struct call calls[5];
    uint64_t n;
    for (uint64_t i = 0; i < 5; i++) {
        begin(&calls[i], c, receive_one, 0);
        let_run();
    }
    for (n = 1; n <= 5; n++) {
        CHECK_EQUAL(weft_channel_send(c, &n), 0);
        CHECK_EQUAL(weft_channel_size(c), 0);
    }
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_EQUAL(end(&calls[i]), 0);
        CHECK_EQUAL(calls[i].element, i + 1);
    }
    for (uint64_t i = 0; i < 5; i++) { /* two have room, three wait */
        begin(&calls[i], c, send_one, i + 1);
        let_run();
        CHECK_EQUAL(atomic_load_seq_cst(&calls[i].err), i < 2 ? 0 : 1);
    }
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_channel_try_receive(c, &n), 0);
        CHECK_EQUAL(n, i + 1);
    }
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_EQUAL(end(&calls[i]), 0);
    }
    destroy(c);
    return arg;
}

static void who_waits_is_served_first_come_first_served(void **state)
{
    (void)state;
    run_case_alone(turns_main, NULL);
}

/* --- close ------------------------------------------------------------------------------------ */

static void *close_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 2);
    struct call late;
    uint64_t n;
    for (n = 1; n <= 2; n++) {
        CHECK_EQUAL(weft_channel_send(c, &n), 0);
    }
    begin(&late, c, send_one, 3);
    let_run();
    CHECK_EQUAL(weft_channel_close(c), 0);
    CHECK_EQUAL(weft_channel_close(c), -EALREADY);
    CHECK_EQUAL(end(&late), -EPIPE);
    CHECK_EQUAL(weft_channel_send(c, &n), -EPIPE);
    CHECK_EQUAL(weft_channel_try_send(c, &n), -EPIPE);
    CHECK_EQUAL(weft_channel_receive(c, &n), 0);
    CHECK_EQUAL(n, 1);
    CHECK_EQUAL(weft_channel_try_receive(c, &n), 0);
    CHECK_EQUAL(n, 2);
    CHECK_EQUAL(weft_channel_receive(c, &n), -EPIPE);
    CHECK_EQUAL(weft_channel_try_receive(c, &n), -EPIPE);
    destroy(c);
    return arg;
}

static void after_close_receivers_drain(void **state)
{
    (void)state;
    run_case_alone(close_main, NULL);
}

static void *close_waiting_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 2);
    struct call calls[3];
    for (int i = 0; i < 3; i++) {
        begin(&calls[i], c, receive_one, 5);
    }
    settle();
    CHECK_EQUAL(weft_channel_close(c), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(end(&calls[i]), -EPIPE);
        CHECK_EQUAL(calls[i].element, 5);
    }
    destroy(c);
    return arg;
}

static void close_ends_the_waits_of_receivers(void **state)
{
    (void)state;
    run_case(close_waiting_main, NULL);
}

/* --- cancel ----------------------------------------------------------------------------------- */

static void *cancel_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 1);
    struct call calls[3];
    uint64_t n = 9;
    for (int i = 0; i < 3; i++) {
        begin(&calls[i], c, receive_one, 5);
        let_run();
    }
    CHECK(weft_cancel(calls[0].task));
    CHECK_EQUAL(weft_channel_send(c, &n), 0); /* passes over the first, which has not run yet */
    CHECK(weft_cancel(calls[1].task));        /* too late: it has its element */
    CHECK_EQUAL(end(&calls[0]), -ECANCELED);
    CHECK_EQUAL(calls[0].element, 5);
    CHECK_EQUAL(end(&calls[1]), 0);
    CHECK_EQUAL(calls[1].element, 9);
    CHECK_EQUAL(atomic_load_seq_cst(&calls[2].err), 1);
    n = 10;
    CHECK_EQUAL(weft_channel_send(c, &n), 0);
    CHECK_EQUAL(end(&calls[2]), 0);
    CHECK_EQUAL(calls[2].element, 10);
    destroy(c);
    return arg;
}

static void a_cancelled_receiver_loses_no_element(void **state)
{
    (void)state;
    run_case_alone(cancel_main, NULL);
}

static void *cancel_sender_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 0);
    struct call calls[4];
    uint64_t n;
    for (uint64_t i = 0; i < 4; i++) {
        begin(&calls[i], c, send_one, i);
        let_run();
    }
    CHECK(weft_cancel(calls[1].task));
    for (uint64_t i = 0; i < 4; i++) {
        if (i != 1) {
            CHECK_EQUAL(weft_channel_receive(c, &n), 0);
            CHECK_EQUAL(n, i);
            (void)weft_cancel(calls[i].task); /* it has been sent */
        }
        CHECK_EQUAL(end(&calls[i]), i == 1 ? -ECANCELED : 0);
    }
    CHECK_EQUAL(weft_channel_try_receive(c, &n), -EAGAIN);
    destroy(c);
    return arg;
}

static void the_element_of_a_cancelled_sender_never_appears(void **state)
{
    (void)state;
    run_case_alone(cancel_sender_main, NULL);
}

static void *cancelled_body(void *arg)
{
    weft_channel *c = arg;
    uint64_t n = 1;
    CHECK_EQUAL(weft_channel_send(c, &n), 0);
    CHECK_EQUAL(weft_channel_send(c, &n), -ECANCELED);
    CHECK_EQUAL(weft_channel_receive(c, &n), 0);
    CHECK_EQUAL(weft_channel_receive(c, &n), -ECANCELED);
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_channel_send(c, &n), 0);
    return NULL;
}

static void *cancelled_main(void *arg)
{
    static const struct weft_spawn_options held = {.held = true};
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 1);
    weft_task *t = weft_spawn_with(&held, cancelled_body, c);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_start(t), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    destroy(c);
    return arg;
}

static void a_cancelled_task_does_what_needs_no_wait(void **state)
{
    (void)state;
    run_case(cancelled_main, NULL);
}

static void *timeout_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 1);
    uint64_t n = 1;
    int err = 0;
    WEFT_TIMEOUT(WEFT_MS)
    {
        err = weft_channel_receive(c, &n);
    }
    CHECK_EQUAL(err, -ETIMEDOUT);
    CHECK_EQUAL(weft_channel_send(c, &n), 0); /* nobody is in the line any more */
    CHECK_EQUAL(weft_channel_size(c), 1);
    WEFT_TIMEOUT(WEFT_MS)
    {
        n = 2;
        err = weft_channel_send(c, &n);
        CHECK_EQUAL(err, -ETIMEDOUT);
        CHECK_EQUAL(weft_channel_receive(c, &n), 0); /* can be done at once */
        CHECK_EQUAL(weft_channel_receive(c, &n), -ETIMEDOUT);
    }
    CHECK_EQUAL(n, 1);
    CHECK_EQUAL(weft_channel_try_receive(c, &n), -EAGAIN);
    destroy(c);
    return arg;
}

static void a_wait_ends_with_its_scope(void **state)
{
    (void)state;
    run_case(timeout_main, NULL);
}

/* --- who may call ----------------------------------------------------------------------------- */

static void *outside_thread(void *arg)
{
    weft_channel *c = arg;
    uint64_t n = 4;
    CHECK_EQUAL(weft_channel_send(c, &n), -EPERM);
    CHECK_EQUAL(weft_channel_receive(c, &n), -EPERM);
    while (weft_channel_try_send(c, &n) == -EAGAIN) {
        sched_yield();
    }
    int err;
    while ((err = weft_channel_try_receive(c, &n)) == -EAGAIN) {
        sched_yield();
    }
    CHECK_EQUAL(err, 0);
    CHECK_EQUAL(n, 5);
    CHECK_EQUAL(weft_channel_close(c), 0);
    return NULL;
}

static void *outside_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 0);
    pthread_t thread = start_thread(outside_thread, c);
    uint64_t n = 0;
    CHECK_EQUAL(weft_channel_receive(c, &n), 0);
    CHECK_EQUAL(n, 4);
    n = 5;
    CHECK_EQUAL(weft_channel_send(c, &n), 0);
    CHECK_EQUAL(weft_channel_receive(c, &n), -EPIPE);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    destroy(c);
    return arg;
}

static void plain_threads_may_try(void **state)
{
    (void)state;
    run_case(outside_main, NULL);
}

static void a_null_channel_is_refused(void **state)
{
    (void)state;
    uint64_t n = 0;
    assert_null(weft_channel_create(SIZE_MAX / 2, 3));
    assert_null(weft_channel_create(1, SIZE_MAX));
    assert_int_equal(weft_channel_send(NULL, &n), -EPERM);
    assert_int_equal(weft_channel_try_send(NULL, &n), -ENOMEM);
    assert_int_equal(weft_channel_try_receive(NULL, &n), -ENOMEM);
    assert_int_equal(weft_channel_close(NULL), -ENOMEM);
    assert_int_equal(weft_channel_size(NULL), 0);
    assert_int_equal(weft_channel_destroy(NULL), 0);
}

/* --- destroy ---------------------------------------------------------------------------------- */

static void *busy_main(void *arg)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), 1);
    struct call receiver;
    uint64_t n = 1;
    begin(&receiver, c, receive_one, 0);
    let_run();
    CHECK_EQUAL(weft_channel_destroy(c), -EBUSY);
    CHECK(weft_cancel(receiver.task));
    CHECK_EQUAL(weft_channel_destroy(c), -EBUSY); /* it is still to take its node back */
    CHECK_EQUAL(weft_channel_send(c, &n), 0);     /* its node is passed over */
    CHECK_EQUAL(weft_channel_destroy(c), -EBUSY);
    CHECK_EQUAL(end(&receiver), -ECANCELED);
    begin(&receiver, c, receive_one, 0);
    CHECK_EQUAL(end(&receiver), 0);
    begin(&receiver, c, receive_one, 0);
    let_run();
    CHECK_EQUAL(weft_channel_send(c, &n), 0);
    destroy(c); /* it has its element and will not come back */
    CHECK_EQUAL(end(&receiver), 0);
    CHECK_EQUAL(receiver.element, 1);
    return arg;
}

static void who_waits_keeps_it_from_being_destroyed(void **state)
{
    (void)state;
    run_case_alone(busy_main, NULL);
}

static void *last_sender(void *arg)
{
    uint64_t n = 3;
    CHECK_EQUAL(weft_channel_send(arg, &n), 0);
    return NULL;
}

static void *last_closer(void *arg)
{
    CHECK_EQUAL(weft_channel_close(arg), 0);
    return NULL;
}

static void *last_main(void *arg)
{
    for (size_t i = 0; test_goes_on(i, test_scaled(500, 100)); i++) {
        weft_channel *c = weft_channel_create(sizeof(uint64_t), i % 2);
        bool is_closed = i % 4 < 2;
        weft_task *t = weft_spawn(is_closed ? last_closer : last_sender, c);
        uint64_t n = 0;
        CHECK_EQUAL(weft_channel_receive(c, &n), is_closed ? -EPIPE : 0);
        destroy(c);
        CHECK_EQUAL(weft_join(t, NULL), 0);
    }
    return arg;
}

static void who_got_the_last_element_may_destroy(void **state)
{
    (void)state;
    run_case(last_main, NULL);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_come_out_in_order),
        cmocka_unit_test(elements_have_any_size),
        cmocka_unit_test(without_room_a_send_waits_for_a_receiver),
        cmocka_unit_test(who_waits_is_served_first_come_first_served),
        cmocka_unit_test(after_close_receivers_drain),
        cmocka_unit_test(close_ends_the_waits_of_receivers),
        cmocka_unit_test(a_cancelled_receiver_loses_no_element),
        cmocka_unit_test(the_element_of_a_cancelled_sender_never_appears),
        cmocka_unit_test(a_cancelled_task_does_what_needs_no_wait),
        cmocka_unit_test(a_wait_ends_with_its_scope),
        cmocka_unit_test(plain_threads_may_try),
        cmocka_unit_test(a_null_channel_is_refused),
        cmocka_unit_test(who_waits_keeps_it_from_being_destroyed),
        cmocka_unit_test(who_got_the_last_element_may_destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
