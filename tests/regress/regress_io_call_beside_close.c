/* SPDX-License-Identifier: MIT */
/*
 * A call that came between the end of a weft_close's wait and its close(2) was let in: its
 * operation kept the file open after weft_close had returned, and nobody ended it.
 */
#include "../io/io_help.h"

#include <sys/syscall.h>

static shared_int held_fd = -1;
static shared_int is_closing;
static shared_int is_called;

/* Stands before the C library's, for the library too. One descriptor is held up. */
int close(int fd)
{
    if (fd >= 0 && fd == atomic_load_seq_cst(&held_fd)) {
        atomic_store_seq_cst(&is_closing, 1);
        spin_until(&is_called, 1);
        usleep(20000);
        atomic_store_seq_cst(&held_fd, -1);
    }
    return (int)syscall(SYS_close, fd);
}

static void *receive(void *arg)
{
    char c;
    while (atomic_load_seq_cst(&is_closing) == 0) {
        (void)weft_now();
    }
    atomic_store_seq_cst(&is_called, 1);
    return BOXED(weft_recv(UNBOXED(arg), &c, 1, 0));
}

static void *body(void *arg)
{
    int fds[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    weft_task *t = spawn(receive, BOXED(fds[0]));
    atomic_store_seq_cst(&held_fd, fds[0]);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    char c;
    CHECK_EQUAL(weft_read(fds[1], &c, 1), 0); /* the file is closed, to its peer too */
    CHECK_EQUAL(joined(t), -EBADF);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return arg;
}

static void a_call_waits_for_close(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* the tool does not see this program's close */
#endif
    struct weft_options options = {.workers = 2};
    run_io_with(&options, body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_call_waits_for_close)};
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
