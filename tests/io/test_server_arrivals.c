/* SPDX-License-Identifier: MIT */
/*
 * Servers whose connections the kernel accepts by itself, ahead of the task that takes them: none
 * that was accepted is lost, whenever the server stops, however many come at once; no descriptor
 * is left; and a server takes over from another one on the same port.
 *
 * Workers: 1 3
 */
#include "stream_help.h"

#include <sys/resource.h>

/* More than are queued before the kernel is asked to stop. */
#define MANY 300

static shared_int handled; /* connections whose request was read */
static shared_int begun;   /* whose handler began */

static void answer(weft_stream *s, void *arg)
{
    char request[4];
    (void)arg;
    atomic_add_seq_cst(&begun, 1);
    if (weft_stream_read_exactly(s, request, sizeof request) == sizeof request) {
        atomic_add_seq_cst(&handled, 1);
        CHECK_EQUAL(weft_stream_write(s, request, sizeof request), sizeof request);
    }
}

static weft_server *served(int port)
{
    char service[8];
    weft_server *server = NULL;
    snprintf(service, sizeof service, "%d", port);
    struct weft_server_options options = {
        .host = "127.0.0.1",
        .service = service,
        .reuse_port = true,
        .backlog = 2 * MANY,
    };
    atomic_store_seq_cst(&handled, 0);
    atomic_store_seq_cst(&begun, 0);
    CHECK_EQUAL(weft_serve(&options, answer, NULL, &server), 0);
    return server;
}

static int connected(int port)
{
    struct sockaddr_in a = loopback();
    a.sin_port = htons((uint16_t)port);
    int fd = weft_socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    int err = weft_connect(fd, any_address(&a), sizeof a);
    if (err < 0) {
        CHECK_EQUAL(weft_close(fd), 0);
    }
    return err < 0 ? err : fd;
}

/* Send a request and read the answer. 0, or what came instead. */
static int asked(int fd)
{
    char got[4];
    int err = weft_write_full(fd, "ping", 4, NULL);
    err = err == 0 ? weft_read_full(fd, got, 4, NULL) : err;
    CHECK(err != 0 || memcmp(got, "ping", 4) == 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return err;
}

/* All of a burst are connected before the server stops: all are served. */
static void *stop_after_burst(void *arg)
{
    static int fds[MANY];
    bool settles = arg != NULL;
    weft_server *server = served(0);
    for (int i = 0; i < MANY; i++) {
        fds[i] = connected(weft_server_port(server));
        CHECK(fds[i] >= 0);
    }
    if (settles) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_server_stop(server);
    CHECK_EQUAL(connected(weft_server_port(server)), -ECONNREFUSED);
    for (int i = 0; i < MANY; i++) {
        CHECK_EQUAL(asked(fds[i]), 0);
    }
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&handled), MANY);
    return NULL;
}

static void who_came_before_the_stop_is_served(void **state)
{
    (void)state;
    run_io(stop_after_burst, NULL);
    run_io(stop_after_burst, BOXED(1));
}

/* More than may be served at once have connected when the server stops: each is served in its
 * turn, none is reset; and whoever is left at the end of the grace is let go. */
static void *stop_at_limit(void *arg)
{
    enum { CLIENTS = 20, SERVED = 5 };

    int fds[CLIENTS];
    char got[4];
    bool is_cut = arg != NULL;
    weft_server *server = NULL;
    struct weft_server_options options = {.host = "127.0.0.1", .connections_max = 2};
    int before = fd_count();
    atomic_store_seq_cst(&begun, 0);
    CHECK_EQUAL(weft_serve(&options, answer, NULL, &server), 0);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connected(weft_server_port(server));
        CHECK(fds[i] >= 0);
    }
    weft_server_stop(server);
    CHECK_EQUAL(connected(weft_server_port(server)), -ECONNREFUSED);
    for (int i = 0; i < (is_cut ? SERVED : CLIENTS); i++) {
        CHECK(weft_server_connections(server) <= 2);
        CHECK_EQUAL(asked(fds[i]), 0);
    }
    CHECK_EQUAL(weft_server_close(server, is_cut ? 0 : WEFT_FOREVER), is_cut ? -ETIMEDOUT : 0);
    for (int i = SERVED; is_cut && i < CLIENTS; i++) {
        CHECK(weft_recv(fds[i], got, sizeof got, 0) <= 0);
        CHECK_EQUAL(weft_close(fds[i]), 0);
    }
    CHECK(is_cut || atomic_load_seq_cst(&begun) == CLIENTS);
    CHECK_EQUAL(fd_count(), before);
    return NULL;
}

static void who_waits_for_room_at_the_stop_is_served(void **state)
{
    (void)state;
    run_io(stop_at_limit, NULL);
    run_io(stop_at_limit, BOXED(1));
}

/* Connections that come all at once, without the client ever waiting in between. */
static void *burst(void *arg)
{
    static int fds[MANY];
    weft_server *server = served(0);
    struct sockaddr_in a = loopback();
    a.sin_port = htons((uint16_t)weft_server_port(server));
    (void)arg;
    CHECK_EQUAL(weft_yield(), 0); /* it accepts */
    for (int i = 0; i < MANY; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fds[i] >= 0);
        CHECK_EQUAL(connect(fds[i], any_address(&a), sizeof a), 0);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_EQUAL(asked(fds[i]), 0);
    }
    CHECK_EQUAL(asked(connected(weft_server_port(server))), 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&handled), MANY + 1);
    return NULL;
}

static void a_burst_longer_than_the_queue_is_served(void **state)
{
    (void)state;
    run_io(burst, NULL);
}

static void answer_each(weft_stream *s, void *arg)
{
    char request[4];
    int err;
    while ((err = weft_server_await_request(s)) > 0) {
        CHECK_EQUAL(weft_stream_read_exactly(s, request, sizeof request), sizeof request);
        CHECK_EQUAL(weft_stream_write(s, request, sizeof request), sizeof request);
    }
    CHECK(err == 0 || err == -ESHUTDOWN);
    atomic_add_seq_cst(err == 0 ? &handled : (shared_int *)arg, 1);
}

/* Clients that stay connected between requests are let go by a stop, whole answers first. */
static void *stop_idle(void *arg)
{
    enum { CLIENTS = 32 };

    int fds[CLIENTS];
    char got[4];
    shared_int told = 0;
    weft_server *server = NULL;
    struct weft_server_options options = {.host = "127.0.0.1"};
    (void)arg;
    atomic_store_seq_cst(&handled, 0);
    CHECK_EQUAL(weft_serve(&options, answer_each, &told, &server), 0);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connected(weft_server_port(server));
        CHECK_EQUAL(weft_write_full(fds[i], "ping", 4, NULL), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQUAL(weft_read_full(fds[i], got, 4, NULL), 0);
        if (i % 4 == 0) { /* it is there before the stop */
            CHECK_EQUAL(weft_write_full(fds[i], "ping", 4, NULL), 0);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        yield_until_arrived(fds[i]);
    }
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&told), CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        CHECK(i % 4 != 0 || weft_read_full(fds[i], got, 4, NULL) == 0);
        CHECK_EQUAL(weft_recv(fds[i], got, sizeof got, 0), 0);
        CHECK_EQUAL(weft_close(fds[i]), 0);
    }
    return NULL;
}

static void idle_clients_are_let_go_at_the_stop(void **state)
{
    (void)state;
    run_io(stop_idle, NULL);
}

struct asking {
    int port;
    shared_int stop;
    shared_int answered;
    shared_int cut; /* refused, or reset unanswered */
};

static void *ask_on(void *arg)
{
    struct asking *a = arg;
    while (atomic_load_seq_cst(&a->stop) == 0) {
        int fd = connected(a->port);
        int err = fd < 0 ? fd : asked(fd);
        CHECK(err == 0 || err == -ECONNREFUSED || err == -ECONNRESET || err == -EPIPE ||
              err == -ENODATA);
        atomic_add_seq_cst(err == 0 ? &a->answered : &a->cut, 1);
        if (err < 0) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    return NULL;
}

/* A server is closed with clients on it at any moment: whom it began to serve gets an answer. */
static void *close_under_load(void *arg)
{
    uint64_t random = test_seed();
    (void)arg;
    for (size_t i = 0; i < 20; i++) {
        struct asking a = {0};
        struct weft_group g;
        weft_server *server = served(0);
        a.port = weft_server_port(server);
        weft_group_enter(&g);
        for (int j = 0; j < 16; j++) {
            CHECK_EQUAL(weft_group_go(&g, ask_on, &a), 0);
        }
        yield_until(&a.answered, (int)(test_random(&random) % 64));
        CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
        atomic_store_seq_cst(&a.stop, 1);
        CHECK_EQUAL(weft_group_exit(&g), 0);
        CHECK_EQUAL(atomic_load_seq_cst(&begun), atomic_load_seq_cst(&handled));
        CHECK_EQUAL(atomic_load_seq_cst(&handled), atomic_load_seq_cst(&a.answered));
    }
    return NULL;
}

static void closing_under_load_loses_none_that_was_accepted(void **state)
{
    (void)state;
    run_io(close_under_load, NULL);
}

/* Servers in turn on one port, each stopped when the next one listens. Whom it accepts is
 * served; the kernel resets who is connected to a socket that is just being closed. */
static void *restart(void *arg)
{
    enum { RESTARTS = 10, CLIENTS = 16 };

    struct asking a = {0};
    struct weft_group g;
    int sum = 0;
    weft_server *server = served(0);
    (void)arg;
    a.port = weft_server_port(server);
    weft_group_enter(&g);
    for (int j = 0; j < CLIENTS; j++) {
        CHECK_EQUAL(weft_group_go(&g, ask_on, &a), 0);
    }
    for (int i = 0; i < RESTARTS; i++) {
        weft_server *next = NULL;
        char service[8];
        snprintf(service, sizeof service, "%d", a.port);
        struct weft_server_options options = {
            .host = "127.0.0.1",
            .service = service,
            .reuse_port = true,
        };
        yield_until(&a.answered, sum + 100);
        CHECK_EQUAL(weft_serve(&options, answer, NULL, &next), 0);
        CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
        server = next;
        sum = atomic_load_seq_cst(&a.answered);
    }
    atomic_store_seq_cst(&a.stop, 1);
    CHECK_EQUAL(weft_group_exit(&g), 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&begun), atomic_load_seq_cst(&handled));
    CHECK_EQUAL(atomic_load_seq_cst(&handled), atomic_load_seq_cst(&a.answered));
    printf("answered %d; %d met a socket that was being closed\n", atomic_load_seq_cst(&a.answered),
           atomic_load_seq_cst(&a.cut));
    return NULL;
}

static void a_restart_under_load_loses_no_accepted_request(void **state)
{
    (void)state;
    run_io(restart, NULL);
}

/* Accept, talk, close, thousands of times: nothing grows. */
static void *churn(void *arg)
{
    size_t rounds = test_scaled(3000, 300);
    weft_server *server = served(0);
    (void)arg;
    for (size_t i = 0; i < 100; i++) {
        CHECK_EQUAL(asked(connected(weft_server_port(server))), 0);
    }
    struct rusage before;
    struct rusage after;
    int fds = fd_count();
    CHECK_EQUAL(getrusage(RUSAGE_SELF, &before), 0);
    for (size_t i = 0; i < rounds; i++) {
        CHECK_EQUAL(asked(connected(weft_server_port(server))), 0);
    }
    CHECK_EQUAL(getrusage(RUSAGE_SELF, &after), 0);
    while (weft_server_connections(server) > 0) {
        CHECK_EQUAL(weft_yield(), 0); /* the last is being closed */
    }
    CHECK(fd_count() <= fds);
#ifndef TEST_SANITIZED
    CHECK(after.ru_maxrss - before.ru_maxrss < 1024); /* kB: a third of one a connection */
#endif
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&handled), rounds + 100);
    return NULL;
}

static void churn_leaves_nothing_behind(void **state)
{
    (void)state;
    run_io(churn, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_came_before_the_stop_is_served),
        cmocka_unit_test(who_waits_for_room_at_the_stop_is_served),
        cmocka_unit_test(a_burst_longer_than_the_queue_is_served),
        cmocka_unit_test(idle_clients_are_let_go_at_the_stop),
        cmocka_unit_test(closing_under_load_loses_none_that_was_accepted),
        cmocka_unit_test(a_restart_under_load_loses_no_accepted_request),
        cmocka_unit_test(churn_leaves_nothing_behind),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
