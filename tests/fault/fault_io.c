/* SPDX-License-Identifier: MIT */
/*
 * Operations on descriptors whose ring answers with an error, with less than was asked for, or is
 * not to be entered; or where the calls that are made without a ring do. Bytes are moved once and
 * in order, what was not done is told, and a task that waits is let go.
 *
 * Workers: 1 2 3
 */
#include "fault_help.h"

#include <poll.h>
#include <sys/stat.h>
#include <linux/io_uring.h>

#define BYTES 3000

static char pattern[BYTES];

static void fill_pattern(void)
{
    for (size_t i = 0; i < BYTES; i++) {
        pattern[i] = (char)(i * 7 + i / 256);
    }
}

/* What one end sends until it is told an error, and the other receives until the end. */
struct transfer {
    int from;
    int to;
    size_t sent;
    int error;
};

static void *send_pattern(void *arg)
{
    struct transfer *t = arg;
    while (t->sent < BYTES && t->error == 0) {
        ssize_t n = weft_send(t->from, pattern + t->sent, BYTES - t->sent, MSG_NOSIGNAL);
        CHECK(n != 0);
        t->error = n < 0 ? (int)n : 0;
        t->sent += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQUAL(shutdown(t->from, SHUT_WR), 0);
    return NULL;
}

/* A failed receive has taken nothing: it can be made again. */
static int receive_pattern(int fd, size_t *received)
{
    char buf[BYTES + 1];
    int err = 0;
    ssize_t n;
    *received = 0;
    while ((n = weft_recv(fd, buf + *received, sizeof buf - *received, 0)) != 0) {
        err = first_error(err, n < 0 ? (int)n : 0);
        *received += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQUAL(memcmp(buf, pattern, *received), 0);
    return err;
}

static int exchange(void *arg)
{
    int fds[2];
    size_t received = 0;
    (void)arg;
    SPARED(make_pair(fds));
    struct transfer t = {.from = fds[0], .to = fds[1]};
    weft_task *sender;
    SPARED(sender = spawn(send_pattern, &t));
    int err = receive_pattern(fds[1], &received);
    CHECK_EQUAL(weft_join(sender, NULL), 0);
    CHECK_EQUAL(received, t.sent);
    CHECK(t.sent == BYTES || t.error != 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return first_error(t.error, err);
}

static int use_file(void *arg)
{
    char buf[BYTES];
    struct stat known;
    size_t done = 0;
    struct iovec iov[2] = {{pattern, 1000}, {pattern + 1000, BYTES - 1000}};
    (void)arg;
    int fd = weft_openat(AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fd;
    }
    int err = weft_write_full(fd, pattern, BYTES, &done);
    CHECK(done == BYTES || err < 0);
    CHECK_EQUAL(fstat(fd, &known), 0);
    CHECK_EQUAL((size_t)known.st_size, done);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    if (err == 0) {
        err = weft_read_full(fd, buf, BYTES, &done);
        CHECK_EQUAL(memcmp(buf, pattern, done), 0);
        CHECK(err < 0 || done == BYTES);
    }
    ssize_t n = weft_pwritev(fd, iov, 2, 0);
    CHECK(n != 0);
    err = first_error(err, n < 0 ? (int)n : 0);
    n = weft_pread(fd, buf, BYTES, 0);
    CHECK(n <= 0 || memcmp(buf, pattern, (size_t)n) == 0);
    err = first_error(err, n < 0 ? (int)n : 0);
    err = first_error(err, weft_fsync(fd));
    CHECK_EQUAL(weft_close(fd), 0);
    return err;
}

static int use_paths(void *arg)
{
    char from[] = "/tmp/weft-fault-XXXXXX";
    char to[64];
    struct statx known;
    (void)arg;
    int fd;
    SPARED(fd = mkstemp(from));
    CHECK(fd >= 0);
    snprintf(to, sizeof to, "%s.moved", from);
    int err = weft_statx(AT_FDCWD, from, 0, STATX_SIZE, &known);
    int moved = weft_renameat(AT_FDCWD, from, AT_FDCWD, to);
    CHECK_EQUAL(access(moved == 0 ? to : from, F_OK), 0);
    err = first_error(err, moved);
    int removed = weft_unlinkat(AT_FDCWD, moved == 0 ? to : from, 0);
    CHECK_EQUAL(access(moved == 0 ? to : from, F_OK), removed == 0 ? -1 : 0);
    (void)unlink(moved == 0 ? to : from);
    close(fd);
    return first_error(err, removed);
}

/* A connect or an accept that has failed leaves the other to be cancelled. */
static int make_connection(void *arg)
{
    struct sockaddr_in address = loopback();
    socklen_t bytes = sizeof address;
    (void)arg;
    int listener = weft_socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) {
        return listener;
    }
    int client = weft_socket(AF_INET, SOCK_STREAM, 0);
    int err = client < 0 ? client : 0;
    err = first_error(err, weft_bind(listener, any_address(&address), sizeof address));
    err = first_error(err, weft_listen(listener, 4));
    if (err == 0) {
        err = getsockname(listener, any_address(&address), &bytes) < 0 ? -errno_now() : 0;
    }
    if (err == 0) {
        weft_task *t;
        SPARED(t = spawn(accept_one, BOXED(listener)));
        err = weft_connect(client, any_address(&address), sizeof address);
        void *accepted = BOXED(-ECANCELED);
        int e = err < 0 ? weft_cancel_and_join(t, &accepted) : weft_join(t, &accepted);
        CHECK(e == 0 || e == -ECANCELED);
        err = first_error(err, UNBOXED(accepted) < 0 ? UNBOXED(accepted) : 0);
        if (UNBOXED(accepted) >= 0) {
            CHECK_EQUAL(weft_close(UNBOXED(accepted)), 0);
        }
    }
    CHECK_EQUAL(client < 0 ? 0 : weft_close(client), 0);
    CHECK_EQUAL(weft_close(listener), 0);
    return err;
}

static void *wait_for_input(void *arg)
{
    return BOXED(weft_wait_fd(UNBOXED(arg), POLLIN));
}

static int poll_pipe(void *arg)
{
    int fds[2];
    (void)arg;
    SPARED(make_pipe(fds));
    weft_task *t;
    weft_task *reader;
    SPARED(t = spawn(wait_for_input, BOXED(fds[0])));
    SPARED(reader = spawn(read_byte, BOXED(fds[0])));
    struct pollfd p[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(write(fds[1], "xyz", 3), 3);
    int ready = weft_poll(p, 2);
    CHECK(ready < 0 || ready == 1);
    int seen = joined(t);
    int got = joined(reader);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return first_error(first_error(ready < 0 ? ready : 0, seen < 0 ? seen : 0), got < 0 ? got : 0);
}

/* What has begun ends with -ECANCELED, or has failed before. */
static int cancel_reads(void *arg)
{
    weft_task *tasks[6];
    int fds[2];
    int err = 0;
    bool closes = UNBOXED(arg) != 0;
    SPARED(make_pipe(fds));
    for (size_t i = 0; i < COUNT(tasks); i++) {
        SPARED(tasks[i] = spawn(read_byte, BOXED(fds[0])));
    }
    settle();
    if (closes) {
        CHECK_EQUAL(weft_close(fds[0]), 0);
    }
    for (size_t i = 0; i < COUNT(tasks); i++) {
        void *value = BOXED(-ECANCELED);
        int e = closes ? weft_join(tasks[i], &value) : weft_cancel_and_join(tasks[i], &value);
        CHECK(e == 0 || e == -ECANCELED);
        e = e == 0 ? UNBOXED(value) : e;
        CHECK(e < 0);
        err = first_error(err, e == -ECANCELED || e == -EBADF ? 0 : e);
    }
    if (!closes) {
        CHECK_EQUAL(weft_close(fds[0]), 0);
    }
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return err;
}

/* What one end writes, or as much as it is told it has. */
static void *write_pattern(void *arg)
{
    struct transfer *t = arg;
    while (t->sent < BYTES && t->error == 0) {
        struct iovec iov[2] = {{pattern + t->sent, (BYTES - t->sent + 1) / 2}};
        iov[1] = (struct iovec){pattern + t->sent + iov[0].iov_len,
                                BYTES - t->sent - iov[0].iov_len};
        ssize_t n = weft_writev(t->from, iov, 2);
        CHECK(n != 0);
        t->error = n < 0 ? (int)n : 0;
        t->sent += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQUAL(weft_close(t->from), 0);
    return NULL;
}

static int exchange_by_pipe(void *arg)
{
    int fds[2];
    char buf[BYTES + 1];
    size_t received = 0;
    int err = 0;
    ssize_t n;
    (void)arg;
    SPARED(make_pipe(fds));
    struct transfer t = {.from = fds[1], .to = fds[0]};
    weft_task *writer;
    SPARED(writer = spawn(write_pattern, &t));
    while ((n = weft_read(t.to, buf + received, sizeof buf - received)) != 0) {
        err = first_error(err, n < 0 ? (int)n : 0);
        received += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQUAL(weft_join(writer, NULL), 0);
    CHECK_EQUAL(received, t.sent);
    CHECK_EQUAL(memcmp(buf, pattern, received), 0);
    CHECK(t.sent == BYTES || t.error != 0);
    CHECK_EQUAL(weft_close(t.to), 0);
    return first_error(t.error, err);
}

static int splice_pipes(void *arg)
{
    int from[2];
    int to[2];
    char buf[8];
    (void)arg;
    SPARED(make_pipe(from));
    SPARED(make_pair(to));
    CHECK_EQUAL(write(from[1], "spliced", 7), 7);
    size_t moved = 0;
    int err = 0;
    while (moved < 7 && err == 0) {
        ssize_t n = weft_splice(from[0], NULL, to[0], NULL, 7 - moved, 0);
        err = n < 0 ? (int)n : 0;
        moved += n > 0 ? (size_t)n : 0;
    }
    ssize_t got;
    SPARED(got = recv(to[1], buf, sizeof buf, MSG_DONTWAIT));
    CHECK_EQUAL(got, moved > 0 ? (ssize_t)moved : -1);
    CHECK_EQUAL(memcmp(buf, "spliced", moved), 0);
    close_both(from);
    close_both(to);
    return err;
}

static const struct fault_case cases[] = {
    {"weft_send, weft_recv", exchange, NULL, {0}},
    {"weft_read, weft_writev", exchange_by_pipe, NULL, {0}},
    {"weft_read_full, weft_write_full", use_file, NULL, {0}},
    {"weft_renameat", use_paths, NULL, {0}},
    {"weft_accept, weft_connect", make_connection, NULL, {-ECANCELED}},
    {"weft_poll", poll_pipe, NULL, {0}},
    {"weft_cancel of a read", cancel_reads, BOXED(0), {0}},
    {"weft_close under reads", cancel_reads, BOXED(1), {0}},
    {"weft_splice", splice_pipes, NULL, {0}},
};

static void what_the_ring_refuses_is_told_or_tried_again(void **state)
{
    static const struct fault faults[] = {
        {INJECT_ENTER, EINTR, 1},      {INJECT_ENTER, EAGAIN, 1},     {INJECT_ENTER, EAGAIN, 8},
        {INJECT_ENTER, EBUSY, 1},      {INJECT_ENTER, EBUSY, 8},      {INJECT_ENTER, ENOMEM, 2},
        {INJECT_ENTER, 0, 1},          {INJECT_ENTER, 0, 20},         {INJECT_MEMORY, ENOMEM, 1},
        {INJECT_DESCRIPTOR, EMFILE, 1}, {INJECT_CONTROL, ENOBUFS, 1}, {INJECT_TIMER, EAGAIN, 0},
    };
    (void)state;
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
}

static void a_call_that_fails_is_told_or_tried_again(void **state)
{
    static const struct fault faults[] = {
        {INJECT_SEND, 0, 5},           {INJECT_SEND, EINTR, 2},    {INJECT_SEND, EAGAIN, 1},
        {INJECT_SEND, ENOBUFS, 1},     {INJECT_RECEIVE, 0, 5},     {INJECT_RECEIVE, EINTR, 2},
        {INJECT_RECEIVE, EAGAIN, 1},   {INJECT_RECEIVE, EIO, 1},   {INJECT_WRITE, 0, 5},
        {INJECT_WRITE, EINTR, 2},      {INJECT_WRITE, EAGAIN, 1},  {INJECT_WRITE, EIO, 1},
        {INJECT_WRITE, EOPNOTSUPP, 0}, {INJECT_RECEIVE, EOPNOTSUPP, 1},
        {INJECT_ACCEPT, EINTR, 2},     {INJECT_ACCEPT, EAGAIN, 1}, {INJECT_ACCEPT, EMFILE, 1},
        {INJECT_CONNECT, EINTR, 1},    {INJECT_CONNECT, ECONNREFUSED, 1},
        {INJECT_CONTROL, ENOMEM, 1},   {INJECT_CONTROL, ENOMEM, 2},
    };
    (void)state;
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
}

static void an_operation_that_fails_is_told_or_tried_again(void **state)
{
    static const struct fault faults[] = {
        {INJECT_OPERATION, ENOMEM, 1}, {INJECT_OPERATION, EINTR, 1}, {INJECT_OPERATION, EIO, 1},
        {INJECT_OPERATION, EINTR, 3},  {INJECT_OPERATION, 0, 1},     {INJECT_OPERATION, 0, 50},
        {INJECT_CANCEL, ENOENT, 1},    {INJECT_CANCEL, ENOENT, 4},   {INJECT_OPERATION, EAGAIN, 1},
    };
    (void)state;
    if (!inject_has_operations()) {
        skip();
    }
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_ring_refuses_is_told_or_tried_again),
        cmocka_unit_test(a_call_that_fails_is_told_or_tried_again),
        cmocka_unit_test(an_operation_that_fails_is_told_or_tried_again),
    };
    fault_begin();
    fill_pattern();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
