/* SPDX-License-Identifier: MIT */
/*
 * Writes at the file position that come out short: io_uring forgets to move the position.
 *
 * A ring goes on by itself with a write to a regular file that was cut short. If that fails (the
 * disk is full, the file may not grow), it answers with what was written before, which is right,
 * but leaves the file position where it was (seen on 6.18). The next write would go over the bytes
 * that were told to be written, and succeed, where write(2) fails. So who gets a short answer moves
 * the position, if the kernel has not.
 *
 * Whether it has nobody can tell afterwards, as others may have moved it meanwhile. So it is tried
 * once for a worker, when there has been a short write: with a file in memory that may not grow.
 */
#ifndef WEFT_SHORT_WRITE_H
#define WEFT_SHORT_WRITE_H

#include <stddef.h>

/* What a worker knows of its kernel. */
enum short_write {
    SHORT_WRITE_UNKNOWN,
    SHORT_WRITE_MOVES,
    SHORT_WRITE_STAYS,
};

/* A write of more than n bytes at the position of fd has written n > 0.
 * Context: task     Blocks: task */
void weft__short_write(int fd, size_t n);

#endif
