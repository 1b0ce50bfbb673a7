/* SPDX-License-Identifier: MIT */
/*
 * TLS when the library's memory fails (OpenSSL's: fault_openssl.c), and when what is below fails: a
 * configuration is there or not, a handshake has happened for both sides or ends for both, bytes
 * come whole.
 *
 * Workers: 2
 */
#include "../tls/tls_help.h"

#include "fault_help.h"

static weft_tls_config *server_config;
static weft_tls_config *client_config;

static int make_configs(void *arg)
{
    static const char *const protocols[] = {"h2", "http/1.1"};
    struct weft_tls_certificate own = as_certificate(world.server);
    struct weft_tls_options of_server = {
        .is_server = true, .certificates = &own, .certificate_count = 1,
        .protocols = protocols, .protocol_count = COUNT(protocols),
    };
    struct weft_tls_options of_client = {.ca_pem = world.authority->chain_pem};
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
    weft_tls_config_destroy(server);
    weft_tls_config_destroy(client);
    return first_error(err, e);
}

static void echo(weft_stream *s, void *arg)
{
    char buf[4096];
    ssize_t n;
    (void)arg;
    while ((n = weft_stream_read(s, buf, sizeof buf)) > 0) {
        if (weft_stream_write(s, buf, (size_t)n) != n) {
            return;
        }
    }
}

static void ignore_refused(int err, const char *reason, void *arg)
{
    (void)err;
    (void)reason;
    (void)arg;
}

static int converse(weft_stream *s)
{
    char text[2000];
    char got[sizeof text];
    memset(text, 'x', sizeof text);
    ssize_t n = weft_stream_write(s, text, sizeof text);
    int err = n < 0 ? (int)n : weft_stream_drain(s);
    if (err == 0) {
        n = weft_stream_read_exactly(s, got, sizeof got);
        err = n < 0 ? (int)n : 0;
        CHECK(err < 0 || memcmp(text, got, sizeof text) == 0);
    }
    return err;
}

static int serve_and_connect(void *arg)
{
    struct weft_server_options options = {.host = "127.0.0.1", .tls = server_config};
    weft_server *server = NULL;
    weft_stream *s = NULL;
    char port[8];
    (void)arg;
    int err = weft_serve(&options, echo, NULL, &server);
    if (err < 0) {
        return err;
    }
    snprintf(port, sizeof port, "%d", weft_server_port(server));
    struct weft_connect_options to = {.tls = client_config, .tls_host = "server.test"};
    err = weft_open_connection("127.0.0.1", port, &to, &s);
    if (err == 0) {
        err = converse(s);
        int closed = weft_stream_close(s);
        err = first_error(err, closed);
    }
    CHECK_EQUAL(weft_server_close(server, 20 * WEFT_SECOND), 0);
    return err;
}

#define CUT_SHORT {-ECONNRESET, -EPIPE, -EPROTO, -ENODATA, -ENOBUFS}

static const struct fault_case cases[] = {
    {"weft_tls_config_create", make_configs, NULL, CUT_SHORT},
    {"weft_tls_start", serve_and_connect, NULL, CUT_SHORT},
};

static void *make_long_lived(void *arg)
{
    make_world();
    (void)weft_tls_error_string(NULL); /* what is made for the first error stays */
    server_config = server_with((struct weft_tls_options){
        .on_refused = ignore_refused, .close_ns = 5 * WEFT_MS, .no_resumption = true});
    client_config = client_with((struct weft_tls_options){
        .close_ns = 5 * WEFT_MS, .no_resumption = true});
    return arg;
}

static void what_fails_ends_one_connection_at_most(void **state)
{
    static const struct fault faults[] = {
        {INJECT_MEMORY, ENOMEM, 1},       {INJECT_MEMORY, ENOMEM, 3},
        {INJECT_SEND, 0, 4},              {INJECT_SEND, EPIPE, 1},
        {INJECT_RECEIVE, ECONNRESET, 1},  {INJECT_DESCRIPTOR, EMFILE, 1},
    };
    (void)state;
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
}

static void an_operation_that_fails_ends_one_connection_at_most(void **state)
{
    static const struct fault faults[] = {
        {INJECT_OPERATION, ENOMEM, 1},
        {INJECT_OPERATION, ECONNRESET, 1},
        {INJECT_OPERATION, 0, 10},
    };
    (void)state;
    if (!inject_has_operations()) {
        skip();
    }
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fails_ends_one_connection_at_most),
        cmocka_unit_test(an_operation_that_fails_ends_one_connection_at_most),
    };
    fault_begin();
    (void)make_long_lived(NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_tls_config_destroy(server_config);
    weft_tls_config_destroy(client_config);
    drop_world();
    return failed;
}
