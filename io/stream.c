/* SPDX-License-Identifier: MIT */
/* Stream: its life; see stream.h. */
#include "stream.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <weft/scope.h>
#include <weft/task.h>

#include "linger.h"

/*
 * What a cancelled task waits for the peer when it closes a stream. It is what bytes have that
 * cannot be sent without an operation, as those of a terminal: a tenth may be too short on a busy
 * machine. Ten times as much would hold up a cancel for as long as one notices, if nobody reads.
 */
#define CLOSE_MOMENT_NS (10 * WEFT_MS)

bool weft__stream_is_passing(int err)
{
    return err == -ENOMEM || ((err == -ECANCELED || err == -ETIMEDOUT) && weft_scope_error() != 0);
}

/* The marks that the options mean; -EINVAL. */
static int stream_marks(struct weft_stream *s, const struct weft_stream_options *o)
{
    static const struct weft_stream_options none;
    o = o == NULL ? &none : o;
    for (unsigned i = 0; i < sizeof o->reserved / sizeof *o->reserved; i++) {
        if (o->reserved[i] != 0) {
            return -EINVAL;
        }
    }
    size_t high = o->low_water > SIZE_MAX / 8 ? SIZE_MAX : 4 * o->low_water;
    s->limit = o->limit != 0 ? o->limit : WEFT_STREAM_LIMIT_DEFAULT;
    s->high = o->high_water != 0  ? o->high_water
              : o->low_water != 0 ? high
                                  : WEFT_STREAM_HIGH_WATER_DEFAULT;
    s->low = o->low_water != 0 ? o->low_water : o->drain_all ? 0 : s->high / 4;
    s->idle_ns = o->idle_ns;
    s->read_ns = o->read_ns;
    if (o->idle_ns < 0 || o->read_ns < 0) {
        return -EINVAL;
    }
    bool is_odd = s->low > s->high || (o->drain_all && o->low_water != 0);
    return is_odd || s->limit > SIZE_MAX / 8 || s->high > SIZE_MAX / 8 ? -EINVAL : 0;
}

int weft__stream_check(const struct weft_stream_options *options)
{
    struct weft_stream s;
    return stream_marks(&s, options);
}

int weft__stream_create(struct stream_transport *t, const struct weft_stream_options *options,
                        struct weft_stream **stream)
{
    struct weft_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return -ENOMEM;
    }
    int err = stream_marks(s, options);
    if (err < 0) {
        free(s);
        return err;
    }
    s->chunk = STREAM_CHUNK;
    s->transport = t;
    *stream = s;
    return 0;
}

int weft_stream_open(int fd, const struct weft_stream_options *options, weft_stream **stream)
{
    struct stat st;
    struct weft_stream *s = NULL;
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    if (fstat(fd, &st) < 0) {
        return -EBADF;
    }
    int err = weft__stream_create(NULL, options, &s);
    if (err < 0) {
        return err;
    }
    s->transport = weft__stream_fd_create(fd, S_ISSOCK(st.st_mode));
    if (s->transport == NULL) {
        free(s);
        return -ENOMEM;
    }
    *stream = s;
    return 0;
}

void weft_stream_abort(weft_stream *s)
{
    WEFT_REQUIRE(weft__fiber_current() != NULL, "weft_stream_abort is called in a task");
    if (weft__stream_end_output(s, STREAM_ABORTED, -ECONNABORTED)) {
        s->transport->ops->cut(s->transport, true);
    }
}

/* Whether nobody is in a call, or sends, any more. With but_flusher one may be on its way. */
static bool stream_is_left(struct weft_stream *s, bool but_flusher)
{
    (void)sync_lock(&s->lock);
    bool is_left = !s->is_sending && (but_flusher || !s->has_flusher) && !s->has_writer &&
                   wait_queue_is_empty(&s->waiters);
    sync_unlock(&s->lock, 0);
    return is_left && atomic_load_acquire(&s->reader) == 0; /* ORD P1 (stream.h): it has left */
}

/*
 * Send what is left, though the task may not wait, for as long as that is no wait for the peer; or
 * for longer, if the runtime is being closed, as nobody would send it later. The time may also be
 * over because a worker had none, so it does not decide: what the transport has room for is sent
 * after it. 0 or an error.
 */
static int close_linger(struct weft_stream *s)
{
    int err = 0;
    WEFT_SHIELD {
        WEFT_TIMEOUT(weft__linger_is_closing() ? weft__linger_ns() : CLOSE_MOMENT_NS) {
            err = weft__stream_drain_to(s, 0);
        }
        if (err == -ETIMEDOUT) {
            err = weft__stream_take_over(s);
        }
    }
    return err == -EAGAIN ? -ECANCELED : err;
}

int weft_stream_close(weft_stream *s)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    if (s == NULL) {
        return 0;
    }
    (void)weft__stream_try_flush(s, false); /* a cancelled task may not wait */
    int err = weft__stream_drain_to(s, 0);
    if (err < 0 && weft__stream_is_passing(err)) {
        err = close_linger(s);
    }
    bool is_cut = (stream_state(s) & STREAM_ABORTED) != 0;
    bool is_first = weft__stream_end_output(s, STREAM_CLOSING, -EPIPE);
    WEFT_REQUIRE(is_first, "a stream is closed once");
    if (!is_cut && (err < 0 || !stream_is_left(s, true))) {
        s->transport->ops->cut(s->transport, err < 0);
    }
    while (!stream_is_left(s, false)) {
        weft__give_turn(); /* what they wait for has ended */
    }
    int close_err = s->transport->ops->close(s->transport);
    weft__stream_buffer_drop(&s->in);
    weft__stream_buffer_drop(&s->fill);
    weft__stream_buffer_drop(&s->flight);
    if (s->lender == NULL) {
        free(s);
    }
    return err < 0 ? err : close_err;
}

void weft__stream_lend(struct weft_stream *s, struct server_connection *lender)
{
    s->lender = lender;
}

void weft__stream_close_lent(struct weft_stream *s)
{
    if ((stream_state(s) & STREAM_CLOSING) == 0) {
        (void)weft_stream_close(s);
    }
    free(s);
}

int weft_stream_peer(const weft_stream *s, struct sockaddr *address, socklen_t *bytes)
{
    return s->transport->ops->peer(s->transport, address, bytes);
}

int weft_stream_local(const weft_stream *s, struct sockaddr *address, socklen_t *bytes)
{
    return s->transport->ops->local(s->transport, address, bytes);
}

int weft_stream_fd(const weft_stream *s)
{
    return s->transport->ops->fd(s->transport);
}
