/* SPDX-License-Identifier: MIT */
/*
 * Store: the items of a queue, first in first out, last in first out, or by priority.
 *
 *     WEFT_FIFO      a ring of pointers; the oldest at `head`
 *     WEFT_LIFO      an array of pointers; the newest is the last
 *     WEFT_PRIORITY  a binary heap of entries; the numbers of arrival keep equals in order
 *
 * For one user at a time. It allocates nothing: who finds it full allocates slots, without the lock
 * of the queue, and has them adopted, which copies what is there. They double, so that is a few
 * copies an item. Slots beyond STORE_KEEP are given up when the store runs empty.
 */
#ifndef WEFT_STORE_H
#define WEFT_STORE_H

#include <weft/queue.h>

/* Slots of a new store; half of it saves nothing worth while. */
#define STORE_ROOM_MIN 16
/* Slots that an empty store keeps: 8 or 24 KiB, which a burst of usual size needs again. */
#define STORE_KEEP 1024

/* An item with its place in the order. */
struct store_entry {
    int64_t priority;
    uint64_t number; /* of arrival */
    void *item;
};

struct store {
    enum weft_queue_kind kind; /* immutable */
    size_t count;
    size_t room;      /* slots there are */
    size_t head;      /* WEFT_FIFO */
    uint64_t numbers; /* WEFT_PRIORITY: given out so far */

    union {
        void **items;
        struct store_entry *heap; /* WEFT_PRIORITY */
    } slots;
};

/* Slots for a store of that kind; NULL: no memory. To be freed, or adopted. */
void *weft__store_allocate(enum weft_queue_kind kind, size_t room);

/* Go on with new slots, more than there are items. Returns the old ones, which are the caller's. */
void *weft__store_adopt(struct store *s, void *slots, size_t room);

/* Drop all items. Returns slots that are not worth keeping, which are the caller's, or NULL. */
void *weft__store_clear(struct store *s);

/* Add an item; there has to be room. */
void weft__store_push(struct store *s, int64_t priority, void *item);

/* Take the next item; there has to be one. */
void *weft__store_pop(struct store *s);

/* When it is empty: as weft__store_clear. */
static inline void *store_trim(struct store *s)
{
    return s->count == 0 && s->room > STORE_KEEP ? weft__store_clear(s) : NULL;
}

#endif
