/* SPDX-License-Identifier: MIT */
/*
 * For tests of streams: a stream whose other end is a plain descriptor, what is read from it, tasks
 * that read and write.
 */
#ifndef WEFT_STREAM_HELP_H
#define WEFT_STREAM_HELP_H

#include "io_help.h"
#include "task_help.h" /* by which the tests are known to start runtimes */

#include <netinet/tcp.h>

/* A stream and the descriptor at its other end. */
struct ends {
    weft_stream *s;
    int peer;
};

static inline weft_stream *opened(int fd, const struct weft_stream_options *options)
{
    weft_stream *s = NULL;
    CHECK_EQUAL(weft_stream_open(fd, options, &s), 0);
    return s;
}

/* On a pair of Unix sockets. */
static inline struct ends open_ends(const struct weft_stream_options *options)
{
    int fds[2];
    make_pair(fds);
    return (struct ends){opened(fds[0], options), fds[1]};
}

/* Two descriptors of one TCP connection. In a task. */
static inline void make_connection(int fds[2])
{
    struct sockaddr_in address;
    int listener = make_listener(&address, 1);
    fds[0] = connected_to(&address);
    fds[1] = weft_accept(listener, NULL, NULL, 0);
    CHECK(fds[1] >= 0);
    CHECK_EQUAL(weft_close(listener), 0);
}

static inline struct ends open_tcp_ends(const struct weft_stream_options *options)
{
    int fds[2];
    make_connection(fds);
    return (struct ends){opened(fds[0], options), fds[1]};
}

static inline void close_ends(const struct ends *e)
{
    CHECK_EQUAL(weft_stream_close(e->s), 0);
    CHECK_EQUAL(weft_close(e->peer), 0);
}

/* The other end sends; there is room. */
static inline void feed(const struct ends *e, const void *data, size_t n)
{
    CHECK_EQUAL(send(e->peer, data, n, MSG_DONTWAIT | MSG_NOSIGNAL), n);
}

static inline void feed_text(const struct ends *e, const char *text)
{
    feed(e, text, strlen(text));
}

static inline void feed_end(const struct ends *e)
{
    CHECK_EQUAL(shutdown(e->peer, SHUT_WR), 0);
}

/* Whether a view is this text. */
static inline bool is_text(struct weft_view view, const char *text)
{
    return view.bytes == strlen(text) && memcmp(view.data, text, view.bytes) == 0;
}

/* The stream's next bytes are this text, and there already. */
static inline void check_next(weft_stream *s, const char *text)
{
    char buf[4096];
    size_t n = strlen(text);
    CHECK(n <= sizeof buf);
    CHECK_EQUAL(weft_stream_read_exactly(s, buf, n), n);
    CHECK_EQUAL(memcmp(buf, text, n), 0);
}

/* A reading call as a task, and what came of it. */
struct stream_reading {
    weft_stream *s;
    enum { READ_SOME, READ_EXACTLY, READ_UNTIL, READ_LINE, READ_TO_END, READ_PEEK } call;
    size_t n;
    const char *separator;
    char buf[256];
    struct weft_view view;
};

static inline ssize_t stream_read(struct stream_reading *r)
{
    switch (r->call) {
    case READ_SOME:
        return weft_stream_read(r->s, r->buf, r->n);
    case READ_EXACTLY:
        return weft_stream_read_exactly(r->s, r->buf, r->n);
    case READ_UNTIL:
        return weft_stream_read_until(r->s, r->separator, strlen(r->separator), &r->view);
    case READ_LINE:
        return weft_stream_read_line(r->s, &r->view);
    case READ_TO_END:
        return weft_stream_read_to_end(r->s, &r->view);
    default:
        return weft_stream_peek(r->s, r->n, &r->view);
    }
}

__attribute__((unused)) static void *stream_read_task(void *arg)
{
    return BOXED(stream_read(arg));
}

/* In a task: let others run until a call waits on the stream's descriptor. */
static inline void yield_until_waits(const weft_stream *s)
{
    yield_until_calls(weft_stream_fd(s), 1);
}

#endif
