/* SPDX-License-Identifier: MIT */
/*
 * Attempts; see attempt.h.
 *
 * None of these functions switches, and none is inlined into one that does: errno is the thread's.
 */
#include "attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sanitize.h"

/* Pieces of a vector that one call is given after part of it has been moved. */
#define REST_MAX 16

static int result_of(ssize_t n)
{
    return n < 0 ? -errno : (int)n;
}

static int set_nonblock(int fd, bool is_on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) {
        return -errno;
    }
    int wanted = is_on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted == flags) {
        return 0;
    }
    return fcntl(fd, F_SETFL, wanted) < 0 ? -errno : 1;
}

WEFT_NOINLINE bool weft__attempt_is_stream(int fd)
{
    int type = 0;
    socklen_t bytes = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_STREAM;
}

/* ---- sockets ---- */

/* What is left of a message's buffers after `gone` bytes. */
static void message_rest(const struct msghdr *m, size_t gone, struct msghdr *rest,
                         struct iovec iov[REST_MAX])
{
    *rest = (struct msghdr){.msg_iov = iov};
    for (size_t i = 0; i < m->msg_iovlen && rest->msg_iovlen < REST_MAX; i++) {
        const struct iovec *v = &m->msg_iov[i];
        size_t skip = gone < v->iov_len ? gone : v->iov_len;
        gone -= skip;
        if (skip < v->iov_len) {
            iov[rest->msg_iovlen++] = (struct iovec){(char *)v->iov_base + skip,
                                                     v->iov_len - skip};
        }
    }
}

static size_t message_bytes(const struct op_request *r)
{
    if (r->code == OP_RECV || r->code == OP_SEND) {
        return r->length;
    }
    const struct msghdr *m = r->address;
    size_t bytes = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        bytes += m->msg_iov[i].iov_len;
    }
    return bytes;
}

/*
 * recv(2) and send(2). The C library's are points of cancellation: among threads each changes a
 * word of its thread and back by exchanges, a thirtieth of a small echo. No thread that comes here
 * is cancelled so. A sanitizer knows those of the C library only.
 */
static ssize_t receive(int fd, void *buf, size_t bytes, int flags)
{
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    return recv(fd, buf, bytes, flags);
#else
    return syscall(SYS_recvfrom, fd, buf, bytes, flags, NULL, NULL);
#endif
}

static ssize_t transmit(int fd, const void *buf, size_t bytes, int flags)
{
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    return send(fd, buf, bytes, flags);
#else
    return syscall(SYS_sendto, fd, buf, bytes, flags, NULL, 0);
#endif
}

static int message_once(const struct op_request *r, size_t gone)
{
    int flags = (int)r->flags | MSG_DONTWAIT;
    char *buf = (char *)(uintptr_t)r->address;
    if (r->code == OP_RECV) {
        return result_of(receive(r->fd, buf + gone, r->length - gone, flags));
    }
    if (r->code == OP_SEND) {
        return result_of(transmit(r->fd, buf + gone, r->length - gone, flags));
    }
    struct msghdr *m = (struct msghdr *)(uintptr_t)r->address;
    struct msghdr rest;
    struct iovec iov[REST_MAX];
    if (gone > 0) {
        message_rest(m, gone, &rest, iov);
        m = &rest;
    }
    return result_of(r->code == OP_RECVMSG ? recvmsg(r->fd, m, flags)
                                           : sendmsg(r->fd, m, flags));
}

/* With MSG_WAITALL a stream is asked again until all has been moved. */
static enum attempt attempt_message(struct op *op, int *result)
{
    const struct op_request *r = op->request;
    for (;;) {
        int n = message_once(r, op->progress);
        if (n == -EINTR) {
            continue;
        }
        if (n == -EAGAIN && (r->flags & MSG_DONTWAIT) == 0) {
            return ATTEMPT_WAIT;
        }
        bool is_over = n <= 0 || (r->flags & MSG_WAITALL) == 0 || attempt_is_special(r) ||
                       op->progress + (size_t)n >= message_bytes(r) ||
                       !weft__attempt_is_stream(r->fd);
        op->progress += n > 0 ? (uint32_t)n : 0;
        if (is_over) {
            *result = op->progress > 0 ? (int)op->progress : n;
            return ATTEMPT_DONE;
        }
    }
}

static enum attempt attempt_accept(const struct op_request *r, int *result)
{
    int n = set_nonblock(r->fd, true);
    if (n >= 0) {
        do {
            n = result_of(accept4(r->fd, (struct sockaddr *)(uintptr_t)r->address,
                                  (socklen_t *)(uintptr_t)r->offset, (int)r->flags));
        } while (n == -EINTR);
    }
    *result = n;
    return n == -EAGAIN ? ATTEMPT_WAIT : ATTEMPT_DONE;
}

static enum attempt connect_begin(struct op *op, int *result)
{
    const struct op_request *r = op->request;
    int n = 0;
    if ((op->attempt & ATTEMPT_NONBLOCK) == 0) {
        n = set_nonblock(r->fd, true);
        op->attempt = (uint16_t)(op->attempt | (n > 0 ? ATTEMPT_NONBLOCK : 0));
    }
    if (n >= 0) {
        n = result_of(connect(r->fd, r->address, (socklen_t)r->offset));
    }
    *result = n;
    if (n == -EINPROGRESS || n == -EINTR) {
        op->attempt |= ATTEMPT_CONNECTING;
        return ATTEMPT_WAIT;
    }
    /* The queue of a listening Unix socket is full. */
    bool may_wait = n == -EAGAIN && (op->attempt & ATTEMPT_NONBLOCK) != 0;
    return may_wait ? ATTEMPT_LATER : ATTEMPT_DONE;
}

static enum attempt attempt_connect(struct op *op, int *result)
{
    if ((op->attempt & ATTEMPT_CONNECTING) == 0) {
        return connect_begin(op, result);
    }
    const struct op_request *r = op->request;
    int n = result_of(connect(r->fd, r->address, (socklen_t)r->offset));
    *result = n == -EISCONN ? 0 : n;
    return n == -EALREADY || n == -EINPROGRESS || n == -EINTR ? ATTEMPT_WAIT : ATTEMPT_DONE;
}

/* ---- other files ---- */

static bool is_write(const struct op_request *r)
{
    return r->code == OP_WRITE || r->code == OP_WRITEV;
}

static int transfer_once(const struct op_request *r, const struct iovec *iov, int count,
                         off_t offset)
{
    ssize_t n;
    do {
        n = is_write(r) ? pwritev2(r->fd, iov, count, offset, RWF_NOWAIT)
                        : preadv2(r->fd, iov, count, offset, RWF_NOWAIT);
    } while (n < 0 && errno == EINTR);
    return result_of(n);
}

/* A file that knows no RWF_NOWAIT. */
static enum attempt transfer_polled(const struct op_request *r, const struct iovec *iov, int count,
                                    int flags, int *result)
{
    struct pollfd p = {.fd = r->fd, .events = (short)attempt_events(r)};
    int ready = poll(&p, 1, 0);
    if (ready == 0 && (flags & O_NONBLOCK) == 0) {
        return ATTEMPT_WAIT; /* else a FIFO that nobody writes to has an answer all the same */
    }
    struct stat s;
    if (ready < 0 || fstat(r->fd, &s) < 0) {
        *result = -errno;
        return ATTEMPT_DONE;
    }
    if (S_ISREG(s.st_mode) || S_ISBLK(s.st_mode) || S_ISDIR(s.st_mode)) {
        return ATTEMPT_THREAD; /* poll(2) calls them ready whatever the disk does */
    }
    struct iovec first = {.iov_base = NULL};
    for (int i = 0; i < count && first.iov_len == 0; i++) {
        first = iov[i];
    }
    if (is_write(r) && first.iov_len > PIPE_BUF) {
        first.iov_len = PIPE_BUF;
    }
    *result = is_write(r) ? result_of(write(r->fd, first.iov_base, first.iov_len))
                          : result_of(readv(r->fd, iov, count));
    return *result == -EAGAIN || *result == -EINTR ? ATTEMPT_WAIT : ATTEMPT_DONE;
}

/* Whether a read at an offset came short for what is not cached: a ring reads on to the end. */
static bool is_cut_short(const struct op_request *r, const struct iovec *iov, int count, int n)
{
    struct stat s;
    size_t want = 0;
    if (is_write(r) || r->offset == OP_HERE || n <= 0) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        want += iov[i].iov_len;
    }
    return (size_t)n < want && fstat(r->fd, &s) == 0 && S_ISREG(s.st_mode) &&
           (off_t)r->offset + n < s.st_size;
}

static enum attempt attempt_transfer(const struct op_request *r, int *result)
{
    struct iovec one = {(void *)(uintptr_t)r->address, r->length};
    bool is_vector = r->code == OP_READV || r->code == OP_WRITEV;
    const struct iovec *iov = is_vector ? r->address : &one;
    int count = is_vector ? (int)r->length : 1;
    int flags = fcntl(r->fd, F_GETFL);
    if (flags < 0) {
        *result = -errno;
        return ATTEMPT_DONE;
    }
    if ((flags & O_DIRECT) != 0) {
        return transfer_polled(r, iov, count, flags, result); /* RWF_NOWAIT waits for the disk */
    }
    int n = transfer_once(r, iov, count, (off_t)r->offset);
    if (n == -ESPIPE && r->offset != OP_HERE) {
        n = transfer_once(r, iov, count, -1); /* it has no position */
    }
    if (n == -EOPNOTSUPP) {
        return transfer_polled(r, iov, count, flags, result);
    }
    if (WEFT_UNLIKELY(is_cut_short(r, iov, count, n))) {
        return ATTEMPT_THREAD; /* all of it, by one call */
    }
    *result = n;
    return n == -EAGAIN ? ATTEMPT_WAIT : ATTEMPT_DONE;
}

WEFT_NOINLINE uint32_t weft__attempt_events_now(int fd, uint32_t events)
{
    struct pollfd p = {.fd = fd, .events = (short)events};
    return weft__poll_now(&p, 1) > 0 ? (uint32_t)(unsigned short)p.revents : 0;
}

static enum attempt attempt_poll(const struct op_request *r, int *result)
{
    struct pollfd p = {.fd = r->fd, .events = (short)r->flags};
    int n = r->fd < 0 ? -EBADF : weft__poll_now(&p, 1); /* it passes over negative ones */
    *result = n < 0 ? n : (p.revents & POLLNVAL) != 0 ? -EBADF : p.revents;
    return n == 0 ? ATTEMPT_WAIT : ATTEMPT_DONE;
}

/* ---- */

WEFT_NOINLINE enum attempt weft__attempt(struct op *op, int *result)
{
    const struct op_request *r = op->request;
    switch (r->code) {
    case OP_RECV:
    case OP_SEND:
    case OP_RECVMSG:
    case OP_SENDMSG:
        return attempt_message(op, result);
    case OP_ACCEPT:
        return attempt_accept(r, result);
    case OP_CONNECT:
        return attempt_connect(op, result);
    case OP_POLL:
        return attempt_poll(r, result);
    case OP_READ:
    case OP_WRITE:
    case OP_READV:
    case OP_WRITEV:
        return attempt_transfer(r, result);
    default:
        return ATTEMPT_THREAD;
    }
}

WEFT_NOINLINE int weft__attempt_end(struct op *op, int result)
{
    if ((op->attempt & ATTEMPT_NONBLOCK) != 0) {
        (void)set_nonblock(op->request->fd, false);
    }
    return result < 0 && op->progress > 0 ? (int)op->progress : result;
}
