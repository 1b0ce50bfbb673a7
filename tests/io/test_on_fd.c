/* SPDX-License-Identifier: MIT */
/*
 * Callbacks of ready descriptors: called as long as they are ready, per direction, replaced and
 * taken back, ended by a close of the descriptor or the runtime, refused where they cannot be.
 *
 * Workers: 1 3
 */
#include "stream_help.h"

#include <poll.h>

/* What a callback has seen. */
struct seen {
    shared_int calls;
    shared_int bytes;
    shared_int events;
    shared_int inside; /* calls at this moment */
    bool is_lazy;      /* it reads a byte, and leaves the rest */
    bool removes;      /* it takes itself back */
    bool overlaps;     /* it may be put in its own place while it runs */
};

static void on_readable(int fd, short events, void *arg)
{
    struct seen *s = arg;
    char buf[64];
    CHECK(atomic_add_seq_cst(&s->inside, 1) == 0 || s->overlaps);
    ssize_t n = recv(fd, buf, s->is_lazy ? 1 : sizeof buf, MSG_DONTWAIT);
    atomic_or_seq_cst(&s->events, events);
    atomic_add_seq_cst(&s->bytes, n > 0 ? (int)n : 0);
    atomic_sub_seq_cst(&s->inside, 1);
    if (s->removes || n == 0) {
        CHECK_EQUAL(weft_on_fd_remove(fd, POLLIN), 1);
    }
    atomic_add_seq_cst(&s->calls, 1);
}

static void on_writable(int fd, short events, void *arg)
{
    struct seen *s = arg;
    CHECK((events & POLLOUT) != 0);
    CHECK_EQUAL(weft_on_fd_remove(fd, POLLOUT), 1);
    atomic_add_seq_cst(&s->calls, 1);
}

static void must_not_come(int fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    (void)arg;
    CHECK(false);
}

static void *watch(void *arg)
{
    int fds[2];
    struct seen s = {0};
    struct seen lazy = {.is_lazy = true};
    struct seen once = {.removes = true};
    struct seen out = {0};
    (void)arg;
    make_pair(fds);
    CHECK_EQUAL(weft_on_fd_remove(fds[0], POLLIN), 0); /* there is none */
    CHECK_EQUAL(weft_on_fd(fds[0], POLLIN, on_readable, &s), 0);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&s.calls), 0);
    for (int i = 1; i <= 100; i++) {
        CHECK_EQUAL(send(fds[1], "abc", 3, 0), 3);
        yield_until(&s.bytes, 3 * i);
    }
    CHECK_EQUAL(weft_on_fd(fds[0], POLLOUT, on_writable, &out), 0); /* beside it */
    yield_until(&out.calls, 1);
    CHECK_EQUAL(weft_on_fd(fds[0], POLLOUT, on_writable, &out), 0); /* and anew */
    yield_until(&out.calls, 2);

    CHECK_EQUAL(weft_on_fd(fds[0], POLLIN, on_readable, &lazy), 1); /* in its place */
    CHECK_EQUAL(send(fds[1], "twenty bytes to read", 20, 0), 20);
    yield_until(&lazy.bytes, 20); /* called as long as there is something */
    CHECK_EQUAL(atomic_load_seq_cst(&s.bytes), 300);
    CHECK_EQUAL(weft_on_fd_remove(fds[0], POLLIN), 1);
    CHECK_EQUAL(weft_on_fd_remove(fds[0], POLLIN), 0);
    CHECK_EQUAL(send(fds[1], "x", 1, 0), 1);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&lazy.bytes), 20);

    /* It is counted when it has taken itself back. */
    CHECK_EQUAL(weft_on_fd(fds[0], POLLIN, on_readable, &once), 0); /* what is there is told */
    yield_until(&once.calls, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&once.bytes), 1);
    CHECK_EQUAL(weft_on_fd(fds[0], POLLIN, on_readable, &once), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    yield_until(&once.calls, 2); /* the end is readiness */
    CHECK((atomic_load_seq_cst(&once.events) & POLLHUP) != 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    return NULL;
}

static int nothing_comes(weft_transport *t, const void *data, size_t n, void *arg)
{
    (void)t;
    (void)data;
    (void)n;
    (void)arg;
    return 0;
}

static void *watch_refused(void *arg)
{
    static const struct weft_protocol quiet = {.data_received = nothing_comes};
    int fds[2];
    (void)arg;
    make_pair(fds);
    CHECK_EQUAL(weft_on_fd(-1, POLLIN, must_not_come, NULL), -EBADF);
    CHECK_EQUAL(weft_on_fd(1000000, POLLIN, must_not_come, NULL), -EBADF);
    CHECK_EQUAL(weft_on_fd(fds[0], POLLIN | POLLOUT, must_not_come, NULL), -EINVAL);
    CHECK_EQUAL(weft_on_fd(fds[0], 0, must_not_come, NULL), -EINVAL);
    CHECK_EQUAL(weft_on_fd(fds[0], POLLIN, NULL, NULL), -EINVAL);
    CHECK_EQUAL(weft_on_fd_remove(-1, POLLIN), 0);
    weft_transport *t = NULL;
    int err = weft_transport_open(fds[0], &quiet, NULL, &t);
    if (err == 0) {
        CHECK_EQUAL(weft_on_fd(fds[0], POLLIN, must_not_come, NULL), -EBUSY);
        weft_transport_abort(t);
        weft_transport_put(t);
    } else {
        CHECK_EQUAL(weft_close(fds[0]), 0);
    }
    CHECK_EQUAL(err, 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return NULL;
}

/* A close of the descriptor ends the callback; the number is then free for the next. */
static void *watch_closed(void *arg)
{
    struct seen s = {0};
    (void)arg;
    for (int i = 0; i < 200; i++) {
        int fds[2];
        make_pair(fds);
        CHECK_EQUAL(weft_on_fd(fds[0], POLLIN, on_readable, &s), 0);
        if (i % 3 == 1) {
            CHECK_EQUAL(weft_yield(), 0);
        } else if (i % 3 == 2) {
            int before = atomic_load_seq_cst(&s.calls);
            CHECK_EQUAL(send(fds[1], "x", 1, 0), 1);
            yield_until(&s.calls, before + 1);
        }
        CHECK_EQUAL(weft_close(fds[0]), 0);
        CHECK_EQUAL(weft_on_fd_remove(fds[0], POLLIN), 0);
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void item_249_a_callback_watches_a_descriptor(void **state)
{
    int fds[2];
    (void)state;
    run_io(watch, NULL);
    run_io(watch_refused, NULL);
    run_io(watch_closed, NULL);
    make_pair(fds);
    CHECK_EQUAL(weft_on_fd(fds[0], POLLIN, must_not_come, NULL), -EPERM);
    CHECK_EQUAL(weft_on_fd_remove(fds[0], POLLIN), -EPERM);
    close_both(fds);
}

/* Readiness comes, and callbacks are put in place, replaced and taken back at any moment. */
static void *replace(void *arg)
{
    struct seen s[2] = {{.overlaps = true}, {.overlaps = true}};
    uint64_t random = test_seed();
    int fds[2];
    int sent = 0;
    (void)arg;
    make_pair(fds);
    for (int i = 0; i < 2000; i++) {
        switch (test_random(&random) % 4) {
        case 0:
            CHECK(weft_on_fd(fds[0], POLLIN, on_readable, &s[i % 2]) >= 0);
            break;
        case 1:
            CHECK(weft_on_fd_remove(fds[0], POLLIN) >= 0);
            break;
        case 2:
            sent += (int)send(fds[1], "x", 1, MSG_DONTWAIT) > 0 ? 1 : 0;
            break;
        default:
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    CHECK(weft_on_fd(fds[0], POLLIN, on_readable, &s[0]) >= 0);
    while (atomic_load_seq_cst(&s[0].bytes) + atomic_load_seq_cst(&s[1].bytes) < sent) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(weft_on_fd_remove(fds[0], POLLIN), 1);
    CHECK_EQUAL(weft_close(fds[0]), 0); /* waits for those that run */
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return NULL;
}

static void no_readiness_is_lost_when_it_is_replaced(void **state)
{
    (void)state;
    run_io(replace, NULL);
}

static void *watch_and_leave(void *arg)
{
    const int *fds = arg;
    CHECK_EQUAL(weft_on_fd(fds[0], POLLIN, must_not_come, NULL), 0);
    CHECK_EQUAL(weft_on_fd(fds[1], POLLIN, must_not_come, NULL), 0);
    return NULL;
}

static void the_end_of_the_runtime_ends_them(void **state)
{
    int fds[2];
    (void)state;
    make_pair(fds);
    weft_runtime *rt = create_runtime(NULL);
    CHECK_EQUAL(weft_runtime_run(rt, watch_and_leave, fds, NULL), 0);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    close_both(fds);
}

static void count_calls(int fd, short events, void *arg)
{
    shared_int *calls = arg;
    (void)fd;
    CHECK((events & (POLLIN | POLLOUT)) != 0);
    atomic_add_seq_cst(calls, 1);
}

/* As a program's input may be one. */
static void *watch_files(void *arg)
{
    static const short events[] = {POLLIN, POLLOUT};
    for (int i = 0; i < 4; i++) {
        shared_int calls = 0;
        int fd = i < 2 ? open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                       : open("/dev/null", O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_EQUAL(weft_on_fd(fd, events[i % 2], count_calls, &calls), 0);
        yield_until(&calls, 5);
        if (i % 2 == 0) {
            CHECK_EQUAL(weft_on_fd_remove(fd, events[i % 2]), 1);
        }
        CHECK_EQUAL(weft_on_fd(fd, POLLPRI, must_not_come, NULL), 0);
        settle();
        CHECK_EQUAL(weft_close(fd), 0);
    }
    return arg;
}

static void what_is_always_ready_calls(void **state)
{
    (void)state;
    run_io(watch_files, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_249_a_callback_watches_a_descriptor),
        cmocka_unit_test(no_readiness_is_lost_when_it_is_replaced),
        cmocka_unit_test(the_end_of_the_runtime_ends_them),
        cmocka_unit_test(what_is_always_ready_calls),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
