/* SPDX-License-Identifier: MIT */
/*
 * One connection, by a stream: what connection.c does, in the way most programs would.
 *
 * An idle connection waits in a read to the buffer on the stack, as there; what is written goes out
 * before the next wait. A client that never reads makes the write wait.
 *
 * Over TLS the two shake hands first; nothing else is different.
 */
#include "echo.h"

/* As connection.c's small one; a client that sends more at a time is read in more pieces. */
#define STREAM_BYTES 1024

/* Immutable once there are connections; NULL: plain. */
static weft_tls_config *stream_tls;

void echo_stream_use_tls(weft_tls_config *tls)
{
    stream_tls = tls;
}

void *echo_stream_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[STREAM_BYTES];
    weft_stream *s = NULL;
    int err = weft_stream_open(fd, NULL, &s);
    if (err < 0) {
        (void)weft_close(fd);
    } else if (stream_tls != NULL) {
        err = echo_tls_accept(s, stream_tls);
    }
    while (err == 0) {
        ssize_t n = weft_stream_read(s, buf, sizeof buf);
        if (n <= 0) {
            err = (int)n;
            break;
        }
        echo_count_read((size_t)n);
        ssize_t put = weft_stream_write(s, buf, (size_t)n);
        err = put < 0 ? (int)put : 0;
    }
    if (s != NULL) {
        int close_err = weft_stream_close(s);
        err = err < 0 ? err : close_err;
    }
    echo_count_closed(err < 0);
    return NULL;
}
