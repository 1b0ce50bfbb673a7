/* SPDX-License-Identifier: MIT */
/*
 * Input and output on descriptors: the POSIX call with weft_ before it, which suspends the task
 * where the other would block the thread, and returns -errno where the other sets errno.
 *
 *     char buf[512];
 *     ssize_t n = weft_read(fd, buf, sizeof buf);     n < 0: -ECONNRESET, -ECANCELED, ...
 *
 * For all of them, unless the call says otherwise:
 *   Context   task; elsewhere -EPERM
 *   Blocks    task. The descriptor may be blocking or not (O_NONBLOCK): the task waits either way.
 *   Returns   what the POSIX call returns, or its error as -errno; besides
 *             -ECANCELED  the task was cancelled, before the call (nothing was begun) or during it
 *                         (nothing was transferred); or weft_close ended the operation; or a
 *                         scope around the call was cancelled
 *             -ETIMEDOUT  also: the deadline of a scope around the call has passed, before it or
 *                         during it (scope.h); as -ECANCELED
 *             -EBADF      also: weft_close is closing the descriptor
 *             -ENOMEM     no memory for the operation; nothing was begun
 *   Cancel    asks the kernel to end the operation. What it had completed by then is returned, not
 *             lost: the bytes, the descriptor. The buffer is the kernel's until the call returns.
 *   Sizes     above 2 GiB, less a page, are taken for that, as by the kernel: fewer bytes move.
 *   Buffers   and everything else pointed to stay the caller's, and must not change before the call
 *             returns.
 *   SIGPIPE   is never raised; a write that nobody can read any more returns -EPIPE.
 *
 * Several tasks may use one descriptor at once, as threads may. It must not be closed with plain
 * close(2) while an operation is pending on it: the kernel would go on with the operation, and the
 * number may be given to another file at once. weft_close knows what is pending.
 */
#ifndef WEFT_IO_H
#define WEFT_IO_H

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <weft/base.h>
#include <weft/file.h>

WEFT_BEGIN_DECLS

/* Read up to n bytes at the file position. 0 is the end of input. */
WEFT_PUBLIC ssize_t weft_read(int fd, void *buf, size_t n);

/*
 * Write up to n bytes at the file position; may write fewer. To a terminal without O_NONBLOCK that
 * has room for less than n, the kernel of a ring writes on the worker, which blocks with all its
 * tasks until somebody reads.
 */
WEFT_PUBLIC ssize_t weft_write(int fd, const void *buf, size_t n);

/* Read into several buffers, at the file position. -EINVAL: a count below 0 or above IOV_MAX. */
WEFT_PUBLIC ssize_t weft_readv(int fd, const struct iovec *iov, int count);

/* Write from several buffers, at the file position; may write fewer bytes than they hold. -EINVAL
 * as weft_readv. */
WEFT_PUBLIC ssize_t weft_writev(int fd, const struct iovec *iov, int count);

/*
 * Read up to n bytes at an offset; the file position stays. A negative offset: -EINVAL. A pipe or a
 * socket has no position and is read as by weft_read, where pread(2) answers -ESPIPE.
 */
WEFT_PUBLIC ssize_t weft_pread(int fd, void *buf, size_t n, off_t offset);

/*
 * Write up to n bytes at an offset; the file position stays. A negative offset: -EINVAL. A pipe or
 * a socket is written as by weft_write, where pwrite(2) answers -ESPIPE.
 */
WEFT_PUBLIC ssize_t weft_pwrite(int fd, const void *buf, size_t n, off_t offset);

/*
 * Read until n bytes are there.
 * done: how many bytes were read, set in every case; may be NULL
 * Returns 0 when all n came, -ENODATA when the input ended before, or the error of weft_read.
 */
WEFT_PUBLIC int weft_read_full(int fd, void *buf, size_t n, size_t *done);

/*
 * Write until n bytes are gone.
 * done: how many bytes were written, set in every case; may be NULL
 * Returns 0 when all n went, or the error of weft_write.
 */
WEFT_PUBLIC int weft_write_full(int fd, const void *buf, size_t n, size_t *done);

/*
 * Open a file, close-on-exec. The task waits where the thread would: for the answer of a file
 * system, the other end of a FIFO, the holder of a lease; the last two take a thread of the kernel
 * while they are waited for. But a device is opened as with O_NONBLOCK, which is then taken off:
 * for a line's carrier and a drive's medium nobody waits.
 * flags: O_NONBLOCK, which changes nothing else about a regular file that nobody has leased, lets
 *      the worker open it without the help of a thread if its name is cached: in less than half
 *      the time, but where that takes an answer (NFS, FUSE) all tasks of the worker wait for it
 * Returns the descriptor, which is the caller's.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_openat(int dirfd, const char *path, int flags, mode_t mode);

/*
 * Close a descriptor: always, also when the task was cancelled or a scope has ended. Operations
 * that other tasks of the runtime have pending on it end first, with -ECANCELED or with what they
 * completed; it never calls shutdown.
 * Returns 0, or close(2)'s error (the descriptor is gone all the same, but for -EBADF).
 */
WEFT_PUBLIC int weft_close(int fd);

/* Flush a file's data and metadata to its device. */
WEFT_PUBLIC int weft_fsync(int fd);

/*
 * Wait until one of the descriptors is ready, as poll(2) does. revents is set for each.
 * Returns how many are ready; 0 for nfds == 0. Never a timeout: cancel ends the wait. -EMFILE,
 * -ENFILE: a socket whose peer has shut its side down takes a descriptor to wait for, and there was
 * none. -EINVAL: more than the process may have descriptors; revents is untouched.
 */
WEFT_PUBLIC int weft_poll(struct pollfd *fds, nfds_t nfds);

/*
 * Wait until one descriptor is ready. Returns the ready events (POLLIN, POLLHUP, ...); errors as
 * weft_poll, but -EBADF for what is no descriptor.
 */
WEFT_PUBLIC int weft_wait_fd(int fd, short events);

/* What a ready descriptor calls. It is a callback: it may spawn, post, set, cancel, and must not
 * wait. events: those that are there, as of poll(2). */
typedef void (*weft_fd_fn)(int fd, short events, void *arg);

/*
 * Have fn(fd, events, arg) called on a worker of the current runtime as long as the descriptor is
 * ready, again and again, with the caller's locals; one call at a time. An error or a hang-up is
 * readiness. A descriptor has one callback for each event: a second one replaces the first. A
 * weft_close of the descriptor ends it, which waits for a call that runs; so does the end of the
 * runtime.
 * event: POLLIN, POLLOUT or POLLPRI
 * Context: worker     Blocks: nothing
 * Returns 0, 1 when it replaced another one; else nothing has changed: -EINVAL for another event or
 * a NULL fn, -EBADF, -EBUSY for what belongs to a transport (protocol.h), -EPERM outside a
 * task or callback, -ESHUTDOWN while the runtime is being closed, -ENOMEM.
 */
WEFT_PUBLIC int weft_on_fd(int fd, short event, weft_fd_fn fn, void *arg);

/*
 * Take that back. A call that runs ends; after that there is none.
 * Context: worker     Blocks: nothing
 * Returns 1, 0 when there was nothing, -EPERM outside a task or callback.
 */
WEFT_PUBLIC int weft_on_fd_remove(int fd, short event);

/* Make a socket, close-on-exec. Returns the descriptor, which is the caller's. Does not wait. */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_socket(int domain, int type, int protocol);

/* Give a socket its local address. Does not wait. */
WEFT_PUBLIC int weft_bind(int fd, const struct sockaddr *address, socklen_t bytes);

/* Let a socket accept connections. Does not wait. */
WEFT_PUBLIC int weft_listen(int fd, int backlog);

/*
 * Accept a connection; flags as accept4(2), and SOCK_CLOEXEC always.
 * address, bytes: may be NULL; in and out as accept4
 * Returns the descriptor, which is the caller's.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_accept(int fd, struct sockaddr *address, socklen_t *bytes,
                                            int flags);

/*
 * Connect a socket. A Unix socket with O_NONBLOCK does not wait for room in the listener's queue:
 * -EAGAIN. After an error the socket is good for weft_close only.
 */
WEFT_PUBLIC int weft_connect(int fd, const struct sockaddr *address, socklen_t bytes);

/* Shut a socket down: SHUT_RD, SHUT_WR, SHUT_RDWR. Does not wait. */
WEFT_PUBLIC int weft_shutdown(int fd, int how);

/* Receive up to n bytes. 0 is the end of input. MSG_DONTWAIT: -EAGAIN instead of waiting. */
WEFT_PUBLIC ssize_t weft_recv(int fd, void *buf, size_t n, int flags);

/*
 * Send up to n bytes; may send fewer, with MSG_WAITALL only when it fails midway. MSG_DONTWAIT:
 * -EAGAIN instead of waiting.
 */
WEFT_PUBLIC ssize_t weft_send(int fd, const void *buf, size_t n, int flags);

/*
 * Receive up to n bytes, or one datagram, and whose they are.
 * address, bytes: may be NULL; in and out as recvfrom(2)
 */
WEFT_PUBLIC ssize_t weft_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *address,
                                  socklen_t *bytes);

/* Send up to n bytes, or one datagram, to an address; NULL: whom the socket is connected to. */
WEFT_PUBLIC ssize_t weft_sendto(int fd, const void *buf, size_t n, int flags,
                                const struct sockaddr *address, socklen_t bytes);

/* Receive a message: addresses, several buffers, control data. Descriptors that come with it are
 * close-on-exec, as by MSG_CMSG_CLOEXEC, which is set always. */
WEFT_PUBLIC ssize_t weft_recvmsg(int fd, struct msghdr *message, int flags);

/* Send a message: addresses, several buffers, control data. */
WEFT_PUBLIC ssize_t weft_sendmsg(int fd, const struct msghdr *message, int flags);

WEFT_END_DECLS

#endif
