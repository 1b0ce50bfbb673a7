/* SPDX-License-Identifier: MIT */
/*
 * Serving and connecting with TLS, on sockets: certificates by name, sessions, a change of
 * certificates while serving, clients that fail beside others, and openssl and curl as peers.
 */
#include "tls_help.h"

static void echo(weft_stream *s, void *arg)
{
    char buf[4096];
    ssize_t n;
    atomic_add_seq_cst((shared_int *)arg, 1);
    while ((n = weft_stream_read(s, buf, sizeof buf)) > 0) {
        (void)weft_stream_write(s, buf, (size_t)n);
    }
}

struct served {
    weft_server *server;
    char port[8];
    shared_int handlers;
    shared_int refused;
};

static void count_refused(int err, const char *reason, void *arg)
{
    (void)err;
    (void)reason;
    atomic_add_seq_cst((shared_int *)arg, 1);
}

static void serve(struct served *s, weft_tls_config *config, weft_handler handler)
{
    struct weft_server_options options = {.host = "127.0.0.1", .tls = config};
    atomic_store_seq_cst(&s->handlers, 0);
    CHECK_EQUAL(weft_serve(&options, handler, &s->handlers, &s->server), 0);
    snprintf(s->port, sizeof s->port, "%d", weft_server_port(s->server));
}

static int connect_as(const struct served *s, weft_tls_config *config, const char *host,
                      weft_stream **stream)
{
    struct weft_connect_options options = {.tls = config, .tls_host = host};
    return weft_open_connection("127.0.0.1", s->port, &options, stream);
}

static void check_echo(weft_stream *s)
{
    write_text(s, "hello");
    check_next(s, "hello");
    CHECK_EQUAL(weft_stream_close(s), 0);
}

static void *serve_some(void *arg)
{
    (void)arg;
    struct served s = {.refused = 0};
    weft_stream *stream;
    struct weft_server_options odd = {.host = "127.0.0.1"};
    weft_server *none;
    weft_tls_config *client = client_with((struct weft_tls_options){.is_server = false});
    weft_tls_config *server = server_with((struct weft_tls_options){
        .on_refused = count_refused, .on_refused_arg = &s.refused});
    odd.tls = client;
    CHECK_EQUAL(weft_serve(&odd, echo, NULL, &none), -EINVAL); /* the other side's */
    serve(&s, server, echo);
    CHECK_EQUAL(connect_as(&s, client, NULL, &stream), 0); /* for 127.0.0.1 */
    check_echo(stream);
    CHECK_EQUAL(connect_as(&s, server, NULL, &stream), -EINVAL);
    CHECK_EQUAL(connect_as(&s, client, "server.test", &stream), 0);
    weft_stream *other;
    CHECK_EQUAL(connect_as(&s, client, "other.test", &other), -EKEYREJECTED);
    CHECK(strstr(weft_tls_error_string(NULL), "mismatch") != NULL);
    yield_until(&s.refused, 1);
    check_echo(stream);         /* nobody else was disturbed */
    CHECK_EQUAL(atomic_load_seq_cst(&s.handlers), 2); /* and no handler has seen it */
    CHECK_EQUAL(weft_server_close(s.server, WEFT_FOREVER), 0);
    weft_tls_config_destroy(client);
    weft_tls_config_destroy(server);
    return NULL;
}

static void item_283_no_handler_sees_a_client_that_failed(void **state)
{
    (void)state;
    run_io(serve_some, NULL);
}

/* --- which certificate --- */

static void check_name(const struct served *s, weft_tls_config *client, const char *host,
                       const char *name)
{
    char text[64];
    weft_stream *stream;
    CHECK_EQUAL(connect_as(s, client, host, &stream), 0);
    CHECK(weft_tls_peer_name(stream, text, sizeof text) > 0);
    CHECK_EQUAL(strcmp(text, name), 0);
    check_echo(stream);
}

static int choose_last(const char *host, void *arg)
{
    (void)arg;
    return host != NULL && strcmp(host, "nobody.test") == 0 ? -1 : 1;
}

static void *serve_names(void *arg)
{
    (void)arg;
    struct served s = {.refused = 0};
    weft_stream *stream;
    struct made *second = make_certificate("second", "DNS:*.second.test,DNS:server.test",
                                           world.authority, -3600, 3600);
    struct weft_tls_certificate both[2] = {as_certificate(world.server), as_certificate(second)};
    weft_tls_config *client = client_with((struct weft_tls_options){.no_resumption = true});
    struct weft_tls_options options = {.is_server = true, .certificates = both,
                                       .certificate_count = 2};
    weft_tls_config *server = server_with(options);
    serve(&s, server, echo);
    check_name(&s, client, "server.test", "CN=server");
    check_name(&s, client, "a.second.test", "CN=second");
    check_name(&s, client, NULL, "CN=server");
    CHECK_EQUAL(connect_as(&s, client, "a.b.second.test", &stream), -EKEYREJECTED);
    options.choose = choose_last;
    CHECK_EQUAL(weft_tls_config_reload(server, &options), 0);
    check_name(&s, client, "server.test", "CN=second");
    CHECK(connect_as(&s, client, "nobody.test", &stream) < 0);
    CHECK_EQUAL(weft_server_close(s.server, WEFT_FOREVER), 0);
    weft_tls_config_destroy(client);
    weft_tls_config_destroy(server);
    drop_certificate(second);
    return NULL;
}

static void a_name_chooses_the_certificate(void **state)
{
    (void)state;
    run_io(serve_names, NULL);
}

/* --- sessions, and other certificates --- */

static bool is_resumed(const struct served *s, weft_tls_config *client)
{
    struct weft_tls_info info;
    weft_stream *stream;
    CHECK_EQUAL(connect_as(s, client, "server.test", &stream), 0);
    CHECK_EQUAL(weft_tls_info(stream, &info), 0);
    CHECK(info.is_verified);
    check_echo(stream);
    return info.is_resumed;
}

static void *reload(void *arg)
{
    (void)arg;
    struct served s = {.refused = 0};
    weft_stream *old;
    struct weft_tls_options options = {.is_server = true};
    weft_tls_config *client = client_with((struct weft_tls_options){.is_server = false});
    weft_tls_config *server = server_with(options);
    serve(&s, server, echo);
    CHECK(!is_resumed(&s, client));
    CHECK(is_resumed(&s, client));
    CHECK(is_resumed(&s, client));
    CHECK_EQUAL(connect_as(&s, client, "server.test", &old), 0);
    struct made *next = make_certificate("next", "DNS:server.test", world.authority, -3600, 3600);
    struct weft_tls_certificate own = as_certificate(next);
    options.certificates = &own;
    options.certificate_count = 1;
    CHECK_EQUAL(weft_tls_config_reload(client, &options), -EINVAL);
    CHECK_EQUAL(weft_tls_config_reload(server, &(struct weft_tls_options){.is_server = true}),
                -EINVAL);
    own.key_pem = world.server->key_pem;
    CHECK_EQUAL(weft_tls_config_reload(server, &options), -EKEYREJECTED);
    own.key_pem = "no key";
    CHECK_EQUAL(weft_tls_config_reload(server, &options), -EBADMSG);
    own = (struct weft_tls_certificate){.chain_file = "/no such file"};
    CHECK_EQUAL(weft_tls_config_reload(server, &options), -ENOENT);
    own = as_certificate(next);
    CHECK_EQUAL(weft_tls_config_reload(server, &options), 0);
    CHECK(!is_resumed(&s, client));
    check_echo(old);
    check_name(&s, client, "server.test", "CN=next");
    CHECK_EQUAL(weft_server_close(s.server, WEFT_FOREVER), 0);
    weft_tls_config_destroy(client);
    weft_tls_config_destroy(server);
    drop_certificate(next);
    return NULL;
}

static void certificates_are_changed_while_serving(void **state)
{
    (void)state;
    run_io(reload, NULL);
}

/* --- programs --- */

static void answer(weft_stream *s, void *arg)
{
    static const char text[] = "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
    struct weft_view line;
    atomic_add_seq_cst((shared_int *)arg, 1);
    while (weft_stream_read_line(s, &line) > 2) { /* up to the empty one */
    }
    (void)weft_stream_write(s, text, sizeof text - 1);
}

/* In a task: what a command prints, up to n bytes. */
static void run_command(const char *command, char *text, size_t bytes)
{
    FILE *out = popen(command, "r");
    CHECK(out != NULL);
    size_t n = fread(text, 1, bytes - 1, out);
    text[n] = '\0';
    (void)pclose(out);
}

struct command {
    char line[512];
    char text[8192];
};

static void *command_run(void *arg)
{
    struct command *c = arg;
    run_command(c->line, c->text, sizeof c->text);
    return NULL;
}

static bool has_program(const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "command -v %s >/dev/null", name);
    return system(line) == 0;
}

static void *talk_to_programs(void *arg)
{
    const char *ca = arg;
    static struct command c;
    struct served s = {.refused = 0};
    weft_tls_config *server = server_with((struct weft_tls_options){.is_server = true});
    serve(&s, server, answer);
    if (has_program("curl")) {
        snprintf(c.line, sizeof c.line,
                 "curl -s -S -m 20 --noproxy '*' --cacert %s --resolve server.test:%s:127.0.0.1 "
                 "https://server.test:%s/ 2>&1", ca, s.port, s.port);
        CHECK_EQUAL(weft_run_blocking(command_run, &c, NULL), 0);
        CHECK_EQUAL(strcmp(c.text, "hello\n"), 0);
    }
    for (int i = 0; i < 2 && has_program("openssl"); i++) {
        snprintf(c.line, sizeof c.line,
                 "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 20 openssl s_client -quiet "
                 "-verify_return_error %s -CAfile %s -servername server.test "
                 "-verify_hostname server.test -connect 127.0.0.1:%s 2>/dev/null",
                 i == 0 ? "-tls1_2" : "-tls1_3", ca, s.port);
        CHECK_EQUAL(weft_run_blocking(command_run, &c, NULL), 0);
        CHECK(strstr(c.text, "\r\n\r\nhello\n") != NULL);
    }
    CHECK_EQUAL(weft_server_close(s.server, WEFT_FOREVER), 0);
    weft_tls_config_destroy(server);
    return NULL;
}

static void programs_are_served(void **state)
{
    (void)state;
    char ca[] = "/tmp/weft-tls-XXXXXX";
    int fd = mkstemp(ca);
    assert_true(fd >= 0);
    ssize_t n = (ssize_t)strlen(world.authority->chain_pem);
    assert_int_equal(write(fd, world.authority->chain_pem, (size_t)n), n);
    close(fd);
    run_case(talk_to_programs, ca);
    unlink(ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_283_no_handler_sees_a_client_that_failed),
        cmocka_unit_test(a_name_chooses_the_certificate),
        cmocka_unit_test(certificates_are_changed_while_serving),
        cmocka_unit_test(programs_are_served),
    };
    help_limit_time();
    make_world();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drop_world();
    return failed;
}
