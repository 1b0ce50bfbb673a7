/* SPDX-License-Identifier: MIT */
/*
 * Streams in memory: a link of two pipes, one each way, and two transports that share it.
 *
 * A pipe is a bounded buffer with one writer and one reader, each of whom may wait. What is said
 * about its ends is said by flags, and never taken back:
 *   is_ended     the writer has no more: the reader gets what is there, then the end
 *   is_deaf      nobody will read any more: -EPIPE to the writer
 *   is_reset     -ECONNRESET to both, and what was in it is gone
 *   is_cut       the reader's own side has ended its calls: they get the end, whatever is there
 *
 * Pairs
 *   P1  the first end is given up: ends, acq_rel -> the last: ends, acq_rel    the link is freed
 * Besides, all of a pipe is under its lock (sync_word.h).
 */
#include "memory_stream.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "op.h"
#include "stream_buffer.h"
#include "sync_word.h"

/* What a pipe holds: about what a socket does. Half as much makes two tasks that stream through it
 * take turns more often; twice as much is memory. */
#define MEMORY_PIPE_BYTES ((size_t)64 * 1024)

struct memory_pipe {
    _Atomic(uint64_t) lock;
    struct stream_buffer held;
    struct wait_queue waiters; /* the reader when it is empty, the writer when it is full */
    bool is_ended;
    bool is_deaf;
    bool is_reset;
    bool is_cut;
};

struct memory_link;

struct memory_end {
    struct stream_transport base; /* first */
    struct memory_link *link;
    struct memory_pipe *in;
    struct memory_pipe *out;
};

struct memory_link {
    struct memory_pipe pipes[2];
    struct memory_end ends[2];
    _Atomic(uint32_t) open_ends;
};

static struct memory_end *end_of(struct stream_transport *t)
{
    return WEFT_CONTAINER(t, struct memory_end, base);
}

static void pipe_unlock_and_wake(struct memory_pipe *p)
{
    struct wait_chain woken = {NULL, NULL};
    struct wait_node *n;
    while ((n = weft__wait_queue_claim(&p->waiters)) != NULL) {
        wait_chain_add(&woken, n);
    }
    sync_unlock(&p->lock, 0);
    weft__wait_chain_resume(&woken);
}

/* Take up to n bytes; > 0, 0: the end, or an error; -EAGAIN: nothing is there. */
static ssize_t pipe_take(struct memory_pipe *p, void *buf, size_t n)
{
    size_t held = stream_buffer_bytes(&p->held);
    if (p->is_reset || p->is_cut) {
        return p->is_cut ? 0 : -ECONNRESET;
    }
    if (held == 0) {
        return p->is_ended ? 0 : -EAGAIN;
    }
    n = n < held ? n : held;
    memcpy(buf, stream_buffer_head(&p->held), n);
    stream_buffer_take(&p->held, n);
    if (n == held) {
        weft__stream_buffer_drop(&p->held);
    }
    return (ssize_t)n;
}

/* Put what there is room for; > 0 or an error; -EAGAIN: there is none. */
static ssize_t pipe_put(struct memory_pipe *p, const struct iovec *iov, int count)
{
    size_t room = MEMORY_PIPE_BYTES - stream_buffer_bytes(&p->held);
    size_t put = 0;
    if (p->is_reset || p->is_deaf || p->is_ended) {
        return p->is_reset ? -ECONNRESET : -EPIPE;
    }
    for (int i = 0; i < count && put < room; i++) {
        size_t n = iov[i].iov_len < room - put ? iov[i].iov_len : room - put;
        if (weft__stream_buffer_reserve(&p->held, n) < 0) {
            return put > 0 ? (ssize_t)put : -ENOMEM;
        }
        stream_buffer_put(&p->held, iov[i].iov_base, n);
        put += n;
    }
    return put > 0 ? (ssize_t)put : -EAGAIN;
}

/* Take all that is there, with the memory it is in, if that can be; else as pipe_take. */
static ssize_t pipe_take_chunk(struct memory_pipe *p, struct stream_chunk *chunk)
{
    size_t held = stream_buffer_bytes(&p->held);
    if (p->is_reset || p->is_cut || held == 0) {
        return pipe_take(p, NULL, 0);
    }
    if (p->held.begin == 0) {
        *chunk = (struct stream_chunk){p->held.data, p->held.capacity};
        p->held = (struct stream_buffer){NULL, 0, 0, 0};
        return (ssize_t)held;
    }
    chunk->data = malloc(chunk->capacity);
    return chunk->data == NULL ? -ENOMEM : pipe_take(p, chunk->data, chunk->capacity);
}

/* What a task wants of a pipe. */
struct pipe_wish {
    enum { PIPE_TAKE, PIPE_TAKE_CHUNK, PIPE_PUT } kind;
    void *buf;
    size_t n;
    struct stream_chunk *chunk;
    const struct iovec *iov;
    int count;
};

/* Fulfil it without waiting; -EAGAIN: not now. */
static ssize_t pipe_try(struct memory_pipe *p, const struct pipe_wish *w)
{
    switch (w->kind) {
    case PIPE_TAKE:
        return pipe_take(p, w->buf, w->n);
    case PIPE_TAKE_CHUNK:
        return pipe_take_chunk(p, w->chunk);
    default:
        return pipe_put(p, w->iov, w->count);
    }
}

/* Wait until there may be something for a wish. 0: try again, or why the task may not wait. */
static int pipe_wait(struct memory_pipe *p, const struct pipe_wish *w, ssize_t *n)
{
    struct fiber *f = weft__fiber_current();
    struct wait_node node;
    int err = weft__sync_wait_begin(&node, f, WAIT_CLAIMABLE, p);
    (void)sync_lock(&p->lock);
    *n = pipe_try(p, w);
    if (*n != -EAGAIN) {
        pipe_unlock_and_wake(p);
        return weft__sync_wait_retract(&node);
    }
    if (err < 0) {
        sync_unlock(&p->lock, 0);
        return weft__sync_wait_refused(&node, err);
    }
    wait_queue_push(&p->waiters, &node);
    sync_unlock(&p->lock, 0);
    weft__park(f);
    err = f->outcome;
    if (err < 0) {
        (void)sync_lock(&p->lock);
        (void)wait_queue_remove(&p->waiters, &node);
        sync_unlock(&p->lock, 0);
    }
    return err;
}

/* Have a wish fulfilled, waiting for it. */
static ssize_t pipe_run(struct memory_pipe *p, const struct pipe_wish *w)
{
    int err = op_spent(weft__interrupted(weft__fiber_current()));
    if (err < 0) {
        return err;
    }
    (void)sync_lock(&p->lock);
    ssize_t n = pipe_try(p, w);
    pipe_unlock_and_wake(p);
    while (err == 0 && n == -EAGAIN) {
        err = pipe_wait(p, w, &n);
    }
    return err < 0 ? err : n;
}

static ssize_t memory_receive(struct stream_transport *t, void *buf, size_t n)
{
    return pipe_run(end_of(t)->in, &(struct pipe_wish){.kind = PIPE_TAKE, .buf = buf, .n = n});
}

static ssize_t memory_receive_chunk(struct stream_transport *t, struct stream_chunk *chunk)
{
    return pipe_run(end_of(t)->in, &(struct pipe_wish){.kind = PIPE_TAKE_CHUNK, .chunk = chunk});
}

static bool memory_has_input(struct stream_transport *t)
{
    struct memory_pipe *p = end_of(t)->in;
    (void)sync_lock(&p->lock);
    bool has_input =
        stream_buffer_bytes(&p->held) > 0 || p->is_ended || p->is_reset || p->is_cut;
    sync_unlock(&p->lock, 0);
    return has_input;
}

static ssize_t memory_send(struct stream_transport *t, const struct iovec *iov, int count)
{
    struct pipe_wish w = {.kind = PIPE_PUT, .iov = iov, .count = count};
    return pipe_run(end_of(t)->out, &w);
}

static ssize_t memory_try_send(struct stream_transport *t, const struct iovec *iov, int count)
{
    struct memory_pipe *p = end_of(t)->out;
    (void)sync_lock(&p->lock);
    ssize_t n = pipe_put(p, iov, count);
    pipe_unlock_and_wake(p);
    return n;
}

static int memory_shutdown_write(struct stream_transport *t)
{
    struct memory_pipe *p = end_of(t)->out;
    (void)sync_lock(&p->lock);
    p->is_ended = true;
    pipe_unlock_and_wake(p);
    return 0;
}

static void pipe_reset(struct memory_pipe *p)
{
    p->is_reset = true;
    weft__stream_buffer_drop(&p->held);
}

static void memory_cut(struct stream_transport *t, bool is_reset)
{
    struct memory_end *e = end_of(t);
    (void)sync_lock(&e->in->lock);
    e->in->is_cut = true;
    e->in->is_deaf = true;
    if (is_reset) {
        pipe_reset(e->in);
    }
    pipe_unlock_and_wake(e->in);
    (void)sync_lock(&e->out->lock);
    e->out->is_ended = true;
    if (is_reset) {
        pipe_reset(e->out);
    }
    pipe_unlock_and_wake(e->out);
}

static int memory_close(struct stream_transport *t)
{
    struct memory_end *e = end_of(t);
    struct memory_link *link = e->link;
    memory_cut(t, false);
    /* ORD P1: nobody uses the link after the last of us. */
    if (atomic_sub_acq_rel(&link->open_ends, 1) == 1) {
        weft__stream_buffer_drop(&link->pipes[0].held);
        weft__stream_buffer_drop(&link->pipes[1].held);
        free(link);
    }
    return 0;
}

static int memory_address(struct stream_transport *t, struct sockaddr *address, socklen_t *bytes)
{
    (void)t;
    (void)address;
    (void)bytes;
    return -ENOTSUP;
}

static int memory_fd(struct stream_transport *t)
{
    (void)t;
    return -ENOTSUP;
}

static const struct stream_transport_ops memory_ops = {
    .receive = memory_receive,
    .receive_chunk = memory_receive_chunk,
    .has_input = memory_has_input,
    .send = memory_send,
    .try_send = memory_try_send,
    .shutdown_write = memory_shutdown_write,
    .cut = memory_cut,
    .close = memory_close,
    .peer = memory_address,
    .local = memory_address,
    .fd = memory_fd,
};

int weft__memory_pair(struct stream_transport *ends[2])
{
    struct memory_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return -ENOMEM;
    }
    atomic_store_relaxed(&link->open_ends, 2); /* ORD none: nobody else has it. */
    for (int i = 0; i < 2; i++) {
        link->ends[i].base.ops = &memory_ops;
        link->ends[i].link = link;
        link->ends[i].in = &link->pipes[i];
        link->ends[i].out = &link->pipes[1 - i];
        ends[i] = &link->ends[i].base;
    }
    return 0;
}

int weft_stream_pair(const struct weft_stream_options *options, weft_stream *ends[2])
{
    struct stream_transport *t[2];
    weft_stream *s[2];
    int err = weft__memory_pair(t);
    if (err < 0) {
        return err;
    }
    err = weft__stream_create(t[0], options, &s[0]);
    if (err == 0) {
        err = weft__stream_create(t[1], options, &s[1]);
        if (err < 0) {
            free(s[0]);
        }
    }
    if (err < 0) {
        (void)memory_close(t[0]);
        (void)memory_close(t[1]);
        return err;
    }
    ends[0] = s[0];
    ends[1] = s[1];
    return 0;
}
