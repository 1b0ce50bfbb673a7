/* SPDX-License-Identifier: MIT */
/*
 * Stream: writing; the contract is in weft/stream.h.
 *
 * What fits under the high-water mark is copied and sent later, together with what is written next.
 * The rest is sent from the caller's memory by the caller, who waits, until what is left of it
 * fits. A large piece is offered to the transport before it is copied.
 */
#include <limits.h>

#include <weft/task.h>

#include "stream_output.h"

/* From so many bytes on a call of their own costs less than a copy. */
#define WRITE_DIRECT_MIN ((size_t)16 * 1024)

/* The most that one call takes: what it returns is signed. */
#define WRITE_MAX ((size_t)SSIZE_MAX / 2)

/* A caller's buffers, of which the first bytes are taken. */
struct writing {
    const struct iovec *iov; /* the one that is next */
    int count;
    size_t offset; /* in it */
    size_t left;   /* bytes of all */
};

static void writing_advance(struct writing *w, size_t n)
{
    w->left -= n;
    w->offset += n;
    while (w->count > 0 && w->offset >= w->iov->iov_len) {
        w->offset -= w->iov->iov_len;
        w->iov++;
        w->count--;
    }
}

/* Copy n bytes behind what is buffered. 0 or -ENOMEM. */
static int writing_buffer(struct writing *w, struct weft_stream *s, size_t n)
{
    if (weft__stream_buffer_reserve(&s->fill, n) < 0) {
        return -ENOMEM;
    }
    weft__output_add(s, n);
    while (n > 0) {
        size_t part = w->iov->iov_len - w->offset;
        part = part < n ? part : n;
        stream_buffer_put(&s->fill, (const char *)w->iov->iov_base + w->offset, part);
        writing_advance(w, part);
        n -= part;
    }
    return 0;
}

/* Send some from where it is. Returns how many bytes went, or an error; -EAGAIN. */
static ssize_t writing_send(struct writing *w, struct weft_stream *s, bool may_wait)
{
    struct output_more more = {.count = 0};
    size_t offset = w->offset;
    for (int i = 0; i < w->count && more.count < OUTPUT_MORE_MAX; i++) {
        if (w->iov[i].iov_len > offset) {
            more.iov[more.count].iov_base = (char *)w->iov[i].iov_base + offset;
            more.iov[more.count++].iov_len = w->iov[i].iov_len - offset;
        }
        offset = 0;
    }
    ssize_t n = weft__output_send(s, &more, may_wait ? OUTPUT_WAIT : OUTPUT_NOW);
    if (n > 0) {
        writing_advance(w, (size_t)n);
    }
    return n;
}

/* One step on the way of what is left. 0 or an error. *tried: the transport takes nothing now. */
static int writing_step(struct writing *w, struct weft_stream *s, bool *tried)
{
    size_t pending = stream_pending(s);
    size_t room = pending < s->high ? s->high - pending : 0;
    if (s->is_sending) {
        int err = room == 0 ? 0 : writing_buffer(w, s, w->left < room ? w->left : room);
        return err < 0 || w->left == 0 ? err : weft__output_wait(s, s->low);
    }
    if (w->left <= room && (*tried || w->left < WRITE_DIRECT_MIN)) {
        return writing_buffer(w, s, w->left);
    }
    ssize_t n = writing_send(w, s, *tried);
    *tried = n == -EAGAIN;
    return n < 0 && n != -EAGAIN ? (int)n : 0;
}

int weft__writer_enter(struct weft_stream *s)
{
    if (WEFT_UNLIKELY(weft__fiber_current() == NULL)) {
        return -EPERM;
    }
    weft__output_lock(s);
    WEFT_REQUIRE(!s->has_writer, "one task at a time writes to a stream");
    s->has_writer = true;
    return 0;
}

void weft__writer_leave(struct weft_stream *s)
{
    s->has_writer = false;
    (void)weft__output_leave(s);
}

/* Write all that is left. 0, or why not all of it was taken. */
static int writing_run(struct writing *w, struct weft_stream *s)
{
    bool tried = false;
    int err = s->write_error != 0 ? s->write_error : s->is_shut ? -EPIPE : 0;
    writing_advance(w, 0);
    while (err == 0 && w->left > 0) {
        err = writing_step(w, s, &tried);
        err = err == 0 && w->left > 0 ? s->write_error : err;
    }
    return err;
}

size_t weft__writer_put(struct weft_stream *s, const void *buf, size_t n, int *err)
{
    struct iovec one = {(void *)(uintptr_t)buf, n};
    struct writing w = {&one, 1, 0, n};
    *err = writing_run(&w, s);
    return n - w.left;
}

ssize_t weft_stream_writev(weft_stream *s, const struct iovec *iov, int count)
{
    struct writing w = {iov, count, 0, 0};
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > WRITE_MAX - w.left) {
            return -EINVAL;
        }
        w.left += iov[i].iov_len;
    }
    size_t n = w.left;
    if (count < 0) {
        return -EINVAL;
    }
    int err = weft__writer_enter(s);
    if (err < 0) {
        return err;
    }
    err = writing_run(&w, s);
    weft__writer_leave(s);
    if (n >= WRITE_DIRECT_MIN) {
        weft__spend(); /* the transport may have taken it at once, again and again */
    }
    return err < 0 && w.left == n ? err : (ssize_t)(n - w.left);
}

/* What most writes are: little, and there is room for it. False: nothing was done. Caller is the
 * writer. */
static bool writing_little(struct weft_stream *s, const void *buf, size_t n)
{
    size_t pending = stream_pending(s);
    size_t room = pending < s->high ? s->high - pending : 0;
    if (n > room || s->write_error != 0 || s->is_shut ||
        weft__stream_buffer_reserve(&s->fill, n) < 0) {
        return false;
    }
    weft__output_add(s, n);
    stream_buffer_put(&s->fill, buf, n);
    return true;
}

ssize_t weft_stream_write(weft_stream *s, const void *buf, size_t n)
{
    if (WEFT_UNLIKELY(n == 0 || n >= WRITE_DIRECT_MIN)) {
        struct iovec one = {(void *)(uintptr_t)buf, n};
        return weft_stream_writev(s, &one, 1);
    }
    int err = weft__writer_enter(s);
    if (err < 0) {
        return err;
    }
    size_t put = writing_little(s, buf, n) ? n : weft__writer_put(s, buf, n, &err);
    weft__writer_leave(s);
    return err < 0 && put == 0 ? err : (ssize_t)put;
}

int weft_stream_drain(weft_stream *s)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    return weft__stream_drain_to(s, s->low);
}

size_t weft_stream_pending(const weft_stream *s)
{
    return stream_pending(s);
}

int weft_stream_shutdown_write(weft_stream *s)
{
    int err = weft__writer_enter(s);
    if (err < 0) {
        return err;
    }
    err = weft__output_settle(s);
    if (err == 0 && !s->is_shut) {
        s->is_sending = true;
        sync_unlock(&s->lock, 0);
        err = s->transport->ops->shutdown_write(s->transport);
        weft__output_lock(s);
        s->is_sending = false;
        s->is_shut = err == 0;
    }
    weft__writer_leave(s);
    return err;
}
