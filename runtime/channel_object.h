/* SPDX-License-Identifier: MIT */
/*
 * Channel: the object behind weft_channel, and one send or receive under its lock.
 *
 * The elements lie in a ring of `capacity`, the oldest at `head`. Who waits, and may be served:
 *
 *     receivers   only while the ring is empty and nobody waits to send
 *     senders     only while the ring is full
 *
 * which are kept so: a send goes to the first receiver whose wait can be ended, past the ring,
 * which is empty then; a receive takes the oldest element and moves the first sender's into the
 * ring behind all others, or takes it from the sender when there is no ring. Nodes of those whose
 * wait was ended by others stay until they are met or taken back, and count for nothing.
 *
 * After close nobody waits.
 */
#ifndef WEFT_CHANNEL_OBJECT_H
#define WEFT_CHANNEL_OBJECT_H

#include <errno.h>

#include <weft/channel.h>

#include "element.h"
#include "turnstile.h"

struct weft_channel {
    struct turnstile gate; /* guards the rest */
    struct wait_queue receivers;
    struct wait_queue senders;
    size_t count;
    size_t head;
    /* a line that is hardly written */
    _Alignas(WEFT_CACHE_LINE) bool is_closed;
    size_t capacity;      /* immutable */
    size_t element_bytes; /* immutable */
    _Alignas(WEFT_CACHE_LINE) unsigned char elements[];
};

/* One wait for one channel; on the waiter's stack, or in its cases. */
struct channel_waiter {
    struct wait_node node;
    void *element; /* to be sent, or where it is to go */
    int outcome;   /* what the call returns; written by who claimed the node */
};

/* The outcome of one that was not claimed. */
#define CHANNEL_PENDING (-EINPROGRESS)

static inline struct channel_waiter *channel_waiter_of(struct wait_node *n)
{
    return WEFT_CONTAINER(n, struct channel_waiter, node);
}

/* The place of the i-th element from the oldest on. */
static inline unsigned char *channel_place(struct weft_channel *c, size_t i)
{
    size_t at = c->head + i;
    return c->elements + (at >= c->capacity ? at - c->capacity : at) * c->element_bytes;
}

/* Move what the first sender that can be claimed wants to send; NULL: there is none. */
static inline struct wait_node *channel_take_sender(struct weft_channel *c, void *to)
{
    struct wait_node *n = turnstile_claim(&c->gate, &c->senders);
    if (n != NULL) {
        element_copy(to, channel_waiter_of(n)->element, c->element_bytes);
        channel_waiter_of(n)->outcome = 0;
    }
    return n;
}

/*
 * Send, if it can be done at once. Caller holds the lock.
 * resume: set to a waiter that was claimed, if any
 * Returns 0, -EPIPE, or -EAGAIN.
 */
static inline int channel_put(struct weft_channel *c, const void *element,
                              struct wait_node **resume)
{
    if (WEFT_UNLIKELY(c->is_closed)) {
        return -EPIPE;
    }
    struct wait_node *n = turnstile_claim(&c->gate, &c->receivers);
    if (n != NULL) {
        element_copy(channel_waiter_of(n)->element, element, c->element_bytes);
        channel_waiter_of(n)->outcome = 0;
        *resume = n;
        return 0;
    }
    if (c->count == c->capacity) {
        return -EAGAIN;
    }
    element_copy(channel_place(c, c->count), element, c->element_bytes);
    c->count++;
    return 0;
}

/* Receive, likewise. */
static inline int channel_take(struct weft_channel *c, void *element, struct wait_node **resume)
{
    if (c->count == 0) {
        *resume = channel_take_sender(c, element);
        return *resume != NULL ? 0 : c->is_closed ? -EPIPE : -EAGAIN;
    }
    element_copy(element, channel_place(c, 0), c->element_bytes);
    /* The oldest's place is behind the newest's, should somebody wait to fill it. */
    *resume = channel_take_sender(c, channel_place(c, 0));
    c->head = c->head + 1 == c->capacity ? 0 : c->head + 1;
    c->count -= *resume == NULL;
    return 0;
}

#endif
