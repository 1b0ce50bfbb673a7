/* SPDX-License-Identifier: MIT */
/*
 * Stream output: the writing side of a stream, under its lock (stream.h).
 *
 * Every call that takes the lock ends with weft__output_leave, which sees to I1: what is pending
 * and is sent by nobody gets a flusher. All functions are called in a task, and but for
 * weft__output_lock with the lock held; those that wait let go of it meanwhile.
 */
#ifndef WEFT_STREAM_OUTPUT_H
#define WEFT_STREAM_OUTPUT_H

#include "stream.h"

/* Buffers of a caller's that are sent without a copy at a time. */
#define OUTPUT_MORE_MAX 8

/* Memory of a caller's to be sent behind what is buffered; no buffer is empty. */
struct output_more {
    struct iovec iov[OUTPUT_MORE_MAX];
    int count;
};

/* How long a call may wait until the transport takes something. */
enum output_patience {
    OUTPUT_NOW,
    OUTPUT_TURN, /* till the end of the worker's turn */
    OUTPUT_WAIT,
};

void weft__output_lock(struct weft_stream *s);

/* Let go, and let those who wait look again if there is anything to be seen. */
void weft__output_unlock(struct weft_stream *s);

/* The same at the end of a call. Returns 0, or -ENOMEM: what is pending waits for the next call. */
int weft__output_leave(struct weft_stream *s);

/* n bytes more are pending. */
void weft__output_add(struct weft_stream *s, size_t n);

/*
 * Send some of what is buffered and of `more` (NULL: none). Nobody sends, and there is something.
 * Returns how many bytes of `more` went, -EAGAIN when that would have to wait longer, or an error:
 * write_error, or one that passes.
 */
ssize_t weft__output_send(struct weft_stream *s, const struct output_more *more,
                          enum output_patience patience);

/* Wait until nobody sends, or at most `goal` bytes are pending. 0, or why the task may not wait. */
int weft__output_wait(struct weft_stream *s, size_t goal);

/* Nothing can be written any more, of that error; what is pending is dropped. */
void weft__output_fail(struct weft_stream *s, int err);

/* Wait until everything is sent and nobody sends. 0 or an error. */
int weft__output_settle(struct weft_stream *s);

/* Begin to write: alone. 0: the lock is held; -EPERM. And end it. */
int weft__writer_enter(struct weft_stream *s);
void weft__writer_leave(struct weft_stream *s);

/* Write n bytes, who has entered. Returns how many were taken; *err tells why not all. */
size_t weft__writer_put(struct weft_stream *s, const void *buf, size_t n, int *err);

/* Wait until at most `goal` bytes are pending, sending if nobody does. 0 or an error. */
int weft__output_drain(struct weft_stream *s, size_t goal);

#endif
