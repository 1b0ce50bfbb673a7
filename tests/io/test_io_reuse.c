/* SPDX-License-Identifier: MIT */
/*
 * Goal: operations go to the file that has the number now, whatever is remembered of one before:
 * closed by weft_close or by close(2), replaced by dup2(2), closed here and open elsewhere. And
 * what an odd receive finds is no statement about the next bytes.
 *
 * Method: each number is used until what is known of it is worth remembering (it was waited on, and
 * found empty), and then is another file's. A lost operation hangs the test.
 */
#include "io_help.h"

#include <stdlib.h>
#include <sys/uio.h>

enum { SOCKETS, PIPES, FILES, KINDS };

static void *read_some(void *arg)
{
    char buf[8];
    return BOXED(weft_read(UNBOXED(arg), buf, sizeof buf));
}

static void *receive_some(void *arg)
{
    char buf[8];
    return BOXED(weft_recv(UNBOXED(arg), buf, sizeof buf, 0));
}

/* Two ends, of which the first can be read from. A file has one byte. */
static void make_ends(int kind, int ends[2])
{
    if (kind == SOCKETS) {
        make_pair(ends);
    } else if (kind == PIPES) {
        make_pipe(ends);
    } else {
        char path[] = "/tmp/test_io_reuse.XXXXXX";
        ends[0] = mkostemp(path, O_CLOEXEC);
        ends[1] = open(path, O_WRONLY | O_CLOEXEC);
        CHECK(ends[0] >= 0 && ends[1] >= 0);
        CHECK_EQUAL(unlink(path), 0);
        CHECK_EQUAL(write(ends[1], "x", 1), 1);
    }
}

/* Read when there is nothing yet, twice, and have the reader find nothing more. */
static void use(int kind, const int ends[2], weft_fn fn)
{
    for (int i = 0; i < 2 && kind != FILES; i++) {
        weft_task *t = spawn(fn, BOXED(ends[0]));
        yield_until_calls(ends[0], 1);
        settle();
        CHECK_EQUAL(write(ends[1], "x", 1), 1);
        CHECK_EQUAL(joined(t), 1);
    }
    if (kind == FILES) {
        CHECK_EQUAL(UNBOXED(fn(BOXED(ends[0]))), 1);
        CHECK_EQUAL(UNBOXED(fn(BOXED(ends[0]))), 0);
    }
}

static void *close_and_reuse(void *by_weft)
{
    for (int i = 0; i < KINDS * KINDS; i++) {
        int ends[2], again[2];
        make_ends(i / KINDS, ends);
        use(i / KINDS, ends, read_some);
        if (by_weft != NULL) {
            CHECK_EQUAL(weft_close(ends[0]), 0);
            CHECK_EQUAL(weft_close(ends[1]), 0);
        } else {
            close_both(ends);
        }
        make_ends(i % KINDS, again);
        CHECK(again[0] == ends[0] || i % KINDS == FILES || i / KINDS == FILES);
        use(i % KINDS, again, read_some);
        close_both(again);
    }
    return NULL;
}

static void a_number_is_used_again(void **state)
{
    (void)state;
    run_io(close_and_reuse, NULL);
    run_io(close_and_reuse, "by weft_close");
}

static void *replace(void *arg)
{
    (void)arg;
    for (int i = 0; i < KINDS * KINDS; i++) {
        int ends[2], other[2];
        make_ends(i / KINDS, ends);
        use(i / KINDS, ends, read_some);
        make_ends(i % KINDS, other);
        CHECK_EQUAL(dup3(other[0], ends[0], O_CLOEXEC), ends[0]);
        CHECK_EQUAL(dup3(other[1], ends[1], O_CLOEXEC), ends[1]);
        close_both(other);
        use(i % KINDS, ends, read_some);
        close_both(ends);
    }
    return NULL;
}

static void a_number_is_given_to_another_file(void **state)
{
    (void)state;
    run_io(replace, NULL);
}

/* What is closed here stays open elsewhere, and busy; the number is somebody else's meanwhile. */
static void *close_a_duplicate(void *arg)
{
    (void)arg;
    int ends[2], again[2];
    make_pair(ends);
    use(SOCKETS, ends, receive_some);
    int elsewhere = fcntl(ends[0], F_DUPFD_CLOEXEC, 100);
    CHECK(elsewhere >= 100);
    CHECK_EQUAL(weft_close(ends[0]), 0);
    make_pair(again);
    CHECK_EQUAL(again[0], ends[0]);
    for (int i = 0; i < 20; i++) {
        weft_task *t = spawn(receive_some, BOXED(again[0]));
        yield_until_calls(again[0], 1);
        CHECK_EQUAL(write(ends[1], "x", 1), 1);
        settle();
        CHECK(!weft_done(t));
        CHECK_EQUAL(write(again[1], "xy", 2), 2);
        CHECK_EQUAL(joined(t), 2);
        CHECK_EQUAL(UNBOXED(receive_some(BOXED(elsewhere))), 1);
    }
    close_both(again);
    CHECK_EQUAL(close(ends[1]), 0);
    CHECK_EQUAL(close(elsewhere), 0);
    return NULL;
}

static void a_duplicate_stays_open(void **state)
{
    (void)state;
    run_io(close_a_duplicate, NULL);
}

/* --- many at once ----------------------------------------------------------------------------- */

#define MANY 24 /* more than are asked about one by one */

/* Readers of all wait; the n-th is given a byte before the pause, or after it. */
static void use_many(int ends[MANY][2], int64_t pause_ns)
{
    weft_task *readers[MANY];
    for (int i = 0; i < MANY; i++) {
        readers[i] = spawn(receive_some, BOXED(ends[i][0]));
        yield_until_calls(ends[i][0], 1);
    }
    settle();
    for (int i = 0; i < MANY; i++) {
        CHECK(i % 2 == 0 || write(ends[i][1], "x", 1) == 1);
    }
    CHECK_EQUAL(weft_sleep(pause_ns), 0);
    for (int i = 0; i < MANY; i++) {
        CHECK(i % 2 != 0 || write(ends[i][1], "x", 1) == 1);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_EQUAL(joined(readers[i]), 1);
    }
}

/* Some are ready when those that wait long are looked at; the others become so later, when nobody
 * looks any more. (On a slow day it is another share of them.) */
static void *reuse_many(void *arg)
{
    (void)arg;
    int ends[MANY][2];
    for (int i = 0; i < MANY; i++) {
        make_pair(ends[i]);
    }
    use_many(ends, 0);
    use_many(ends, 0);
    for (int i = 0; i < MANY; i++) {
        close_both(ends[i]);
    }
    for (int i = 0; i < MANY; i++) {
        make_pair(ends[i]);
    }
    use_many(ends, 100 * WEFT_MS);
    use_many(ends, 100 * WEFT_MS);
    for (int i = 0; i < MANY; i++) {
        close_both(ends[i]);
    }
    return NULL;
}

static void many_numbers_are_used_again(void **state)
{
    (void)state;
    run_io(reuse_many, NULL);
}

/* --- receives of other bytes than the next ---------------------------------------------------- */

static void *receive_oddly(void *arg)
{
    (void)arg;
    int one = 1;
    char buf[8];
    struct sockaddr_in address = loopback();
    socklen_t bytes = sizeof address;
    int to = weft_socket(AF_INET, SOCK_DGRAM, 0);
    int from = weft_socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQUAL(weft_bind(to, any_address(&address), sizeof address), 0);
    CHECK_EQUAL(getsockname(to, any_address(&address), &bytes), 0);
    CHECK_EQUAL(setsockopt(to, IPPROTO_IP, IP_RECVERR, &one, sizeof one), 0);
    CHECK_EQUAL(connect(from, any_address(&address), bytes), 0);
    weft_task *t = spawn(receive_some, BOXED(to));
    yield_until_calls(to, 1);
    CHECK_EQUAL(weft_send(from, "abc", 3, 0), 3);
    CHECK_EQUAL(joined(t), 3);
    for (int i = 0; i < 3; i++) {
        struct iovec iov = {buf, sizeof buf};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        CHECK_EQUAL(weft_send(from, "abc", 3, 0), 3);
        CHECK_EQUAL(weft_recvmsg(to, &m, MSG_ERRQUEUE | MSG_DONTWAIT), -EAGAIN);
        CHECK_EQUAL(weft_recv(to, buf, 2, MSG_PEEK), 2);
        CHECK_EQUAL(UNBOXED(receive_some(BOXED(to))), 3);
    }
    CHECK_EQUAL(weft_close(to), 0);
    CHECK_EQUAL(weft_close(from), 0);
    return NULL;
}

/* A peek gets less than it has room for, and so has seen all there is, and taken none. */
static void *peek_at_stream(void *arg)
{
    char buf[8];
    int ends[2];
    (void)arg;
    make_pair(ends);
    use(SOCKETS, ends, receive_some);
    CHECK_EQUAL(weft_send(ends[1], "abc", 3, 0), 3);
    settle(); /* that it has come has been told by now, and will not be again */
    CHECK_EQUAL(weft_recv(ends[0], buf, sizeof buf, MSG_PEEK), 3);
    CHECK_EQUAL(UNBOXED(receive_some(BOXED(ends[0]))), 3);
    close_both(ends);
    return NULL;
}

static void an_odd_receive_says_nothing_of_the_next(void **state)
{
    (void)state;
    run_io(receive_oddly, NULL);
    run_io(peek_at_stream, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_used_again),
        cmocka_unit_test(a_number_is_given_to_another_file),
        cmocka_unit_test(a_duplicate_stays_open),
        cmocka_unit_test(many_numbers_are_used_again),
        cmocka_unit_test(an_odd_receive_says_nothing_of_the_next),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
