/* SPDX-License-Identifier: MIT */
/*
 * Servers, clients, protocols and datagrams under failing calls: what arrives is a beginning of
 * what was sent, who fails tells so, the other side sees an end, and a server goes on serving.
 *
 * Workers: 2 3
 */
#include "fault_help.h"

#include "transport.h"

#define BYTES ((size_t)20000)

static char pattern[BYTES];
static char path[64]; /* an abstract one, of this process */

/* In a task: at the other end of `converse`. */
static void echo(weft_stream *s, void *arg)
{
    char buf[4096];
    ssize_t n;
    (void)arg;
    while ((n = weft_stream_read(s, buf, sizeof buf)) > 0) {
        if (weft_stream_write(s, buf, (size_t)n) != n) {
            return;
        }
    }
}

static int converse(weft_stream *s)
{
    static const size_t pieces[] = {1, 700, 8000, 11299};
    char buf[BYTES];
    size_t sent = 0;
    size_t got = 0;
    int err = 0;
    for (size_t i = 0; i < COUNT(pieces) && err == 0; i++) {
        ssize_t n = weft_stream_write(s, pattern + sent, pieces[i]);
        CHECK(n != 0);
        err = n < 0 ? (int)n : 0;
        sent += n > 0 ? (size_t)n : 0;
    }
    err = first_error(err, weft_stream_drain(s));
    err = first_error(err, weft_stream_shutdown_write(s));
    ssize_t n = 1;
    while (err == 0 && n > 0) {
        n = weft_stream_read(s, buf + got, sizeof buf - got);
        err = n < 0 ? (int)n : 0;
        got += n > 0 ? (size_t)n : 0;
    }
    CHECK(got <= sent);
    CHECK_EQUAL(memcmp(buf, pattern, got), 0);
    return err == 0 && got < sent ? -ECONNRESET : err;
}

/* A server, where it is, and what the first error of a client was. */
static int serve_and_converse(const char *host, const struct weft_server_options *options)
{
    weft_server *server = NULL;
    weft_stream *s = NULL;
    char service[8];
    int err = weft_serve(options, echo, NULL, &server);
    if (err < 0) {
        CHECK(server == NULL);
        return err;
    }
    snprintf(service, sizeof service, "%d", weft_server_port(server));
    if (options->memory != NULL) {
        err = weft_memory_connect(options->memory, NULL, &s);
    } else {
        err = weft_open_connection(host, strncmp(host, "unix:", 5) == 0 ? NULL : service, NULL,
                                   &s);
    }
    if (err == 0) {
        err = converse(s);
        int closed = weft_stream_close(s);
        err = first_error(err, closed);
    }
    CHECK_EQUAL(weft_server_close(server, 20 * WEFT_SECOND), 0); /* the handler ends by itself */
    return err;
}

static int serve_on_port(void *arg)
{
    struct weft_server_options options = {.host = arg};
    return serve_and_converse(arg, &options);
}

static int serve_one_by_one(void *arg)
{
    struct weft_server_options options = {.host = arg, .connections_max = 1};
    return serve_and_converse(arg, &options);
}

static int serve_in_memory(void *arg)
{
    weft_memory_listener *listener = NULL;
    (void)arg;
    int err = weft_memory_listener_create(&listener, 4);
    if (err < 0) {
        return err;
    }
    struct weft_server_options options = {.host = NULL, .memory = listener};
    err = serve_and_converse(NULL, &options);
    weft_memory_listener_destroy(listener);
    return err;
}

static int send_file(void *arg)
{
    char buf[BYTES];
    weft_stream *ends[2] = {NULL, NULL};
    int fds[2];
    int file = -1;
    (void)arg;
    SPARED(make_pair(fds));
    SPARED(file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    CHECK_EQUAL(write(file, pattern, BYTES), BYTES);
    int err = weft_stream_open(fds[0], NULL, &ends[0]);
    if (err < 0) {
        close(fds[0]);
    } else {
        off_t offset = 0;
        ssize_t n = weft_stream_sendfile(ends[0], file, &offset, BYTES);
        err = n < 0 ? (int)n : 0;
        CHECK(n < 0 || offset == n);
        err = first_error(err, weft_stream_close(ends[0]));
    }
    ssize_t got = recv(fds[1], buf, sizeof buf, MSG_DONTWAIT);
    CHECK(got <= 0 || memcmp(buf, pattern, (size_t)got) == 0);
    close(fds[1]);
    close(file);
    return err;
}

/* --- protocols -------------------------------------------------------------------------------- */

struct talk {
    struct weft_event lost;
    size_t got;
    int error;
};

static shared_int connections;

static int echo_made(weft_transport *t, void *arg)
{
    (void)t;
    (void)arg;
    atomic_add_seq_cst(&connections, 1);
    return 0;
}

static int echo_data(weft_transport *t, const void *data, size_t n, void *arg)
{
    (void)arg;
    int err = weft_transport_write(t, data, n);
    return err < 0 ? err : 0;
}

static void echo_lost(weft_transport *t, int error, void *arg)
{
    (void)t;
    (void)error;
    (void)arg;
    atomic_sub_seq_cst(&connections, 1);
}

static int client_data(weft_transport *t, const void *data, size_t n, void *arg)
{
    struct talk *k = arg;
    CHECK(k->got + n <= BYTES);
    CHECK_EQUAL(memcmp(data, pattern + k->got, n), 0);
    k->got += n;
    if (k->got == BYTES) {
        weft_transport_close(t);
    }
    return 0;
}

static void client_lost(weft_transport *t, int error, void *arg)
{
    struct talk *k = arg;
    (void)t;
    k->error = error;
    weft_event_set(&k->lost);
}

/* Until a connection that is lost is over: its descriptor is closed after connection_lost, and the
 * peer, which may have met an error of its own, need not wait for that. */
static void await_end(weft_transport *t)
{
    /* ORD P1 (io/transport.h): all that the connection did. */
    while (atomic_load_acquire(&t->users) > 1) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

static int serve_protocol(void *arg)
{
    static const struct weft_protocol server_side = {
        .connection_made = echo_made, .data_received = echo_data, .connection_lost = echo_lost};
    static const struct weft_protocol client_side = {
        .data_received = client_data, .connection_lost = client_lost};
    struct weft_server_options options = {.host = arg};
    weft_server *server = NULL;
    weft_transport *t = NULL;
    struct talk k = {0};
    char service[8];
    int err = weft_serve_protocol(&options, &server_side, NULL, &server);
    if (err < 0) {
        return err;
    }
    snprintf(service, sizeof service, "%d", weft_server_port(server));
    bool has_path = strncmp(arg, "unix:", 5) == 0;
    err = weft_connect_protocol(arg, has_path ? NULL : service, NULL, &client_side, &k, &t);
    if (err == 0) {
        err = weft_transport_write(t, pattern, BYTES);
        if (err < 0) {
            weft_transport_abort(t);
        }
        CHECK_EQUAL(weft_event_wait(&k.lost), 0);
        err = first_error(err < 0 ? err : 0, k.error);
        err = first_error(err, k.got < BYTES ? -ECONNRESET : 0);
        await_end(t);
        weft_transport_put(t);
    }
    CHECK_EQUAL(weft_server_close(server, 20 * WEFT_SECOND), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&connections), 0);
    return err;
}

/* --- datagrams -------------------------------------------------------------------------------- */

static int send_datagrams(void *arg)
{
    struct weft_udp_options here = {.host = "127.0.0.1"};
    weft_udp *to = NULL;
    weft_udp *from = NULL;
    char service[8];
    char buf[64];
    int sent = 0;
    (void)arg;
    int err = weft_udp_open(&here, &to);
    if (err < 0) {
        return err;
    }
    int port = weft_udp_port(to);
    snprintf(service, sizeof service, "%d", port);
    struct weft_udp_options there = {.peer_host = "127.0.0.1", .peer_service = service};
    err = port == 0 ? -ENOBUFS : weft_udp_open(&there, &from);
    for (int i = 0; i < 5 && err == 0; i++) {
        ssize_t n = weft_udp_send(from, pattern, (size_t)i + 1);
        err = n < 0 ? (int)n : 0;
        sent += n >= 0;
    }
    for (int i = 0; i < sent;) {
        ssize_t n = weft_udp_receive(to, buf, sizeof buf);
        CHECK(n < 0 || n == i + 1);
        err = first_error(err, n < 0 ? (int)n : 0);
        i += n > 0; /* a receive that failed has taken nothing */
    }
    CHECK_EQUAL(weft_udp_close(from), 0);
    CHECK_EQUAL(weft_udp_close(to), 0);
    return err;
}

#define CUT_SHORT {-ECONNRESET, -EPIPE, -ENOTCONN, -ECONNREFUSED}

static const struct fault_case cases[] = {
    {"weft_serve on TCP", serve_on_port, "127.0.0.1", CUT_SHORT},
    {"weft_serve, one by one", serve_one_by_one, "127.0.0.1", CUT_SHORT},
    {"weft_serve on a path", serve_on_port, path, CUT_SHORT},
    {"weft_serve in memory", serve_in_memory, NULL, CUT_SHORT},
    {"weft_stream_sendfile", send_file, NULL, CUT_SHORT},
    {"weft_serve_protocol", serve_protocol, "127.0.0.1", CUT_SHORT},
    {"weft_serve_protocol on a path", serve_protocol, path, CUT_SHORT},
    {"weft_udp_send", send_datagrams, NULL, {0}},
};

static void a_call_that_fails_ends_one_connection_at_most(void **state)
{
    static const struct fault faults[] = {
        {INJECT_MEMORY, ENOMEM, 1},       {INJECT_MEMORY, ENOMEM, 4},
        {INJECT_DESCRIPTOR, EMFILE, 1},   {INJECT_ACCEPT, EMFILE, 1},
        {INJECT_ACCEPT, ENOBUFS, 2},      {INJECT_ACCEPT, ECONNABORTED, 1},
        {INJECT_ACCEPT, EINTR, 3},        {INJECT_SEND, 0, 1},
        {INJECT_SEND, 0, 6},              {INJECT_SEND, EPIPE, 1},
        {INJECT_SEND, ECONNRESET, 1},     {INJECT_SEND, EINTR, 2},
        {INJECT_SEND, EAGAIN, 1},         {INJECT_SEND, ENOBUFS, 1},
        {INJECT_RECEIVE, 0, 1},           {INJECT_RECEIVE, 0, 6},
        {INJECT_RECEIVE, ECONNRESET, 1},  {INJECT_RECEIVE, EINTR, 2},
        {INJECT_CONNECT, ECONNREFUSED, 1}, {INJECT_CONTROL, ENOBUFS, 1},
        {INJECT_ENTER, EAGAIN, 3},        {INJECT_ENTER, EINTR, 1},
    };
    (void)state;
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
}

static void an_operation_that_fails_ends_one_connection_at_most(void **state)
{
    static const struct fault faults[] = {
        {INJECT_OPERATION, ENOMEM, 1}, {INJECT_OPERATION, ECONNRESET, 1},
        {INJECT_OPERATION, EINTR, 2},  {INJECT_OPERATION, 0, 1},
        {INJECT_OPERATION, 0, 50},     {INJECT_CANCEL, ENOENT, 2},
    };
    (void)state;
    if (!inject_has_operations()) {
        skip();
    }
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_fails_ends_one_connection_at_most),
        cmocka_unit_test(an_operation_that_fails_ends_one_connection_at_most),
    };
    fault_begin();
    snprintf(path, sizeof path, "unix:@weft-fault-net-%d", (int)getpid());
    for (size_t i = 0; i < BYTES; i++) {
        pattern[i] = (char)(i * 7 + i / 256);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
