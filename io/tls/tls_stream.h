/* SPDX-License-Identifier: MIT */
/*
 * TLS stream: the layer (weft/stream_layer.h) between a stream and the one that carries its bytes.
 *
 * OpenSSL's object for a connection is not made for two threads, and must not wait. So every call
 * of it is made under `lock`, between memory and memory:
 *   in    what the stream below has received and OpenSSL has not taken; set by the reader for the
 *         time of a call, and empty otherwise
 *   out   what OpenSSL wants sent; handed to the stream below before the lock is let go, so records
 *         arrive in the order in which they were made, whoever made them
 * Nobody waits with the lock: the reader waits for the stream below before it takes it, who sends
 * waits for room before and after. Handing over never waits (weft_stream_put), nor does it lose
 * anything: what is a record once is sent. So a call that was cancelled leaves no half of one, and
 * the reader can answer (new keys, an alert) while the writer waits.
 *
 * What is sent is bounded by the writer, who makes no record while the one before it is not with
 * the kernel; what a reader answers, by what it has read.
 *
 *   made --handshake--> open --(an error of OpenSSL's)--> broken
 * Reading and writing end separately: by the peer's close_notify, and by ours.
 *
 * Invariants
 *   I1  `error` is set once, under the lock; after it OpenSSL is not called any more but to be
 *       asked what was agreed on.
 *   I2  has_more, is_over are the reader's.
 */
#ifndef WEFT_TLS_STREAM_H
#define WEFT_TLS_STREAM_H

#include <weft/sync.h>

#include "tls_context.h"

/* A call has nothing to give: more input is needed. */
#define TLS_WANTS_INPUT (-EAGAIN)

#define TLS_REASON_BYTES 160

struct tls_stream {
    /* immutable, but by the handshake */
    struct tls_context *context;
    weft_stream *below;
    char *host;
    char *protocol;

    bool has_more; /* OpenSSL may have more for the reader without more input */
    bool is_over;  /* the reader has met the end of input, of whichever kind */

    struct weft_mutex lock;
    SSL *ssl;
    struct weft_view in;
    char *out;
    size_t out_bytes;
    size_t out_capacity;
    bool has_ended; /* close_notify was sent */
    bool is_cut;    /* the stream is being closed while a task reads; the closer's, as is */
    int cut_error;  /* why not everything was sent by then, or 0 */
    int error;
    char reason[TLS_REASON_BYTES];
};

extern const struct weft_stream_layer_ops weft__tls_ops;

/* Have OpenSSL read from `in` and write to `out`. 0 or -ENOMEM. */
int weft__tls_bio_attach(struct tls_stream *t);

/* Make room in `out` for so many bytes of content. 0 or -ENOMEM. Caller holds the lock. */
int weft__tls_out_reserve(struct tls_stream *t, size_t n);

/* Hand `out` over. What cannot be for want of memory is next time. Caller holds the lock. */
void weft__tls_out_hand_over(struct tls_stream *t);

/* Note what a call of OpenSSL's that returned `result` means: TLS_WANTS_INPUT, 0: the peer has
 * ended, or an error, which is final. Caller holds the lock, and nothing came between. */
int weft__tls_outcome(struct tls_stream *t, int result);

/* It cannot go on: keep why. Caller holds the lock. Returns the error. */
int weft__tls_break(struct tls_stream *t, int err, const char *reason);

/* Have the peer know that no more comes. Caller holds the lock. */
void weft__tls_end_output(struct tls_stream *t);

/* Free it and what is its; not the stream below. */
void weft__tls_stream_free(struct tls_stream *t);

#endif
