/* SPDX-License-Identifier: MIT */
/*
 * Epoll event: what the kernel has told of a descriptor, and the op that it leads to.
 *
 * The data of an event is the descriptor, or DATA_WAKE: the eventfd that carries wakes.
 *
 * Among a thousand connections an event finds nothing in the first cache: interest, op, wait and
 * fiber are six lines in three places, each of which says where the next is. So a batch is fetched
 * ahead, as completions of a ring are (completed.h): a place is looked at when it has come, which
 * takes a few events, and then what it leads to is fetched. The longest waiting op is as a rule the
 * only one.
 */
#ifndef WEFT_EPOLL_EVENT_H
#define WEFT_EPOLL_EVENT_H

#include "epoll_poller.h"

#define DATA_WAKE UINT64_MAX

/* How many events ahead: the interest, the op, its fiber. */
#define EVENT_FAR 6
#define EVENT_MIDDLE 4
#define EVENT_NEAR 2

/* An op and its wait are side by side, in so many lines. */
#define EVENT_OP_LINES 3u

/* The interest that the i-th event is for, used or not, which is not looked at; NULL: none. */
static inline struct interest *event_place(const struct epoll_poller *e, int i)
{
    uint64_t data = e->events[i].data.u64;
    return data == DATA_WAKE ? NULL : interest_place(&e->interests, (int)data);
}

/* The op that waits for it the longest; NULL: nobody waits. */
static inline const struct op *event_op(const struct epoll_poller *e, int i)
{
    const struct interest *in = event_place(e, i);
    return in == NULL || !in->is_used || list_empty(&in->ops)
               ? NULL
               : WEFT_CONTAINER(in->ops.next, const struct op, link);
}

/* Before the i-th of n events; from -EVENT_FAR on. */
static inline void event_fetch(const struct epoll_poller *e, int i, int n)
{
    if (i + EVENT_FAR < n) {
        __builtin_prefetch(event_place(e, i + EVENT_FAR), 1);
    }
    if (i + EVENT_MIDDLE >= 0 && i + EVENT_MIDDLE < n) {
        const char *op = (const char *)event_op(e, i + EVENT_MIDDLE);
        for (unsigned line = 0; op != NULL && line < EVENT_OP_LINES; line++) {
            __builtin_prefetch(op + (size_t)line * WEFT_CACHE_LINE, 1);
        }
    }
    if (i + EVENT_NEAR >= 0 && i + EVENT_NEAR < n) {
        const struct op *op = event_op(e, i + EVENT_NEAR);
        if (op != NULL && op->wait != NULL) {
            fiber_fetch_header(op->wait->fiber);
        }
    }
}

#endif
