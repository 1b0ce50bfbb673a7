/* SPDX-License-Identifier: MIT */
/*
 * Streams, writing: what is buffered and what is sent together, the marks, draining, half-closing,
 * and what becomes of it all when the stream is closed or aborted, the peer has gone or does not
 * read, or the writer is cancelled.
 */
#include "stream_help.h"

#define MARK ((size_t)4096)

/* All that the other end receives until its input ends. */
struct collected {
    int fd;
    size_t bytes;
    bool is_pattern;
};

static void *collect(void *arg)
{
    struct collected *c = arg;
    char buf[5000];
    ssize_t n;
    c->is_pattern = true;
    while ((n = weft_recv(c->fd, buf, sizeof buf, 0)) > 0) {
        c->is_pattern = c->is_pattern && pattern_fits(buf, c->bytes, (size_t)n);
        c->bytes += (size_t)n;
    }
    return BOXED(n);
}

/* Make the kernel take nothing more. Returns what it took. */
static size_t fill_kernel(int fd)
{
    static char block[65536];
    size_t taken = 0;
    ssize_t n;
    for (size_t bytes = sizeof block; bytes > 0; bytes /= 2) {
        do {
            pattern_fill(block, taken, bytes);
            n = send(fd, block, bytes, MSG_DONTWAIT);
            taken += n > 0 ? (size_t)n : 0;
        } while (n > 0);
    }
    return taken;
}

/* A pair whose stream's kernel buffer is full of the pattern. */
static struct ends open_full(size_t *taken)
{
    struct weft_stream_options options = {.high_water = MARK, .low_water = MARK / 4};
    struct ends e = open_ends(&options);
    int bytes = 8192;
    CHECK_EQUAL(setsockopt(weft_stream_fd(e.s), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    *taken = fill_kernel(weft_stream_fd(e.s));
    return e;
}

struct stream_writing {
    weft_stream *s;
    size_t from;
    size_t n;
};

static void *write_pattern(void *arg)
{
    const struct stream_writing *w = arg;
    char *data = malloc(w->n);
    CHECK(data != NULL);
    pattern_fill(data, w->from, w->n);
    ssize_t n = weft_stream_write(w->s, data, w->n);
    free(data);
    return BOXED(n);
}

static void *drain(void *arg)
{
    return BOXED(weft_stream_drain(arg));
}

static void *coalesce(void *arg)
{
    char buf[64];
    struct iovec v[3] = {{(char *)(uintptr_t)"de", 2}, {NULL, 0}, {(char *)(uintptr_t)"fg", 2}};
    struct ends e = open_ends(NULL);
    (void)arg;
    CHECK_EQUAL(weft_stream_write(e.s, "", 0), 0);
    CHECK_EQUAL(weft_stream_write(e.s, "ab", 2), 2);
    CHECK_EQUAL(weft_stream_write(e.s, "c", 1), 1);
    CHECK_EQUAL(weft_stream_writev(e.s, v, 3), 4);
    CHECK_EQUAL(weft_stream_writev(e.s, v, -1), -EINVAL);
    struct iovec huge[] = {{v[0].iov_base, SIZE_MAX - 10}, {v[0].iov_base, 20}};
    CHECK_EQUAL(weft_stream_writev(e.s, huge, 2), -EINVAL); /* 9 bytes they are not */
    CHECK_EQUAL(weft_stream_write(e.s, v[0].iov_base, SIZE_MAX), -EINVAL);
    CHECK_EQUAL(weft_stream_pending(e.s), 7);
    CHECK_EQUAL(weft_recv(e.peer, buf, sizeof buf, 0), 7); /* in one piece, by itself */
    CHECK_EQUAL(memcmp(buf, "abcdefg", 7), 0);
    close_ends(&e);
    return NULL;
}

static void writes_of_a_turn_go_out_together(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 1}; /* another worker might send in between */
    run_io_with(&options, coalesce, NULL);
}

static void *write_and_end(void *arg)
{
    weft_stream *s = arg;
    CHECK_EQUAL(weft_stream_write(s, "last words", 10), 10);
    return NULL;
}

static void *go_out_alone(void *arg)
{
    char buf[64] = {0};
    struct ends e = open_ends(NULL);
    (void)arg;
    weft_task *t = spawn(write_and_end, e.s);
    (void)weft_cancel(t); /* what fits is taken all the same */
    CHECK_EQUAL(weft_read_full(e.peer, buf, 10, NULL), 0);
    CHECK_EQUAL(memcmp(buf, "last words", 10), 0);
    CHECK_EQUAL(joined(t), 0);
    close_ends(&e);
    return NULL;
}

static void goes_out_without_another_call(void **state)
{
    (void)state;
    run_io(go_out_alone, NULL);
}

static void *fill_marks(void *arg)
{
    size_t taken = 0;
    (void)arg;
    struct ends e = open_full(&taken);
    struct stream_writing w = {e.s, taken, MARK};
    CHECK_EQUAL(joined(spawn(write_pattern, &w)), MARK); /* buffered: no wait */
    settle();
    CHECK_EQUAL(weft_stream_pending(e.s), MARK); /* in flight, most likely: that counts, too */
    struct stream_writing over = {e.s, taken + MARK, 1};
    weft_task *waiting = spawn(write_pattern, &over);
    settle();
    CHECK(!weft_done(waiting));
    struct collected c = {.fd = e.peer};
    weft_task *reader = spawn(collect, &c);
    CHECK_EQUAL(joined(waiting), 1);
    CHECK_EQUAL(weft_stream_drain(e.s), 0);
    CHECK(weft_stream_pending(e.s) <= MARK / 4);
    CHECK_EQUAL(weft_stream_close(e.s), 0);
    CHECK_EQUAL(joined(reader), 0);
    CHECK_EQUAL(c.bytes, taken + MARK + 1);
    CHECK(c.is_pattern);
    CHECK_EQUAL(weft_close(e.peer), 0);
    return NULL;
}

static void waits_above_the_high_water_mark(void **state)
{
    (void)state;
    run_io(fill_marks, NULL);
}

static void *drain_by_several(void *arg)
{
    size_t taken = 0;
    weft_task *drains[3];
    struct ends e = open_full(&taken);
    struct stream_writing w = {e.s, taken, MARK};
    CHECK_EQUAL(joined(spawn(write_pattern, &w)), MARK);
    for (int i = 0; i < 3; i++) {
        drains[i] = spawn(drain, e.s);
    }
    settle();
    for (int i = 0; i < 3; i++) {
        CHECK(!weft_done(drains[i]));
    }
    if (arg != NULL) { /* one leaves, maybe the one that sends; the others are let go anyway */
        CHECK_EQUAL(weft_cancel_and_join(drains[0], NULL), 0);
    }
    struct collected c = {.fd = e.peer};
    weft_task *reader = spawn(collect, &c);
    for (int i = arg != NULL; i < 3; i++) {
        CHECK_EQUAL(joined(drains[i]), 0);
    }
    CHECK_EQUAL(weft_stream_close(e.s), 0);
    CHECK_EQUAL(joined(reader), 0);
    CHECK_EQUAL(c.bytes, taken + MARK);
    CHECK(c.is_pattern);
    CHECK_EQUAL(weft_close(e.peer), 0);
    return NULL;
}

static void item_228_drains_are_released_together(void **state)
{
    (void)state;
    run_io(drain_by_several, NULL);
    run_io(drain_by_several, BOXED(1));
}

static void *write_to_nobody(void *arg)
{
    struct ends e = arg != NULL ? open_tcp_ends(NULL) : open_ends(NULL);
    int err = 0;
    CHECK_EQUAL(weft_close(e.peer), 0);
    while (err == 0) { /* ends */
        ssize_t n = weft_stream_write(e.s, "hello", 5);
        err = n < 0 ? (int)n : weft_stream_drain(e.s);
        CHECK(weft_yield() == 0);
    }
    CHECK(err == -EPIPE || err == -ECONNRESET);
    CHECK_EQUAL(weft_stream_write(e.s, "x", 1), err); /* from then on, always */
    CHECK_EQUAL(weft_stream_drain(e.s), err);
    CHECK_EQUAL(weft_stream_pending(e.s), 0);
    CHECK_EQUAL(weft_stream_close(e.s), err);
    return NULL;
}

static void item_229_a_peer_that_has_gone_ends_the_loop(void **state)
{
    (void)state;
    run_io(write_to_nobody, NULL);
    run_io(write_to_nobody, BOXED(1));
}

static void *write_after_end(void *arg)
{
    char buf[8];
    struct ends e = open_ends(NULL);
    (void)arg;
    CHECK_EQUAL(weft_stream_write(e.s, "abc", 3), 3);
    CHECK_EQUAL(weft_stream_shutdown_write(e.s), 0);
    CHECK_EQUAL(weft_stream_write(e.s, "d", 1), -EPIPE);
    CHECK_EQUAL(weft_stream_drain(e.s), 0);
    CHECK_EQUAL(weft_stream_shutdown_write(e.s), 0);
    CHECK_EQUAL(weft_read_full(e.peer, buf, 4, NULL), -ENODATA); /* three, and the end */
    CHECK_EQUAL(memcmp(buf, "abc", 3), 0);
    feed_text(&e, "answer"); /* the other half is open */
    check_next(e.s, "answer");
    weft_stream_abort(e.s);
    CHECK_EQUAL(weft_stream_write(e.s, "e", 1), -ECONNABORTED);
    CHECK_EQUAL(weft_stream_shutdown_write(e.s), -ECONNABORTED);
    CHECK_EQUAL(weft_stream_close(e.s), -ECONNABORTED);
    CHECK_EQUAL(weft_close(e.peer), 0);
    return NULL;
}

static void item_230_a_stream_that_was_ended_takes_nothing(void **state)
{
    (void)state;
    run_io(write_after_end, NULL);
}

/* Those who wait for room, when the connection is lost: by an abort, and by the peer. */
static void *lose_connection(void *arg)
{
    size_t taken = 0;
    struct ends e = open_full(&taken);
    struct stream_writing w = {e.s, taken, 5 * MARK};
    weft_task *writer = spawn(write_pattern, &w);
    weft_task *drains[2] = {spawn(drain, e.s), spawn(drain, e.s)};
    settle();
    int want = arg != NULL ? -ECONNABORTED : -EPIPE;
    if (arg != NULL) {
        weft_stream_abort(e.s);
    } else {
        CHECK_EQUAL(weft_close(e.peer), 0);
    }
    CHECK_EQUAL(joined(writer), want); /* it was sending from its own memory: none was taken */
    for (int i = 0; i < 2; i++) {
        int err = joined(drains[i]);
        CHECK(err == want || err == 0); /* 0: it came before the writer */
    }
    CHECK_EQUAL(weft_stream_pending(e.s), 0);
    CHECK_EQUAL(weft_stream_close(e.s), want);
    if (arg != NULL) {
        CHECK_EQUAL(weft_close(e.peer), 0);
    }
    return NULL;
}

static void item_231_a_lost_connection_wakes_who_waits(void **state)
{
    (void)state;
    run_io(lose_connection, NULL);
    run_io(lose_connection, BOXED(1));
}

static void *close_flushes(void *arg)
{
    struct ends e = arg != NULL ? open_tcp_ends(NULL) : open_ends(NULL);
    int fd = weft_stream_fd(e.s);
    struct stream_reading r = {.s = e.s, .call = READ_LINE};
    weft_task *reader = spawn(stream_read_task, &r);
    yield_until_waits(e.s);
    struct stream_writing w = {e.s, 0, 1000000};
    struct collected c = {.fd = e.peer};
    weft_task *collector = spawn(collect, &c);
    CHECK_EQUAL(joined(spawn(write_pattern, &w)), 1000000);
    CHECK_EQUAL(weft_stream_close(e.s), 0);
    CHECK_EQUAL(fcntl(fd, F_GETFD), -1); /* it is really closed */
    CHECK_EQUAL(joined(reader), 0);      /* the end of input, to who was reading */
    CHECK_EQUAL(joined(collector), 0);
    CHECK_EQUAL(c.bytes, 1000000);
    CHECK(c.is_pattern);
    CHECK_EQUAL(weft_close(e.peer), 0);
    return NULL;
}

static void *close_unread(void *arg)
{
    struct ends e = open_ends(NULL);
    int fd = weft_stream_fd(e.s);
    struct weft_view view;
    (void)arg;
    feed_text(&e, "nobody reads this");
    CHECK_EQUAL(weft_stream_peek(e.s, 1, &view), 17);
    feed_text(&e, "nor this");
    CHECK_EQUAL(weft_stream_close(e.s), 0);
    CHECK_EQUAL(fcntl(fd, F_GETFD), -1);
    CHECK_EQUAL(weft_close(e.peer), 0);
    CHECK_EQUAL(weft_stream_close(NULL), 0);
    return NULL;
}

static void item_232_close_flushes_and_really_closes(void **state)
{
    (void)state;
    run_io(close_flushes, NULL);
    run_io(close_flushes, BOXED(1));
    run_io(close_unread, NULL);
}

/* A close whose peer does not read: it waits; cancelled, it drops what is left. */
static void *close_stuck(void *arg)
{
    return BOXED(weft_stream_close(arg));
}

static void *close_beside_writer(void *arg)
{
    size_t taken = 0;
    struct ends e = open_full(&taken);
    struct stream_writing w = {e.s, taken, 3 * MARK};
    weft_task *writer = arg != NULL ? spawn(write_pattern, &w) : NULL;
    if (writer == NULL) {
        struct stream_writing fits = {e.s, taken, MARK};
        CHECK_EQUAL(joined(spawn(write_pattern, &fits)), MARK);
    }
    settle();
    weft_task *closer = spawn(close_stuck, e.s);
    settle();
    CHECK(!weft_done(closer));
    CHECK(weft_cancel(closer));
    CHECK_EQUAL(joined(closer), -ECANCELED);
    if (writer != NULL) {
        CHECK_EQUAL(joined(writer), -EPIPE);
    }
    struct collected c = {.fd = e.peer};
    (void)joined(spawn(collect, &c));
    CHECK(c.bytes <= taken + 2 * MARK && c.is_pattern);
    CHECK_EQUAL(weft_close(e.peer), 0);
    return NULL;
}

static void a_cancelled_close_does_not_wait_for_the_peer(void **state)
{
    (void)state;
    run_io(close_beside_writer, NULL);
    run_io(close_beside_writer, BOXED(1));
}

static void *close_when_cancelled(void *arg)
{
    struct ends e = open_ends(NULL);
    char buf[8];
    (void)arg;
    cancel_myself();
    CHECK_EQUAL(weft_stream_write(e.s, "bye", 3), 3);
    int err = weft_stream_close(e.s);
    uncancel_myself();
    CHECK_EQUAL(err, 0); /* there was room: it did not have to wait */
    CHECK_EQUAL(weft_read_full(e.peer, buf, 4, NULL), -ENODATA);
    CHECK_EQUAL(memcmp(buf, "bye", 3), 0);
    CHECK_EQUAL(weft_close(e.peer), 0);
    return NULL;
}

static void a_cancelled_task_closes_and_sends_what_fits(void **state)
{
    (void)state;
    run_io(close_when_cancelled, NULL);
}

/* Writes that are cancelled at any moment: what each says was taken arrives, in order, once. */
static void *write_beside_cancels(void *arg)
{
    struct weft_stream_options options = {.high_water = MARK};
    struct ends e = arg != NULL ? open_tcp_ends(&options) : open_ends(&options);
    struct collected c = {.fd = e.peer};
    weft_task *collector = spawn(collect, &c);
    uint64_t random = test_seed();
    size_t taken = 0;
    for (int i = 0; i < 150; i++) {
        struct stream_writing w = {e.s, taken, 1 + test_random(&random) % 30000};
        weft_task *t = spawn(write_pattern, &w);
        weft_task *d = test_random(&random) % 2 == 0 ? spawn(drain, e.s) : NULL;
        for (uint64_t j = test_random(&random) % 8; j > 0; j--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        if (d != NULL) {
            CHECK_EQUAL(weft_cancel_and_join(d, NULL), 0);
        }
        CHECK(weft_cancel(t) || weft_done(t));
        int n = joined(t);
        CHECK(n == -ECANCELED || (n > 0 && (size_t)n <= w.n));
        taken += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQUAL(weft_stream_close(e.s), 0);
    CHECK_EQUAL(joined(collector), 0);
    CHECK_EQUAL(c.bytes, taken);
    CHECK(c.is_pattern);
    CHECK_EQUAL(weft_close(e.peer), 0);
    return NULL;
}

static void a_cancelled_write_tells_what_was_taken(void **state)
{
    (void)state;
    run_io(write_beside_cancels, NULL);
    run_io(write_beside_cancels, BOXED(1));
}

/* Both ends write more than the kernel's buffers hold, then read: what was written goes on. */
static void *write_then_read(void *arg)
{
    weft_stream *s = arg;
    static char block[60000];
    char *in = malloc(sizeof block);
    CHECK(in != NULL);
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(weft_stream_write(s, block, sizeof block), sizeof block);
        CHECK_EQUAL(weft_stream_read_exactly(s, in, sizeof block), sizeof block);
    }
    free(in);
    return NULL;
}

static void *exchange_large(void *arg)
{
    int fds[2];
    int bytes = 4096;
    (void)arg;
    make_connection(fds);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    }
    weft_stream *s[2] = {opened(fds[0], NULL), opened(fds[1], NULL)};
    weft_task *t = spawn(write_then_read, s[0]);
    CHECK(write_then_read(s[1]) == NULL);
    CHECK_EQUAL(joined(t), 0);
    CHECK_EQUAL(weft_stream_close(s[0]), 0);
    CHECK_EQUAL(weft_stream_close(s[1]), 0);
    return NULL;
}

static void reading_does_not_hold_up_what_was_written(void **state)
{
    (void)state;
    run_io(exchange_large, NULL);
}

static void *abort_resets(void *arg)
{
    char c;
    struct ends e = open_tcp_ends(NULL);
    (void)arg;
    weft_stream_abort(e.s);
    CHECK_EQUAL(weft_recv(e.peer, &c, 1, 0), -ECONNRESET);
    CHECK_EQUAL(weft_stream_close(e.s), -ECONNABORTED);
    CHECK_EQUAL(weft_close(e.peer), 0);
    return NULL;
}

static void an_abort_resets_the_connection(void **state)
{
    (void)state;
    run_io(abort_resets, NULL);
}

/* The runtime ends while a stream has bytes that nobody takes. */
static void *leave_pending(void *arg)
{
    struct ends *e = arg;
    size_t taken = 0;
    *e = open_full(&taken);
    struct stream_writing w = {e->s, taken, MARK};
    CHECK_EQUAL(joined(spawn(write_pattern, &w)), MARK);
    return NULL;
}

static void *close_left(void *arg)
{
    struct ends *e = arg;
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_stream_close(e->s), -ECANCELED);
    return NULL;
}

static void the_runtime_closes_beside_a_stuck_stream(void **state)
{
    (void)state;
    struct ends e;
    weft_runtime *rt = create_runtime(NULL);
    CHECK_EQUAL(weft_runtime_run(rt, leave_pending, &e, NULL), 0);
    weft_task *t = NULL;
    CHECK_EQUAL(weft_runtime_spawn(rt, close_left, &e, &t), 0);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    weft_put(t);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    CHECK_EQUAL(close(e.peer), 0);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_of_a_turn_go_out_together),
        cmocka_unit_test(goes_out_without_another_call),
        cmocka_unit_test(waits_above_the_high_water_mark),
        cmocka_unit_test(item_228_drains_are_released_together),
        cmocka_unit_test(item_229_a_peer_that_has_gone_ends_the_loop),
        cmocka_unit_test(item_230_a_stream_that_was_ended_takes_nothing),
        cmocka_unit_test(item_231_a_lost_connection_wakes_who_waits),
        cmocka_unit_test(item_232_close_flushes_and_really_closes),
        cmocka_unit_test(a_cancelled_close_does_not_wait_for_the_peer),
        cmocka_unit_test(a_cancelled_task_closes_and_sends_what_fits),
        cmocka_unit_test(a_cancelled_write_tells_what_was_taken),
        cmocka_unit_test(reading_does_not_hold_up_what_was_written),
        cmocka_unit_test(an_abort_resets_the_connection),
        cmocka_unit_test(the_runtime_closes_beside_a_stuck_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
