/* SPDX-License-Identifier: MIT */
/* Network: streams, connecting, serving. */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <weft/stream.h>

#endif
