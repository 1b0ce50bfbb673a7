/* SPDX-License-Identifier: MIT */
/*
 * Transport: what carries a stream's bytes. A stream (stream.h) buffers; a transport moves bytes in
 * order, both ways, and knows no lines, marks or coalescing. There is one for descriptors
 * (stream_fd.c) and one for memory; one that transforms bytes (TLS) has another under it.
 *
 *     struct my_transport { struct stream_transport base; ... };
 *     static const struct stream_transport_ops my_ops = {...};
 *     weft__stream_create(&t->base, options, &stream);       t is the stream's from then on
 *
 * Who calls what: at most one task at a time is in `receive` or `receive_chunk`, one in `send`,
 * its kin or `shutdown_write`; the two may be at it at once, and on different workers. `cut` may
 * come beside both, and once. `close` comes last, when nobody is in any other.
 *
 * What every call that waits owes: it fails with -ECANCELED or -ETIMEDOUT as weft__interrupted
 * says, and then no byte was moved; when some were moved, it returns how many, whatever was asked
 * of the task meanwhile. Other errors are the connection's, and final: the stream does not call
 * that half again. But -ENOMEM, which means that nothing was begun.
 */
#ifndef WEFT_STREAM_TRANSPORT_H
#define WEFT_STREAM_TRANSPORT_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <weft/base.h>

struct stream_transport;

/* Memory with input in it, from malloc. */
struct stream_chunk {
    char *data;
    size_t capacity;
};

struct stream_transport_ops {
    /* Wait for input, put up to n bytes of it there. Returns how many, > 0; 0: the end. */
    ssize_t (*receive)(struct stream_transport *t, void *buf, size_t n);

    /* The same for a stream that has no memory for it, and should not have while it waits: with
     * bytes comes the memory, which is the stream's to free; with 0 or an error there is none.
     * May be missing: the stream then has a buffer while it waits. */
    ssize_t (*receive_chunk)(struct stream_transport *t, struct stream_chunk *chunk);

    /* Whether `receive` would not wait now: there is input, the end, or an error. Context: the task
     * that receives. Missing where another transport is below, which knows. */
    bool (*has_input)(struct stream_transport *t);

    /* Wait until some bytes can be sent, send them. Returns how many, > 0. count > 0, and no buffer
     * is empty. */
    ssize_t (*send)(struct stream_transport *t, const struct iovec *iov, int count);

    /* The same without waiting: -EAGAIN when none can be. May fail so always. */
    ssize_t (*try_send)(struct stream_transport *t, const struct iovec *iov, int count);

    /* As try_send, but the task may be suspended for the rest of its worker's turn, at the end of
     * which what many have to send goes out in one system call. -ECANCELED and -ETIMEDOUT as other
     * calls that wait. May be missing. */
    ssize_t (*send_with_turn)(struct stream_transport *t, const struct iovec *iov, int count);

    /* As weft_sendfile: send up to n bytes of a file. May be missing: they are read and sent. */
    ssize_t (*send_file)(struct stream_transport *t, int file, off_t *offset, size_t n);

    /* Everything was sent: tell the peer that no more comes. 0 or -errno; -ENOTSUP. */
    int (*shutdown_write)(struct stream_transport *t);

    /* End the calls that wait, and have later ones end at once, with 0 or whatever error. What was
     * sent still arrives, unless is_reset: then the peer meets a reset, where that can be told.
     * Does not fail, and no cancel cuts it short. */
    void (*cut)(struct stream_transport *t, bool is_reset);

    /* Close and free. No cancel cuts it short. 0 or -errno. */
    int (*close)(struct stream_transport *t);

    /* As getpeername and getsockname; -ENOTSUP. Any thread. */
    int (*peer)(struct stream_transport *t, struct sockaddr *address, socklen_t *bytes);
    int (*local)(struct stream_transport *t, struct sockaddr *address, socklen_t *bytes);

    /* The descriptor, or -ENOTSUP. Any thread. */
    int (*fd)(struct stream_transport *t);
};

struct stream_transport {
    const struct stream_transport_ops *ops;
};

struct weft_stream;
struct weft_stream_options;

/*
 * Make a stream that owns t.
 * options: may be NULL
 * Returns 0, -EINVAL, -ENOMEM; after an error t is still the caller's.
 * Context: any thread
 */
int weft__stream_create(struct stream_transport *t, const struct weft_stream_options *options,
                        struct weft_stream **stream);

/* Make the transport of a descriptor, which is its from then on; NULL: no memory. */
struct stream_transport *weft__stream_fd_create(int fd, bool is_socket);

#endif
