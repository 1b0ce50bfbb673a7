/* SPDX-License-Identifier: MIT */
/*
 * TLS in a simulation, over a layer that lets bytes through in ones and twos: records come in
 * pieces, whatever is cancelled or out of time meanwhile, and no byte of what they hold is lost. A
 * handshake is cancelled at every step it has. A server that is stopped answers the request that
 * has come, and does not wait for the rest of a record.
 *
 * What OpenSSL draws by lot is not the simulation's: a seed decides the order of tasks, and not the
 * bytes. WEFT_SEED=<n> runs one.
 */
#include "tls_help.h"

#include "../sim/sim_help.h"

enum { SEEDS = 60, SEEDS_SANITIZED = 6, TOTAL = 3000, STEPS_MAX = 4000 };

static struct {
    weft_tls_config *client;
    weft_tls_config *server;
} configs;

/* --- a layer that lets bytes through in small pieces --- */

struct dribble {
    weft_stream *below;
    uint64_t random;
};

static ssize_t dribble_receive(void *layer, void *buf, size_t n)
{
    struct dribble *d = layer;
    size_t some = 1 + test_random(&d->random) % 2;
    return weft_stream_read(d->below, buf, n < some ? n : some);
}

static int dribble_wait(void *layer)
{
    struct weft_view view;
    ssize_t n = weft_stream_peek(((struct dribble *)layer)->below, 1, &view);
    return n < 0 ? (int)n : 0;
}

static ssize_t dribble_send(void *layer, const struct iovec *iov, int count)
{
    struct dribble *d = layer;
    size_t some = 1 + test_random(&d->random) % 7;
    CHECK(count > 0);
    return weft_stream_write(d->below, iov->iov_base, iov->iov_len < some ? iov->iov_len : some);
}

static ssize_t dribble_try_send(void *layer, const struct iovec *iov, int count)
{
    (void)layer;
    (void)iov;
    (void)count;
    return -EAGAIN;
}

static int dribble_shutdown_write(void *layer)
{
    return weft_stream_shutdown_write(((struct dribble *)layer)->below);
}

static void dribble_end(void *layer)
{
    (void)weft_stream_drain(((struct dribble *)layer)->below);
}

static int dribble_close(void *layer)
{
    struct dribble *d = layer;
    int err = weft_stream_close(d->below);
    free(d);
    return err;
}

static const struct weft_stream_layer_ops dribble_ops = {
    .receive = dribble_receive,
    .wait = dribble_wait,
    .send = dribble_send,
    .try_send = dribble_try_send,
    .shutdown_write = dribble_shutdown_write,
    .end = dribble_end,
    .close = dribble_close,
};

static struct dribble *make_dribble(weft_stream *s, uint64_t random)
{
    struct dribble *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    d->random = random;
    CHECK_EQUAL(weft_stream_layer_push(s, &dribble_ops, d, &d->below), 0);
    CHECK(weft_stream_layer(s, &dribble_ops) == d);
    return d;
}

static void make_ends(uint64_t seed, weft_stream *ends[2])
{
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    (void)make_dribble(ends[0], seed);
    (void)make_dribble(ends[1], seed + 1);
}

/* --- bytes --- */

struct flow {
    weft_stream *s;
    uint64_t random;
    bool is_cut_short;
};

static int64_t limit(struct flow *f)
{
    return f->is_cut_short && test_random(&f->random) % 3 == 0
               ? (int64_t)(test_random(&f->random) % 20) * WEFT_US
               : WEFT_FOREVER;
}

static void *write_all(void *arg)
{
    struct flow *f = arg;
    char buf[400];
    size_t at = 0;
    while (at < TOTAL) {
        size_t n = 1 + test_random(&f->random) % sizeof buf;
        n = n < TOTAL - at ? n : TOTAL - at;
        pattern_fill(buf, at, n);
        WEFT_TIMEOUT(limit(f)) {
            ssize_t put = weft_stream_write(f->s, buf, n);
            CHECK(put > 0 || put == -ETIMEDOUT || put == -ECANCELED);
            at += put > 0 ? (size_t)put : 0;
            int err = weft_stream_drain(f->s);
            CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED);
        }
        (void)weft_uncancel();
    }
    while (weft_stream_shutdown_write(f->s) < 0) {
        (void)weft_uncancel();
    }
    return NULL;
}

static void *read_all(void *arg)
{
    struct flow *f = arg;
    char buf[300];
    size_t at = 0;
    ssize_t n = 1;
    while (n != 0) {
        WEFT_TIMEOUT(limit(f)) {
            n = weft_stream_read(f->s, buf, 1 + test_random(&f->random) % sizeof buf);
        }
        CHECK(n >= 0 || n == -ETIMEDOUT || n == -ECANCELED);
        CHECK(n <= 0 || pattern_fits(buf, at, (size_t)n));
        at += n > 0 ? (size_t)n : 0;
        (void)weft_uncancel();
    }
    CHECK_EQUAL(at, TOTAL);
    return NULL;
}

static void *exchange(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    weft_stream *ends[2];
    struct flow flows[4];
    weft_task *t[4];
    int err;
    make_ends(seed, ends);
    CHECK_EQUAL(start_both(ends[0], configs.client, "server.test", ends[1], configs.server, &err),
                0);
    CHECK_EQUAL(err, 0);
    for (size_t i = 0; i < 4; i++) {
        flows[i] = (struct flow){ends[i / 2], seed + i, seed % 2 == 0};
        t[i] = spawn(i % 2 == 0 ? write_all : read_all, &flows[i]);
    }
    for (uint64_t i = seed % 2 == 0 ? seed % 30 : 0; i > 0; i--) {
        (void)weft_cancel(t[test_random(&seed) % 4]);
        (void)weft_sleep((int64_t)(test_random(&seed) % 10) * WEFT_US);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    close_pair(ends);
    return NULL;
}

static void for_seeds(weft_fn fn)
{
    uint64_t count = sim_is_repeated() ? 1 : test_scaled(SEEDS, SEEDS_SANITIZED);
    uint64_t first = test_seed();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t seed = sim_is_repeated() ? strtoull(getenv("WEFT_SEED"), NULL, 0) : first + i;
        (void)sim_run(seed, fn, &seed);
    }
}

static void records_in_pieces_lose_nothing(void **state)
{
    (void)state;
    for_seeds(exchange);
}

/* --- a handshake that is cancelled --- */

/* Cancel the client's handshake after so many turns of the others. Whether it was in time. */
static bool cancel_after(uint64_t seed, int steps)
{
    weft_stream *ends[2];
    make_ends(seed, ends);
    struct side client = {ends[0], configs.client, "server.test"};
    struct side server = {ends[1], configs.server, NULL};
    weft_task *t[2] = {spawn(side_start, &client), spawn(side_start, &server)};
    for (int i = 0; i < steps; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    (void)weft_cancel(t[0]);
    int client_err = joined(t[0]);
    CHECK(client_err == 0 || client_err == -ECANCELED);
    (void)weft_cancel(t[1]);
    (void)joined(t[1]);
    weft_task *closing = spawn(close_stream, ends[1]);
    (void)weft_stream_close(ends[0]);
    (void)joined(closing);
    return client_err < 0;
}

/* Handshakes that were cut short. Not with each seed: where the other end answers before the client
 * has to wait, a client that was cancelled has a connection all the same. */
static unsigned cut_short;

static void *cancel_everywhere(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    int steps = 0;
    while (cancel_after(seed, steps)) {
        cut_short++;
        steps += (int)test_scaled(1 + (size_t)steps / 16, 1 + (size_t)steps / 2);
        CHECK(steps < STEPS_MAX);
    }
    return NULL;
}

static void item_280_a_handshake_is_cancelled_at_every_step(void **state)
{
    (void)state;
    for_seeds(cancel_everywhere);
    assert_true(cut_short > 0 || sim_is_repeated());
}

/* --- a server that is stopped --- */

struct requests {
    struct weft_event may_ask; /* the handler is to wait for its second request */
    int answered;
    int last; /* what it was told in the end */
    int64_t told_ns;
};

static void answer_lines(weft_stream *s, void *arg)
{
    struct requests *r = arg;
    struct weft_view line;
    while ((r->last = weft_server_await_request(s)) > 0) {
        CHECK(weft_stream_read_line(s, &line) > 0);
        CHECK_EQUAL(weft_stream_write(s, line.data, line.bytes), line.bytes);
        CHECK_EQUAL(weft_stream_drain(s), 0);
        r->answered++;
        CHECK_EQUAL(weft_event_wait(&r->may_ask), 0);
    }
    r->told_ns = weft_now();
}

/* The second request is a whole record, or the beginning of one, which the handler meets after the
 * stop, or has read before it, or nothing at all. */
static void *stop_server(void *arg)
{
    static const char begun[] = {0x17, 0x03, 0x03, 0x20}; /* of a record's header */
    uint64_t random = *(uint64_t *)arg;
    enum { NOTHING, BEGINNING, WHOLE } second = test_random(&random) % 3;
    bool is_late = test_random(&random) % 2 == 0;
    struct requests r = {.answered = 0};
    weft_memory_listener *listener = NULL;
    weft_server *server = NULL;
    weft_stream *s = NULL;
    struct weft_view line;
    CHECK_EQUAL(weft_memory_listener_create(&listener, 0), 0);
    struct weft_server_options options = {.memory = listener, .tls = configs.server};
    CHECK_EQUAL(weft_serve(&options, answer_lines, &r, &server), 0);
    CHECK_EQUAL(weft_memory_connect(listener, NULL, &s), 0);
    struct dribble *d = make_dribble(s, random);
    CHECK_EQUAL(weft_tls_start(s, configs.client, "server.test"), 0);
    write_text(s, "one\n");
    CHECK_EQUAL(weft_stream_read_line(s, &line), 4);
    if (!is_late) {
        weft_event_set(&r.may_ask);
    }
    if (second == WHOLE) {
        write_text(s, "two\n");
        CHECK_EQUAL(weft_stream_drain(s), 0);
    } else if (second == BEGINNING) {
        CHECK_EQUAL(weft_stream_put(d->below, begun, 1 + test_random(&random) % sizeof begun), 0);
        CHECK_EQUAL(weft_stream_drain(d->below), 0);
    }
    CHECK_EQUAL(weft_sleep(WEFT_MS), 0); /* the handler waits for what is set, or for more input */
    weft_server_stop(server);
    weft_event_set(&r.may_ask);
    int64_t stopped = weft_now();
    CHECK_EQUAL(weft_server_wait(server), 0);
    CHECK(second == WHOLE || r.told_ns - stopped < WEFT_MS / 2);
    CHECK_EQUAL(r.last, -ESHUTDOWN);
    CHECK_EQUAL(r.answered, second == WHOLE ? 2 : 1);
    CHECK(second != WHOLE || weft_stream_read_line(s, &line) == 4);
    (void)weft_stream_close(s);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void a_stop_answers_what_has_come_and_waits_for_no_record(void **state)
{
    (void)state;
    for_seeds(stop_server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_in_pieces_lose_nothing),
        cmocka_unit_test(item_280_a_handshake_is_cancelled_at_every_step),
        cmocka_unit_test(a_stop_answers_what_has_come_and_waits_for_no_record),
    };
    (void)argc;
    sim_begin(argv[0]);
    make_world();
    configs.client = client_with((struct weft_tls_options){.is_server = false});
    configs.server = server_with((struct weft_tls_options){.is_server = true});
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_tls_config_destroy(configs.client);
    weft_tls_config_destroy(configs.server);
    drop_world();
    return failed;
}
