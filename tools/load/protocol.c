/* SPDX-License-Identifier: MIT */
/*
 * One connection under load by callbacks (--protocol): a reply that comes makes room for the next
 * request, and the callback sends it. The client's task only waits until the connection is lost.
 *
 * There is no fixed rate: its requests would have to be sent from elsewhere, too.
 */
#include "client.h"

/* Send what is queued. The transport keeps what the server has not taken. */
static int send_queued(struct load_client *c, weft_transport *t)
{
    while (c->unsent_bytes > 0) {
        size_t n = c->unsent_bytes < LOAD_CHUNK_BYTES ? c->unsent_bytes : LOAD_CHUNK_BYTES;
        int err = weft_transport_write(t, c->run->pattern + c->send_phase, n);
        if (err < 0) {
            return err;
        }
        c->send_phase = (unsigned)((c->send_phase + n) % LOAD_PATTERN_PERIOD);
        c->unsent_bytes -= n;
    }
    return 0;
}

static void go_on(struct load_client *c, weft_transport *t)
{
    enum load_phase phase = load_phase_of(c->run);
    if (phase == LOAD_STOP && c->in_flight == 0) {
        weft_transport_close(t);
        return;
    }
    if (phase != LOAD_STOP) {
        load_client_queue(c, weft_now(), phase == LOAD_MEASURE);
    }
    int err = send_queued(c, t);
    if (err < 0) {
        load_count_error(LOAD_SEND, err);
        c->error = err;
        weft_transport_abort(t);
    }
}

static int made(weft_transport *t, void *client)
{
    go_on(client, t);
    return 0;
}

static int received(weft_transport *t, const void *data, size_t n, void *client)
{
    struct load_client *c = client;
    for (size_t done = 0; done < n;) {
        size_t piece = n - done < LOAD_CHUNK_BYTES ? n - done : LOAD_CHUNK_BYTES;
        c->error = load_client_take(c, (const char *)data + done, piece);
        if (c->error < 0) {
            weft_transport_abort(t);
            return 0;
        }
        done += piece;
    }
    go_on(c, t);
    return 0;
}

static int ended(weft_transport *t, void *client)
{
    struct load_client *c = client;
    (void)t;
    load_count_error(LOAD_EOF, 0);
    c->error = -ECONNRESET;
    return 0; /* close */
}

static void lost(weft_transport *t, int error, void *client)
{
    struct load_client *c = client;
    (void)t;
    if (c->error == 0 && error < 0) {
        if (error != -ECANCELED) {
            load_count_error(LOAD_RECEIVE, error);
        }
        c->error = error;
    }
    weft_event_set(&c->is_lost);
}

int load_protocol_serve(struct load_client *c)
{
    static const struct weft_protocol protocol = {
        .connection_made = made,
        .data_received = received,
        .eof_received = ended,
        .connection_lost = lost,
    };
    weft_transport *t;
    weft_event_clear(&c->is_lost);
    c->error = 0;
    int err = weft_transport_open(c->link.fd, &protocol, c, &t);
    if (err < 0) {
        load_count_error(LOAD_CONNECT, err);
        return err;
    }
    c->link.fd = -1;
    err = weft_event_wait(&c->is_lost);
    if (err < 0) {
        weft_transport_abort(t);
        WEFT_SHIELD {
            (void)!weft_event_wait(&c->is_lost);
        }
    }
    weft_transport_put(t);
    return err < 0 ? err : c->error;
}
