/* SPDX-License-Identifier: MIT */
/*
 * Streams, reading: each call with what it wants there at once, in pieces at every split point, cut
 * off by the end, too long; and what a cancel or a deadline leaves behind.
 */
#include "stream_help.h"

#include "stream.h"

/* Run a case on a stream of a pair of Unix sockets, then on one of TCP. */
struct stream_case {
    void (*fn)(struct ends *e);
    struct weft_stream_options options;
    bool is_tcp;
};

static void *stream_case_task(void *arg)
{
    const struct stream_case *c = arg;
    struct ends e = c->is_tcp ? open_tcp_ends(&c->options) : open_ends(&c->options);
    c->fn(&e);
    close_ends(&e);
    return NULL;
}

static void run_stream(void (*fn)(struct ends *), size_t limit)
{
    struct stream_case c = {.fn = fn, .options = {.limit = limit}};
    run_io(stream_case_task, &c);
    c.is_tcp = true;
    run_io(stream_case_task, &c);
}

static void read_some(struct ends *e)
{
    char buf[4096];
    struct stream_reading r = {.s = e->s, .call = READ_SOME, .n = 64};
    CHECK_EQUAL(weft_stream_read(e->s, buf, 0), 0);
    weft_task *t = spawn(stream_read_task, &r);
    yield_until_waits(e->s);
    CHECK(!weft_done(t));
    feed_text(e, "line1\nline2\n");
    CHECK_EQUAL(joined(t), 12);
    CHECK_EQUAL(memcmp(r.buf, "line1\nline2\n", 12), 0);
    feed_text(e, "abcdef");
    CHECK_EQUAL(weft_stream_read(e->s, buf, 2), 2);
    CHECK_EQUAL(weft_stream_read(e->s, buf + 2, sizeof buf - 2), 4);
    CHECK_EQUAL(memcmp(buf, "abcdef", 6), 0);
    static char big[3000];
    pattern_fill(big, 0, sizeof big);
    feed(e, big, sizeof big); /* beyond the limit, which does not matter */
    size_t got = 0;
    while (got < sizeof big) {
        ssize_t n = weft_stream_read(e->s, buf, sizeof buf);
        CHECK(n > 0 && pattern_fits(buf, got, (size_t)n));
        got += (size_t)n;
    }
    feed_end(e);
    CHECK_EQUAL(weft_stream_read(e->s, buf, sizeof buf), 0);
    CHECK_EQUAL(weft_stream_read(e->s, buf, 1), 0);
    CHECK(weft_stream_at_eof(e->s));
}

static void item_215_reads_what_is_there(void **state)
{
    (void)state;
    run_stream(read_some, 5);
}

static void *feed_pattern(void *arg)
{
    const struct ends *e = arg;
    static char block[10000];
    for (size_t at = 0; at < 400000; at += sizeof block) {
        pattern_fill(block, at, sizeof block);
        CHECK_EQUAL(weft_write_full(e->peer, block, sizeof block, NULL), 0);
    }
    feed_end(e);
    return NULL;
}

static void read_all(struct ends *e)
{
    struct weft_view view;
    weft_task *t = spawn(feed_pattern, e);
    CHECK_EQUAL(weft_stream_read_to_end(e->s, &view), 400000);
    CHECK_EQUAL(view.bytes, 400000);
    CHECK(pattern_fits(view.data, 0, view.bytes));
    CHECK_EQUAL(joined(t), 0);
    CHECK_EQUAL(weft_stream_read_to_end(e->s, &view), 0);
    CHECK(weft_stream_at_eof(e->s));
}

static void item_216_reads_to_the_end(void **state)
{
    (void)state;
    run_stream(read_all, 5);
}

static void read_exact(struct ends *e)
{
    char buf[16];
    struct weft_view view;
    CHECK_EQUAL(weft_stream_read_exactly(e->s, buf, 0), 0);
    CHECK_EQUAL(weft_stream_read_exactly(e->s, buf, (size_t)-1), -EINVAL);
    struct stream_reading r = {.s = e->s, .call = READ_EXACTLY, .n = 10};
    weft_task *t = spawn(stream_read_task, &r);
    for (int i = 0; i < 10; i++) {
        yield_until_waits(e->s);
        CHECK(!weft_done(t));
        feed(e, &"0123456789"[i], 1);
    }
    CHECK_EQUAL(joined(t), 10); /* the limit is 4 */
    CHECK_EQUAL(memcmp(r.buf, "0123456789", 10), 0);
    feed_text(e, "abc");
    feed_end(e);
    CHECK_EQUAL(weft_stream_read_exactly(e->s, buf, 4), -ENODATA);
    CHECK(!weft_stream_at_eof(e->s));
    CHECK_EQUAL(weft_stream_peek(e->s, 0, &view), 3);
    CHECK_EQUAL(weft_stream_read_exactly(e->s, buf, 4), -ENODATA);
    CHECK_EQUAL(weft_stream_read_exactly(e->s, buf, 3), 3); /* the part was kept */
    CHECK_EQUAL(memcmp(buf, "abc", 3), 0);
    CHECK(weft_stream_at_eof(e->s));
    CHECK_EQUAL(weft_stream_read_exactly(e->s, buf, 1), -ENODATA);
    CHECK_EQUAL(weft_stream_read_exactly(e->s, buf, 0), 0);
}

static void item_217_218_reads_exactly(void **state)
{
    (void)state;
    run_stream(read_exact, 4);
}

static void read_lines(struct ends *e)
{
    struct weft_view view;
    struct stream_reading r = {.s = e->s, .call = READ_LINE};
    feed_text(e, "one\n\ntw");
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), 4);
    CHECK(is_text(view, "one\n"));
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), 1);
    CHECK(is_text(view, "\n"));
    weft_task *t = spawn(stream_read_task, &r);
    yield_until_waits(e->s);
    feed_text(e, "o\nlast");
    CHECK_EQUAL(joined(t), 4);
    CHECK(is_text(r.view, "two\n"));
    feed_end(e);
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), 4);
    CHECK(is_text(view, "last"));
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), 0);
    CHECK(is_text(view, ""));
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), 0);
}

static void item_219_reads_lines(void **state)
{
    (void)state;
    run_stream(read_lines, 0);
}

static void read_long_lines(struct ends *e)
{
    struct weft_view view;
    feed_text(e, "abc\nabcd\nnext\n"); /* the limit is 3, and the line's end is not part of it */
    CHECK_EQUAL(weft_stream_peek(e->s, 1, &view), 14);
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), 4);
    CHECK(is_text(view, "abc\n"));
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), -EMSGSIZE); /* its end is there: it is gone */
    CHECK_EQUAL(view.bytes, 0);
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), -EMSGSIZE);
    feed_text(e, "no end so far");
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), -EMSGSIZE); /* all of it is gone */
    CHECK_EQUAL(weft_stream_peek(e->s, 0, &view), 0);
    feed_text(e, "ok\n");
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), 3);
    CHECK(is_text(view, "ok\n"));
}

static void item_220_drops_lines_that_are_too_long(void **state)
{
    (void)state;
    run_stream(read_long_lines, 3);
}

/* A message that comes in two pieces, split at each place. */
static void read_split(struct ends *e)
{
    static const char text[] = "GET / HTTP/1.1\r\nhost: x\r\n\r\nbody";
    size_t n = sizeof text - 1;
    for (size_t split = 0; split <= n; split++) {
        struct stream_reading r = {.s = e->s, .call = READ_UNTIL, .separator = "\r\n\r\n"};
        weft_task *t = spawn(stream_read_task, &r);
        yield_until_waits(e->s);
        if (split > 0) {
            feed(e, text, split);
        }
        if (split < n - 4) {
            yield_until_waits(e->s);
            CHECK(!weft_done(t));
        }
        if (split < n) {
            feed(e, text + split, n - split);
        }
        CHECK_EQUAL(joined(t), n - 4);
        CHECK_EQUAL(memcmp(r.view.data, text, n - 4), 0);
        check_next(e->s, "body");
    }
}

static void item_221_finds_what_is_split(void **state)
{
    (void)state;
    run_stream(read_split, 0);
}

static ssize_t read_any(weft_stream *s, const char *const texts[], int count,
                        struct weft_view *view)
{
    struct iovec v[4];
    for (int i = 0; i < count; i++) {
        v[i] = (struct iovec){(void *)(uintptr_t)texts[i], strlen(texts[i])};
    }
    return weft_stream_read_until_any(s, v, count, view);
}

static void read_several(struct ends *e)
{
    struct weft_view view;
    const char *const two[] = {"STOPPED", "OP"};
    const char *const with_long[] = {"a rather long separator", "!"};
    feed_text(e, "xxSTOPPEDyyy!");
    CHECK_EQUAL(read_any(e->s, two, 2, &view), 6); /* "OP" ends first, though it begins later */
    CHECK(is_text(view, "xxSTOP"));
    CHECK_EQUAL(read_any(e->s, with_long, 2, &view), 7);
    CHECK(is_text(view, "PEDyyy!"));
    const char *const longer[] = {"AB", "ABCD"};
    feed_text(e, "ABCD");
    CHECK_EQUAL(read_any(e->s, longer, 2, &view), 2);
    CHECK(is_text(view, "AB"));
    const char *const empty[] = {"x", ""};
    CHECK_EQUAL(read_any(e->s, empty, 2, &view), -EINVAL);
    CHECK_EQUAL(read_any(e->s, empty, 0, &view), -EINVAL);
    check_next(e->s, "CD");
    /* A long one splits at every place, beside a short one that does not come. */
    for (size_t split = 1; split < 23; split++) {
        feed(e, "a rather long separator", split);
        CHECK_EQUAL(weft_stream_peek(e->s, split, &view), split);
        feed(e, &"a rather long separator"[split], 23 - split);
        CHECK_EQUAL(read_any(e->s, with_long, 2, &view), 23);
    }
}

static void item_222_finds_the_first_of_several(void **state)
{
    (void)state;
    run_stream(read_several, 0);
}

static void read_until_limit(struct ends *e)
{
    struct weft_view view;
    char buf[16];
    feed_text(e, "abc##");
    CHECK_EQUAL(weft_stream_read_until(e->s, "##", 2, &view), 5);
    CHECK(is_text(view, "abc##"));
    feed_text(e, "abcd##");
    CHECK_EQUAL(weft_stream_peek(e->s, 3, &view), 6);
    CHECK_EQUAL(weft_stream_read_until(e->s, "##", 2, &view), -EMSGSIZE);
    CHECK(is_text(view, "abcd##")); /* found, but too long: all of it is still there */
    check_next(e->s, "abcd##");
    feed_text(e, "abcdefg");
    CHECK_EQUAL(weft_stream_read_until(e->s, "##", 2, &view), -EMSGSIZE);
    CHECK_EQUAL(view.bytes, 0); /* not found */
    check_next(e->s, "abcdefg");
    CHECK_EQUAL(weft_stream_read_until(e->s, "", 0, &view), -EINVAL);
    CHECK_EQUAL(weft_stream_peek(e->s, 4, &view), -EMSGSIZE);
    feed_text(e, "abc");
    feed_end(e);
    CHECK_EQUAL(weft_stream_read_until(e->s, "##", 2, &view), -ENODATA);
    CHECK_EQUAL(view.bytes, 0);
    CHECK_EQUAL(weft_stream_read_until(e->s, "##", 2, &view), -ENODATA);
    CHECK_EQUAL(weft_stream_read(e->s, buf, sizeof buf), 3); /* the part was kept */
    CHECK_EQUAL(weft_stream_read_until(e->s, "##", 2, &view), -ENODATA);
}

static void item_223_224_keeps_what_has_no_separator(void **state)
{
    (void)state;
    run_stream(read_until_limit, 3);
}

static void peek_some(struct ends *e)
{
    struct weft_view view;
    struct stream_reading r = {.s = e->s, .call = READ_PEEK, .n = 5};
    CHECK_EQUAL(weft_stream_peek(e->s, 0, &view), 0);
    feed_text(e, "abc");
    weft_task *t = spawn(stream_read_task, &r);
    yield_until_waits(e->s);
    CHECK(!weft_done(t));
    feed_text(e, "def");
    CHECK_EQUAL(joined(t), 6);
    CHECK(is_text(r.view, "abcdef"));
    CHECK_EQUAL(weft_stream_peek(e->s, 2, &view), 6);
    check_next(e->s, "abcd");
    feed_end(e);
    CHECK_EQUAL(weft_stream_peek(e->s, 5, &view), 2); /* no more comes */
    CHECK(is_text(view, "ef"));
    check_next(e->s, "ef");
    CHECK_EQUAL(weft_stream_peek(e->s, 5, &view), 0);
}

static void peeks(void **state)
{
    (void)state;
    run_stream(peek_some, 0);
}

/* Each call that wants more than there is, cut short: what came is still there. */
static void cut_short(struct ends *e, bool by_cancel)
{
    static const char text[] = "some bytes without an end";
    size_t n = sizeof text - 1;
    for (size_t had = 0; had < n; had++) {
        for (int call = READ_EXACTLY; call <= READ_PEEK; call++) {
            struct stream_reading r = {.s = e->s, .n = n + 1, .separator = "#"};
            r.call = (__typeof__(r.call))call;
            feed(e, text, had);
            if (by_cancel) {
                weft_task *t = spawn(stream_read_task, &r);
                yield_until_waits(e->s);
                if (call % 2 == 0) {
                    feed(e, text + had, n - had); /* beside the cancel */
                }
                CHECK_EQUAL(weft_cancel_and_join(t, NULL), 0);
            } else {
                WEFT_TIMEOUT(call % 2 == 0 ? 50 * WEFT_US : 0) {
                    CHECK_EQUAL(stream_read(&r), -ETIMEDOUT);
                }
            }
            if (!by_cancel || call % 2 != 0) {
                feed(e, text + had, n - had);
            }
            check_next(e->s, text);
        }
    }
}

static void cut_by_cancel(struct ends *e)
{
    cut_short(e, true);
}

static void cut_by_time(struct ends *e)
{
    cut_short(e, false);
}

static void a_cancel_loses_no_byte(void **state)
{
    (void)state;
    run_stream(cut_by_cancel, 0);
}

static void a_deadline_loses_no_byte(void **state)
{
    (void)state;
    run_stream(cut_by_time, 0);
}

/* Reads that are cancelled at any moment, beside somebody who writes: all comes, in order. */
static void *read_pattern(void *arg)
{
    weft_stream *s = arg;
    char buf[700];
    ssize_t n;
    int err = 0;
    intptr_t got = 0;
    do {
        n = weft_stream_read_exactly(s, buf, sizeof buf);
        CHECK(n == (ssize_t)sizeof buf || n == -ECANCELED || n == -ENODATA);
        got += n > 0 ? n : 0;
        err = n < 0 ? (int)n : 0;
    } while (err == 0);
    return (void *)got;
}

static void read_beside_cancels(struct ends *e)
{
    weft_task *feeder = spawn(feed_pattern, e);
    uint64_t random = test_seed();
    size_t got = 0;
    while (!weft_stream_at_eof(e->s)) {
        void *value = NULL;
        struct weft_view view;
        weft_task *t = spawn(read_pattern, e->s);
        for (uint64_t i = test_random(&random) % 40; i > 0; i--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        CHECK_EQUAL(weft_cancel_and_join(t, &value), 0);
        got += (size_t)(intptr_t)value;
        ssize_t n = weft_stream_peek(e->s, 1, &view);
        CHECK(n >= 0 && pattern_fits(view.data, got, view.bytes));
        char buf[700];
        n = weft_stream_read(e->s, buf, 1 + test_random(&random) % sizeof buf);
        CHECK(n >= 0 && pattern_fits(buf, got, (size_t)n));
        got += (size_t)n;
    }
    CHECK_EQUAL(got, 400000);
    CHECK_EQUAL(joined(feeder), 0);
}

static void reads_are_cancelled_at_any_moment(void **state)
{
    (void)state;
    run_stream(read_beside_cancels, 0);
}

static void read_when_cancelled(struct ends *e)
{
    struct weft_view view;
    char buf[2000];
    feed_text(e, "a\nb");
    CHECK_EQUAL(weft_stream_peek(e->s, 3, &view), 3);
    cancel_myself();
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), 2); /* it is there */
    CHECK_EQUAL(weft_stream_read_line(e->s, &view), -ECANCELED);
    CHECK_EQUAL(weft_stream_read(e->s, buf, 1), 1);
    feed_text(e, "c");
    CHECK_EQUAL(weft_stream_read(e->s, buf, 1), -ECANCELED); /* that is not yet */
    CHECK_EQUAL(weft_stream_read(e->s, buf, sizeof buf), -ECANCELED);
    uncancel_myself();
    CHECK_EQUAL(weft_stream_read(e->s, buf, 1), 1);
    CHECK_EQUAL(buf[0], 'c');
}

static void gives_a_cancelled_task_what_it_has(void **state)
{
    (void)state;
    run_stream(read_when_cancelled, 0);
}

/* The peer resets the connection. */
static void *meet_reset(void *arg)
{
    (void)arg;
    struct ends e = open_tcp_ends(NULL);
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    struct weft_view view;
    char buf[8];
    feed_text(&e, "ab");
    CHECK_EQUAL(weft_stream_peek(e.s, 2, &view), 2);
    struct stream_reading r = {.s = e.s, .call = READ_EXACTLY, .n = 3};
    weft_task *t = spawn(stream_read_task, &r);
    yield_until_waits(e.s);
    CHECK_EQUAL(setsockopt(e.peer, SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
    CHECK_EQUAL(weft_close(e.peer), 0);
    CHECK_EQUAL(joined(t), -ECONNRESET);
    CHECK_EQUAL(weft_stream_read(e.s, buf, 2), 2); /* what had come before */
    CHECK_EQUAL(weft_stream_read(e.s, buf, 1), -ECONNRESET);
    CHECK_EQUAL(weft_stream_read_line(e.s, &view), -ECONNRESET);
    CHECK(!weft_stream_at_eof(e.s));
    CHECK_EQUAL(weft_stream_close(e.s), 0);
    return NULL;
}

static void item_225_an_error_stays(void **state)
{
    (void)state;
    run_io(meet_reset, NULL);
}

static void abort_reader(struct ends *e)
{
    struct stream_reading r = {.s = e->s, .call = READ_LINE};
    char buf[8];
    weft_task *t = spawn(stream_read_task, &r);
    yield_until_waits(e->s);
    weft_stream_abort(e->s);
    CHECK_EQUAL(joined(t), -ECONNABORTED);
    CHECK_EQUAL(weft_stream_read(e->s, buf, 1), -ECONNABORTED);
    CHECK_EQUAL(weft_stream_write(e->s, "x", 1), -ECONNABORTED);
    CHECK_EQUAL(weft_stream_drain(e->s), -ECONNABORTED);
    weft_stream_abort(e->s); /* again: nothing */
    CHECK_EQUAL(weft_stream_close(e->s), -ECONNABORTED);
    CHECK_EQUAL(weft_close(e->peer), 0);
}

static void *abort_case(void *arg)
{
    struct ends e = arg != NULL ? open_tcp_ends(NULL) : open_ends(NULL);
    abort_reader(&e);
    e = arg != NULL ? open_tcp_ends(NULL) : open_ends(NULL);
    struct stream_reading r = {.s = e.s, .call = READ_LINE};
    weft_task *t = spawn(stream_read_task, &r);
    yield_until_waits(e.s);
    CHECK_EQUAL(weft_cancel_and_join(t, NULL), 0);
    abort_reader(&e);
    return NULL;
}

static void item_225_an_abort_wakes_the_reader(void **state)
{
    (void)state;
    run_io(abort_case, NULL);
    run_io(abort_case, BOXED(1));
}

/* What the peer sends is not read before somebody asks for it. */
static void *leave_unread(void *arg)
{
    static char block[65536];
    struct ends e = open_ends(NULL);
    ssize_t n;
    char c;
    (void)arg;
    while ((n = send(e.peer, block, sizeof block, MSG_DONTWAIT)) > 0) {
        CHECK(n <= (ssize_t)sizeof block);
    }
    CHECK_EQUAL(weft_stream_read(e.s, &c, 1), 1);
    size_t more = 0;
    while ((n = send(e.peer, block, sizeof block, MSG_DONTWAIT)) > 0) {
        more += (size_t)n;
    }
    CHECK(more <= 2 * sizeof block); /* what one read has made room for */
    CHECK_EQUAL(weft_stream_close(e.s), 0);
    CHECK_EQUAL(weft_close(e.peer), 0);
    return NULL;
}

static void item_227_reads_no_further_than_asked(void **state)
{
    (void)state;
    run_io(leave_unread, NULL);
}

static void wait_idle(struct ends *e)
{
    static const char text[] = "a line\nanother\n";
    struct stream_reading r = {.s = e->s, .call = READ_LINE};
    for (int i = 0; i < 3; i++) {
        feed_text(e, text);
        CHECK_EQUAL(weft_stream_write(e->s, text, sizeof text - 1), sizeof text - 1);
        CHECK_EQUAL(weft__stream_drain_to(e->s, 0), 0);
        CHECK_EQUAL(stream_read(&r), 7);
        CHECK_EQUAL(stream_read(&r), 8);
        weft_task *t = spawn(stream_read_task, &r);
        yield_until_waits(e->s);
        CHECK_EQUAL(weft_cancel_and_join(t, NULL), 0); /* it had none, and has got none since */
        CHECK(e->s->in.data == NULL);
        CHECK(e->s->fill.data == NULL && e->s->flight.data == NULL);
    }
}

static void an_idle_stream_holds_no_buffer(void **state)
{
    (void)state;
    run_stream(wait_idle, 0);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_215_reads_what_is_there),
        cmocka_unit_test(item_216_reads_to_the_end),
        cmocka_unit_test(item_217_218_reads_exactly),
        cmocka_unit_test(item_219_reads_lines),
        cmocka_unit_test(item_220_drops_lines_that_are_too_long),
        cmocka_unit_test(item_221_finds_what_is_split),
        cmocka_unit_test(item_222_finds_the_first_of_several),
        cmocka_unit_test(item_223_224_keeps_what_has_no_separator),
        cmocka_unit_test(peeks),
        cmocka_unit_test(a_cancel_loses_no_byte),
        cmocka_unit_test(a_deadline_loses_no_byte),
        cmocka_unit_test(reads_are_cancelled_at_any_moment),
        cmocka_unit_test(gives_a_cancelled_task_what_it_has),
        cmocka_unit_test(item_225_an_error_stays),
        cmocka_unit_test(item_225_an_abort_wakes_the_reader),
        cmocka_unit_test(an_idle_stream_holds_no_buffer),
        cmocka_unit_test(item_227_reads_no_further_than_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
