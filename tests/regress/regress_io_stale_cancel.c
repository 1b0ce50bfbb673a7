/* SPDX-License-Identifier: MIT */
/*
 * Cancels that are late: the message by which a request reaches the worker of an operation may
 * arrive when that operation has ended, the request was taken back, and the task waits for another.
 * Then
 *   - on the same worker the other operation was ended, though nobody had asked for that;
 *   - on another worker a second request was lost: it relied on the message that was under way, and
 *     that was thrown away where it arrived.
 *
 * Method: the late message is made by hand, since the real one is late for an instant only.
 */
#include "../io/io_help.h"

static void *cancel_late(void *arg)
{
    int fds[2];
    (void)arg;
    make_pipe(fds);
    weft_task *t = spawn(read_byte, BOXED(fds[0]));
    yield_until_calls(fds[0], 1);
    weft__op_cancel_task(weft__poller_current(), t); /* as the message does */
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_write(fds[1], "x", 1), 1);
    CHECK_EQUAL(joined(t), 1);
    t = spawn(read_byte, BOXED(fds[0]));
    yield_until_calls(fds[0], 1);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    close_both(fds);
    return NULL;
}

static void a_request_taken_back_ends_nothing(void **state)
{
    struct weft_options options = {.workers = 1};
    (void)state;
    run_io_with(&options, cancel_late, NULL);
}

struct hog {
    _Atomic(struct worker *) worker; /* which it keeps busy */
    shared_int go;
};

static void *keep_busy(void *arg)
{
    struct hog *h = arg;
    atomic_store_seq_cst(&h->worker, weft__worker_current());
    while (atomic_load_seq_cst(&h->go) == 0) {
        sched_yield();
    }
    return NULL;
}

static void a_second_request_is_passed_on(void **state)
{
    struct weft_options options = {.workers = 2};
    struct hog h = {.worker = NULL};
    weft_runtime *rt;
    weft_task *hog, *reader;
    void *value = NULL;
    int fds[2];
    (void)state;
    make_pipe(fds);
    CHECK_EQUAL(weft_runtime_create(&rt, &options), 0);
    CHECK_EQUAL(weft_runtime_spawn(rt, keep_busy, &h, &hog), 0);
    while (atomic_load_seq_cst(&h.worker) == NULL) {
        sched_yield();
    }
    CHECK_EQUAL(weft_runtime_spawn(rt, read_byte, BOXED(fds[0]), &reader), 0); /* on the other */
    struct fd_entry *e = fd_table_find(fds_of(rt), fds[0]);
    while (atomic_load_seq_cst(&e->word) == 0) {
        sched_yield();
    }
    CHECK(weft__task_send(weft_get(reader), atomic_load_seq_cst(&h.worker), TASK_INBOX_KICK));
    CHECK(weft_cancel(reader));
    atomic_store_seq_cst(&h.go, 1);
    CHECK_EQUAL(weft_future_wait_blocking(reader, WEFT_FOREVER, &value), 0);
    CHECK_EQUAL(UNBOXED(value), -ECANCELED);
    CHECK_EQUAL(weft_future_wait_blocking(hog, WEFT_FOREVER, NULL), 0);
    weft_put(reader);
    weft_put(hog);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    close_both(fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_taken_back_ends_nothing),
        cmocka_unit_test(a_second_request_is_passed_on),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
