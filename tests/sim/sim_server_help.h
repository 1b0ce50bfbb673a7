/* SPDX-License-Identifier: MIT */
/* For simulations of servers: one on a listener in memory, whose handlers are counted. */
#ifndef WEFT_SIM_SERVER_HELP_H
#define WEFT_SIM_SERVER_HELP_H

#include "sim_help.h"

static weft_memory_listener *listener;
static int handlers; /* that run */
static int handled;
static int cancelled; /* of them that were */

static inline weft_server *serve(struct weft_server_options *options, weft_handler handler)
{
    weft_server *server = NULL;
    handlers = 0;
    handled = 0;
    cancelled = 0;
    CHECK_EQUAL(weft_memory_listener_create(&listener, 0), 0);
    options->memory = listener;
    CHECK_EQUAL(weft_serve(options, handler, NULL, &server), 0);
    CHECK_EQUAL(weft_server_port(server), 0);
    CHECK_EQUAL(weft_server_listeners(server), 1);
    return server;
}

static inline void echo_lines(weft_stream *s, void *arg)
{
    struct weft_view line;
    ssize_t n;
    (void)arg;
    handlers++;
    while ((n = weft_stream_read_line(s, &line)) > 0) {
        (void)weft_stream_write(s, line.data, line.bytes);
    }
    cancelled += n == -ECANCELED;
    handlers--;
    handled++;
}

static inline weft_stream *connected(void)
{
    weft_stream *s = NULL;
    CHECK_EQUAL(weft_memory_connect(listener, NULL, &s), 0);
    return s;
}

static inline void check_echo(weft_stream *s, const char *text)
{
    struct weft_view line;
    size_t n = strlen(text);
    CHECK_EQUAL(weft_stream_write(s, text, n), n);
    CHECK_EQUAL(weft_stream_read_line(s, &line), n);
    CHECK_EQUAL(memcmp(line.data, text, n), 0);
}

#endif
