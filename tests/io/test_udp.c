/* SPDX-License-Identifier: MIT */
/*
 * Datagrams: whole, in order, also empty ones; cut ones are told of; errors of the network are
 * reported and pass; waiting, closing and cancelling. All over the loopback interface.
 */
#include "io_help.h"

#include <linux/errqueue.h>

/* An endpoint on a port of its own. */
static weft_udp *open_here(void)
{
    weft_udp *u = NULL;
    struct weft_udp_options o = {.host = "127.0.0.1"};
    CHECK_EQUAL(weft_udp_open(&o, &u), 0);
    CHECK(weft_udp_port(u) > 0);
    return u;
}

/* An endpoint that is connected to a port. */
static weft_udp *open_to(int port, bool errors)
{
    weft_udp *u = NULL;
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    struct weft_udp_options o = {
        .peer_host = "127.0.0.1", .peer_service = service, .errors = errors};
    CHECK_EQUAL(weft_udp_open(&o, &u), 0);
    return u;
}

static struct sockaddr_in at_port(int port)
{
    struct sockaddr_in a = loopback();
    a.sin_port = htons((uint16_t)port);
    return a;
}

/* A port at which nobody listens. */
static int dead_port(void)
{
    weft_udp *u = open_here();
    int port = weft_udp_port(u);
    CHECK_EQUAL(weft_udp_close(u), 0);
    return port;
}

/* ---- there and back ---- */

static void *there_and_back(void *arg)
{
    weft_udp *server = open_here();
    weft_udp *client = open_to(weft_udp_port(server), false);
    struct sockaddr_in from;
    socklen_t bytes = sizeof from;
    char buf[16];
    CHECK_EQUAL(weft_udp_send(client, "ping", 4), 4);
    CHECK_EQUAL(weft_udp_receive_from(server, buf, sizeof buf, any_address(&from), &bytes), 4);
    CHECK_EQUAL(memcmp(buf, "ping", 4), 0);
    CHECK_EQUAL(bytes, sizeof from);
    CHECK_EQUAL(ntohs(from.sin_port), weft_udp_port(client));
    CHECK_EQUAL(weft_udp_send_to(server, "pong!", 5, any_address(&from), bytes), 5);
    CHECK_EQUAL(weft_udp_receive(client, buf, sizeof buf), 5);
    CHECK_EQUAL(memcmp(buf, "pong!", 5), 0);
    CHECK_EQUAL(weft_udp_send(server, "x", 1), -EDESTADDRREQ);
    bytes = sizeof from;
    CHECK_EQUAL(weft_udp_peer(server, any_address(&from), &bytes), -ENOTCONN);
    CHECK_EQUAL(weft_udp_peer(client, any_address(&from), &bytes), 0);
    CHECK_EQUAL(ntohs(from.sin_port), weft_udp_port(server));
    CHECK_EQUAL(weft_udp_close(client), 0);
    CHECK_EQUAL(weft_udp_close(server), 0);
    CHECK_EQUAL(weft_udp_close(NULL), 0);
    return arg;
}

static void messages_go_there_and_back(void **state)
{
    (void)state;
    run_io(there_and_back, NULL);
}

/* ---- 268: buffers ---- */

static void *buffers(void *arg)
{
    weft_udp *server = open_here();
    weft_udp *client = open_to(weft_udp_port(server), false);
    char buf[8] = "........";
    CHECK_EQUAL(weft_udp_send(client, "abcdef", 6), 6);
    struct weft_datagram d = {.bytes = 8};
    /* Refused, and nothing is taken. */
    CHECK_EQUAL(weft_udp_receive(server, NULL, 8), -EINVAL);
    CHECK_EQUAL(weft_udp_receive_many(server, &d, 1), -EINVAL);
    CHECK_EQUAL(weft_udp_receive_many(server, &d, 0), 0);
    /* Cut, and told so; the buffer behind is not touched. */
    CHECK_EQUAL(weft_udp_receive(server, buf, 4), -EMSGSIZE);
    CHECK_EQUAL(memcmp(buf, "abcd....", 8), 0);
    CHECK_EQUAL(weft_udp_send(client, "abcdef", 6), 6);
    CHECK_EQUAL(weft_udp_send(client, "gh", 2), 2);
    d = (struct weft_datagram){.data = buf, .bytes = 4};
    CHECK_EQUAL(weft_udp_receive_many(server, &d, 1), 1);
    CHECK_EQUAL(d.length, 6);
    CHECK(d.is_cut);
    CHECK_EQUAL(weft_udp_receive(server, buf, 2), 2); /* it just fits */
    CHECK_EQUAL(weft_udp_close(client), 0);
    CHECK_EQUAL(weft_udp_close(server), 0);
    return arg;
}

static void item_268_no_more_than_the_buffer_holds(void **state)
{
    (void)state;
    run_io(buffers, NULL);
}

/* ---- 269: sending waits ---- */

#define DATAGRAMS 300

struct counted {
    weft_udp *u;
    int next;
};

/* Over Unix sockets nothing is dropped: a sender has to wait for the receiver. */
static void *send_numbers(void *arg)
{
    struct counted *c = arg;
    for (; c->next < DATAGRAMS; c->next++) {
        char buf[100] = {0};
        memcpy(buf, &c->next, sizeof c->next);
        CHECK_EQUAL(weft_udp_send(c->u, buf, sizeof buf), sizeof buf);
    }
    return NULL;
}

static void open_unix_pair(weft_udp *u[2])
{
    int fds[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQUAL(weft_udp_open_fd(fds[0], &u[0]), 0);
    CHECK_EQUAL(weft_udp_open_fd(fds[1], &u[1]), 0);
}

static void *send_waits(void *arg)
{
    weft_udp *u[2];
    open_unix_pair(u);
    struct counted c = {.u = u[0]};
    weft_task *t = spawn(send_numbers, &c);
    settle();
    CHECK(!weft_done(t)); /* nobody receives: the queue holds some ten */
    for (int i = 0; i < DATAGRAMS; i++) {
        char buf[100];
        int number;
        CHECK_EQUAL(weft_udp_receive(u[1], buf, sizeof buf), sizeof buf);
        memcpy(&number, buf, sizeof number);
        CHECK_EQUAL(number, i);
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_udp_close(u[0]), 0);
    CHECK_EQUAL(weft_udp_close(u[1]), 0);
    return arg;
}

static void item_269_a_send_waits_for_room(void **state)
{
    (void)state;
    run_io(send_waits, NULL);
}

static void *send_many_numbers(void *arg)
{
    struct counted *c = arg;
    struct weft_datagram d[DATAGRAMS] = {0};
    int numbers[DATAGRAMS];
    for (int i = 0; i < DATAGRAMS; i++) {
        numbers[i] = i;
        d[i].data = &numbers[i];
        d[i].bytes = i % 3 == 0 ? 0 : sizeof numbers[i]; /* empty ones, too */
    }
    CHECK_EQUAL(weft_udp_send_many(c->u, d, DATAGRAMS), DATAGRAMS);
    return NULL;
}

static void *many_in_order(void *arg)
{
    weft_udp *u[2];
    open_unix_pair(u);
    struct counted c = {.u = u[0]};
    struct weft_spawn_options wide = {.stack_bytes = 256 * 1024};
    weft_task *t = weft_spawn_with(&wide, send_many_numbers, &c);
    int buffers[16];
    for (int seen = 0; seen < DATAGRAMS;) {
        struct weft_datagram d[16] = {0};
        for (int i = 0; i < 16; i++) {
            d[i].data = &buffers[i];
            d[i].bytes = sizeof buffers[i];
        }
        int n = weft_udp_receive_many(u[1], d, 16);
        CHECK(n > 0 && n <= 16);
        for (int i = 0; i < n; i++, seen++) {
            CHECK_EQUAL(d[i].length, seen % 3 == 0 ? 0 : sizeof(int));
            CHECK(d[i].length == 0 || buffers[i] == seen);
            CHECK(!d[i].is_cut);
        }
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_udp_close(u[0]), 0);
    CHECK_EQUAL(weft_udp_close(u[1]), 0);
    return arg;
}

static void item_270_whole_and_in_order_also_empty_ones(void **state)
{
    (void)state;
    run_io(many_in_order, NULL);
}

/* Several at once over UDP, with the senders' addresses; more than one call moves. */
static void *many_with_addresses(void *arg)
{
    weft_udp *server = open_here();
    weft_udp *client = open_here();
    struct sockaddr_in to = at_port(weft_udp_port(server));
    struct weft_datagram d[8] = {0};
    char text[8] = "01234567";
    for (int i = 0; i < 8; i++) {
        d[i].data = &text[i];
        d[i].bytes = 1;
        memcpy(&d[i].address, &to, sizeof to);
        d[i].address_bytes = sizeof to;
    }
    CHECK_EQUAL(weft_udp_send_many(client, d, 8), 8);
    char got[8] = {0};
    int seen = 0;
    while (seen < 8) {
        for (int i = 0; i < 8 - seen; i++) {
            d[i] = (struct weft_datagram){.data = &got[seen + i], .bytes = 1};
        }
        int n = weft_udp_receive_many(server, d, (unsigned)(8 - seen));
        CHECK(n > 0);
        for (int i = 0; i < n; i++) {
            const struct sockaddr_in *from = (const void *)&d[i].address;
            CHECK_EQUAL(ntohs(from->sin_port), weft_udp_port(client));
        }
        seen += n;
    }
    CHECK_EQUAL(memcmp(got, text, 8), 0);
    /* The first fails: its error; a later one: how many went before. */
    d[0] = (struct weft_datagram){.data = text, .bytes = 1};
    CHECK_EQUAL(weft_udp_send_many(client, d, 1), -EDESTADDRREQ);
    d[1] = d[0];
    memcpy(&d[0].address, &to, sizeof to);
    d[0].address_bytes = sizeof to;
    CHECK_EQUAL(weft_udp_send_many(client, d, 2), 1);
    CHECK_EQUAL(weft_udp_send_many(client, d, 0), 0);
    CHECK_EQUAL(weft_udp_close(client), 0);
    CHECK_EQUAL(weft_udp_close(server), 0);
    return arg;
}

static void several_go_with_one_call(void **state)
{
    (void)state;
    run_io(many_with_addresses, NULL);
}

/* ---- 271: errors ---- */

/* A connected one hears that nobody is there, and lives on. */
static void *refused(void *arg)
{
    char c;
    weft_udp *u = open_to(dead_port(), false);
    CHECK_EQUAL(weft_udp_send(u, "x", 1), 1);
    CHECK_EQUAL(weft_udp_receive(u, &c, 1), -ECONNREFUSED);
    CHECK_EQUAL(weft_udp_send(u, "x", 1), 1);
    struct weft_datagram d = {.data = &c, .bytes = 1};
    CHECK_EQUAL(weft_udp_receive_many(u, &d, 1), -ECONNREFUSED);
    struct weft_udp_error e;
    CHECK_EQUAL(weft_udp_error(u, &e), -EAGAIN); /* not asked for */
    CHECK_EQUAL(weft_udp_close(u), 0);
    return arg;
}

/* One that is not connected is not disturbed. */
static void *undisturbed(void *arg)
{
    weft_udp *u = open_here();
    struct sockaddr_in dead = at_port(dead_port());
    struct sockaddr_in self = at_port(weft_udp_port(u));
    char c;
    CHECK_EQUAL(weft_udp_send_to(u, "x", 1, any_address(&dead), sizeof dead), 1);
    CHECK_EQUAL(weft_udp_send_to(u, "y", 1, any_address(&self), sizeof self), 1);
    CHECK_EQUAL(weft_udp_receive(u, &c, 1), 1);
    CHECK_EQUAL(c, 'y');
    CHECK_EQUAL(weft_udp_close(u), 0);
    return arg;
}

/* Unless it has asked; then it learns whom it concerns, and goes on. */
static void *reported(void *arg)
{
    weft_udp *u = NULL;
    struct weft_udp_options o = {.host = "127.0.0.1", .errors = true};
    CHECK_EQUAL(weft_udp_open(&o, &u), 0);
    struct sockaddr_in dead = at_port(dead_port());
    struct sockaddr_in self = at_port(weft_udp_port(u));
    for (int round = 0; round < 4; round++) {
        char c;
        struct weft_datagram d = {.data = &c, .bytes = 1};
        CHECK_EQUAL(weft_udp_send_to(u, "x", 1, any_address(&dead), sizeof dead), 1);
        CHECK_EQUAL(round % 2 == 0 ? weft_udp_receive(u, &c, 1)
                                   : weft_udp_receive_many(u, &d, 1),
                    -ECONNREFUSED);
        struct weft_udp_error e;
        CHECK_EQUAL(weft_udp_error(u, &e), 0);
        CHECK_EQUAL(e.error, -ECONNREFUSED);
        CHECK_EQUAL(e.origin, SO_EE_ORIGIN_ICMP);
        const struct sockaddr_in *to = (const void *)&e.to;
        CHECK_EQUAL(to->sin_port, dead.sin_port);
        const struct sockaddr_in *offender = (const void *)&e.offender;
        CHECK_EQUAL(offender->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        CHECK_EQUAL(weft_udp_error(u, &e), -EAGAIN);
        CHECK_EQUAL(weft_udp_send_to(u, "y", 1, any_address(&self), sizeof self), 1);
        CHECK_EQUAL(weft_udp_receive(u, &c, 1), 1);
        CHECK_EQUAL(c, 'y');
    }
    CHECK_EQUAL(weft_udp_close(u), 0);
    return arg;
}

static void item_271_errors_are_told_and_pass(void **state)
{
    (void)state;
    run_io(refused, NULL);
    run_io(undisturbed, NULL);
    run_io(reported, NULL);
}

/* A report that comes while a task waits ends the wait. */
static void *wait_for_one(void *arg)
{
    char c;
    return BOXED(weft_udp_receive(arg, &c, 1));
}

static void *wait_for_several(void *arg)
{
    char c;
    struct weft_datagram d = {.data = &c, .bytes = 1};
    return BOXED(weft_udp_receive_many(arg, &d, 1));
}

static void *reported_to_waiter(void *arg)
{
    for (int several = 0; several < 2; several++) {
        for (int errors = 0; errors < 2; errors++) {
            weft_udp *u = open_to(dead_port(), errors != 0);
            weft_task *t = spawn(several ? wait_for_several : wait_for_one, u);
            yield_until_calls(weft_udp_fd(u), 1);
            settle();
            CHECK_EQUAL(weft_udp_send(u, "x", 1), 1);
            CHECK_EQUAL(joined(t), -ECONNREFUSED);
            CHECK_EQUAL(weft_udp_close(u), 0);
        }
    }
    return arg;
}

static void item_271_who_waits_is_told(void **state)
{
    (void)state;
    run_io(reported_to_waiter, NULL);
}

/* ---- closing and cancelling ---- */

static void *close_under_waiters(void *arg)
{
    for (int round = 0; round < 20; round++) {
        weft_udp *u = open_here();
        int fd = weft_udp_fd(u);
        weft_task *t[6];
        for (int i = 0; i < 6; i++) {
            t[i] = spawn(i % 2 == 0 ? wait_for_one : wait_for_several, u);
        }
        yield_until_calls(fd, 6);
        if (round % 2 == 0) {
            settle();
        }
        CHECK_EQUAL(weft_udp_close(u), 0);
        for (int i = 0; i < 6; i++) {
            CHECK_EQUAL(joined(t[i]), -ECANCELED);
        }
    }
    return arg;
}

static void closing_ends_those_who_wait(void **state)
{
    (void)state;
    run_io(close_under_waiters, NULL);
}

static void *cancel_waiter(void *arg)
{
    weft_udp *server = open_here();
    weft_udp *client = open_to(weft_udp_port(server), false);
    char c;
    for (int several = 0; several < 2; several++) {
        weft_task *t = spawn(several ? wait_for_several : wait_for_one, server);
        yield_until_calls(weft_udp_fd(server), 1);
        CHECK(weft_cancel(t));
        CHECK_EQUAL(joined(t), -ECANCELED);
        /* It has taken nothing. */
        CHECK_EQUAL(weft_udp_send(client, "z", 1), 1);
        CHECK_EQUAL(weft_udp_receive(server, &c, 1), 1);
        CHECK_EQUAL(c, 'z');
    }
    CHECK_EQUAL(weft_udp_send(client, "z", 1), 1);
    struct weft_scope s;
    int n = 0;
    WEFT_TIMEOUT_AS(s, 0) {
        n = (int)weft_udp_receive(server, &c, 1); /* input looks at the scope first */
    }
    CHECK_EQUAL(n, -ETIMEDOUT);
    WEFT_TIMEOUT_AS(s, WEFT_MS) {
        CHECK_EQUAL(weft_udp_receive(server, &c, 1), 1);
        n = (int)weft_udp_receive(server, &c, 1);
    }
    CHECK_EQUAL(n, -ETIMEDOUT);
    cancel_myself();
    CHECK_EQUAL(weft_udp_send(client, "z", 1), -ECANCELED);
    CHECK_EQUAL(weft_udp_open(NULL, &client), -ECANCELED);
    CHECK_EQUAL(weft_udp_close(client), 0);
    CHECK_EQUAL(weft_udp_close(server), 0);
    uncancel_myself();
    return arg;
}

static void a_cancelled_receive_takes_nothing(void **state)
{
    (void)state;
    run_io(cancel_waiter, NULL);
}

/* ---- opening ---- */

static void *openings(void *arg)
{
    weft_udp *u = NULL;
    struct weft_udp_options o = {.family = AF_UNIX};
    CHECK_EQUAL(weft_udp_open(&o, &u), -EINVAL);
    o = (struct weft_udp_options){.host = "127.0.0.1", .reserved = {1}};
    CHECK_EQUAL(weft_udp_open(&o, &u), -EINVAL);
    o = (struct weft_udp_options){.host = "127.0.0.1", .peer_host = "::1", .peer_service = "1"};
    CHECK_EQUAL(weft_udp_open(&o, &u), -EINVAL);
    o = (struct weft_udp_options){.host = "127.0.0.1", .service = "no such service"};
    CHECK(weft_udp_open(&o, &u) < 0);
    o = (struct weft_udp_options){.host = "no such host"};
    CHECK(weft_udp_open(&o, &u) < 0);
    CHECK_EQUAL(weft_udp_open_fd(-1, &u), -EBADF);
    int fd = weft_socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQUAL(weft_udp_open_fd(fd, &u), -EPROTOTYPE);
    CHECK_EQUAL(weft_close(fd), 0);
    /* A port in use. */
    weft_udp *first = open_here();
    char service[8];
    snprintf(service, sizeof service, "%d", weft_udp_port(first));
    o = (struct weft_udp_options){.host = "127.0.0.1", .service = service};
    CHECK_EQUAL(weft_udp_open(&o, &u), -EADDRINUSE);
    CHECK_EQUAL(weft_udp_close(first), 0);
    /* All zero: any port, all addresses; a name. */
    CHECK_EQUAL(weft_udp_open(NULL, &u), 0);
    CHECK(weft_udp_port(u) > 0);
    CHECK_EQUAL(weft_udp_close(u), 0);
    o = (struct weft_udp_options){.host = "localhost", .family = AF_INET};
    CHECK_EQUAL(weft_udp_open(&o, &u), 0);
    struct sockaddr_in at;
    socklen_t bytes = sizeof at;
    CHECK_EQUAL(weft_udp_local(u, any_address(&at), &bytes), 0);
    CHECK_EQUAL(at.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    CHECK_EQUAL(weft_udp_close(u), 0);
    return arg;
}

static void what_cannot_be_opened_is_refused(void **state)
{
    (void)state;
    weft_udp *u = NULL;
    CHECK_EQUAL(weft_udp_open(NULL, &u), -EPERM);
    run_io(openings, NULL);
}

/* ---- groups and broadcast ---- */

static void *groups(void *arg)
{
    weft_udp *u = NULL;
    struct weft_udp_options o = {.service = "0", .reuse_address = true};
    CHECK_EQUAL(weft_udp_open(&o, &u), 0);
    struct sockaddr_in group = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(0xeffffe07), /* 239.255.254.7 */
                                .sin_port = htons((uint16_t)weft_udp_port(u))};
    struct sockaddr_in6 other = {.sin6_family = AF_INET6};
    CHECK_EQUAL(weft_udp_join(u, NULL, 0), -EINVAL);
    CHECK_EQUAL(weft_udp_join(u, any_address(&other), 0), -EINVAL);
    CHECK_EQUAL(weft_udp_leave(u, any_address(&group), 1), -EADDRNOTAVAIL);
    CHECK_EQUAL(weft_udp_join(u, any_address(&group), 1), 0); /* 1: the loopback interface */
    CHECK_EQUAL(weft_udp_join(u, any_address(&group), 1), -EADDRINUSE);
    CHECK_EQUAL(weft_udp_set_multicast_interface(u, 1), 0);
    CHECK_EQUAL(weft_udp_set_multicast_hops(u, 256), -EINVAL);
    CHECK_EQUAL(weft_udp_set_multicast_hops(u, 0), 0);
    CHECK_EQUAL(weft_udp_set_multicast_loop(u, true), 0);
    char c = 0;
    CHECK_EQUAL(weft_udp_send_to(u, "m", 1, any_address(&group), sizeof group), 1);
    CHECK_EQUAL(weft_udp_receive(u, &c, 1), 1);
    CHECK_EQUAL(c, 'm');
    CHECK_EQUAL(weft_udp_leave(u, any_address(&group), 1), 0);
    /* Broadcast has to be asked for. */
    struct sockaddr_in all = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(0x7fffffff), /* of 127.0.0.0/8 */
                              .sin_port = htons((uint16_t)weft_udp_port(u))};
    CHECK_EQUAL(weft_udp_send_to(u, "b", 1, any_address(&all), sizeof all), -EACCES);
    CHECK_EQUAL(weft_udp_close(u), 0);
    o = (struct weft_udp_options){.broadcast = true};
    CHECK_EQUAL(weft_udp_open(&o, &u), 0);
    all.sin_port = htons((uint16_t)weft_udp_port(u));
    CHECK_EQUAL(weft_udp_send_to(u, "b", 1, any_address(&all), sizeof all), 1);
    CHECK_EQUAL(weft_udp_receive(u, &c, 1), 1);
    CHECK_EQUAL(c, 'b');
    CHECK_EQUAL(weft_udp_close(u), 0);
    return arg;
}

static void groups_and_broadcast(void **state)
{
    (void)state;
    run_io(groups, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_there_and_back),
        cmocka_unit_test(item_268_no_more_than_the_buffer_holds),
        cmocka_unit_test(item_269_a_send_waits_for_room),
        cmocka_unit_test(item_270_whole_and_in_order_also_empty_ones),
        cmocka_unit_test(several_go_with_one_call),
        cmocka_unit_test(item_271_errors_are_told_and_pass),
        cmocka_unit_test(item_271_who_waits_is_told),
        cmocka_unit_test(closing_ends_those_who_wait),
        cmocka_unit_test(a_cancelled_receive_takes_nothing),
        cmocka_unit_test(what_cannot_be_opened_is_refused),
        cmocka_unit_test(groups_and_broadcast),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
