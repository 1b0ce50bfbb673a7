/* SPDX-License-Identifier: MIT */
/*
 * Server: accepting.
 *
 * A listener's task takes what the kernel has accepted for it (server_arrivals.h). Where the kernel
 * cannot, or may not accept more than so many, it waits until there is a connection and takes what
 * there is by plain calls, which do not wait. Either way it goes on up to a budget; then others
 * have their turn. What concerns one connection only (the client has gone already) is skipped. What
 * the process or the machine has run out of is waited for, and asked for again after a pause that
 * doubles, or sooner if one of the server's own connections ends.
 *
 * When the server is stopped, the task takes all that have connected by then, closes the socket,
 * and stays until there has been room for each of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weft/io.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "descriptor.h"
#include "memory_stream.h"
#include "server.h"
#include "stream.h"

/* Connections that are accepted in a row. Half as many cost a turn each more often; twice as many
 * keep the other tasks of the worker waiting for a fraction of a millisecond. */
#define ACCEPT_BUDGET 64

/* Connections that are accepted after a stop: no backlog is longer, as a rule, and a client that
 * goes on connecting does not hold it up. */
#define ACCEPT_REST_MAX 4096

#define PAUSE_MIN_NS (5 * WEFT_MS)
#define PAUSE_MAX_NS WEFT_SECOND

/* What an accept's error means for the listener. */
enum accept_fault {
    FAULT_OF_CLIENT,   /* the next one may be better */
    FAULT_OF_SHORTAGE, /* later */
    FAULT_FINAL,
};

static enum accept_fault accept_fault_of(int err)
{
    switch (err) {
    case -ECONNABORTED: /* and the errors of the network, which accept(2) passes on */
    case -EPROTO:
    case -ENETDOWN:
    case -ENOPROTOOPT:
    case -EHOSTDOWN:
    case -ENONET:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -EPERM:
        return FAULT_OF_CLIENT;
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM:
        return FAULT_OF_SHORTAGE;
    default:
        return FAULT_FINAL;
    }
}

/* Apart, as errno is the thread's. */
static WEFT_NOINLINE int accept_now(int fd)
{
    int got;
    do {
        got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* Make a connection of an accepted socket. 0 or -errno; the socket is taken care of. */
static int accept_socket(struct weft_server *s, int fd)
{
    weft_stream *stream = NULL;
    if (s->protocol != NULL) {
        return weft__server_open_transport(s, fd);
    }
    int err = weft_stream_open(fd, &s->options.stream, &stream);
    if (err < 0) {
        (void)weft_close(fd);
        return err;
    }
    return weft__server_connect(s, stream);
}

/* Accept one socket, waiting for it if may_wait. */
static int accept_single(int fd, bool may_wait)
{
    int err = may_wait ? weft_wait_fd(fd, POLLIN) : 0;
    int got = err < 0 ? err : accept_now(fd);
    if (got >= 0) {
        op_opened(got);
    }
    return got;
}

/* A connection that nobody serves yet. */
struct accepted {
    int fd;
    weft_stream *stream; /* in its place, in memory */
};

/* The next one, waiting for it if may_wait. 0, -EAGAIN, or an error. */
static int accept_take(struct server_listener *l, bool may_wait, struct accepted *a)
{
    const struct weft_server_options *o = &l->server->options;
    if (l->is_memory) {
        int err = may_wait ? weft_memory_accept(o->memory, &o->stream, &a->stream)
                           : weft__memory_accept_now(o->memory, &o->stream, &a->stream);
        return err == -ECONNABORTED ? -ESHUTDOWN : err; /* the listener was closed */
    }
    a->fd = l->repeats ? weft__arrivals_next(&l->arrivals, l->fd, may_wait)
                       : accept_single(l->fd, may_wait);
    return a->fd < 0 ? a->fd : 0;
}

/* Make a task of it. 0 or -errno; it is taken care of. */
static int accept_serve(struct server_listener *l, const struct accepted *a)
{
    return l->is_memory ? weft__server_connect(l->server, a->stream)
                        : accept_socket(l->server, a->fd);
}

static void accept_drop(struct server_listener *l, const struct accepted *a)
{
    if (l->is_memory) {
        weft_stream_abort(a->stream);
        (void)weft_stream_close(a->stream);
    } else {
        (void)weft_close(a->fd);
    }
}

static int accept_one(struct server_listener *l, bool may_wait)
{
    struct accepted a;
    int err = accept_take(l, may_wait, &a);
    return err < 0 ? err : accept_serve(l, &a);
}

/* Whether to have the kernel accept again and again: not more than there is room for, nor on a
 * socket whose O_NONBLOCK, which it would take for the end, is not ours to clear. */
static bool accept_can_repeat(const struct server_listener *l)
{
    return !l->is_memory && !l->is_shared && l->server->options.connections_max == 0 &&
           weft__arrivals_can() && fcntl(l->fd, F_SETFL, 0) == 0;
}

/* Accept one, if there may be one more. */
static int accept_with_room(struct server_listener *l, bool may_wait)
{
    struct weft_server *s = l->server;
    bool has_limit = s->options.connections_max != 0;
    int err = !has_limit ? 0
              : may_wait ? weft_semaphore_acquire(&s->room)
                         : weft_semaphore_tryacquire(&s->room);
    if (err < 0) {
        return err;
    }
    weft_event_clear(&s->freed);
    err = accept_one(l, may_wait);
    if (err < 0 && has_limit) {
        (void)weft_semaphore_release(&s->room);
    }
    return err;
}

/* Wait until something may have been given back. 0, or why the task may not wait. */
static int accept_pause(struct weft_server *s, int64_t *pause_ns)
{
    int err = 0;
    struct weft_scope limit;
    WEFT_TIMEOUT_AS(limit, *pause_ns) {
        err = weft_event_wait(&s->freed);
    }
    *pause_ns = *pause_ns * 2 < PAUSE_MAX_NS ? *pause_ns * 2 : PAUSE_MAX_NS;
    return err == -ETIMEDOUT ? 0 : err;
}

static void accept_loop(struct server_listener *l)
{
    int64_t pause_ns = PAUSE_MIN_NS;
    int err = 0;
    unsigned in_a_row = 0;
    for (;;) {
        err = accept_with_room(l, in_a_row == 0);
        if (err == 0) {
            pause_ns = PAUSE_MIN_NS;
            in_a_row++;
        }
        if (in_a_row == ACCEPT_BUDGET || err == -EAGAIN) {
            in_a_row = 0;
            err = weft_yield();
        }
        if (err < 0 && accept_fault_of(err) == FAULT_OF_SHORTAGE) {
            in_a_row = 0;
            err = accept_pause(l->server, &pause_ns);
        }
        if (err < 0 && accept_fault_of(err) == FAULT_FINAL) {
            return; /* stopped, most likely */
        }
    }
}

/* --- the end --- */

/* Those that had connected when the server was stopped, and that there is no room for yet. */
struct accept_rest {
    struct accepted *all;
    size_t count;
    size_t capacity;
};

static int rest_add(struct accept_rest *r, const struct accepted *a)
{
    if (r->count == r->capacity) {
        size_t capacity = r->capacity == 0 ? 16 : 2 * r->capacity;
        struct accepted *all = realloc(r->all, capacity * sizeof *all);
        if (all == NULL) {
            return -ENOMEM;
        }
        r->all = all;
        r->capacity = capacity;
    }
    r->all[r->count++] = *a;
    return 0;
}

/* Take one that waits to be accepted, and serve it if there is room. 0, -EAGAIN, or an error. */
static int rest_take(struct server_listener *l, struct accept_rest *r)
{
    struct weft_server *s = l->server;
    bool has_limit = s->options.connections_max != 0;
    struct accepted a;
    int err = accept_take(l, false, &a);
    if (err < 0) {
        return err;
    }
    bool has_room = !has_limit || (r->count == 0 && weft_semaphore_tryacquire(&s->room) == 0);
    err = has_room ? accept_serve(l, &a) : rest_add(r, &a);
    if (err < 0 && !has_room) {
        accept_drop(l, &a);
    } else if (err < 0 && has_limit) {
        (void)weft_semaphore_release(&s->room);
    }
    return err;
}

/* Stop accepting. Whoever the kernel has accepted is served; and who waits to be, as the kernel
 * resets those when the socket is closed: a client that came before the stop is not to notice. */
static void rest_collect(struct server_listener *l, struct accept_rest *r)
{
    bool blocks = false;
    if (l->is_memory) {
        weft__memory_listener_refuse(l->server->options.memory);
    }
    if (l->repeats) {
        weft__arrivals_end(&l->arrivals, l->fd);
        while (accept_one(l, false) != -EAGAIN) {
        }
        weft__arrivals_drop(&l->arrivals);
        l->repeats = false;
        blocks = fcntl(l->fd, F_SETFL, O_NONBLOCK) < 0;
    }
    for (unsigned i = 0; !blocks && i < ACCEPT_REST_MAX; i++) {
        int err = rest_take(l, r);
        if (err < 0 && accept_fault_of(err) != FAULT_OF_CLIENT) {
            break;
        }
    }
}

/* Serve them as the others end. The cancel of the stop has done its work; another one means that
 * the server's grace is over, or the runtime is being closed. */
static void rest_serve(struct server_listener *l, struct accept_rest *r)
{
    struct weft_server *s = l->server;
    int err = 0;
    size_t i = 0;
    if (r->count > 0 && weft__server_is_stopped(s)) {
        (void)weft_uncancel();
    }
    while (i < r->count && (err = weft_semaphore_acquire(&s->room)) == 0) {
        if (accept_serve(l, &r->all[i++]) < 0) {
            (void)weft_semaphore_release(&s->room);
        }
    }
    for (; i < r->count; i++) {
        accept_drop(l, &r->all[i]);
    }
    free(r->all);
}

void *weft__server_accept_run(void *arg)
{
    struct server_listener *l = arg;
    struct weft_server *s = l->server;
    struct accept_rest rest = {.count = 0};
    l->repeats = accept_can_repeat(l);
    accept_loop(l);
    rest_collect(l, &rest);
    weft__server_listener_close(l);
    (void)sync_lock(&s->lock);
    bool is_last = --s->listening == 0;
    sync_unlock(&s->lock, 0);
    if (is_last) {
        weft_event_set(&s->deaf);
    }
    rest_serve(l, &rest);
    weft__server_leave(s);
    return NULL;
}
