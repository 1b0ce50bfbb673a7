/* SPDX-License-Identifier: MIT */
/*
 * Question: what do the neighbours of a stalled request feel on libuv?
 *
 * A loop a worker, connections dealt out evenly when they are accepted, each told to its loop by a
 * uv_async. A request that burns CPU burns it in its loop's callback.
 *
 * What it does not show: uv_queue_work, which is for those who know beforehand which requests burn.
 * It is no part of the CMake build, since it needs libuv (Debian: libuv1-dev): `run --build-only`.
 */
#include <uv.h>

#include "stall.h"

/* Connections handed over and not yet taken; the load opens fewer than this at once. */
#define INBOX_MAX 65536

struct connection {
    uv_tcp_t tcp; /* first: libuv hands it back as the connection */
    struct stall_stream stream;
};

struct loop {
    uv_loop_t loop;
    uv_async_t given;
    uv_mutex_t lock;
    /* under the lock */
    int inbox[INBOX_MAX];
    unsigned inbox_count;
};

static struct loop *loops[FLOOR_WORKERS_MAX];

static void must(int result, const char *what)
{
    if (result < 0) {
        errx(1, "%s: %s", what, uv_strerror(result));
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void drop(uv_stream_t *stream)
{
    if (!uv_is_closing((uv_handle_t *)stream)) {
        uv_close((uv_handle_t *)stream, on_closed);
    }
}

static void on_buffer_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct stall_stream *s = &((struct connection *)handle)->stream;
    (void)suggested;
    *buffer = uv_buf_init(s->data + s->fill, (unsigned)(sizeof s->data - s->fill));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct stall_stream *s = &((struct connection *)stream)->stream;
    struct stall_message m;
    size_t at = 0;
    (void)buffer;
    if (n < 0) {
        drop(stream);
        return;
    }
    s->fill += (size_t)n;
    while (stall_next(s, &at, &m)) {
        uv_buf_t reply = uv_buf_init((char *)&m, sizeof m);
        stall_answer(&m);
        /* Our load always takes its replies: who has no room for 64 bytes is not one of it. */
        if (uv_try_write(stream, &reply, 1) != (int)sizeof m) {
            drop(stream);
            return;
        }
    }
}

static void take(struct loop *l, int fd)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        err(1, "no memory for a connection");
    }
    must(uv_tcp_init(&l->loop, &c->tcp), "uv_tcp_init");
    must(uv_tcp_open(&c->tcp, fd), "uv_tcp_open");
    must(uv_read_start((uv_stream_t *)&c->tcp, on_buffer_wanted, on_read), "uv_read_start");
}

static void on_given(uv_async_t *async)
{
    struct loop *l = async->data;
    uv_mutex_lock(&l->lock);
    for (unsigned i = 0; i < l->inbox_count; i++) {
        take(l, l->inbox[i]);
    }
    l->inbox_count = 0;
    uv_mutex_unlock(&l->lock);
}

static void *loop_run(void *arg)
{
    struct loop *l = arg;
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
    return NULL;
}

static void start(unsigned i)
{
    struct loop *l = calloc(1, sizeof *l);
    if (l == NULL) {
        err(1, "no memory for a loop");
    }
    loops[i] = l;
    must(uv_loop_init(&l->loop), "uv_loop_init");
    must(uv_mutex_init(&l->lock), "uv_mutex_init");
    must(uv_async_init(&l->loop, &l->given, on_given), "uv_async_init");
    l->given.data = l;
    stall_thread(loop_run, l);
}

static void give(unsigned i, int fd)
{
    struct loop *l = loops[i];
    uv_mutex_lock(&l->lock);
    if (l->inbox_count == INBOX_MAX) {
        errx(1, "too many connections at once");
    }
    l->inbox[l->inbox_count++] = fd;
    uv_mutex_unlock(&l->lock);
    must(uv_async_send(&l->given), "uv_async_send");
}

int main(int argc, char **argv)
{
    static const struct stall_loops all = {.start = start, .give = give};
    return stall_main(argc, argv, "Server that may stall: libuv, a loop a worker.", &all);
}
