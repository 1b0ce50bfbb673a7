/* SPDX-License-Identifier: MIT */
/*
 * Goal: each subscriber of a broadcast receives every element that was sent since it subscribed, in
 * order, or is told how many it missed; it waits for the next, and loses none to a cancel.
 *
 * Method: where the order of events is the promise, on one worker, where a yield lets all who are
 * ready run until they wait; else on any number.
 */
#include "task_help.h"

/* A task that makes one call and notes what came of it. */
struct call {
    struct weft_subscription at;
    uint64_t element;
    uint64_t missed;
    shared_int err; /* 1: not yet */
    weft_task *task;
};

static void *receive_one(void *arg)
{
    struct call *c = arg;
    atomic_store_seq_cst(&c->err, weft_broadcast_receive(&c->at, &c->element, &c->missed));
    return NULL;
}

static void begin(struct call *c, struct weft_subscription at)
{
    c->at = at;
    c->element = 0;
    c->missed = 99;
    atomic_store_seq_cst(&c->err, 1);
    c->task = weft_spawn(receive_one, c);
    CHECK(c->task != NULL);
}

static int end(struct call *c)
{
    CHECK_EQUAL(weft_join(c->task, NULL), 0);
    return atomic_load_seq_cst(&c->err);
}

/* On one worker: let all others run until they wait. */
static void let_run(void)
{
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

static void tell(weft_broadcast *b, uint64_t element)
{
    CHECK_EQUAL(weft_broadcast_send(b, &element), 0);
}

static void expect(struct weft_subscription *s, uint64_t element, uint64_t missed)
{
    uint64_t got = 0;
    uint64_t lost = 99;
    CHECK_EQUAL(weft_broadcast_try_receive(s, &got, &lost), 0);
    CHECK_EQUAL(got, element);
    CHECK_EQUAL(lost, missed);
}

static void *order_main(void *arg)
{
    weft_broadcast *b = weft_broadcast_create(sizeof(uint64_t), 4);
    struct weft_subscription early;
    struct weft_subscription late;
    tell(b, 1); /* to nobody */
    CHECK_EQUAL(weft_broadcast_subscribe(b, &early), 0);
    CHECK_EQUAL(weft_broadcast_try_receive(&early, NULL, NULL), -EAGAIN);
    tell(b, 2);
    tell(b, 3);
    CHECK_EQUAL(weft_broadcast_subscribe(b, &late), 0);
    tell(b, 4);
    expect(&early, 2, 0);
    struct weft_subscription copy = early;
    expect(&early, 3, 0);
    expect(&early, 4, 0);
    CHECK_EQUAL(weft_broadcast_receive(&copy, NULL, NULL), 0);
    expect(&copy, 4, 0);
    expect(&late, 4, 0);
    CHECK_EQUAL(weft_broadcast_try_receive(&late, NULL, NULL), -EAGAIN);
    CHECK_EQUAL(weft_broadcast_destroy(b), 0);
    return arg;
}

static void each_subscriber_gets_each_element(void **state)
{
    (void)state;
    run_case(order_main, NULL);
}

static void *slow_main(void *arg)
{
    weft_broadcast *b = weft_broadcast_create(sizeof(uint64_t), 3);
    struct weft_subscription s;
    CHECK_EQUAL(weft_broadcast_subscribe(b, &s), 0);
    for (uint64_t i = 0; i < 3; i++) {
        tell(b, i);
    }
    struct weft_subscription full = s;
    expect(&full, 0, 0); /* as many as are kept: none is lost */
    for (uint64_t i = 3; i < 10; i++) {
        tell(b, i);
    }
    expect(&s, 7, 7);
    expect(&s, 8, 0);
    expect(&full, 7, 6);
    tell(b, 10);
    tell(b, 11);
    expect(&s, 9, 0);
    CHECK_EQUAL(weft_broadcast_destroy(b), 0);
    return arg;
}

static void a_slow_one_is_told_what_it_missed(void **state)
{
    (void)state;
    run_case(slow_main, NULL);
}

static void *wait_main(void *arg)
{
    weft_broadcast *b = weft_broadcast_create(sizeof(uint64_t), 1);
    struct weft_subscription s;
    struct call calls[4];
    CHECK_EQUAL(weft_broadcast_subscribe(b, &s), 0);
    for (int i = 0; i < 4; i++) {
        begin(&calls[i], s);
    }
    let_run();
    CHECK_EQUAL(weft_broadcast_destroy(b), -EBUSY);
    CHECK(weft_cancel(calls[0].task));
    tell(b, 5);
    CHECK(weft_cancel(calls[1].task)); /* too late: it has its element */
    for (uint64_t i = 6; i < 9; i++) { /* overwritten in the ring, not in their hands */
        tell(b, i);
    }
    CHECK_EQUAL(end(&calls[0]), -ECANCELED);
    CHECK_EQUAL(calls[0].missed, 99);
    expect(&calls[0].at, 8, 3); /* it is where it was */
    for (int i = 1; i < 4; i++) {
        CHECK_EQUAL(end(&calls[i]), 0);
        CHECK_EQUAL(calls[i].element, 5);
        CHECK_EQUAL(calls[i].missed, 0);
        expect(&calls[i].at, 8, 2);
    }
    CHECK_EQUAL(weft_broadcast_destroy(b), 0);
    return arg;
}

static void all_who_wait_get_the_next(void **state)
{
    (void)state;
    run_case_alone(wait_main, NULL);
}

static void *close_main(void *arg)
{
    weft_broadcast *b = weft_broadcast_create(sizeof(uint64_t), 4);
    struct weft_subscription s;
    struct call waiting;
    CHECK_EQUAL(weft_broadcast_subscribe(b, &s), 0);
    tell(b, 1);
    begin(&waiting, (struct weft_subscription){b, s.next + 1});
    settle();
    CHECK_EQUAL(weft_broadcast_close(b), 0);
    CHECK_EQUAL(weft_broadcast_close(b), -EALREADY);
    CHECK_EQUAL(end(&waiting), -EPIPE);
    uint64_t element = 2;
    CHECK_EQUAL(weft_broadcast_send(b, &element), -EPIPE);
    CHECK_EQUAL(weft_broadcast_receive(&s, &element, NULL), 0);
    CHECK_EQUAL(element, 1);
    CHECK_EQUAL(weft_broadcast_receive(&s, &element, NULL), -EPIPE);
    CHECK_EQUAL(weft_broadcast_try_receive(&s, &element, NULL), -EPIPE);
    CHECK_EQUAL(weft_broadcast_destroy(b), 0);
    return arg;
}

static void after_close_the_rest_is_received(void **state)
{
    (void)state;
    run_case(close_main, NULL);
}

/* --- several senders, subscribers that keep up or not, cancels -------------------------------- */

enum { SENDERS = 3, SUBSCRIBERS = 4 };

struct crowd {
    weft_broadcast *broadcast;
    uint64_t count; /* of each sender */
    struct weft_subscription from_the_start;
    shared_int ended;
    weft_task *subscribers[SUBSCRIBERS];
};

struct member {
    struct crowd *crowd;
    uint64_t number;
};

static void *crowd_sender(void *arg)
{
    struct member *m = arg;
    for (uint64_t i = 0; i < m->crowd->count; i++) {
        tell(m->crowd->broadcast, m->number << 32 | i);
        if (i % 8 == m->number) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    return NULL;
}

static void *crowd_subscriber(void *arg)
{
    struct crowd *c = arg;
    struct weft_subscription s = c->from_the_start;
    uint64_t next[SENDERS] = {0};
    uint64_t total = 0;
    int err;
    for (;;) {
        uint64_t element = 0;
        uint64_t missed = 0;
        err = weft_broadcast_receive(&s, &element, &missed);
        if (err == -EPIPE) {
            break;
        }
        if (err == -ECANCELED) {
            while (weft_uncancel() > 0) {
                /* all of them */
            }
            continue;
        }
        CHECK_EQUAL(err, 0);
        total += 1 + missed;
        uint64_t from = element >> 32;
        uint64_t number = element & UINT32_MAX;
        CHECK(from < SENDERS && number >= next[from] && (missed > 0 || number <= c->count));
        next[from] = number + 1;
    }
    CHECK_EQUAL(total, SENDERS * c->count);
    atomic_add_seq_cst(&c->ended, 1);
    return NULL;
}

static void *crowd_main(void *arg)
{
    struct crowd c = {.count = test_scaled(20000, 500)};
    struct member members[SENDERS];
    weft_task *senders[SENDERS];
    c.broadcast = weft_broadcast_create(sizeof(uint64_t), 32);
    CHECK_EQUAL(weft_broadcast_subscribe(c.broadcast, &c.from_the_start), 0);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        c.subscribers[i] = weft_spawn(crowd_subscriber, &c);
    }
    for (uint64_t i = 0; i < SENDERS; i++) {
        members[i] = (struct member){&c, i};
        senders[i] = weft_spawn(crowd_sender, &members[i]);
    }
    for (int i = 0; i < 50; i++) {
        (void)weft_cancel(c.subscribers[i % SUBSCRIBERS]);
        CHECK_EQUAL(weft_sleep(100 * WEFT_US), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        CHECK_EQUAL(weft_join(senders[i], NULL), 0);
    }
    CHECK_EQUAL(weft_broadcast_close(c.broadcast), 0);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        CHECK_EQUAL(weft_join(c.subscribers[i], NULL), 0);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&c.ended), SUBSCRIBERS);
    CHECK_EQUAL(weft_broadcast_destroy(c.broadcast), 0);
    return arg;
}

static void what_is_received_and_missed_is_what_was_sent(void **state)
{
    (void)state;
    run_case(crowd_main, NULL);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    struct weft_subscription s;
    assert_null(weft_broadcast_create(8, 0));
    assert_null(weft_broadcast_create(SIZE_MAX / 2, 3));
    assert_int_equal(weft_broadcast_send(NULL, &s), -ENOMEM);
    assert_int_equal(weft_broadcast_subscribe(NULL, &s), -ENOMEM);
    assert_int_equal(weft_broadcast_receive(&s, NULL, NULL), -EPERM);
    assert_int_equal(weft_broadcast_try_receive(&s, NULL, NULL), -ENOMEM);
    assert_int_equal(weft_broadcast_close(NULL), -ENOMEM);
    assert_int_equal(weft_broadcast_destroy(NULL), 0);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_subscriber_gets_each_element),
        cmocka_unit_test(a_slow_one_is_told_what_it_missed),
        cmocka_unit_test(all_who_wait_get_the_next),
        cmocka_unit_test(after_close_the_rest_is_received),
        cmocka_unit_test(what_is_received_and_missed_is_what_was_sent),
        cmocka_unit_test(arguments_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
