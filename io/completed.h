/* SPDX-License-Identifier: MIT */
/*
 * Completed: the op that a completion of a ring is of.
 *
 * user_data is the address of the op, which stays where it is until its completion, and a number
 * above that; or, with the lowest bit set, one of two tags: the poll that carries wakes, and
 * completions nobody waits for (of the cancel requests).
 *
 * Among a thousand connections a completion finds nothing in the first cache: op, wait, fiber,
 * descriptor and neighbours in the list are seven lines in four places, one after the other 0.1 us.
 * So a batch is fetched ahead: FETCH_FAR completions before its turn the op, and when that has come
 * what it leads to. The frames of its task are fetched later, when it is about to run
 * (fetch_ahead.h): of a batch of a thousand they would be gone by then.
 */
#ifndef WEFT_COMPLETED_H
#define WEFT_COMPLETED_H

#include <stdint.h>

#include "fd_table.h"
#include "op.h"
#include "ring.h"

#define TAG_WAKE ((uint64_t)1)
#define TAG_NOBODY ((uint64_t)3)

/* Where the number stands in user_data; addresses of processes have 48 bits, unless asked for. */
#define NUMBER_SHIFT 48
#define ADDRESS_MASK (((uint64_t)1 << NUMBER_SHIFT) - 1)

/* An op and its wait are side by side, in so many lines. */
#define FETCH_LINES 3u

/* How many completions ahead; with 4 and 2 the lines are not there in time. */
#define FETCH_FAR 8u
#define FETCH_NEAR 4u

static inline uint64_t user_data_of(const struct op *op)
{
    WEFT_ASSERT(((uint64_t)(uintptr_t)op & ~ADDRESS_MASK) == 0);
    return (uint64_t)(uintptr_t)op | (uint64_t)op->number << NUMBER_SHIFT;
}

/* NULL: a tag. */
static inline struct op *user_data_op(uint64_t user_data)
{
    return (user_data & 1) == 0 ? (struct op *)(uintptr_t)(user_data & ADDRESS_MASK) : NULL;
}

/* Of the i-th completion that is there; it is in flight until that is taken. */
static inline const struct op *completed_op(const struct ring *r, unsigned i)
{
    return user_data_op(ring_cqe_at(r, i)->user_data);
}

static inline void completed_fetch_op(const struct ring *r, unsigned i)
{
    const char *op = (const char *)completed_op(r, i);
    for (unsigned line = 0; op != NULL && line < FETCH_LINES; line++) {
        __builtin_prefetch(op + (size_t)line * WEFT_CACHE_LINE, 1);
    }
}

/* What the op leads to. */
static inline void completed_fetch_rest(const struct ring *r, struct fd_table *fds, unsigned i)
{
    const struct op *op = completed_op(r, i);
    if (WEFT_UNLIKELY(op == NULL)) {
        return;
    }
    if (WEFT_LIKELY(op->wait != NULL)) {
        fiber_fetch_header(op->wait->fiber);
    }
    if (WEFT_LIKELY(op->fd >= 0)) {
        __builtin_prefetch(fd_table_find(fds, op->fd), 1);
    }
    __builtin_prefetch(op->link.next, 1);
    __builtin_prefetch(op->link.prev, 1);
}

/* Before the first of a batch. Context: consumer */
static inline void completed_fetch_first(const struct ring *r, struct fd_table *fds, unsigned count)
{
    for (unsigned i = 1; i < count && i < FETCH_FAR; i++) {
        completed_fetch_op(r, i);
    }
    for (unsigned i = 1; i < count && i < FETCH_NEAR; i++) {
        completed_fetch_rest(r, fds, i);
    }
}

/* Before each of which `left` are there, itself included. Context: consumer */
static inline void completed_fetch(const struct ring *r, struct fd_table *fds, unsigned left)
{
    if (WEFT_LIKELY(left > FETCH_FAR)) {
        completed_fetch_op(r, FETCH_FAR);
    }
    if (WEFT_LIKELY(left > FETCH_NEAR)) {
        completed_fetch_rest(r, fds, FETCH_NEAR);
    }
}

#endif
