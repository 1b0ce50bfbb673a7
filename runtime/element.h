/* SPDX-License-Identifier: MIT */
/* Elements: what channels, broadcasts and watches carry, copied in and out. */
#ifndef WEFT_ELEMENT_H
#define WEFT_ELEMENT_H

#include <stdint.h>
#include <string.h>

#include "check.h"

/* Most are a word: a pointer or a number, which needs no call. to: NULL drops it. */
static inline void element_copy(void *to, const void *from, size_t bytes)
{
    if (WEFT_UNLIKELY(to == NULL)) {
        return;
    }
    if (WEFT_LIKELY(bytes == sizeof(uint64_t))) {
        memcpy(to, from, sizeof(uint64_t));
    } else if (bytes != 0) {
        memcpy(to, from, bytes);
    }
}

#endif
