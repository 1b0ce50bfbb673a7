/* SPDX-License-Identifier: MIT */
/*
 * A cancelled task closes a stream whose bytes another worker is about to send, and has been for
 * longer than the close waits for a peer: the close gave up, and the bytes were lost though there
 * was room for them. And those of a pipe that nobody was sending, if no operation went through in
 * that time.
 */
#include "../io/stream_help.h"

#include <weft/stream_layer.h>

/* A layer that changes nothing. Its `send` is held up, by no peer, until somebody asks the task in
 * it to stop, or ends the stream. */
struct held {
    weft_stream *below;
    bool moves;  /* it has moved a byte then */
    bool is_cut; /* the stream was closed beside a call */
    shared_int begun;
    shared_int closing; /* 0: `try_send` is not held up; else until 15 ms after it is 2 */
};

static ssize_t held_receive(void *layer, void *buf, size_t n)
{
    return weft_stream_read(((struct held *)layer)->below, buf, n);
}

static int held_wait(void *layer)
{
    struct weft_view view;
    ssize_t n = weft_stream_peek(((struct held *)layer)->below, 1, &view);
    return n < 0 ? (int)n : 0;
}

static ssize_t held_put(struct held *h, const struct iovec *iov, size_t n)
{
    int err = weft_stream_put(h->below, iov->iov_base, n);
    return err < 0 ? err : (ssize_t)n;
}

static ssize_t held_send(void *layer, const struct iovec *iov, int count)
{
    struct held *h = layer;
    int err = 0;
    CHECK(count > 0);
    atomic_store_seq_cst(&h->begun, 1);
    while (weft_cancelling() == 0 && err == 0) {
        (void)weft_yield();
        err = weft_stream_put(h->below, "", 0);
    }
    return err < 0 ? err : h->moves ? held_put(h, iov, 1) : -ECANCELED;
}

static ssize_t held_try_send(void *layer, const struct iovec *iov, int count)
{
    struct held *h = layer;
    CHECK(count > 0);
    if (atomic_load_seq_cst(&h->closing) != 0) {
        atomic_store_seq_cst(&h->begun, 1);
        yield_until(&h->closing, 2);
        int64_t until_ns = weft_now() + 15 * WEFT_MS; /* if less, the test tells less */
        while (weft_now() < until_ns) {
            (void)weft_yield();
        }
    }
    return held_put(h, iov, iov->iov_len);
}

static int held_shutdown_write(void *layer)
{
    return weft_stream_shutdown_write(((struct held *)layer)->below);
}

static void held_end(void *layer)
{
    ((struct held *)layer)->is_cut = true;
}

static int held_close(void *layer)
{
    struct held *h = layer;
    int err = weft_stream_close(h->below);
    return h->is_cut ? 0 : err; /* which tells of the cut */
}

static const struct weft_stream_layer_ops held_ops = {
    .receive = held_receive,
    .wait = held_wait,
    .send = held_send,
    .try_send = held_try_send,
    .shutdown_write = held_shutdown_write,
    .end = held_end,
    .close = held_close,
};

static void check_text(int fd, const char *text)
{
    char buf[16];
    size_t n = strlen(text);
    CHECK_EQUAL(weft_read_full(fd, buf, n + 1, NULL), -ENODATA);
    CHECK_EQUAL(memcmp(buf, text, n), 0);
    CHECK_EQUAL(weft_close(fd), 0);
}

/* Of a stream on fds[1] that is read from fds[0]. */
static void close_beside_flusher(const int fds[2], bool moves)
{
    struct held h = {.moves = moves};
    weft_stream *s = opened(fds[1], NULL);
    CHECK_EQUAL(weft_stream_layer_push(s, &held_ops, &h, &h.below), 0);
    CHECK_EQUAL(weft_stream_write(s, "one", 3), 3);
    yield_until(&h.begun, 1);
    cancel_myself();
    CHECK_EQUAL(weft_stream_write(s, "two", 3), 3);
    CHECK_EQUAL(weft_stream_close(s), 0);
    uncancel_myself();
    check_text(fds[0], "onetwo");
}

static void *close_each(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        int fds[2];
        if (i < 2) {
            make_pipe(fds);
        } else {
            make_pair(fds);
        }
        close_beside_flusher(fds, i % 2 == 1);
    }
    return NULL;
}

static void a_flusher_is_made_to_leave_its_bytes(void **state)
{
    (void)state;
    run_io(close_each, NULL);
}

/* Whether this kernel writes to a pipe without waiting. */
static bool pipes_can_be_tried(void)
{
    int fds[2];
    struct iovec one = {"a", 1};
    make_pipe(fds);
    ssize_t n = pwritev2(fds[1], &one, 1, -1, RWF_NOWAIT);
    CHECK_EQUAL(close(fds[0]), 0);
    CHECK_EQUAL(close(fds[1]), 0);
    return n == 1;
}

static void *write_much(void *arg)
{
    static const char much[32 * 1024];
    return BOXED(weft_stream_write(arg, much, sizeof much));
}

/* What another task tries to send is neither given up nor cut off. */
static void *close_beside_try(void *arg)
{
    int fds[2];
    char buf[4096];
    struct held h = {.moves = false};
    ssize_t n;
    size_t got = 0;
    (void)arg;
    make_pipe(fds);
    weft_stream *s = opened(fds[1], NULL);
    CHECK_EQUAL(weft_stream_layer_push(s, &held_ops, &h, &h.below), 0);
    atomic_store_seq_cst(&h.closing, 1);
    weft_task *writer = spawn(write_much, s);
    yield_until(&h.begun, 1);
    cancel_myself();
    atomic_store_seq_cst(&h.closing, 2);
    CHECK_EQUAL(weft_stream_close(s), 0);
    uncancel_myself();
    CHECK_EQUAL(joined(writer), 32 * 1024);
    while ((n = weft_read(fds[0], buf, sizeof buf)) > 0) {
        got += (size_t)n;
    }
    CHECK_EQUAL(got, 32 * 1024);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    return NULL;
}

static void a_try_is_waited_for(void **state)
{
    (void)state;
    if (!pipes_can_be_tried()) {
        skip();
    }
    run_io(close_beside_try, NULL);
}

/* What has room needs no operation: when put returns, it is in the pipe. */
static void *put_on_pipe(void *arg)
{
    int fds[2];
    (void)arg;
    make_pipe(fds);
    weft_stream *s = opened(fds[1], NULL);
    CHECK_EQUAL(weft_stream_put(s, "one", 3), 0);
    CHECK_EQUAL(weft_stream_pending(s), 0);
    CHECK_EQUAL(weft_stream_close(s), 0);
    check_text(fds[0], "one");
    return NULL;
}

static void a_pipe_is_tried(void **state)
{
    (void)state;
    if (!pipes_can_be_tried()) {
        skip();
    }
    run_io(put_on_pipe, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flusher_is_made_to_leave_its_bytes),
        cmocka_unit_test(a_try_is_waited_for),
        cmocka_unit_test(a_pipe_is_tried),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
