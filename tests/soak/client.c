/* SPDX-License-Identifier: MIT */
/*
 * A client's step: connect to one of the servers, send pieces, get each back; to the end, or cut in
 * the middle by an abort, a close with bytes on the way, or a deadline.
 */
#include <errno.h>

#include "soak.h"

enum { PIECES = 12, PIECE_MAX = 12000, DEADLINE_US = 3000 };

enum end { TO_THE_END, ABORTED, CLOSED, DEADLINE, ENDS };

static int exchange(weft_stream *s, const unsigned char *out, unsigned char *back, size_t n)
{
    ssize_t done = weft_stream_write(s, out, n);
    if (done != (ssize_t)n) {
        return done < 0 ? (int)done : -EPIPE;
    }
    done = weft_stream_read_exactly(s, back, n);
    return done < 0 ? (int)done : 0;
}

/* What has gone, and come back. */
struct count {
    unsigned long long sent;
    unsigned long long received;
};

/* So many pieces; `unread`: and one that is not awaited. Returns 0 or the error of a call. */
static int talk(struct soak_actor *a, weft_stream *s, unsigned pieces, bool unread,
                struct count *count)
{
    unsigned char out[PIECE_MAX], back[PIECE_MAX];
    uint64_t seed = soak_random(&a->random);
    uint64_t at = 0;
    int err = exchange(s, (const unsigned char *)&seed, back, sizeof seed);
    if (err == 0 && memcmp(back, &seed, sizeof seed) != 0) {
        soak_broken("round %u: a client got another seed back", a->round->number);
    }
    for (unsigned i = 0; err == 0 && i < pieces; i++) {
        size_t n = 1 + soak_below(&a->random, soak_below(&a->random, 4) == 0 ? PIECE_MAX : 200);
        soak_fill(seed, at, out, n);
        err = exchange(s, out, back, n);
        if (err == 0 && !soak_same(seed, at, back, n)) {
            soak_broken("round %u: a client got other bytes back", a->round->number);
        }
        at += n;
        count->sent += n;
        count->received += err == 0 ? n : 0;
    }
    if (err == 0 && unread) {
        soak_fill(seed, at, out, PIECE_MAX);
        err = (int)weft_stream_write(s, out, PIECE_MAX);
    }
    return err < 0 ? err : 0;
}

/* Nothing comes behind the last piece. */
static int finish(struct soak_actor *a, weft_stream *s)
{
    int err = weft_stream_shutdown_write(s);
    char more;
    ssize_t n = err < 0 ? err : weft_stream_read(s, &more, 1);
    if (n > 0) {
        soak_broken("round %u: a client got more bytes than it has sent", a->round->number);
    }
    return n < 0 ? (int)n : 0;
}

void soak_step_client(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    unsigned which = (unsigned)soak_below(&a->random, SOAK_SERVERS);
    enum end end = (enum end)soak_below(&a->random, 2 * ENDS);
    unsigned pieces = 1 + (unsigned)soak_below(&a->random, PIECES);
    int64_t for_ns = end == DEADLINE
                         ? (int64_t)soak_below(&a->random, DEADLINE_US) * WEFT_US
                         : WEFT_FOREVER;
    struct count count = {0, 0};
    bool is_tls = which == SOAK_SERVER_TLS;
    WEFT_TIMEOUT(for_ns) {
        weft_stream *s;
        struct weft_connect_options o = {.tls = is_tls ? r->tls_client : NULL};
        int err = weft_open_connection(r->address[which],
                                       r->service[which][0] != '\0' ? r->service[which] : NULL,
                                       &o, &s);
        if (err == 0) {
            err = talk(a, s, pieces, end == CLOSED, &count);
            if (err == 0 && end == ABORTED) {
                weft_stream_abort(s);
            } else if (err == 0 && end != CLOSED) {
                err = finish(a, s);
            }
            (void)weft_stream_close(s);
        }
        if (err < 0 && !soak_excused(r, err)) {
            soak_broken("round %u: client of server %u: %s", r->number, which,
                        strerrordesc_np(-err));
        } else if (err == 0 && (end >= DEADLINE || end == TO_THE_END)) {
            soak_in(r, is_tls ? SOAK_TLS_BYTES : SOAK_BYTES, count.sent);
            soak_out(r, is_tls ? SOAK_TLS_BYTES : SOAK_BYTES, count.received);
        }
    }
}
