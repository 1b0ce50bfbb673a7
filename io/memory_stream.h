/* SPDX-License-Identifier: MIT */
/* Transports in memory, in pairs. */
#ifndef WEFT_MEMORY_STREAM_OBJECT_H
#define WEFT_MEMORY_STREAM_OBJECT_H

#include <weft/memory_stream.h>

#include "stream_transport.h"

/* Make two that are connected. 0 or -ENOMEM. Context: any thread */
int weft__memory_pair(struct stream_transport *ends[2]);

/* weft_memory_accept without waiting: -EAGAIN. Those that were made before the listener refuses can
 * be taken after it, too. Context: task */
int weft__memory_accept_now(weft_memory_listener *listener,
                            const struct weft_stream_options *options, weft_stream **stream);

/* Refuse connections from now on, as weft_memory_listener_close; leave those that there are.
 * Context: task */
void weft__memory_listener_refuse(weft_memory_listener *listener);

#endif
