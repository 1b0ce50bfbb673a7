/* SPDX-License-Identifier: MIT */
/*
 * A step of datagrams: one task sends, another one receives with deadlines that often end a call in
 * the moment in which something comes. Each datagram that was sent was received once, whole, or the
 * kernel says that it has dropped it: in some steps the socket has room for few.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "soak.h"

enum { DATAGRAMS = 40, BYTES_MAX = 1200, BATCH = 8, ROOM_FEW = 6000 };

/* So many looks in a row for what has not come: it never will. */
enum { LOOK_MS = 10, LOOKS_MAX = 300 };

struct header {
    uint64_t seed;
    uint64_t number;
};

struct traffic {
    struct soak_actor *a;
    uint64_t random; /* the receiver's own */
    weft_udp *from;
    weft_udp *to;
    uint64_t seed;
    struct sockaddr_in sender;
    atomic_uint sent;
    atomic_bool is_sent; /* all; P1: release, so that the receiver, acquire, sees how many */
    /* the receiver's */
    unsigned received;
    bool has_come[DATAGRAMS];
};

static unsigned dropped(const weft_udp *u)
{
    uint32_t values[SK_MEMINFO_VARS] = {0};
    socklen_t bytes = sizeof values;
    (void)getsockopt(weft_udp_fd(u), SOL_SOCKET, SO_MEMINFO, values, &bytes);
    return values[SK_MEMINFO_DROPS];
}

/* --- the one that sends ----------------------------------------------------------------------- */

static size_t make_datagram(struct traffic *t, unsigned char *data, unsigned number)
{
    struct header header = {t->seed, number};
    size_t n = soak_below(&t->a->random, BYTES_MAX - sizeof header);
    memcpy(data, &header, sizeof header);
    soak_fill(t->seed + number, 0, data + sizeof header, n);
    return sizeof header + n;
}

/* Up to BATCH of them by one call. Returns how many, or the error. */
static int send_some(struct traffic *t, unsigned first)
{
    static const struct weft_datagram none;
    unsigned char data[BATCH][BYTES_MAX];
    struct weft_datagram all[BATCH];
    unsigned n = 1 + (unsigned)soak_below(&t->a->random, BATCH);
    n = n < DATAGRAMS - first ? n : DATAGRAMS - first;
    for (unsigned i = 0; i < n; i++) {
        all[i] = none;
        all[i].data = data[i];
        all[i].bytes = make_datagram(t, data[i], first + i);
    }
    if (n > 1) {
        return weft_udp_send_many(t->from, all, n);
    }
    ssize_t sent = weft_udp_send(t->from, data[0], all[0].bytes);
    if (sent >= 0 && (size_t)sent != all[0].bytes) {
        soak_broken("round %u: %zd of a datagram were sent", t->a->round->number, sent);
    }
    return sent < 0 ? (int)sent : 1;
}

static int send_all(struct traffic *t)
{
    unsigned sent = 0;
    int err = 0;
    while (err == 0 && sent < DATAGRAMS) {
        int n = send_some(t, sent);
        sent += n > 0 ? (unsigned)n : 0;
        err = n < 0 ? n : 0;
        /* ORD none: P1 publishes the last. */
        atomic_store_explicit(&t->sent, sent, memory_order_relaxed);
        if (err == 0 && soak_below(&t->a->random, 4) == 0) {
            err = weft_yield();
        }
    }
    /* ORD P1: how many were. */
    atomic_store_explicit(&t->is_sent, true, memory_order_release);
    return err;
}

/* --- the one that receives -------------------------------------------------------------------- */

static void take(struct traffic *t, const unsigned char *data, size_t n,
                 const struct sockaddr_in *from)
{
    unsigned round = t->a->round->number;
    struct header header = {0, 0};
    if (from->sin_port != t->sender.sin_port ||
        from->sin_addr.s_addr != t->sender.sin_addr.s_addr) {
        return; /* a stranger's, to a port that was another's before */
    }
    memcpy(&header, data, n < sizeof header ? n : sizeof header);
    if (n < sizeof header || header.seed != t->seed || header.number >= DATAGRAMS ||
        !soak_same(t->seed + header.number, 0, data + sizeof header, n - sizeof header)) {
        soak_broken("round %u: a datagram of %zu bytes came differently", round, n);
        return;
    }
    if (t->has_come[header.number]) {
        soak_broken("round %u: datagram %llu came twice", round,
                    (unsigned long long)header.number);
    }
    t->has_come[header.number] = true;
    t->received++;
}

/* One call. Returns 0 or the error. */
static int receive_some(struct traffic *t)
{
    static const struct weft_datagram none;
    unsigned char data[BATCH][BYTES_MAX];
    struct weft_datagram all[BATCH];
    if (soak_below(&t->random, 2) == 0) {
        struct sockaddr_in from = {0};
        socklen_t bytes = sizeof from;
        ssize_t n = weft_udp_receive_from(t->to, data[0], BYTES_MAX, (struct sockaddr *)&from,
                                          &bytes);
        if (n >= 0) {
            take(t, data[0], (size_t)n, &from);
        }
        return n < 0 ? (int)n : 0;
    }
    for (unsigned i = 0; i < BATCH; i++) {
        all[i] = none;
        all[i].data = data[i];
        all[i].bytes = BYTES_MAX;
    }
    int n = weft_udp_receive_many(t->to, all, BATCH);
    for (int i = 0; i < n; i++) {
        take(t, data[i], all[i].length, (const struct sockaddr_in *)&all[i].address);
    }
    return n < 0 ? n : 0;
}

static void *receive_task(void *arg)
{
    struct traffic *t = arg;
    unsigned looks = 0;
    int err = 0;
    for (;;) {
        /* ORD P1: how many were; ORD none: behind P1. */
        bool is_sent = atomic_load_explicit(&t->is_sent, memory_order_acquire);
        unsigned sent = atomic_load_explicit(&t->sent, memory_order_relaxed);
        if (is_sent && t->received + dropped(t->to) >= sent) {
            return NULL;
        }
        int64_t for_ns = is_sent ? LOOK_MS * WEFT_MS
                                 : (int64_t)soak_below(&t->random, 300) * WEFT_US;
        WEFT_TIMEOUT(for_ns) {
            err = receive_some(t);
        }
        looks = err == 0 || !is_sent ? 0 : looks + 1;
        if ((err < 0 && err != -ETIMEDOUT) || looks == LOOKS_MAX) {
            return weft_fail(err);
        }
    }
}

/* --- both ------------------------------------------------------------------------------------- */

static int open_both(struct traffic *t)
{
    char service[8];
    struct weft_udp_options here = {.host = "127.0.0.1"};
    socklen_t bytes = sizeof t->sender;
    here.receive_bytes = soak_below(&t->a->random, 3) == 0 ? ROOM_FEW : 0;
    int err = weft_udp_open(&here, &t->to);
    if (err < 0) {
        t->to = NULL;
        return err;
    }
    snprintf(service, sizeof service, "%d", weft_udp_port(t->to));
    struct weft_udp_options there = {
        .host = "127.0.0.1", .peer_host = "127.0.0.1", .peer_service = service};
    err = weft_udp_open(&there, &t->from);
    if (err < 0) {
        t->from = NULL;
        return err;
    }
    return weft_udp_local(t->from, (struct sockaddr *)&t->sender, &bytes);
}

static int exchange(struct traffic *t)
{
    weft_task *receiver = weft_spawn(receive_task, t);
    if (receiver == NULL) {
        return -ENOMEM;
    }
    int err = send_all(t);
    int end = err < 0 ? weft_cancel_and_join(receiver, NULL) : weft_await(receiver, NULL);
    weft_put(err < 0 ? NULL : receiver);
    return err < 0 ? err : end;
}

void soak_step_datagram(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    struct traffic t = {.a = a, .seed = soak_random(&a->random), .random = soak_random(&a->random)};
    int err = open_both(&t);
    if (err == 0) {
        err = exchange(&t);
    }
    /* ORD none: the sender has ended, and was waited for. */
    unsigned sent = atomic_load_explicit(&t.sent, memory_order_relaxed);
    if (err == -ETIMEDOUT && weft_scope_error() == 0) {
        soak_broken("round %u: of %u datagrams %u came, and %u were dropped", r->number, sent,
                    t.received, dropped(t.to));
    } else if (err < 0 && !soak_excused(r, err)) {
        soak_broken("round %u: datagrams: %s", r->number, strerrordesc_np(-err));
    } else if (err == 0) {
        soak_in(r, SOAK_DATAGRAMS, sent);
        soak_out(r, SOAK_DATAGRAMS, t.received + dropped(t.to));
    }
    (void)weft_udp_close(t.from);
    (void)weft_udp_close(t.to);
    (void)weft_yield();
}
