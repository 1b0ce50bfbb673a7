/* SPDX-License-Identifier: MIT */
/*
 * What tasks talk through, what looks at them, and signals, when memory fails: an item is in the
 * queue or still the caller's, and a look that cannot be made has printed nothing.
 *
 * Workers: 2
 */
#include "fault_help.h"

#define ITEMS 100

static int use_channel(void *arg)
{
    (void)arg;
    weft_channel *c = weft_channel_create(sizeof(int), 16);
    int got = 0;
    if (c == NULL) {
        return -ENOMEM;
    }
    for (int i = 0; i < 16; i++) {
        CHECK_EQUAL(weft_channel_send(c, &i), 0);
    }
    CHECK_EQUAL(weft_channel_try_send(c, &got), -EAGAIN);
    for (int i = 0; i < 16; i++) {
        CHECK_EQUAL(weft_channel_receive(c, &got), 0);
        CHECK_EQUAL(got, i);
    }
    CHECK_EQUAL(weft_channel_destroy(c), 0);
    return 0;
}

/* A queue of any length grows: what it has taken comes out, what it has refused does not. */
static int use_queue(void *arg)
{
    weft_queue *q = weft_queue_create((enum weft_queue_kind)UNBOXED(arg), 0);
    bool is_put[ITEMS] = {false};
    bool is_got[ITEMS] = {false};
    int put = 0;
    int err = 0;
    if (q == NULL) {
        return -ENOMEM;
    }
    for (int i = 0; i < ITEMS; i++) {
        int e = weft_queue_put(q, &is_got[i]);
        is_put[i] = e == 0;
        put += e == 0;
        err = first_error(err, e);
    }
    CHECK_EQUAL(weft_queue_size(q), put);
    for (int i = 0; i < put; i++) {
        void *item = NULL;
        CHECK_EQUAL(weft_queue_get(q, &item), 0);
        CHECK(!*(bool *)item);
        *(bool *)item = true;
        CHECK_EQUAL(weft_queue_task_done(q), 0);
    }
    CHECK_EQUAL(memcmp(is_put, is_got, sizeof is_put), 0);
    CHECK_EQUAL(weft_queue_join(q), 0);
    CHECK_EQUAL(weft_queue_destroy(q), 0);
    return err;
}

static int use_broadcast_and_watch(void *arg)
{
    struct weft_subscription s;
    int value = 1;
    uint64_t seen = 0;
    (void)arg;
    weft_broadcast *b = weft_broadcast_create(sizeof value, 4);
    weft_watch *w = weft_watch_create(sizeof value, &value);
    int err = first_error(NULL_IS_ENOMEM(b), NULL_IS_ENOMEM(w));
    if (err == 0) {
        CHECK_EQUAL(weft_broadcast_subscribe(b, &s), 0);
        CHECK_EQUAL(weft_broadcast_send(b, &value), 0);
        CHECK_EQUAL(weft_broadcast_receive(&s, &value, &seen), 0);
        CHECK_EQUAL(weft_watch_set(w, &value), 0);
        CHECK_EQUAL(weft_watch_get(w, &value, &seen), 0);
    }
    CHECK_EQUAL(weft_broadcast_destroy(b), 0);
    CHECK_EQUAL(weft_watch_destroy(w), 0);
    return err;
}

static void *wait_for_event(void *arg)
{
    return BOXED(weft_event_wait(arg));
}

/* Tasks that wait, looked at from one that does not. */
static int look_at_tasks(void *arg)
{
    struct weft_event go = {0};
    weft_task *tasks[8] = {NULL};
    void *frames[16];
    char text[128];
    int err = 0;
    FILE *out = arg;
    rewind(out);
    for (size_t i = 0; i < COUNT(tasks); i++) {
        tasks[i] = weft_spawn(wait_for_event, &go);
        err = first_error(err, NULL_IS_ENOMEM(tasks[i]));
    }
    CHECK_EQUAL(weft_yield(), 0);
    long from = ftell(out);
    ssize_t shown = weft_dump_tasks(weft_runtime_current(), out);
    CHECK(shown > 0 || (shown == -ENOMEM && ftell(out) == from));
    err = first_error(err, shown < 0 ? (int)shown : 0);
    for (size_t i = 0; i < COUNT(tasks); i++) {
        if (tasks[i] != NULL) {
            CHECK(weft_describe(tasks[i], text, sizeof text) > 0);
            (void)weft_backtrace(tasks[i], frames, COUNT(frames));
        }
    }
    weft_event_set(&go);
    for (size_t i = 0; i < COUNT(tasks); i++) {
        CHECK_EQUAL(tasks[i] == NULL ? 0 : joined(tasks[i]), 0);
    }
    return err;
}

static shared_int told;

static void count_signal(int signo, void *arg)
{
    (void)arg;
    CHECK_EQUAL(signo, SIGUSR1);
    atomic_add_seq_cst(&told, 1);
}

/* A handler that could be had is called, once for each signal. */
static int take_signals(void *arg)
{
    sigset_t set;
    (void)arg;
    atomic_store_seq_cst(&told, 0);
    int err = weft_on_signal(SIGUSR1, count_signal, NULL);
    if (err == 0) {
#ifndef __SANITIZE_THREAD__ /* which has the main thread's handler wait until that is awake */
        CHECK_EQUAL(kill(getpid(), SIGUSR1), 0);
        while (atomic_load_seq_cst(&told) == 0) {
            (void)weft_yield();
        }
#endif
        CHECK_EQUAL(weft_on_signal_remove(SIGUSR1, count_signal, NULL), 1);
    }
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    struct weft_scope s;
    weft_scope_enter(&s, 100 * WEFT_US);
    int e = weft_signal_wait(&set);
    (void)weft_scope_exit(&s);
    (void)weft_signal_release(&set);
    return first_error(err, e == -ETIMEDOUT ? 0 : e);
}

static int switch_debug(void *arg)
{
    weft_runtime *rt = weft_runtime_current();
    (void)arg;
    int err = weft_set_debug(rt, true);
    CHECK(weft_debug(rt) == (err == 0));
    CHECK_EQUAL(weft_set_debug(rt, false), 0);
    CHECK(!weft_debug(rt));
    return err;
}

static void want_of_memory_is_told_by_each_call(void **state)
{
    FILE *out = tmpfile();
    const struct fault_case cases[] = {
        {"weft_channel_create", use_channel, NULL, {0}},
        {"weft_queue_put, FIFO", use_queue, BOXED(WEFT_FIFO), {0}},
        {"weft_queue_put, LIFO", use_queue, BOXED(WEFT_LIFO), {0}},
        {"weft_queue_put, priority", use_queue, BOXED(WEFT_PRIORITY), {0}},
        {"weft_broadcast_create", use_broadcast_and_watch, NULL, {0}},
        {"weft_dump_tasks", look_at_tasks, out, {0}},
        {"weft_on_signal", take_signals, NULL, {0}},
        {"weft_set_debug", switch_debug, NULL, {-EAGAIN}},
    };
    static const struct fault faults[] = {
        {INJECT_MEMORY, ENOMEM, 1}, {INJECT_MEMORY, ENOMEM, 3}, {INJECT_SIGNAL, EINVAL, 1},
        {INJECT_THREAD, EAGAIN, 1}, {INJECT_MAP, ENOMEM, 2},
    };
    (void)state;
    CHECK(out != NULL);
    fault_run_fresh(cases, COUNT(cases), faults, COUNT(faults));
    fclose(out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(want_of_memory_is_told_by_each_call),
    };
    fault_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
