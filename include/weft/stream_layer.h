/* SPDX-License-Identifier: MIT */
/*
 * Layers under a stream: bytes that are transformed on their way, by TLS (tls.h) or by functions of
 * one's own.
 *
 *     before   stream ---------------------------> socket, pipe, memory
 *     after    stream ---> layer ---> below -----> socket, pipe, memory
 *
 * The stream keeps its place, its options and its owner, and whoever uses it does not notice. What
 * it had received and not handed out, and what carries its bytes, go to another stream below, which
 * is the layer's: it reads and writes that one as any stream, and closes it in the end.
 */
#ifndef WEFT_STREAM_LAYER_H
#define WEFT_STREAM_LAYER_H

#include <weft/stream.h>

WEFT_BEGIN_DECLS

/*
 * What a layer does. At most one task at a time is in `receive` or `wait`, and one in `send`,
 * `try_send` or `shutdown_write`; the two may be at it at once, on different workers. Calls that
 * wait fail with -ECANCELED or -ETIMEDOUT as those of a stream do, and then no byte was moved; when
 * some were, they return how many. Other errors are final, but -ENOMEM, which means that nothing
 * was begun.
 */
struct weft_stream_layer_ops {
    /* Wait for input, put up to n bytes of it there. Returns how many, > 0; 0: the end. */
    ssize_t (*receive)(void *layer, void *buf, size_t n);
    /* Wait until there may be input, without memory for it. 0 or an error. */
    int (*wait)(void *layer);
    /* Wait until some bytes can be sent, send them. Returns how many, > 0. No buffer is empty. */
    ssize_t (*send)(void *layer, const struct iovec *iov, int count);
    /* The same without waiting: -EAGAIN when none can be. May fail so always, but a cancelled task
     * that closes the stream sends by it what `send` has not within 10 ms. */
    ssize_t (*try_send)(void *layer, const struct iovec *iov, int count);
    /* Everything was sent: tell the peer that no more comes. 0 or an error. */
    int (*shutdown_write)(void *layer);
    /* The stream is closed while a task waits in it: what is to be said is said now. The stream
     * below is ended after it, which lets that task go. */
    void (*end)(void *layer);
    /* Nobody is in another call, or will be: close the stream below, free. 0 or an error. */
    int (*close)(void *layer);
};

/*
 * Put a layer under a stream: from now on its bytes go through that. Waits until all that was
 * written has been sent as it is.
 * Context: task; nobody else is in a call on s but weft_stream_abort     Blocks: task
 * ops: stays where it is
 * below: set to the stream below, the layer's from now on
 * Returns 0; or, with nothing changed, what weft_stream_drain returns; -EPIPE: the output was
 * ended; -ENOMEM, -EPERM.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_stream_layer_push(weft_stream *s,
                                                       const struct weft_stream_layer_ops *ops,
                                                       void *layer, weft_stream **below);

/* The layer right under a stream, if it has these functions; else NULL.
 * Context: any thread     Blocks: nothing */
WEFT_PUBLIC void *weft_stream_layer(const weft_stream *s, const struct weft_stream_layer_ops *ops);

/*
 * For layers. Take n bytes for writing, all of them, whatever the high-water mark says; send what
 * goes without waiting. Any number of tasks may, besides one that writes.
 * Context: task     Blocks: nothing
 * Returns 0; or, with nothing taken, the error of the connection, -EPIPE after
 * weft_stream_shutdown_write, -ENOMEM.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_stream_put(weft_stream *s, const void *buf, size_t n);

/* For layers. Consume n bytes of what the last weft_stream_peek has shown.
 * Context: task, the one that reads     Blocks: nothing */
WEFT_PUBLIC void weft_stream_skip(weft_stream *s, size_t n);

/*
 * What `tls` in the options of connecting and serving points to, at its beginning, so that those
 * need not know TLS.
 */
struct weft_stream_upgrade {
    /* Have s upgraded: as weft_tls_start. */
    int (*start)(struct weft_stream_upgrade *upgrade, weft_stream *s, bool is_server,
                 const char *host);
    bool for_server;    /* which side it is for */
    size_t stack_bytes; /* what a task that calls it needs at least */
};

WEFT_END_DECLS

#endif
