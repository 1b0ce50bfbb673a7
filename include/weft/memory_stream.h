/* SPDX-License-Identifier: MIT */
/*
 * Streams in memory: two ends that need no kernel, and a listener that gives one end to a server
 * and the other to whoever connects. For tests, in a simulation (simulation.h) above all: servers
 * and clients on a clock that takes no time, in an order that a seed decides.
 *
 *     weft_stream *ends[2];
 *     int err = weft_stream_pair(NULL, ends);      what is written to one is read from the other
 *
 * They behave as sockets do: a peer that does not read makes a writer wait (after 64 KiB, besides
 * what the stream itself buffers), one that is gone is -EPIPE to a writer and the end of input to a
 * reader, one that was aborted -ECONNRESET. They have no descriptor and no address.
 */
#ifndef WEFT_MEMORY_STREAM_H
#define WEFT_MEMORY_STREAM_H

#include <weft/stream.h>

WEFT_BEGIN_DECLS

/*
 * Make two streams that are connected to each other; each is to be closed.
 * Context: any thread     Blocks: nothing
 * options: of both; may be NULL
 * Returns 0, -EINVAL (options), -ENOMEM; after an error there is none.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_stream_pair(const struct weft_stream_options *options,
                                                 weft_stream *ends[2]);

/* Where connections in memory are made. */
typedef struct weft_memory_listener weft_memory_listener;

/*
 * Make a listener.
 * Context: any thread     Blocks: nothing
 * backlog: connections that wait to be accepted, at most; 0: 128
 * Returns 0 or -ENOMEM. It is the caller's to destroy.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_memory_listener_create(weft_memory_listener **listener,
                                                            size_t backlog);

/*
 * Connect: waits while the backlog is full.
 * Context: task     Blocks: task
 * options: of this end; may be NULL
 * Returns 0, -ECONNREFUSED (it was closed), -ECANCELED, -ETIMEDOUT, -EINVAL, -ENOMEM, -EPERM.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_memory_connect(weft_memory_listener *listener,
                                                    const struct weft_stream_options *options,
                                                    weft_stream **stream);

/*
 * Accept a connection: the first that was made. A server that was given the listener does it.
 * Context: task     Blocks: task
 * Returns 0, -ECONNABORTED (it was closed), -ECANCELED, -ETIMEDOUT, -EINVAL, -ENOMEM, -EPERM.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_memory_accept(weft_memory_listener *listener,
                                                   const struct weft_stream_options *options,
                                                   weft_stream **stream);

/*
 * Refuse connections from now on; those who wait to accept get -ECONNABORTED. Those that were not
 * accepted are reset.
 * Context: task     Blocks: nothing
 */
WEFT_PUBLIC void weft_memory_listener_close(weft_memory_listener *listener);

/* Close and free; nobody may be in a call on it. Context: task */
WEFT_PUBLIC void weft_memory_listener_destroy(weft_memory_listener *listener);

WEFT_END_DECLS

#endif
