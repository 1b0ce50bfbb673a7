/* SPDX-License-Identifier: MIT */
/*
 * A task that made a call again and again which did not have to wait (poll on what is ready, calls
 * that fail) never let another run on its worker: where that was to end the loop, it never ended.
 */
#include "../io/io_help.h"

static shared_int is_over;

static void *end_it(void *arg)
{
    (void)arg;
    atomic_store_seq_cst(&is_over, 1);
    return NULL;
}

static int poll_ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return weft_poll(&p, 1) - 1;
}

static int poll_cancelled(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    cancel_myself();
    int err = weft_poll(&p, 1);
    uncancel_myself();
    return err + ECANCELED;
}

static int close_nothing(int fd)
{
    (void)fd;
    return weft_close(-1) + EBADF;
}

static int close_closed(int fd)
{
    (void)fd;
    return weft_close(1000) + EBADF;
}

static int socket_of_no_kind(int fd)
{
    (void)fd;
    return weft_socket(AF_UNIX, 1000, 0) + EINVAL;
}

static int bind_a_pipe(int fd)
{
    struct sockaddr_in address = loopback();
    return weft_bind(fd, any_address(&address), sizeof address) + ENOTSOCK;
}

static int listen_at_a_pipe(int fd)
{
    return weft_listen(fd, 1) + ENOTSOCK;
}

static int shut_a_pipe_down(int fd)
{
    return weft_shutdown(fd, SHUT_WR) + ENOTSOCK;
}

static int write_to_nobody(int fd)
{
    return (int)weft_write(fd, "x", 1) < 0 ? 0 : 1;
}

static int open_nothing(int fd)
{
    (void)fd;
    return weft_openat(AT_FDCWD, "/nothing-of-this-name", O_RDONLY, 0) + ENOENT;
}

/* Each returns 0. */
static int (*const calls[])(int fd) = {
    poll_ready,  poll_cancelled,   close_nothing,    close_closed,    socket_of_no_kind,
    bind_a_pipe, listen_at_a_pipe, shut_a_pipe_down, write_to_nobody, open_nothing,
};

static void *loop(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int fds[2];
        make_pipe(fds);
        if (calls[i] == write_to_nobody) {
            CHECK_EQUAL(close(fds[0]), 0);
        }
        atomic_store_seq_cst(&is_over, 0);
        weft_task *t = spawn(end_it, NULL);
        while (atomic_load_seq_cst(&is_over) == 0) {
            CHECK_EQUAL(calls[i](fds[1]), 0);
        }
        CHECK_EQUAL(weft_join(t, NULL), 0);
        CHECK_EQUAL(close(fds[1]), 0);
        (void)(calls[i] == write_to_nobody || close(fds[0]));
    }
    return NULL;
}

static void a_loop_of_calls_lets_others_run(void **state)
{
    struct weft_options alone = {.workers = 1};
    (void)state;
    run_io_with(&alone, loop, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_of_calls_lets_others_run),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
