/* SPDX-License-Identifier: MIT */
/*
 * Descriptor table: how many operations a runtime has in flight on each descriptor, and whether it
 * is being closed.
 *
 * close(2) does not end operations in flight, and its number is given out again at once. So
 * weft_close marks the descriptor (new operations: -EBADF), has those in flight cancelled, waits
 * for the last one, and only then closes. One word a descriptor:
 *   bit 0       CLOSING
 *   bits 1..63  operations in flight, on whatever ring
 * An operation enters by adding to the word, which tells it in the same instant whether it came too
 * late; the one that leaves last tells the closer.
 *
 * Pairs
 *   P1  enter: word, acq_rel add  <-> close: word, acq_rel CAS     it is refused, or counted
 *   P2  leave: word, seq_cst sub; then closer, seq_cst
 *       <-> close: closer, seq_cst store; then word, seq_cst
 *           somebody sees that the last one has left
 *   P3  new chunk: chunk, release CAS -> find: chunk, acquire      zeros
 */
#ifndef WEFT_FD_TABLE_H
#define WEFT_FD_TABLE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"
#include "check.h"

#define FD_CHUNK 4096      /* descriptors a chunk: 64 KiB, touched page by page */
#define FD_CHUNKS 65536    /* 268 million descriptors; the kernel's default limit is one million */
#define FD_CLOSING ((uint64_t)1)
#define FD_ONE ((uint64_t)2)

/* Somebody who closes, and waits for the last operation to leave. */
struct fd_closer {
    void (*left)(struct fd_closer *self);
};

struct fd_entry {
    _Atomic(uint64_t) word;
    _Atomic(struct fd_closer *) closer;
};

struct fd_table {
    _Atomic(struct fd_entry *) chunk[FD_CHUNKS];
};

struct fd_table *weft__fd_table_create(void);
void weft__fd_table_destroy(struct fd_table *t);

/* Make the chunk of a descriptor; NULL: no memory, or no such descriptor. */
struct fd_entry *weft__fd_table_grow(struct fd_table *t, int fd);

/* The last operation on a descriptor that is being closed has left. */
void weft__fd_table_last_left(struct fd_entry *e);

static inline struct fd_entry *fd_table_find(struct fd_table *t, int fd)
{
    unsigned chunk = (unsigned)fd / FD_CHUNK;
    if (WEFT_UNLIKELY(chunk >= FD_CHUNKS)) {
        return NULL; /* negative ones included */
    }
    struct fd_entry *all = atomic_load_acquire(&t->chunk[chunk]); /* ORD P3: zeros, or in use */
    return WEFT_LIKELY(all != NULL) ? &all[(unsigned)fd % FD_CHUNK] : weft__fd_table_grow(t, fd);
}

static inline void fd_entry_leave(struct fd_entry *e)
{
    uint64_t old = atomic_sub_seq_cst(&e->word, FD_ONE); /* ORD P2: before the look for a closer */
    if (WEFT_UNLIKELY(old == FD_CLOSING + FD_ONE)) {
        weft__fd_table_last_left(e);
    }
}

/* An operation on fd begins: 0, -EBADF while it is being closed, -ENOMEM. fd < 0:
 * nothing to note. */
static inline int fd_table_enter(struct fd_table *t, int fd)
{
    if (WEFT_UNLIKELY(fd < 0)) {
        return 0; /* AT_FDCWD, or the kernel's to refuse */
    }
    struct fd_entry *e = fd_table_find(t, fd);
    if (WEFT_UNLIKELY(e == NULL)) {
        return -ENOMEM;
    }
    uint64_t old = atomic_add_acq_rel(&e->word, FD_ONE); /* ORD P1: counted, or refused */
    if (WEFT_UNLIKELY((old & FD_CLOSING) != 0)) {
        fd_entry_leave(e);
        return -EBADF;
    }
    return 0;
}

/* It has ended. */
static inline void fd_table_leave(struct fd_table *t, int fd)
{
    if (WEFT_LIKELY(fd >= 0)) {
        fd_entry_leave(fd_table_find(t, fd));
    }
}

#endif
