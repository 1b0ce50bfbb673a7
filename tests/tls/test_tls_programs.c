/* SPDX-License-Identifier: MIT */
/*
 * weft-echo and weft-load over TLS as people run them, and programs that are not of this project:
 * openssl s_client and socat against weft-echo, a client of weft-tls against openssl s_server.
 * Those that are not installed are passed over.
 */
#include "../io/echo_help.h"

#include <sys/socket.h>

#include <weft/weft.h>

static char certificate[64]; /* that the server has made */
static const char *port;

static int make_names(void **state)
{
    (void)make_folder(state);
    snprintf(certificate, sizeof certificate, "%s/certificate.pem", folder);
    return 0;
}

static void server_start(void)
{
    process_start(&server, 0,
                  ARGV("weft-echo", "--tls", "--port", "0", "--stats=0", "--write-certificate",
                       certificate));
    process_expect(&server, "descriptor limit");
    const char *said = strstr(server.text, "listening on ");
    assert_non_null(said);
    assert_int_equal(sscanf(said, "listening on %63s", address), 1);
    port = strrchr(address, ':') + 1;
}

static void server_end(void)
{
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    assert_int_equal(process_wait(&server), 0);
}

/* --- weft-load -------------------------------------------------------------------------------- */

static void test_load_of_each_shape(void **state)
{
    static char *const shapes[][3] = {
        /* connections, size, pipeline */
        {"20", "64", "1"}, {"3", "1", "7"}, {"10", "1000", "16"}, {"2", "500000", "4"},
    };
    (void)state;
    server_start();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        load_something(&load, ARGV("weft-load", "--connect", address, "--tls", "--ca", certificate,
                                   "--json", "--warmup", "0", "--connections", shapes[i][0],
                                   "--size", shapes[i][1], "--pipeline", shapes[i][2], "--duration",
                                   NULL));
        assert_true(process_number(&load, "unanswered") <= 0);
        assert_non_null(strstr(load.text, "the server is verified"));
    }
    load_something(&load, ARGV("weft-load", "--connect", address, "--tls", "--insecure", "--json",
                               "--warmup", "0", "--rate", "1000", "--pipeline", "4", "--idle", "20",
                               "--duration", NULL));
    assert_non_null(strstr(load.text, "the server is not verified"));
    assert_true(process_number(&load, "idle_alive") >= 20);
    server_end();
    assert_non_null(strstr(server.text, "failed                        0"));
}

static void test_load_over_a_unix_socket(void **state)
{
    (void)state;
    process_start(&server, 0,
                  ARGV("weft-echo", "--tls", "--unix", path, "--stats=0", "--write-certificate",
                       certificate));
    process_expect(&server, "descriptor limit");
    load_something(&load, ARGV("weft-load", "--unix", path, "--tls", "--ca", certificate, "--json",
                               "--warmup", "0", "--connections", "5", "--duration", NULL));
    server_end();
}

static void test_who_is_not_trusted_is_refused(void **state)
{
    (void)state;
    server_start();
    assert_int_equal(process_run(&load, ARGV("weft-load", "--connect", address, "--tls")), 1);
    assert_non_null(strstr(load.text, "self-signed certificate"));
    assert_non_null(strstr(load.text, "--ca FILE"));
    assert_int_equal(process_run(&load, ARGV("weft-load", "--connect", address, "--tls", "--ca",
                                             certificate, "--server-name", "other.test")), 1);
    assert_non_null(strstr(load.text, "hostname mismatch"));
    process_expect(&server, "did not agree on TLS");
    /* Who speaks no TLS does not get through either, and harms nobody. */
    assert_int_equal(process_run(&load, ARGV("weft-load", "--connect", address, "--duration", "0.1",
                                             "--warmup", "0")), 1);
    load_something(&load, ARGV("weft-load", "--connect", address, "--tls", "--ca", certificate,
                               "--json", "--warmup", "0", "--duration", NULL));
    server_end();
}

static void test_what_is_wrong_is_explained(void **state)
{
    char missing[96];
    (void)state;
    snprintf(missing, sizeof missing, "%s/nothing.pem", folder);
    assert_int_equal(shell("echo text >%s/text", folder), 0);
    assert_int_equal(process_run(&server, ARGV("weft-echo", "--tls", "--certificate", missing)), 1);
    assert_non_null(strstr(server.text, "No such file"));
    assert_non_null(strstr(server.text, "openssl req"));
    assert_int_equal(process_run(&server, ARGV("weft-echo", "--tls", "--protocol")), 64);
    assert_int_equal(process_run(&server, ARGV("weft-echo", "--key", missing)), 64);
    assert_non_null(strstr(server.text, "need --tls"));
    assert_int_equal(process_run(&load, ARGV("weft-load", "--insecure")), 64);
    assert_int_equal(process_run(&load, ARGV("weft-load", "--tls", "--ca", missing)), 1);
    snprintf(missing, sizeof missing, "%s/text", folder);
    assert_int_equal(process_run(&load, ARGV("weft-load", "--tls", "--ca", missing)), 1);
    assert_non_null(strstr(load.text, "no certificate in it"));
}

/* --- others' clients -------------------------------------------------------------------------- */

static void need(const char *command)
{
    if (!has_command(command)) {
        fprintf(stderr, "skipped: no %s; Debian has it in %s\n", command, command);
        skip();
    }
}

/* It ends with its input, so that is kept open until all has come back. */
static void test_openssl_s_client(void **state)
{
    (void)state;
    need("openssl");
    server_start();
    int status =
        shell("cd %s && seq 20000 >in && >out &&"
              " (cat in; until cmp -s in out; do sleep 0.01; done) |"
              " timeout 30 openssl s_client -quiet -no_ign_eof -nocommands -connect 127.0.0.1:%s"
              " -CAfile %s -verify_return_error -verify_ip 127.0.0.1 >out 2>err && cmp in out",
              folder, port, certificate);
    assert_int_equal(status, 0);
    server_end();
    assert_non_null(strstr(server.text, "failed                        0"));
}

static void test_socat_gets_all_of_a_file(void **state)
{
    (void)state;
    need("socat");
    server_start();
    int status = shell("cd %s && seq 200000 >in && timeout 30 socat -t30 STDIO"
                       " OPENSSL:localhost:%s,pf=ip4,cafile=%s <in >out && cmp in out",
                       folder, port, certificate);
    assert_int_equal(status, 0);
    server_end();
    assert_non_null(strstr(server.text, "failed                        0"));
}

/* --- others' server --------------------------------------------------------------------------- */

/* openssl's reverses each line. */
static void *talk_backwards(void *arg)
{
    weft_tls_config *tls = NULL;
    weft_stream *s = NULL;
    struct weft_view line;
    struct weft_tls_info info;
    struct weft_tls_options options = {.ca_file = certificate};
    assert_int_equal(weft_tls_config_create(&options, &tls), 0);
    struct weft_connect_options connect = {.tls = tls, .tls_host = "localhost"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_open_connection("127.0.0.1", arg, &connect, &s), 0);
        assert_int_equal(weft_stream_write(s, "drawkcab\n", 9), 9);
        assert_int_equal(weft_stream_read_line(s, &line), 9);
        assert_memory_equal(line.data, "backward\n", 9);
        assert_int_equal(weft_tls_info(s, &info), 0);
        assert_true(info.is_verified);
        assert_int_equal(weft_stream_close(s), 0);
    }
    weft_tls_config_destroy(tls);
    return NULL;
}

static void test_openssl_s_server(void **state)
{
    char number[8];
    (void)state;
    need("openssl");
    assert_int_equal(shell("cd %s && openssl req -x509 -newkey ec -pkeyopt"
                           " ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext"
                           " subjectAltName=DNS:localhost -keyout key.pem -out %s 2>err",
                           folder, certificate), 0);
    process_start_at(&server, "/bin/sh",
                     ARGV("sh", "-c", "cd $0 && exec timeout 60 openssl s_server -rev -accept"
                          " 127.0.0.1:0 -cert certificate.pem -key key.pem", folder));
    process_expect(&server, "ACCEPT ");
    const char *said = strstr(server.text, "ACCEPT ");
    assert_int_equal(sscanf(said, "ACCEPT 127.0.0.1:%7s", number), 1);
    assert_int_equal(weft_run(talk_backwards, number, NULL), 0);
}

#define CASE(test) cmocka_unit_test_teardown(test, kill_leftovers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_load_of_each_shape),
        CASE(test_load_over_a_unix_socket),
        CASE(test_who_is_not_trusted_is_refused),
        CASE(test_what_is_wrong_is_explained),
        CASE(test_openssl_s_client),
        CASE(test_socat_gets_all_of_a_file),
        CASE(test_openssl_s_server),
    };
    if (tools_dir() == NULL) {
        fprintf(stderr, "skipped: WEFT_TOOLS_DIR does not say where the programs are\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, make_names, remove_folder);
}
