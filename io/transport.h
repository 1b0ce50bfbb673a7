/* SPDX-License-Identifier: MIT */
/*
 * Transport: a connection whose events go to the callbacks of a protocol.
 *
 * Everything that is told to the protocol is told by the strand (strand.h), so calls of one
 * connection never overlap, on whatever worker. Three parts share the object:
 *   transport.c         begin, end, which part has to do something
 *   transport_input.c   receive: reads while there is something, into memory of the worker
 *   transport_output.c  send: any thread's, under the lock; what is refused waits in chunks
 *
 *     made --> open --close--> closing --all is sent--> ending --the kernel is done--> over
 *                '--abort, error, the runtime closes: lost--^
 *
 * Receiving was decided by measurement (64-byte echo over loopback, one core; CPU a request in
 * parts of what plain epoll takes, with 64 and with 512 connections):
 *     multishot receive into a ring of provided buffers           0.93  0.90
 *     receive with buffer selection, armed each time              0.94  0.92
 *     poll that repeats, then recv(2) into the worker's buffer    0.95  0.96
 *     poll armed each time, then recv(2)                          1.01  1.00
 * The third was chosen. All of them hold nothing while idle, but it alone does so also while
 * reading is paused, and can fill the protocol's own buffer without a copy; there are no buffers to
 * be given back to their home when the callback was stolen; and any poller that tells readiness can
 * do it. To send at once by send(2), as asyncio promises, rather than through the ring, is 0.05 of
 * these.
 *
 * The poll tells of arrivals, so input that lies there is remembered (is_readable) until a read
 * found less than it had room for. That is the end of what has come for TCP; for other sockets,
 * where a message may end a read, and where there is an end or an error behind the data, only an
 * empty read is.
 *
 * Invariants
 *   I1  is_lost: nothing is in chunks, and nothing is sent any more; fd >= 0 until then
 *   I2  connection_lost is called when neither poll is armed and no message is under way; the
 *       strand is over then, so nothing is called after it
 *   I3  chunks are taken off by the strand alone; others append, under the lock. So what is above
 *       the high mark stays above it until the strand has told so.
 *
 * Pairs
 *   P1  put: users, acq_rel    -> the last put: users, acq_rel     all uses before the free
 *   P2  close: gate, acq_rel or -> the strand: gate, acquire       with the event that follows it
 */
#ifndef WEFT_TRANSPORT_H
#define WEFT_TRANSPORT_H

#include <pthread.h>

#include <weft/protocol.h>

#include "readiness.h"
#include "resident.h"

/* Events of the strand: those of the polls, and our own. */
#define TRANSPORT_INPUT_SHIFT 1
#define TRANSPORT_OUTPUT_SHIFT (TRANSPORT_INPUT_SHIFT + READINESS_BITS)
#define TRANSPORT_MADE ((uint32_t)1 << 16)
#define TRANSPORT_CHANGED ((uint32_t)1 << 17) /* something of what the lock guards */
#define TRANSPORT_RESUMED ((uint32_t)1 << 18)
#define TRANSPORT_CANCELLED ((uint32_t)1 << 19) /* the runtime closes */

/* Why nothing is to be received. */
#define GATE_PAUSED ((uint32_t)1)
#define GATE_CLOSING ((uint32_t)2) /* also: look under the lock for the end */

struct chunk;

/* What waits to be sent. */
struct output {
    struct chunk *first;
    struct chunk *last;
    size_t bytes;
    size_t high;
    size_t low;
};

struct weft_transport {
    struct strand strand;
    struct resident resident;

    /* any thread */
    _Atomic(uint32_t) users; /* handles, and the connection until it is over */
    _Atomic(uint32_t) gate;  /* GATE_...; CLOSING is set under the lock */

    /* the strand's */
    const struct weft_protocol *protocol;
    void *arg;
    struct readiness input;
    struct readiness writable;
    struct weft_server *server; /* immutable; NULL: none */
    struct list server_link;    /* the server's */
    bool is_exact;        /* immutable: a short read was the last */
    bool is_readable;     /* something may lie there to be read */
    bool has_more_behind; /* an end, an error or urgent data does, or did */
    bool is_input_over;   /* it was read */

    /* lock */
    bool is_lost;
    bool is_paused;    /* the protocol was told to */
    bool is_shut_due;  /* the peer is to be told of the end */
    bool is_shut;      /* and was */
    int fd;
    int error;         /* of the loss */
    struct output output;
    pthread_mutex_t lock;
};

/* weft_transport_open in two steps: made, with a reference for the caller, and begun. Context:
 * worker */
int weft__transport_make(int fd, const struct weft_protocol *protocol, void *arg,
                         weft_transport **transport);
void weft__transport_start(weft_transport *t);

/* Whether a descriptor belongs to a transport of rt. Context: any thread, rt is there. */
bool weft__transport_has(weft_runtime *rt, int fd);

/* The connection of a server is over; its last touch of that (server_protocol.c). */
void weft__server_transport_over(weft_transport *t);

/* Whether what must be there is. */
bool weft__protocol_is_complete(const struct weft_protocol *p);

/* One more field and malloc gives a size class more: an eighth. */
_Static_assert(sizeof(struct weft_transport) <= 384, "an idle connection takes 400 bytes");

/* The connection is lost, or about to be: refuse writes, drop what waits. The first error counts.
 * Returns whether it was not lost before. Context: any thread, with the lock. */
bool weft__transport_lose(weft_transport *t, int error);

/* The same, without the lock; the strand is told. */
void weft__transport_fail(weft_transport *t, int error);

/* A callback of the protocol has returned an error: fail and report. Context: the strand. */
void weft__transport_refuse(weft_transport *t, int error);

/* Read and tell the protocol. True: there may be more. Context: the strand. */
bool weft__transport_receive(weft_transport *t);

/* Send what waits, as far as the socket takes it. Context: the strand. */
void weft__transport_flush(weft_transport *t);

/* Tell the protocol of a mark that was crossed. Context: the strand. */
void weft__transport_tell_marks(weft_transport *t);

/* With the marks' defaults. Context: who has the memory alone. */
void weft__output_init(struct output *o);

/* Free all chunks. Context: with the lock. */
void weft__output_drop(struct output *o);

/* What the gate says. Context: any thread. */
static inline uint32_t transport_gate(const weft_transport *t)
{
    /* ORD P2: of an event that was posted, what comes before it. */
    return atomic_load_acquire(&t->gate);
}

#endif
