/* SPDX-License-Identifier: MIT */
/* recvfrom and sendto: datagrams and who sent them; on streams as recv and send. */
#include "io_help.h"

static int datagram_socket(struct sockaddr_in *address)
{
    socklen_t bytes = sizeof *address;
    *address = loopback();
    int fd = weft_socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_bind(fd, any_address(address), sizeof *address), 0);
    CHECK_EQUAL(getsockname(fd, any_address(address), &bytes), 0);
    return fd;
}

struct getting {
    int fd;
    ssize_t got;
    char buf[8];
    struct sockaddr_in from;
    socklen_t bytes;
};

static void *get_one(void *arg)
{
    struct getting *g = arg;
    g->bytes = sizeof g->from;
    g->got = weft_recvfrom(g->fd, g->buf, sizeof g->buf, 0, any_address(&g->from), &g->bytes);
    return NULL;
}

static void *datagrams(void *arg)
{
    struct sockaddr_in a;
    struct sockaddr_in b;
    (void)arg;
    int one = datagram_socket(&a);
    int two = datagram_socket(&b);
    struct getting g = {.fd = two};
    weft_task *t = spawn(get_one, &g);
    yield_until_calls(two, 1);
    CHECK_EQUAL(weft_sendto(one, "hello", 5, 0, any_address(&b), sizeof b), 5);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(g.got, 5);
    CHECK_EQUAL(memcmp(g.buf, "hello", 5), 0);
    CHECK_EQUAL(g.bytes, sizeof a);
    CHECK_EQUAL(g.from.sin_port, a.sin_port);
    /* Cut to the buffer; the rest of the datagram is gone. */
    CHECK_EQUAL(weft_sendto(one, "0123456789", 10, 0, any_address(&b), sizeof b), 10);
    CHECK_EQUAL(weft_sendto(one, "", 0, 0, any_address(&b), sizeof b), 0);
    CHECK_EQUAL(weft_recvfrom(two, g.buf, sizeof g.buf, 0, NULL, NULL), 8);
    CHECK_EQUAL(weft_recvfrom(two, g.buf, sizeof g.buf, 0, any_address(&g.from), &g.bytes), 0);
    CHECK_EQUAL(weft_recvfrom(two, g.buf, 1, MSG_DONTWAIT, any_address(&g.from), &g.bytes),
                -EAGAIN);
    CHECK_EQUAL(weft_recvfrom(two, g.buf, 1, 0, any_address(&g.from), NULL), -EFAULT);
    CHECK_EQUAL(weft_sendto(one, "x", 1, 0, NULL, 0), -EDESTADDRREQ);
    /* An address of another kind is room enough for half. */
    CHECK_EQUAL(weft_sendto(one, "x", 1, 0, any_address(&b), sizeof b), 1);
    g.bytes = 4;
    CHECK_EQUAL(weft_recvfrom(two, g.buf, 1, 0, any_address(&g.from), &g.bytes), 1);
    CHECK_EQUAL(g.bytes, sizeof a);
    t = spawn(get_one, &g);
    yield_until_calls(two, 1);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(g.got, -ECANCELED);
    CHECK_EQUAL(weft_close(one), 0);
    CHECK_EQUAL(weft_close(two), 0);
    return NULL;
}

static void datagrams_say_who_sent_them(void **state)
{
    (void)state;
    run_io(datagrams, NULL);
}

static void *streams(void *arg)
{
    int s[2];
    char buf[4];
    struct sockaddr_un from;
    socklen_t bytes = sizeof from;
    (void)arg;
    make_pair(s);
    CHECK_EQUAL(weft_sendto(s[0], "abc", 3, 0, NULL, 0), 3);
    CHECK_EQUAL(weft_recvfrom(s[1], buf, sizeof buf, 0, any_address(&from), &bytes), 3);
    CHECK_EQUAL(weft_close(s[1]), 0);
    CHECK_EQUAL(weft_sendto(s[0], "abc", 3, 0, NULL, 0), -EPIPE);
    CHECK_EQUAL(weft_close(s[0]), 0);
    return NULL;
}

static void streams_need_no_address(void **state)
{
    char c;
    (void)state;
    run_io(streams, NULL);
    CHECK_EQUAL(weft_recvfrom(0, &c, 1, 0, NULL, NULL), -EPERM);
    CHECK_EQUAL(weft_sendto(0, &c, 1, 0, NULL, 0), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_say_who_sent_them),
        cmocka_unit_test(streams_need_no_address),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
