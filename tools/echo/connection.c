/* SPDX-License-Identifier: MIT */
/*
 * One connection: receive, send the same back, until the client has said its last word.
 *
 * The function reads like a program for a single client, and that is the point. What it has to get
 * right besides:
 *   - A client that closes its sending side still gets all of its echo, since every byte is sent
 *     before the next is received. Then the connection is closed.
 *   - A client that never reads fills its window; this task waits in send, and holds up nobody.
 *   - A reset ends the task with an error from either call, and counts as a failed connection.
 *
 * Memory. An idle connection waits in recv and pins what is on its stack, so the buffer there is
 * small enough to share the stack's first page with the frames. A read that fills it shows that the
 * client sends more at a time: then a large buffer on the heap takes over, until so many reads in a
 * row would have fitted the small one that the client has evidently changed its ways. A connection
 * that goes silent straight after large messages keeps the large buffer; giving it back before
 * every wait would cost busy clients an operation a message.
 */
#include <stdlib.h>

#include "echo.h"

/* At half, a common 512-byte message takes two reads; at double, the frames need a second page. */
#define SMALL_BYTES 1024

/* Enough that the cost of the two calls is small beside copying; at double it leaves the L1 cache
 * to nobody else. */
#define LARGE_BYTES (16 * 1024)

/* Small reads in a row after which the large buffer goes. At a few it would come and go. */
#define CALM_READS 64

/* A buffer and how it has been used lately. */
struct echo_buffer {
    char *data;
    size_t bytes;
    char *large;   /* NULL while the small one does */
    unsigned calm; /* reads in a row that the small one could have held */
};

/* Change to the large buffer. When memory is short the small one does, only slower. */
static void buffer_grow(struct echo_buffer *b)
{
    b->large = malloc(LARGE_BYTES);
    b->calm = 0;
    if (b->large != NULL) {
        b->data = b->large;
        b->bytes = LARGE_BYTES;
    }
}

static void buffer_shrink(struct echo_buffer *b, char *small)
{
    free(b->large);
    b->large = NULL;
    b->data = small;
    b->bytes = SMALL_BYTES;
}

/* Send n bytes, whatever it takes. Returns 0 or the error. */
static int send_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t sent = weft_send(fd, data, n, MSG_WAITALL);
        if (sent < 0) {
            return (int)sent;
        }
        data += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* Echo until the end of input. Returns 0, or the error that ended it. */
static int echo_until_end(int fd)
{
    char small[SMALL_BYTES];
    struct echo_buffer b = {.data = small, .bytes = sizeof small};
    int err;
    for (;;) {
        ssize_t n = weft_recv(fd, b.data, b.bytes, 0);
        if (n <= 0) {
            err = (int)n;
            break;
        }
        /* Before the reply, so that a client that has it finds itself counted. */
        echo_count_read((size_t)n);
        err = send_all(fd, b.data, (size_t)n);
        if (err < 0) {
            break;
        }
        if (b.large == NULL) {
            if ((size_t)n == sizeof small) {
                buffer_grow(&b);
            }
        } else if ((size_t)n > sizeof small) {
            b.calm = 0;
        } else if (++b.calm >= CALM_READS) {
            buffer_shrink(&b, small);
        }
    }
    free(b.large);
    return err;
}

void *echo_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    int err = echo_until_end(fd);
    /* The descriptor is gone in any case; an error here would tell nothing that matters now. */
    (void)weft_close(fd);
    echo_count_closed(err < 0);
    return NULL;
}
