/* SPDX-License-Identifier: MIT */
/*
 * Text for standard error, put together without the C library: for signal handlers, on threads that
 * may hold any lock. What does not fit is written out at once.
 *
 *     weft__crash_text_add(&text, "worker ");
 *     weft__crash_text_number(&text, w->index);
 *     weft__crash_text_flush(&text);
 */
#ifndef WEFT_CRASH_TEXT_H
#define WEFT_CRASH_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Owner: the thread that reports. */
struct crash_text {
    size_t bytes;
    char buffer[1024];
};

/* Context: async-signal, as all of these. */
void weft__crash_text_add(struct crash_text *text, const char *string);

/* In decimal digits. */
void weft__crash_text_number(struct crash_text *text, uint64_t number);

/* As 0x... */
void weft__crash_text_hex(struct crash_text *text, uint64_t number);

/* Microseconds with one digit behind the point. */
void weft__crash_text_us(struct crash_text *text, int64_t ns);

/* Write out what is there. */
void weft__crash_text_flush(struct crash_text *text);

#endif
