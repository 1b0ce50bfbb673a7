/* SPDX-License-Identifier: MIT */
/* Transports in memory, in pairs. */
#ifndef WEFT_MEMORY_STREAM_OBJECT_H
#define WEFT_MEMORY_STREAM_OBJECT_H

#include <weft/memory_stream.h>

#include "stream_transport.h"

/* Make two that are connected. 0 or -ENOMEM. Context: any thread */
int weft__memory_pair(struct stream_transport *ends[2]);

#endif
