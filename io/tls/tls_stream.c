/* SPDX-License-Identifier: MIT */
/* TLS stream: reading, writing, ending; see tls_stream.h. */
#include "tls_stream.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <weft/scope.h>
#include <weft/task.h>

/* What is encrypted under the lock at a time: four records, some tens of microseconds. */
#define TLS_BATCH_BYTES ((size_t)64 * 1024)

/* What SSL_get_error says is of this call only when no error is left of others before it. There is
 * none, as a rule, and to look is 20 times cheaper than to clear what is clear, which takes a sixth
 * of the instructions of an echo. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

int weft__tls_break(struct tls_stream *t, int err, const char *reason)
{
    if (t->error == 0) {
        t->error = err;
        if (reason != t->reason) {
            snprintf(t->reason, sizeof t->reason, "%s", reason);
        }
    }
    return t->error;
}

int weft__tls_outcome(struct tls_stream *t, int result)
{
    char reason[TLS_REASON_BYTES];
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_INPUT;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        break;
    }
    int err = weft__tls_error(t->ssl, reason, sizeof reason);
    return weft__tls_break(t, err, reason);
}

/* --- reading --- */

/* Decrypt what there is, up to n bytes. > 0, 0: the end, TLS_WANTS_INPUT, or an error. Caller holds
 * the lock. */
static ssize_t decrypt(struct tls_stream *t, char *buf, size_t n)
{
    size_t all = 0;
    size_t got = 0;
    int result = 1;
    if (t->error < 0) {
        return t->error;
    }
    forget_errors();
    do {
        result = SSL_read_ex(t->ssl, buf + all, n - all, &got);
        all += result == 1 ? got : 0;
        t->has_more = result == 1 && SSL_has_pending(t->ssl) == 1; /* or a part of a record */
    } while (result == 1 && all < n && (t->has_more || t->in.bytes > 0));
    if (result == 1) {
        return (ssize_t)all;
    }
    /* An end, or an error, behind what has come is met again by the next call. */
    ssize_t why = all > 0 && SSL_get_error(t->ssl, result) == SSL_ERROR_ZERO_RETURN
                      ? 0
                      : weft__tls_outcome(t, result);
    t->has_more |= all > 0 && why != TLS_WANTS_INPUT;
    return all > 0 ? (ssize_t)all : why;
}

/* Note that the connection has ended without the peer's saying so. */
static ssize_t cut_off(struct tls_stream *t)
{
    t->is_over = true;
    if (t->context->options.accept_truncation) {
        return 0;
    }
    if (weft_mutex_lock_shielded(&t->lock) == 0) {
        (void)weft__tls_break(t, -ECONNRESET, "the connection was cut off");
        (void)weft_mutex_unlock(&t->lock);
    }
    return -ECONNRESET;
}

/* Nothing can be read of the stream below: because TLS had to give up, or else for this reason. */
static ssize_t why_below(struct tls_stream *t, ssize_t err)
{
    if (err == -ECONNABORTED && weft_mutex_lock_shielded(&t->lock) == 0) {
        err = t->error < 0 ? t->error : err;
        (void)weft_mutex_unlock(&t->lock);
    }
    return err;
}

static ssize_t tls_receive(void *layer, void *buf, size_t n)
{
    struct tls_stream *t = layer;
    for (;;) {
        struct weft_view view;
        ssize_t held = weft_stream_peek(t->below, t->has_more ? 0 : 1, &view);
        if (held < 0 || (held == 0 && !t->has_more)) {
            return held < 0 ? why_below(t, held) : cut_off(t);
        }
        int err = weft_mutex_lock(&t->lock);
        if (err < 0) {
            return err;
        }
        t->in = view;
        ssize_t got = decrypt(t, buf, n);
        size_t taken = view.bytes - t->in.bytes;
        t->in = (struct weft_view){NULL, 0};
        weft__tls_out_hand_over(t);
        (void)weft_mutex_unlock(&t->lock);
        weft_stream_skip(t->below, taken);
        if (got != TLS_WANTS_INPUT) {
            t->is_over |= got <= 0;
            return got;
        }
    }
}

static int tls_wait(void *layer)
{
    struct tls_stream *t = layer;
    struct weft_view view;
    ssize_t held = t->has_more ? 0 : weft_stream_peek(t->below, 1, &view);
    return held < 0 ? (int)why_below(t, held) : 0;
}

/* --- writing --- */

/* After records were made and handed over: if that has failed, who waits for input is to know, as
 * the peer does not get what it may wait for. 0, or why. Caller holds the lock. */
static int output_check(struct tls_stream *t)
{
    if (t->out_bytes > 0) { /* records cannot be made again, and nobody comes to send these */
        (void)weft__tls_break(t, -ENOMEM, "no memory to send what was encrypted");
    }
    if (t->error < 0) {
        weft_stream_abort(t->below);
    }
    return t->error;
}

/* Encrypt some, hand it over. Returns how many bytes, or an error. Caller holds the lock. */
static ssize_t encrypt(struct tls_stream *t, const struct iovec *iov, int count)
{
    size_t all = 0;
    int result = 1;
    if (t->error < 0) {
        return t->error;
    }
    forget_errors();
    for (int i = 0; i < count && all < TLS_BATCH_BYTES && result == 1; i++) {
        size_t n = iov[i].iov_len < TLS_BATCH_BYTES - all ? iov[i].iov_len : TLS_BATCH_BYTES - all;
        size_t put = 0;
        if (weft__tls_out_reserve(t, n) < 0) {
            result = 0;
            break;
        }
        for (size_t at = 0; at < n && result == 1; at += put) {
            result = SSL_write_ex(t->ssl, (const char *)iov[i].iov_base + at, n - at, &put);
            all += result == 1 ? put : 0;
            if (result != 1) {
                int why = weft__tls_outcome(t, result);
                if (why >= 0 || why == TLS_WANTS_INPUT) {
                    (void)weft__tls_break(t, -EPROTO, "the peer asks for what was refused");
                }
            }
        }
    }
    weft__tls_out_hand_over(t);
    int err = output_check(t);
    if (t->out_bytes > 0) {
        return err;
    }
    return all > 0 ? (ssize_t)all : t->error < 0 ? t->error : -ENOMEM;
}

/* Wait until the last records are with the kernel: what the stream says is pending is what is. */
static int settle(struct tls_stream *t)
{
    int err = weft_stream_pending(t->below) > 0 ? weft_stream_drain(t->below) : 0;
    return (int)why_below(t, err);
}

static ssize_t tls_send(void *layer, const struct iovec *iov, int count)
{
    struct tls_stream *t = layer;
    int err = settle(t);
    if (err == 0) {
        err = weft_mutex_lock(&t->lock);
    }
    if (err < 0) {
        return err;
    }
    ssize_t n = encrypt(t, iov, count);
    (void)weft_mutex_unlock(&t->lock);
    if (n > 0) {
        (void)settle(t); /* an error is the next call's: these bytes are under way */
    }
    return n;
}

static ssize_t tls_try_send(void *layer, const struct iovec *iov, int count)
{
    struct tls_stream *t = layer;
    if (weft_stream_pending(t->below) > 0 || weft_mutex_trylock(&t->lock) < 0) {
        return -EAGAIN;
    }
    ssize_t n = encrypt(t, iov, count);
    (void)weft_mutex_unlock(&t->lock);
    return n;
}

/* --- ending --- */

void weft__tls_end_output(struct tls_stream *t)
{
    if (t->error == 0 && !t->has_ended) {
        ERR_clear_error();
        int result = SSL_shutdown(t->ssl);
        if (result < 0) { /* for want of memory: then it is a cut */
            (void)weft__tls_outcome(t, result);
        }
        t->has_ended = true;
    }
    weft__tls_out_hand_over(t);
}

static int tls_shutdown_write(void *layer)
{
    struct tls_stream *t = layer;
    int err = weft_mutex_lock(&t->lock);
    if (err < 0) {
        return err;
    }
    bool was_well = t->error == 0;
    weft__tls_end_output(t);
    err = was_well ? output_check(t) : 0;
    (void)weft_mutex_unlock(&t->lock);
    return err < 0 ? err : settle(t);
}

static void tls_end(void *layer)
{
    struct tls_stream *t = layer;
    if (weft_mutex_lock_shielded(&t->lock) == 0) {
        weft__tls_end_output(t);
        (void)weft_mutex_unlock(&t->lock);
    }
    t->is_cut = true;
    t->cut_error = settle(t);
}

/* Have the peer read what was sent before the descriptor is closed: wait for its end, throw away
 * what it still sends. */
static void linger(struct tls_stream *t)
{
    int64_t close_ns = t->context->options.close_ns;
    struct weft_view view;
    ssize_t n;
    WEFT_TIMEOUT(close_ns != 0 ? close_ns : WEFT_TLS_CLOSE_DEFAULT) {
        if (weft_stream_shutdown_write(t->below) == 0) {
            while ((n = weft_stream_peek(t->below, 1, &view)) > 0) {
                weft_stream_skip(t->below, (size_t)n);
            }
        }
    }
}

static int tls_close(void *layer)
{
    struct tls_stream *t = layer;
    int err = t->is_cut ? t->cut_error : settle(t);
    weft__tls_end_output(t); /* nobody else is here */
    if (!t->is_over && !t->is_cut && !t->context->options.close_at_once) {
        linger(t);
    }
    int close_err = weft_stream_close(t->below);
    close_err = t->is_cut ? 0 : close_err; /* which tells of the cut */
    bool is_gone = close_err == -EPIPE || close_err == -ECONNRESET; /* he missed our end only */
    weft__tls_stream_free(t);
    return err < 0 || is_gone ? err : close_err;
}

void weft__tls_stream_free(struct tls_stream *t)
{
    SSL_free(t->ssl);
    if (t->context != NULL) {
        weft__tls_context_put(t->context);
    }
    free(t->host);
    free(t->protocol);
    free(t->out);
    free(t);
}

const struct weft_stream_layer_ops weft__tls_ops = {
    .receive = tls_receive,
    .wait = tls_wait,
    .send = tls_send,
    .try_send = tls_try_send,
    .shutdown_write = tls_shutdown_write,
    .end = tls_end,
    .close = tls_close,
};
