/* SPDX-License-Identifier: MIT */
/*
 * The sending side of a transport; see transport.h.
 *
 * A write tries the socket, with the lock held, so that bytes of several threads do not mix; when
 * the socket has taken all, nothing is kept. Else the rest goes into chunks, behind what waits
 * already, and the strand is told: it tells the protocol of the marks, and arms the poll that says
 * when the socket takes more.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "transport.h"

/* Of a chunk that is made for a small write: small ones that follow go there too. */
#define CHUNK_BYTES_MIN ((size_t)4096 - sizeof(struct chunk))

/* Chunks sent by one call. */
#define FLUSH_CHUNKS 64

/* Calls in a row before others have their turn; the poll then says at once that there is room. */
#define FLUSH_CALLS_MAX 16

#define MARK_HIGH_DEFAULT ((size_t)64 * 1024)

struct chunk {
    struct chunk *next;
    size_t begin; /* sent up to here */
    size_t end;
    size_t bytes; /* of data */
    char data[];
};

void weft__output_init(struct output *o)
{
    *o = (struct output){.high = MARK_HIGH_DEFAULT, .low = MARK_HIGH_DEFAULT / 4};
}

void weft__output_drop(struct output *o)
{
    struct chunk *c = o->first;
    while (c != NULL) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
    o->first = NULL;
    o->last = NULL;
    o->bytes = 0;
}

/* What the last chunk can take. */
static size_t output_room(const struct output *o)
{
    return o->last != NULL ? o->last->bytes - o->last->end : 0;
}

/* See to it that n bytes can be kept. False: no memory. */
static bool output_reserve(struct output *o, size_t n)
{
    size_t room = output_room(o);
    if (n <= room) {
        return true;
    }
    size_t bytes = n - room > CHUNK_BYTES_MIN ? n - room : CHUNK_BYTES_MIN;
    struct chunk *c = malloc(sizeof *c + bytes);
    if (c == NULL) {
        return false;
    }
    *c = (struct chunk){.bytes = bytes};
    if (o->last == NULL) {
        o->first = c;
        o->last = c;
    } else {
        o->last->next = c; /* `last` moves on when it is full */
    }
    return true;
}

/* Keep bytes for which there is room. */
static void output_append(struct output *o, const char *data, size_t n)
{
    while (n > 0) {
        if (output_room(o) == 0) {
            o->last = o->last->next;
        }
        size_t part = output_room(o) < n ? output_room(o) : n;
        memcpy(o->last->data + o->last->end, data, part);
        o->last->end += part;
        o->bytes += part;
        data += part;
        n -= part;
    }
}

/* n bytes from the front are gone. */
static void output_consume(struct output *o, size_t n)
{
    o->bytes -= n;
    while (o->first != NULL) {
        struct chunk *c = o->first;
        size_t part = c->end - c->begin < n ? c->end - c->begin : n;
        c->begin += part;
        n -= part;
        if (c->begin < c->end) {
            break;
        }
        o->first = c->next;
        o->last = o->first == NULL ? NULL : o->last;
        free(c);
    }
}

static size_t iov_bytes(const struct iovec *iov, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        n += iov[i].iov_len;
    }
    return n;
}

/* Whether their bytes can be counted, and kept. */
static bool iov_fits(const struct iovec *iov, int count)
{
    size_t left = SIZE_MAX / 4;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > left) {
            return false;
        }
        left -= iov[i].iov_len;
    }
    return true;
}

/* What the socket takes at once: 0 when it takes nothing now, or -errno. */
static ssize_t output_send(int fd, const struct iovec *iov, int count)
{
    struct msghdr message = {
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = (size_t)count,
    };
    ssize_t n;
    do {
        n = count == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
                       : sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

/* Keep what is behind the first `sent` bytes. False: no memory, nothing is kept. */
static bool output_keep(struct output *o, const struct iovec *iov, int count, size_t sent)
{
    size_t left = iov_bytes(iov, count) - sent;
    if (!output_reserve(o, left)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        size_t skipped = sent < iov[i].iov_len ? sent : iov[i].iov_len;
        sent -= skipped;
        output_append(o, (const char *)iov[i].iov_base + skipped, iov[i].iov_len - skipped);
    }
    return true;
}

/* Why nothing can be written; 0: it can. Lock held. */
static int output_refusal(const weft_transport *t)
{
    bool is_over = t->is_lost || t->is_shut_due;
    /* ORD none: set with the lock held. */
    bool is_closing = (atomic_load_relaxed(&t->gate) & GATE_CLOSING) != 0;
    return is_over || (is_closing && t->output.bytes == 0) ? -EPIPE : 0;
}

/* Send or keep. *is_changed: the strand has to know. Lock held. */
static int output_write(weft_transport *t, const struct iovec *iov, int count, bool *is_changed)
{
    int err = output_refusal(t);
    size_t all = iov_bytes(iov, count);
    if (err < 0 || all == 0) {
        return err;
    }
    ssize_t sent = t->output.bytes == 0 ? output_send(t->fd, iov, count) : 0;
    if ((size_t)sent == all) {
        return 0;
    }
    *is_changed = true;
    if (sent < 0) {
        (void)weft__transport_lose(t, (int)sent);
        return (int)sent;
    }
    if (!output_keep(&t->output, iov, count, (size_t)sent)) {
        *is_changed = sent > 0;
        if (sent > 0) {
            (void)weft__transport_lose(t, -ENOMEM); /* half a message is none */
        }
        return -ENOMEM;
    }
    return 0;
}

int weft_transport_writev(weft_transport *t, const struct iovec *iov, int count)
{
    if (count < 0 || count > IOV_MAX || !iov_fits(iov, count)) {
        return -EINVAL;
    }
    if (weft__strand_is_parents(&t->strand)) {
        return -ESHUTDOWN;
    }
    bool is_changed = false;
    pthread_mutex_lock(&t->lock);
    int err = output_write(t, iov, count, &is_changed);
    pthread_mutex_unlock(&t->lock);
    if (is_changed) {
        weft__strand_post(&t->strand, TRANSPORT_CHANGED);
    }
    return err;
}

int weft_transport_write(weft_transport *t, const void *data, size_t n)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};
    return weft_transport_writev(t, &iov, 1);
}

/* All is sent: tell the peer of the end, if it is to be told. Lock held. */
static void output_shut(weft_transport *t)
{
    if (t->is_shut_due && !t->is_shut && !t->is_lost && t->output.bytes == 0) {
        t->is_shut = true;
        (void)shutdown(t->fd, SHUT_WR); /* whoever has reset the connection is met by reading */
    }
}

/* Send as many chunks as one call can; there are some. True: it took all of them. Lock held. */
static bool flush_once(weft_transport *t)
{
    struct iovec iov[FLUSH_CHUNKS];
    int count = 0;
    struct chunk *c = t->output.first;
    do {
        iov[count].iov_base = c->data + c->begin;
        iov[count++].iov_len = c->end - c->begin;
        c = c->next;
    } while (c != NULL && count < FLUSH_CHUNKS);
    ssize_t n = output_send(t->fd, iov, count);
    if (n < 0) {
        (void)weft__transport_lose(t, (int)n);
        return false;
    }
    bool is_all = (size_t)n == iov_bytes(iov, count);
    output_consume(&t->output, (size_t)n);
    return is_all;
}

void weft__transport_flush(weft_transport *t)
{
    pthread_mutex_lock(&t->lock);
    bool goes_on = true;
    for (unsigned i = 0; i < FLUSH_CALLS_MAX && t->output.bytes > 0 && goes_on; i++) {
        goes_on = flush_once(t);
    }
    output_shut(t);
    pthread_mutex_unlock(&t->lock);
}

void weft__transport_tell_marks(weft_transport *t)
{
    pthread_mutex_lock(&t->lock);
    const struct output *o = &t->output;
    bool is_to_pause = t->is_paused ? o->bytes > o->low : o->bytes > o->high;
    bool is_new = is_to_pause != t->is_paused && !t->is_lost;
    t->is_paused = is_new ? is_to_pause : t->is_paused;
    pthread_mutex_unlock(&t->lock);
    const struct weft_protocol *p = t->protocol;
    void (*tell)(weft_transport *, void *) = is_to_pause ? p->pause_writing : p->resume_writing;
    if (is_new && tell != NULL) {
        tell(t, t->arg);
    }
}

void weft_transport_shutdown_write(weft_transport *t)
{
    if (weft__strand_is_parents(&t->strand)) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    /* ORD none: set with the lock held. */
    if ((atomic_load_relaxed(&t->gate) & GATE_CLOSING) == 0) {
        t->is_shut_due = true;
        output_shut(t);
    }
    pthread_mutex_unlock(&t->lock);
}

/* The marks that are meant; false: they contradict each other. */
static bool marks_derive(size_t *high, size_t *low)
{
    if (*high == WEFT_MARK_DERIVED) {
        size_t most = SIZE_MAX / 4;
        *high = *low == WEFT_MARK_DERIVED ? MARK_HIGH_DEFAULT : (*low < most ? *low : most) * 4;
    }
    *low = *low == WEFT_MARK_DERIVED ? *high / 4 : *low;
    return *low <= *high;
}

int weft_transport_set_marks(weft_transport *t, size_t high, size_t low)
{
    if (!marks_derive(&high, &low)) {
        return -EINVAL;
    }
    if (weft__strand_is_parents(&t->strand)) {
        return -ESHUTDOWN;
    }
    pthread_mutex_lock(&t->lock);
    t->output.high = high;
    t->output.low = low;
    pthread_mutex_unlock(&t->lock);
    weft__strand_post(&t->strand, TRANSPORT_CHANGED);
    return 0;
}

size_t weft_transport_buffered(weft_transport *t)
{
    if (weft__strand_is_parents(&t->strand)) {
        return 0;
    }
    pthread_mutex_lock(&t->lock);
    size_t n = t->output.bytes;
    pthread_mutex_unlock(&t->lock);
    return n;
}
