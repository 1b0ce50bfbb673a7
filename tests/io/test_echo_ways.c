/* SPDX-License-Identifier: MIT */
/*
 * The ways in which weft-echo serves and weft-load asks, on TCP and on Unix sockets, and clients
 * that are not of this project: nc and socat, which send a file, say that this was all, and write
 * what comes back until the end. Those that are not installed are passed over.
 */
#include "echo_help.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* How connections are served; a flag twice is no fault. */
static char *const ways[] = {"--stats=0", "--streams", "--protocol"};
#define WAYS (sizeof ways / sizeof *ways)

static void server_start_tcp(char *way)
{
    process_start(&server, 0, ARGV("weft-echo", "--port", "0", "--stats=0", way));
    process_expect(&server, "descriptor limit");
    assert_int_equal(sscanf(server.text, "listening on %63s", address), 1);
}

static void server_start_unix(char *at, char *way)
{
    process_start(&server, 0, ARGV("weft-echo", "--unix", at, "--stats=0", way));
    process_expect(&server, "descriptor limit");
    assert_non_null(strstr(server.text, "listening on unix:"));
    assert_non_null(strstr(server.text, at));
}

static void server_end(void)
{
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    assert_int_equal(process_wait(&server), 0);
    assert_non_null(strstr(server.text, "failed                        0"));
}

/* --- weft-load -------------------------------------------------------------------------------- */

static void test_load_in_each_shape(void **state, char *way, const char *word)
{
    static char *const shapes[][3] = {
        /* connections, size, pipeline */
        {"20", "64", "1"}, {"3", "1", "7"}, {"10", "1000", "16"}, {"2", "500000", "4"},
    };
    (void)state;
    server_start_tcp(way);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        load_something(&load, ARGV("weft-load", "--connect", address, way, "--json",
                                   "--warmup", "0", "--connections", shapes[i][0], "--size",
                                   shapes[i][1], "--pipeline", shapes[i][2], "--duration", NULL));
        assert_true(process_number(&load, "unanswered") <= 0);
        assert_non_null(strstr(load.text, word));
    }
}

static void test_load_by_callbacks(void **state)
{
    test_load_in_each_shape(state, ways[2], "\"connection\":\"callbacks\"");
    load_something(&load, ARGV("weft-load", "--connect", address, "--protocol", "--json",
                               "--warmup", "0", "--idle", "20", "--duration", NULL));
    assert_true(process_number(&load, "idle_alive") >= 20);
    server_end();
}

static void test_load_by_streams(void **state)
{
    test_load_in_each_shape(state, ways[1], "\"connection\":\"stream\"");
    load_something(&load, ARGV("weft-load", "--connect", address, "--streams", "--json", "--warmup",
                               "0", "--rate", "2000", "--pipeline", "4", "--idle", "20",
                               "--duration", NULL));
    assert_true(process_number(&load, "idle_alive") >= 20);
    server_end();
}

static void test_unix_sockets_in_each_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        server_start_unix(path, ways[i]);
        load_something(&load, ARGV("weft-load", "--unix", path, "--json", "--warmup", "0",
                                   "--connections", "20", i == 1 ? "--streams" : "--json",
                                   "--idle", "5", "--duration", NULL));
        assert_true(process_number(&load, "idle_alive") >= 5);
        server_end();
        assert_int_equal(access(path, F_OK), -1); /* it leaves nothing behind */
    }
}

static void test_unix_name_without_a_file(void **state)
{
    char name[64];
    (void)state;
    snprintf(name, sizeof name, "@weft-test-%d", (int)getpid());
    server_start_unix(name, ways[0]);
    load_something(&load, ARGV("weft-load", "--unix", name, "--json", "--warmup", "0", "--duration",
                               NULL));
    server_end();
}

/* The kernel closes the sockets of a killed process's ring when it comes to it. */
static void wait_until_refused(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int refused = 0;
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    for (int ms = 0; ms < PROCESS_SECONDS * 1000 && !refused; ms++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        refused = connect(fd, (struct sockaddr *)&at, sizeof at) < 0 && errno == ECONNREFUSED;
        close(fd);
        (void)poll(NULL, 0, 1);
    }
    assert_true(refused);
}

static void test_file_left_behind_is_replaced(void **state)
{
    struct stat is;
    struct process second = {0};
    (void)state;
    server_start_unix(path, ways[0]);
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
    server.pid = 0;
    close(server.out);
    wait_until_refused();
    assert_int_equal(stat(path, &is), 0);
    server_start_unix(path, ways[0]);
    /* One that is listened at is not, nor is what is no socket. */
    assert_int_equal(process_run(&second, ARGV("weft-echo", "--unix", path)), 1);
    assert_non_null(strstr(second.text, "in use"));
    server_end();
    assert_int_equal(shell("echo text >%s", path), 0);
    assert_int_equal(process_run(&second, ARGV("weft-echo", "--unix", path)), 1);
    assert_int_equal(shell("rm %s", path), 0);
}

static void test_what_contradicts_itself_is_explained(void **state)
{
    char long_path[200];
    (void)state;
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(process_run(&server, ARGV("weft-echo", "--unix", long_path)), 64);
    assert_non_null(strstr(server.text, "--unix takes a path of 1 to 107 bytes"));
    assert_int_equal(process_run(&server, ARGV("weft-echo", "--unix", path, "--port", "1")), 64);
    assert_int_equal(process_run(&server, ARGV("weft-echo", "--streams", "--protocol")), 64);
    assert_non_null(strstr(server.text, "choose one"));
    assert_int_equal(process_run(&load, ARGV("weft-load", "--unix", path, "--source", "::1")), 64);
    assert_int_equal(process_run(&load, ARGV("weft-load", "--streams", "--size", "10000000",
                                             "--pipeline", "1000")), 64);
    assert_int_equal(process_run(&load, ARGV("weft-load", "--unix", path)), 1);
    assert_non_null(strstr(load.text, "no connection to unix:"));
}

/* --- others' clients -------------------------------------------------------------------------- */

/* More than the sockets hold both ways, so that a server that does not read on is found out. */
#define FILE_BYTES "8000000"

static void make_file(void)
{
    assert_int_equal(shell("head -c " FILE_BYTES " /dev/urandom >%s/in", folder), 0);
}

/* Have a client send the file; its shell line has no redirections. */
static void expect_echo(const char *client)
{
    int status = shell("cd %s && timeout 30 %s <in >out && cmp in out", folder, client);
    if (status != 0) {
        fail_msg("status %d: %s; the server: %s", status, client, process_text(&server));
    }
}

static void test_nc_gets_all_of_a_file(void **state)
{
    char client[256];
    (void)state;
    if (!has_command("nc") || shell("nc -h 2>&1 | grep -q OpenBSD") != 0) {
        fprintf(stderr, "skipped: no nc of OpenBSD; Debian has it in netcat-openbsd\n");
        skip();
    }
    make_file();
    for (size_t i = 0; i < WAYS; i++) {
        server_start_tcp(ways[i]);
        snprintf(client, sizeof client, "nc -N 127.0.0.1 %s", strrchr(address, ':') + 1);
        expect_echo(client);
        server_end();
        server_start_unix(path, ways[i]);
        snprintf(client, sizeof client, "nc -N -U %s", path);
        expect_echo(client);
        server_end();
    }
}

static void test_socat_gets_all_of_a_file(void **state)
{
    char client[256];
    (void)state;
    if (!has_command("socat")) {
        fprintf(stderr, "skipped: no socat; Debian has it in socat\n");
        skip();
    }
    make_file();
    for (size_t i = 0; i < WAYS; i++) {
        server_start_tcp(ways[i]);
        snprintf(client, sizeof client, "socat -t30 STDIO TCP:%s", address);
        expect_echo(client);
        server_end();
        server_start_unix(path, ways[i]);
        snprintf(client, sizeof client, "socat -t30 STDIO UNIX-CONNECT:%s", path);
        expect_echo(client);
        server_end();
    }
}

#define CASE(test) cmocka_unit_test_teardown(test, kill_leftovers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_load_by_streams),
        CASE(test_load_by_callbacks),
        CASE(test_unix_sockets_in_each_way),
        CASE(test_unix_name_without_a_file),
        CASE(test_file_left_behind_is_replaced),
        CASE(test_what_contradicts_itself_is_explained),
        CASE(test_nc_gets_all_of_a_file),
        CASE(test_socat_gets_all_of_a_file),
    };
    if (tools_dir() == NULL) {
        fprintf(stderr, "skipped: WEFT_TOOLS_DIR does not say where the programs are\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
