/* SPDX-License-Identifier: MIT */
/*
 * Pipes: waiting for bytes and for room, the end of input, a reader that has gone, and
 * what the calls that go on until all is done count when they are cut short.
 */
#include "io_help.h"

#include <sys/ioctl.h>

#define PIPE_BYTES 4096 /* room in a pipe, after pipe_shrink */

static void pipe_shrink(int fd)
{
    CHECK_EQUAL(fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
}

static void *wait_for_bytes(void *arg)
{
    int fds[2];
    (void)arg;
    make_pipe(fds);
    struct reading r = {.fd = fds[0], .n = sizeof r.buf};
    weft_task *t = spawn(read_once, &r);
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_write(fds[1], "hello", 5), 5);
    CHECK_EQUAL(joined(t), 5);
    CHECK_EQUAL(memcmp(r.buf, "hello", 5), 0);
    t = spawn(read_once, &r);
    settle();
    CHECK_EQUAL(weft_close(fds[1]), 0); /* the end of input */
    CHECK_EQUAL(joined(t), 0);
    CHECK_EQUAL(weft_read(fds[0], r.buf, 1), 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    return NULL;
}

static void a_read_waits_for_bytes_or_the_end(void **state)
{
    (void)state;
    run_io(wait_for_bytes, NULL);
}

struct writing {
    int fd;
    const char *buf;
    size_t n;
    size_t done;
};

static void *write_all(void *arg)
{
    struct writing *w = arg;
    w->done = 99;
    return BOXED(weft_write_full(w->fd, w->buf, w->n, &w->done));
}

static void *read_all(void *arg)
{
    struct writing *r = arg;
    r->done = 99;
    return BOXED(weft_read_full(r->fd, (char *)(uintptr_t)r->buf, r->n, &r->done));
}

static void *wait_for_room(void *arg)
{
    static char out[10 * PIPE_BYTES];
    static char in[sizeof out];
    int fds[2];
    bool is_nonblock = UNBOXED(arg) != 0;
    make_pipe(fds);
    pipe_shrink(fds[1]);
    if (is_nonblock) {
        set_nonblock(fds[0]);
        set_nonblock(fds[1]);
    }
    pattern_fill(out, 0, sizeof out);
    struct writing w = {.fd = fds[1], .buf = out, .n = sizeof out};
    struct writing r = {.fd = fds[0], .buf = in, .n = sizeof in};
    weft_task *reader = spawn(read_all, &r);
    settle();
    CHECK(!weft_done(reader));
    weft_task *writer = spawn(write_all, &w);
    CHECK_EQUAL(joined(writer), 0);
    CHECK_EQUAL(joined(reader), 0);
    CHECK_EQUAL(w.done, sizeof out);
    CHECK_EQUAL(r.done, sizeof in);
    CHECK(pattern_fits(in, 0, sizeof in));
    writer = spawn(write_all, &w);
    settle();
    CHECK(!weft_done(writer)); /* the pipe is full */
    CHECK_EQUAL(weft_read_full(fds[0], in, sizeof in, NULL), 0);
    CHECK_EQUAL(joined(writer), 0);
    close_both(fds);
    return NULL;
}

static void a_write_waits_for_room(void **state)
{
    (void)state;
    run_io(wait_for_room, BOXED(0));
}

static void a_descriptor_with_o_nonblock_waits_as_well(void **state)
{
    (void)state;
    run_io(wait_for_room, BOXED(1));
}

static void *lose_the_reader(void *arg)
{
    static char out[4 * PIPE_BYTES];
    int fds[2];
    struct iovec iov = {"x", 1};
    (void)arg;
    make_pipe(fds);
    pipe_shrink(fds[1]);
    struct writing w = {.fd = fds[1], .buf = out, .n = sizeof out};
    weft_task *t = spawn(write_all, &w);
    CHECK_EQUAL(weft_wait_fd(fds[0], POLLIN), POLLIN); /* it is full, then */
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(joined(t), -EPIPE);
    CHECK_EQUAL(w.done, PIPE_BYTES);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_write(fds[1], "x", 1), -EPIPE);
        CHECK_EQUAL(weft_writev(fds[1], &iov, 1), -EPIPE);
    }
    CHECK_EQUAL(weft_write_full(fds[1], "x", 1, &w.done), -EPIPE);
    CHECK_EQUAL(w.done, 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return NULL;
}

static void a_reader_that_is_gone_is_an_error_and_no_signal(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    run_io(lose_the_reader, NULL);
}

/* In a task: until somebody has read all that is in the pipe. */
static void yield_until_drained(int fd)
{
    int bytes = 1;
    while (bytes > 0) {
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(ioctl(fd, FIONREAD, &bytes), 0);
    }
}

/* read_full: all, too little, cancelled midway. */
static void *count_what_was_read(void *arg)
{
    char buf[16] = {0};
    size_t done = 99;
    int fds[2];
    (void)arg;
    make_pipe(fds);
    struct writing r = {.fd = fds[0], .buf = buf, .n = 10};
    weft_task *t = spawn(read_all, &r);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(weft_write(fds[1], &"0123456789"[i], 1), 1);
        if (i % 3 == 0) {
            settle();
        }
    }
    CHECK_EQUAL(joined(t), 0);
    CHECK_EQUAL(r.done, 10);
    CHECK_EQUAL(memcmp(buf, "0123456789", 10), 0);

    t = spawn(read_all, &r);
    CHECK_EQUAL(weft_write(fds[1], "abcd", 4), 4);
    yield_until_drained(fds[0]);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    CHECK_EQUAL(r.done, 4);
    CHECK_EQUAL(memcmp(buf, "abcd456789", 10), 0);

    CHECK_EQUAL(weft_write(fds[1], "xyz", 3), 3);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    CHECK_EQUAL(weft_read_full(fds[0], buf, 10, &done), -ENODATA);
    CHECK_EQUAL(done, 3);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    return NULL;
}

static void read_full_counts_what_it_read(void **state)
{
    (void)state;
    run_io(count_what_was_read, NULL);
}

static void *count_what_was_written(void *arg)
{
    static char out[3 * PIPE_BYTES + 1000];
    static char in[sizeof out];
    int fds[2];
    (void)arg;
    make_pipe(fds);
    pipe_shrink(fds[1]);
    pattern_fill(out, 0, sizeof out);
    struct writing w = {.fd = fds[1], .buf = out, .n = sizeof out};
    weft_task *t = spawn(write_all, &w);
    CHECK_EQUAL(weft_read_full(fds[0], in, PIPE_BYTES, NULL), 0);
    settle();
    CHECK(!weft_done(t));
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    size_t left = 99;
    CHECK_EQUAL(weft_read_full(fds[0], in + PIPE_BYTES, sizeof in - PIPE_BYTES, &left), -ENODATA);
    CHECK_EQUAL(left + PIPE_BYTES, w.done);
    CHECK(pattern_fits(in, 0, w.done));
    CHECK_EQUAL(weft_close(fds[0]), 0);
    return NULL;
}

static void write_full_counts_what_it_wrote(void **state)
{
    (void)state;
    run_io(count_what_was_written, NULL);
}

static void *use_no_position(void *arg)
{
    char buf[8];
    int fds[2];
    (void)arg;
    make_pipe(fds);
    CHECK_EQUAL(weft_pwrite(fds[1], "abc", 3, 5), 3);
    CHECK_EQUAL(weft_pread(fds[0], buf, 2, 7), 2);
    CHECK_EQUAL(memcmp(buf, "ab", 2), 0);
    CHECK_EQUAL(weft_read(fds[1], buf, 1), -EBADF);
    CHECK_EQUAL(weft_write(fds[0], buf, 1), -EBADF);
    close_both(fds);
    return NULL;
}

static void a_pipe_has_no_position(void **state)
{
    (void)state;
    run_io(use_no_position, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_waits_for_bytes_or_the_end),
        cmocka_unit_test(a_write_waits_for_room),
        cmocka_unit_test(a_descriptor_with_o_nonblock_waits_as_well),
        cmocka_unit_test(a_reader_that_is_gone_is_an_error_and_no_signal),
        cmocka_unit_test(read_full_counts_what_it_read),
        cmocka_unit_test(write_full_counts_what_it_wrote),
        cmocka_unit_test(a_pipe_has_no_position),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
