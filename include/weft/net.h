/* SPDX-License-Identifier: MIT */
/* Network: streams, connecting, serving. */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <weft/connect.h>
#include <weft/memory_stream.h>
#include <weft/server.h>
#include <weft/stream.h>

#endif
