/* SPDX-License-Identifier: MIT */
/*
 * Connecting: by number, by name, by path; to the first of several addresses that answers; from an
 * address of one's own; and when nothing answers, or nobody is there.
 *
 * An address that does not answer is a listener whose queue is full: the kernel drops who comes.
 */
#include "stream_help.h"

#include <netinet/tcp.h>

#include "connect.h"

static const char *port_of(const struct sockaddr_in *a)
{
    static char port[8];
    snprintf(port, sizeof port, "%d", ntohs(a->sin_port));
    return port;
}

static weft_stream *connected_stream(const char *host, const char *service,
                                     const struct weft_connect_options *options)
{
    weft_stream *s = NULL;
    CHECK_EQUAL(weft_open_connection(host, service, options, &s), 0);
    return s;
}

static void check_connected(weft_stream *s, int listener)
{
    int fd = weft_accept(listener, NULL, NULL, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_stream_write(s, "hi", 2), 2);
    CHECK_EQUAL(weft_stream_close(s), 0);
    char buf[3];
    CHECK_EQUAL(weft_read_full(fd, buf, 3, NULL), -ENODATA);
    CHECK_EQUAL(memcmp(buf, "hi", 2), 0);
    CHECK_EQUAL(weft_close(fd), 0);
}

static void *connect_by_number(void *arg)
{
    struct sockaddr_in a;
    struct address_list list = {NULL, 0};
    int on = 0;
    socklen_t bytes = sizeof on;
    (void)arg;
    int listener = make_listener(&a, 4);
    weft_stream *s = connected_stream("127.0.0.1", port_of(&a), NULL);
    CHECK_EQUAL(getsockopt(weft_stream_fd(s), IPPROTO_TCP, TCP_NODELAY, &on, &bytes), 0);
    CHECK(on != 0);
    check_connected(s, listener);
    check_connected(connected_stream("localhost", port_of(&a),
                                     &(struct weft_connect_options){.family = AF_INET}),
                    listener); /* this one is looked up */
    CHECK_EQUAL(weft_close(listener), 0);
    CHECK_EQUAL(weft__address_find(&list, "fe80::1%1", "80", 0, false), 0);
    CHECK_EQUAL(list.count, 1);
    CHECK_EQUAL(list.all[0].in6.sin6_scope_id, 1); /* it is kept */
    CHECK_EQUAL(ntohs(list.all[0].in6.sin6_port), 80);
    weft__address_list_fini(&list);
    return NULL;
}

static void item_250_numbers_need_no_look_up(void **state)
{
    (void)state;
    run_io(connect_by_number, NULL);
}

/* A list of addresses of the loopback network, by their last number, all at one port. */
static struct address_list list_of(const int *last, size_t count, in_port_t port)
{
    struct address_list list = {calloc(count, sizeof *list.all), count};
    CHECK(list.all != NULL);
    for (size_t i = 0; i < count; i++) {
        struct address *to = &list.all[i];
        to->in.sin_family = AF_INET;
        to->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (in_addr_t)last[i] - 1);
        to->in.sin_port = port;
        to->bytes = sizeof to->in;
    }
    return list;
}

static int connect_list(const int *last, size_t count, in_port_t port, int64_t delay_ns)
{
    struct address_list list = list_of(last, count, port);
    int fd = weft__connect_any(&list, &(struct address_list){NULL, 0}, delay_ns);
    weft__address_list_fini(&list);
    return fd;
}

static void *try_in_turn(void *arg)
{
    static const int last[] = {2, 3, 1, 4}; /* only the third is listened at */
    struct sockaddr_in a;
    struct sockaddr_in peer;
    socklen_t bytes = sizeof peer;
    (void)arg;
    int listener = make_listener(&a, 4);
    int before = fd_count();
    int fd = connect_list(last, 4, a.sin_port, WEFT_FOREVER);
    CHECK(fd >= 0);
    CHECK_EQUAL(getpeername(fd, any_address(&peer), &bytes), 0);
    CHECK_EQUAL(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(connect_list(last, 2, a.sin_port, WEFT_FOREVER), -ECONNREFUSED);
    CHECK_EQUAL(connect_list(last, 2, a.sin_port, 0), -ECONNREFUSED);
    CHECK_EQUAL(connect_list(last, 1, a.sin_port, 0), -ECONNREFUSED);
    CHECK_EQUAL(connect_list(last, 0, a.sin_port, 0), -ENODATA);
    CHECK_EQUAL(fd_count(), before); /* each that failed is closed */
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void item_251_tries_every_address(void **state)
{
    (void)state;
    run_io(try_in_turn, NULL);
}

/* A listener at the last number and port of `a` that does not answer any more. */
struct deaf {
    int listener;
    int fillers[4];
};

static struct deaf make_deaf(struct sockaddr_in *a, int last)
{
    struct deaf d = {.listener = weft_socket(AF_INET, SOCK_STREAM, 0)};
    socklen_t bytes = sizeof *a;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK + (in_addr_t)last - 1);
    CHECK_EQUAL(weft_bind(d.listener, any_address(a), sizeof *a), 0);
    CHECK_EQUAL(weft_listen(d.listener, 0), 0);
    CHECK_EQUAL(getsockname(d.listener, any_address(a), &bytes), 0);
    for (int i = 0; i < 4; i++) {
        d.fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(d.fillers[i], any_address(a), sizeof *a);
    }
    return d;
}

static void close_deaf(const struct deaf *d)
{
    CHECK_EQUAL(weft_close(d->listener), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(close(d->fillers[i]), 0);
    }
}

static void *time_out(void *arg)
{
    struct sockaddr_in a = loopback();
    static const int both[] = {7, 8};
    weft_stream *s = NULL;
    (void)arg;
    struct deaf d = make_deaf(&a, 7);
    struct sockaddr_in b = a;
    struct deaf d2 = make_deaf(&b, 8);
    int before = fd_count();
    struct weft_connect_options options = {.for_ns = 20 * WEFT_MS};
    CHECK_EQUAL(weft_open_connection("127.0.0.7", port_of(&a), &options, &s), -ETIMEDOUT);
    WEFT_TIMEOUT(20 * WEFT_MS) { /* a race without a winner, and without errors */
        CHECK_EQUAL(connect_list(both, 2, a.sin_port, WEFT_MS), -ETIMEDOUT);
    }
    cancel_myself();
    CHECK_EQUAL(weft_open_connection("127.0.0.7", port_of(&a), NULL, &s), -ECANCELED);
    CHECK_EQUAL(connect_list(both, 2, a.sin_port, WEFT_MS), -ECANCELED);
    uncancel_myself();
    CHECK_EQUAL(fd_count(), before);
    CHECK(s == NULL);
    close_deaf(&d);
    close_deaf(&d2);
    return NULL;
}

static void item_252_253_a_timeout_leaves_nothing_open(void **state)
{
    (void)state;
    run_io(time_out, NULL);
}

static void *pass_the_deaf(void *arg)
{
    static const int last[] = {7, 1};
    struct sockaddr_in a;
    struct sockaddr_in b;
    (void)arg;
    int listener = make_listener(&a, 4);
    b = a;
    struct deaf d = make_deaf(&b, 7);
    int before = fd_count();
    int64_t begun = weft_now();
    int fd = connect_list(last, 2, a.sin_port, 10 * WEFT_MS);
    CHECK(fd >= 0);
    CHECK(weft_now() - begun >= 10 * WEFT_MS); /* the first had its chance */
    CHECK_EQUAL(fd_count(), before + 1);       /* and was given up */
    CHECK_EQUAL(weft_close(fd), 0);
    close_deaf(&d);
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void the_next_is_tried_while_one_does_not_answer(void **state)
{
    (void)state;
    run_io(pass_the_deaf, NULL);
}

static void *refuse_nonsense(void *arg)
{
    weft_stream *s = NULL;
    int before = fd_count();
    (void)arg;
    const struct {
        const char *host;
        const char *service;
        struct weft_connect_options options;
    } bad[] = {
        {NULL, "80", {.family = 0}},
        {"127.0.0.1", NULL, {.family = 0}},
        {"unix:/a", "80", {.family = 0}},
        {"unix:", NULL, {.family = 0}},
        {"unix:/a", NULL, {.local_host = "127.0.0.1"}},
        {"unix:/a", NULL, {.family = AF_INET}},
        {"127.0.0.1", "80", {.family = AF_UNIX}},
        {"127.0.0.1", "80", {.delay_ns = -1}},
        {"127.0.0.1", "80", {.for_ns = -1}},
        {"127.0.0.1", "80", {.local_service = "80"}},
        {"127.0.0.1", "80", {.stream = {.high_water = 1, .low_water = 2}}},
        {"127.0.0.1", "80", {.reserved = {0, 0, 0, 1}}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQUAL(weft_open_connection(bad[i].host, bad[i].service, &bad[i].options, &s),
                    -EINVAL);
    }
    CHECK_EQUAL(fd_count(), before);
    return NULL;
}

static void item_254_refuses_contradictions(void **state)
{
    (void)state;
    weft_stream *s = NULL;
    CHECK_EQUAL(weft_open_connection("127.0.0.1", "80", NULL, &s), -EPERM);
    run_io(refuse_nonsense, NULL);
}

static void *connect_from(void *arg)
{
    struct sockaddr_in a;
    struct sockaddr_in from;
    socklen_t bytes = sizeof from;
    weft_stream *s = NULL;
    (void)arg;
    int listener = make_listener(&a, 4);
    s = connected_stream("127.0.0.1", port_of(&a),
                         &(struct weft_connect_options){.local_host = "127.0.0.5"});
    CHECK_EQUAL(weft_stream_local(s, any_address(&from), &bytes), 0);
    CHECK_EQUAL(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK + 4));
    check_connected(s, listener);
    struct weft_connect_options other = {.local_host = "::1"}; /* of another family */
    CHECK_EQUAL(weft_open_connection("127.0.0.1", port_of(&a), &other, &s), -EADDRNOTAVAIL);
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void connects_from_an_address(void **state)
{
    (void)state;
    run_io(connect_from, NULL);
}

static void *connect_by_path(void *arg)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char name[64];
    weft_stream *s = NULL;
    (void)arg;
    int length = snprintf(name, sizeof name, "unix:@weft connect test %d", (int)getpid());
    memcpy(a.sun_path + 1, name + 6, (size_t)length - 6);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length - 5);
    int listener = weft_socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQUAL(weft_bind(listener, any_address(&a), bytes), 0);
    CHECK_EQUAL(weft_listen(listener, 4), 0);
    check_connected(connected_stream(name, NULL, NULL), listener);
    CHECK_EQUAL(weft_close(listener), 0);
    CHECK_EQUAL(weft_open_connection(name, NULL, NULL, &s), -ECONNREFUSED);
    CHECK_EQUAL(weft_open_connection("unix:/no such folder/a", NULL, NULL, &s), -ENOENT);
    return NULL;
}

static void connects_to_a_path(void **state)
{
    (void)state;
    run_io(connect_by_path, NULL);
}

/* "4" and "6" stand for the families. */
static void check_order(const char *before, const char *after)
{
    struct address all[8] = {{.bytes = 0}};
    struct address_list list = {all, strlen(before)};
    for (size_t i = 0; i < list.count; i++) {
        all[i].any.sa_family = before[i] == '4' ? AF_INET : AF_INET6;
        all[i].bytes = (socklen_t)i;
    }
    weft__address_interleave(&list);
    socklen_t seen[2] = {0, 0};
    for (size_t i = 0; i < list.count; i++) {
        int is_4 = all[i].any.sa_family == AF_INET;
        assert_int_equal(is_4 ? '4' : '6', after[i]);
        assert_true(all[i].bytes >= seen[is_4]); /* within a family as before */
        seen[is_4] = all[i].bytes;
    }
}

static void families_take_turns(void **state)
{
    (void)state;
    check_order("", "");
    check_order("6", "6");
    check_order("6644", "6464");
    check_order("4466", "4646");
    check_order("66664", "64666");
    check_order("4666", "4666");
    check_order("64", "64");
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_250_numbers_need_no_look_up),
        cmocka_unit_test(item_251_tries_every_address),
        cmocka_unit_test(item_252_253_a_timeout_leaves_nothing_open),
        cmocka_unit_test(the_next_is_tried_while_one_does_not_answer),
        cmocka_unit_test(item_254_refuses_contradictions),
        cmocka_unit_test(connects_from_an_address),
        cmocka_unit_test(connects_to_a_path),
        cmocka_unit_test(families_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
