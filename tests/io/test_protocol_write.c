/* SPDX-License-Identifier: MIT */
/*
 * The sending side of a transport: what is written arrives, whole and in order, however slowly the
 * peer reads; marks, closing, aborting. Each case is run over TCP and over Unix sockets.
 */
#include "protocol_help.h"

typedef void (*both_fn)(bool is_tcp);

static void *run_both(void *arg)
{
    both_fn fn = *(both_fn *)arg;
    fn(false);
    fn(true);
    return NULL;
}

#define BOTH(name, fn) \
    static void name(void **state) \
    { \
        both_fn body = fn; \
        (void)state; \
        run_io(run_both, &body); \
    }

#define BIG ((size_t)1 << 20)

static void write_pattern(weft_transport *t, size_t from, size_t n)
{
    char *buf = malloc(n);
    CHECK(buf != NULL);
    memset(buf, 0, n);
    pattern_fill(buf, from, n);
    CHECK_EQUAL(weft_transport_write(t, buf, n), 0);
    CHECK(pattern_fits(buf, from, n)); /* it is unchanged */
    memset(buf, 'x', n);               /* and not needed any more */
    free(buf);
}

/* Write until something had to be kept, and the kernel takes no more of it at present (with TCP it
 * may later). Returns how much was written. */
static size_t fill(weft_transport *t)
{
    size_t n = 0;
    size_t kept = 0;
    while (kept == 0 || kept != weft_transport_buffered(t)) {
        if (weft_transport_buffered(t) == 0) {
            write_pattern(t, n, 5000);
            n += 5000;
        }
        kept = weft_transport_buffered(t);
        if (kept > 0) {
            CHECK_EQUAL(weft_sleep(5 * WEFT_MS), 0);
        }
    }
    return n;
}

/* Keep more than the mark, whatever the kernel takes meanwhile, until it has paused so often. The
 * bytes are the pattern's from n on. Returns where they end. */
static size_t exceed(struct talk *k, size_t n, size_t mark, int times)
{
    while (atomic_load_seq_cst(&k->paused) < times) {
        size_t kept = weft_transport_buffered(k->t);
        if (kept <= mark) {
            write_pattern(k->t, n, mark + 1 - kept);
            n += mark + 1 - kept;
        }
        CHECK_EQUAL(weft_yield(), 0);
    }
    return n;
}

/* ---- 239 ---- */

static void order(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin_narrow(&k, is_tcp);
    CHECK_EQUAL(weft_transport_write(k.t, NULL, 0), 0);
    write_pattern(k.t, 0, 10); /* goes at once */
    CHECK_EQUAL(weft_transport_buffered(k.t), 0);
    receive_pattern(fd, 0, 10);
    size_t n = 10;
    for (size_t i = 1; i < 400; i++) {
        write_pattern(k.t, n, i * 7);
        CHECK_EQUAL(weft_transport_write(k.t, "", 0), 0);
        n += i * 7;
    }
    CHECK(weft_transport_buffered(k.t) > 0);
    receive_pattern(fd, 10, n - 10);
    while (weft_transport_buffered(k.t) > 0) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(weft_close(fd), 0);
    yield_until(&k.lost, 1);
}

BOTH(item_239_what_is_refused_is_kept_in_order, order)

/* ---- 240 ---- */

static void vectors(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin_narrow(&k, is_tcp);
    struct iovec iov[100];
    char *buf = malloc(BIG);
    size_t n = 0;
    pattern_fill(buf, 0, BIG);
    for (size_t i = 0; i < 100; i++) {
        size_t part = i % 10 == 9 ? 0 : i * 201 + 1;
        iov[i] = (struct iovec){.iov_base = buf + n, .iov_len = part};
        n += part;
    }
    CHECK_EQUAL(weft_transport_writev(k.t, iov, 100), 0);
    CHECK_EQUAL(weft_transport_writev(k.t, iov, 0), 0);
    CHECK_EQUAL(weft_transport_writev(k.t, iov, -1), -EINVAL);
    CHECK_EQUAL(weft_transport_writev(k.t, iov, 1025), -EINVAL);
    CHECK(weft_transport_buffered(k.t) > 0);
    CHECK_EQUAL(weft_transport_write(k.t, buf, SIZE_MAX), -EINVAL);
    CHECK_EQUAL(weft_transport_write(k.t, buf, SIZE_MAX - 16), -EINVAL);
    iov[0] = (struct iovec){.iov_base = buf, .iov_len = SIZE_MAX - 10};
    iov[1] = (struct iovec){.iov_base = buf, .iov_len = 20};
    CHECK_EQUAL(weft_transport_writev(k.t, iov, 2), -EINVAL); /* 9 bytes they are not */
    iov[0] = (struct iovec){.iov_base = buf + n, .iov_len = 3};
    iov[1] = (struct iovec){.iov_base = buf + n + 3, .iov_len = BIG - n - 3};
    CHECK_EQUAL(weft_transport_writev(k.t, iov, 2), 0); /* behind what waits */
    free(buf);
    receive_pattern(fd, 0, BIG);
    CHECK_EQUAL(weft_close(fd), 0);
    yield_until(&k.lost, 1);
}

BOTH(item_240_vectors_go_on_where_they_stopped, vectors)

/* ---- 241, 242: closing ---- */

static void close_flushes(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin_narrow(&k, is_tcp);
    write_pattern(k.t, 0, BIG);
    weft_transport_close(k.t);
    weft_transport_close(k.t);
    CHECK(weft_transport_is_closing(k.t));
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&k.lost), 0);
    /* What is added while it drains is sent, too. */
    write_pattern(k.t, BIG, 100);
    receive_pattern(fd, 0, BIG + 100);
    check_end(fd);
    yield_until(&k.lost, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&k.error), 0);
    CHECK_EQUAL(weft_close(fd), 0);
}

BOTH(item_241_and_242_close_sends_the_rest, close_flushes)

static void close_receives_nothing(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin_narrow(&k, is_tcp);
    size_t n = fill(k.t);
    weft_transport_close(k.t);
    send_pattern(fd, 0, 100);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&k.bytes), 0);
    if (!is_tcp) { /* what was not read makes a reset of TCP's close */
        receive_pattern(fd, 0, n);
    }
    CHECK_EQUAL(weft_close(fd), 0);
    yield_until(&k.lost, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&k.bytes), 0);
}

BOTH(closing_receives_nothing, close_receives_nothing)

static void aborting(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin_narrow(&k, is_tcp);
    size_t n = fill(k.t);
    weft_transport_abort(k.t); /* the peer reads nothing, and it ends all the same */
    yield_until(&k.lost, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&k.error), 0);
    char buf[1000];
    ssize_t got = 0;
    size_t seen = 0;
    while ((got = weft_recv(fd, buf, sizeof buf, 0)) > 0) {
        seen += (size_t)got;
    }
    CHECK(seen < n);
    CHECK_EQUAL(weft_close(fd), 0);
}

BOTH(item_241_abort_drops_the_rest, aborting)

static void abort_while_closing(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin_narrow(&k, is_tcp);
    (void)weft_transport_get(k.t);
    (void)fill(k.t);
    weft_transport_close(k.t);
    weft_transport_abort(k.t);
    weft_transport_abort(k.t);
    weft_transport_close(k.t);
    yield_until(&k.lost, 1);
    CHECK_EQUAL(weft_transport_buffered(k.t), 0);
    weft_transport_abort(k.t);
    weft_transport_put(k.t);
    CHECK_EQUAL(weft_close(fd), 0);
}

BOTH(item_241_again_they_do_nothing, abort_while_closing)

/* ---- 243: half-close ---- */

static void shut_at_once(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin(&k, is_tcp);
    write_pattern(k.t, 0, 10);
    weft_transport_shutdown_write(k.t);
    weft_transport_shutdown_write(k.t);
    CHECK_EQUAL(weft_transport_write(k.t, "x", 1), -EPIPE);
    receive_pattern(fd, 0, 10);
    check_end(fd);
    send_pattern(fd, 0, 100); /* reading goes on */
    while (atomic_load_seq_cst(&k.bytes) < 100) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(weft_close(fd), 0);
    yield_until(&k.lost, 1);
}

BOTH(item_243_half_close_at_once, shut_at_once)

static void shut_later(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin_narrow(&k, is_tcp);
    size_t n = fill(k.t);
    weft_transport_shutdown_write(k.t);
    CHECK_EQUAL(weft_transport_write(k.t, "x", 1), -EPIPE);
    receive_pattern(fd, 0, n);
    check_end(fd);
    CHECK_EQUAL(atomic_load_seq_cst(&k.lost), 0);
    (void)weft_transport_get(k.t);
    weft_transport_close(k.t);
    weft_transport_shutdown_write(k.t);
    yield_until(&k.lost, 1);
    weft_transport_shutdown_write(k.t);
    weft_transport_put(k.t);
    CHECK_EQUAL(weft_close(fd), 0);
}

BOTH(item_243_half_close_when_all_is_sent, shut_later)

/* ---- 244: the peer has gone ---- */

static void write_to_nobody(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin(&k, is_tcp);
    weft_transport_pause_reading(k.t); /* or it would notice by reading */
    CHECK_EQUAL(weft_close(fd), 0);
    (void)weft_transport_get(k.t);
    int err = 0;
    while (err == 0) {
        err = weft_transport_write(k.t, "x", 1);
        CHECK(weft_yield() == 0);
    }
    CHECK(err == -EPIPE || err == -ECONNRESET);
    yield_until(&k.lost, 1);
    CHECK(atomic_load_seq_cst(&k.error) == -EPIPE || atomic_load_seq_cst(&k.error) == -ECONNRESET);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(weft_transport_write(k.t, "x", 1), -EPIPE);
    }
    weft_transport_put(k.t);
}

BOTH(item_244_writes_to_nobody_fail, write_to_nobody)

/* ---- 246, 247: marks ---- */

static void marks(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin_narrow(&k, is_tcp);
    size_t n = fill(k.t);
    CHECK_EQUAL(weft_transport_set_marks(k.t, 2 * BIG, 0), 0);
    write_pattern(k.t, n, BIG); /* more than the kernel will take later */
    n += BIG;
    size_t kept = weft_transport_buffered(k.t);
    CHECK_EQUAL(weft_transport_set_marks(k.t, kept + 1000, kept / 2), 0);
    write_pattern(k.t, n, 1000); /* at the mark, not above it */
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&k.paused), 0);
    n = exceed(&k, n + 1000, kept + 1000, 1);
    write_pattern(k.t, n, 999); /* only once */
    struct iovec more = {.iov_base = (char[1]){pattern_at(n + 999)}, .iov_len = 1};
    CHECK_EQUAL(weft_transport_writev(k.t, &more, 1), 0);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&k.paused), 1);
    CHECK_EQUAL(atomic_load_seq_cst(&k.resumed), 0);
    CHECK_EQUAL(weft_transport_set_marks(k.t, 0, 0), 0); /* resumes when all is sent */
    receive_pattern(fd, 0, n + 1000);
    yield_until(&k.resumed, 1);
    CHECK_EQUAL(weft_transport_buffered(k.t), 0);
    CHECK(talk_says(&k, "MPR"));
    CHECK_EQUAL(weft_close(fd), 0);
    yield_until(&k.lost, 1);
}

BOTH(item_246_pause_and_resume_writing, marks)

static void mark_defaults(bool is_tcp)
{
    enum { HIGH = 64 * 1024 }; /* by default */

    struct talk k = {0};
    int fd = talk_begin_narrow(&k, is_tcp);
    size_t n = fill(k.t);
    size_t rest = HIGH - weft_transport_buffered(k.t);
    write_pattern(k.t, n, rest);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&k.paused), 0);
    n = exceed(&k, n + rest, HIGH, 1);
    CHECK_EQUAL(weft_transport_set_marks(k.t, 10, 11), -EINVAL);
    CHECK_EQUAL(weft_transport_set_marks(k.t, 100, 101), -EINVAL);
    /* Low enough to resume: a quarter of what is there, derived. */
    CHECK_EQUAL(weft_transport_set_marks(k.t, 4 * (HIGH + 1), WEFT_MARK_DERIVED), 0);
    yield_until(&k.resumed, 1);
    /* What is there is above a lowered mark: pauses, without another write. */
    CHECK_EQUAL(weft_transport_set_marks(k.t, WEFT_MARK_DERIVED, WEFT_MARK_DERIVED), 0);
    (void)exceed(&k, n, HIGH, 2);
    CHECK_EQUAL(weft_transport_set_marks(k.t, WEFT_MARK_DERIVED, HIGH + 1), 0);
    yield_until(&k.resumed, 2);
    weft_transport_abort(k.t);
    yield_until(&k.lost, 1);
    CHECK(talk_says(&k, "MPRPRL"));
    CHECK_EQUAL(weft_close(fd), 0);
}

BOTH(item_247_defaults_and_derived_marks, mark_defaults)

/* ---- both ways at once ---- */

struct sender {
    int fd;
    size_t n;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    send_pattern(s->fd, 0, s->n);
    CHECK_EQUAL(weft_shutdown(s->fd, SHUT_WR), 0);
    return NULL;
}

/* An echo with flow control both ways: what it keeps stays bounded, and all comes back. */
static void echo_bounded(bool is_tcp)
{
    struct talk k = {.echoes = true, .holds = true};
    int fd = talk_begin_narrow(&k, is_tcp);
    struct sender s = {fd, 8 * BIG};
    weft_task *task = spawn(send_all, &s);
    while (atomic_load_seq_cst(&k.paused) == 0) { /* nobody reads what comes back yet */
        CHECK_EQUAL(weft_yield(), 0);
    }
    settle();
    CHECK(weft_transport_buffered(k.t) <= (64 + 64) * 1024);
    receive_pattern(fd, 0, s.n);
    check_end(fd);
    CHECK_EQUAL(weft_join(task, NULL), 0);
    yield_until(&k.lost, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&k.bytes), s.n);
    CHECK_EQUAL(weft_close(fd), 0);
}

BOTH(an_echo_with_flow_control, echo_bounded)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_239_what_is_refused_is_kept_in_order),
        cmocka_unit_test(item_240_vectors_go_on_where_they_stopped),
        cmocka_unit_test(item_241_and_242_close_sends_the_rest),
        cmocka_unit_test(closing_receives_nothing),
        cmocka_unit_test(item_241_abort_drops_the_rest),
        cmocka_unit_test(item_241_again_they_do_nothing),
        cmocka_unit_test(item_243_half_close_at_once),
        cmocka_unit_test(item_243_half_close_when_all_is_sent),
        cmocka_unit_test(item_244_writes_to_nobody_fail),
        cmocka_unit_test(item_246_pause_and_resume_writing),
        cmocka_unit_test(item_247_defaults_and_derived_marks),
        cmocka_unit_test(an_echo_with_flow_control),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
