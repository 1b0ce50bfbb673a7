/* SPDX-License-Identifier: MIT */
/*
 * The servers of a round, which send back what they get: streams on TCP, streams on a Unix socket,
 * callbacks on TCP, streams on TLS. On streams the first 8 bytes are the seed of the contents, so
 * that the server checks all that comes.
 */
#include <errno.h>
#include <stdlib.h>

#include "soak.h"

enum { PIECE = 8192 };

static void echo(weft_stream *s, void *arg)
{
    struct soak_round *r = arg;
    unsigned char piece[PIECE];
    uint64_t seed;
    uint64_t at = 0;
    ssize_t n;
    soak_in(r, SOAK_HANDLERS, 1);
    if (weft_stream_read_exactly(s, &seed, sizeof seed) == (ssize_t)sizeof seed &&
        weft_stream_write(s, &seed, sizeof seed) == (ssize_t)sizeof seed) {
        while ((n = weft_stream_read(s, piece, sizeof piece)) > 0) {
            if (!soak_same(seed, at, piece, (size_t)n)) {
                soak_broken("round %u: a server got other bytes than were sent", r->number);
                break;
            }
            at += (uint64_t)n;
            if (weft_stream_write(s, piece, (size_t)n) != n) {
                break;
            }
        }
    }
    soak_out(r, SOAK_HANDLERS, 1);
}

static int made(weft_transport *t, void *arg)
{
    (void)t;
    soak_in(arg, SOAK_TRANSPORTS, 1);
    return 0;
}

static int received(weft_transport *t, const void *data, size_t n, void *arg)
{
    (void)arg;
    (void)weft_transport_write(t, data, n); /* fails only when the client has cut the connection */
    return 0;
}

static void lost(weft_transport *t, int error, void *arg)
{
    (void)t;
    (void)error;
    soak_out(arg, SOAK_TRANSPORTS, 1);
}

static const struct weft_protocol by_callbacks = {
    .connection_made = made,
    .data_received = received,
    .connection_lost = lost,
};

static int serve_one(struct soak_round *r, int which, weft_server **server)
{
    struct weft_server_options o = {.host = "127.0.0.1"};
    char path[128];
    if (which == 1) {
        snprintf(path, sizeof path, "unix:%s/socket", r->folder);
        o.host = path;
    }
    o.tls = which == SOAK_SERVER_TLS ? r->tls_server : NULL;
    int err = which == 2 ? weft_serve_protocol(&o, &by_callbacks, r, server)
                         : weft_serve(&o, echo, r, server);
    if (err < 0) {
        soak_broken("round %u: server %d cannot be made: %s", r->number, which,
                    strerrordesc_np(-err));
        return err;
    }
    snprintf(r->address[which], sizeof r->address[which], "%s", o.host);
    if (which != 1) {
        snprintf(r->service[which], sizeof r->service[which], "%d", weft_server_port(*server));
    }
    return 0;
}

int soak_serve(struct soak_round *r, weft_server *servers[SOAK_SERVERS])
{
    int err = 0;
    for (int i = 0; i < SOAK_SERVERS && err == 0; i++) {
        err = serve_one(r, i, &servers[i]);
    }
    return err;
}
