/* SPDX-License-Identifier: MIT */
/*
 * Streams over TLS: ends and cut-offs, much in both directions at once, cancels that lose nothing,
 * new keys, records in pieces, what was tampered with.
 */
#include "tls_help.h"

enum { MUCH = 2 * 1024 * 1024, MUCH_SANITIZED = 256 * 1024 };

struct configs {
    weft_tls_config *client;
    weft_tls_config *server;
};

static struct configs make_configs(void)
{
    return (struct configs){client_with((struct weft_tls_options){.is_server = false}),
                            server_with((struct weft_tls_options){.is_server = true})};
}

static void drop_configs(struct configs c)
{
    weft_tls_config_destroy(c.client);
    weft_tls_config_destroy(c.server);
}

/* --- ends --- */

static void *end_halves(void *arg)
{
    struct configs c = make_configs();
    weft_stream *ends[2];
    (void)arg;
    secure_pair(c.client, c.server, ends);
    write_text(ends[0], "question");
    CHECK_EQUAL(weft_stream_shutdown_write(ends[0]), 0);
    CHECK_EQUAL(weft_stream_shutdown_write(ends[0]), 0);
    CHECK_EQUAL(weft_stream_write(ends[0], "a", 1), -EPIPE);
    check_next(ends[1], "question");
    check_end(ends[1]);
    write_text(ends[1], "answer"); /* the other half goes on */
    check_next(ends[0], "answer");
    CHECK_EQUAL(weft_stream_close(ends[1]), 0);
    check_end(ends[0]);
    CHECK_EQUAL(weft_stream_close(ends[0]), 0);
    drop_configs(c);
    return NULL;
}

static void a_half_is_closed(void **state)
{
    (void)state;
    run_io(end_halves, NULL);
}

static void *slow_reader(void *arg)
{
    weft_stream *s = arg;
    static char buf[64];
    size_t at = 0;
    ssize_t n;
    while ((n = weft_stream_read(s, buf, sizeof buf)) > 0) {
        CHECK(pattern_fits(buf, at, (size_t)n));
        at += (size_t)n;
        if (at % 4096 < 64) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    CHECK_EQUAL(n, 0);
    CHECK_EQUAL(weft_stream_close(s), 0);
    return BOXED(at);
}

static void *flush_all(void *arg)
{
    enum { BYTES = 300 * 1000 };
    struct configs c = make_configs();
    weft_stream *ends[2];
    char *data = malloc(BYTES);
    (void)arg;
    pattern_fill(data, 0, BYTES);
    secure_pair(c.client, c.server, ends);
    CHECK_EQUAL(weft_stream_shutdown_write(ends[1]), 0); /* the peer closes its side first */
    weft_task *t = spawn(slow_reader, ends[1]);
    check_end(ends[0]);
    CHECK_EQUAL(weft_stream_write(ends[0], data, BYTES), BYTES);
    CHECK_EQUAL(weft_stream_close(ends[0]), 0);
    CHECK_EQUAL(joined(t), BYTES);
    free(data);
    drop_configs(c);
    return NULL;
}

static void item_285_286_everything_is_sent_before_the_end(void **state)
{
    (void)state;
    run_io(flush_all, NULL);
}

static void *close_limited(void *arg)
{
    weft_tls_config *server = server_with((struct weft_tls_options){.close_ns = WEFT_MS});
    weft_tls_config *client = client_with((struct weft_tls_options){.is_server = false});
    weft_stream *ends[2];
    (void)arg;
    secure_pair(client, server, ends);
    write_text(ends[1], "bye");
    CHECK_EQUAL(weft_stream_close(ends[1]), 0); /* though the peer does nothing */
    check_next(ends[0], "bye");
    check_end(ends[0]);
    CHECK_EQUAL(weft_stream_close(ends[0]), 0);
    weft_tls_config_destroy(client);
    weft_tls_config_destroy(server);
    return NULL;
}

static void item_285_a_close_waits_for_the_peer_up_to_a_limit(void **state)
{
    (void)state;
    run_io(close_limited, NULL);
}

/* --- a peer that is handled by OpenSSL alone, on memory: it says what no good one does --- */

struct raw {
    struct ends ends;
    SSL_CTX *context;
    SSL *ssl;
    BIO *in;
    BIO *out;
};

/* In a task: give the stream what the peer wants to say. */
static void raw_flush(struct raw *r)
{
    char buf[4096];
    int n;
    while ((n = BIO_read(r->out, buf, sizeof buf)) > 0) {
        CHECK_EQUAL(weft_write_full(r->ends.peer, buf, (size_t)n, NULL), 0);
    }
}

/* And let it have what came. */
static void raw_fill(struct raw *r)
{
    char buf[4096];
    ssize_t n = weft_read(r->ends.peer, buf, sizeof buf);
    CHECK(n > 0);
    CHECK_EQUAL(BIO_write(r->in, buf, (int)n), n);
}

static void raw_start(struct raw *r, weft_tls_config *client)
{
    struct side e;
    int result;
    r->ends = open_ends(NULL);
    r->context = SSL_CTX_new(TLS_server_method());
    CHECK_EQUAL(SSL_CTX_use_certificate(r->context, world.server->own), 1);
    CHECK_EQUAL(SSL_CTX_use_PrivateKey(r->context, world.server->key), 1);
    r->ssl = SSL_new(r->context);
    r->in = BIO_new(BIO_s_mem());
    r->out = BIO_new(BIO_s_mem());
    SSL_set_bio(r->ssl, r->in, r->out);
    e = (struct side){r->ends.s, client, "server.test"};
    weft_task *t = spawn(side_start, &e);
    do {
        raw_fill(r);
        result = SSL_accept(r->ssl);
        raw_flush(r);
    } while (result != 1);
    CHECK_EQUAL(joined(t), 0);
}

static void raw_say(struct raw *r, const char *text)
{
    CHECK_EQUAL(SSL_write(r->ssl, text, (int)strlen(text)), strlen(text));
    raw_flush(r);
}

static void raw_stop(struct raw *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->context);
    if (r->ends.peer >= 0) {
        CHECK_EQUAL(weft_close(r->ends.peer), 0);
    }
    (void)weft_stream_close(r->ends.s);
}

static void *cut_off(void *arg)
{
    struct configs c = make_configs();
    weft_tls_config *lenient = client_with((struct weft_tls_options){.accept_truncation = true});
    struct raw r;
    char ch;
    (void)arg;
    raw_start(&r, c.client);
    raw_say(&r, "hello");
    feed_end(&r.ends);
    check_next(r.ends.s, "hello");
    CHECK_EQUAL(weft_stream_read(r.ends.s, &ch, 1), -ECONNRESET);
    CHECK(!weft_stream_at_eof(r.ends.s));
    CHECK(strstr(weft_tls_error_string(r.ends.s), "cut off") != NULL);
    raw_stop(&r);
    raw_start(&r, lenient);
    raw_say(&r, "hello");
    feed_end(&r.ends);
    check_next(r.ends.s, "hello");
    check_end(r.ends.s);
    raw_stop(&r);
    weft_tls_config_destroy(lenient);
    drop_configs(c);
    return NULL;
}

static void a_cut_off_is_no_end(void **state)
{
    (void)state;
    run_io(cut_off, NULL);
}

static void *tamper(void *arg)
{
    struct configs c = make_configs();
    struct raw r;
    char record[256];
    char ch;
    (void)arg;
    raw_start(&r, c.client);
    raw_say(&r, "hello");
    CHECK_EQUAL(SSL_write(r.ssl, "world", 5), 5);
    int n = BIO_read(r.out, record, sizeof record);
    CHECK(n > 10);
    record[n - 3] ^= 1;
    feed(&r.ends, record, (size_t)n);
    check_next(r.ends.s, "hello");
    CHECK_EQUAL(weft_stream_read(r.ends.s, &ch, 1), -EPROTO);
    CHECK(strlen(weft_tls_error_string(r.ends.s)) > 0);
    CHECK_EQUAL(weft_stream_read(r.ends.s, &ch, 1), -EPROTO);
    (void)weft_stream_write(r.ends.s, "a", 1);
    CHECK_EQUAL(weft_stream_drain(r.ends.s) < 0 || weft_stream_pending(r.ends.s) > 0, true);
    CHECK_EQUAL(weft_close(r.ends.peer), 0);
    r.ends.peer = -1;
    raw_stop(&r);
    drop_configs(c);
    return NULL;
}

static void item_287_what_was_tampered_with_fails_the_read(void **state)
{
    (void)state;
    run_io(tamper, NULL);
}

static void *change_keys(void *arg)
{
    struct configs c = make_configs();
    struct raw r;
    char buf[16];
    (void)arg;
    raw_start(&r, c.client);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        raw_say(&r, "hello");
        check_next(r.ends.s, "hello");
        write_text(r.ends.s, "world");
        CHECK_EQUAL(weft_stream_drain(r.ends.s), 0);
        int n;
        while ((n = SSL_read(r.ssl, buf, sizeof buf)) <= 0) {
            CHECK_EQUAL(SSL_get_error(r.ssl, n), SSL_ERROR_WANT_READ);
            raw_fill(&r);
        }
        CHECK_EQUAL(n, 5);
    }
    CHECK_EQUAL(weft_close(r.ends.peer), 0);
    r.ends.peer = -1;
    raw_stop(&r);
    drop_configs(c);
    return NULL;
}

static void keys_are_changed(void **state)
{
    (void)state;
    run_io(change_keys, NULL);
}

/* --- much, in both directions, with cancels --- */

struct flow {
    weft_stream *s;
    size_t total;
    bool is_cancelled; /* now and then, by deadlines */
    uint64_t random;
};

static int64_t limit_of(struct flow *f)
{
    return f->is_cancelled && test_random(&f->random) % 2 == 0
               ? (int64_t)(test_random(&f->random) % 50) * WEFT_US
               : WEFT_FOREVER;
}

static void *flow_write(void *arg)
{
    struct flow *f = arg;
    char *data = malloc(100 * 1000);
    size_t at = 0;
    while (at < f->total) {
        size_t n = 1 + test_random(&f->random) % (100 * 1000);
        n = n < f->total - at ? n : f->total - at;
        pattern_fill(data, at, n);
        WEFT_TIMEOUT(limit_of(f)) {
            ssize_t put = weft_stream_write(f->s, data, n);
            CHECK(put > 0 || put == -ETIMEDOUT);
            at += put > 0 ? (size_t)put : 0;
        }
    }
    while (weft_stream_shutdown_write(f->s) < 0) {
    }
    free(data);
    return NULL;
}

static void *flow_read(void *arg)
{
    struct flow *f = arg;
    char *data = malloc(70 * 1000);
    size_t at = 0;
    ssize_t n = 1;
    while (n != 0) {
        WEFT_TIMEOUT(limit_of(f)) {
            n = weft_stream_read(f->s, data, 1 + test_random(&f->random) % (70 * 1000));
        }
        CHECK(n >= 0 || n == -ETIMEDOUT);
        CHECK(n <= 0 || pattern_fits(data, at, (size_t)n));
        at += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQUAL(at, f->total);
    free(data);
    return NULL;
}

static void flow_both(weft_stream *ends[2], bool is_cancelled)
{
    uint64_t seed = test_seed();
    struct flow flows[4];
    weft_task *t[4];
    for (size_t i = 0; i < 4; i++) {
        flows[i] = (struct flow){ends[i / 2], test_scaled(MUCH, MUCH_SANITIZED), is_cancelled,
                                 seed + i};
        t[i] = spawn(i % 2 == 0 ? flow_write : flow_read, &flows[i]);
    }
    for (int i = 0; i < 4; i++) {
        (void)joined(t[i]);
    }
    close_pair(ends);
}

static void *flow_on(void *arg)
{
    struct configs c = make_configs();
    weft_stream *ends[2];
    int fds[2];
    int err;
    secure_pair(c.client, c.server, ends);
    flow_both(ends, arg != NULL);
    make_connection(fds);
    ends[0] = opened(fds[0], NULL);
    ends[1] = opened(fds[1], NULL);
    CHECK_EQUAL(start_both(ends[0], c.client, "server.test", ends[1], c.server, &err), 0);
    CHECK_EQUAL(err, 0);
    flow_both(ends, arg != NULL);
    drop_configs(c);
    return NULL;
}

static void much_flows_both_ways(void **state)
{
    (void)state;
    run_io(flow_on, NULL);
}

static void no_byte_is_lost_by_cancels(void **state)
{
    (void)state;
    run_io(flow_on, "cancelled");
}

/* --- a close while another task reads --- */

static void *read_byte_of(void *arg)
{
    char c;
    return BOXED(weft_stream_read(arg, &c, 1));
}

static void *close_beside(void *arg)
{
    struct configs c = make_configs();
    weft_stream *ends[2];
    int fds[2];
    int err;
    (void)arg;
    make_connection(fds);
    ends[0] = opened(fds[0], NULL);
    ends[1] = opened(fds[1], NULL);
    CHECK_EQUAL(start_both(ends[0], c.client, "server.test", ends[1], c.server, &err), 0);
    weft_task *t = spawn(read_byte_of, ends[0]);
    yield_until_waits(ends[0]);
    write_text(ends[0], "bye");
    CHECK_EQUAL(weft_stream_close(ends[0]), 0);
    CHECK_EQUAL(joined(t), 0);
    check_next(ends[1], "bye");
    check_end(ends[1]);
    CHECK_EQUAL(weft_stream_close(ends[1]), 0);
    drop_configs(c);
    return NULL;
}

static void a_close_lets_the_reader_go(void **state)
{
    (void)state;
    run_io(close_beside, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_half_is_closed),
        cmocka_unit_test(item_285_286_everything_is_sent_before_the_end),
        cmocka_unit_test(item_285_a_close_waits_for_the_peer_up_to_a_limit),
        cmocka_unit_test(a_cut_off_is_no_end),
        cmocka_unit_test(item_287_what_was_tampered_with_fails_the_read),
        cmocka_unit_test(keys_are_changed),
        cmocka_unit_test(much_flows_both_ways),
        cmocka_unit_test(no_byte_is_lost_by_cancels),
        cmocka_unit_test(a_close_lets_the_reader_go),
    };
    help_limit_time();
    make_world();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drop_world();
    return failed;
}
