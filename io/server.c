/* SPDX-License-Identifier: MIT */
/* Server: its life and its connections; see server.h. */
#include "server.h"

#include <errno.h>
#include <stdlib.h>

#include <weft/io.h>
#include <weft/scope.h>
#include <weft/stream_layer.h>
#include <weft/task.h>

#include "stream.h"

static size_t connection_count(const struct weft_server *s)
{
    /* ORD none: under the lock, or a hint. */
    return atomic_load_relaxed(&((struct weft_server *)(uintptr_t)s)->connection_count);
}

static void connection_count_add(struct weft_server *s, size_t n)
{
    /* ORD none: written under the lock. */
    atomic_store_relaxed(&s->connection_count, connection_count(s) + n);
}

bool weft__server_is_stopped(struct weft_server *s)
{
    (void)sync_lock(&s->lock);
    bool is_stopped = s->is_stopped;
    sync_unlock(&s->lock, 0);
    return is_stopped;
}

/* Let go of the lock; `idle` is set if this was the last. Nothing is touched after it. */
static void server_unlock(struct weft_server *s)
{
    bool is_idle = s->is_stopped && s->acceptors == 0 && s->leaving == 0 &&
                   connection_count(s) == 0;
    sync_unlock(&s->lock, 0);
    if (is_idle) {
        weft_event_set(&s->idle);
    }
}

void weft__server_leave(struct weft_server *s)
{
    (void)sync_lock(&s->lock);
    s->acceptors--;
    server_unlock(s);
}

/* --- a connection --- */

static struct weft_stream_upgrade *server_upgrade(const struct weft_server *s)
{
    return (struct weft_stream_upgrade *)(void *)s->options.tls;
}

static void connection_serve(struct server_connection *c)
{
    struct weft_stream_upgrade *tls = server_upgrade(c->server);
    int64_t first_byte_ns = c->server->options.first_byte_ns;
    struct weft_view view;
    ssize_t n = 1;
    if (first_byte_ns != 0) {
        WEFT_TIMEOUT(first_byte_ns) {
            n = weft_stream_peek(c->stream, 1, &view);
        }
    }
    if (n == -ETIMEDOUT) {
        weft_stream_abort(c->stream);
    } else if (tls == NULL || tls->start(tls, c->stream, true, NULL) == 0) {
        c->server->handler(c->stream, c->server->arg);
    }
    weft__stream_close_lent(c->stream);
}

bool weft__server_add(struct weft_server *s, struct list *connections, struct list *link)
{
    (void)sync_lock(&s->lock);
    list_push_back(connections, link);
    connection_count_add(s, 1);
    bool is_stopped = s->is_stopped;
    sync_unlock(&s->lock, 0);
    return is_stopped;
}

void weft__server_remove(struct weft_server *s, struct list *link)
{
    (void)sync_lock(&s->lock);
    list_remove(link);
    connection_count_add(s, (size_t)-1); /* before there is room, so that it is never too many */
    s->leaving++;
    sync_unlock(&s->lock, 0);
    if (s->options.connections_max != 0) {
        (void)weft_semaphore_release(&s->room);
    }
    weft_event_set(&s->freed);
    (void)sync_lock(&s->lock);
    s->leaving--;
    server_unlock(s);
}

static void connection_over(struct server_connection *c)
{
    weft__server_remove(c->server, &c->link);
    weft_put(c->task);
    free(c);
}

static void *connection_run(void *arg)
{
    struct server_connection *c = arg;
    connection_serve(c);
    connection_over(c);
    return NULL;
}

int weft__server_connect(struct weft_server *s, weft_stream *stream)
{
    const struct weft_stream_upgrade *tls = server_upgrade(s);
    struct weft_spawn_options how = {.stack_bytes = s->options.stack_bytes, .held = true};
    if (tls != NULL && how.stack_bytes != 0 && how.stack_bytes < tls->stack_bytes) {
        how.stack_bytes = tls->stack_bytes;
    }
    struct server_connection *c = malloc(sizeof *c);
    weft_task *t = c == NULL ? NULL : weft_spawn_with(&how, connection_run, c);
    if (t == NULL) {
        free(c);
        weft_stream_abort(stream);
        (void)weft_stream_close(stream);
        return -ENOMEM;
    }
    *c = (struct server_connection){.server = s, .stream = stream, .task = t};
    weft__stream_lend(stream, c);
    if (weft__server_add(s, &s->connections, &c->link)) {
        struct weft_scope *none;
        (void)weft__server_request_stop(c, &none);
    }
    if (weft_start(t) < 0) {
        /* The runtime is being closed, and has ended it unrun. */
        weft_stream_abort(stream);
        weft__stream_close_lent(stream);
        connection_over(c);
        return -ESHUTDOWN;
    }
    return 0;
}

/* Whether the calling task is a connection's. */
static bool server_is_inside(struct weft_server *s)
{
    const weft_task *self = weft_self();
    bool is_inside = false;
    (void)sync_lock(&s->lock);
    for (struct list *l = s->connections.next; l != &s->connections && !is_inside; l = l->next) {
        is_inside = WEFT_CONTAINER(l, struct server_connection, link)->task == self;
    }
    sync_unlock(&s->lock, 0);
    return is_inside;
}

/* A connection's task that was not cancelled, with a reference; it is now to be, and its connection
 * goes behind all others. NULL: none. */
static weft_task *server_next_to_cancel(struct weft_server *s)
{
    weft_task *t = NULL;
    (void)sync_lock(&s->lock);
    struct server_connection *c = WEFT_CONTAINER(s->connections.next, struct server_connection,
                                                 link);
    if (&c->link != &s->connections && !c->is_cancelled) {
        c->is_cancelled = true;
        list_remove(&c->link);
        list_push_back(&s->connections, &c->link);
        t = weft_get(c->task);
    }
    sync_unlock(&s->lock, 0);
    return t;
}

/* End what there is, at the end of the grace. The acceptors come first: each may still serve those
 * that wait for room, and there is more room with each that ends. */
static void server_cancel_all(struct weft_server *s)
{
    weft_task *t;
    for (size_t i = 0; i < s->listener_count; i++) {
        t = s->listeners[i].acceptor;
        if (t != NULL) {
            (void)weft_cancel(t);
            WEFT_SHIELD {
                while (!weft_done(t) && weft_await(t, NULL) == -ENOMEM) {
                    weft__give_turn();
                }
            }
        }
    }
    while ((t = server_next_to_cancel(s)) != NULL) {
        (void)weft_cancel(t);
        weft_put(t);
    }
    weft__server_abort_transports(s);
}

/* Have the next connection that waits for a request be told of the stop. False: there is none.
 * Those that are added from now on know it. */
static bool server_tell_next(struct weft_server *s)
{
    struct weft_scope *wait = NULL;
    (void)sync_lock(&s->lock);
    struct server_connection *c = WEFT_CONTAINER(s->connections.next, struct server_connection,
                                                 link);
    bool is_one = &c->link != &s->connections && weft__server_request_stop(c, &wait);
    if (is_one) {
        list_remove(&c->link);
        list_push_back(&s->connections, &c->link);
    }
    sync_unlock(&s->lock, 0);
    if (wait != NULL) {
        weft__server_request_tell(c, wait);
    }
    return is_one;
}

/* --- the server --- */

static void server_put(struct weft_server *s)
{
    (void)sync_lock(&s->lock);
    bool is_last = --s->references == 0;
    sync_unlock(&s->lock, 0);
    if (!is_last) {
        return;
    }
    for (size_t i = 0; i < s->listener_count; i++) {
        if (s->listeners[i].acceptor != NULL) {
            weft_put(s->listeners[i].acceptor);
        }
    }
    free(s->listeners);
    free(s);
}

int weft_server_start(weft_server *s)
{
    (void)sync_lock(&s->lock);
    int err = s->is_stopped ? -ESHUTDOWN : s->is_started ? -EALREADY : 0;
    s->is_started |= err == 0;
    sync_unlock(&s->lock, 0);
    for (size_t i = 0; i < s->listener_count && err == 0; i++) {
        struct server_listener *l = &s->listeners[i];
        weft_task *t = weft_spawn_with(&(struct weft_spawn_options){.held = true},
                                       weft__server_accept_run, l);
        if (t == NULL) {
            return -ENOMEM; /* the others accept; stop closes the rest */
        }
        (void)sync_lock(&s->lock);
        l->acceptor = t;
        s->acceptors++;
        s->listening++;
        sync_unlock(&s->lock, 0);
        if (weft_start(t) < 0) { /* the runtime is being closed, and has ended it unrun */
            (void)sync_lock(&s->lock);
            l->acceptor = NULL;
            s->acceptors--;
            s->listening--;
            sync_unlock(&s->lock, 0);
            weft_put(t);
            err = -ESHUTDOWN;
        }
    }
    return err;
}

int weft__server_refuse(const struct weft_server_options *o, int err)
{
    if (o != NULL) {
        weft__server_passed_close(o, 0);
    }
    return err;
}

static bool stack_is_odd(size_t bytes)
{
    return bytes != 0 && (bytes < WEFT_STACK_BYTES_MIN || bytes > WEFT_STACK_BYTES_MAX);
}

static int server_check(const struct weft_server_options *o)
{
    for (unsigned i = 0; i < sizeof o->reserved / sizeof *o->reserved; i++) {
        if (o->reserved[i] != 0) {
            return -EINVAL;
        }
    }
    const struct weft_stream_upgrade *tls = (struct weft_stream_upgrade *)(void *)o->tls;
    bool is_odd = (tls != NULL && !tls->for_server) || o->backlog < 0 ||
                  o->connections_max > INT32_MAX || o->first_byte_ns < 0 ||
                  (o->fd_count > 0 && o->fds == NULL) || stack_is_odd(o->stack_bytes) ||
                  (o->service != NULL && o->host == NULL &&
                   (o->fd_count > 0 || o->memory != NULL || o->listen_fds)) ||
                  o->path_mode > 07777;
    return is_odd ? -EINVAL : weft__stream_check(&o->stream);
}

int weft_serve(const struct weft_server_options *options, weft_handler handler, void *arg,
               weft_server **server)
{
    if (handler == NULL && weft__fiber_current() != NULL) {
        return weft__server_refuse(options, -EINVAL);
    }
    return weft__serve(options, handler, NULL, arg, server);
}

int weft__serve(const struct weft_server_options *options, weft_handler handler,
                const struct weft_protocol *protocol, void *arg, weft_server **server)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    struct weft_server *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return weft__server_refuse(options, -ENOMEM);
    }
    s->options = options != NULL ? *options : (struct weft_server_options){.host = NULL};
    s->handler = handler;
    s->protocol = protocol;
    s->arg = arg;
    s->references = 1;
    list_init(&s->connections);
    list_init(&s->transports);
    list_init(&s->aborted);
    if (s->options.connections_max != 0) {
        (void)weft_semaphore_init(&s->room, (int64_t)s->options.connections_max);
    }
    int err = server_check(&s->options);
    err = err < 0 ? weft__server_refuse(&s->options, err) : weft__server_listen(s);
    if (err < 0) {
        free(s);
        return err;
    }
    s->options.host = NULL; /* the caller's memory */
    s->options.service = NULL;
    s->options.fds = NULL;
    if (!s->options.held) {
        err = weft_server_start(s);
    }
    if (err < 0) {
        (void)weft_server_close(s, 0);
        return err;
    }
    *server = s;
    return 0;
}

/* Wait for what comes soon, or as soon as others let it, and is not cut short. */
static void server_await(struct weft_event *e)
{
    WEFT_SHIELD {
        int err = weft_event_wait(e);
        WEFT_ASSERT(err == 0);
    }
}

void weft_server_stop(weft_server *s)
{
    (void)sync_lock(&s->lock);
    bool is_first = !s->is_stopped;
    bool has_acceptors = s->acceptors > 0;
    s->is_stopped = true;
    sync_unlock(&s->lock, 0);
    if (is_first) {
        for (size_t i = 0; i < s->listener_count; i++) {
            if (s->listeners[i].acceptor != NULL) {
                (void)weft_cancel(s->listeners[i].acceptor);
            } else {
                weft__server_listener_close(&s->listeners[i]);
            }
        }
        while (server_tell_next(s)) {
        }
        if (!has_acceptors) {
            weft_event_set(&s->deaf);
            (void)sync_lock(&s->lock);
            server_unlock(s);
        }
    }
    server_await(&s->deaf);
}

int weft_server_wait(weft_server *s)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    if (server_is_inside(s)) {
        return -EDEADLK;
    }
    (void)sync_lock(&s->lock);
    s->references++;
    sync_unlock(&s->lock, 0);
    int err = weft_event_wait(&s->idle);
    server_put(s);
    return err;
}

/* Wait until it is idle, for so long. A wait for which there is no timer, for want of memory, is
 * cut short; then the time is not over. */
static int server_wait_for(struct weft_server *s, int64_t for_ns)
{
    int64_t now = weft_now();
    int64_t until_ns = for_ns < WEFT_FOREVER - now ? now + for_ns : WEFT_FOREVER;
    int err = 0;
    do {
        WEFT_TIMEOUT(until_ns == WEFT_FOREVER ? WEFT_FOREVER : until_ns - weft_now()) {
            err = weft_event_wait(&s->idle);
        }
    } while (err == -ETIMEDOUT && weft_now() < until_ns && weft_yield() == 0);
    return err;
}

int weft_server_close(weft_server *s, int64_t grace_ns)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    if (s == NULL) {
        return 0;
    }
    if (server_is_inside(s)) {
        return -EDEADLK;
    }
    weft_server_stop(s);
    int err = 0;
    if (!weft_event_is_set(&s->idle)) {
        err = server_wait_for(s, grace_ns);
        if (err < 0) {
            server_cancel_all(s);
        }
        server_await(&s->idle);
    }
    server_put(s);
    return err;
}

int weft_server_port(const weft_server *s)
{
    return s->port;
}

size_t weft_server_connections(const weft_server *s)
{
    return connection_count(s);
}

size_t weft_server_listeners(const weft_server *s)
{
    return s->listener_count;
}
