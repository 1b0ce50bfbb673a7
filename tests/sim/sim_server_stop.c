/* SPDX-License-Identifier: MIT */
/*
 * Goal: a server that is stopped serves all that have connected, within its limit, and lets go of
 * handlers that wait for another request, but of no request that has begun.
 *
 * Method: as sim_server.c.
 */
#include "sim_server_help.h"

enum { SEEDS = 100, SEEDS_SANITIZED = 20, CLIENTS = 6 };

static void for_seeds(weft_fn fn)
{
    sim_run_seeds(test_scaled(SEEDS, SEEDS_SANITIZED), fn);
}

/* Clients that have connected when the server stops, most of them beyond the limit, are served, as
 * many at once as there may be; at the end of the grace they are let go. */
static void *stop_at_the_limit(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    bool is_cut = test_random(&random) % 2 == 0;
    weft_stream *clients[CLIENTS];
    weft_stream *late = NULL;
    struct weft_view line;
    weft_server *server = serve(&(struct weft_server_options){.connections_max = 2}, echo_lines);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connected();
    }
    for (uint64_t i = test_random(&random) % 8; i > 0; i--) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_server_stop(server);
    CHECK_EQUAL(weft_memory_connect(listener, NULL, &late), -ECONNREFUSED);
    for (int i = 0; i < (is_cut ? 3 : CLIENTS); i++) {
        check_echo(clients[i], "in\n");
        CHECK(handlers <= 2);
        CHECK_EQUAL(weft_stream_close(clients[i]), 0);
    }
    CHECK_EQUAL(weft_server_close(server, is_cut ? WEFT_SECOND : WEFT_FOREVER),
                is_cut ? -ETIMEDOUT : 0);
    CHECK_EQUAL(handlers, 0);
    CHECK(is_cut ? handled < CLIENTS : handled == CLIENTS);
    for (int i = 3; is_cut && i < CLIENTS; i++) {
        CHECK(weft_stream_read_line(clients[i], &line) <= 0);
        (void)weft_stream_close(clients[i]);
    }
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void who_is_beyond_the_limit_at_a_stop_is_served(void **state)
{
    (void)state;
    for_seeds(stop_at_the_limit);
}

static int last_error; /* what a handler's last wait has said */

static void answer_requests(weft_stream *s, void *arg)
{
    struct weft_view line;
    int err;
    (void)arg;
    handlers++;
    while ((err = weft_server_await_request(s)) > 0 && weft_stream_read_line(s, &line) > 0) {
        (void)weft_stream_write(s, line.data, line.bytes);
    }
    last_error = err;
    handlers--;
    handled++;
}

/* At a stop those between two requests are let go at once; a request that has begun is answered,
 * and a client that has not said anything yet is waited for. */
static void *stop_idle(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    struct weft_view line;
    weft_server *server = serve(&(struct weft_server_options){.backlog = 1}, answer_requests);
    weft_stream *idle = connected();
    weft_stream *busy = connected();
    weft_stream *fresh = connected();
    check_echo(idle, "one\n");
    check_echo(busy, "one\n");
    CHECK_EQUAL(weft_stream_write(busy, "tw", 2), 2);
    while (weft_stream_pending(busy) > 0) { /* a request has come when it was sent */
        CHECK_EQUAL(weft_yield(), 0);
    }
    (void)weft_sleep((int64_t)(test_random(&random) % 3) * WEFT_MS);
    int64_t begun = weft_now();
    weft_server_stop(server);
    CHECK_EQUAL(weft_stream_read_line(idle, &line), 0);
    CHECK(weft_now() - begun < WEFT_MS / 2); /* of simulated time */
    (void)weft_sleep(WEFT_SECOND);
    CHECK_EQUAL(handled, 1);
    CHECK_EQUAL(last_error, -ESHUTDOWN);
    check_echo(fresh, "three\n");
    CHECK_EQUAL(weft_stream_read_line(fresh, &line), 0);
    CHECK_EQUAL(weft_stream_write(busy, "o\n", 2), 2);
    CHECK_EQUAL(weft_stream_read_line(busy, &line), 4);
    CHECK_EQUAL(weft_stream_read_line(busy, &line), 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(handled, 3);
    CHECK_EQUAL(weft_stream_close(idle), 0);
    CHECK_EQUAL(weft_stream_close(busy), 0);
    CHECK_EQUAL(weft_stream_close(fresh), 0);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void a_stop_lets_go_of_idle_handlers(void **state)
{
    (void)state;
    for_seeds(stop_idle);
}

/* Requests and the stop meet in any order: each is answered whole, or the client sees the end. */
static void *ask_lines(void *arg)
{
    weft_stream *s = NULL;
    uint64_t random = (uint64_t)(uintptr_t)arg;
    struct weft_view line;
    int err = weft_memory_connect(listener, NULL, &s);
    if (err < 0) {
        CHECK_EQUAL(err, -ECONNREFUSED);
        return NULL;
    }
    for (int i = 0; i < 4; i++) {
        ssize_t n = weft_stream_write(s, "hello\n", 6);
        n = n < 0 ? n : weft_stream_read_line(s, &line);
        CHECK(n == 6 || (n <= 0 && i > 0)); /* the first is answered */
        if (n <= 0) {
            break;
        }
        (void)weft_sleep((int64_t)(test_random(&random) % 3) * WEFT_MS);
    }
    if (test_random(&random) % 2 == 0) {
        while (weft_stream_read_line(s, &line) > 0) { /* it stays until it is let go */
        }
    }
    (void)weft_stream_close(s);
    return NULL;
}

static void *stop_among_requests(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    weft_task *clients[CLIENTS];
    struct weft_server_options options = {.connections_max = test_random(&random) % 4};
    weft_server *server = serve(&options, answer_requests);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = weft_spawn(ask_lines, (void *)(uintptr_t)test_random(&random));
    }
    (void)weft_sleep((int64_t)(test_random(&random) % 12) * WEFT_MS / 2);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQUAL(weft_join(clients[i], NULL), 0);
    }
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void a_stop_among_requests_cuts_none(void **state)
{
    (void)state;
    for_seeds(stop_among_requests);
}

int main(int argc, char **argv)
{
    (void)argc;
    sim_begin(argv[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_beyond_the_limit_at_a_stop_is_served),
        cmocka_unit_test(a_stop_lets_go_of_idle_handlers),
        cmocka_unit_test(a_stop_among_requests_cuts_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
