/* SPDX-License-Identifier: MIT */
/*
 * Question: what does echoing cost on libuv?
 *
 * A loop a worker, each with its own socket on the same port, as the floors have it. What a
 * connection reads comes into one buffer a loop, and is written at once where the socket takes it
 * (uv_try_write); only what is left over is copied and queued, and nothing is read meanwhile.
 *
 * What it does not show: the comfort that libuv is used for with other languages on top of it, nor
 * its thread pool. A loop never helps another: the kernel's hash decides who has which connection.
 * It is no part of the CMake build, since it needs libuv (Debian: libuv1-dev): `run --build-only`.
 */
#include <uv.h>

#include "floor.h"

/* As the floors and weft-echo have it. */
#define BUFFER_BYTES (16 * 1024)

/* What a client did not take at once; the bytes follow. */
struct debt {
    uv_write_t request;
    char data[];
};

static _Thread_local char shared_buffer[BUFFER_BYTES];

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
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(shared_buffer, sizeof shared_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer);

static void on_paid(uv_write_t *request, int status)
{
    uv_stream_t *stream = request->handle;
    free(request);
    if (status < 0 || uv_read_start(stream, on_buffer_wanted, on_read) < 0) {
        drop(stream);
    }
}

/* Keep what could not be written, and read on when the client has taken it. */
static void owe(uv_stream_t *stream, const char *data, size_t n)
{
    struct debt *d = malloc(sizeof *d + n);
    if (d == NULL) {
        drop(stream);
        return;
    }
    memcpy(d->data, data, n);
    uv_buf_t rest = uv_buf_init(d->data, (unsigned)n);
    (void)uv_read_stop(stream);
    if (uv_write(&d->request, stream, &rest, 1, on_paid) < 0) {
        free(d);
        drop(stream);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    if (n == 0) {
        return; /* nothing there after all */
    }
    if (n < 0) {
        drop(stream);
        return;
    }
    uv_buf_t reply = uv_buf_init(buffer->base, (unsigned)n);
    int sent = uv_try_write(stream, &reply, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        drop(stream);
    } else if (sent < n) {
        sent = sent < 0 ? 0 : sent;
        owe(stream, buffer->base + sent, (size_t)(n - sent));
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *client = status < 0 ? NULL : malloc(sizeof *client);
    if (client == NULL) {
        return;
    }
    must(uv_tcp_init(listener->loop, client), "uv_tcp_init");
    if (uv_accept(listener, (uv_stream_t *)client) < 0 ||
        uv_read_start((uv_stream_t *)client, on_buffer_wanted, on_read) < 0) {
        drop((uv_stream_t *)client);
    }
}

static void serve(int listen_fd)
{
    uv_loop_t loop;
    uv_tcp_t listener;
    must(uv_loop_init(&loop), "uv_loop_init");
    must(uv_tcp_init(&loop, &listener), "uv_tcp_init");
    must(uv_tcp_open(&listener, listen_fd), "uv_tcp_open");
    must(uv_listen((uv_stream_t *)&listener, 4096, on_connection), "uv_listen");
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
    return floor_main(argc, argv, "Echo server: libuv, a loop a worker.", SOCK_NONBLOCK, serve);
}
