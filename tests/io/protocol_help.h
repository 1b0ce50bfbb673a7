/* SPDX-License-Identifier: MIT */
/*
 * For tests of weft/protocol.h: a protocol that writes down what it is told, checks that it is told
 * one thing at a time, and that the bytes are those of the pattern; and pairs of connections.
 */
#ifndef WEFT_PROTOCOL_HELP_H
#define WEFT_PROTOCOL_HELP_H

#include "io_help.h"

#include <netinet/tcp.h>

#define LOG_BYTES 64

/* What a connection was told, and what it is to do. */
struct talk {
    /* what happened: M made, D data (any number in a row), E end, P pause, R resume, L lost */
    _Atomic(char) log[LOG_BYTES];
    shared_int log_bytes;
    shared_int inside; /* a callback */
    shared_int made;
    shared_int lost;
    shared_int ended;
    shared_int paused;
    shared_int resumed;
    _Atomic(size_t) bytes; /* received */
    _Atomic(int) error;    /* of the loss */
    /* what to do */
    bool echoes;
    bool stays;          /* after the end of input */
    bool is_unchecked;   /* the bytes are not of the pattern */
    bool is_disturbed;   /* others pause and close it */
    bool holds;          /* pauses reading while writing is paused */
    int data_answer;     /* of data_received, after `echoes` */
    int made_answer;
    int end_answer;
    weft_transport *t;   /* of connection_made */
    void (*when_made)(struct talk *k);
    void (*when_data)(struct talk *k, const void *data, size_t n);
    void (*when_ended)(struct talk *k);
    void (*when_paused)(struct talk *k);
    void (*when_lost)(struct talk *k);
    void *extra;
};

static inline void talk_note(struct talk *k, char what)
{
    int n = atomic_load_seq_cst(&k->log_bytes);
    if (n < LOG_BYTES - 1 &&
        (what != 'D' || n == 0 || atomic_load_seq_cst(&k->log[n - 1]) != 'D')) {
        atomic_store_seq_cst(&k->log[n], what);
        atomic_store_seq_cst(&k->log_bytes, n + 1);
    }
}

/* Whether this, and nothing else, was noted. */
static inline bool talk_says(struct talk *k, const char *what)
{
    bool is_same = (size_t)atomic_load_seq_cst(&k->log_bytes) == strlen(what);
    for (size_t i = 0; is_same && what[i] != '\0'; i++) {
        is_same = atomic_load_seq_cst(&k->log[i]) == what[i];
    }
    return is_same;
}

static inline void talk_enter(struct talk *k, char what)
{
    CHECK_EQUAL(atomic_exchange_seq_cst(&k->inside, 1), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&k->lost), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&k->made), what != 'M');
    CHECK_EQUAL(weft_yield(), -EPERM);
    talk_note(k, what);
}

static inline void talk_leave(struct talk *k)
{
    CHECK_EQUAL(atomic_exchange_seq_cst(&k->inside, 0), 1);
}

static inline int talk_made(weft_transport *t, void *arg)
{
    struct talk *k = arg;
    talk_enter(k, 'M');
    k->t = t;
    if (k->when_made != NULL) {
        k->when_made(k);
    }
    int answer = k->made_answer;
    talk_leave(k);
    atomic_store_seq_cst(&k->made, 1);
    return answer;
}

static inline int talk_data(weft_transport *t, const void *data, size_t n, void *arg)
{
    struct talk *k = arg;
    talk_enter(k, 'D');
    CHECK(n > 0);
    CHECK(k->is_disturbed || weft_transport_is_reading(t));
    CHECK(k->is_unchecked || pattern_fits(data, atomic_load_seq_cst(&k->bytes), n));
    atomic_add_seq_cst(&k->bytes, n);
    int answer = k->echoes ? weft_transport_write(t, data, n) : 0;
    if (k->when_data != NULL) {
        k->when_data(k, data, n);
    }
    talk_leave(k);
    return k->data_answer != 0 ? k->data_answer : answer;
}

static inline int talk_ended(weft_transport *t, void *arg)
{
    struct talk *k = arg;
    (void)t;
    talk_enter(k, 'E');
    CHECK_EQUAL(atomic_add_seq_cst(&k->ended, 1), 0);
    if (k->when_ended != NULL) {
        k->when_ended(k);
    }
    talk_leave(k);
    return k->end_answer != 0 ? k->end_answer : k->stays;
}

static inline void talk_paused(weft_transport *t, void *arg)
{
    struct talk *k = arg;
    talk_enter(k, 'P');
    CHECK_EQUAL(atomic_add_seq_cst(&k->paused, 1), atomic_load_seq_cst(&k->resumed));
    if (k->holds) {
        weft_transport_pause_reading(t);
    }
    if (k->when_paused != NULL) {
        k->when_paused(k);
    }
    talk_leave(k);
}

static inline void talk_resumed(weft_transport *t, void *arg)
{
    struct talk *k = arg;
    talk_enter(k, 'R');
    CHECK_EQUAL(atomic_add_seq_cst(&k->resumed, 1), atomic_load_seq_cst(&k->paused) - 1);
    if (k->holds) {
        weft_transport_resume_reading(t);
    }
    talk_leave(k);
}

static inline void talk_lost(weft_transport *t, int error, void *arg)
{
    struct talk *k = arg;
    talk_enter(k, 'L');
    CHECK(weft_transport_is_closing(t));
    CHECK_EQUAL(weft_transport_write(t, "x", 1), -EPIPE);
    atomic_store_seq_cst(&k->error, error);
    if (k->when_lost != NULL) {
        k->when_lost(k);
    }
    talk_leave(k);
    atomic_store_seq_cst(&k->lost, 1); /* k may be gone */
}

static const struct weft_protocol talk_protocol = {
    .connection_made = talk_made,
    .data_received = talk_data,
    .eof_received = talk_ended,
    .connection_lost = talk_lost,
    .pause_writing = talk_paused,
    .resume_writing = talk_resumed,
};

/* In a task: two ends of a TCP connection. */
static inline void make_tcp_pair(int fds[2])
{
    struct sockaddr_in address;
    int listener = make_listener(&address, 1);
    fds[0] = connected_to(&address);
    fds[1] = weft_accept(listener, NULL, NULL, 0);
    CHECK(fds[1] >= 0);
    CHECK_EQUAL(weft_close(listener), 0);
}

/* Of either kind. */
static inline void make_ends(int fds[2], bool is_tcp)
{
    if (is_tcp) {
        make_tcp_pair(fds);
    } else {
        make_pair(fds);
    }
}

/* In a task: have one end of a new connection talk; returns the other. */
static inline int talk_begin(struct talk *k, bool is_tcp)
{
    int fds[2];
    make_ends(fds, is_tcp);
    CHECK_EQUAL(weft_transport_open(fds[0], &talk_protocol, k, NULL), 0);
    yield_until(&k->made, 1);
    return fds[1];
}

/* In a task: the same with small buffers in the kernel, so that little fits between the two. */
static inline int talk_begin_narrow(struct talk *k, bool is_tcp)
{
    int small = is_tcp ? 100 * 1000 : 4096; /* a window less than a segment makes TCP wait */
    int fd = talk_begin(k, is_tcp);
    CHECK_EQUAL(setsockopt(weft_transport_fd(k->t), SOL_SOCKET, SO_SNDBUF, &small, sizeof small),
                0);
    CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    return fd;
}

/* In a task: send n bytes of the pattern from a place on. */
static inline void send_pattern(int fd, size_t from, size_t n)
{
    char buf[4096];
    while (n > 0) {
        size_t part = n < sizeof buf ? n : sizeof buf;
        pattern_fill(buf, from, part);
        ssize_t sent = weft_send(fd, buf, part, 0);
        CHECK(sent > 0);
        from += (size_t)sent;
        n -= (size_t)sent;
    }
}

/* In a task: receive n bytes, which are the pattern's from a place on. */
static inline void receive_pattern(int fd, size_t from, size_t n)
{
    char buf[4096];
    while (n > 0) {
        ssize_t got = weft_recv(fd, buf, n < sizeof buf ? n : sizeof buf, 0);
        CHECK(got > 0);
        CHECK(pattern_fits(buf, from, (size_t)got));
        from += (size_t)got;
        n -= (size_t)got;
    }
}

/* In a task: the input of fd is over. */
static inline void check_end(int fd)
{
    char c;
    CHECK_EQUAL(weft_recv(fd, &c, 1, 0), 0);
}

/* Close so that the peer is told of a reset. */
static inline void close_by_reset(int fd)
{
    struct linger hard = {.l_onoff = 1};
    CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    CHECK_EQUAL(close(fd), 0);
}

#endif
