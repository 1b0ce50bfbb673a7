/* SPDX-License-Identifier: MIT */
/*
 * Servers: a task for each connection.
 *
 *     static void echo(weft_stream *s, void *arg)
 *     {
 *         char buf[4096];
 *         ssize_t n;
 *         while ((n = weft_stream_read(s, buf, sizeof buf)) > 0) {
 *             (void)weft_stream_write(s, buf, (size_t)n);
 *         }
 *     }                                             the stream is closed when it returns
 *
 *     struct weft_server_options options = {.host = "127.0.0.1,::1", .service = "8080"};
 *     weft_server *server;
 *     int err = weft_serve(&options, echo, NULL, &server);
 *     ...
 *     err = weft_server_close(server, 10 * WEFT_SECOND);
 *
 * When descriptors or memory run out, the server stops accepting for a moment, longer each time, or
 * until one of its connections has ended; those who connect meanwhile wait in the kernel's queue.
 */
#ifndef WEFT_SERVER_H
#define WEFT_SERVER_H

#include <weft/memory_stream.h>
#include <weft/stream.h>

WEFT_BEGIN_DECLS

typedef struct weft_server weft_server;

/*
 * What a server does with a connection, in a task of its own. The stream is the server's, which
 * closes it when the handler returns, so that what was written is sent; the handler may close it
 * before. A handler that the server cancels has its waits fail, and should return.
 */
typedef void (*weft_handler)(weft_stream *stream, void *arg);

#define WEFT_BACKLOG_DEFAULT 1024

/* Where and how to serve; all zero: any free port, on all addresses. */
struct weft_server_options {
    /* Where to listen: addresses, names (all of whose addresses are used), "unix:/path",
     * "unix:@name" (abstract); several separated by commas, each once. NULL: all addresses of IPv4
     * and IPv6, unless there are descriptors or a memory listener. */
    const char *host;
    const char *service; /* a port, or the name of one; NULL, "0": a free one, the same for all */
    const int *fds;      /* sockets that listen, the server's from now on, also after an error; but
                            after -EPERM outside a task the caller's. Each once */
    size_t fd_count;
    bool listen_fds;              /* those that systemd has passed on (LISTEN_FDS), if any */
    weft_memory_listener *memory; /* stays the caller's, but the server closes it */

    int backlog;              /* connections that wait to be accepted; 0: 1024 */
    bool reuse_port;          /* other servers may listen on the same port: SO_REUSEPORT */
    bool keep_path;           /* leave the file of a Unix socket where it is at the end */
    mode_t path_mode;         /* its permissions; 0: as umask(2) says */
    bool held;                /* accept nothing before weft_server_start */
    size_t connections_max;   /* at once; others wait in the backlog; 0: no limit */
    int64_t first_byte_ns;    /* a client that has sent nothing after so long is reset, and its
                                 handler is not called; 0: no limit */
    size_t stack_bytes;       /* of a handler's task, as in a spawn; 0: the runtime's default */
    struct weft_stream_options stream; /* of the connections */
    struct weft_tls_config *tls; /* NULL: plain. Else the handler is called after the handshake; one
                                    that fails is told of as the configuration says (tls.h) */
    uint64_t reserved[8];     /* zero */
};

/*
 * Begin to serve. When it returns, clients can connect.
 * Context: task     Blocks: task, where a name is looked up
 * options: may be NULL; copied, but for the memory listener
 * Returns 0 and the server, which is the caller's to close; or, with *server untouched,
 * -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, ..., or an error as weft_resolve (and nothing listens);
 * -EINVAL: an option is out of range, no handler, a descriptor no socket that listens, LISTEN_FDS
 * no number, anything listed twice; -EEXIST: what has the path of a Unix socket is no socket;
 * -ENOMEM, -EMFILE, -EPERM, -ECANCELED, -ETIMEDOUT.
 * A Unix socket's file that nobody listens at any more is replaced.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_serve(const struct weft_server_options *options,
                                           weft_handler handler, void *arg, weft_server **server);

/* Accept from now on, for a server that was made `held`. Returns 0, -EALREADY, -ESHUTDOWN (it was
 * stopped, or the runtime is being closed), -ENOMEM. Context: task, and no other stops it
 * meanwhile */
WEFT_PUBLIC int weft_server_start(weft_server *server);

/*
 * Accept no more: who connects from now on is refused, and Unix sockets' files are removed, if they
 * are still the server's. Who has connected is still served, those that wait in the backlog
 * included: they are accepted now, and where there may be no more connections at once, each is
 * served when another one has ended. (At most 4096 a socket, as far as descriptors go; the kernel
 * resets the others, and all that have connected to a server that was never started.) Connections
 * are left alone, but for handlers in weft_server_await_request.
 * Context: task; also a handler     Blocks: task, for a moment; not cut short
 */
WEFT_PUBLIC void weft_server_stop(weft_server *server);

/*
 * For handlers: wait until the client has sent something, or the server is stopped. Who calls it
 * before each request lets go of idle clients at a stop, and ends the requests that have begun:
 *
 *     while (weft_server_await_request(s) > 0 && answer_one(s) == 0) {
 *     }
 *
 * The first call on a connection is for a client that has just come; a stop does not end it. What
 * has come before the stop is shown all the same, at any load; what has not is not waited for. With
 * TLS that is said of whole records: one of which a part is there is as nothing, and so are records
 * without bytes for the reader (new keys).
 * Context: the handler's task; nobody else reads     Blocks: task
 * stream: the handler's; on another one it waits for input only
 * Returns 1: there is something to be read; 0: the end of input; -ESHUTDOWN: there is nothing, and
 * the server was stopped; or an error as weft_stream_peek.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_server_await_request(weft_stream *stream);

/*
 * Wait until the server was stopped and its last connection has ended.
 * Context: task, no handler of it (-EDEADLK)     Blocks: task
 * Returns 0, -ECANCELED, -ETIMEDOUT.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_server_wait(weft_server *server);

/*
 * Stop, wait for the handlers that run, cancel them after grace_ns, wait for them again, free the
 * server. Clients that have waited for room until then are reset. In a cancelled task the handlers
 * are cancelled at once. Who waits for the server is let go; calls must not be begun any more.
 * Context: task, no handler of it (-EDEADLK)     Blocks: task, and is not cut short
 * Returns 0, or -ETIMEDOUT, -ECANCELED: handlers had to be cancelled; the server is gone in each
 * case. NULL is allowed.
 */
WEFT_PUBLIC int weft_server_close(weft_server *server, int64_t grace_ns);

/* The port of the first listener that has one, or 0. Context: any thread */
WEFT_PUBLIC int weft_server_port(const weft_server *server);

/* How many connections there are. Context: any thread     Blocks: nothing */
WEFT_PUBLIC size_t weft_server_connections(const weft_server *server);

/*
 * How many listeners it was made with: one for each address, each descriptor that was passed, and
 * `memory`; as many when it was stopped.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC size_t weft_server_listeners(const weft_server *server);

WEFT_END_DECLS

#endif
