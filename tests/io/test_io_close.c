/* SPDX-License-Identifier: MIT */
/*
 * weft_close while other tasks have operations pending on the descriptor: they end, nobody else is
 * disturbed, and the number is free for the next file when it returns.
 */
#include "io_help.h"

#include <poll.h>

static void *close_idle(void *arg)
{
    int fds[2];
    (void)arg;
    make_pipe(fds);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(fcntl(fds[0], F_GETFD), -1);
    CHECK_EQUAL(weft_close(fds[0]), -EBADF);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    CHECK_EQUAL(weft_close(-1), -EBADF);
    CHECK_EQUAL(weft_close(INT32_MAX), -EBADF);
    return NULL;
}

static void closes_what_nobody_uses(void **state)
{
    (void)state;
    run_io(close_idle, NULL);
}

/* ---- pending operations ---- */

#define PENDING 40

static void *receive_byte(void *arg)
{
    char c;
    return BOXED(weft_recv(UNBOXED(arg), &c, 1, 0));
}

static void *poll_two(void *arg)
{
    struct pollfd p[2] = {{.fd = -1}, {.fd = UNBOXED(arg), .events = POLLIN}};
    return BOXED(weft_poll(p, 2));
}

static const weft_fn waits[] = {read_byte, receive_byte, wait_readable, poll_two};

/* As many tasks as workers can have, of several kinds, wait on one descriptor, which is closed. */
static void *close_with_pending(void *arg)
{
    weft_task *t[PENDING];
    int fds[2];
    (void)arg;
    for (int round = 0; round < 10; round++) {
        make_pair(fds);
        for (int i = 0; i < PENDING; i++) {
            t[i] = spawn(waits[i % 4], BOXED(fds[0]));
        }
        if (round % 2 == 0) {
            settle();
        }
        CHECK_EQUAL(weft_close(fds[0]), 0);
        CHECK_EQUAL(fcntl(fds[0], F_GETFD), -1);
        for (int i = 0; i < PENDING; i++) {
            int got = joined(t[i]);
            if (got == 1) {
                CHECK(waits[i % 4] == poll_two); /* POLLNVAL */
            } else {
                CHECK(got == -ECANCELED || got == -EBADF);
            }
        }
        char c;
        CHECK_EQUAL(weft_recv(fds[1], &c, 1, 0), 0);
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void ends_what_is_pending(void **state)
{
    (void)state;
    run_io(close_with_pending, NULL);
}

/* Those that have begun for sure get -ECANCELED: never -EBADF, and no second result. */
static void *close_after_begin(void *arg)
{
    (void)arg;
    for (size_t kind = 0; kind < sizeof waits / sizeof waits[0]; kind++) {
        int fds[2];
        make_pair(fds);
        weft_task *t = spawn(waits[kind], BOXED(fds[0]));
        yield_until_calls(fds[0], 1);
        CHECK_EQUAL(weft_close(fds[0]), 0);
        CHECK_EQUAL(joined(t), -ECANCELED);
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void they_end_as_cancelled(void **state)
{
    (void)state;
    run_io(close_after_begin, NULL);
}

/* Which worker an operation is pending on does not matter: pin one to each. */

struct placing {
    int fd;
    weft_task *reader;
};

static void *place_reader(void *arg)
{
    struct placing *p = arg;
    struct weft_spawn_options options = {.pinned = true};
    p->reader = weft_spawn_with(&options, read_byte, BOXED(p->fd));
    CHECK(p->reader != NULL);
    return NULL;
}

static void *close_from_elsewhere(void *arg)
{
    struct placing place[24];
    weft_task *placer[24];
    int fds[2];
    (void)arg;
    make_pair(fds);
    for (int i = 0; i < 24; i++) {
        place[i].fd = fds[0];
        placer[i] = spawn(place_reader, &place[i]);
    }
    yield_until_calls(fds[0], 24);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    for (int i = 0; i < 24; i++) {
        CHECK_EQUAL(weft_join(placer[i], NULL), 0);
        CHECK_EQUAL(joined(place[i].reader), -ECANCELED);
    }
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return NULL;
}

static void on_every_worker(void **state)
{
    (void)state;
    run_io(close_from_elsewhere, NULL);
}

/* ---- who is not disturbed ---- */

static void *close_the_duplicate(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds);
    for (int i = 0; i < 10; i++) {
        int copy = fcntl(fds[0], F_DUPFD_CLOEXEC, i < 5 ? 0 : fds[0] + 256); /* the same list */
        CHECK(copy >= 0);
        weft_task *on_copy = spawn(read_byte, BOXED(copy));
        weft_task *on_first = spawn(read_byte, BOXED(fds[0]));
        weft_task *waiting = spawn(wait_readable, BOXED(fds[0]));
        yield_until_calls(copy, 1);
        yield_until_calls(fds[0], 2);
        CHECK_EQUAL(weft_close(copy), 0);
        CHECK_EQUAL(joined(on_copy), -ECANCELED);
        settle();
        CHECK(!weft_done(on_first));
        CHECK(!weft_done(waiting));
        CHECK_EQUAL(weft_send(fds[1], "x", 1, 0), 1);
        CHECK_EQUAL(joined(on_first), 1);
        weft_cancel(waiting); /* it may have missed the byte */
        int got = joined(waiting);
        CHECK(got == POLLIN || got == -ECANCELED);
    }
    close_both(fds);
    return NULL;
}

static void a_duplicate_goes_on(void **state)
{
    (void)state;
    run_io(close_the_duplicate, NULL);
}

/* ---- several closers, and a cancelled one ---- */

struct closing {
    int fd;
    shared_int go;
};

static void *close_it(void *arg)
{
    struct closing *c = arg;
    yield_until(&c->go, 1);
    return BOXED(weft_close(c->fd));
}

#define CLOSERS 4

static void *close_together(void *arg)
{
    bool has_reader = UNBOXED(arg) != 0;
    for (int round = 0; round < 50; round++) {
        struct closing c = {.fd = -1};
        weft_task *t[CLOSERS];
        weft_task *reader = NULL;
        int fds[2];
        make_pair(fds);
        c.fd = fds[0];
        for (int i = 0; i < CLOSERS; i++) {
            t[i] = spawn(close_it, &c);
        }
        if (has_reader) {
            reader = spawn(read_byte, BOXED(fds[0]));
            CHECK_EQUAL(weft_yield(), 0);
        }
        atomic_store_seq_cst(&c.go, 1);
        int closed = 0;
        for (int i = 0; i < CLOSERS; i++) {
            int err = joined(t[i]);
            CHECK(err == 0 || err == -EBADF);
            closed += err == 0;
        }
        CHECK_EQUAL(closed, 1);
        if (has_reader) {
            int got = joined(reader);
            CHECK(got == -ECANCELED || got == -EBADF);
        }
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void one_of_several_closers_closes(void **state)
{
    (void)state;
    run_io(close_together, BOXED(0));
    run_io(close_together, BOXED(1));
}

static void *close_cancelled(void *arg)
{
    int fds[2];
    (void)arg;
    for (int i = 0; i < 20; i++) {
        make_pair(fds);
        weft_task *t = spawn(read_byte, BOXED(fds[0]));
        if (i % 2 == 0) {
            settle();
        }
        cancel_myself();
        CHECK_EQUAL(weft_close(fds[0]), 0);
        CHECK_EQUAL(fcntl(fds[0], F_GETFD), -1);
        uncancel_myself();
        int got = joined(t);
        CHECK(got == -ECANCELED || got == -EBADF);
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void *close_held(void *arg)
{
    return BOXED(weft_close(UNBOXED(arg)));
}

/* A cancel that comes while it waits does not cut it short. */
static void *cancel_the_closer(void *arg)
{
    int fds[2];
    (void)arg;
    for (int i = 0; i < 50; i++) {
        make_pair(fds);
        weft_task *reader = spawn(read_byte, BOXED(fds[0]));
        yield_until_calls(fds[0], 1);
        weft_task *closer = spawn(close_held, BOXED(fds[0]));
        for (int k = 0; k < i % 4; k++) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        weft_cancel(closer);
        CHECK_EQUAL(joined(closer), 0);
        CHECK_EQUAL(fcntl(fds[0], F_GETFD), -1);
        CHECK_EQUAL(joined(reader), -ECANCELED);
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void a_cancelled_task_closes_all_the_same(void **state)
{
    (void)state;
    run_io(close_cancelled, NULL);
    run_io(cancel_the_closer, NULL);
}

/* ---- while it closes, and right after ---- */

static void *read_until_closed(void *arg)
{
    for (;;) {
        char c;
        ssize_t n = weft_read(UNBOXED(arg), &c, 1);
        if (n == -EBADF) {
            return NULL;
        }
        CHECK_EQUAL(n, -ECANCELED);
    }
}

/* Tasks that begin again at once are refused, and do not keep the closer from its end. */
static void *close_against_retries(void *arg)
{
    weft_task *t[16];
    int fds[2];
    (void)arg;
    for (int round = 0; round < 20; round++) {
        make_pipe(fds);
        for (int i = 0; i < 16; i++) {
            t[i] = spawn(read_until_closed, BOXED(fds[0]));
        }
        yield_until_calls(fds[0], round < 10 ? 16 : 1);
        CHECK_EQUAL(weft_close(fds[0]), 0);
        for (int i = 0; i < 16; i++) {
            CHECK_EQUAL(weft_join(t[i], NULL), 0);
        }
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void new_operations_are_refused(void **state)
{
    (void)state;
    run_io(close_against_retries, NULL);
}

static void *reuse_number(void *arg)
{
    int fds[2];
    int again[2];
    (void)arg;
    for (int round = 0; round < 100; round++) {
        make_pair(fds);
        weft_task *reader = spawn(read_byte, BOXED(fds[0]));
        weft_task *second = spawn(wait_readable, BOXED(fds[0]));
        yield_until_calls(fds[0], 2);
        CHECK_EQUAL(weft_close(fds[0]), 0);
        make_pair(again);
        CHECK_EQUAL(again[0], fds[0]); /* the lowest number is given out again */
        CHECK_EQUAL(weft_send(again[1], "ab", 2, 0), 2);
        char buf[4];
        CHECK_EQUAL(weft_recv(again[0], buf, 2, 0), 2); /* nobody else takes what is there */
        CHECK_EQUAL(memcmp(buf, "ab", 2), 0);
        CHECK_EQUAL(joined(reader), -ECANCELED);
        CHECK_EQUAL(joined(second), -ECANCELED);
        close_both(again);
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void the_number_can_be_used_at_once(void **state)
{
    (void)state;
    run_io(reuse_number, NULL);
}

static void *close_a_listener(void *arg)
{
    struct sockaddr_in address;
    (void)arg;
    int listener = make_listener(&address, 4);
    weft_task *t = spawn(accept_one, BOXED(listener));
    yield_until_calls(listener, 1);
    CHECK_EQUAL(weft_close(listener), 0);
    CHECK_EQUAL(joined(t), -ECANCELED);
    int again = weft_socket(AF_INET, SOCK_STREAM, 0); /* the port is free */
    int one = 1;
    CHECK_EQUAL(setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    CHECK_EQUAL(weft_bind(again, any_address(&address), sizeof address), 0);
    CHECK_EQUAL(weft_close(again), 0);
    return NULL;
}

static void a_listener_is_given_up(void **state)
{
    (void)state;
    run_io(close_a_listener, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closes_what_nobody_uses),
        cmocka_unit_test(ends_what_is_pending),
        cmocka_unit_test(they_end_as_cancelled),
        cmocka_unit_test(on_every_worker),
        cmocka_unit_test(a_duplicate_goes_on),
        cmocka_unit_test(one_of_several_closers_closes),
        cmocka_unit_test(a_cancelled_task_closes_all_the_same),
        cmocka_unit_test(new_operations_are_refused),
        cmocka_unit_test(the_number_can_be_used_at_once),
        cmocka_unit_test(a_listener_is_given_up),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
