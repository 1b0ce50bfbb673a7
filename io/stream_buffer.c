/* SPDX-License-Identifier: MIT */
/* Stream buffer: memory; see stream_buffer.h. */
#include "stream_buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

void weft__stream_buffer_drop(struct stream_buffer *b)
{
    if (b->data != NULL) {
        free(b->data);
        *b = (struct stream_buffer){NULL, 0, 0, 0};
    }
}

/* Moving what is held to the beginning is worth it when more was taken than is moved. */
int weft__stream_buffer_reserve(struct stream_buffer *b, size_t n)
{
    size_t held = stream_buffer_bytes(b);
    if (n <= stream_buffer_room(b)) {
        return 0;
    }
    if (held <= b->begin && n <= b->capacity - held) {
        memcpy(b->data, stream_buffer_head(b), held);
        b->begin = 0;
        b->end = held;
        return 0;
    }
    if (n > SIZE_MAX / 4 - held) {
        return -ENOMEM;
    }
    size_t capacity = b->capacity * 2 < STREAM_BUFFER_MIN ? STREAM_BUFFER_MIN : b->capacity * 2;
    capacity = capacity < held + n ? held + n : capacity;
    char *data = malloc(capacity);
    if (data == NULL) {
        return -ENOMEM;
    }
    if (held > 0) {
        memcpy(data, stream_buffer_head(b), held);
    }
    free(b->data);
    *b = (struct stream_buffer){data, 0, held, capacity};
    return 0;
}
