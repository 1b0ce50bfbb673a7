/* SPDX-License-Identifier: MIT */
/*
 * Requests: how a handler that waits for one learns that the server was stopped.
 *
 * The handler waits in a scope of its own, which it publishes in its connection; the stop goes
 * through the connections and cancels the scopes that it finds there. A connection that is added
 * later knows from the beginning.
 *
 * Invariants, all under the connection's lock
 *   I1  Either the handler finds is_stopped when it publishes its scope, or the stop finds that.
 *   I2  While is_telling, which is from the stop's look until its cancel has returned, the handler
 *       does not leave the scope; nor, therefore, does the connection end. The stop lets go of the
 *       lock last.
 *
 * A handler that finds the server stopped, or is told so, looks once more whether its client has
 * sent something: a request that came before the stop is answered. The look reads what is there,
 * however long that takes, and ends where it would have to wait for the client (stream_read.c): no
 * time decides which of the two it is. So a request that a layer cannot show yet, being a part of a
 * record of TLS, has not come; the rest of it might never.
 */
#include <errno.h>

#include "server.h"
#include "stream.h"
#include "sync_word.h"

bool weft__server_request_stop(struct server_connection *c, struct weft_scope **wait)
{
    struct server_request *r = &c->request;
    (void)sync_lock(&r->lock);
    bool is_first = !r->is_stopped;
    r->is_stopped = true;
    *wait = is_first ? r->wait : NULL;
    r->is_telling |= *wait != NULL;
    sync_unlock(&r->lock, 0);
    return is_first;
}

void weft__server_request_tell(struct server_connection *c, struct weft_scope *wait)
{
    struct server_request *r = &c->request;
    weft_scope_cancel(wait);
    (void)sync_lock(&r->lock);
    r->is_telling = false;
    sync_unlock(&r->lock, 0);
}

/* Publish the handler's scope. False: the server was stopped. */
static bool request_publish(struct server_request *r, struct weft_scope *wait)
{
    (void)sync_lock(&r->lock);
    bool is_stopped = r->is_stopped;
    r->wait = is_stopped ? NULL : wait;
    sync_unlock(&r->lock, 0);
    return !is_stopped;
}

/* Take it back, once nobody uses it. */
static void request_retract(struct server_request *r)
{
    bool is_telling;
    do {
        (void)sync_lock(&r->lock);
        r->wait = NULL;
        is_telling = r->is_telling;
        sync_unlock(&r->lock, 0);
        if (WEFT_UNLIKELY(is_telling)) {
            weft__give_turn();
        }
    } while (is_telling);
}

/* Wait once. Returns as weft_stream_peek, or -ESHUTDOWN; *is_last: it was the look at what is there
 * that a handler has at a server that was stopped. */
static ssize_t request_wait(struct server_connection *c, bool *is_last)
{
    struct weft_scope wait;
    struct weft_view view;
    weft_scope_enter(&wait, WEFT_FOREVER);
    *is_last = !request_publish(&c->request, &wait);
    ssize_t n = *is_last ? weft__stream_look(c->stream, &wait, &view)
                         : weft_stream_peek(c->stream, 1, &view);
    request_retract(&c->request);
    bool is_cut = weft_scope_exit(&wait) < 0;
    return n < 0 && is_cut ? -ESHUTDOWN : n;
}

int weft_server_await_request(weft_stream *s)
{
    struct server_connection *c = s->lender;
    struct weft_view view;
    ssize_t n;
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    if (c == NULL || !c->request.has_asked || stream_buffer_bytes(&s->in) > 0) {
        n = weft_stream_peek(s, 1, &view);
    } else {
        bool is_last;
        do {
            n = request_wait(c, &is_last);
        } while (n == -ESHUTDOWN && !is_last);
    }
    if (c != NULL) {
        c->request.has_asked = true;
    }
    return n > 0 ? 1 : (int)n;
}
