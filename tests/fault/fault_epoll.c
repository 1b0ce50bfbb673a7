/* SPDX-License-Identifier: MIT */
/*
 * What an epoll poller remembers of a descriptor, when a call in between has failed: that there was
 * nothing at hand of a file, that a number was another file's, and what nobody but itself knows of.
 *
 * Workers: 1
 */
#include "fault_help.h"

#include <poll.h>

#include "../io/io_help.h"

#define BYTES 100

static void run_epoll(weft_fn fn)
{
    struct weft_options options = {.workers = 1, .backend = WEFT_BACKEND_EPOLL};
    run_io_with(&options, fn, NULL);
}

static uint64_t calls_on_threads(void)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &m), 0);
    return m.blocking_jobs;
}

/* ---- a file ---- */

static void *read_on(void *arg)
{
    char buf[2 * BYTES] = {0};
    (void)arg;
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(write(fd, buf, sizeof buf), sizeof buf);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    inject_arm(INJECT_RECEIVE, 1, EAGAIN, 1); /* it has to come from the disk */
    CHECK_EQUAL(weft_read(fd, buf, BYTES), BYTES);
    CHECK_EQUAL(inject_disarm(), 1);
    uint64_t calls = calls_on_threads();
    CHECK(calls > 0);
    CHECK_EQUAL(weft_read(fd, buf, BYTES), BYTES); /* it is at hand */
    CHECK_EQUAL(calls_on_threads(), calls);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void what_is_at_hand_takes_no_thread(void **state)
{
    (void)state;
    run_epoll(read_on);
}

/* ---- a number that is another file's ---- */

static void *receive_one(void *arg)
{
    char buf[8];
    CHECK_EQUAL(weft_recv(UNBOXED(arg), buf, sizeof buf, 0), 1);
    return NULL;
}

static void *use_number_again(void *arg)
{
    int old[2];
    int fds[2];
    (void)arg;
    make_pair(old);
    weft_task *t = spawn(receive_one, BOXED(old[0]));
    settle();
    CHECK_EQUAL(write(old[1], "x", 1), 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(close(old[0]), 0); /* which the runtime does not see */
    CHECK_EQUAL(close(old[1]), 0);
    make_pair(fds);
    CHECK_EQUAL(fds[0], old[0]);
    CHECK_EQUAL(write(fds[1], "x", 1), 1);
    inject_arm(INJECT_CONTROL, 2, ENOSPC, 1); /* it is not there, and cannot be registered now */
    CHECK_EQUAL(joined(spawn(receive_one, BOXED(fds[0]))), 0);
    CHECK_EQUAL(inject_disarm(), 1);
    close_both(fds);
    return NULL;
}

static void a_number_is_registered_again_later(void **state)
{
    (void)state;
    run_epoll(use_number_again);
}

/* ---- for who helps ---- */

static void note_nothing(struct op *op, int result, bool is_over)
{
    (void)op;
    (void)result;
    (void)is_over;
}

static void *begin_a_poll(void *arg)
{
    int fds[2];
    struct op op;
    struct worker *w = weft__worker_current();
    struct fd_table *t = fds_of(weft_runtime_current());
    (void)arg;
    make_pair(fds);
    struct op_request poll = {.code = OP_POLL, .fd = fds[0], .flags = POLLIN};
    CHECK(!w->poller_ops->behind(w->poller));
    CHECK_EQUAL(fd_table_enter(t, fds[0]), 0);
    CHECK_EQUAL(weft__op_begin(&op, &poll, note_nothing), 0);
    CHECK(w->poller_ops->behind(w->poller)); /* the kernel knows of nothing */
    settle();
    CHECK(!w->poller_ops->behind(w->poller));
    weft__op_end(w->poller, &op);
    CHECK(w->poller_ops->behind(w->poller));
    settle();
    CHECK(op.is_done);
    fd_table_leave(t, fds[0]);
    close_both(fds);
    return NULL;
}

static void what_the_kernel_knows_nothing_of_is_told(void **state)
{
    (void)state;
    run_epoll(begin_a_poll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_at_hand_takes_no_thread),
        cmocka_unit_test(a_number_is_registered_again_later),
        cmocka_unit_test(what_the_kernel_knows_nothing_of_is_told),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
