/* SPDX-License-Identifier: MIT */
/*
 * Servers of protocols: connections without a task. The accepting, the limits and the end are those
 * of all servers (server.h); a transport belongs to its server's list from before its first call to
 * after its last.
 */
#include <errno.h>

#include <weft/io.h>

#include "fiber.h"
#include "server.h"
#include "sync_word.h"
#include "transport.h"

void weft__server_transport_over(weft_transport *t)
{
    weft__server_remove(t->server, &t->server_link);
}

int weft__server_open_transport(struct weft_server *s, int fd)
{
    weft_transport *t = NULL;
    int err = weft__transport_make(fd, s->protocol, s->arg, &t);
    if (err < 0) {
        (void)weft_close(fd);
        return err;
    }
    t->server = s;
    (void)weft__server_add(s, &s->transports, &t->server_link);
    weft__transport_start(t);
    weft_transport_put(t);
    return 0;
}

/* A transport that was not aborted, with a reference; it is now to be. NULL: none. */
static weft_transport *next_to_abort(struct weft_server *s)
{
    weft_transport *t = NULL;
    (void)sync_lock(&s->lock);
    struct list *l = list_pop_front(&s->transports);
    if (l != NULL) {
        t = weft_transport_get(WEFT_CONTAINER(l, weft_transport, server_link));
        list_push_back(&s->aborted, l);
    }
    sync_unlock(&s->lock, 0);
    return t;
}

void weft__server_abort_transports(struct weft_server *s)
{
    weft_transport *t;
    while ((t = next_to_abort(s)) != NULL) {
        weft_transport_abort(t);
        weft_transport_put(t);
    }
}

int weft_serve_protocol(const struct weft_server_options *options,
                        const struct weft_protocol *protocol, void *arg, weft_server **server)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    bool has_more = options != NULL && (options->memory != NULL || options->first_byte_ns != 0 ||
                                        options->tls != NULL);
    if (!weft__protocol_is_complete(protocol) || has_more) {
        return weft__server_refuse(options, -EINVAL);
    }
    return weft__serve(options, NULL, protocol, arg, server);
}
