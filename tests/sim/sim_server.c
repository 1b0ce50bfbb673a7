/* SPDX-License-Identifier: MIT */
/*
 * Goal: a server serves each connection once, ends with the last of them, whatever comes at the
 * moment it is closed, and is not held up by clients that are slow.
 *
 * Method: a server on a listener in memory, clients that come, go, trickle and stall, on a clock
 * that takes no time, under many seeds. WEFT_SEED=<n> runs one.
 */
#include "sim_server_help.h"

enum { SEEDS = 300, SEEDS_SANITIZED = 30, CLIENTS = 6 };

static void *talk(void *arg)
{
    weft_stream *s = NULL;
    uint64_t random = (uint64_t)(uintptr_t)arg;
    struct weft_view line;
    int err = weft_memory_connect(listener, NULL, &s);
    if (err < 0) {
        CHECK_EQUAL(err, -ECONNREFUSED);
        return NULL;
    }
    for (int i = (int)(test_random(&random) % 4); i > 0; i--) {
        if (weft_stream_write(s, "hello\n", 6) != 6 || weft_stream_read_line(s, &line) != 6) {
            break;
        }
        (void)weft_sleep((int64_t)(test_random(&random) % 3) * WEFT_SECOND);
    }
    (void)weft_stream_close(s);
    return NULL;
}

/* Clients come and go; the server is closed at some moment, with some grace. */
static void *close_sometime(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    weft_task *clients[CLIENTS];
    struct weft_server_options options = {.connections_max = test_random(&random) % 4};
    weft_server *server = serve(&options, echo_lines);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = weft_spawn(talk, (void *)(uintptr_t)test_random(&random));
    }
    (void)weft_sleep((int64_t)(test_random(&random) % 6) * WEFT_SECOND);
    int64_t grace = test_random(&random) % 2 == 0 ? WEFT_FOREVER
                                                  : (int64_t)(test_random(&random) % 4) *
                                                        WEFT_SECOND;
    int err = weft_server_close(server, grace);
    CHECK(err == 0 || err == -ETIMEDOUT);
    CHECK(err == 0 || grace != WEFT_FOREVER);
    CHECK_EQUAL(handlers, 0);
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQUAL(weft_join(clients[i], NULL), 0);
    }
    CHECK(err == -ETIMEDOUT || cancelled == 0);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void for_seeds(weft_fn fn)
{
    sim_run_seeds(test_scaled(SEEDS, SEEDS_SANITIZED), fn);
}

static void is_closed_at_any_moment(void **state)
{
    (void)state;
    for_seeds(close_sometime);
}

static void *wait_for_server(void *arg)
{
    int64_t begun = weft_now();
    CHECK_EQUAL(weft_server_wait(arg), 0);
    return (void *)(intptr_t)(weft_now() - begun);
}

/* Those who wait are let go when the last connection has ended, not before, in either order. */
static void *wait_until_idle(void *arg)
{
    bool is_stopped_first = *(uint64_t *)arg % 2 == 0;
    void *took = NULL;
    weft_task *waiters[3];
    weft_server *server = serve(&(struct weft_server_options){.backlog = 1}, echo_lines);
    weft_stream *s = connected();
    check_echo(s, "one\n");
    CHECK_EQUAL(weft_server_connections(server), 1);
    for (int i = 0; i < 3; i++) {
        waiters[i] = weft_spawn(wait_for_server, server);
    }
    (void)weft_sleep(WEFT_SECOND);
    if (is_stopped_first) {
        weft_server_stop(server);
        weft_stream *refused = NULL;
        CHECK_EQUAL(weft_memory_connect(listener, NULL, &refused), -ECONNREFUSED);
        (void)weft_sleep(WEFT_SECOND);
        check_echo(s, "two\n"); /* it is left alone */
        CHECK_EQUAL(weft_stream_close(s), 0);
    } else {
        CHECK_EQUAL(weft_stream_close(s), 0);
        (void)weft_sleep(WEFT_SECOND);
        CHECK(!weft_done(waiters[0]));
        weft_server_stop(server);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(waiters[i], &took), 0);
        CHECK((intptr_t)took >= 2 * WEFT_SECOND);
    }
    CHECK_EQUAL(weft_server_wait(server), 0);
    CHECK_EQUAL(weft_server_start(server), -ESHUTDOWN);
    CHECK_EQUAL(weft_server_connections(server), 0);
    CHECK_EQUAL(weft_server_close(server, 0), 0);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void item_260_261_a_stop_leaves_connections_alone(void **state)
{
    (void)state;
    for_seeds(wait_until_idle);
}

static void *serve_forever(void *arg)
{
    weft_server *server = arg;
    CHECK_EQUAL(weft_server_start(server), 0);
    CHECK_EQUAL(weft_server_start(server), -EALREADY);
    CHECK_EQUAL(weft_server_wait(server), -ECANCELED);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), -ECANCELED); /* without grace */
    return NULL;
}

static void *connect_and_echo(void *arg)
{
    weft_stream *s = connected();
    check_echo(s, "hello\n");
    (void)arg;
    struct weft_view line;
    CHECK_EQUAL(weft_stream_read_line(s, &line), 0); /* closed by the server */
    CHECK_EQUAL(weft_stream_close(s), 0);
    return NULL;
}

static void *start_and_cancel(void *arg)
{
    weft_server *server = serve(&(struct weft_server_options){.held = true}, echo_lines);
    (void)arg;
    weft_task *client = weft_spawn(connect_and_echo, NULL);
    (void)weft_sleep(WEFT_SECOND);
    CHECK_EQUAL(handlers + handled, 0); /* not before it is started */
    weft_task *forever = weft_spawn(serve_forever, server);
    (void)weft_sleep(WEFT_SECOND);
    CHECK_EQUAL(handlers, 1);
    CHECK_EQUAL(weft_cancel_and_join(forever, NULL), 0);
    CHECK_EQUAL(handlers, 0);
    CHECK_EQUAL(cancelled, 1);
    CHECK_EQUAL(weft_join(client, NULL), 0);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void item_259_serves_after_its_start_until_it_is_cancelled(void **state)
{
    (void)state;
    for_seeds(start_and_cancel);
}

/* --- handlers that fail, and that close by themselves --- */

static void fail_or_close(weft_stream *s, void *arg)
{
    struct weft_view line;
    (void)arg;
    CHECK(weft_stream_read_line(s, &line) > 0);
    if (line.data[0] == 'c') {
        CHECK_EQUAL(weft_stream_write(s, "bye\n", 4), 4);
        CHECK_EQUAL(weft_stream_close(s), 0);
    } else {
        CHECK_EQUAL(weft_stream_write(s, "half a li", 9), 9);
        weft_report_error(weft_runtime_current(), weft_self(), -EPROTO);
    }
}

static int reported;

static void note_report(weft_runtime *rt, weft_future *f, int error, void *arg)
{
    (void)rt;
    (void)f;
    (void)arg;
    CHECK_EQUAL(error, -EPROTO);
    reported++;
}

static void *meet_failures(void *arg)
{
    struct weft_view line;
    (void)arg;
    reported = 0;
    weft_set_error_handler(weft_runtime_current(), note_report, NULL);
    weft_server *server = serve(&(struct weft_server_options){.backlog = 1}, fail_or_close);
    weft_stream *s = connected();
    CHECK_EQUAL(weft_stream_write(s, "fail\n", 5), 5);
    CHECK_EQUAL(weft_stream_read_line(s, &line), 9); /* what it had written, then the end */
    CHECK_EQUAL(weft_stream_read_line(s, &line), 0);
    CHECK_EQUAL(weft_stream_close(s), 0);
    s = connected();
    CHECK_EQUAL(weft_stream_write(s, "close\n", 6), 6);
    CHECK_EQUAL(weft_stream_read_line(s, &line), 4);
    CHECK_EQUAL(weft_stream_read_line(s, &line), 0);
    CHECK_EQUAL(weft_stream_close(s), 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    while (reported == 0) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(reported, 1);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void item_233_a_handler_that_fails_has_its_connection_closed(void **state)
{
    (void)state;
    for_seeds(meet_failures);
}

static void close_own_server(weft_stream *s, void *arg)
{
    struct weft_view line;
    weft_server *server = NULL;
    (void)arg;
    handlers++;
    CHECK_EQUAL(weft_stream_read_exactly(s, &server, sizeof server), sizeof server);
    CHECK_EQUAL(weft_server_close(server, 0), -EDEADLK);
    CHECK_EQUAL(weft_server_wait(server), -EDEADLK);
    weft_server_stop(server);
    (void)weft_stream_read_line(s, &line);
    handlers--;
}

static void *close_from_inside(void *arg)
{
    weft_server *server = serve(&(struct weft_server_options){.backlog = 1}, close_own_server);
    weft_stream *s = connected();
    (void)arg;
    CHECK_EQUAL(weft_stream_write(s, &server, sizeof server), sizeof server);
    CHECK_EQUAL(weft_stream_drain(s), 0);
    weft_task *waiter = weft_spawn(wait_for_server, server);
    (void)weft_sleep(WEFT_SECOND);
    CHECK_EQUAL(weft_stream_close(s), 0);
    CHECK_EQUAL(weft_join(waiter, NULL), 0);
    CHECK_EQUAL(weft_server_close(server, 0), 0);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void a_handler_may_stop_its_server(void **state)
{
    (void)state;
    for_seeds(close_from_inside);
}

/* --- limits --- */

static void *hold_connection(void *arg)
{
    weft_stream *s = connected();
    check_echo(s, "in\n"); /* it has come in */
    CHECK(handlers <= 2);
    (void)weft_sleep(WEFT_SECOND);
    (void)arg;
    CHECK_EQUAL(weft_stream_close(s), 0);
    return NULL;
}

static void *limit_connections(void *arg)
{
    weft_task *clients[CLIENTS];
    (void)arg;
    weft_server *server = serve(&(struct weft_server_options){.connections_max = 2}, echo_lines);
    int64_t begun = weft_now();
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = weft_spawn(hold_connection, NULL);
    }
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQUAL(weft_join(clients[i], NULL), 0);
    }
    CHECK(weft_now() - begun >= CLIENTS / 2 * WEFT_SECOND); /* two at a time */
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(handled, CLIENTS);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void connections_beyond_the_limit_wait(void **state)
{
    (void)state;
    for_seeds(limit_connections);
}

/* A client that says nothing, beside one that does at the last moment. */
static void *say_nothing(void *arg)
{
    struct weft_server_options options = {.first_byte_ns = 5 * WEFT_SECOND};
    weft_server *server = serve(&options, echo_lines);
    char c;
    (void)arg;
    int64_t begun = weft_now();
    weft_stream *late = connected();
    weft_stream *mute = connected();
    (void)weft_sleep(4 * WEFT_SECOND);
    CHECK_EQUAL(weft_stream_write(late, "x", 1), 1);
    CHECK_EQUAL(weft_stream_read(mute, &c, 1), -ECONNRESET);
    CHECK(weft_now() - begun >= 5 * WEFT_SECOND);
    CHECK(weft_now() - begun < 6 * WEFT_SECOND);
    (void)weft_stream_close(mute);
    (void)weft_sleep(WEFT_MINUTE); /* from then on it takes its time */
    CHECK_EQUAL(weft_stream_write(late, "y\n", 2), 2);
    CHECK_EQUAL(weft_stream_read_line(late, &(struct weft_view){NULL, 0}), 3);
    CHECK_EQUAL(weft_stream_close(late), 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(handled, 1);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void who_sends_nothing_is_reset(void **state)
{
    (void)state;
    for_seeds(say_nothing);
}

/* Reads a line, notes when and how that ended. */
static ssize_t line_result;
static int64_t line_took;

static void time_line(weft_stream *s, void *arg)
{
    struct weft_view line;
    int64_t begun = weft_now();
    (void)arg;
    handlers++;
    line_result = weft_stream_read_line(s, &line);
    line_took = weft_now() - begun;
    handlers--;
    handled++;
}

static void check_took(int64_t seconds)
{
    CHECK(line_took >= seconds * WEFT_SECOND);
    CHECK(line_took < (seconds + 1) * WEFT_SECOND);
}

/* A byte now and then: the pauses are short enough, but a line has a limit, too. */
static void *trickle(void *arg)
{
    struct weft_server_options options = {
        .stream = {.idle_ns = 5 * WEFT_SECOND, .read_ns = 20 * WEFT_SECOND},
    };
    (void)arg;
    weft_server *server = serve(&options, time_line);
    weft_stream *s = connected();
    while (weft_stream_write(s, "x", 1) == 1 && weft_stream_drain(s) == 0) {
        CHECK_EQUAL(weft_sleep(3 * WEFT_SECOND), 0);
    }
    CHECK_EQUAL(line_result, -ETIMEDOUT);
    check_took(20);
    (void)weft_stream_close(s);
    s = connected();
    CHECK_EQUAL(weft_stream_write(s, "x", 1), 1);
    CHECK_EQUAL(weft_sleep(3 * WEFT_SECOND), 0);
    CHECK_EQUAL(weft_stream_write(s, "x", 1), 1); /* and nothing more */
    CHECK_EQUAL(weft_sleep(6 * WEFT_SECOND), 0);
    CHECK_EQUAL(handled, 2);
    CHECK_EQUAL(line_result, -ETIMEDOUT);
    check_took(8);
    (void)weft_stream_close(s);
    s = connected();
    for (int i = 0; i < 4; i++) { /* in time */
        CHECK_EQUAL(weft_stream_write(s, i < 3 ? "x" : "\n", 1), 1);
        CHECK_EQUAL(weft_sleep(4 * WEFT_SECOND), 0);
    }
    CHECK_EQUAL(line_result, 4);
    CHECK_EQUAL(weft_stream_close(s), 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void who_trickles_is_out_of_time(void **state)
{
    (void)state;
    for_seeds(trickle);
}

/* A limit that is over changes nothing about what came, and the call may be made again. */
static void *idle_and_go_on(void *arg)
{
    struct weft_stream_options options = {.idle_ns = WEFT_SECOND};
    weft_stream *ends[2];
    struct weft_view line;
    (void)arg;
    CHECK_EQUAL(weft_stream_pair(&options, ends), 0);
    CHECK_EQUAL(weft_stream_write(ends[0], "ab", 2), 2);
    CHECK_EQUAL(weft_stream_read_line(ends[1], &line), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_error(), 0);
    WEFT_TIMEOUT(WEFT_SECOND / 2) {
        CHECK_EQUAL(weft_stream_read_line(ends[1], &line), -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_error(), -ETIMEDOUT);
    }
    CHECK_EQUAL(weft_stream_write(ends[0], "c\n", 2), 2);
    CHECK_EQUAL(weft_stream_read_line(ends[1], &line), 4);
    static char block[300000];
    CHECK(weft_stream_write(ends[0], block, sizeof block) < (ssize_t)sizeof block);
    CHECK_EQUAL(weft_stream_write(ends[0], "x", 1), -ETIMEDOUT); /* nobody reads: it is over */
    CHECK_EQUAL(weft_stream_close(ends[0]), -ETIMEDOUT);
    (void)weft_stream_close(ends[1]);
    return NULL;
}

static void limits_lose_no_input(void **state)
{
    (void)state;
    for_seeds(idle_and_go_on);
}

/* Handlers with output that nobody reads: cancelled they do not hold up the end; left alone they
 * flush to who reads in the end. */
static void pour(weft_stream *s, void *arg)
{
    static char block[300000];
    (void)arg;
    handlers++;
    (void)weft_stream_write(s, block, sizeof block);
    handlers--;
}

static void *end_beside_stalled(void *arg)
{
    bool is_read = *(uint64_t *)arg % 2 == 0;
    weft_server *server = serve(&(struct weft_server_options){.backlog = 1}, pour);
    weft_stream *s = connected();
    (void)weft_sleep(WEFT_SECOND);
    CHECK_EQUAL(handlers, 1);
    struct weft_view all;
    if (is_read) {
        CHECK_EQUAL(weft_stream_read_to_end(s, &all), 300000);
        CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    } else {
        CHECK_EQUAL(weft_server_close(server, WEFT_MINUTE), -ETIMEDOUT);
        ssize_t n = weft_stream_read_to_end(s, &all);
        CHECK(n == -ECONNRESET || (n > 0 && n < 300000)); /* what was taken before the cancel */
    }
    (void)weft_stream_close(s);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void item_262_clients_are_flushed_or_ended(void **state)
{
    (void)state;
    for_seeds(end_beside_stalled);
}

int main(int argc, char **argv)
{
    (void)argc;
    sim_begin(argv[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_closed_at_any_moment),
        cmocka_unit_test(item_260_261_a_stop_leaves_connections_alone),
        cmocka_unit_test(item_259_serves_after_its_start_until_it_is_cancelled),
        cmocka_unit_test(item_233_a_handler_that_fails_has_its_connection_closed),
        cmocka_unit_test(a_handler_may_stop_its_server),
        cmocka_unit_test(connections_beyond_the_limit_wait),
        cmocka_unit_test(who_sends_nothing_is_reset),
        cmocka_unit_test(who_trickles_is_out_of_time),
        cmocka_unit_test(limits_lose_no_input),
        cmocka_unit_test(item_262_clients_are_flushed_or_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
