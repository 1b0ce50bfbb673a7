/* SPDX-License-Identifier: MIT */
/*
 * Servers of protocols: every connection is told of its beginning and its end, limits hold, and a
 * close ends all of them, at rest or under load.
 */
#include "protocol_help.h"

/* What all connections of a server were told. */
struct crowd {
    shared_int made;
    shared_int lost;
    _Atomic(size_t) bytes;
    weft_server *server;
};

/* A connection's own. */
struct guest {
    struct crowd *crowd;
    shared_int inside;
};

static int guest_made(weft_transport *t, void *arg)
{
    struct guest *g = calloc(1, sizeof *g);
    CHECK(g != NULL);
    g->crowd = arg;
    weft_transport_set_arg(t, g);
    CHECK(weft_transport_arg(t) == g);
    atomic_add_seq_cst(&g->crowd->made, 1);
    return 0;
}

static int guest_data(weft_transport *t, const void *data, size_t n, void *arg)
{
    struct guest *g = arg;
    CHECK_EQUAL(atomic_exchange_seq_cst(&g->inside, 1), 0);
    atomic_add_seq_cst(&g->crowd->bytes, n);
    int err = weft_transport_write(t, data, n);
    CHECK_EQUAL(atomic_exchange_seq_cst(&g->inside, 0), 1);
    return err;
}

static void guest_lost(weft_transport *t, int error, void *arg)
{
    struct guest *g = arg;
    CHECK(weft_transport_is_closing(t));
    (void)error;
    atomic_add_seq_cst(&g->crowd->lost, 1);
    free(g);
}

static const struct weft_protocol guest_protocol = {
    .connection_made = guest_made,
    .data_received = guest_data,
    .connection_lost = guest_lost,
};

static void serve(struct crowd *c, const struct weft_server_options *more)
{
    struct weft_server_options o = more != NULL ? *more : (struct weft_server_options){0};
    o.host = "127.0.0.1";
    CHECK_EQUAL(weft_serve_protocol(&o, &guest_protocol, c, &c->server), 0);
}

static int client_of(const struct crowd *c)
{
    struct sockaddr_in at = loopback();
    at.sin_port = htons((uint16_t)weft_server_port(c->server));
    return connected_to(&at);
}

static void talk_once(int fd)
{
    char buf[5];
    CHECK_EQUAL(weft_send(fd, "hello", 5, 0), 5);
    CHECK_EQUAL(weft_read_full(fd, buf, 5, NULL), 0);
    CHECK_EQUAL(memcmp(buf, "hello", 5), 0);
}

/* ---- come and go ---- */

static void *come_and_go(void *arg)
{
    enum { CLIENTS = 20 };

    struct crowd c = {0};
    int fds[CLIENTS];
    serve(&c, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_of(&c);
        talk_once(fds[i]);
        CHECK_EQUAL(weft_server_connections(c.server), i + 1);
    }
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQUAL(weft_shutdown(fds[i], SHUT_WR), 0);
        check_end(fds[i]);
        CHECK_EQUAL(weft_close(fds[i]), 0);
    }
    CHECK_EQUAL(weft_server_close(c.server, WEFT_FOREVER), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&c.made), CLIENTS);
    CHECK_EQUAL(atomic_load_seq_cst(&c.lost), CLIENTS);
    CHECK_EQUAL(atomic_load_seq_cst(&c.bytes), 5 * CLIENTS);
    return arg;
}

static void clients_come_and_go(void **state)
{
    (void)state;
    run_io(come_and_go, NULL);
}

/* ---- closing ---- */

static void *close_with_guests(void *arg)
{
    enum { CLIENTS = 20 };

    struct crowd c = {0};
    int fds[CLIENTS];
    serve(&c, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_of(&c);
        talk_once(fds[i]);
    }
    /* They are silent, so the grace time ends, and they are aborted. */
    CHECK_EQUAL(weft_server_close(c.server, 10 * WEFT_MS), -ETIMEDOUT);
    CHECK_EQUAL(atomic_load_seq_cst(&c.lost), CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        check_end(fds[i]);
        CHECK_EQUAL(weft_close(fds[i]), 0);
    }
    return arg;
}

static void a_close_aborts_who_stays(void **state)
{
    (void)state;
    run_io(close_with_guests, NULL);
}

/* A limit: the next one is served when one has gone. */
static void *with_limit(void *arg)
{
    struct crowd c = {0};
    struct weft_server_options o = {.connections_max = 2};
    serve(&c, &o);
    int first = client_of(&c);
    int second = client_of(&c);
    talk_once(first);
    talk_once(second);
    int third = client_of(&c); /* in the backlog */
    CHECK_EQUAL(weft_send(third, "hello", 5, 0), 5);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&c.made), 2);
    CHECK_EQUAL(weft_close(first), 0);
    char buf[5];
    CHECK_EQUAL(weft_read_full(third, buf, 5, NULL), 0);
    CHECK_EQUAL(weft_close(second), 0);
    CHECK_EQUAL(weft_close(third), 0);
    CHECK_EQUAL(weft_server_close(c.server, WEFT_FOREVER), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&c.made), 3);
    CHECK_EQUAL(atomic_load_seq_cst(&c.lost), 3);
    return arg;
}

static void no_more_than_the_limit(void **state)
{
    (void)state;
    run_io(with_limit, NULL);
}

static void *refused_options(void *arg)
{
    struct weft_server_options o = {.host = "127.0.0.1", .first_byte_ns = 1};
    weft_server *s = NULL;
    CHECK_EQUAL(weft_serve_protocol(&o, &guest_protocol, NULL, &s), -EINVAL);
    CHECK_EQUAL(weft_serve_protocol(NULL, NULL, NULL, &s), -EINVAL);
    CHECK_EQUAL(weft_serve_protocol(NULL, &(struct weft_protocol){0}, NULL, &s), -EINVAL);
    return arg;
}

static void what_makes_no_sense_is_refused(void **state)
{
    weft_server *s = NULL;
    (void)state;
    CHECK_EQUAL(weft_serve_protocol(NULL, &guest_protocol, NULL, &s), -EPERM);
    run_io(refused_options, NULL);
}

/* ---- connecting ---- */

static void say_hello(struct talk *k)
{
    CHECK_EQUAL(weft_transport_write(k->t, "hello", 5), 0);
}

static void hang_up(struct talk *k, const void *data, size_t n)
{
    (void)data;
    (void)n;
    if (k->bytes == 5) {
        weft_transport_close(k->t);
    }
}

static void *connect_to_server(void *arg)
{
    struct crowd c = {0};
    struct talk k = {.is_unchecked = true, .when_made = say_hello, .when_data = hang_up};
    weft_transport *t = NULL;
    char service[8];
    serve(&c, NULL);
    snprintf(service, sizeof service, "%d", weft_server_port(c.server));
    CHECK_EQUAL(weft_connect_protocol("127.0.0.1", service, NULL, &talk_protocol, &k, &t), 0);
    yield_until(&k.lost, 1);
    CHECK(talk_says(&k, "MDL"));
    weft_transport_put(t);
    CHECK_EQUAL(weft_server_close(c.server, WEFT_FOREVER), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&c.lost), 1);
    CHECK_EQUAL(weft_connect_protocol("127.0.0.1", service, NULL, &talk_protocol, &k, NULL),
                -ECONNREFUSED);
    CHECK_EQUAL(weft_connect_protocol("127.0.0.1", service, NULL, NULL, &k, NULL), -EINVAL);
    CHECK_EQUAL(weft_connect_protocol(NULL, service, NULL, &talk_protocol, &k, NULL), -EINVAL);
    return arg;
}

static void a_client_may_call_back_too(void **state)
{
    (void)state;
    run_io(connect_to_server, NULL);
}

/* ---- under load ---- */

struct caller {
    int port;
    shared_int *stops;
    uint64_t random;
};

/* Connects, talks, leaves in some way; until the server is gone. */
static void *call_again_and_again(void *arg)
{
    struct caller *caller = arg;
    struct sockaddr_in at = loopback();
    char buf[2000] = {0};
    at.sin_port = htons((uint16_t)caller->port);
    while (atomic_load_seq_cst(caller->stops) == 0) {
        int fd = weft_socket(AF_INET, SOCK_STREAM, 0);
        CHECK(fd >= 0);
        int err = weft_connect(fd, any_address(&at), sizeof at);
        for (uint64_t i = test_random(&caller->random) % 5; i > 0 && err == 0; i--) {
            size_t n = test_random(&caller->random) % sizeof buf;
            err = weft_write_full(fd, buf, n, NULL);
            err = err == 0 ? weft_read_full(fd, buf, n, NULL) : err;
        }
        if (test_random(&caller->random) % 2 == 0) {
            close_by_reset(fd);
        } else {
            CHECK_EQUAL(weft_close(fd), 0);
        }
    }
    return NULL;
}

static void *close_under_load(void *arg)
{
    enum { CALLERS = 8 };

    uint64_t random = test_seed();
    for (int round = 0; round < 10; round++) {
        struct crowd c = {0};
        shared_int stops = 0;
        struct caller callers[CALLERS];
        weft_task *tasks[CALLERS];
        serve(&c, NULL);
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (struct caller){weft_server_port(c.server), &stops, test_random(&random)};
            tasks[i] = spawn(call_again_and_again, &callers[i]);
        }
        yield_until(&c.made, 20);
        CHECK(atomic_load_seq_cst(&c.lost) <= atomic_load_seq_cst(&c.made));
        int err = weft_server_close(c.server, round % 2 == 0 ? 0 : WEFT_MS);
        CHECK(err == 0 || err == -ETIMEDOUT);
        CHECK_EQUAL(atomic_load_seq_cst(&c.made), atomic_load_seq_cst(&c.lost));
        atomic_store_seq_cst(&stops, 1);
        for (int i = 0; i < CALLERS; i++) {
            CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        }
        CHECK_EQUAL(atomic_load_seq_cst(&c.made),
                    atomic_load_seq_cst(&c.lost)); /* nobody has come since */
    }
    return arg;
}

static void it_may_be_closed_under_load(void **state)
{
    (void)state;
    run_io(close_under_load, NULL);
}

/* The runtime is closed while a server is up: its owner closes it in a cancelled task. */
static void *own_server(void *arg)
{
    struct crowd *c = arg;
    int err = 0;
    while (err == 0) {
        err = weft_sleep(WEFT_SECOND);
    }
    err = weft_server_close(c->server, WEFT_FOREVER);
    CHECK(err == -ECANCELED || err == 0); /* 0: the runtime has ended the connections before */
    return NULL;
}

static void *leave_server(void *arg)
{
    struct crowd *c = arg;
    serve(c, NULL);
    CHECK_EQUAL(weft_go(own_server, c), 0);
    for (int i = 0; i < 3; i++) {
        talk_once(client_of(c)); /* left open */
    }
    return NULL;
}

static void closing_the_runtime_ends_a_server(void **state)
{
    struct crowd c = {0};
    (void)state;
    int before = fd_count();
    CHECK_EQUAL(weft_run(leave_server, &c, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&c.made), 3);
    CHECK_EQUAL(atomic_load_seq_cst(&c.lost), 3);
    CHECK_EQUAL(fd_count(), before + 3); /* the clients' */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_come_and_go),
        cmocka_unit_test(a_close_aborts_who_stays),
        cmocka_unit_test(no_more_than_the_limit),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_client_may_call_back_too),
        cmocka_unit_test(it_may_be_closed_under_load),
        cmocka_unit_test(closing_the_runtime_ends_a_server),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
