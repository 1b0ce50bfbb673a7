/* SPDX-License-Identifier: MIT */
/*
 * Stream: a buffer each way on top of a transport.
 *
 * Reading belongs to one task at a time, which `reader` says; its fields need no lock. What it has
 * received and not handed out is in `in`. A task that has to wait with `in` empty gives the memory
 * back first, and the transport brings new memory with the next bytes.
 *
 * Writing is shared by the task that writes, those that drain, and whoever sends; `lock` guards it,
 * for as long as a copy into `fill` takes, and never across a wait.
 *   fill     what was written since the last send began; grows at its end
 *   flight   what is being sent; while `is_sending` it is the sender's alone
 *   pending  bytes in both, and those of a caller's own memory which are being sent
 * There is one sender at a time: a task that writes more than fits, one that drains, the reader
 * before it waits (which only tries), or a task of the stream's own, the flusher. A cancelled task
 * that closes has the flusher stop, and tries itself: weft__stream_take_over.
 *
 * Invariants
 *   I1  pending > 0 without an error: somebody sends, or a flusher is on its way, or a task that
 *       waited was woken and sees to it before it returns. (A flusher that the runtime's close has
 *       cancelled leaves it at that after a while: linger.h.)
 *   I2  waiters are in the queue only while somebody sends; all are woken when that one stops, and
 *       when it has come down to the low-water mark.
 *   I3  whoever is in a call, or sends, is out before the transport is closed and the stream freed:
 *       close waits for them.
 *
 * Pairs
 *   P1  leave: reader, release    -> enter, close: reader, acquire     the reading side
 *   P2  end: state, release       -> reader: state, acquire            nothing but itself
 * and those of the lock (sync_word.h), for the writing side.
 */
#ifndef WEFT_STREAM_OBJECT_H
#define WEFT_STREAM_OBJECT_H

#include <errno.h>

#include <weft/stream.h>

#include "atomic.h"
#include "check.h"
#include "park.h"
#include "stream_buffer.h"
#include "stream_transport.h"
#include "sync_word.h"

/* How a stream was ended by this side. */
#define STREAM_CLOSING 1u
#define STREAM_ABORTED 2u

struct server_connection;

struct weft_stream {
    /* immutable */
    struct stream_transport *transport;
    size_t limit;
    size_t high;
    size_t low;
    int64_t idle_ns; /* 0: none */
    int64_t read_ns; /* the same */
    size_t chunk; /* memory that comes with input, at least */

    /* the reader's */
    _Atomic(uint32_t) reader; /* 1: a task is in a reading call */
    bool is_eof;              /* the transport has nothing more */
    int read_error;           /* the transport's last word, or 0 */
    int64_t deadline_ns;      /* of the call, if there is a read_ns */
    struct weft_scope *look;  /* ends where the transport would have to wait; NULL: none */
    struct stream_buffer in;

    _Atomic(uint32_t) state; /* STREAM_...; written under the lock */

    /* under the lock */
    _Atomic(uint64_t) lock;
    _Atomic(size_t) pending; /* read by anybody, as a hint */
    int write_error;         /* why nothing more can be written, or 0 */
    bool is_sending;
    bool is_trying;     /* and who does will not wait for the peer */
    bool is_taken_over; /* the flusher begins no send */
    bool has_flusher;   /* it is on its way, or sends */
    bool has_writer;    /* a task waits in a writing call */
    bool is_shut;       /* the transport was told so */
    weft_task *flusher; /* while it sends; else NULL */
    struct stream_buffer fill;
    struct stream_buffer flight;
    struct wait_queue waiters;

    struct server_connection *lender; /* weft_stream_close does not free it; NULL: it does */
};

static inline size_t stream_pending(const struct weft_stream *s)
{
    /* ORD none: under the lock, or a hint. */
    return atomic_load_relaxed(&((struct weft_stream *)(uintptr_t)s)->pending);
}

static inline uint32_t stream_state(const struct weft_stream *s)
{
    /* ORD P2: alone. */
    return atomic_load_acquire(&((struct weft_stream *)(uintptr_t)s)->state);
}

/* Whether an error of the transport's leaves the connection as it was: the calling task was
 * cancelled, or is out of time, or there was no memory. Context: task, right after it */
bool weft__stream_is_passing(int err);

/*
 * As weft_stream_peek of a byte, but that takes what is there, and waits for no more: where it
 * would have to, it ends `look` (weft_scope_cancel), which its caller has entered last, and fails.
 */
ssize_t weft__stream_look(struct weft_stream *s, struct weft_scope *look, struct weft_view *view);

/* The stream that no layer is under: s, or one below it. Context: task, in a call of s */
struct weft_stream *weft__stream_bottom(struct weft_stream *s);

/* The stream below the layer that is right under s; NULL: there is none. Context: the same */
struct weft_stream *weft__stream_below(struct weft_stream *s);

/* Whether options are in range. 0 or -EINVAL. */
int weft__stream_check(const struct weft_stream_options *options);

/* From now on weft_stream_close does not free it; weft__stream_close_lent does, and closes it
 * unless that was done. */
void weft__stream_lend(struct weft_stream *s, struct server_connection *lender);
void weft__stream_close_lent(struct weft_stream *s);

/* Send what is there, if nobody does, as far as goes without waiting, but for the end of the
 * worker's turn. Returns 0, or -ENOMEM: nobody sends what is pending. Context: task */
int weft__stream_try_flush(struct weft_stream *s, bool with_turn);

/* Wait until at most `goal` bytes are pending, sending them if nobody else does. 0 or an error.
 * Context: task */
int weft__stream_drain_to(struct weft_stream *s, size_t goal);

/*
 * Send what goes without waiting for the peer, though a flusher sends: that one is made to stop. A
 * try by anybody is waited for. Returns 0: nothing is left; -EAGAIN: the transport takes no more,
 * or a task of the program's sends; or an error. Context: task, shielded
 */
int weft__stream_take_over(struct weft_stream *s);

/* Nothing is written any more, what is pending is dropped, who waits is told: `err`. False: that
 * state was set before, nothing happened. Context: task */
bool weft__stream_end_output(struct weft_stream *s, uint32_t state, int err);

#endif
