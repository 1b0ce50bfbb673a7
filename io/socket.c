/* SPDX-License-Identifier: MIT */
/* Sockets; the contract is in weft/io.h. Calls that cannot block are the plain system calls. */
#include <errno.h>
#include <sys/socket.h>

#include <weft/io.h>

#include "descriptor.h"
#include "op.h"

/* Where a call that does not wait may be made: in a task that was not cancelled. */
static int plain_call_allowed(void)
{
    struct fiber *f = weft__fiber_current();
    return f == NULL ? -EPERM : op_spent(weft__interrupted(f));
}

int weft_socket(int domain, int type, int protocol)
{
    int err = plain_call_allowed();
    if (err < 0) {
        return err;
    }
    int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
    if (fd < 0) {
        return op_spent(-errno);
    }
    op_opened(fd);
    return op_spent(fd);
}

int weft_bind(int fd, const struct sockaddr *address, socklen_t bytes)
{
    int err = plain_call_allowed();
    if (err < 0) {
        return err;
    }
    return op_spent(bind(fd, address, bytes) < 0 ? -errno : 0);
}

int weft_listen(int fd, int backlog)
{
    int err = plain_call_allowed();
    if (err < 0) {
        return err;
    }
    return op_spent(listen(fd, backlog) < 0 ? -errno : 0);
}

int weft_shutdown(int fd, int how)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    /* Allowed when cancelled: it is how one leaves. */
    return op_spent(shutdown(fd, how) < 0 ? -errno : 0);
}

int weft_accept(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
    struct op_request r = {
        .code = OP_ACCEPT,
        .fd = fd,
        .address = address,
        .flags = (uint32_t)(flags | SOCK_CLOEXEC),
        .offset = (uint64_t)(uintptr_t)bytes,
    };
    return weft__op_run(&r);
}

int weft_connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
    struct op_request r = {
        .code = OP_CONNECT,
        .fd = fd,
        .address = address,
        .offset = bytes,
    };
    return weft__op_run(&r);
}

static ssize_t message_call(enum op_code code, int fd, const void *address, size_t n, int flags)
{
    struct op_request r = {
        .code = code,
        .fd = fd,
        .address = address,
        .length = transfer_length(n),
        .flags = (uint32_t)flags,
    };
    return weft__op_run(&r);
}

ssize_t weft_recv(int fd, void *buf, size_t n, int flags)
{
    return message_call(OP_RECV, fd, buf, n, flags);
}

ssize_t weft_send(int fd, const void *buf, size_t n, int flags)
{
    return message_call(OP_SEND, fd, buf, n, flags | MSG_NOSIGNAL);
}

ssize_t weft_recvmsg(int fd, struct msghdr *message, int flags)
{
    return message_call(OP_RECVMSG, fd, message, 1, flags | MSG_CMSG_CLOEXEC);
}

ssize_t weft_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return message_call(OP_SENDMSG, fd, message, 1, flags | MSG_NOSIGNAL);
}

ssize_t weft_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *address,
                      socklen_t *bytes)
{
    if (address == NULL) {
        return weft_recv(fd, buf, n, flags);
    }
    if (bytes == NULL) {
        return -EFAULT;
    }
    struct iovec iov = {.iov_base = buf, .iov_len = transfer_length(n)};
    struct msghdr message = {
        .msg_name = address,
        .msg_namelen = *bytes,
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };
    ssize_t got = weft_recvmsg(fd, &message, flags);
    if (got >= 0) {
        *bytes = message.msg_namelen;
    }
    return got;
}

ssize_t weft_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *address,
                    socklen_t bytes)
{
    if (address == NULL) {
        return weft_send(fd, buf, n, flags);
    }
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = transfer_length(n)};
    struct msghdr message = {
        .msg_name = (void *)(uintptr_t)address,
        .msg_namelen = bytes,
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };
    return weft_sendmsg(fd, &message, flags);
}
