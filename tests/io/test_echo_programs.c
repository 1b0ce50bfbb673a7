/* SPDX-License-Identifier: MIT */
/*
 * weft-echo and weft-load as people run them: as processes, with arguments, signals and limits.
 *
 * The programs are found in WEFT_TOOLS_DIR; without it the test is skipped. Every process gets a
 * time after which it is killed and the test fails, so a hang cannot outlive the test.
 *
 * Workers: 1 3
 */
#include "program_help.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_SECONDS 20

/* --- the two programs ------------------------------------------------------------------------- */

static struct process server;
static struct process load;
static char address[64];
static unsigned short port;

static char *server_flag; /* how servers serve; NULL: by calls on descriptors */

static void server_start(rlim_t descriptors, char *grace, char *workers)
{
    process_start(&server, descriptors,
                  ARGV("weft-echo", "--port", "0", "--stats=0", "--grace", grace,
                       server_flag != NULL ? server_flag : "--stats=0",
                       workers != NULL ? "--workers" : NULL, workers));
    process_expect(&server, "descriptor limit");
    assert_int_equal(sscanf(server.text, "listening on %63s", address), 1);
    port = (unsigned short)strtoul(strrchr(address, ':') + 1, NULL, 10);
    assert_true(port > 0);
}

static void server_end(void)
{
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    assert_int_equal(process_wait(&server), 0);
}

/* Whatever a failed test left running. */
static int kill_leftovers(void **state)
{
    (void)state;
    server_flag = NULL;
    process_kill(&server);
    process_kill(&load);
    return 0;
}

/* --- a client --------------------------------------------------------------------------------- */

static int client_socket(void)
{
    struct timeval limit = {.tv_sec = CLIENT_SECONDS};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    return fd;
}

/* Returns 0 or errno. */
static int client_try_connect(int fd)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    return connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
}

static int client_connect(void)
{
    int fd = client_socket();
    assert_int_equal(client_try_connect(fd), 0);
    return fd;
}

static void client_talk(int fd)
{
    char got[5];
    assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
    assert_int_equal(recv(fd, got, 5, MSG_WAITALL), 5);
    assert_memory_equal(got, "hello", 5);
}

/* --- weft-echo -------------------------------------------------------------------------------- */

static void test_sigterm_ends_an_idle_server(void **state)
{
    (void)state;
    server_start(0, "5", NULL);
    server_end();
    assert_non_null(strstr(server.text, "ended: 0 connections served"));
}

static void test_connections_may_finish_within_the_grace_time(void **state)
{
    (void)state;
    server_start(0, "60", NULL);
    int old = client_connect();
    client_talk(old);
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    process_expect(&server, "ending: 1 connections");
    client_talk(old);
    int late = client_socket();
    assert_int_equal(client_try_connect(late), ECONNREFUSED);
    close(late);
    close(old);
    assert_int_equal(process_wait(&server), 0);
    assert_null(strstr(server.text, "cut off"));
}

static void test_connections_are_cut_off_after_the_grace_time(void **state)
{
    char byte;
    (void)state;
    server_start(0, "0.1", NULL);
    int fd = client_connect();
    client_talk(fd);
    server_end();
    assert_non_null(strstr(server.text, "1 of them cut off"));
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static void test_second_signal_ends_the_grace_time(void **state)
{
    (void)state;
    server_start(0, "600", NULL);
    int fd = client_connect();
    client_talk(fd);
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    process_expect(&server, "ending: 1 connections");
    assert_int_equal(kill(server.pid, SIGINT), 0);
    assert_int_equal(process_wait(&server), 0);
    close(fd);
}

static void test_descriptor_shortage_passes(void **state)
{
    enum { LIMIT = 64, CLIENTS = 100 };

    int fds[CLIENTS];
    (void)state;
    server_start(LIMIT, "5", "1");
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_connect();
    }
    process_expect(&server, "cannot accept for now");
    client_talk(fds[0]);
    /* Each that leaves makes room for one that waits in the backlog; all get their turn. */
    for (int i = 0; i < CLIENTS; i++) {
        client_talk(fds[i]);
        close(fds[i]);
    }
    server_end();
    const char *said = strstr(server.text, "cannot accept for now");
    assert_null(strstr(said + 1, "cannot accept for now"));
    assert_non_null(strstr(server.text, "ended: 100 connections served"));
}

static void test_counters_on_demand(void **state)
{
    (void)state;
    server_start(0, "5", NULL);
    int fd = client_connect();
    client_talk(fd);
    assert_int_equal(kill(server.pid, SIGUSR1), 0);
    process_expect(&server, "idle ones included");
    client_talk(fd);
    close(fd);
    server_end();
}

static void test_bad_arguments_are_explained(void **state)
{
    (void)state;
    assert_int_equal(process_run(&server, ARGV("weft-echo", "--port", "70000")), 64);
    assert_non_null(strstr(server.text, "--port takes a whole number from 0 to 65535"));
    assert_int_equal(process_run(&server, ARGV("weft-echo", "--grace", "soon")), 64);
    assert_non_null(strstr(server.text, "--grace takes seconds"));
    assert_int_equal(process_run(&server, ARGV("weft-echo", "please")), 64);
    assert_int_equal(process_run(&load, ARGV("weft-load", "--connect", "nowhere")), 64);
    assert_non_null(strstr(load.text, "--connect takes HOST:PORT"));
    assert_int_equal(process_run(&load, ARGV("weft-load", "--rate", "-3")), 64);
    assert_int_equal(process_run(&load, ARGV("weft-load", "--connections", "0")), 64);
    assert_non_null(strstr(load.text, "nothing to do"));
    assert_int_equal(process_run(&load, ARGV("weft-load", "--help")), 0);
    assert_non_null(strstr(load.text, "--connections"));
    assert_int_equal(process_run(&server, ARGV("weft-echo", "--help")), 0);
}

static void test_port_in_use_is_said(void **state)
{
    char text[8];
    struct process second = {0};
    (void)state;
    server_start(0, "5", NULL);
    snprintf(text, sizeof text, "%u", port);
    assert_int_equal(process_run(&second, ARGV("weft-echo", "--port", text)), 1);
    assert_non_null(strstr(second.text, "cannot listen on 127.0.0.1:"));
    assert_non_null(strstr(second.text, "in use"));
    server_end();
}

/* --- weft-load -------------------------------------------------------------------------------- */

static double report_number(const char *key)
{
    return process_number(&load, key);
}

static void assert_clean_report(void)
{
    if (report_number("requests") < 1 || strstr(load.text, "\"errors\":{}") == NULL) {
        fail_msg("errors, or nothing done: %s", load.text);
    }
}

static void test_load_of_each_shape(void **state)
{
    static char *const shapes[][3] = {
        /* connections, size, pipeline */
        {"1", "64", "1"},     {"50", "64", "1"},     {"3", "1", "7"},
        {"10", "1000", "16"}, {"2", "1000000", "3"}, {"5", "100000", "1"},
    };
    (void)state;
    server_start(0, "5", NULL);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        load_something(&load, ARGV("weft-load", "--connect", address, "--json", "--warmup", "0.05",
                                   "--connections", shapes[i][0], "--size", shapes[i][1],
                                   "--pipeline", shapes[i][2], "--duration", NULL));
        assert_true(report_number("unanswered") <= 0);
    }
    server_end();
    assert_non_null(strstr(server.text, "failed                        0"));
}

static void test_load_at_a_fixed_rate(void **state)
{
    static char *const pipelines[] = {"1", "4"};
    (void)state;
    server_start(0, "5", NULL);
    for (size_t i = 0; i < 2; i++) {
        double rate = 0;
        /* A busy machine spoils some: what it was late with comes in the next one's time. */
        for (int k = 0; k < 8 && (rate < 300 || rate > 500); k++) {
            int status =
                process_run(&load, ARGV("weft-load", "--connect", address, "--json", "--duration",
                                        "0.5", "--warmup", "0.1", "--rate", "400", "--connections",
                                        "4", "--pipeline", pipelines[i]));
            assert_int_equal(status, 0);
            rate = report_number("requests_per_s");
        }
        assert_clean_report();
        if (rate < 300 || rate > 500) {
            fail_msg("asked for 400 requests/s: %s", load.text);
        }
    }
    server_end();
}

static void test_load_holds_idle_connections(void **state)
{
    char pid[16];
    (void)state;
    server_start(0, "5", NULL);
    snprintf(pid, sizeof pid, "%d", (int)server.pid);
    load_something(&load, ARGV("weft-load", "--connect", address, "--json", "--idle", "300",
                               "--pid", pid, "--source", "127.0.0.2,127.0.0.3", "--duration",
                               NULL));
    assert_true(report_number("idle_opened") >= 300);
    assert_true(report_number("idle_alive") >= 300);
    assert_true(report_number("descriptors_with_idle") >=
                report_number("descriptors_before") + 300);
    assert_true(report_number("descriptors_after") <= report_number("descriptors_before"));
    assert_true(report_number("cpu_us_per_request") > 0);
    server_end();
}

static void test_load_says_when_nobody_is_there(void **state)
{
    (void)state;
    /* A port that was free a moment ago. */
    server_start(0, "5", NULL);
    server_end();
    assert_int_equal(process_run(&load, ARGV("weft-load", "--connect", address)), 1);
    assert_non_null(strstr(load.text, "Connection refused"));
}

/* Wait until the progress of weft-load tells of so many errors. */
static void load_expect_errors(unsigned long count)
{
    static const char word[] = "errors ";
    for (int ms = 0; ms < PROCESS_SECONDS * 1000; ms += 5) {
        for (const char *at = process_text(&load); (at = strstr(at, word)) != NULL; at++) {
            if (strtoul(at + sizeof word - 1, NULL, 10) >= count) {
                return;
            }
        }
        (void)poll(NULL, 0, 5);
    }
    fail_msg("not %lu errors in: %s", count, process_text(&load));
}

static void test_load_survives_the_death_of_the_server(void **state)
{
    static char *const rates[] = {NULL, "200"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        server_start(0, "5", NULL);
        process_start(&load, 0,
                      ARGV("weft-load", "--connect", address, "--json", "--progress", "--warmup",
                           "0", "--duration", "600", "--connections", "20",
                           rates[i] != NULL ? "--rate" : NULL, rates[i]));
        process_expect(&load, "requests/s");
        kill(server.pid, SIGKILL);
        waitpid(server.pid, NULL, 0);
        server.pid = 0;
        close(server.out);
        load_expect_errors(100); /* it goes on, and tries to connect again and again */
        kill(load.pid, SIGINT);
        assert_int_equal(process_wait(&load), 0);
        assert_true(report_number("connect ECONNREFUSED") > 0);
    }
}

static void test_load_can_be_interrupted(void **state)
{
    (void)state;
    server_start(0, "5", NULL);
    process_start(&load, 0,
                  ARGV("weft-load", "--connect", address, "--json", "--progress", "--duration",
                       "600", "--warmup", "0"));
    process_expect(&load, "requests/s");
    kill(load.pid, SIGINT);
    assert_int_equal(process_wait(&load), 0);
    assert_clean_report();
    server_end();
}

/* A server that changes one byte; ends with its first connection. */
static void *lie(void *arg)
{
    int fd = accept(*(int *)arg, NULL, NULL);
    char data[64];
    ssize_t n = recv(fd, data, sizeof data, MSG_WAITALL);
    data[40] ^= 1;
    (void)!send(fd, data, n > 0 ? (size_t)n : 0, MSG_NOSIGNAL);
    close(*(int *)arg);
    close(fd);
    return NULL;
}

static void test_load_notices_wrong_bytes(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    pthread_t thread;
    (void)state;
    int fd = client_socket();
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&thread, NULL, lie, &fd), 0);
    int status = process_run(&load, ARGV("weft-load", "--connect", address, "--json", "--duration",
                                         "2", "--warmup", "0"));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(status, 1);
    assert_true(report_number("wrong bytes") >= 1);
}

static int use_protocol(void **state)
{
    (void)state;
    server_flag = "--protocol";
    return 0;
}

static int use_streams(void **state)
{
    (void)state;
    server_flag = "--streams";
    return 0;
}

#define CASE_BY_PROTOCOL(test) \
    { #test " by protocol", test, use_protocol, kill_leftovers, NULL }
#define CASE_BY_STREAMS(test) \
    { #test " by streams", test, use_streams, kill_leftovers, NULL }
#define CASE(test) cmocka_unit_test_teardown(test, kill_leftovers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_sigterm_ends_an_idle_server),
        CASE(test_connections_may_finish_within_the_grace_time),
        CASE(test_connections_are_cut_off_after_the_grace_time),
        CASE(test_second_signal_ends_the_grace_time),
        CASE(test_descriptor_shortage_passes),
        CASE(test_counters_on_demand),
        CASE(test_bad_arguments_are_explained),
        CASE(test_port_in_use_is_said),
        CASE(test_load_of_each_shape),
        CASE(test_load_at_a_fixed_rate),
        CASE(test_load_holds_idle_connections),
        CASE(test_load_says_when_nobody_is_there),
        CASE(test_load_survives_the_death_of_the_server),
        CASE(test_load_can_be_interrupted),
        CASE(test_load_notices_wrong_bytes),
        CASE_BY_PROTOCOL(test_sigterm_ends_an_idle_server),
        CASE_BY_PROTOCOL(test_connections_may_finish_within_the_grace_time),
        CASE_BY_PROTOCOL(test_connections_are_cut_off_after_the_grace_time),
        CASE_BY_PROTOCOL(test_descriptor_shortage_passes),
        CASE_BY_PROTOCOL(test_counters_on_demand),
        CASE_BY_PROTOCOL(test_load_of_each_shape),
        CASE_BY_PROTOCOL(test_load_holds_idle_connections),
        CASE_BY_STREAMS(test_connections_are_cut_off_after_the_grace_time),
        CASE_BY_STREAMS(test_load_of_each_shape),
    };
    if (tools_dir() == NULL) {
        fprintf(stderr, "skipped: WEFT_TOOLS_DIR does not say where the programs are\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
