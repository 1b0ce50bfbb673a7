/* SPDX-License-Identifier: MIT */
/*
 * What a protocol is told, in which order, and how a connection ends. Each case is run over TCP and
 * over Unix sockets.
 */
#include "protocol_help.h"

/* A case, for both kinds of sockets. */
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

/* ---- 235: the order of calls ---- */

static void in_order(bool is_tcp)
{
    struct talk k = {0};
    int fd = talk_begin(&k, is_tcp);
    for (size_t i = 0; i < 5; i++) {
        send_pattern(fd, i * 1000, 1000);
        while (atomic_load_seq_cst(&k.bytes) < (i + 1) * 1000) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    CHECK_EQUAL(weft_shutdown(fd, SHUT_WR), 0);
    yield_until(&k.lost, 1);
    CHECK(talk_says(&k, "MDEL"));
    CHECK_EQUAL(atomic_load_seq_cst(&k.error), 0);
    check_end(fd);
    CHECK_EQUAL(weft_close(fd), 0);
}

BOTH(item_235_calls_come_in_order, in_order)

/* Data and the end arrive while reading is paused, so one look meets both. */
static void begin_paused(struct talk *k)
{
    weft_transport_pause_reading(k->t);
}

static void data_with_end(bool is_tcp)
{
    struct talk k = {.when_made = begin_paused};
    int fd = talk_begin(&k, is_tcp);
    send_pattern(fd, 0, 100);
    CHECK_EQUAL(weft_close(fd), 0);
    weft_transport_resume_reading(k.t);
    yield_until(&k.lost, 1);
    CHECK(talk_says(&k, "MDEL"));
    CHECK_EQUAL(atomic_load_seq_cst(&k.bytes), 100);
}

BOTH(item_235_no_data_is_lost_before_the_end, data_with_end)

/* ---- 236: half open ---- */

static void say_goodbye(struct talk *k)
{
    CHECK_EQUAL(weft_transport_write(k->t, "bye", 3), 0);
}

static void stay_open(bool is_tcp)
{
    struct talk k = {.stays = true, .when_ended = say_goodbye};
    char buf[3];
    int fd = talk_begin(&k, is_tcp);
    CHECK_EQUAL(weft_shutdown(fd, SHUT_WR), 0);
    CHECK_EQUAL(weft_read_full(fd, buf, 3, NULL), 0);
    CHECK_EQUAL(memcmp(buf, "bye", 3), 0);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&k.lost), 0);
    CHECK_EQUAL(weft_transport_write(k.t, "end", 3), 0);
    weft_transport_close(k.t);
    yield_until(&k.lost, 1);
    CHECK_EQUAL(weft_read_full(fd, buf, 3, NULL), 0);
    check_end(fd);
    CHECK(talk_says(&k, "MEL"));
    CHECK_EQUAL(weft_close(fd), 0);
}

BOTH(item_236_stays_half_open_if_it_says_so, stay_open)

/* ---- 237: errors of callbacks ---- */

static shared_int reported;
static shared_int reported_error;

static void take_report(weft_runtime *rt, weft_future *f, int error, void *arg)
{
    (void)rt;
    (void)f;
    (void)arg;
    atomic_store_seq_cst(&reported_error, error);
    atomic_add_seq_cst(&reported, 1);
}

static void refuse_one(struct talk *k, bool is_tcp, bool sends)
{
    atomic_store_seq_cst(&reported, 0);
    int fd = talk_begin(k, is_tcp);
    if (sends) {
        send_pattern(fd, 0, 1);
    }
    (void)weft_shutdown(fd, SHUT_WR); /* it may be gone already */
    yield_until(&k->lost, 1);
    yield_until(&reported, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&k->error), -EBADMSG);
    CHECK_EQUAL(atomic_load_seq_cst(&reported), 1);
    CHECK_EQUAL(atomic_load_seq_cst(&reported_error), -EBADMSG);
    CHECK_EQUAL(weft_close(fd), 0);
}

static void refuse(bool is_tcp)
{
    weft_set_error_handler(weft_runtime_current(), take_report, NULL);
    refuse_one(&(struct talk){.made_answer = -EBADMSG}, is_tcp, false);
    refuse_one(&(struct talk){.data_answer = -EBADMSG}, is_tcp, true);
    refuse_one(&(struct talk){.end_answer = -EBADMSG}, is_tcp, false);
}

BOTH(item_237_an_error_of_a_callback_is_fatal_and_reported, refuse)

/* ---- 238: resets ---- */

static void reset(bool is_tcp)
{
    struct talk k = {0};
    (void)is_tcp;
    weft_set_error_handler(weft_runtime_current(), take_report, NULL);
    atomic_store_seq_cst(&reported, 0);
    int fd = talk_begin(&k, true);
    close_by_reset(fd);
    yield_until(&k.lost, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&k.error), -ECONNRESET);
    CHECK(talk_says(&k, "ML"));
    CHECK_EQUAL(atomic_load_seq_cst(&reported), 0);
}

BOTH(item_238_a_reset_ends_quietly, reset)

/* A reset is noticed also when the input was over before, and nothing is written; unless a ring's
 * polls are for once, as each of them tells that the input is over. */
static void reset_half_open(bool is_tcp)
{
    struct talk k = {.stays = true};
    const struct poller *p = weft__poller_current();
    const struct op_backend *b = ((const struct io_poller *)(const void *)p)->backend;
    (void)is_tcp;
    if (b->can_repeat != NULL && !b->can_repeat(p, OP_POLL)) {
        return;
    }
    int fd = talk_begin(&k, true);
    CHECK_EQUAL(weft_shutdown(fd, SHUT_WR), 0);
    yield_until(&k.ended, 1);
    close_by_reset(fd);
    yield_until(&k.lost, 1);
    CHECK(atomic_load_seq_cst(&k.error) == -ECONNRESET || atomic_load_seq_cst(&k.error) == -EPIPE);
}

BOTH(a_reset_of_a_half_open_one_is_noticed, reset_half_open)

/* ---- 245: pause and resume reading ---- */

static void pausing(bool is_tcp)
{
    struct talk k = {.when_made = begin_paused};
    int fd = talk_begin(&k, is_tcp);
    weft_transport_pause_reading(k.t);
    CHECK(!weft_transport_is_reading(k.t));
    send_pattern(fd, 0, 1000);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&k.bytes), 0);
    weft_transport_resume_reading(k.t);
    weft_transport_resume_reading(k.t);
    while (atomic_load_seq_cst(&k.bytes) < 1000) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    (void)weft_transport_get(k.t);
    weft_transport_close(k.t);
    weft_transport_pause_reading(k.t);
    weft_transport_resume_reading(k.t);
    yield_until(&k.lost, 1);
    weft_transport_put(k.t);
    CHECK_EQUAL(weft_close(fd), 0);
}

BOTH(item_245_pause_and_resume_reading, pausing)

static void pause_again(struct talk *k, const void *data, size_t n)
{
    (void)data;
    (void)n;
    weft_transport_pause_reading(k->t);
}

/* Paused by data_received: nothing more comes, however much lies there. */
static void pause_each_time(bool is_tcp)
{
    struct talk k = {.when_data = pause_again};
    int fd = talk_begin(&k, is_tcp);
    send_pattern(fd, 0, 100 * 1000);
    size_t seen = 0;
    while (seen < 100 * 1000) {
        while (atomic_load_seq_cst(&k.bytes) == seen || weft_transport_is_reading(k.t)) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        seen = atomic_load_seq_cst(&k.bytes);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(atomic_load_seq_cst(&k.bytes), seen);
        weft_transport_resume_reading(k.t);
    }
    CHECK_EQUAL(weft_close(fd), 0);
    yield_until(&k.lost, 1);
}

BOTH(item_245_reading_stops_at_once_when_paused, pause_each_time)

/* ---- 248: the protocol's own buffer ---- */

struct own {
    char buf[10];
    size_t give;
    int answer;
    shared_int asked;
    shared_int lost;
    shared_int error;
    size_t bytes;
};

static void *own_get(weft_transport *t, size_t *bytes, void *arg)
{
    struct own *o = arg;
    (void)t;
    CHECK(*bytes > 0);
    *bytes = o->give;
    atomic_add_seq_cst(&o->asked, 1);
    return o->buf;
}

static int own_updated(weft_transport *t, size_t n, void *arg)
{
    struct own *o = arg;
    (void)t;
    CHECK(n > 0 && n <= o->give);
    CHECK(pattern_fits(o->buf, o->bytes, n));
    o->bytes += n;
    return o->answer;
}

static void own_lost(weft_transport *t, int error, void *arg)
{
    struct own *o = arg;
    (void)t;
    atomic_store_seq_cst(&o->error, error);
    atomic_store_seq_cst(&o->lost, 1);
}

static const struct weft_protocol own_protocol = {
    .get_buffer = own_get, .buffer_updated = own_updated, .connection_lost = own_lost};

static void own_run(struct own *o, bool is_tcp, int error, size_t bytes)
{
    int fds[2];
    weft_set_error_handler(weft_runtime_current(), take_report, NULL);
    atomic_store_seq_cst(&reported, 0);
    make_ends(fds, is_tcp);
    CHECK_EQUAL(weft_transport_open(fds[0], &own_protocol, o, NULL), 0);
    send_pattern(fds[1], 0, 1234);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    yield_until(&o->lost, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&o->error), error);
    CHECK_EQUAL(o->bytes, bytes);
    if (error < 0) {
        yield_until(&reported, 1);
    }
}

static void own_buffer(bool is_tcp)
{
    struct own all = {.give = 10};
    own_run(&all, is_tcp, 0, 1234);
    CHECK(atomic_load_seq_cst(&all.asked) >= 124);
    own_run(&(struct own){.give = 0}, is_tcp, -ENOBUFS, 0);
    own_run(&(struct own){.give = 7, .answer = -EBADMSG}, is_tcp, -EBADMSG, 7);
}

BOTH(item_248_the_protocol_gives_the_buffer, own_buffer)

/* ---- opening ---- */

static void *refused_openings(void *arg)
{
    int fds[2];
    struct talk k = {0};
    struct weft_protocol none = {.connection_lost = talk_lost};
    struct weft_protocol half = {.get_buffer = own_get};
    (void)arg;
    make_pipe(fds);
    CHECK_EQUAL(weft_transport_open(fds[0], &talk_protocol, &k, NULL), -ENOTSOCK);
    close_both(fds);
    CHECK_EQUAL(weft_transport_open(-1, &talk_protocol, &k, NULL), -EBADF);
    CHECK_EQUAL(weft_transport_open(fds[0], NULL, &k, NULL), -EINVAL);
    CHECK_EQUAL(weft_transport_open(fds[0], &none, &k, NULL), -EINVAL);
    CHECK_EQUAL(weft_transport_open(fds[0], &half, &k, NULL), -EINVAL);
    int fd = weft_socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQUAL(weft_transport_open(fd, &talk_protocol, &k, NULL), -EPROTOTYPE);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void what_is_no_stream_is_refused(void **state)
{
    (void)state;
    struct talk k = {0};
    CHECK_EQUAL(weft_transport_open(0, &talk_protocol, &k, NULL), -EPERM);
    run_io(refused_openings, NULL);
}

/* ---- the runtime closes ---- */

static void *leave_open(void *arg)
{
    struct talk *k = arg;
    for (int i = 0; i < 20; i++) {
        k[i].extra = BOXED(talk_begin(&k[i], i % 2 == 0));
        (void)weft_transport_get(k[i].t);
    }
    return NULL;
}

static void closing_the_runtime_ends_them(void **state)
{
    struct talk k[20] = {0};
    int before = fd_count();
    (void)state;
    CHECK_EQUAL(weft_run(leave_open, k, NULL), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(atomic_load_seq_cst(&k[i].lost), 1);
        CHECK_EQUAL(atomic_load_seq_cst(&k[i].error), -ECANCELED);
        CHECK_EQUAL(close(UNBOXED(k[i].extra)), 0);
        /* Handles outlive the runtime. */
        CHECK_EQUAL(weft_transport_write(k[i].t, "x", 1), -EPIPE);
        CHECK_EQUAL(weft_transport_fd(k[i].t), -1);
        weft_transport_resume_reading(k[i].t);
        weft_transport_close(k[i].t);
        weft_transport_put(k[i].t);
    }
    CHECK_EQUAL(fd_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_235_calls_come_in_order),
        cmocka_unit_test(item_235_no_data_is_lost_before_the_end),
        cmocka_unit_test(item_236_stays_half_open_if_it_says_so),
        cmocka_unit_test(item_237_an_error_of_a_callback_is_fatal_and_reported),
        cmocka_unit_test(item_238_a_reset_ends_quietly),
        cmocka_unit_test(a_reset_of_a_half_open_one_is_noticed),
        cmocka_unit_test(item_245_pause_and_resume_reading),
        cmocka_unit_test(item_245_reading_stops_at_once_when_paused),
        cmocka_unit_test(item_248_the_protocol_gives_the_buffer),
        cmocka_unit_test(what_is_no_stream_is_refused),
        cmocka_unit_test(closing_the_runtime_ends_them),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
