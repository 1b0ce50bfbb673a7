/* SPDX-License-Identifier: MIT */
/*
 * Handshakes: good ones and what was agreed on, bad ones and what is said about them, and what the
 * peer, time and cancels do in the middle of one.
 */
#include "tls_help.h"

static void *agree(void *arg)
{
    (void)arg;
    static const char *const both[] = {"h2", "http/1.1"};
    static const char *const one[] = {"http/1.1"};
    weft_tls_config *server = server_with((struct weft_tls_options){.protocols = both,
                                                                    .protocol_count = 2});
    weft_tls_config *client = client_with((struct weft_tls_options){.protocols = one,
                                                                    .protocol_count = 1});
    weft_stream *ends[2];
    struct weft_tls_info info;
    char name[64];
    unsigned char der[4096];
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    CHECK_EQUAL(weft_tls_info(ends[0], &info), -ENOTSUP);
    CHECK_EQUAL(strcmp(weft_tls_error_string(ends[0]), ""), 0);
    (void)weft_stream_close(ends[0]);
    (void)weft_stream_close(ends[1]);
    secure_pair(client, server, ends);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_tls_info(ends[i], &info), 0);
        CHECK_EQUAL(strcmp(info.version, "TLSv1.3"), 0);
        CHECK_EQUAL(strcmp(info.protocol, "http/1.1"), 0);
        CHECK_EQUAL(strcmp(info.host, "server.test"), 0);
        CHECK(strlen(info.cipher) > 0);
        CHECK_EQUAL(info.is_verified, i == 0);
        CHECK(!info.is_resumed);
    }
    CHECK_EQUAL(weft_tls_peer_name(ends[0], name, sizeof name), strlen("CN=server"));
    CHECK_EQUAL(strcmp(name, "CN=server"), 0);
    CHECK_EQUAL(weft_tls_peer_name(ends[0], name, 3), strlen("CN=server"));
    CHECK_EQUAL(strcmp(name, "CN"), 0);
    CHECK_EQUAL(weft_tls_peer_name(ends[1], name, sizeof name), 0);
    ssize_t bytes = weft_tls_peer_certificate(ends[0], der, sizeof der);
    const unsigned char *at = der;
    X509 *peer = d2i_X509(NULL, &at, bytes);
    CHECK_EQUAL(X509_cmp(peer, world.server->own), 0);
    X509_free(peer);
    write_text(ends[0], "hello");
    check_next(ends[1], "hello");
    write_text(ends[1], "world");
    check_next(ends[0], "world");
    close_pair(ends);
    weft_tls_config_destroy(client);
    weft_tls_config_destroy(server);
    return NULL;
}

static void shakes_hands(void **state)
{
    (void)state;
    run_io(agree, NULL);
}

/* --- the stack --- */

static void *start_measured(void *arg)
{
    struct side *e = arg;
    char c = 'c';
    CHECK_EQUAL(weft_tls_start(e->s, e->config, e->host), 0);
    CHECK_EQUAL(weft_stream_write(e->s, &c, 1), 1);
    CHECK_EQUAL(weft_stream_read_exactly(e->s, &c, 1), 1);
    return BOXED(weft_stack_high_water(weft_self()));
}

static int stack_used(weft_tls_config *client, weft_tls_config *server)
{
    weft_stream *ends[2];
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    struct side sides[2] = {{ends[0], client, "server.test"}, {ends[1], server, NULL}};
    weft_task *t[2] = {spawn(start_measured, &sides[0]), spawn(start_measured, &sides[1])};
    int used[2] = {joined(t[0]), joined(t[1])};
    close_pair(ends);
    return used[0] > used[1] ? used[0] : used[1];
}

static void *use_stack(void *arg)
{
    weft_tls_config *both[2] = {client_with((struct weft_tls_options){.is_server = false}),
                                server_with((struct weft_tls_options){.is_server = true})};
    struct weft_tls_certificate rsa = as_certificate(arg);
    weft_tls_config *old = server_with((struct weft_tls_options){.certificates = &rsa,
                                                                 .certificate_count = 1});
    int most = 0;
    for (int i = 0; i < 4; i++) { /* whole, resumed; P-256, RSA */
        int used = stack_used(both[0], i < 2 ? both[1] : old);
        most = used > most ? used : most;
    }
    printf("a handshake takes up to %d bytes of stack\n", most);
    struct weft_stream_upgrade *upgrade = (struct weft_stream_upgrade *)(void *)both[1];
#ifndef TEST_SANITIZED /* which make frames larger, and the runtime's stacks with them */
    CHECK((size_t)most * 2 <= upgrade->stack_bytes);
#else
    CHECK(upgrade->stack_bytes > 0);
#endif
    weft_tls_config_destroy(both[0]);
    weft_tls_config_destroy(both[1]);
    weft_tls_config_destroy(old);
    return NULL;
}

static void half_the_stack_is_enough(void **state)
{
    (void)state;
    struct made *rsa = make_certificate_of(EVP_RSA_gen(2048), "server", "DNS:server.test",
                                           world.authority, -3600, 3600);
    run_io(use_stack, rsa);
    drop_certificate(rsa);
}

/* A handshake that is to fail: what each side says. */
struct refusal {
    struct weft_tls_options client;
    struct weft_tls_options server;
    const struct made *certificate; /* the server's; NULL: the world's */
    const char *host;
    int client_err;
    int server_err; /* 1: whatever */
    const char *reason; /* of the client, a part of it */
};

static void on_refused(int err, const char *reason, void *arg)
{
    CHECK(err < 0);
    CHECK(strlen(reason) > 0);
    atomic_add_seq_cst((shared_int *)arg, 1);
}

static void *refuse(void *arg)
{
    struct refusal *r = arg;
    shared_int count = 0;
    struct weft_tls_certificate own;
    weft_stream *ends[2];
    char c;
    int err;
    if (r->certificate != NULL) {
        own = as_certificate(r->certificate);
        r->server.certificates = &own;
        r->server.certificate_count = 1;
    }
    r->server.on_refused = on_refused;
    r->server.on_refused_arg = &count;
    weft_tls_config *server = server_with(r->server);
    weft_tls_config *client = client_with(r->client);
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    CHECK_EQUAL(start_both(ends[0], client, r->host, ends[1], server, &err), r->client_err);
    CHECK(err == r->server_err || r->server_err == 1);
    if (strstr(weft_tls_error_string(NULL), r->reason) == NULL) {
        dprintf(help_stderr(), "the reason is: %s\n", weft_tls_error_string(NULL));
        CHECK(false);
    }
    CHECK_EQUAL(strcmp(weft_tls_error_string(NULL), weft_tls_error_string(ends[0])), 0);
    CHECK_EQUAL(weft_stream_read(ends[0], &c, 1), r->client_err);
    CHECK(weft_stream_write(ends[0], "a", 1) == 1 || weft_stream_pending(ends[0]) == 0);
    CHECK_EQUAL(atomic_load_seq_cst(&count), err < 0);
    weft_task *t = spawn(close_stream, ends[1]);
    (void)weft_stream_close(ends[0]);
    (void)joined(t);
    weft_tls_config_destroy(client);
    weft_tls_config_destroy(server);
    return NULL;
}

static void refuse_case(struct refusal r)
{
    run_io(refuse, &r);
}

static void item_283_a_wrong_host_is_refused(void **state)
{
    (void)state;
    refuse_case((struct refusal){.host = "other.test", .client_err = -EKEYREJECTED,
                                 .server_err = 1, .reason = "hostname mismatch"});
    refuse_case((struct refusal){.host = "127.0.0.2", .client_err = -EKEYREJECTED,
                                 .server_err = 1, .reason = "IP address mismatch"});
}

static void item_283_a_bad_certificate_is_refused(void **state)
{
    (void)state;
    struct made *old = make_certificate("server", "DNS:server.test", world.authority, -7200, -3600);
    struct made *early = make_certificate("server", "DNS:server.test", world.authority, 3600, 7200);
    struct made *own = make_certificate("server", "DNS:server.test", NULL, -3600, 3600);
    refuse_case((struct refusal){.certificate = old, .host = "server.test",
                                 .client_err = -EKEYEXPIRED, .server_err = 1,
                                 .reason = "has expired"});
    refuse_case((struct refusal){.certificate = early, .host = "server.test",
                                 .client_err = -EKEYEXPIRED, .server_err = 1,
                                 .reason = "not yet valid"});
    refuse_case((struct refusal){.certificate = own, .host = "server.test",
                                 .client_err = -EKEYREJECTED, .server_err = 1,
                                 .reason = "self-signed"});
    refuse_case((struct refusal){.client.ca_pem = own->chain_pem, .host = "server.test",
                                 .client_err = -EKEYREJECTED, .server_err = -EACCES,
                                 .reason = "unable to get local issuer"});
    drop_certificate(old);
    drop_certificate(early);
    drop_certificate(own);
}

static void what_cannot_be_agreed_on_is_refused(void **state)
{
    (void)state;
    static const char *const a[] = {"a"};
    static const char *const b[] = {"b"};
    refuse_case((struct refusal){.client = {.protocols = a, .protocol_count = 1},
                                 .server = {.protocols = b, .protocol_count = 1},
                                 .host = "server.test", .client_err = -EACCES,
                                 .server_err = -EPROTO, .reason = "no application protocol"});
}

/* --- clients that are verified --- */

static void *verify_client(void *arg)
{
    (void)arg;
    struct weft_tls_certificate own = as_certificate(world.client);
    weft_tls_config *server = server_with((struct weft_tls_options){
        .verify = WEFT_TLS_VERIFY_REQUIRED, .ca_pem = world.authority->chain_pem});
    weft_tls_config *known = client_with((struct weft_tls_options){.certificates = &own,
                                                                   .certificate_count = 1});
    weft_tls_config *unknown = client_with((struct weft_tls_options){.is_server = false});
    weft_stream *ends[2];
    struct weft_tls_info info;
    char name[64];
    char c;
    int err;
    secure_pair(known, server, ends);
    CHECK_EQUAL(weft_tls_info(ends[1], &info), 0);
    CHECK(info.is_verified);
    CHECK(weft_tls_peer_name(ends[1], name, sizeof name) > 0);
    CHECK_EQUAL(strcmp(name, "CN=client 7"), 0);
    close_pair(ends);
    /* By TLS 1.3 the client knows only when it reads that it was refused. */
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    CHECK_EQUAL(start_both(ends[0], unknown, "server.test", ends[1], server, &err), 0);
    CHECK_EQUAL(err, -EKEYREJECTED);
    CHECK_EQUAL(weft_stream_read(ends[0], &c, 1), -EACCES);
    CHECK(strstr(weft_tls_error_string(ends[0]), "certificate required") != NULL);
    close_pair(ends);
    weft_tls_config_destroy(server);
    weft_tls_config_destroy(known);
    weft_tls_config_destroy(unknown);
    return NULL;
}

static void clients_are_verified(void **state)
{
    (void)state;
    run_io(verify_client, NULL);
}

/* --- in the middle --- */

static void *be_silent(void *arg)
{
    (void)arg;
    weft_tls_config *client = client_with((struct weft_tls_options){.handshake_ns = WEFT_MS});
    struct ends e = open_ends(NULL);
    char c;
    CHECK_EQUAL(weft_tls_start(e.s, client, "server.test"), -ETIMEDOUT);
    CHECK(strstr(weft_tls_error_string(NULL), "too long") != NULL);
    CHECK_EQUAL(weft_scope_error(), 0);
    CHECK_EQUAL(weft_stream_read(e.s, &c, 1), -ECONNABORTED);
    (void)weft_stream_close(e.s);
    CHECK_EQUAL(weft_close(e.peer), 0);
    weft_tls_config_destroy(client);
    weft_tls_config *none = NULL;
    struct weft_tls_options odd = {.handshake_ns = -1};
    CHECK_EQUAL(weft_tls_config_create(&odd, &none), -EINVAL);
    return NULL;
}

static void item_279_a_slow_handshake_is_given_up(void **state)
{
    (void)state;
    run_io(be_silent, NULL);
}

static void *cancel_midway(void *arg)
{
    (void)arg;
    weft_tls_config *client = client_with((struct weft_tls_options){.is_server = false});
    struct ends e = open_ends(NULL);
    struct side side = {e.s, client, "server.test"};
    int fd = weft_stream_fd(e.s); /* not to be asked for while a layer is put under it */
    weft_task *t = spawn(side_start, &side);
    char c;
    yield_until_calls(fd, 1);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    (void)weft_stream_close(e.s);
    while (recv(e.peer, &c, 1, 0) == 1) { /* what it had said */
    }
    CHECK_EQUAL(weft_close(e.peer), 0);
    weft_tls_config_destroy(client);
    return NULL;
}

static void item_280_a_cancelled_handshake_closes_the_socket(void **state)
{
    (void)state;
    run_io(cancel_midway, NULL);
}

static void *end_midway(void *arg)
{
    (void)arg;
    weft_tls_config *client = client_with((struct weft_tls_options){.is_server = false});
    struct ends e = open_ends(NULL);
    feed_end(&e);
    CHECK_EQUAL(weft_tls_start(e.s, client, "server.test"), -ECONNRESET);
    CHECK(strstr(weft_tls_error_string(e.s), "during the handshake") != NULL);
    (void)weft_stream_close(e.s);
    CHECK_EQUAL(weft_close(e.peer), 0);
    e = open_ends(NULL);
    feed_text(&e, "HTTP/1.0 400 this is no TLS\r\n\r\n");
    CHECK_EQUAL(weft_tls_start(e.s, client, "server.test"), -EPROTO);
    CHECK(strstr(weft_tls_error_string(e.s), "wrong version") != NULL);
    CHECK_EQUAL(weft_close(e.peer), 0);
    (void)weft_stream_close(e.s);
    weft_tls_config_destroy(client);
    return NULL;
}

static void item_281_an_end_during_the_handshake_fails_it(void **state)
{
    (void)state;
    run_io(end_midway, NULL);
}

static void *abort_midway(void *arg)
{
    (void)arg;
    weft_tls_config *client = client_with((struct weft_tls_options){.is_server = false});
    struct ends e = open_ends(NULL);
    struct side side = {e.s, client, "server.test"};
    int fd = weft_stream_fd(e.s); /* not to be asked for while a layer is put under it */
    weft_task *t = spawn(side_start, &side);
    yield_until_calls(fd, 1);
    weft_stream_abort(e.s);
    CHECK_EQUAL(joined(t), -ECONNABORTED);
    CHECK_EQUAL(weft_stream_close(e.s), -ECONNABORTED);
    CHECK_EQUAL(weft_close(e.peer), 0);
    weft_tls_config_destroy(client);
    return NULL;
}

static void item_282_an_abort_during_the_handshake_ends_it(void **state)
{
    (void)state;
    run_io(abort_midway, NULL);
}

/* --- part-way --- */

static void *upgrade_server(void *arg)
{
    struct side *e = arg;
    check_next(e->s, "STARTTLS\n");
    write_text(e->s, "go ahead\n");
    return BOXED(weft_tls_start(e->s, e->config, NULL));
}

static void *upgrade(void *arg)
{
    (void)arg;
    weft_tls_config *server = server_with((struct weft_tls_options){.is_server = true});
    weft_tls_config *client = client_with((struct weft_tls_options){.is_server = false});
    struct weft_view view;
    weft_stream *ends[2];
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    struct side e = {ends[1], server, NULL};
    weft_task *t = spawn(upgrade_server, &e);
    write_text(ends[0], "STARTTLS\n");
    check_next(ends[0], "go ahead\n");
    CHECK_EQUAL(weft_tls_start(ends[0], client, "server.test"), 0);
    CHECK_EQUAL(joined(t), 0);
    write_text(ends[0], "hello");
    check_next(ends[1], "hello");
    close_pair(ends);
    /* The hello is in the reader's buffer already when the server starts. */
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    e = (struct side){ends[0], client, "server.test"};
    write_text(ends[0], "upgrade now\n");
    t = spawn(side_start, &e);
    CHECK_EQUAL(weft_stream_read_line(ends[1], &view), strlen("upgrade now\n"));
    CHECK(weft_stream_peek(ends[1], 100, &view) >= 100);
    CHECK_EQUAL(weft_tls_start(ends[1], server, NULL), 0);
    CHECK_EQUAL(joined(t), 0);
    write_text(ends[1], "hello");
    check_next(ends[0], "hello");
    close_pair(ends);
    weft_tls_config_destroy(server);
    weft_tls_config_destroy(client);
    return NULL;
}

static void item_234_284_a_stream_is_upgraded_part_way(void **state)
{
    (void)state;
    run_io(upgrade, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shakes_hands),
        cmocka_unit_test(half_the_stack_is_enough),
        cmocka_unit_test(item_283_a_wrong_host_is_refused),
        cmocka_unit_test(item_283_a_bad_certificate_is_refused),
        cmocka_unit_test(what_cannot_be_agreed_on_is_refused),
        cmocka_unit_test(clients_are_verified),
        cmocka_unit_test(item_279_a_slow_handshake_is_given_up),
        cmocka_unit_test(item_280_a_cancelled_handshake_closes_the_socket),
        cmocka_unit_test(item_281_an_end_during_the_handshake_fails_it),
        cmocka_unit_test(item_282_an_abort_during_the_handshake_ends_it),
        cmocka_unit_test(item_234_284_a_stream_is_upgraded_part_way),
    };
    help_limit_time();
    make_world();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drop_world();
    return failed;
}
