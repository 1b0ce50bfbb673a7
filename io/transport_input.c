/* SPDX-License-Identifier: MIT */
/* The receiving side of a transport; see transport.h. */
#include <errno.h>
#include <sys/socket.h>

#include "transport.h"

/* Reads in a row before others have their turn: 256 KiB at the most. */
#define READS_MAX 4

static ssize_t input_read(int fd, void *buffer, size_t bytes)
{
    ssize_t n = recv(fd, buffer, bytes, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

/* Where the next bytes go; NULL: nowhere, *error says why. */
static void *input_buffer(weft_transport *t, size_t *bytes, int *error)
{
    const struct weft_protocol *p = t->protocol;
    *bytes = INPUT_BYTES;
    if (p->get_buffer == NULL) {
        *error = -ENOMEM;
        return weft__op_input();
    }
    void *buffer = p->get_buffer(t, bytes, t->arg);
    *error = -ENOBUFS;
    return *bytes > 0 ? buffer : NULL;
}

static int input_deliver(weft_transport *t, const void *buffer, size_t n, bool is_its_own)
{
    const struct weft_protocol *p = t->protocol;
    if (is_its_own) {
        return p->buffer_updated(t, n, t->arg);
    }
    return p->data_received(t, buffer, n, t->arg);
}

/* The peer sends no more. */
static void input_end(weft_transport *t)
{
    const struct weft_protocol *p = t->protocol;
    t->is_input_over = true;
    int answer = p->eof_received != NULL ? p->eof_received(t, t->arg) : 0;
    if (answer < 0) {
        weft__transport_refuse(t, answer);
    } else if (answer == 0) {
        weft_transport_close(t);
    }
}

/* Read once. True: there may be more. */
static bool input_once(weft_transport *t)
{
    size_t bytes;
    int error;
    bool is_its_own = t->protocol->get_buffer != NULL;
    void *buffer = input_buffer(t, &bytes, &error);
    if (transport_gate(t) != 0) {
        return false; /* paused or closed by get_buffer */
    }
    if (buffer == NULL) {
        weft__transport_refuse(t, error);
        return false;
    }
    ssize_t n = input_read(t->fd, buffer, bytes);
    if (n == -EAGAIN) {
        t->is_readable = false;
    } else if (n == -EINTR) {
        return true;
    } else if (n < 0) {
        weft__transport_fail(t, (int)n);
    } else if (n == 0) {
        input_end(t);
    } else {
        bool is_last = (size_t)n < bytes && t->is_exact && !t->has_more_behind;
        t->is_readable = !is_last;
        int err = input_deliver(t, buffer, (size_t)n, is_its_own);
        if (err < 0) {
            weft__transport_refuse(t, err);
        }
        return !is_last;
    }
    return false;
}

/* Between two reads it learns that what it wrote was too much, and may pause reading. */
bool weft__transport_receive(weft_transport *t)
{
    for (unsigned i = 0; i < READS_MAX; i++) {
        if (!t->is_readable || t->is_input_over || transport_gate(t) != 0 || !input_once(t)) {
            return false;
        }
        if (strand_has(&t->strand, TRANSPORT_CHANGED)) {
            weft__transport_tell_marks(t);
        }
    }
    return true;
}

void weft_transport_pause_reading(weft_transport *t)
{
    if (!weft__strand_is_parents(&t->strand)) {
        /* ORD none: a pause from elsewhere may come a read late. */
        (void)atomic_or_acq_rel(&t->gate, GATE_PAUSED);
    }
}

void weft_transport_resume_reading(weft_transport *t)
{
    if (weft__strand_is_parents(&t->strand)) {
        return;
    }
    /* ORD P2 (transport.h): before the event. */
    if ((atomic_and_acq_rel(&t->gate, ~GATE_PAUSED) & GATE_PAUSED) != 0) {
        weft__strand_post(&t->strand, TRANSPORT_RESUMED);
    }
}

bool weft_transport_is_reading(const weft_transport *t)
{
    return transport_gate(t) == 0;
}
