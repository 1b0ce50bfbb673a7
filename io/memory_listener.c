/* SPDX-License-Identifier: MIT */
/* Listener in memory: a queue of the servers' ends of connections. */
#include <errno.h>
#include <stdlib.h>

#include <weft/queue.h>

#include "memory_stream.h"

#define MEMORY_BACKLOG_DEFAULT 128

struct weft_memory_listener {
    weft_queue *pending; /* of struct stream_transport */
};

int weft_memory_listener_create(weft_memory_listener **listener, size_t backlog)
{
    struct weft_memory_listener *l = malloc(sizeof *l);
    if (l == NULL) {
        return -ENOMEM;
    }
    l->pending = weft_queue_create(WEFT_FIFO, backlog != 0 ? backlog : MEMORY_BACKLOG_DEFAULT);
    if (l->pending == NULL) {
        free(l);
        return -ENOMEM;
    }
    *listener = l;
    return 0;
}

int weft_memory_connect(weft_memory_listener *listener, const struct weft_stream_options *options,
                        weft_stream **stream)
{
    struct stream_transport *t[2];
    weft_stream *s = NULL;
    int err = weft__memory_pair(t);
    if (err < 0) {
        return err;
    }
    err = weft__stream_create(t[0], options, &s);
    if (err == 0) {
        err = weft_queue_put(listener->pending, t[1]);
        if (err == 0) {
            *stream = s;
            return 0;
        }
        free(s);
    }
    (void)t[0]->ops->close(t[0]);
    (void)t[1]->ops->close(t[1]);
    return err == -ESHUTDOWN ? -ECONNREFUSED : err;
}

/* A stream of a connection's end that was taken from the queue. 0 or -errno: it was reset. */
static int accepted_stream(struct stream_transport *t, const struct weft_stream_options *options,
                           weft_stream **stream)
{
    int err = weft__stream_create(t, options, stream);
    if (err < 0) {
        t->ops->cut(t, true);
        (void)t->ops->close(t);
    }
    return err;
}

int weft_memory_accept(weft_memory_listener *listener, const struct weft_stream_options *options,
                       weft_stream **stream)
{
    void *item = NULL;
    int err = weft_queue_get(listener->pending, &item);
    if (err < 0) {
        return err == -ESHUTDOWN ? -ECONNABORTED : err;
    }
    return accepted_stream(item, options, stream);
}

int weft__memory_accept_now(weft_memory_listener *listener,
                            const struct weft_stream_options *options, weft_stream **stream)
{
    void *item = NULL;
    int err = weft_queue_try_get(listener->pending, &item);
    return err < 0 ? -EAGAIN : accepted_stream(item, options, stream);
}

void weft__memory_listener_refuse(weft_memory_listener *listener)
{
    (void)weft_queue_shutdown(listener->pending, false);
}

void weft_memory_listener_close(weft_memory_listener *listener)
{
    void *item = NULL;
    weft__memory_listener_refuse(listener);
    while (weft_queue_try_get(listener->pending, &item) == 0) {
        struct stream_transport *t = item;
        t->ops->cut(t, true);
        (void)t->ops->close(t);
    }
}

void weft_memory_listener_destroy(weft_memory_listener *listener)
{
    weft_memory_listener_close(listener);
    (void)weft_queue_destroy(listener->pending);
    free(listener);
}
