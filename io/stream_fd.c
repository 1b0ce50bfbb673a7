/* SPDX-License-Identifier: MIT */
/*
 * The transport of a descriptor: a socket, or something that is read and written (a pipe, a
 * terminal).
 *
 * A stream that holds no buffer waits by a poll; the memory is had when there is something for it.
 * A socket is asked before, as what is waited for is often there.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/file.h>
#include <weft/io.h>

#include "close.h"
#include "op.h"
#include "stream_transport.h"

struct fd_transport {
    struct stream_transport base; /* first */
    int fd;
    bool is_socket;
    bool is_closing; /* weft__close_begin has been called, by `cut` */
};

static struct fd_transport *fd_of(struct stream_transport *t)
{
    return WEFT_CONTAINER(t, struct fd_transport, base);
}

static ssize_t fd_receive(struct stream_transport *t, void *buf, size_t n)
{
    const struct fd_transport *d = fd_of(t);
    return d->is_socket ? weft_recv(d->fd, buf, n, 0) : weft_read(d->fd, buf, n);
}

/* Apart, as errno is the thread's. */
static WEFT_NOINLINE ssize_t receive_now(int fd, void *buf, size_t n)
{
    ssize_t got;
    do {
        got = recv(fd, buf, n, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static ssize_t fd_receive_chunk(struct stream_transport *t, struct stream_chunk *chunk)
{
    const struct fd_transport *d = fd_of(t);
    bool is_ready = d->is_socket;
    int err = weft__interrupted(weft__fiber_current());
    if (err < 0) {
        return err;
    }
    for (;;) {
        if (!is_ready && (err = weft_wait_fd(d->fd, POLLIN)) < 0) {
            return err;
        }
        chunk->data = malloc(chunk->capacity);
        if (chunk->data == NULL) {
            return -ENOMEM;
        }
        ssize_t n = d->is_socket ? receive_now(d->fd, chunk->data, chunk->capacity)
                                 : weft_read(d->fd, chunk->data, chunk->capacity);
        if (n > 0) {
            return n;
        }
        free(chunk->data);
        if (n != -EAGAIN) {
            return n;
        }
        is_ready = false;
    }
}

static ssize_t fd_send(struct stream_transport *t, const struct iovec *iov, int count)
{
    const struct fd_transport *d = fd_of(t);
    if (!d->is_socket) {
        return weft_writev(d->fd, iov, count);
    }
    if (count == 1) {
        return weft_send(d->fd, iov->iov_base, iov->iov_len, 0);
    }
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    return weft_sendmsg(d->fd, &m, 0);
}

/* Apart, as receive_now. */
static WEFT_NOINLINE ssize_t send_now(int fd, const struct iovec *iov, int count)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    ssize_t put;
    do {
        put = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

static ssize_t fd_try_send(struct stream_transport *t, const struct iovec *iov, int count)
{
    const struct fd_transport *d = fd_of(t);
    return d->is_socket ? send_now(d->fd, iov, count) : -EAGAIN;
}

static ssize_t fd_send_with_turn(struct stream_transport *t, const struct iovec *iov, int count)
{
    const struct fd_transport *d = fd_of(t);
    if (!d->is_socket) {
        return -EAGAIN;
    }
    if (count == 1) {
        return weft_send(d->fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT);
    }
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    return weft_sendmsg(d->fd, &m, MSG_DONTWAIT);
}

static ssize_t fd_send_file(struct stream_transport *t, int file, off_t *offset, size_t n)
{
    return weft_sendfile(fd_of(t)->fd, file, offset, n);
}

static int fd_shutdown_write(struct stream_transport *t)
{
    const struct fd_transport *d = fd_of(t);
    return d->is_socket ? weft_shutdown(d->fd, SHUT_WR) : -ENOTSUP;
}

static void fd_cut(struct stream_transport *t, bool is_reset)
{
    struct fd_transport *d = fd_of(t);
    d->is_closing = weft__close_begin(d->fd) == 0;
    if (d->is_socket && is_reset) {
        static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
        (void)connect(d->fd, &nobody, sizeof nobody); /* TCP: a reset */
    }
    if (d->is_socket) {
        (void)shutdown(d->fd, SHUT_RDWR);
    }
}

static int fd_close(struct stream_transport *t)
{
    struct fd_transport *d = fd_of(t);
    int err = d->is_closing ? weft__close_end(d->fd) : weft_close(d->fd);
    free(d);
    return err;
}

/* Apart, as receive_now. */
static WEFT_NOINLINE int fd_peer(struct stream_transport *t, struct sockaddr *address,
                                 socklen_t *bytes)
{
    if (!fd_of(t)->is_socket) {
        return -ENOTSUP;
    }
    return getpeername(fd_of(t)->fd, address, bytes) < 0 ? -errno : 0;
}

static WEFT_NOINLINE int fd_local(struct stream_transport *t, struct sockaddr *address,
                                  socklen_t *bytes)
{
    if (!fd_of(t)->is_socket) {
        return -ENOTSUP;
    }
    return getsockname(fd_of(t)->fd, address, bytes) < 0 ? -errno : 0;
}

static int fd_number(struct stream_transport *t)
{
    return fd_of(t)->fd;
}

static const struct stream_transport_ops fd_ops = {
    .receive = fd_receive,
    .receive_chunk = fd_receive_chunk,
    .send = fd_send,
    .try_send = fd_try_send,
    .send_with_turn = fd_send_with_turn,
    .send_file = fd_send_file,
    .shutdown_write = fd_shutdown_write,
    .cut = fd_cut,
    .close = fd_close,
    .peer = fd_peer,
    .local = fd_local,
    .fd = fd_number,
};

struct stream_transport *weft__stream_fd_create(int fd, bool is_socket)
{
    struct fd_transport *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->base.ops = &fd_ops;
    d->fd = fd;
    d->is_socket = is_socket;
    return &d->base;
}
