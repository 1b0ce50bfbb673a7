/* SPDX-License-Identifier: MIT */
/*
 * More operations than a ring has room for: begun in one turn, in flight at once, completed in one
 * instant, cancelled in one instant, closed under.
 *
 * The ring is the smallest there is, 8 entries; its completion queue holds a few tens.
 */
#include "io_help.h"

#include <poll.h>

#define TASKS_MAX 3000

static size_t tasks;
static weft_task *task[TASKS_MAX];

static const struct weft_options small_ring = {.ring_entries = 8};

static void spawn_all(weft_fn fn, void *arg)
{
    for (size_t i = 0; i < tasks; i++) {
        task[i] = spawn(fn, arg);
    }
}

static void join_all(int want)
{
    for (size_t i = 0; i < tasks; i++) {
        CHECK_EQUAL(joined(task[i]), want);
    }
}

static void *complete_together(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds);
    for (int round = 0; round < 2; round++) {
        spawn_all(wait_readable, BOXED(fds[0]));
        if (round == 0) {
            yield_until_calls(fds[0], (unsigned)tasks);
        }
        CHECK_EQUAL(write(fds[1], "x", 1), 1);
        join_all(POLLIN);
        char c;
        CHECK_EQUAL(weft_recv(fds[0], &c, 1, 0), 1);
    }
    close_both(fds);
    return NULL;
}

static void thousands_complete_at_once(void **state)
{
    (void)state;
    run_io_with(&small_ring, complete_together, NULL);
}

/* Each byte to one reader, none lost. */
static void *read_together(void *arg)
{
    static char bytes[TASKS_MAX];
    int fds[2];
    (void)arg;
    make_pair(fds);
    spawn_all(read_byte, BOXED(fds[0]));
    yield_until_calls(fds[0], (unsigned)tasks);
    CHECK_EQUAL(weft_write_full(fds[1], bytes, tasks, NULL), 0);
    join_all(1);
    char c;
    CHECK_EQUAL(weft_recv(fds[0], &c, 1, MSG_DONTWAIT), -EAGAIN);
    close_both(fds);
    return NULL;
}

static void thousands_share_what_comes(void **state)
{
    (void)state;
    run_io_with(&small_ring, read_together, NULL);
}

static void *cancel_together(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds);
    for (int round = 0; round < 2; round++) {
        spawn_all(read_byte, BOXED(fds[0]));
        if (round == 0) {
            yield_until_calls(fds[0], (unsigned)tasks);
        }
        for (size_t i = 0; i < tasks; i++) {
            CHECK(weft_cancel(task[i]));
        }
        join_all(-ECANCELED);
    }
    CHECK_EQUAL(weft_send(fds[1], "x", 1, 0), 1);
    CHECK_EQUAL(UNBOXED(read_byte(BOXED(fds[0]))), 1);
    close_both(fds);
    return NULL;
}

static void thousands_are_cancelled_at_once(void **state)
{
    (void)state;
    run_io_with(&small_ring, cancel_together, NULL);
}

static void *close_under_all(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds);
    spawn_all(read_byte, BOXED(fds[0]));
    yield_until_calls(fds[0], (unsigned)tasks);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    join_all(-ECANCELED);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return NULL;
}

static void thousands_end_by_one_close(void **state)
{
    (void)state;
    run_io_with(&small_ring, close_under_all, NULL);
}

#define POLLED 300

static struct pollfd polled[POLLED];

static void *poll_all(void *arg)
{
    (void)arg;
    return BOXED(weft_poll(polled, POLLED));
}

static void *poll_wide(void *arg)
{
    int fds[POLLED][2];
    (void)arg;
    for (int i = 0; i < POLLED; i++) {
        make_pipe(fds[i]);
        polled[i] = (struct pollfd){.fd = fds[i][0], .events = POLLIN};
    }
    for (int i = 0; i < POLLED; i += 37) {
        weft_task *t = spawn(poll_all, NULL);
        yield_until_calls(fds[POLLED - 1][0], 1);
        CHECK_EQUAL(write(fds[i][1], "x", 1), 1);
        CHECK_EQUAL(joined(t), 1);
        CHECK_EQUAL(polled[i].revents, POLLIN);
        CHECK_EQUAL(UNBOXED(read_byte(BOXED(fds[i][0]))), 1);
        CHECK_EQUAL(calls_on(fds[i][0]), 0);
    }
    for (int i = 0; i < POLLED; i++) {
        close_both(fds[i]);
    }
    return NULL;
}

static void one_poll_is_wider_than_the_ring(void **state)
{
    (void)state;
    run_io_with(&small_ring, poll_wide, NULL);
}

#define PIPE_TASKS 300 /* two descriptors each */

/* Each of them alone is quick; together they are more than one turn can hand over. */
static void *read_own_pipe(void *arg)
{
    int fds[2];
    char c = 0;
    (void)arg;
    make_pipe(fds);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_write(fds[1], "x", 1), 1);
        CHECK_EQUAL(weft_read(fds[0], &c, 1), 1);
        CHECK_EQUAL(c, 'x');
    }
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return BOXED(7);
}

static void *begin_together(void *arg)
{
    (void)arg;
    for (int i = 0; i < PIPE_TASKS; i++) {
        task[i] = spawn(read_own_pipe, NULL);
    }
    for (int i = 0; i < PIPE_TASKS; i++) {
        CHECK_EQUAL(joined(task[i]), 7);
    }
    return NULL;
}

static void more_begin_in_a_turn_than_fit(void **state)
{
    (void)state;
    run_io_with(&small_ring, begin_together, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_complete_at_once),
        cmocka_unit_test(thousands_share_what_comes),
        cmocka_unit_test(thousands_are_cancelled_at_once),
        cmocka_unit_test(thousands_end_by_one_close),
        cmocka_unit_test(one_poll_is_wider_than_the_ring),
        cmocka_unit_test(more_begin_in_a_turn_than_fit),
    };
    tasks = test_scaled(TASKS_MAX, 400);
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
