/* SPDX-License-Identifier: MIT */
/*
 * Protocols and transports: a connection that calls back, without a task of its own.
 *
 *     static int echo(weft_transport *t, const void *data, size_t n, void *arg)
 *     {
 *         return weft_transport_write(t, data, n);
 *     }
 *     static const struct weft_protocol protocol = {.data_received = echo};
 *
 *     struct weft_server_options options = {.host = "127.0.0.1", .service = "8888"};
 *     err = weft_serve_protocol(&options, &protocol, NULL, &server);
 *
 * It is for many connections that are idle nearly always: one that waits has no stack and no
 * buffer, some hundred bytes in all. Where a task can be spared, weft_recv and weft_send are easier
 * to follow.
 *
 * Calls of one connection come one after the other, in this order, on whichever worker has time:
 *   connection_made     once, first
 *   data_received       any number of times
 *   eof_received        once at the most, then no data_received any more
 *   connection_lost     once, last
 *   pause_writing, resume_writing   in turns, between the first and the last; a pause first
 * They are callbacks (timer.h): they may spawn, post, set futures, write and close; calls that wait
 * answer -EPERM. They hold up their worker while they run, so they should be short. The locals
 * (local.h) are those of who opened the connection, and what a callback sets the next one has.
 *
 * The descriptor is the transport's from weft_transport_open on: nobody else is to read, write or
 * close it. It is closed as connection_lost has returned. The runtime's close ends a transport,
 * with -ECANCELED, and waits for its connection_lost. An open transport does not keep weft_run from
 * returning.
 */
#ifndef WEFT_PROTOCOL_H
#define WEFT_PROTOCOL_H

#include <sys/socket.h>
#include <sys/uio.h>

#include <weft/connect.h>
#include <weft/server.h>

WEFT_BEGIN_DECLS

/* A connection; reference counted. */
typedef struct weft_transport weft_transport;

/*
 * What a connection calls; each but one may be NULL. arg: what weft_transport_open was given, or
 * weft_transport_set_arg since.
 *
 * Those that return int say by a negative errno value that the connection is of no use any more: it
 * is aborted, connection_lost gets that error, and the runtime's error handler is told as by
 * weft_report_error; unless the connection was closing already, or lost.
 */
struct weft_protocol {
    int (*connection_made)(weft_transport *t, void *arg);

    /* n bytes have come; data is good until it returns. It, or the next two, must be there. */
    int (*data_received)(weft_transport *t, const void *data, size_t n, void *arg);

    /* In place of data_received: say where to, and up to how many bytes (*bytes, which are 64 KiB
     * before), input goes that is there; NULL or 0 is fatal: -ENOBUFS. Then how many came. */
    void *(*get_buffer)(weft_transport *t, size_t *bytes, void *arg);
    int (*buffer_updated)(weft_transport *t, size_t n, void *arg);

    /* The peer sends no more. > 0: go on writing, until weft_transport_close; 0 or NULL: close. */
    int (*eof_received)(weft_transport *t, void *arg);

    /* error: 0 when this side has closed or aborted, or the input ended; else -ECONNRESET,
     * -EPIPE, ..., or what a callback returned; -ECANCELED: the runtime is being closed. */
    void (*connection_lost)(weft_transport *t, int error, void *arg);

    /* More than the high mark, or no more than the low mark, waits to be sent. */
    void (*pause_writing)(weft_transport *t, void *arg);
    void (*resume_writing)(weft_transport *t, void *arg);

    void *reserved[4]; /* NULL */
};

/* Of weft_transport_set_marks: derive the one from the other. */
#define WEFT_MARK_DERIVED SIZE_MAX

/*
 * Have a connected stream socket call back. TCP_NODELAY is set.
 * Context: worker     Blocks: nothing
 * fd: the transport's, if 0 is returned; blocking or not
 * protocol: stays valid until connection_lost has returned
 * transport: gets a reference, to be dropped by weft_transport_put; NULL: none is wanted.
 *     connection_made may be called before this returns.
 * Returns 0, -EPERM outside a task or callback, -EINVAL (protocol), -EBADF, -ENOTSOCK, -EPROTOTYPE
 * (not a stream socket), -ENOMEM, -ESHUTDOWN when the runtime is being closed; then nothing is
 * called, and fd is still the caller's.
 */
WEFT_PUBLIC int weft_transport_open(int fd, const struct weft_protocol *protocol, void *arg,
                                    weft_transport **transport);

/*
 * Serve: as weft_serve, but the connections call back. For the server an open transport is a
 * handler that runs: weft_server_close waits for it, and aborts it when the grace time is over.
 * Context: task     Blocks: task, where a name is looked up
 * options: those of handlers and streams have no effect, but memory, first_byte_ns
 * and tls are refused
 * protocol, arg: of every connection; connection_made may give each an arg of its own
 * Returns as weft_serve; -EINVAL also as weft_transport_open.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_serve_protocol(const struct weft_server_options *options,
                                                    const struct weft_protocol *protocol,
                                                    void *arg, weft_server **server);

/*
 * Connect: as weft_open_connection, but the connection calls back.
 * Context: task     Blocks: task
 * options: may be NULL; those of the stream have no effect, and tls is refused
 * protocol, arg, transport: as weft_transport_open
 * Returns as weft_open_connection; -EINVAL and -ESHUTDOWN also as weft_transport_open.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_connect_protocol(const char *host, const char *service,
                                                      const struct weft_connect_options *options,
                                                      const struct weft_protocol *protocol,
                                                      void *arg, weft_transport **transport);

/*
 * Take a reference, and return t. The callbacks need none: a transport is there until
 * connection_lost returns. Who wants to use it elsewhere or later takes one; when the connection is
 * lost the calls below do nothing any more, or return an error.
 * Context: any thread, holding a reference; or the connection's own callbacks     Blocks: nothing
 */
WEFT_PUBLIC weft_transport *weft_transport_get(weft_transport *t);

/*
 * Give a reference back; NULL does nothing. The connection goes on without; the memory is freed
 * when it is lost and the last reference was given back.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_transport_put(weft_transport *t);

/*
 * Send bytes. What the socket takes at once is gone when the call returns; the rest is copied and
 * sent as soon as the peer lets it. Nothing limits how much: see pause_writing.
 * Context: any thread; bytes of two threads come in the order of the calls, none inside another's
 * Blocks: nothing
 * data: the caller's, and unchanged
 * Returns 0; -EPIPE when the connection is lost or closing with nothing left to send, or after
 * weft_transport_shutdown_write; another error that the socket has met: the connection is about to
 * be lost; -ENOMEM, -EINVAL (more bytes than there can be), -ESHUTDOWN (in a forked child): nothing
 * was sent.
 */
WEFT_PUBLIC int weft_transport_write(weft_transport *t, const void *data, size_t n);

/*
 * Send the bytes of several pieces, one after the other, as weft_transport_write does those of one.
 * Context: any thread     Blocks: nothing
 * iov, and what it points to: the caller's, and unchanged     count: 0 to 1024
 * Returns as weft_transport_write; -EINVAL also for another count.
 */
WEFT_PUBLIC int weft_transport_writev(weft_transport *t, const struct iovec *iov, int count);

/*
 * Send no more: when all that was written is gone the peer is told that this was the end. Reading
 * goes on. Again, or when it is closing: does nothing.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_transport_shutdown_write(weft_transport *t);

/*
 * Close: from now on nothing is received; what was written is sent, then the connection is lost,
 * with 0. Until then writes are still taken, while there is something left to send. Again: does
 * nothing. If a TCP peer has sent what was not received, the kernel closes by a reset, which may
 * cost it the last bytes: weft_transport_shutdown_write, and closing upon eof_received, does not.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_transport_close(weft_transport *t);

/*
 * Close, and drop what was not sent. Lost: soon, whatever the peer does.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_transport_abort(weft_transport *t);

/* Whether it is closing, or lost. Context: any thread. */
WEFT_PUBLIC bool weft_transport_is_closing(const weft_transport *t);

/*
 * Receive nothing until weft_transport_resume_reading. What comes meanwhile stays in the kernel,
 * whose window then holds the peer back. After a call from one of the connection's own callbacks no
 * data_received comes; after one from elsewhere one may be under way. Again, or when it is closing:
 * does nothing.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_transport_pause_reading(weft_transport *t);

/*
 * Receive again: what has come meanwhile is handed over soon, not within the call. Does nothing
 * when it is not paused, or closing.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_transport_resume_reading(weft_transport *t);

/* Whether it is neither paused nor closing. Context: any thread. */
WEFT_PUBLIC bool weft_transport_is_reading(const weft_transport *t);

/*
 * When pause_writing is called: more than `high` bytes wait to be sent; and resume_writing: no more
 * than `low`. By default 64 KiB and a quarter of that. WEFT_MARK_DERIVED: low is a quarter of high,
 * high is four times low; both: the default. If the state changes by this the call comes as the
 * next one.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EINVAL: low is above high; -ESHUTDOWN in a forked child.
 */
WEFT_PUBLIC int weft_transport_set_marks(weft_transport *t, size_t high, size_t low);

/* How many bytes wait to be sent. Context: any thread. */
WEFT_PUBLIC size_t weft_transport_buffered(weft_transport *t);

/*
 * The descriptor, to look at (getsockname, SO_...); -1 when the connection is lost.
 * Context: any thread, but it stays the connection's only inside its callbacks
 */
WEFT_PUBLIC int weft_transport_fd(const weft_transport *t);

/*
 * The peer's address, as getpeername(2).
 * Context: any thread     Returns 0, or -errno: -ENOTCONN when the connection is lost.
 */
WEFT_PUBLIC int weft_transport_peer(weft_transport *t, struct sockaddr *address, socklen_t *bytes);

/* What the callbacks get. Context: the connection's own callbacks     Blocks: nothing */
WEFT_PUBLIC void *weft_transport_arg(const weft_transport *t);

/*
 * What they get from the next one on. The one before is the caller's to free.
 * Context: the connection's own callbacks     Blocks: nothing
 */
WEFT_PUBLIC void weft_transport_set_arg(weft_transport *t, void *arg);

/*
 * From now on call another protocol, as after an upgrade. Its connection_made is not called.
 * Context: the connection's own callbacks     Returns 0, -EINVAL as weft_transport_open.
 */
WEFT_PUBLIC int weft_transport_set_protocol(weft_transport *t, const struct weft_protocol *protocol,
                                            void *arg);

WEFT_END_DECLS

#endif
