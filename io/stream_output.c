/* SPDX-License-Identifier: MIT */
/* Stream: sending what was written; see stream.h. */
#include "stream_output.h"

#include <weft/scope.h>
#include <weft/task.h>

#include "linger.h"

/* What the flusher leaves others to give memory back, before it tries again. */
#define MEMORY_PAUSE_NS (1 * WEFT_MS)

void weft__output_add(struct weft_stream *s, size_t n)
{
    /* ORD none: written under the lock. */
    atomic_store_relaxed(&s->pending, stream_pending(s) + n);
}

static void output_subtract(struct weft_stream *s, size_t n)
{
    /* ORD none: written under the lock. */
    atomic_store_relaxed(&s->pending, stream_pending(s) - n);
}

/* Let all who wait look again. Caller holds the lock. */
static void output_wake(struct weft_stream *s, struct wait_chain *woken)
{
    struct wait_node *n;
    while ((n = weft__wait_queue_claim(&s->waiters)) != NULL) {
        wait_chain_add(woken, n);
    }
}

void weft__output_lock(struct weft_stream *s)
{
    (void)sync_lock(&s->lock);
}

void weft__output_unlock(struct weft_stream *s)
{
    struct wait_chain woken = {NULL, NULL};
    if (WEFT_LIKELY(wait_queue_is_empty(&s->waiters))) {
        sync_unlock(&s->lock, 0);
        return;
    }
    if (!s->is_sending || stream_pending(s) <= s->low) {
        output_wake(s, &woken);
    }
    sync_unlock(&s->lock, 0);
    weft__wait_chain_resume(&woken);
}

/* Nothing is left to be sent, or what is must not be any more. Caller holds the lock. */
static void output_drop(struct weft_stream *s)
{
    weft__stream_buffer_drop(&s->fill);
    weft__stream_buffer_drop(&s->flight);
    atomic_store_relaxed(&s->pending, 0); /* ORD none: written under the lock. */
}

/* Caller holds the lock; if somebody sends, he is to drop what is pending. */
void weft__output_fail(struct weft_stream *s, int err)
{
    if (s->write_error == 0 || err == -ECONNABORTED) {
        s->write_error = err;
    }
    if (!s->is_sending) {
        output_drop(s);
    }
}

/* Take n bytes off what is to be sent: off `flight`, then off `fill`. Returns what is left of n. */
static size_t output_take(struct weft_stream *s, size_t n)
{
    struct stream_buffer *buffers[] = {&s->flight, &s->fill};
    for (int i = 0; i < 2; i++) {
        size_t held = stream_buffer_bytes(buffers[i]);
        size_t part = n < held ? n : held;
        stream_buffer_take(buffers[i], part);
        output_subtract(s, part);
        n -= part;
    }
    return n;
}

/* The buffers to be sent, as vectors. Returns how many. `fill` is sent with a caller's memory only:
 * then it is the caller who would write to it. */
static int output_vectors(struct weft_stream *s, struct iovec *iov, bool with_fill)
{
    int count = 0;
    if (stream_buffer_bytes(&s->flight) == 0) {
        struct stream_buffer spent = s->flight;
        s->flight = s->fill;
        s->fill = spent;
        s->fill.begin = 0;
        s->fill.end = 0;
    }
    if (stream_buffer_bytes(&s->flight) > 0) {
        iov[count++] = (struct iovec){stream_buffer_head(&s->flight),
                                      stream_buffer_bytes(&s->flight)};
    }
    if (with_fill && stream_buffer_bytes(&s->fill) > 0) {
        iov[count++] = (struct iovec){stream_buffer_head(&s->fill), stream_buffer_bytes(&s->fill)};
    }
    return count;
}

/* Send, under the stream's own limit, whose end is the connection's. */
static ssize_t output_transfer(struct weft_stream *s, const struct iovec *iov, int count,
                               enum output_patience patience)
{
    struct stream_transport *t = s->transport;
    if (patience == OUTPUT_TURN && t->ops->send_with_turn != NULL) {
        return t->ops->send_with_turn(t, iov, count);
    }
    if (patience != OUTPUT_WAIT) {
        return t->ops->try_send(t, iov, count);
    }
    if (WEFT_LIKELY(s->idle_ns == 0)) {
        return t->ops->send(t, iov, count);
    }
    ssize_t n = 0;
    WEFT_TIMEOUT(s->idle_ns) {
        n = t->ops->send(t, iov, count);
    }
    return n;
}

ssize_t weft__output_send(struct weft_stream *s, const struct output_more *more,
                          enum output_patience patience)
{
    struct iovec iov[2 + OUTPUT_MORE_MAX];
    size_t extra = 0;
    int count = output_vectors(s, iov, more != NULL);
    for (int i = 0; more != NULL && i < more->count; i++) {
        iov[count++] = more->iov[i];
        extra += more->iov[i].iov_len;
    }
    WEFT_ASSERT(count > 0 && !s->is_sending);
    s->is_sending = true;
    s->is_trying = patience != OUTPUT_WAIT;
    weft__output_add(s, extra);
    sync_unlock(&s->lock, 0);
    ssize_t n = output_transfer(s, iov, count, patience);
    bool is_final = n < 0 && n != -EAGAIN && !weft__stream_is_passing((int)n);
    weft__output_lock(s);
    s->is_sending = false;
    s->is_trying = false;
    output_subtract(s, extra);
    size_t of_more = n > 0 ? output_take(s, (size_t)n) : 0;
    if (is_final || s->write_error != 0) {
        weft__output_fail(s, is_final ? (int)n : s->write_error);
        n = s->write_error;
    } else if (stream_pending(s) == 0) {
        output_drop(s);
    }
    bool is_low = s->write_error != 0 || stream_pending(s) <= s->low;
    if (is_low && !wait_queue_is_empty(&s->waiters)) {
        weft__output_unlock(s);
        weft__output_lock(s);
    }
    return n < 0 ? n : (ssize_t)of_more;
}

int weft__output_wait(struct weft_stream *s, size_t goal)
{
    struct fiber *f = weft__fiber_current();
    struct wait_node n;
    sync_unlock(&s->lock, 0);
    int err = weft__sync_wait_begin(&n, f, WAIT_CLAIMABLE, s);
    weft__output_lock(s);
    bool is_over = !s->is_sending || stream_pending(s) <= goal;
    if (is_over || err < 0) {
        sync_unlock(&s->lock, 0);
        err = is_over ? weft__sync_wait_retract(&n) : weft__sync_wait_refused(&n, err);
        weft__output_lock(s);
        return err;
    }
    wait_queue_push(&s->waiters, &n);
    sync_unlock(&s->lock, 0);
    weft__park(f);
    err = f->outcome;
    weft__output_lock(s);
    (void)wait_queue_remove(&s->waiters, &n);
    return err;
}

int weft__output_drain(struct weft_stream *s, size_t goal)
{
    while (s->write_error == 0 && stream_pending(s) > goal) {
        ssize_t err = s->is_sending ? weft__output_wait(s, goal)
                                    : weft__output_send(s, NULL, OUTPUT_WAIT);
        if (err < 0) {
            return (int)err;
        }
    }
    return s->write_error;
}

int weft__output_settle(struct weft_stream *s)
{
    int err = weft__output_drain(s, 0);
    while (err == 0 && s->is_sending) { /* though there is nothing: the turn of another sender */
        err = weft__output_wait(s, 0);
        err = err == 0 ? weft__output_drain(s, 0) : err;
    }
    return err;
}

/* Send until nothing is left, or somebody else sends, or it fails. For memory it waits: nobody else
 * may come to send. Caller holds the lock. */
static void flush_all(struct weft_stream *s)
{
    ssize_t n = 0;
    while (n >= 0 && !s->is_sending && !s->is_taken_over && stream_pending(s) > 0) {
        s->flusher = weft_self();
        n = weft__output_send(s, NULL, OUTPUT_WAIT);
        s->flusher = NULL;
        if (n == -ENOMEM && s->write_error == 0) {
            weft__output_unlock(s);
            int err = weft_sleep(MEMORY_PAUSE_NS);
            n = err == -ENOMEM ? weft_yield() : err;
            weft__output_lock(s);
        }
    }
}

/* The flusher. A cancel does not end it: one of the runtime's close leaves it some time, and
 * another it takes back. Caller holds the lock. */
static void flush_on(struct weft_stream *s)
{
    while (weft_cancelling() > 0 && !weft__linger_is_closing()) {
        while (weft_uncancel() > 0) {
        }
        flush_all(s);
    }
    if (weft_cancelling() > 0) {
        WEFT_SHIELD {
            WEFT_TIMEOUT(weft__linger_ns()) {
                flush_all(s);
            }
        }
    }
}

static void *output_flush(void *arg)
{
    struct weft_stream *s = arg;
    weft__output_lock(s);
    flush_all(s);
    if (stream_pending(s) > 0) {
        flush_on(s);
    }
    s->has_flusher = false;
    weft__output_unlock(s);
    return NULL;
}

int weft__output_leave(struct weft_stream *s)
{
    bool is_needed = !s->is_sending && !s->has_flusher && stream_pending(s) > 0;
    s->has_flusher |= is_needed;
    weft__output_unlock(s);
    if (is_needed && weft_go(output_flush, s) < 0) {
        /* No memory: the next call of the stream's sends. */
        weft__output_lock(s);
        s->has_flusher = false;
        weft__output_unlock(s);
        return -ENOMEM;
    }
    return 0;
}

int weft__stream_try_flush(struct weft_stream *s, bool with_turn)
{
    if (stream_pending(s) == 0) {
        return 0;
    }
    weft__output_lock(s);
    if (!s->is_sending && stream_pending(s) > 0) {
        enum output_patience patience = with_turn ? OUTPUT_TURN : OUTPUT_NOW;
        (void)weft__output_send(s, NULL, patience);
    }
    return weft__output_leave(s);
}

int weft__stream_drain_to(struct weft_stream *s, size_t goal)
{
    weft__output_lock(s);
    int err = weft__output_drain(s, goal);
    (void)weft__output_leave(s);
    return err;
}

/* Ask the flusher, which sends, to stop: a cancel, after which it goes on as soon as it may
 * (flush_on). Caller holds the lock. */
static void flusher_stop(struct weft_stream *s)
{
    weft_task *t = weft_get(s->flusher);
    weft__output_unlock(s);
    (void)weft_cancel(t);
    weft_put(t);
    weft__output_lock(s);
}

/* Send what goes at once, where what is below has its own to send first. Nobody sends. Returns how
 * many bytes of `more` (none), or an error. Caller holds the lock. */
static ssize_t output_push(struct weft_stream *s)
{
    struct weft_stream *below = weft__stream_below(s);
    if (below != NULL && stream_pending(below) > 0) {
        weft__output_unlock(s);
        int err = weft__stream_take_over(below);
        weft__output_lock(s);
        if (err == -EAGAIN) {
            return err;
        }
    }
    bool is_other = s->is_sending || s->write_error != 0 || stream_pending(s) == 0;
    return is_other ? 0 : weft__output_send(s, NULL, OUTPUT_NOW);
}

int weft__stream_take_over(struct weft_stream *s)
{
    bool is_asked = false;
    ssize_t n = 0;
    weft__output_lock(s);
    s->is_taken_over = true;
    while (n >= 0 && s->write_error == 0 && stream_pending(s) > 0) {
        if (!s->is_sending) {
            n = output_push(s);
        } else if (s->flusher != NULL && !is_asked) {
            is_asked = true;
            flusher_stop(s);
        } else {
            n = s->flusher != NULL || s->is_trying ? weft__output_wait(s, 0) : -EAGAIN;
        }
    }
    s->is_taken_over = false;
    n = s->write_error != 0 ? s->write_error : stream_pending(s) == 0 ? 0 : n;
    (void)weft__output_leave(s);
    return (int)n;
}

bool weft__stream_end_output(struct weft_stream *s, uint32_t state, int err)
{
    weft__output_lock(s);
    uint32_t old = stream_state(s);
    atomic_store_release(&s->state, old | state); /* ORD P2 (stream.h): alone. */
    if ((old & state) == 0) {
        weft__output_fail(s, err);
    }
    struct wait_chain woken = {NULL, NULL};
    output_wake(s, &woken);
    sync_unlock(&s->lock, 0);
    weft__wait_chain_resume(&woken);
    return (old & state) == 0;
}
