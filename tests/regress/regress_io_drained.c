/* SPDX-License-Identifier: MIT */
/*
 * What epoll remembers of a descriptor, that there is nothing to be had until it has an edge, held
 * up calls that do not ask for that: a splice or an fsync on a socket whose input had been read, a
 * read of no bytes. They waited for input.
 *
 * Workers: 1
 */
#include "../io/io_help.h"

#define BYTES 5

/* A pair, of which the input of [0] was read, and a call came back with less than it might have. */
static void make_drained(int fds[2])
{
    char buf[2];
    make_pair(fds);
    CHECK_EQUAL(weft_send(fds[1], "x", 1, 0), 1);
    CHECK_EQUAL(weft_recv(fds[0], buf, sizeof buf, 0), 1);
}

static void *splice_to_drained(void *arg)
{
    char buf[BYTES];
    int fds[2];
    int pipe[2];
    (void)arg;
    make_drained(fds);
    make_pipe(pipe);
    CHECK_EQUAL(write(pipe[1], "hello", BYTES), BYTES);
    CHECK_EQUAL(weft_splice(pipe[0], NULL, fds[0], NULL, BYTES, 0), BYTES);
    CHECK_EQUAL(weft_recv(fds[1], buf, BYTES, MSG_WAITALL), BYTES);
    close_both(fds);
    close_both(pipe);
    return NULL;
}

static void what_a_pipe_holds_goes_to_a_socket_that_was_read(void **state)
{
    (void)state;
    run_io(splice_to_drained, NULL);
}

static void *sync_drained(void *arg)
{
    int fds[2];
    (void)arg;
    make_drained(fds);
    CHECK_EQUAL(weft_fsync(fds[0]), -EINVAL);
    close_both(fds);
    return NULL;
}

static void a_socket_cannot_be_synced(void **state)
{
    (void)state;
    run_io(sync_drained, NULL);
}

static void *read_one(void *arg)
{
    char c;
    return BOXED(weft_read(UNBOXED(arg), &c, 1));
}

static void *write_one(void *arg)
{
    return BOXED(weft_send(UNBOXED(arg), "x", 1, 0));
}

static void *move_nothing(void *arg)
{
    static char block[65536];
    char c;
    int fds[2];
    int pipe[2];
    (void)arg;
    make_pipe(pipe);
    weft_task *t = spawn(read_one, BOXED(pipe[0]));
    settle();
    CHECK_EQUAL(weft_read(pipe[0], &c, 0), 0);
    CHECK_EQUAL(write(pipe[1], "x", 1), 1);
    CHECK_EQUAL(joined(t), 1);

    make_pair(fds);
    while (send(fds[0], block, sizeof block, MSG_DONTWAIT) > 0) {
    }
    t = spawn(write_one, BOXED(fds[0]));
    settle();
    CHECK_EQUAL(weft_send(fds[0], "", 0, 0), 0);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    close_both(fds);
    close_both(pipe);
    return NULL;
}

static void no_bytes_are_moved_at_once(void **state)
{
    (void)state;
    run_io(move_nothing, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_pipe_holds_goes_to_a_socket_that_was_read),
        cmocka_unit_test(a_socket_cannot_be_synced),
        cmocka_unit_test(no_bytes_are_moved_at_once),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
