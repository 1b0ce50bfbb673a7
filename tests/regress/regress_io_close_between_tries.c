/* SPDX-License-Identifier: MIT */
/*
 * weft_close between two tries of one call: a call that met -EINTR or -EAGAIN, or a weft_poll that
 * looked again, left the descriptor and entered it anew. It then got -EBADF in place of -ECANCELED;
 * or, when the close was quicker, went on with another file that had got the number.
 */
#include "../io/io_help.h"

#include <poll.h>
#include <sys/timerfd.h>

/* A thread of the kernel waits for room in the listener's queue; what ends it is a signal. */
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void *connect_to_it(void *arg)
{
    return BOXED(weft_connect(UNBOXED(arg), any_address(&address), sizeof address));
}

static void *close_connecting(void *arg)
{
    (void)arg;
    snprintf(address.sun_path + 1, 40, "weft-test-tries-%d", (int)getpid());
    int listener = weft_socket(AF_UNIX, SOCK_STREAM, 0);
    int first = weft_socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQUAL(weft_bind(listener, any_address(&address), sizeof address), 0);
    CHECK_EQUAL(weft_listen(listener, 0), 0);
    CHECK_EQUAL(weft_connect(first, any_address(&address), sizeof address), 0);
    for (int i = 0; i < 10; i++) {
        int fd = weft_socket(AF_UNIX, SOCK_STREAM, 0);
        weft_task *t = spawn(connect_to_it, BOXED(fd));
        yield_until_calls(fd, 1);
        if (i % 2 == 0) {
            CHECK_EQUAL(weft_sleep(5 * WEFT_MS), 0);
        }
        CHECK_EQUAL(weft_close(fd), 0);
        CHECK_EQUAL(joined(t), -ECANCELED);
    }
    CHECK_EQUAL(weft_close(first), 0);
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void an_interrupted_operation_was_cancelled(void **state)
{
    (void)state;
    run_io(close_connecting, NULL);
}

static void *poll_one(void *arg)
{
    struct pollfd p = {.fd = UNBOXED(arg), .events = POLLIN};
    return BOXED(weft_poll(&p, 1));
}

static void *close_polled(void *arg)
{
    int fds[2];
    (void)arg;
    for (int i = 0; i < 20; i++) {
        make_pair(fds);
        weft_task *t = spawn(poll_one, BOXED(fds[0]));
        yield_until_calls(fds[0], 1);
        CHECK_EQUAL(weft_close(fds[0]), 0);
        CHECK_EQUAL(joined(t), -ECANCELED);
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void a_poll_does_not_look_again(void **state)
{
    (void)state;
    run_io(close_polled, NULL);
}

/* A descriptor with O_NONBLOCK of a kind that the kernel does not wait for by itself. */
static void *read_timer(void *arg)
{
    uint64_t count;
    return BOXED(weft_read(UNBOXED(arg), &count, sizeof count));
}

static void *close_nonblock(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        weft_task *t = spawn(read_timer, BOXED(fd));
        yield_until_calls(fd, 1);
        if (i % 2 == 0) {
            settle();
        }
        CHECK_EQUAL(weft_close(fd), 0);
        CHECK_EQUAL(joined(t), -ECANCELED);
    }
    return NULL;
}

static void a_call_that_tries_again_was_cancelled(void **state)
{
    (void)state;
    run_io(close_nonblock, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupted_operation_was_cancelled),
        cmocka_unit_test(a_poll_does_not_look_again),
        cmocka_unit_test(a_call_that_tries_again_was_cancelled),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
