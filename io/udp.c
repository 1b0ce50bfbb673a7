/* SPDX-License-Identifier: MIT */
/* Datagram endpoints: sending and receiving; see udp.h. */
#include "udp.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <weft/io.h>
#include <weft/task.h>

#include "op.h"

/* A call begins. 0 or -errno. */
static int udp_enter(const struct op_request *r)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    int err = op_spent(weft__interrupted(f));
    return err < 0 ? err : weft__op_enter_all(r, 1);
}

/* It is over, having waited or not. */
static void udp_leave(const struct op_request *r, bool has_waited)
{
    weft__op_leave_all(r, 1);
    if (!has_waited) {
        weft__spend();
    }
}

/* These are apart, as errno is the thread's. */
static WEFT_NOINLINE ssize_t try_send(int fd, const struct msghdr *m)
{
    ssize_t n = sendmsg(fd, m, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

static WEFT_NOINLINE ssize_t try_receive(int fd, struct msghdr *m)
{
    ssize_t n = recvmsg(fd, m, MSG_DONTWAIT | MSG_TRUNC);
    return n < 0 ? -errno : n;
}

static WEFT_NOINLINE int try_send_many(int fd, struct mmsghdr *all, unsigned count)
{
    int n = sendmmsg(fd, all, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

static WEFT_NOINLINE int try_receive_many(int fd, struct mmsghdr *all, unsigned count)
{
    int n = recvmmsg(fd, all, count, MSG_DONTWAIT | MSG_TRUNC, NULL);
    return n < 0 ? -errno : n;
}

/* What a call has returned: if it was an error, empty the queue of reports. */
static ssize_t udp_answer(weft_udp *u, int fd, ssize_t n)
{
    if (WEFT_UNLIKELY(n < 0 && u->has_errors)) {
        (void)weft__udp_take_errors(u, fd);
    }
    return n;
}

static ssize_t udp_send(weft_udp *u, const struct msghdr *m)
{
    int fd = u->fd;
    struct op_request r = {
        .code = OP_SENDMSG, .fd = fd, .address = m, .length = 1, .flags = MSG_NOSIGNAL};
    ssize_t n = udp_enter(&r);
    if (n < 0) {
        return n;
    }
    n = try_send(fd, m);
    bool must_wait = n == -EAGAIN;
    if (must_wait) {
        n = weft__op_run_entered(&r);
    }
    n = udp_answer(u, fd, n);
    udp_leave(&r, must_wait);
    return n;
}

ssize_t weft_udp_send_to(weft_udp *u, const void *data, size_t n, const struct sockaddr *address,
                         socklen_t bytes)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = transfer_length(n)};
    struct msghdr m = {
        .msg_name = (void *)(uintptr_t)address,
        .msg_namelen = address != NULL ? bytes : 0,
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };
    return udp_send(u, &m);
}

ssize_t weft_udp_send(weft_udp *u, const void *data, size_t n)
{
    return weft_udp_send_to(u, data, n, NULL, 0);
}

/* Nothing is there: see whether a report is, which nobody has been told of. 0 or an error. */
static int udp_reported(weft_udp *u, int fd)
{
    return u->has_errors ? weft__udp_take_errors(u, fd) : 0;
}

static ssize_t udp_receive(weft_udp *u, struct msghdr *m)
{
    int fd = u->fd;
    struct op_request r = {
        .code = OP_RECVMSG, .fd = fd, .address = m, .length = 1, .flags = MSG_TRUNC};
    ssize_t n = udp_enter(&r);
    if (n < 0) {
        return n;
    }
    socklen_t room = m->msg_namelen;
    n = try_receive(fd, m);
    bool must_wait = n == -EAGAIN;
    if (must_wait) {
        m->msg_namelen = room;
        n = udp_reported(u, fd);
        n = n < 0 ? n : weft__op_run_entered(&r);
    }
    n = udp_answer(u, fd, n);
    udp_leave(&r, must_wait);
    return n;
}

ssize_t weft_udp_receive_from(weft_udp *u, void *buf, size_t n, struct sockaddr *address,
                              socklen_t *bytes)
{
    if (buf == NULL && n > 0) {
        return -EINVAL;
    }
    struct iovec iov = {.iov_base = buf, .iov_len = transfer_length(n)};
    struct msghdr m = {
        .msg_name = bytes != NULL ? address : NULL,
        .msg_namelen = address != NULL && bytes != NULL ? *bytes : 0,
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };
    ssize_t got = udp_receive(u, &m);
    if (got >= 0 && bytes != NULL) {
        *bytes = m.msg_namelen;
    }
    return got > 0 && (size_t)got > n ? -EMSGSIZE : got;
}

ssize_t weft_udp_receive(weft_udp *u, void *buf, size_t n)
{
    return weft_udp_receive_from(u, buf, n, NULL, NULL);
}

/* --- several ---------------------------------------------------------------------------------- */

/* Datagrams as the kernel wants them. */
struct batch {
    struct mmsghdr all[WEFT_DATAGRAMS_MAX];
    struct iovec iov[WEFT_DATAGRAMS_MAX];
};

static void batch_init(struct batch *b, const struct weft_datagram *d, unsigned count, bool is_sent)
{
    for (unsigned i = 0; i < count; i++) {
        socklen_t bytes = is_sent ? d[i].address_bytes : (socklen_t)sizeof d[i].address;
        b->iov[i] = (struct iovec){.iov_base = d[i].data, .iov_len = transfer_length(d[i].bytes)};
        b->all[i].msg_hdr = (struct msghdr){
            .msg_name = bytes > 0 ? (void *)(uintptr_t)&d[i].address : NULL,
            .msg_namelen = bytes,
            .msg_iov = &b->iov[i],
            .msg_iovlen = 1,
        };
        b->all[i].msg_len = 0;
    }
}

static unsigned batch_count(unsigned count)
{
    return count < WEFT_DATAGRAMS_MAX ? count : WEFT_DATAGRAMS_MAX;
}

/* Send up to one batch. Returns how many, or -errno. */
static int send_batch(weft_udp *u, int fd, const struct weft_datagram *d, unsigned count)
{
    struct batch b;
    count = batch_count(count);
    batch_init(&b, d, count, true);
    ssize_t n = try_send_many(fd, b.all, count);
    if (n == -EAGAIN) { /* wait for the first one; a poll would not know of its receiver's room */
        struct op_request r = {.code = OP_SENDMSG,
                               .fd = fd,
                               .address = &b.all[0].msg_hdr,
                               .length = 1,
                               .flags = MSG_NOSIGNAL};
        n = weft__op_run_entered(&r);
        n = n < 0 ? n : 1;
    }
    return (int)udp_answer(u, fd, n);
}

int weft_udp_send_many(weft_udp *u, const struct weft_datagram *datagrams, unsigned count)
{
    int fd = u->fd;
    struct op_request r = {.fd = fd};
    int n = count > INT_MAX ? -EINVAL : udp_enter(&r);
    if (n < 0) {
        return n;
    }
    unsigned sent = 0;
    while (sent < count && n >= 0) {
        n = send_batch(u, fd, datagrams + sent, count - sent);
        sent += n > 0 ? (unsigned)n : 0;
    }
    udp_leave(&r, false);
    return sent > 0 || count == 0 ? (int)sent : n;
}

/* Receive one batch, waiting for the first. */
static int receive_batch(weft_udp *u, int fd, struct mmsghdr *all, unsigned count)
{
    bool must_look = u->has_errors;
    int n = try_receive_many(fd, all, count);
    while (n == -EAGAIN) {
        n = must_look ? weft__udp_take_errors(u, fd) : 0;
        n = n < 0 ? n : weft__wait_ready(fd, POLLIN);
        must_look = must_look || n == POLLERR; /* or the poll would say so again and again */
        n = n < 0 ? n : try_receive_many(fd, all, count);
    }
    return n;
}

int weft_udp_receive_many(weft_udp *u, struct weft_datagram *datagrams, unsigned count)
{
    int fd = u->fd;
    struct op_request r = {.fd = fd};
    struct batch b;
    count = batch_count(count);
    for (unsigned i = 0; i < count; i++) {
        if (datagrams[i].data == NULL && datagrams[i].bytes > 0) {
            return -EINVAL;
        }
    }
    int n = udp_enter(&r);
    if (n < 0 || count == 0) {
        if (n == 0) {
            udp_leave(&r, false);
        }
        return n;
    }
    batch_init(&b, datagrams, count, false);
    n = (int)udp_answer(u, fd, receive_batch(u, fd, b.all, count));
    for (int i = 0; i < n; i++) {
        datagrams[i].length = b.all[i].msg_len;
        datagrams[i].is_cut = datagrams[i].length > datagrams[i].bytes;
        datagrams[i].address_bytes = b.all[i].msg_hdr.msg_namelen;
    }
    udp_leave(&r, false);
    return n;
}

/* --- the end ---------------------------------------------------------------------------------- */

int weft_udp_close(weft_udp *u)
{
    if (u == NULL) {
        return 0;
    }
    if (weft__fiber_current() == NULL) {
        return -EPERM; /* it waits for calls to end, which only a task can */
    }
    int err = weft_close(u->fd);
    pthread_mutex_destroy(&u->lock);
    free(u);
    return err;
}
