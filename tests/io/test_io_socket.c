/* SPDX-License-Identifier: MIT */
/*
 * Sockets that are connected: receiving and sending, with and without flags, messages with control
 * data, descriptors passed along, shutting down.
 */
#include "io_help.h"

#include <poll.h>

static void *receive_and_send(void *arg)
{
    int fds[2];
    char buf[16] = {0};
    (void)arg;
    make_pair(fds);
    CHECK_EQUAL(weft_recv(fds[0], buf, sizeof buf, MSG_DONTWAIT), -EAGAIN);
    struct reading r = {.fd = fds[0], .n = 3};
    weft_task *t = spawn(read_once, &r);
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_send(fds[1], "hello", 5, 0), 5);
    CHECK_EQUAL(joined(t), 3);
    CHECK_EQUAL(memcmp(r.buf, "hel", 3), 0);
    CHECK_EQUAL(weft_recv(fds[0], buf, 1, MSG_PEEK), 1);
    CHECK_EQUAL(weft_recv(fds[0], buf, sizeof buf, MSG_PEEK | MSG_DONTWAIT), 2);
    CHECK_EQUAL(weft_recv(fds[0], buf, sizeof buf, 0), 2);
    CHECK_EQUAL(memcmp(buf, "lo", 2), 0);
    CHECK_EQUAL(weft_recv(fds[0], buf, sizeof buf, MSG_DONTWAIT), -EAGAIN);
    CHECK_EQUAL(weft_send(fds[0], "", 0, 0), 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_recv(fds[1], buf, 1, 0), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return NULL;
}

static void receives_and_sends(void **state)
{
    (void)state;
    run_io(receive_and_send, NULL);
}

static void *fill_up(void *arg)
{
    static char block[65536];
    int fds[2];
    size_t put = 0;
    ssize_t n;
    (void)arg;
    make_pair(fds);
    while ((n = weft_send(fds[0], block, sizeof block, MSG_DONTWAIT)) > 0) {
        put += (size_t)n;
    }
    CHECK_EQUAL(n, -EAGAIN);
    CHECK_EQUAL(weft_write_full(fds[1], "x", 1, NULL), 0); /* the other way there is room */
    CHECK_EQUAL(weft_recv(fds[0], block, sizeof block, 0), 1);
    while (put > 0) {
        n = weft_recv(fds[1], block, sizeof block, 0);
        CHECK(n > 0 && (size_t)n <= put);
        put -= (size_t)n;
    }
    CHECK_EQUAL(weft_recv(fds[1], block, 1, MSG_DONTWAIT), -EAGAIN);
    close_both(fds);
    return NULL;
}

static void does_not_wait_when_told_so(void **state)
{
    (void)state;
    run_io(fill_up, NULL);
}

struct receiving {
    int fd;
    char buf[32];
};

static void *receive_all_32(void *arg)
{
    struct receiving *r = arg;
    return BOXED(weft_recv(r->fd, r->buf, sizeof r->buf, MSG_WAITALL));
}

static void *wait_for_all(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds);
    struct receiving r = {.fd = fds[0]};
    char out[32];
    pattern_fill(out, 0, sizeof out);
    weft_task *t = spawn(receive_all_32, &r);
    for (int i = 0; i < 32; i += 8) {
        settle();
        CHECK(!weft_done(t));
        CHECK_EQUAL(weft_send(fds[1], out + i, 8, 0), 8);
    }
    CHECK_EQUAL(joined(t), 32);
    CHECK(pattern_fits(r.buf, 0, 32));

    /* Cancelled midway: what had come is the result. */
    t = spawn(receive_all_32, &r);
    CHECK_EQUAL(weft_send(fds[1], out, 5, 0), 5);
    settle();
    weft_cancel(t);
    int got = joined(t);
    CHECK(got == 5 || got == -ECANCELED);
    char rest[8];
    CHECK_EQUAL(weft_recv(fds[0], rest, 8, MSG_DONTWAIT), got == 5 ? -EAGAIN : 5);

    /* The end of input midway. */
    t = spawn(receive_all_32, &r);
    CHECK_EQUAL(weft_send(fds[1], out, 6, 0), 6);
    CHECK_EQUAL(weft_shutdown(fds[1], SHUT_WR), 0);
    CHECK_EQUAL(joined(t), 6);
    close_both(fds);
    return NULL;
}

static void waits_for_all_when_told_so(void **state)
{
    (void)state;
    run_io(wait_for_all, NULL);
}

static void *lose_the_peer(void *arg)
{
    int fds[2];
    struct iovec iov = {"x", 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t done = 99;
    (void)arg;
    make_pair(fds);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_send(fds[0], "x", 1, 0), -EPIPE);
        CHECK_EQUAL(weft_sendmsg(fds[0], &m, 0), -EPIPE);
        CHECK_EQUAL(weft_write(fds[0], "x", 1), -EPIPE);
        CHECK_EQUAL(weft_writev(fds[0], &iov, 1), -EPIPE);
        CHECK_EQUAL(weft_write_full(fds[0], "x", 1, &done), -EPIPE);
        CHECK_EQUAL(done, 0);
    }
    CHECK_EQUAL(weft_close(fds[0]), 0);
    return NULL;
}

static void a_peer_that_is_gone_is_an_error_and_no_signal(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    run_io(lose_the_peer, NULL);
}

static void *shut_down(void *arg)
{
    int fds[2];
    char c;
    (void)arg;
    make_pair(fds);
    weft_task *t = spawn(read_byte, BOXED(fds[1]));
    settle();
    CHECK_EQUAL(weft_shutdown(fds[0], SHUT_WR), 0);
    CHECK_EQUAL(joined(t), 0);
    CHECK_EQUAL(weft_send(fds[0], "x", 1, 0), -EPIPE);
    CHECK_EQUAL(weft_send(fds[1], "x", 1, 0), 1); /* the other way goes on */
    CHECK_EQUAL(weft_recv(fds[0], &c, 1, 0), 1);
    t = spawn(read_byte, BOXED(fds[0]));
    settle();
    CHECK_EQUAL(weft_shutdown(fds[0], SHUT_RD), 0);
    CHECK_EQUAL(joined(t), 0);
    CHECK_EQUAL(weft_shutdown(fds[0], SHUT_RDWR), 0);
    CHECK_EQUAL(weft_shutdown(fds[0], 17), -EINVAL);
    close_both(fds);
    int lonely = weft_socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQUAL(weft_shutdown(lonely, SHUT_WR), -ENOTCONN);
    CHECK_EQUAL(weft_recv(lonely, &c, 1, 0), -ENOTCONN);
    CHECK_EQUAL(weft_close(lonely), 0);
    make_pipe(fds);
    CHECK_EQUAL(weft_shutdown(fds[0], SHUT_WR), -ENOTSOCK);
    CHECK_EQUAL(weft_recv(fds[0], &c, 1, 0), -ENOTSOCK);
    CHECK_EQUAL(weft_send(fds[1], &c, 1, 0), -ENOTSOCK);
    CHECK_EQUAL(weft_accept(fds[1], NULL, NULL, 0), -ENOTSOCK);
    close_both(fds);
    return NULL;
}

static void shutting_down_ends_what_waits(void **state)
{
    (void)state;
    run_io(shut_down, NULL);
}

/* Room for control data with one descriptor, aligned. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_descriptor(int fd, int passed)
{
    union control control = {0};
    struct iovec iov = {"fd", 2};
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof passed);
    memcpy(CMSG_DATA(c), &passed, sizeof passed);
    CHECK_EQUAL(weft_sendmsg(fd, &m, 0), 2);
}

/* A task that receives a descriptor with flags; -1: the message had none. */
struct passing {
    int fd;
    int flags;
    int got;
    char buf[8];
};

static void *receive_descriptor(void *arg)
{
    struct passing *p = arg;
    union control control = {0};
    struct iovec iov = {p->buf, sizeof p->buf};
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    p->got = -1;
    ssize_t n = weft_recvmsg(p->fd, &m, p->flags);
    struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c != NULL) {
        CHECK_EQUAL(c->cmsg_level, SOL_SOCKET);
        CHECK_EQUAL(c->cmsg_type, SCM_RIGHTS);
        CHECK_EQUAL(m.msg_flags & MSG_CTRUNC, 0);
        memcpy(&p->got, CMSG_DATA(c), sizeof p->got);
    }
    return BOXED(n);
}

static void *pass_descriptors(void *arg)
{
    int fds[2];
    int passed[2];
    char c = 0;
    (void)arg;
    make_pair(fds);
    for (int i = 0; i < 2; i++) {
        struct passing p = {.fd = fds[1], .flags = i == 0 ? 0 : MSG_CMSG_CLOEXEC};
        weft_task *t = spawn(receive_descriptor, &p);
        settle();
        CHECK(!weft_done(t));
        make_pipe(passed);
        send_descriptor(fds[0], passed[1]);
        CHECK_EQUAL(weft_close(passed[1]), 0); /* the message has it */
        CHECK_EQUAL(joined(t), 2);
        CHECK_EQUAL(memcmp(p.buf, "fd", 2), 0);
        CHECK(p.got >= 0);
        CHECK_EQUAL(fcntl(p.got, F_GETFD), FD_CLOEXEC);
        CHECK_EQUAL(weft_write(p.got, "y", 1), 1);
        CHECK_EQUAL(weft_read(passed[0], &c, 1), 1);
        CHECK_EQUAL(weft_close(p.got), 0);
        CHECK_EQUAL(weft_read(passed[0], &c, 1), 0);
        CHECK_EQUAL(weft_close(passed[0]), 0);
    }
    struct passing p = {.fd = fds[1], .flags = MSG_DONTWAIT};
    CHECK_EQUAL(UNBOXED(receive_descriptor(&p)), -EAGAIN);
    close_both(fds);
    return NULL;
}

static void descriptors_are_passed(void **state)
{
    (void)state;
    run_io(pass_descriptors, NULL);
}

static void *exchange_datagrams(void *arg)
{
    struct sockaddr_in address[2];
    int fd[2];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        socklen_t bytes = sizeof address[i];
        address[i] = loopback();
        fd[i] = weft_socket(AF_INET, SOCK_DGRAM, 0);
        CHECK(fd[i] >= 0);
        CHECK_EQUAL(weft_bind(fd[i], any_address(&address[i]), bytes), 0);
        CHECK_EQUAL(getsockname(fd[i], any_address(&address[i]), &bytes), 0);
    }
    struct iovec out[2] = {{"one ", 4}, {"datagram", 8}};
    struct msghdr m = {
        .msg_name = &address[1],
        .msg_namelen = sizeof address[1],
        .msg_iov = out,
        .msg_iovlen = 2,
    };
    CHECK_EQUAL(weft_sendmsg(fd[0], &m, 0), 12);
    char a[3], b[4];
    struct sockaddr_in from = {0};
    struct iovec in[2] = {{a, sizeof a}, {b, sizeof b}};
    struct msghdr got = {
        .msg_name = &from,
        .msg_namelen = sizeof from,
        .msg_iov = in,
        .msg_iovlen = 2,
    };
    CHECK_EQUAL(weft_recvmsg(fd[1], &got, MSG_TRUNC), 12); /* its real length */
    CHECK_EQUAL(memcmp(a, "one", 3), 0);
    CHECK_EQUAL(memcmp(b, " dat", 4), 0);
    CHECK_EQUAL(got.msg_flags & MSG_TRUNC, MSG_TRUNC);
    CHECK_EQUAL(got.msg_namelen, sizeof from);
    CHECK_EQUAL(from.sin_port, address[0].sin_port);
    CHECK_EQUAL(weft_send(fd[0], "x", 1, 0), -EDESTADDRREQ);
    CHECK_EQUAL(weft_recvmsg(fd[1], NULL, 0), -EFAULT);
    CHECK_EQUAL(weft_connect(fd[0], any_address(&address[1]), sizeof address[1]), 0);
    CHECK_EQUAL(weft_send(fd[0], "x", 1, 0), 1);
    CHECK_EQUAL(weft_recv(fd[1], a, sizeof a, 0), 1);
    close_both(fd);
    return NULL;
}

static void messages_carry_addresses(void **state)
{
    (void)state;
    run_io(exchange_datagrams, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receives_and_sends),
        cmocka_unit_test(does_not_wait_when_told_so),
        cmocka_unit_test(waits_for_all_when_told_so),
        cmocka_unit_test(a_peer_that_is_gone_is_an_error_and_no_signal),
        cmocka_unit_test(shutting_down_ends_what_waits),
        cmocka_unit_test(descriptors_are_passed),
        cmocka_unit_test(messages_carry_addresses),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
