/* SPDX-License-Identifier: MIT */
/*
 * The transport of a descriptor: a socket, or something that is read and written (a pipe, a
 * terminal).
 *
 * A stream that holds no buffer must not have one because it waits. There are two ways:
 *   poll     the socket is asked, as what is waited for is often there, then polled, then asked
 *            again, into memory that is had for each try
 *   receive  one receive in the ring, into some bytes of the waiting task's stack, whose page is
 *            there anyway; what has come is copied to memory that is had then
 * The first costs two system calls a request, and takes all that is there; the second none, as a
 * read of the bare descriptor, but a long message comes in two parts. So input that came after
 * little is received, all other polled for. CPU a request of a server on one core, medians of 10 to
 * 24 interleaved pairs:
 *
 *     closed loop                            receive/poll
 *     weft_stream_peek, 64 B, 1 connection   1.01      2.0 system calls a request, not 4.0
 *     the same, 64 connections               0.95      0.2, not 1.5
 *     the same, 1000 connections             1.03      within the noise (0.88 to 1.13)
 *     key-value server, 50 connections       0.93      0.94 of redis-server's (0.84 to 1.08)
 *
 * To poll without asking before took 0.96, 1.09 and 1.08 of asking, with 1, 64 and 1000. With 1000
 * what a stream has of its own, which no bare call touches, costs more than either way: 18 % of the
 * time is outside the kernel, not 8. A buffer kept for a while after input, or a ring of provided
 * ones, could spare the copy of few bytes, at the price of a clock that takes memory back, or of
 * memory for each worker. The bare loop of bench/workload/echo/ring.c takes 1.01 with provided ones
 * of what it takes with a buffer a connection, at 1000 (20 pairs on a busy machine, 0.65 to 1.24:
 * no difference that shows). An idle connection of weft-echo --streams takes 4.5 kB either way.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/file.h>
#include <weft/io.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "close.h"
#include "op.h"
#include "stream_transport.h"

/* Input that is little. Most requests of key-value and line protocols are; half as much is less
 * than many headers, twice as much a quarter of the page that the stack of an idle task takes. */
#define FD_LITTLE ((size_t)512)

/* What has been received and has no memory waits so long for others to give some back. */
#define MEMORY_WAIT_NS (100 * WEFT_MS)
#define MEMORY_PAUSE_NS (1 * WEFT_MS)

struct fd_transport {
    struct stream_transport base; /* first */
    int fd;
    bool is_socket;
    bool is_bytes;   /* of a socket: messages in it have no ends, which a short read would lose */
    bool was_little; /* the last input, for a stream without a buffer */
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

/* Memory for what has been received already, and cannot be again. A cancel has to wait. */
static WEFT_NOINLINE char *little_memory(void)
{
    char *data = malloc(FD_LITTLE);
    int64_t until_ns = data == NULL ? weft_now() + MEMORY_WAIT_NS : 0;
    WEFT_SHIELD {
        while (data == NULL && weft_now() < until_ns) {
            if (weft_sleep(MEMORY_PAUSE_NS) < 0) {
                (void)weft_yield();
            }
            data = malloc(FD_LITTLE);
        }
    }
    return data;
}

/* Receive on the stack. */
static WEFT_NOINLINE ssize_t receive_little(struct fd_transport *d, struct stream_chunk *chunk)
{
    char bytes[FD_LITTLE];
    ssize_t n = weft_recv(d->fd, bytes, sizeof bytes, 0);
    if (n <= 0) {
        return n;
    }
    d->was_little = (size_t)n < sizeof bytes;
    chunk->data = malloc(FD_LITTLE);
    if (WEFT_UNLIKELY(chunk->data == NULL) && (chunk->data = little_memory()) == NULL) {
        return -ENOBUFS; /* not -ENOMEM: bytes are lost, so the connection is */
    }
    chunk->capacity = FD_LITTLE;
    memcpy(chunk->data, bytes, (size_t)n);
    return n;
}

static ssize_t fd_receive_chunk(struct stream_transport *t, struct stream_chunk *chunk)
{
    struct fd_transport *d = fd_of(t);
    bool is_ready = d->is_socket;
    int err = weft__interrupted(weft__fiber_current());
    if (err < 0) {
        return err;
    }
    if (d->was_little && chunk->capacity >= FD_LITTLE) {
        return receive_little(d, chunk);
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
            d->was_little = d->is_bytes && (size_t)n < FD_LITTLE;
            return n;
        }
        free(chunk->data);
        if (n != -EAGAIN) {
            return n;
        }
        is_ready = false;
    }
}

static bool fd_has_input(struct stream_transport *t)
{
    struct pollfd p = {.fd = fd_of(t)->fd, .events = POLLIN};
    return weft__poll_now(&p, 1) > 0;
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

/* The same for what is no socket. A pipe knows RWF_NOWAIT (one that has a name does not, nor does a
 * terminal); whatever else is wrong, the operation is to tell. Apart, as receive_now. */
static WEFT_NOINLINE ssize_t write_now(int fd, const struct iovec *iov, int count)
{
    ssize_t put;
    do {
        put = pwritev2(fd, iov, count, -1, RWF_NOWAIT);
    } while (put < 0 && errno == EINTR);
    return put > 0 ? put : put < 0 && errno == EPIPE ? -EPIPE : -EAGAIN;
}

static ssize_t fd_try_send(struct stream_transport *t, const struct iovec *iov, int count)
{
    const struct fd_transport *d = fd_of(t);
    return d->is_socket ? send_now(d->fd, iov, count) : write_now(d->fd, iov, count);
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
    .has_input = fd_has_input,
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

/* Apart, as receive_now. */
static WEFT_NOINLINE bool is_of_bytes(int fd)
{
    int type = 0;
    socklen_t bytes = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_STREAM;
}

struct stream_transport *weft__stream_fd_create(int fd, bool is_socket)
{
    struct fd_transport *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->base.ops = &fd_ops;
    d->fd = fd;
    d->is_socket = is_socket;
    d->is_bytes = is_socket && is_of_bytes(fd);
    return &d->base;
}
