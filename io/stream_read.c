/* SPDX-License-Identifier: MIT */
/* Stream: reading; the contract is in weft/stream.h, who owns what in stream.h. */
#include "stream.h"

#include <limits.h>
#include <stdlib.h>

#include <weft/scope.h>
#include <weft/stream_layer.h>
#include <weft/task.h>

/* A read of so many bytes goes straight to the caller's memory. Smaller ones are likely one of
 * many, which one call to the kernel should serve. */
#define STREAM_DIRECT_MIN ((size_t)1024)

/* What is received behind what is buffered comes in pieces of so many bytes at least. */
#define STREAM_ROOM_MIN ((size_t)512)

/* The end of input, between the functions here. It is what calls return that wanted more. */
#define STREAM_END (-ENODATA)

static int reader_enter(struct weft_stream *s)
{
    if (WEFT_UNLIKELY(weft__fiber_current() == NULL)) {
        return -EPERM;
    }
    /* ORD P1 (stream.h): what the reader before did. */
    uint32_t was = atomic_exchange_acq_rel(&s->reader, 1);
    WEFT_REQUIRE(was == 0, "one task at a time reads from a stream");
    if (WEFT_UNLIKELY(s->read_ns != 0)) {
        int64_t now = weft_now();
        s->deadline_ns = s->read_ns < WEFT_FOREVER - now ? now + s->read_ns : WEFT_FOREVER;
    }
    return 0;
}

static void reader_leave(struct weft_stream *s)
{
    atomic_store_release(&s->reader, 0); /* ORD P1 (stream.h): what was done here; last touch */
}

/* Why nothing more can be received, or 0. */
static int reader_refused(const struct weft_stream *s)
{
    if (WEFT_UNLIKELY(stream_state(s) != 0)) {
        return (stream_state(s) & STREAM_ABORTED) != 0 ? -ECONNABORTED : STREAM_END;
    }
    return s->read_error != 0 ? s->read_error : s->is_eof ? STREAM_END : 0;
}

/* Memory for input: `buf`, or what comes with it. */
struct reader_room {
    void *buf;
    size_t n;
    struct stream_chunk *chunk;
};

static ssize_t receive_unlimited(struct weft_stream *s, const struct reader_room *r)
{
    struct stream_transport *t = s->transport;
    return r->chunk != NULL ? t->ops->receive_chunk(t, r->chunk)
                            : t->ops->receive(t, r->buf, r->n);
}

/* The same under the stream's own limits, or in a look, which takes what is there: a transport that
 * has something is waited for all the same, as it may need its worker's turn to move it. */
static WEFT_NOINLINE ssize_t receive_limited(struct weft_stream *s, const struct reader_room *r,
                                             bool *is_passing)
{
    bool is_timed = s->read_ns != 0 && s->deadline_ns != WEFT_FOREVER;
    int64_t left = is_timed ? s->deadline_ns - weft_now() : WEFT_FOREVER;
    int64_t limit = s->idle_ns != 0 && s->idle_ns < left ? s->idle_ns : left;
    ssize_t n = 0;
    if (s->look != NULL && !s->transport->ops->has_input(s->transport)) {
        weft_scope_cancel(s->look);
    }
    WEFT_TIMEOUT(limit) {
        n = receive_unlimited(s, r);
        *is_passing = n < 0 && weft__stream_is_passing((int)n);
    }
    return n;
}

/* Wait for input. Returns how many bytes, or STREAM_END or an error, which is noted. */
static ssize_t reader_receive(struct weft_stream *s, const struct reader_room *r)
{
    bool is_passing = false;
    bool is_limited = WEFT_UNLIKELY(s->idle_ns != 0 || s->read_ns != 0 || s->look != NULL);
    ssize_t n = is_limited ? receive_limited(s, r, &is_passing) : receive_unlimited(s, r);
    if (WEFT_LIKELY(n > 0)) {
        return n;
    }
    if (WEFT_UNLIKELY(stream_state(s) != 0)) {
        return reader_refused(s); /* this side has ended it */
    }
    if (n == 0) {
        s->is_eof = true;
        return STREAM_END;
    }
    if (!is_passing && (is_limited || !weft__stream_is_passing((int)n))) {
        s->read_error = (int)n;
    }
    return n;
}

/* Wait for input with nothing buffered, and have it in the memory it comes with. */
static ssize_t reader_receive_chunk(struct weft_stream *s)
{
    struct stream_chunk chunk = {NULL, s->chunk};
    struct reader_room room = {.chunk = &chunk};
    weft__stream_buffer_drop(&s->in);
    if (s->transport->ops->receive_chunk == NULL) {
        chunk.data = malloc(chunk.capacity);
        room = (struct reader_room){.buf = chunk.data, .n = chunk.capacity};
        if (chunk.data == NULL) {
            return -ENOMEM;
        }
    }
    ssize_t n = reader_receive(s, &room);
    if (n > 0) {
        s->in = (struct stream_buffer){chunk.data, 0, (size_t)n, chunk.capacity};
    } else if (room.buf != NULL) {
        free(chunk.data);
    }
    return n;
}

/* Wait for more than is buffered. 0, STREAM_END, or an error; the buffer holds what it held. */
static int reader_more(struct weft_stream *s)
{
    ssize_t n = reader_refused(s);
    n = n < 0 ? n : weft__stream_try_flush(s, true);
    if (n < 0) {
        return (int)n;
    }
    if (stream_buffer_bytes(&s->in) == 0) {
        n = reader_receive_chunk(s);
    } else if (weft__stream_buffer_reserve(&s->in, STREAM_ROOM_MIN) == 0) {
        n = reader_receive(s, &(struct reader_room){.buf = stream_buffer_tail(&s->in),
                                                    .n = stream_buffer_room(&s->in)});
        s->in.end += n > 0 ? (size_t)n : 0;
    } else {
        n = -ENOMEM;
    }
    return n < 0 ? (int)n : 0;
}

/* Hand out up to n of the bytes that are buffered. */
static size_t reader_take(struct weft_stream *s, void *buf, size_t n)
{
    size_t held = stream_buffer_bytes(&s->in);
    n = n < held ? n : held;
    if (n > 0) {
        memcpy(buf, stream_buffer_head(&s->in), n);
        stream_buffer_take(&s->in, n);
    }
    return n;
}

/* Show n of the bytes that are buffered. */
static struct weft_view reader_view(const struct weft_stream *s, size_t n)
{
    return (struct weft_view){n > 0 ? stream_buffer_head(&s->in) : "", n};
}

static ssize_t read_some(struct weft_stream *s, void *buf, size_t n)
{
    if (n == 0) {
        return 0;
    }
    if (stream_buffer_bytes(&s->in) == 0) {
        ssize_t err = n >= STREAM_DIRECT_MIN ? reader_refused(s) : reader_more(s);
        if (err == 0 && n >= STREAM_DIRECT_MIN) {
            weft__stream_buffer_drop(&s->in);
            err = weft__stream_try_flush(s, true);
            size_t most = n < SSIZE_MAX ? n : SSIZE_MAX;
            err = err < 0 ? err : reader_receive(s, &(struct reader_room){.buf = buf, .n = most});
        }
        if (err != 0) {
            return err == STREAM_END ? 0 : err;
        }
    }
    return (ssize_t)reader_take(s, buf, n);
}

ssize_t weft_stream_read(weft_stream *s, void *buf, size_t n)
{
    int err = reader_enter(s);
    if (err < 0) {
        return err;
    }
    ssize_t got = read_some(s, buf, n);
    reader_leave(s);
    return got;
}

ssize_t weft_stream_read_exactly(weft_stream *s, void *buf, size_t n)
{
    if (n > SSIZE_MAX / 2) {
        return -EINVAL;
    }
    int err = reader_enter(s);
    if (err < 0) {
        return err;
    }
    while (err == 0 && stream_buffer_bytes(&s->in) < n) {
        err = reader_more(s);
    }
    if (err == 0) {
        (void)reader_take(s, buf, n);
    }
    reader_leave(s);
    return err < 0 ? err : (ssize_t)n;
}

/* A place where a separator was found. */
struct found {
    size_t start;
    size_t end; /* 0: none was */
};

static struct found find_first(const struct weft_stream *s, const struct iovec *separators,
                               int count, size_t from)
{
    const char *data = stream_buffer_head(&s->in);
    size_t held = stream_buffer_bytes(&s->in);
    struct found first = {0, 0};
    for (int i = 0; i < count; i++) {
        size_t n = separators[i].iov_len;
        const char *at = memmem(data + from, held - from, separators[i].iov_base, n);
        if (at != NULL && (first.end == 0 || (size_t)(at - data) + n < first.end)) {
            first.start = (size_t)(at - data);
            first.end = first.start + n;
        }
    }
    return first;
}

/* The length of the longest separator, 0: one is empty, or there is none. */
static size_t separators_longest(const struct iovec *separators, int count)
{
    size_t longest = 0;
    for (int i = 0; i < count; i++) {
        if (separators[i].iov_len == 0) {
            return 0;
        }
        longest = longest < separators[i].iov_len ? separators[i].iov_len : longest;
    }
    return longest;
}

/* Wait for a separator. Returns where it ends, or an error; -EMSGSIZE: *found tells. */
static ssize_t read_until(struct weft_stream *s, const struct iovec *separators, int count,
                          struct found *found)
{
    size_t longest = separators_longest(separators, count);
    size_t from = 0; /* where no separator that has come as a whole begins before */
    *found = (struct found){0, 0};
    if (longest == 0) {
        return -EINVAL;
    }
    for (;;) {
        size_t held = stream_buffer_bytes(&s->in);
        if (held > from) {
            *found = find_first(s, separators, count, from);
        }
        if (found->end > 0) {
            return found->start > s->limit ? -EMSGSIZE : (ssize_t)found->end;
        }
        from = held + 1 > longest ? held + 1 - longest : 0;
        if (from > s->limit) {
            return -EMSGSIZE;
        }
        int err = reader_more(s);
        if (err < 0) {
            return err;
        }
    }
}

ssize_t weft_stream_read_until_any(weft_stream *s, const struct iovec *separators, int count,
                                   struct weft_view *view)
{
    struct found found;
    int err = reader_enter(s);
    if (err < 0) {
        return err;
    }
    ssize_t n = read_until(s, separators, count, &found);
    *view = reader_view(s, n > 0 || n == -EMSGSIZE ? found.end : 0);
    if (n > 0) {
        stream_buffer_take(&s->in, (size_t)n);
    }
    reader_leave(s);
    return n;
}

ssize_t weft_stream_read_until(weft_stream *s, const void *separator, size_t n,
                               struct weft_view *view)
{
    struct iovec one = {(void *)(uintptr_t)separator, n};
    return weft_stream_read_until_any(s, &one, 1, view);
}

ssize_t weft_stream_read_line(weft_stream *s, struct weft_view *view)
{
    static char newline = '\n';
    const struct iovec end = {&newline, 1};
    struct found found;
    int err = reader_enter(s);
    if (err < 0) {
        return err;
    }
    ssize_t n = read_until(s, &end, 1, &found);
    if (n == -EMSGSIZE) {
        stream_buffer_take(&s->in, found.end > 0 ? found.end : stream_buffer_bytes(&s->in));
    } else if (n == STREAM_END) {
        n = (ssize_t)stream_buffer_bytes(&s->in);
    }
    *view = reader_view(s, n > 0 ? (size_t)n : 0);
    if (n > 0) {
        stream_buffer_take(&s->in, (size_t)n);
    }
    reader_leave(s);
    return n;
}

ssize_t weft_stream_read_to_end(weft_stream *s, struct weft_view *view)
{
    int err = reader_enter(s);
    if (err < 0) {
        return err;
    }
    while (err == 0) {
        err = reader_more(s);
    }
    size_t n = err == STREAM_END ? stream_buffer_bytes(&s->in) : 0;
    *view = reader_view(s, n);
    stream_buffer_take(&s->in, n);
    reader_leave(s);
    return err == STREAM_END ? (ssize_t)n : err;
}

static ssize_t peek(struct weft_stream *s, size_t n, struct weft_view *view)
{
    int err = n > s->limit ? -EMSGSIZE : 0;
    while (err == 0 && stream_buffer_bytes(&s->in) < n) {
        err = reader_more(s);
    }
    err = err == STREAM_END ? 0 : err;
    *view = reader_view(s, err == 0 ? stream_buffer_bytes(&s->in) : 0);
    return err < 0 ? err : (ssize_t)view->bytes;
}

ssize_t weft_stream_peek(weft_stream *s, size_t n, struct weft_view *view)
{
    int err = reader_enter(s);
    if (err < 0) {
        return err;
    }
    ssize_t shown = peek(s, n, view);
    reader_leave(s);
    return shown;
}

ssize_t weft__stream_look(struct weft_stream *s, struct weft_scope *look, struct weft_view *view)
{
    int err = reader_enter(s);
    if (err < 0) {
        return err;
    }
    struct weft_stream *bottom = weft__stream_bottom(s); /* the reader's, as s is */
    bottom->look = look;
    ssize_t shown = peek(s, 1, view);
    bottom->look = NULL;
    reader_leave(s);
    return shown;
}

void weft_stream_skip(weft_stream *s, size_t n)
{
    int err = reader_enter(s);
    WEFT_REQUIRE(err == 0, "weft_stream_skip is called in a task");
    WEFT_REQUIRE(n <= stream_buffer_bytes(&s->in), "no more is skipped than was shown");
    stream_buffer_take(&s->in, n);
    reader_leave(s);
}

bool weft_stream_at_eof(const weft_stream *s)
{
    return stream_buffer_bytes(&s->in) == 0 && s->is_eof;
}
