/* SPDX-License-Identifier: MIT */
/*
 * Server: listeners, each with a task that accepts (server_accept.c), and connections, each with a
 * task that runs the handler, or with none, being a transport (server_protocol.c).
 *
 *   made --start--> accepting --stop--> stopped --(the last task ends)--> idle --close--> freed
 *
 * Invariants
 *   I1  A listener's socket is closed by its own acceptor, or by stop if that never ran: nobody
 *       accepts on a number that is another file's by then.
 *   I2  The last of the acceptors and connections to end after a stop sets `idle`, once, and that
 *       is its last touch of the server.
 *   I3  References: the owner's, and those of tasks inside weft_server_wait. The last frees it.
 */
#ifndef WEFT_SERVER_OBJECT_H
#define WEFT_SERVER_OBJECT_H

#include <sys/stat.h>

#include <weft/future.h>
#include <weft/protocol.h>
#include <weft/scope.h>
#include <weft/server.h>
#include <weft/sync.h>

#include "atomic.h"
#include "list.h"
#include "server_arrivals.h"

struct server_listener {
    struct weft_server *server;
    int fd;         /* -1: in memory, or closed */
    bool is_memory;
    bool is_shared; /* it was passed to the server: O_NONBLOCK is others', too */
    bool repeats;   /* it accepts by `arrivals` */
    char *path;     /* of a Unix socket's file; NULL: none that is to be removed */
    dev_t device;   /* which it was */
    ino_t inode;
    weft_task *acceptor; /* written by start */
    struct arrivals arrivals; /* the acceptor's */
};

/* How a connection's handler waits for a request; see server_request.c. */
struct server_request {
    bool has_asked; /* the handler's: it is not the first it waits for */

    _Atomic(uint64_t) lock;
    struct weft_scope *wait; /* of the handler while it waits; NULL: it does not */
    bool is_stopped;
    bool is_telling; /* `wait` is in use */
};

struct server_connection {
    struct list link;
    struct weft_server *server;
    weft_stream *stream;
    weft_task *task;
    bool is_cancelled; /* under the server's lock */

    struct server_request request;
};

struct weft_server {
    /* immutable */
    struct weft_server_options options;
    weft_handler handler;
    const struct weft_protocol *protocol; /* in its place */
    void *arg;
    struct server_listener *listeners;
    size_t listener_count;
    int port;

    struct weft_semaphore room; /* connections that there may still be, if there is a limit */
    struct weft_event freed;    /* a connection has ended: who was out of descriptors tries again */
    struct weft_event deaf;     /* nobody accepts any more, and nothing listens */
    struct weft_event idle;     /* I2 */

    _Atomic(uint64_t) lock;
    unsigned references; /* I3 */
    unsigned acceptors;  /* tasks */
    unsigned listening;  /* those of them that have not closed their sockets */
    unsigned leaving;    /* connections that are not counted any more, but make room for others */
    bool is_started;
    bool is_stopped;
    struct list connections;
    struct list transports; /* those that are not in `aborted` */
    struct list aborted;
    _Atomic(size_t) connection_count; /* read by anybody, as a hint */
};

/*
 * Open what the options say (server_listen.c).
 * Returns 0, or -errno: nothing is left open, the descriptors that were passed included.
 */
int weft__server_listen(struct weft_server *s);

/* Close the descriptors that were passed, from one on: no server comes of them. Context: task */
void weft__server_passed_close(const struct weft_server_options *options, size_t from);

/* Close a listener's socket, remove its file. Context: task; see I1 */
void weft__server_listener_close(struct server_listener *l);

/* The task of a listener. */
void *weft__server_accept_run(void *arg);

/* An acceptor ends. Context: its last touch of the server */
void weft__server_leave(struct weft_server *s);

/* weft_serve, with a handler or a protocol. */
int weft__serve(const struct weft_server_options *options, weft_handler handler,
                const struct weft_protocol *protocol, void *arg, weft_server **server);

/* The descriptors in the options (may be NULL) are the server's, also when there will be none:
 * close them. Returns err. Context: task */
int weft__server_refuse(const struct weft_server_options *o, int err);

bool weft__server_is_stopped(struct weft_server *s);

/*
 * Note in a connection that its server was stopped. False: that was done before. Else, *wait: the
 * handler waits for a request, and is to be told, without a lock; NULL: it does not.
 */
bool weft__server_request_stop(struct server_connection *c, struct weft_scope **wait);
void weft__server_request_tell(struct server_connection *c, struct weft_scope *wait);

/* A connection is there, or is no more; then it is the last touch of the server. _add returns
 * whether the server was stopped. Context: any thread */
bool weft__server_add(struct weft_server *s, struct list *connections, struct list *link);
void weft__server_remove(struct weft_server *s, struct list *link);

/* Have an accepted socket call back. 0, or -errno: it was closed. Context: task */
int weft__server_open_transport(struct weft_server *s, int fd);

/* Abort all transports. Context: task, after a stop */
void weft__server_abort_transports(struct weft_server *s);

/* Make a task for a connection. 0, or -errno: the stream was closed. */
int weft__server_connect(struct weft_server *s, weft_stream *stream);

#endif
