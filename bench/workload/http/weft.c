/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a small HTTP/1.1 request cost with a task a connection?
 *
 * Requests are read with http_parser, what they are answered is put together in a buffer, and all
 * that one read has brought is answered with one write. A dozen bytes of text for /, 404 for the
 * rest; connections are kept as HTTP says. It is a server of the size that measures the runtime and
 * the kernel: it does not show routing, large bodies, TLS, nor limits against slow clients.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <http_parser.h>
#include <weft/weft.h>

#include "../echo/floor.h"

#define INPUT_BYTES 4096
/* What has gathered goes out when there is no room for another answer. */
#define OUTPUT_BYTES 4096
#define ANSWER_BYTES_MAX 256
#define DATE_BYTES 32

/* A client. */
struct connection {
    int fd;
    http_parser parser;
    size_t url_bytes; /* of the request that is being read, so far */
    bool is_root;     /* it asks for / */
    bool is_last;     /* of the request that was answered last: no other follows */
    bool is_failed;   /* nobody reads the answers */
    time_t date_time; /* when date was made */
    char date[DATE_BYTES];
    size_t output_fill;
    char output[OUTPUT_BYTES];
};

static void flush_output(struct connection *c)
{
    if (c->output_fill > 0 && !c->is_failed) {
        ssize_t n = weft_send(c->fd, c->output, c->output_fill, MSG_WAITALL);
        c->is_failed = n != (ssize_t)c->output_fill;
    }
    c->output_fill = 0;
}

static int on_begin(http_parser *parser)
{
    struct connection *c = parser->data;
    c->url_bytes = 0;
    c->is_root = false;
    return 0;
}

/* It may come in pieces, also of no length. */
static int on_url(http_parser *parser, const char *at, size_t length)
{
    struct connection *c = parser->data;
    if (length > 0) {
        c->is_root = c->url_bytes == 0 && length == 1 && *at == '/';
        c->url_bytes += length;
    }
    return 0;
}

/* The date of now, made once a second. */
static const char *date_of(struct connection *c)
{
    time_t now = time(NULL);
    struct tm parts;
    if (now != c->date_time && gmtime_r(&now, &parts) != NULL) {
        strftime(c->date, sizeof c->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        c->date_time = now;
    }
    return c->date;
}

static void append(struct connection *c, const char *text)
{
    size_t length = strlen(text);
    memcpy(c->output + c->output_fill, text, length);
    c->output_fill += length;
}

static int on_complete(http_parser *parser)
{
    struct connection *c = parser->data;
    if (sizeof c->output - c->output_fill < ANSWER_BYTES_MAX) {
        flush_output(c);
    }
    c->is_last = !http_should_keep_alive(parser);
    append(c, c->is_root ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 404 Not Found\r\n");
    append(c, c->is_last ? "Connection: close\r\n" : "");
    append(c, "Content-Type: text/plain\r\nDate: ");
    append(c, date_of(c));
    append(c, c->is_root ? "\r\nContent-Length: 13\r\n\r\nHello, World!"
                         : "\r\nContent-Length: 0\r\n\r\n");
    return c->is_last; /* not 0: what follows is not looked at */
}

static void *serve(void *arg)
{
    static const http_parser_settings settings = {
        .on_message_begin = on_begin, .on_url = on_url, .on_message_complete = on_complete};
    int fd = (int)(intptr_t)arg;
    struct connection *c = calloc(1, sizeof *c);
    char input[INPUT_BYTES];
    bool is_open = c != NULL;
    if (c != NULL) {
        c->fd = fd;
        http_parser_init(&c->parser, HTTP_REQUEST);
        c->parser.data = c;
    }
    while (is_open) {
        ssize_t n = weft_recv(fd, input, sizeof input, 0);
        is_open = n > 0 && http_parser_execute(&c->parser, &settings, input, (size_t)n) ==
                               (size_t)n && !c->parser.upgrade;
        flush_output(c);
        is_open = is_open && !c->is_failed && !c->is_last;
    }
    free(c);
    (void)weft_close(fd);
    return NULL;
}

static void *accept_all(void *arg)
{
    int listen_fd = *(const int *)arg;
    for (;;) {
        int fd = weft_accept(listen_fd, NULL, NULL, 0);
        weft_task *task = fd >= 0 ? weft_spawn(serve, (void *)(intptr_t)fd) : NULL;
        if (task == NULL) {
            return weft_fail(fd < 0 ? fd : -ENOMEM);
        }
        weft_put(task); /* nobody awaits it */
    }
}

int main(int argc, char **argv)
{
    struct floor_options o = floor_options(argc, argv, "HTTP server: Weft, a task a connection.");
    floor_raise_descriptor_limit();
    int listen_fd = floor_listen(&o.port, false, 0);
    struct weft_options runtime = {.workers = o.workers};
    printf("listening on 127.0.0.1:%u\n", o.port);
    fflush(stdout);
    int error = weft_run_with(&runtime, accept_all, &listen_fd, NULL);
    errx(1, "weft_run_with: %s", strerror(-error));
}
