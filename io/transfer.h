/* SPDX-License-Identifier: MIT */
/* Transfer: how many bytes one request moves. */
#ifndef WEFT_TRANSFER_H
#define WEFT_TRANSFER_H

#include <stddef.h>
#include <stdint.h>

/* What Linux moves in one call at the most; lengths above it are cut to it, as read(2) does. */
#define OP_TRANSFER_MAX ((size_t)0x7ffff000)

/* What of n bytes is asked for: a request has no room for more, nor would the kernel do it. */
static inline uint32_t transfer_length(size_t n)
{
    return (uint32_t)(n < OP_TRANSFER_MAX ? n : OP_TRANSFER_MAX);
}

#endif
