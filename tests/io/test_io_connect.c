/* SPDX-License-Identifier: MIT */
/*
 * Sockets that are not connected yet: making, binding, listening, accepting, connecting.
 *
 * A connect that has to wait is made by filling the listener's queue.
 */
#include "io_help.h"

#include <poll.h>

static void *make_sockets(void *arg)
{
    (void)arg;
    int plain = weft_socket(AF_INET, SOCK_STREAM, 0);
    CHECK(plain >= 0);
    CHECK_EQUAL(fcntl(plain, F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(fcntl(plain, F_GETFL) & O_NONBLOCK, 0);
    int nonblock = weft_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CHECK_EQUAL(fcntl(nonblock, F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(fcntl(nonblock, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CHECK_EQUAL(weft_listen(nonblock, 1), -EOPNOTSUPP);
    CHECK_EQUAL(weft_socket(12345, SOCK_STREAM, 0), -EAFNOSUPPORT);
    CHECK_EQUAL(weft_socket(AF_INET, SOCK_STREAM, 200), -EPROTONOSUPPORT);
    CHECK_EQUAL(weft_accept(plain, NULL, NULL, 0), -EINVAL); /* it does not listen */

    struct sockaddr_in address;
    int listener = make_listener(&address, 4);
    CHECK_EQUAL(weft_bind(plain, any_address(&address), sizeof address), -EADDRINUSE);
    CHECK_EQUAL(weft_bind(plain, any_address(&address), 3), -EINVAL);
    CHECK_EQUAL(weft_close(listener), 0);
    CHECK_EQUAL(weft_connect(plain, any_address(&address), sizeof address), -ECONNREFUSED);
    CHECK_EQUAL(weft_close(nonblock), 0);
    CHECK_EQUAL(weft_close(plain), 0);
    return NULL;
}

static void sockets_are_made_and_refused(void **state)
{
    (void)state;
    run_io(make_sockets, NULL);
}

struct accepting {
    int listener;
    int flags;
    struct sockaddr_in address;
    socklen_t bytes;
};

static void *accept_with_address(void *arg)
{
    struct accepting *a = arg;
    return BOXED(weft_accept(a->listener, any_address(&a->address), &a->bytes, a->flags));
}

static void *accept_all_ways(void *arg)
{
    struct sockaddr_in address;
    (void)arg;
    int listener = make_listener(&address, 4);
    for (int i = 0; i < 4; i++) {
        bool is_nonblock = (i & 1) != 0;
        struct accepting a = {
            .listener = listener,
            .flags = is_nonblock ? SOCK_NONBLOCK : 0,
            .bytes = (i & 2) != 0 ? 4 : sizeof a.address,
        };
        weft_task *t = spawn(accept_with_address, &a);
        settle();
        CHECK(!weft_done(t));
        int client = connected_to(&address);
        int server = joined(t);
        CHECK(server >= 0);
        CHECK_EQUAL(fcntl(server, F_GETFD), FD_CLOEXEC);
        CHECK_EQUAL(fcntl(server, F_GETFL) & O_NONBLOCK, is_nonblock ? O_NONBLOCK : 0);
        struct sockaddr_in local = {0};
        socklen_t bytes = sizeof local;
        CHECK_EQUAL(getsockname(client, any_address(&local), &bytes), 0);
        CHECK_EQUAL(a.bytes, sizeof a.address);
        CHECK_EQUAL(a.address.sin_family, AF_INET);
        CHECK_EQUAL(a.address.sin_port, local.sin_port);
        CHECK_EQUAL(a.address.sin_addr.s_addr, (i & 2) != 0 ? 0 : htonl(INADDR_LOOPBACK));
        char c = 0;
        CHECK_EQUAL(weft_send(client, "x", 1, 0), 1);
        CHECK_EQUAL(weft_recv(server, &c, 1, 0), 1);
        CHECK_EQUAL(weft_close(server), 0);
        CHECK_EQUAL(weft_close(client), 0);
    }
    CHECK_EQUAL(weft_accept(listener, NULL, NULL, 12345), -EINVAL);
    set_nonblock(listener);
    weft_task *t = spawn(accept_one, BOXED(listener)); /* waits all the same */
    settle();
    CHECK(!weft_done(t));
    int client = connected_to(&address);
    CHECK_EQUAL(weft_close(joined(t)), 0);
    CHECK_EQUAL(weft_close(client), 0);
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void accept_tells_who_and_sets_flags(void **state)
{
    (void)state;
    run_io(accept_all_ways, NULL);
}

static void *connect_all_ways(void *arg)
{
    struct sockaddr_in address;
    (void)arg;
    int listener = make_listener(&address, 4);
    for (int i = 0; i < 2; i++) {
        int client = weft_socket(AF_INET, SOCK_STREAM | (i == 0 ? 0 : SOCK_NONBLOCK), 0);
        CHECK_EQUAL(weft_connect(client, any_address(&address), sizeof address), 0);
        int server = weft_accept(listener, NULL, NULL, 0);
        CHECK(server >= 0);
        CHECK_EQUAL(weft_connect(client, any_address(&address), sizeof address), -EISCONN);
        CHECK_EQUAL(weft_close(server), 0);
        CHECK_EQUAL(weft_close(client), 0);
    }
    int client = weft_socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQUAL(weft_connect(client, any_address(&address), 3), -EINVAL);
    CHECK_EQUAL(weft_connect(client, NULL, sizeof address), -EFAULT);
    struct sockaddr_un other = {.sun_family = AF_UNIX};
    CHECK_EQUAL(weft_connect(client, any_address(&other), sizeof other), -EAFNOSUPPORT);
    CHECK_EQUAL(weft_close(client), 0);
    int fds[2];
    make_pipe(fds);
    CHECK_EQUAL(weft_connect(fds[0], any_address(&address), sizeof address), -ENOTSOCK);
    close_both(fds);
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void connect_waits_and_tells_errors(void **state)
{
    (void)state;
    run_io(connect_all_ways, NULL);
}

/* ---- Unix sockets, whose names are abstract: nothing is left behind ---- */

static struct sockaddr_un unix_address(void)
{
    static int number;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "weft-test-%d-%d", (int)getpid(),
             number++);
    return address;
}

struct connecting {
    int fd;
    struct sockaddr_un address;
};

static void *connect_unix(void *arg)
{
    struct connecting *c = arg;
    return BOXED(weft_connect(c->fd, any_address(&c->address), sizeof c->address));
}

static int unix_socket(void)
{
    int fd = weft_socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    return fd;
}

static void *connect_to_full_queue(void *arg)
{
    struct connecting c = {.address = unix_address()};
    struct sockaddr *address = any_address(&c.address);
    (void)arg;
    c.fd = unix_socket();
    CHECK_EQUAL(weft_connect(c.fd, address, sizeof c.address), -ECONNREFUSED);
    CHECK_EQUAL(weft_close(c.fd), 0);
    int listener = unix_socket();
    CHECK_EQUAL(weft_bind(listener, address, sizeof c.address), 0);
    CHECK_EQUAL(weft_listen(listener, 0), 0);
    int first = unix_socket();
    CHECK_EQUAL(weft_connect(first, address, sizeof c.address), 0);

    c.fd = unix_socket();
    weft_task *t = spawn(connect_unix, &c); /* no room: it waits */
    settle();
    CHECK(!weft_done(t));
    int nonblock = weft_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_EQUAL(weft_connect(nonblock, address, sizeof c.address), -EAGAIN);
    CHECK_EQUAL(weft_close(nonblock), 0);
    int server = weft_accept(listener, NULL, NULL, 0);
    CHECK(server >= 0);
    CHECK_EQUAL(joined(t), 0);
    CHECK_EQUAL(weft_close(server), 0);
    CHECK_EQUAL(weft_close(c.fd), 0);

    /* Now ended by a cancel, by weft_close, by the listener's end. */
    for (int i = 0; i < 3; i++) {
        c.fd = unix_socket();
        t = spawn(connect_unix, &c);
        yield_until_calls(c.fd, 1);
        CHECK(!weft_done(t));
        if (i == 0) {
            CHECK(weft_cancel(t));
        }
        CHECK_EQUAL(weft_close(i < 2 ? c.fd : listener), 0);
        CHECK_EQUAL(joined(t), i < 2 ? -ECANCELED : -ECONNREFUSED);
    }
    CHECK_EQUAL(weft_close(c.fd), 0);
    CHECK_EQUAL(weft_close(first), 0);
    return NULL;
}

static void connect_waits_for_room_in_the_queue(void **state)
{
    (void)state;
    run_io(connect_to_full_queue, NULL);
}

/* ---- many ---- */

#define ACCEPTORS 8
#define CLIENTS 64

static void *accept_several(void *arg)
{
    for (int i = 0; i < CLIENTS / ACCEPTORS; i++) {
        int fd = weft_accept(UNBOXED(arg), NULL, NULL, 0);
        CHECK(fd >= 0);
        CHECK_EQUAL(weft_write_full(fd, "hi", 2, NULL), 0);
        CHECK_EQUAL(weft_close(fd), 0);
    }
    return NULL;
}

static void *connect_and_read(void *arg)
{
    char buf[4];
    size_t done;
    int fd = connected_to(arg);
    CHECK_EQUAL(weft_read_full(fd, buf, 4, &done), -ENODATA);
    CHECK_EQUAL(done, 2);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void *accept_together(void *arg)
{
    weft_task *t[ACCEPTORS + CLIENTS];
    struct sockaddr_in address;
    (void)arg;
    int listener = make_listener(&address, CLIENTS);
    for (int i = 0; i < ACCEPTORS + CLIENTS; i++) {
        t[i] = i < ACCEPTORS ? spawn(accept_several, BOXED(listener))
                             : spawn(connect_and_read, &address);
    }
    for (int i = 0; i < ACCEPTORS + CLIENTS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void several_tasks_accept_on_one_socket(void **state)
{
    (void)state;
    run_io(accept_together, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_made_and_refused),
        cmocka_unit_test(accept_tells_who_and_sets_flags),
        cmocka_unit_test(connect_waits_and_tells_errors),
        cmocka_unit_test(connect_waits_for_room_in_the_queue),
        cmocka_unit_test(several_tasks_accept_on_one_socket),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
