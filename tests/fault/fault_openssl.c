/* SPDX-License-Identifier: MIT */
/*
 * TLS when OpenSSL's own memory fails: a configuration is there or not, a handshake has happened
 * for both sides or ends for both, bytes come whole, an end that was said is heard. Who is told of
 * a failure goes, and then the other side ends, too: a case that waits for ever fails.
 *
 * Each allocation of OpenSSL's fails in its turn, alone and with the two behind it; there are
 * thousands, so a test's run takes a sample, another one with each seed. WEFT_FAULT_STEP=1 has each
 * fail. None was met that ends OpenSSL 3.0 itself, so none is passed over. But it does not always
 * say that memory was missing: what it could not look at it takes for something that it does not
 * have, and goes without an algorithm, or refuses with words of its own. What OpenSSL keeps for
 * itself, or loses, is not counted.
 *
 * Workers: 2
 */
#include "../tls/tls_help.h"

#include "fault_help.h"

#include <openssl/crypto.h>

static weft_tls_config *server_config;
static weft_tls_config *client_config;

/* Whether an error is one that there is for it: memory; what OpenSSL made of the want of memory in
 * its own words; or what the other side has then made of that. */
static bool is_clear(int err)
{
    static const int known[] = {0, -ENOMEM, -ENOBUFS, -EPROTO, -EACCES, -ECONNRESET, -EPIPE};
    for (size_t i = 0; i < COUNT(known); i++) {
        if (err == known[i]) {
            return true;
        }
    }
    return false;
}

/* --- configurations --------------------------------------------------------------------------- */

/* They are of use, or both sides are told. Whether they are OpenSSL alone knows: what it had no
 * memory to look at, it takes for something that it does not have, and goes without. */
static void try_configs(weft_tls_config *client, weft_tls_config *server)
{
    weft_stream *ends[2];
    int err;
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    int e = start_both(ends[0], client, "server.test", ends[1], server, &err);
    CHECK((e < 0) == (err < 0));
    weft_task *t = spawn(close_stream, ends[1]);
    (void)weft_stream_close(ends[0]);
    (void)joined(t);
}

static int make_configs(void *arg)
{
    static const char *const protocols[] = {"h2", "http/1.1"};
    struct weft_tls_certificate own = as_certificate(world.server);
    struct weft_tls_options of_server = {
        .is_server = true, .certificates = &own, .certificate_count = 1,
        .protocols = protocols, .protocol_count = COUNT(protocols), .close_at_once = true,
    };
    struct weft_tls_options of_client = {
        .ca_pem = world.authority->chain_pem,
        .protocols = protocols, .protocol_count = COUNT(protocols), .close_at_once = true,
    };
    weft_tls_config *server = NULL;
    weft_tls_config *client = NULL;
    (void)arg;
    int err = weft_tls_config_create(&of_server, &server);
    CHECK((server == NULL) == (err < 0));
    int e = weft_tls_config_create(&of_client, &client);
    CHECK((client == NULL) == (e < 0));
    if (err == 0) {
        err = weft_tls_config_reload(server, &of_server);
    }
    err = first_error(err, e);
    if (err == 0) {
        SPARED(try_configs(client, server));
    }
    weft_tls_config_destroy(server);
    weft_tls_config_destroy(client);
    return err;
}

/* --- connections ------------------------------------------------------------------------------ */

enum { BYTES = 20000 };

static int send_all(weft_stream *s, const char *text)
{
    ssize_t n = weft_stream_write(s, text, BYTES);
    return n < 0 ? (int)n : n == BYTES ? 0 : -EPIPE;
}

static int receive_all(weft_stream *s, const char *text)
{
    static const size_t bytes = BYTES;
    char *got = malloc(bytes);
    CHECK(got != NULL);
    ssize_t n = weft_stream_read_exactly(s, got, bytes);
    CHECK(n < 0 || memcmp(text, got, bytes) == 0);
    free(got);
    return n < 0 ? (int)n : 0;
}

static int receive_end(weft_stream *s)
{
    char more;
    ssize_t n = weft_stream_read(s, &more, 1);
    CHECK(n <= 0);
    return (int)n;
}

/* What a side does; whatever fails, it closes then. It does not wait for what it has written. */
static int talk(weft_stream *s, bool is_client, const char *text)
{
    int err = is_client ? send_all(s, text) : receive_all(s, text);
    if (err == 0) {
        err = is_client ? receive_all(s, text) : send_all(s, text);
    }
    if (err == 0 && is_client) {
        err = weft_stream_shutdown_write(s);
    }
    return err == 0 ? receive_end(s) : err;
}

struct end {
    weft_stream *s;
    bool is_client;
    const char *text;
};

static void *be_end(void *arg)
{
    struct end *e = arg;
    int err = weft_tls_start(e->s, e->is_client ? client_config : server_config,
                             e->is_client ? "server.test" : NULL);
    err = err == 0 ? talk(e->s, e->is_client, e->text) : err;
    int closed = weft_stream_close(e->s);
    return BOXED(first_error(err, closed));
}

static int converse(void *arg)
{
    static char text[BYTES];
    weft_stream *ends[2];
    weft_task *server;
    (void)arg;
    memset(text, 'x', sizeof text);
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    struct end ours = {ends[0], true, text};
    struct end theirs = {ends[1], false, text};
    server = spawn(be_end, &theirs);
    int err = (int)(intptr_t)be_end(&ours);
    int e = joined(server);
    if (!is_clear(err) || !is_clear(e)) {
        fprintf(stderr, "client %d, server %d\n", err, e);
        return is_clear(err) ? e : err;
    }
    return err < 0 || e < 0 ? -ENOMEM : 0;
}

/* --- all of it -------------------------------------------------------------------------------- */

/* The C library's: blocks that are OpenSSL's are not counted. */
void *__real_realloc(void *block, size_t n);
void __real_free(void *block);

static void *ssl_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return inject_fails(INJECT_OPENSSL) ? NULL : __real_realloc(NULL, n);
}

static void *ssl_realloc(void *block, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return inject_fails(INJECT_OPENSSL) ? NULL : __real_realloc(block, n);
}

static void ssl_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    __real_free(block);
}

static void want_of_openssl_ends_one_connection_at_most(void **state)
{
    static const struct fault_case cases[] = {
        {"weft_tls_config_create", make_configs, NULL, {0}},
        {"weft_tls_start", converse, NULL, {0}},
    };
    static const struct fault faults[] = {
        {INJECT_OPENSSL, ENOMEM, 1},
        {INJECT_OPENSSL, ENOMEM, 3},
    };
    (void)state;
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(want_of_openssl_ends_one_connection_at_most),
    };
    CHECK_EQUAL(CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free), 1);
    fault_begin();
    make_world();
    (void)weft_tls_error_string(NULL); /* what is made for the first error stays */
    server_config = server_with((struct weft_tls_options){.close_ns = 5 * WEFT_MS});
    client_config = client_with((struct weft_tls_options){.close_ns = 5 * WEFT_MS});
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_tls_config_destroy(server_config);
    weft_tls_config_destroy(client_config);
    drop_world();
    return failed;
}
