/* SPDX-License-Identifier: MIT */
/*
 * Waiting for room in a socket whose peer has shut its side down: weft_wait_fd returned POLLRDHUP
 * at once, which nobody had asked for, and weft_poll went round and round without sleeping.
 * io_uring tells of POLLRDHUP unasked.
 */
#include "../io/io_help.h"

#include <poll.h>

static char block[65536];

static void *wait_for_room(void *arg)
{
    return BOXED(weft_wait_fd(UNBOXED(arg), POLLOUT));
}

static void *poll_for_room(void *arg)
{
    struct pollfd p[2] = {{.fd = UNBOXED(arg), .events = POLLOUT}, {.fd = -1}};
    int n = weft_poll(p, 2);
    return BOXED(n == 1 ? p[0].revents : n);
}

static void *poll_for_nothing(void *arg)
{
    struct pollfd p = {.fd = UNBOXED(arg), .events = 0};
    int n = weft_poll(&p, 1);
    return BOXED(n == 1 ? p.revents : n);
}

static const weft_fn waits[] = {wait_for_room, poll_for_room, poll_for_nothing};

/* A pair, [0] full, and its peer will say no more. */
static void make_half_closed(int fds[2])
{
    make_pair(fds);
    while (send(fds[0], block, sizeof block, MSG_DONTWAIT) > 0) {
    }
    CHECK_EQUAL(shutdown(fds[1], SHUT_WR), 0);
}

static uint64_t operations(void)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &m), 0);
    return m.sqes;
}

static void *wait_half_closed(void *arg)
{
    weft_fn wait = waits[UNBOXED(arg)];
    int fds[2];
    make_half_closed(fds);
    weft_task *t = spawn(wait, BOXED(fds[0]));
    yield_until_calls(fds[0], 1);
    CHECK_EQUAL(weft_sleep(10 * WEFT_MS), 0);
    uint64_t before = operations();
    CHECK_EQUAL(weft_sleep(20 * WEFT_MS), 0);
    CHECK(operations() - before < 10); /* it sleeps */
    CHECK(!weft_done(t));
    if (wait == poll_for_nothing) {
        CHECK_EQUAL(close(fds[1]), 0);
        CHECK_EQUAL(joined(t), POLLHUP | POLLERR); /* with bytes unread: reset */
        CHECK_EQUAL(close(fds[0]), 0);
        return NULL;
    }
    set_nonblock(fds[1]);
    while (read(fds[1], block, sizeof block) > 0) {
    }
    CHECK_EQUAL(joined(t), POLLOUT);
    close_both(fds);
    return NULL;
}

static void it_waits_for_what_was_asked(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        run_io(wait_half_closed, BOXED(i));
    }
}

/* The detour must not be in the way of a cancel or of weft_close. */
static void *end_half_closed(void *arg)
{
    (void)arg;
    for (int i = 0; i < 12; i++) {
        int fds[2];
        make_half_closed(fds);
        weft_task *t = spawn(waits[i % 3], BOXED(fds[0]));
        yield_until_calls(fds[0], 1);
        if (i % 2 == 0) {
            settle();
        }
        if (i < 6) {
            CHECK(weft_cancel(t));
            CHECK_EQUAL(joined(t), -ECANCELED);
            CHECK_EQUAL(weft_close(fds[0]), 0);
        } else {
            CHECK_EQUAL(weft_close(fds[0]), 0);
            CHECK_EQUAL(joined(t), -ECANCELED);
        }
        CHECK_EQUAL(close(fds[1]), 0);
    }
    return NULL;
}

static void it_can_be_ended(void **state)
{
    (void)state;
    run_io(end_half_closed, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_for_what_was_asked),
        cmocka_unit_test(it_can_be_ended),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
