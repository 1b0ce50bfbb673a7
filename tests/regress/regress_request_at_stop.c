/* SPDX-License-Identifier: MIT */
/*
 * A handler that found its server stopped looked for a request for a millisecond. When its worker
 * was held up for longer before the read began, as while the answer before it waited for the end of
 * the turn in which it was to be sent, the deadline was met first, and the request that had come
 * before the stop was dropped.
 *
 * Method: the handler comes to its look after the stop, with an answer to be sent; the task that
 * has stopped the server runs next on the only worker, and lets its turn end when far more than
 * that time has passed.
 *
 * Workers: 1
 */
#include "../io/stream_help.h"

/* Much more than the look took. */
#define HELD_UP_NS (3 * WEFT_MS)

struct rounds {
    struct weft_event may_answer;
    shared_int read;
    int last; /* what the handler was told in the end */
};

static void answer_each(weft_stream *s, void *arg)
{
    struct rounds *r = arg;
    char request[4];
    int err;
    while ((err = weft_server_await_request(s)) > 0) {
        CHECK_EQUAL(weft_stream_read_exactly(s, request, sizeof request), sizeof request);
        atomic_add_seq_cst(&r->read, 1);
        CHECK_EQUAL(weft_event_wait(&r->may_answer), 0);
        CHECK_EQUAL(weft_stream_write(s, request, sizeof request), sizeof request);
    }
    r->last = err;
}

static void *stop_between_requests(void *arg)
{
    struct rounds r = {.last = 1};
    struct sockaddr_in a = loopback();
    weft_server *server = NULL;
    char got[4];
    bool has_asked = arg != NULL;
    struct weft_server_options options = {.host = "127.0.0.1"};
    CHECK_EQUAL(weft_serve(&options, answer_each, &r, &server), 0);
    a.sin_port = htons((uint16_t)weft_server_port(server));
    int fd = connected_to(&a);
    CHECK_EQUAL(weft_write_full(fd, "ping", 4, NULL), 0);
    yield_until(&r.read, 1);
    if (has_asked) {
        CHECK_EQUAL(send(fd, "ping", 4, MSG_NOSIGNAL), 4);
        yield_until_arrived(fd);
    }
    weft_server_stop(server);
    weft_event_set(&r.may_answer);
    CHECK_EQUAL(weft_yield(), 0); /* the handler begins its look */
    int64_t until = weft_now() + HELD_UP_NS;
    while (weft_now() < until) { /* no turn of the worker's */
    }
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(r.last, -ESHUTDOWN);
    CHECK_EQUAL(atomic_load_seq_cst(&r.read), has_asked ? 2 : 1);
    CHECK_EQUAL(weft_read_full(fd, got, 4, NULL), 0);
    CHECK_EQUAL(weft_read_full(fd, got, 4, NULL), has_asked ? 0 : -ENODATA);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void a_request_before_the_stop_is_answered_by_a_worker_that_is_late(void **state)
{
    (void)state;
    run_io(stop_between_requests, BOXED(1));
}

static void without_one_the_handler_is_let_go(void **state)
{
    (void)state;
    run_io(stop_between_requests, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_before_the_stop_is_answered_by_a_worker_that_is_late),
        cmocka_unit_test(without_one_the_handler_is_let_go),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
