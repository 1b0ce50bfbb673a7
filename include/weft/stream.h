/* SPDX-License-Identifier: MIT */
/*
 * Streams: buffered reading and writing of bytes, on sockets, pipes and terminals, TLS, and memory.
 *
 *     weft_stream *s;
 *     int err = weft_stream_open(fd, NULL, &s);              s owns fd now
 *
 *     struct weft_view line;
 *     while (weft_stream_read_line(s, &line) > 0) {          with its '\n', if it has one
 *         (void)weft_stream_write(s, line.data, line.bytes); goes out when this task waits
 *     }
 *     err = weft_stream_close(s);                            flushes, closes fd, frees s
 *
 * Reading: calls that find what they want in the buffer take it from there; others wait for more.
 * A stream whose reader waits with nothing buffered holds no buffer.
 *
 * Writing: weft_stream_write copies to a buffer and returns; what one task writes between two waits
 * goes out together. It waits when more than the high-water mark would be held back, and
 * weft_stream_drain until no more than the low-water mark is; both count bytes that the kernel has
 * been asked to send and has not taken. Nothing has to be flushed: what was written goes out, also
 * when no call is made any more, or the task that wrote it has ended or was cancelled. When the
 * runtime is closed, which cancels tasks, what streams hold, and what those tasks close, is sent if
 * the peer takes it within a second, or half of options.close_grace_ns if that is less.
 *
 * For all calls, unless one says otherwise:
 *   Context   task; elsewhere -EPERM
 *   Blocks    task
 *   Returns   how many bytes, or -errno; besides what the kernel has to say
 *             -ECANCELED  the task was cancelled, or a scope around the call
 *             -ETIMEDOUT  the deadline of a scope around the call has passed; or the network gave
 *                         up, or a limit of the stream is over (weft_scope_error tells)
 *             -ECONNABORTED  somebody has called weft_stream_abort
 *             -ENOMEM     no memory for a buffer; nothing was read or taken
 *             -ENOBUFS    the same, for bytes that had come, and for too long: they are lost, and
 *                         nothing more can be read
 *   Cancel    and deadlines lose no byte: what was read stays in the stream for the next call, what
 *             was taken for writing is sent. What can be done without waiting is done in a
 *             cancelled task, too.
 *   Views     point into the stream's buffer, until the next call that reads from the stream or
 *             closes it.
 *
 * One task at a time may read and one may write: more in the same call end the process. The two may
 * be different tasks, and others than before. Errors of the connection stay: a reading call first
 * gives what was received before, a writing one fails at once.
 */
#ifndef WEFT_STREAM_H
#define WEFT_STREAM_H

#include <sys/socket.h>
#include <sys/uio.h>

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_stream weft_stream;

/* Bytes that belong to the stream. */
struct weft_view {
    const char *data;
    size_t bytes;
};

#define WEFT_STREAM_LIMIT_DEFAULT ((size_t)64 * 1024)
#define WEFT_STREAM_HIGH_WATER_DEFAULT ((size_t)64 * 1024)

/* How a stream buffers; all zero is the default. */
struct weft_stream_options {
    size_t limit;         /* the longest line, and the most that is peeked at; 0: 64 KiB */
    size_t high_water;    /* a write waits rather than have more than this held back; 0: 64 KiB,
                             or four times low_water where that is given */
    size_t low_water;     /* and a drain until it is no more than this; 0: a quarter of the other */
    bool drain_all;       /* the low-water mark is 0: a drain waits until all is with the kernel */
    int64_t idle_ns;      /* a reading call that gets nothing for so long fails with -ETIMEDOUT, and
                             may be made again; output of which nothing is taken for so long is
                             dropped, and fails with -ETIMEDOUT from then on; 0: no limit */
    int64_t read_ns;      /* so does a reading call that has not got what it wants after so long,
                             whatever came meanwhile: against who sends a byte now and then; 0: no
                             limit */
    uint64_t reserved[4]; /* zero */
};

/*
 * Make a stream of a descriptor: a socket, a pipe, a terminal.
 * Context: task     Blocks: nothing
 * fd: the stream's from now on; after an error still the caller's
 * options: may be NULL
 * Returns 0, or -EBADF, -EINVAL (options: a low-water mark above the high one, a size above an
 * eighth of SIZE_MAX, a negative time, a reserved word), -EPERM, -ENOMEM.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_stream_open(int fd, const struct weft_stream_options *options,
                                                 weft_stream **stream);

/*
 * Read up to n bytes: waits for the first, and takes what is there. The limit does not matter.
 * Returns how many; 0 is the end of input (or n is 0).
 */
WEFT_PUBLIC ssize_t weft_stream_read(weft_stream *s, void *buf, size_t n);

/*
 * Read exactly n bytes. The limit does not matter.
 * Returns n, or -ENODATA when the input ends before: what came stays in the stream, as after every
 * other error. -EINVAL: no buffer can be that long.
 */
WEFT_PUBLIC ssize_t weft_stream_read_exactly(weft_stream *s, void *buf, size_t n);

/*
 * Read up to a separator of n bytes and including it.
 * view: set to what was read, which is then consumed
 * Returns how many bytes (view->bytes), or, with nothing consumed,
 *   -ENODATA   the input ended without one
 *   -EMSGSIZE  more than the limit comes before it. view->bytes tells how many bytes there are with
 *              the separator, 0 when it was not found so far; to go on, read some.
 *   -EINVAL    n is 0
 */
WEFT_PUBLIC ssize_t weft_stream_read_until(weft_stream *s, const void *separator, size_t n,
                                           struct weft_view *view);

/* The same for the first of several separators: the one that ends first. -EINVAL also when there
 * is none. */
WEFT_PUBLIC ssize_t weft_stream_read_until_any(weft_stream *s, const struct iovec *separators,
                                               int count, struct weft_view *view);

/*
 * Read a line, with its '\n'; the last one may come without.
 * Returns how many bytes, 0 at the end of input, or -EMSGSIZE: the line is longer than the limit;
 * it is dropped if its end has come, else what has come of it.
 */
WEFT_PUBLIC ssize_t weft_stream_read_line(weft_stream *s, struct weft_view *view);

/*
 * Read everything up to the end of input. The limit does not matter.
 * Returns how many bytes; after an error they stay in the stream.
 */
WEFT_PUBLIC ssize_t weft_stream_read_to_end(weft_stream *s, struct weft_view *view);

/*
 * Look at what comes next and consume nothing: at least n bytes, unless the input ends before; 0
 * bytes: what there is without waiting.
 * Returns how many (view->bytes), 0 at the end of input; -EMSGSIZE: n is above the limit.
 */
WEFT_PUBLIC ssize_t weft_stream_peek(weft_stream *s, size_t n, struct weft_view *view);

/* Whether the end of input was met and everything before it was read. Does not wait.
 * Context: task, while nobody reads */
WEFT_PUBLIC bool weft_stream_at_eof(const weft_stream *s);

/*
 * Write n bytes. Waits while they would make more than the high-water mark wait for the kernel.
 * Returns n; fewer when the wait was cut short, or the connection failed, after that many were
 * taken; or -errno, then none was: -EPIPE after weft_stream_shutdown_write, and when nobody can
 * read any more; -EINVAL: more bytes than half of what a ssize_t counts.
 */
WEFT_PUBLIC ssize_t weft_stream_write(weft_stream *s, const void *buf, size_t n);

/* The same from several buffers, one after the other. -EINVAL: a negative count, or
 * more bytes than there can be. */
WEFT_PUBLIC ssize_t weft_stream_writev(weft_stream *s, const struct iovec *iov, int count);

/*
 * Write up to n bytes of a file, behind what was written before: by the kernel, where the stream is
 * a plain socket (weft_sendfile), else by reading and writing. Other writes meanwhile end the
 * process, as two at a time do.
 * offset: where to begin in the file, moved on by what was taken; NULL: its position, likewise
 * Returns how many bytes were taken: n; or fewer: the file ended, or the call was cut short, as
 * weft_stream_write; or -errno, then none was: as weft_stream_write, or the file's; -EINVAL: a
 * negative offset, or more bytes than half of what a ssize_t counts.
 */
WEFT_PUBLIC ssize_t weft_stream_sendfile(weft_stream *s, int file, off_t *offset, size_t n);

/*
 * Wait until no more than the low-water mark is held back. Any number of tasks may.
 * Returns 0, or an error: that of the connection also when nothing is held back.
 */
WEFT_PUBLIC int weft_stream_drain(weft_stream *s);

/* How many bytes were taken for writing and have not been taken by the kernel.
 * Context: any thread     Blocks: nothing */
WEFT_PUBLIC size_t weft_stream_pending(const weft_stream *s);

/*
 * End the output: waits until everything is sent, then tells the peer that no more comes. Reading
 * goes on; writes fail with -EPIPE.
 * Returns 0, also when it was done before; -ENOTSUP: a pipe or terminal has no half that could be
 * shut down; or an error, after which it may be called again.
 */
WEFT_PUBLIC int weft_stream_shutdown_write(weft_stream *s);

/*
 * Send what was written, close, free the stream; always, also in a cancelled task. A task that
 * waits for input meets the end of it, and one that waits for room fails with -EPIPE; none may
 * begin a call any more. NULL is allowed.
 * Returns 0, or why not everything was sent, or was not known to be: -EPIPE, -ECONNRESET,
 * -ECANCELED (a cancelled task waits for the peer for 10 ms at most, unless the runtime is being
 * closed; then it still sends what there is room for, but to a terminal or a pipe with a name, and
 * while another task writes or drains), ...; the stream is gone in any case.
 */
WEFT_PUBLIC int weft_stream_close(weft_stream *s);

/*
 * End it: what was written and not sent is dropped, the peer is told where it can be (a reset), and
 * calls fail with -ECONNABORTED, also those that wait. The stream is still to be closed. A second
 * time nothing happens.
 * Context: task; may be beside all calls but weft_stream_close
 */
WEFT_PUBLIC void weft_stream_abort(weft_stream *s);

/*
 * The peer's address, as getpeername(2).
 * Context: any thread     Blocks: nothing
 * bytes: the room that address has; then what it takes
 * Returns 0, -ENOTSUP: it has none, as a pipe; or getpeername's error: -ENOTCONN, ...
 */
WEFT_PUBLIC int weft_stream_peer(const weft_stream *s, struct sockaddr *address, socklen_t *bytes);

/*
 * One's own address, as getsockname(2).
 * Context: any thread     Blocks: nothing
 * Returns as weft_stream_peer, of getsockname.
 */
WEFT_PUBLIC int weft_stream_local(const weft_stream *s, struct sockaddr *address, socklen_t *bytes);

/* The descriptor, for options and the like; it stays the stream's. -ENOTSUP: there is none.
 * Context: any thread */
WEFT_PUBLIC int weft_stream_fd(const weft_stream *s);

WEFT_END_DECLS

#endif
