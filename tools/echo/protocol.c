/* SPDX-License-Identifier: MIT */
/*
 * One connection without a task: what is received is written back, in callbacks.
 *
 * What connection.c has for free has to be said here: a client that never reads fills the buffer of
 * what was not sent, so from the high mark on nothing is received until that has shrunk; and one
 * that closes its sending side gets the rest of its echo, since closing sends what is left.
 */
#include "echo.h"

static int echo_data(weft_transport *t, const void *data, size_t n, void *arg)
{
    (void)arg;
    /* Before the reply, so that a client that has it finds itself counted. */
    echo_count_read(n);
    return weft_transport_write(t, data, n);
}

static void echo_pause(weft_transport *t, void *arg)
{
    (void)arg;
    weft_transport_pause_reading(t);
}

static void echo_resume(weft_transport *t, void *arg)
{
    (void)arg;
    weft_transport_resume_reading(t);
}

static void echo_lost(weft_transport *t, int error, void *arg)
{
    (void)t;
    (void)arg;
    echo_count_closed(error < 0 && error != -ECANCELED);
}

int echo_protocol_start(int fd)
{
    static const struct weft_protocol protocol = {
        .data_received = echo_data,
        .pause_writing = echo_pause,
        .resume_writing = echo_resume,
        .connection_lost = echo_lost,
    };
    return weft_transport_open(fd, &protocol, NULL, NULL);
}
