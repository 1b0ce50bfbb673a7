/* SPDX-License-Identifier: MIT */
/*
 * What becomes of bytes that a stream has taken when nobody is left to send them: the runtime is
 * closed, its tasks are cancelled, the stream was not closed, or by a task that may not wait.
 */
#include "stream_help.h"

#include <poll.h>

#define BYTES ((size_t)40000)

static char data[BYTES];

/* What a thread receives until it has `n` bytes, or the input ends. */
struct receiving {
    int fd;
    size_t n;
    size_t got;
    weft_stream *s;    /* whose bytes they are */
    shared_int begun;
};

static void *receive_all(void *arg)
{
    struct receiving *r = arg;
    char buf[4096];
    ssize_t n = 1;
    atomic_store_seq_cst(&r->begun, 1);
    while (r->got < r->n && n > 0) {
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        CHECK_EQUAL(poll(&p, 1, -1), 1);
        n = read(r->fd, buf, sizeof buf);
        for (ssize_t i = 0; i < n; i++) {
            CHECK_EQUAL(buf[i], (char)((r->got + (size_t)i) % 251));
        }
        r->got += n > 0 ? (size_t)n : 0;
    }
    return NULL;
}

/* Sockets with so little room in the kernel that most of `data` stays with the stream. */
static struct ends open_narrow(void)
{
    int fds[2];
    int bytes = 4096;
    struct weft_stream_options options = {.high_water = 2 * BYTES};
    make_pair(fds);
    CHECK_EQUAL(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    for (size_t i = 0; i < BYTES; i++) {
        data[i] = (char)(i % 251);
    }
    return (struct ends){opened(fds[0], &options), fds[1]};
}

/* Write, and leave the rest to the stream. */
static void *write_and_leave(void *arg)
{
    struct receiving *r = arg;
    struct ends e = open_narrow();
    r->fd = e.peer;
    r->s = e.s;
    r->n = BYTES;
    CHECK_EQUAL(weft_stream_write(e.s, data, BYTES), BYTES);
    CHECK(weft_stream_pending(e.s) > 0);
    return NULL;
}

/* The same, by a task that a close cancels, and that closes the stream then. */
static void *write_and_close_cancelled(void *arg)
{
    struct receiving *r = arg;
    (void)write_and_leave(r);
    atomic_store_seq_cst(&r->begun, 1);
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_stream_close(r->s), 0);
    return NULL;
}

static void *spawn_and_leave(void *arg)
{
    struct receiving *r = arg;
    CHECK_EQUAL(weft_go(write_and_close_cancelled, r), 0);
    yield_until(&r->begun, 1);
    return NULL;
}

static void *close_stream(void *arg)
{
    return BOXED(weft_stream_close(arg));
}

/* A stream that outlived its runtime is closed in another one. */
static void close_elsewhere(const struct receiving *r)
{
    CHECK_EQUAL(close(r->fd), 0);
    run_case(close_stream, r->s);
}

static void closes_and_arrives(weft_fn fn, bool is_closed)
{
    struct receiving r = {.fd = -1};
    weft_runtime *rt = create_runtime(NULL);
    CHECK_EQUAL(weft_runtime_run(rt, fn, &r, NULL), 0);
    pthread_t reader = start_thread(receive_all, &r);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    if (!is_closed) {
        CHECK_EQUAL(weft_stream_pending(r.s), 0);
    }
    CHECK_EQUAL(pthread_join(reader, NULL), 0);
    CHECK_EQUAL(r.got, BYTES);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    if (is_closed) {
        CHECK_EQUAL(close(r.fd), 0);
    } else {
        close_elsewhere(&r);
    }
}

static void closing_the_runtime_sends_what_a_stream_holds(void **state)
{
    (void)state;
    closes_and_arrives(write_and_leave, false);
}

static void tasks_that_it_cancels_close_with_their_output(void **state)
{
    (void)state;
    closes_and_arrives(spawn_and_leave, true);
}

/* A peer that does not read keeps no close from its end. */
static void a_peer_that_does_not_read_does_not_keep_the_runtime(void **state)
{
    struct receiving r = {.fd = -1};
    static const struct weft_options options = {.close_grace_ns = 20 * WEFT_SECOND};
    weft_runtime *rt = create_runtime(&options);
    (void)state;
    CHECK_EQUAL(weft_runtime_run(rt, write_and_leave, &r, NULL), 0);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK(weft_stream_pending(r.s) > 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    close_elsewhere(&r);
}

/* Who cancels whatever is live does not cut short what a stream has promised. */
static void *cancel_everybody(void *arg)
{
    struct receiving *r = arg;
    weft_task *all[8];
    (void)write_and_leave(r);
    settle();
    size_t n = weft_all_tasks(weft_runtime_current(), all, 8);
    CHECK(n <= 8);
    for (size_t i = 0; i < n; i++) {
        if (all[i] != weft_self()) {
            (void)weft_cancel(all[i]);
        }
        weft_put(all[i]);
    }
    settle();
    pthread_t reader = start_thread(receive_all, r);
    CHECK_EQUAL(weft_yield(), 0);
    while (weft_stream_pending(r->s) > 0) {
        CHECK_EQUAL(weft_sleep(WEFT_MS), 0); /* no call of the stream's that would send */
    }
    CHECK_EQUAL(pthread_join(reader, NULL), 0);
    CHECK_EQUAL(weft_stream_close(r->s), 0);
    CHECK_EQUAL(weft_close(r->fd), 0);
    return NULL;
}

static void a_cancel_of_all_tasks_leaves_the_output(void **state)
{
    struct receiving r = {.fd = -1};
    (void)state;
    run_io(cancel_everybody, &r);
    CHECK_EQUAL(r.got, BYTES);
}

/* A pipe has room: what was written to it arrives, whatever becomes of the task. */
static void *close_pipe_cancelled(void *arg)
{
    int fds[2];
    char buf[8];
    make_pipe(fds);
    weft_stream *s = opened(fds[1], NULL);
    CHECK_EQUAL(weft_stream_write(s, "one", 3), 3);
    if (arg != NULL) {
        CHECK_EQUAL(weft_yield(), 0); /* a flusher may have begun */
    }
    cancel_myself();
    CHECK_EQUAL(weft_stream_write(s, "two", 3), 3);
    CHECK_EQUAL(weft_stream_close(s), 0);
    uncancel_myself();
    CHECK_EQUAL(weft_read_full(fds[0], buf, 7, NULL), -ENODATA);
    CHECK_EQUAL(memcmp(buf, "onetwo", 6), 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    return NULL;
}

/* And a pipe that nobody reads does not hold up the task. */
static void *close_full_pipe_cancelled(void *arg)
{
    int fds[2];
    (void)arg;
    make_pipe(fds);
    int bytes = fcntl(fds[1], F_SETPIPE_SZ, 4096);
    CHECK(bytes >= 4096 && (size_t)bytes < BYTES);
    weft_stream *s = opened(fds[1], NULL);
    CHECK_EQUAL(weft_stream_write(s, data, BYTES), BYTES);
    cancel_myself();
    CHECK_EQUAL(weft_stream_close(s), -ECANCELED);
    uncancel_myself();
    CHECK_EQUAL(weft_close(fds[0]), 0);
    return NULL;
}

static void a_cancelled_task_closes_a_pipe_with_its_output(void **state)
{
    (void)state;
    run_io(close_pipe_cancelled, NULL);
    run_io(close_pipe_cancelled, BOXED(1));
    run_io(close_full_pipe_cancelled, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_the_runtime_sends_what_a_stream_holds),
        cmocka_unit_test(tasks_that_it_cancels_close_with_their_output),
        cmocka_unit_test(a_peer_that_does_not_read_does_not_keep_the_runtime),
        cmocka_unit_test(a_cancel_of_all_tasks_leaves_the_output),
        cmocka_unit_test(a_cancelled_task_closes_a_pipe_with_its_output),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
