/* SPDX-License-Identifier: MIT */
/*
 * Stream buffer: bytes that come in at the end and go out at the beginning, in one piece.
 *
 *     data        begin            end            capacity
 *      |  taken     |  held          |  room          |
 *
 * Zeroed memory is an empty one without memory. What was taken stays readable until the next
 * reserve or drop: views point to it.
 */
#ifndef WEFT_STREAM_BUFFER_H
#define WEFT_STREAM_BUFFER_H

#include <stddef.h>
#include <string.h>

/*
 * The least that is allocated for what is written, and had anew for each burst. With a page it was
 * 2 % of what an echo of 64 bytes on 64 connections takes: more pages at a time than an allocator
 * keeps at hand for a thread, and all at the same place in theirs, where a cache has few. Half as
 * much makes small answers grow; what is long comes to a page in three steps.
 */
#define STREAM_BUFFER_MIN ((size_t)512)

/* What comes with input when nobody knows how much there is: what most requests fit in. Half as
 * much makes large headers grow once; twice as much is touched for nothing by most. */
#define STREAM_CHUNK ((size_t)4096)

struct stream_buffer {
    char *data; /* from malloc; NULL: none */
    size_t begin;
    size_t end;
    size_t capacity;
};

/* Make room for n more bytes. 0, or -ENOMEM: nothing has changed. */
int weft__stream_buffer_reserve(struct stream_buffer *b, size_t n);

/* Forget what is held, and give the memory back. */
void weft__stream_buffer_drop(struct stream_buffer *b);

static inline size_t stream_buffer_bytes(const struct stream_buffer *b)
{
    return b->end - b->begin;
}

static inline size_t stream_buffer_room(const struct stream_buffer *b)
{
    return b->capacity - b->end;
}

/* What is held. */
static inline char *stream_buffer_head(const struct stream_buffer *b)
{
    return b->data + b->begin;
}

/* Where the room begins. */
static inline char *stream_buffer_tail(const struct stream_buffer *b)
{
    return b->data + b->end;
}

/* n of those held are taken. */
static inline void stream_buffer_take(struct stream_buffer *b, size_t n)
{
    b->begin += n;
}

/* Put n bytes behind those held. There is room. */
static inline void stream_buffer_put(struct stream_buffer *b, const void *from, size_t n)
{
    memcpy(b->data + b->end, from, n);
    b->end += n;
}

#endif
