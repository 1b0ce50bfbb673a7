/* SPDX-License-Identifier: MIT */
/*
 * Layers under a stream; the contract is in weft/stream_layer.h.
 *
 * The transport of a stream with a layer knows the layer's functions and the stream below. It is
 * put in the place of the old one under the stream's lock, after a look whether the stream was
 * ended: weft_stream_abort sets that under the lock, and then cuts the transport it finds.
 */
#include <stdlib.h>

#include <weft/stream_layer.h>
#include <weft/task.h>

#include "stream_output.h"

/* What a layer wants is whole messages, and its input is gone when it waits: so many bytes hold two
 * records of TLS, and come from the allocator's cache. */
#define LAYER_CHUNK ((size_t)32 * 1024)

struct layer_transport {
    struct stream_transport base; /* first */
    const struct weft_stream_layer_ops *ops;
    void *layer;
    struct weft_stream *below;
};

static struct layer_transport *layer_of(struct stream_transport *t)
{
    return WEFT_CONTAINER(t, struct layer_transport, base);
}

static ssize_t layer_receive(struct stream_transport *t, void *buf, size_t n)
{
    return layer_of(t)->ops->receive(layer_of(t)->layer, buf, n);
}

static ssize_t layer_receive_chunk(struct stream_transport *t, struct stream_chunk *chunk)
{
    int err = layer_of(t)->ops->wait(layer_of(t)->layer);
    if (err < 0) {
        return err;
    }
    chunk->data = malloc(chunk->capacity);
    if (chunk->data == NULL) {
        return -ENOMEM;
    }
    ssize_t n = layer_receive(t, chunk->data, chunk->capacity);
    if (n <= 0) {
        free(chunk->data);
    }
    return n;
}

static ssize_t layer_send(struct stream_transport *t, const struct iovec *iov, int count)
{
    return layer_of(t)->ops->send(layer_of(t)->layer, iov, count);
}

static ssize_t layer_try_send(struct stream_transport *t, const struct iovec *iov, int count)
{
    return layer_of(t)->ops->try_send(layer_of(t)->layer, iov, count);
}

static int layer_shutdown_write(struct stream_transport *t)
{
    return layer_of(t)->ops->shutdown_write(layer_of(t)->layer);
}

static void layer_cut(struct stream_transport *t, bool is_reset)
{
    struct layer_transport *l = layer_of(t);
    if (!is_reset) {
        l->ops->end(l->layer);
    }
    if (weft__stream_end_output(l->below, STREAM_ABORTED, -ECONNABORTED)) {
        l->below->transport->ops->cut(l->below->transport, is_reset);
    }
}

static int layer_close(struct stream_transport *t)
{
    struct layer_transport *l = layer_of(t);
    int err = l->ops->close(l->layer);
    free(l);
    return err;
}

static int layer_peer(struct stream_transport *t, struct sockaddr *address, socklen_t *bytes)
{
    return weft_stream_peer(layer_of(t)->below, address, bytes);
}

static int layer_local(struct stream_transport *t, struct sockaddr *address, socklen_t *bytes)
{
    return weft_stream_local(layer_of(t)->below, address, bytes);
}

static int layer_fd(struct stream_transport *t)
{
    return weft_stream_fd(layer_of(t)->below);
}

static const struct stream_transport_ops layer_ops = {
    .receive = layer_receive,
    .receive_chunk = layer_receive_chunk,
    .send = layer_send,
    .try_send = layer_try_send,
    .shutdown_write = layer_shutdown_write,
    .cut = layer_cut,
    .close = layer_close,
    .peer = layer_peer,
    .local = layer_local,
    .fd = layer_fd,
};

/* Why a stream cannot be given a layer any more, or 0. Caller holds the lock. */
static int layer_refused(const struct weft_stream *s)
{
    if (s->write_error != 0 || s->read_error != 0) {
        return s->write_error != 0 ? s->write_error : s->read_error;
    }
    return s->is_shut ? -EPIPE : stream_state(s) != 0 ? -ECONNABORTED : 0;
}

struct weft_stream *weft__stream_below(struct weft_stream *s)
{
    return s->transport->ops == &layer_ops ? layer_of(s->transport)->below : NULL;
}

struct weft_stream *weft__stream_bottom(struct weft_stream *s)
{
    struct weft_stream *below;
    while ((below = weft__stream_below(s)) != NULL) {
        s = below;
    }
    return s;
}

int weft_stream_layer_push(weft_stream *s, const struct weft_stream_layer_ops *ops, void *layer,
                           weft_stream **below)
{
    static const struct weft_stream_options all = {.drain_all = true};
    struct weft_stream *b = NULL;
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    struct layer_transport *l = malloc(sizeof *l);
    int err = l == NULL ? -ENOMEM : weft__stream_create(NULL, &all, &b);
    if (err == 0) {
        err = weft__stream_drain_to(s, 0);
    }
    if (err == 0) {
        weft__output_lock(s);
        WEFT_REQUIRE(!s->has_writer, "nobody uses a stream that is given a layer");
        err = layer_refused(s);
        if (err == 0) {
            *l = (struct layer_transport){{&layer_ops}, ops, layer, b};
            b->transport = s->transport;
            b->chunk = LAYER_CHUNK;
            b->in = s->in;
            b->is_eof = s->is_eof;
            s->in = (struct stream_buffer){NULL, 0, 0, 0};
            s->is_eof = false;
            s->transport = &l->base;
        }
        (void)weft__output_leave(s);
    }
    if (err < 0) {
        free(b);
        free(l);
        return err;
    }
    *below = b;
    return 0;
}

void *weft_stream_layer(const weft_stream *s, const struct weft_stream_layer_ops *ops)
{
    if (s->transport->ops != &layer_ops) {
        return NULL;
    }
    const struct layer_transport *l = layer_of(s->transport);
    return l->ops == ops ? l->layer : NULL;
}

int weft_stream_put(weft_stream *s, const void *buf, size_t n)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    weft__output_lock(s);
    int err = s->write_error != 0 ? s->write_error : s->is_shut ? -EPIPE : 0;
    if (err == 0 && n > 0) {
        err = weft__stream_buffer_reserve(&s->fill, n);
    }
    if (err == 0 && n > 0) {
        weft__output_add(s, n);
        stream_buffer_put(&s->fill, buf, n);
        if (!s->is_sending) {
            (void)weft__output_send(s, NULL, OUTPUT_NOW);
        }
    }
    (void)weft__output_leave(s);
    return err;
}
