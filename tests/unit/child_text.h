/* SPDX-License-Identifier: MIT */
/* What a child writes. */
#ifndef WEFT_CHILD_TEXT_H
#define WEFT_CHILD_TEXT_H

#include <sys/types.h>
#include <unistd.h>

/* Read a pipe until nobody has its other end, as much as there is room for, and close it. */
static inline void child_text_read(int fd, char *text, size_t room)
{
    size_t bytes = 0;
    ssize_t n;
    while ((n = read(fd, text + bytes, room - 1 - bytes)) > 0) {
        bytes += (size_t)n;
    }
    text[bytes] = '\0';
    close(fd);
}

#endif
