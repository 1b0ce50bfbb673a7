/* SPDX-License-Identifier: MIT */
/*
 * Goal: who follows a watch sees values in the order in which they were set, maybe not all, always
 * the last; it waits for the next, and loses none to a cancel.
 *
 * Method: where the order of events is the promise, on one worker, where a yield lets all who are
 * ready run until they wait; else on any number.
 */
#include "task_help.h"

/* A task that waits once and notes what came of it. */
struct call {
    weft_watch *watch;
    uint64_t seen;
    uint64_t value;
    shared_int err; /* 1: not yet */
    weft_task *task;
};

static void *wait_once(void *arg)
{
    struct call *c = arg;
    atomic_store_seq_cst(&c->err, weft_watch_wait(c->watch, &c->seen, &c->value));
    return NULL;
}

static void begin(struct call *c, weft_watch *w, uint64_t seen)
{
    c->watch = w;
    c->seen = seen;
    c->value = 0;
    atomic_store_seq_cst(&c->err, 1);
    c->task = weft_spawn(wait_once, c);
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

static weft_watch *create(uint64_t value)
{
    weft_watch *w = weft_watch_create(sizeof value, &value);
    CHECK(w != NULL);
    return w;
}

static void set(weft_watch *w, uint64_t value)
{
    CHECK_EQUAL(weft_watch_set(w, &value), 0);
}

static void *latest_main(void *arg)
{
    weft_watch *w = create(10);
    uint64_t value = 0;
    uint64_t seen = 0;
    CHECK_EQUAL(weft_watch_get(w, &value, &seen), 0);
    CHECK_EQUAL(value, 10);
    CHECK_EQUAL(seen, 1);
    seen = 0;
    CHECK_EQUAL(weft_watch_wait(w, &seen, &value), 0); /* the first is news to it */
    CHECK_EQUAL(value, 10);
    CHECK_EQUAL(seen, 1);
    set(w, 11);
    set(w, 12);
    CHECK_EQUAL(weft_watch_wait(w, &seen, &value), 0);
    CHECK_EQUAL(value, 12);
    CHECK_EQUAL(seen, 3);
    set(w, 12); /* counts as another */
    CHECK_EQUAL(weft_watch_wait(w, &seen, NULL), 0);
    CHECK_EQUAL(seen, 4);
    CHECK_EQUAL(weft_watch_get(w, NULL, NULL), 0);
    CHECK_EQUAL(weft_watch_destroy(w), 0);
    return arg;
}

static void the_latest_value_is_seen(void **state)
{
    (void)state;
    run_case(latest_main, NULL);
}

static void *wait_main(void *arg)
{
    weft_watch *w = create(1);
    struct call calls[3];
    for (int i = 0; i < 3; i++) {
        begin(&calls[i], w, 1);
    }
    let_run();
    CHECK_EQUAL(weft_watch_destroy(w), -EBUSY);
    CHECK(weft_cancel(calls[0].task));
    set(w, 2);
    CHECK(weft_cancel(calls[1].task)); /* too late: it has the value */
    set(w, 3);
    CHECK_EQUAL(end(&calls[0]), -ECANCELED);
    CHECK_EQUAL(calls[0].seen, 1);
    for (int i = 1; i < 3; i++) {
        CHECK_EQUAL(end(&calls[i]), 0);
        CHECK_EQUAL(calls[i].value, 2);
        CHECK_EQUAL(calls[i].seen, 2);
    }
    CHECK_EQUAL(weft_watch_destroy(w), 0);
    return arg;
}

static void all_who_wait_get_the_next(void **state)
{
    (void)state;
    run_case_alone(wait_main, NULL);
}

static void *cancelled_body(void *arg)
{
    weft_watch *w = arg;
    uint64_t seen = 0;
    CHECK_EQUAL(weft_watch_wait(w, &seen, NULL), 0);
    CHECK_EQUAL(weft_watch_wait(w, &seen, NULL), -ECANCELED);
    return NULL;
}

static void *close_main(void *arg)
{
    static const struct weft_spawn_options held = {.held = true};
    weft_watch *w = create(1);
    struct call waiting;
    uint64_t value = 5;
    uint64_t seen = 0;
    weft_task *t = weft_spawn_with(&held, cancelled_body, w);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_start(t), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    begin(&waiting, w, 1);
    settle();
    CHECK_EQUAL(weft_watch_close(w), 0);
    CHECK_EQUAL(weft_watch_close(w), -EALREADY);
    CHECK_EQUAL(end(&waiting), -EPIPE);
    CHECK_EQUAL(waiting.seen, 1);
    CHECK_EQUAL(weft_watch_set(w, &value), -EPIPE);
    CHECK_EQUAL(weft_watch_wait(w, &seen, &value), 0); /* the last value is not lost */
    CHECK_EQUAL(value, 1);
    CHECK_EQUAL(weft_watch_wait(w, &seen, &value), -EPIPE);
    CHECK_EQUAL(weft_watch_get(w, &value, NULL), 0);
    CHECK_EQUAL(weft_watch_destroy(w), 0);
    return arg;
}

static void after_close_the_last_value_is_seen(void **state)
{
    (void)state;
    run_case(close_main, NULL);
}

/* --- many follow, values of several words ----------------------------------------------------- */

enum { FOLLOWERS = 5, WORDS = 5 };

struct words {
    uint64_t word[WORDS]; /* all the same, or it was torn */
};

static void *follow(void *arg)
{
    weft_watch *w = arg;
    struct words value;
    uint64_t seen = 0;
    uint64_t last = 0;
    int err;
    while ((err = weft_watch_wait(w, &seen, &value)) != -EPIPE) {
        if (err == -ECANCELED) {
            while (weft_uncancel() > 0) {
                /* all of them */
            }
            continue;
        }
        CHECK_EQUAL(err, 0);
        CHECK_EQUAL(seen, value.word[0]);
        CHECK(seen > last);
        for (int i = 1; i < WORDS; i++) {
            CHECK_EQUAL(value.word[i], value.word[0]);
        }
        last = seen;
    }
    return (void *)(uintptr_t)last;
}

static void *setter_thread(void *arg)
{
    weft_watch *w = arg;
    uint64_t last = test_scaled(20000, 500);
    for (uint64_t version = 2; version <= last; version++) {
        struct words value;
        for (int i = 0; i < WORDS; i++) {
            value.word[i] = version;
        }
        CHECK_EQUAL(weft_watch_set(w, &value), 0);
        if (version % 64 == 0) {
            sched_yield();
        }
    }
    CHECK_EQUAL(weft_watch_close(w), 0);
    return NULL;
}

static void *many_main(void *arg)
{
    struct words first = {{1, 1, 1, 1, 1}};
    weft_watch *w = weft_watch_create(sizeof first, &first);
    weft_task *tasks[FOLLOWERS];
    for (int i = 0; i < FOLLOWERS; i++) {
        tasks[i] = weft_spawn(follow, w);
    }
    pthread_t thread = start_thread(setter_thread, w);
    for (int i = 0; i < 50; i++) {
        (void)weft_cancel(tasks[i % FOLLOWERS]);
        CHECK_EQUAL(weft_sleep(100 * WEFT_US), 0);
    }
    for (int i = 0; i < FOLLOWERS; i++) {
        void *last;
        CHECK_EQUAL(weft_join(tasks[i], &last), 0);
        CHECK_EQUAL((uintptr_t)last, test_scaled(20000, 500));
    }
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(weft_watch_destroy(w), 0);
    return arg;
}

static void values_are_whole_and_in_order(void **state)
{
    (void)state;
    run_case(many_main, NULL);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_null(weft_watch_create(SIZE_MAX - 8, &value));
    assert_int_equal(weft_watch_set(NULL, &value), -ENOMEM);
    assert_int_equal(weft_watch_get(NULL, &value, NULL), -ENOMEM);
    assert_int_equal(weft_watch_wait(NULL, &value, NULL), -EPERM);
    assert_int_equal(weft_watch_close(NULL), -ENOMEM);
    assert_int_equal(weft_watch_destroy(NULL), 0);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_value_is_seen),
        cmocka_unit_test(all_who_wait_get_the_next),
        cmocka_unit_test(after_close_the_last_value_is_seen),
        cmocka_unit_test(values_are_whole_and_in_order),
        cmocka_unit_test(arguments_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
