/* SPDX-License-Identifier: MIT */
/*
 * A runtime was closed while clients waited to be accepted. The acceptor, cancelled, accepted them
 * still, and made a held task for each; but held tasks that are spawned during a close end unrun,
 * and their connections stayed in the server's list: weft_server_close waited for ever.
 *
 * Workers: 1
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/weft.h>

#include "atomic.h"
#include "test.h"

enum { CLIENTS = 3 };

static atomic_bool is_full;
static int clients[CLIENTS];

static void serve_nothing(weft_stream *s, void *arg)
{
    char byte;
    (void)arg;
    (void)weft_stream_read(s, &byte, 1);
}

/* Keeps the worker until the close has begun, so that nobody was accepted before. */
static void *root(void *arg)
{
    struct weft_server_options o = {.host = "127.0.0.1"};
    weft_server *server;
    (void)arg;
    assert_int_equal(weft_serve(&o, serve_nothing, NULL, &server), 0);
    assert_int_equal(weft_yield(), 0); /* the acceptor begins to wait */
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)weft_server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&to, sizeof to), 0);
    }
    atomic_store_seq_cst(&is_full, true);
    while (weft_cancelling() == 0) {
    }
    (void)weft_server_close(server, 0);
    return NULL;
}

static void close_ends(void **state)
{
    (void)state;
    struct weft_options o = {.workers = 1, .close_grace_ns = 20 * WEFT_SECOND};
    weft_runtime *rt;
    weft_task *t;
    assert_int_equal(weft_runtime_create(&rt, &o), 0);
    assert_int_equal(weft_runtime_spawn(rt, root, NULL, &t), 0);
    while (!atomic_load_seq_cst(&is_full)) {
        usleep(100);
    }
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_int_equal(weft_future_wait_blocking(t, 0, NULL), 0);
    weft_put(t);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    for (int i = 0; i < CLIENTS; i++) {
        char byte;
        assert_true(recv(clients[i], &byte, 1, 0) <= 0); /* it was let go */
        assert_int_equal(close(clients[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(close_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
