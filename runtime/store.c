/* SPDX-License-Identifier: MIT */
/* Store: rings, arrays and heaps of items; see store.h. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static size_t store_slot_bytes(enum weft_queue_kind kind)
{
    return kind == WEFT_PRIORITY ? sizeof(struct store_entry) : sizeof(void *);
}

void *weft__store_allocate(enum weft_queue_kind kind, size_t room)
{
    size_t bytes;
    return __builtin_mul_overflow(room, store_slot_bytes(kind), &bytes) ? NULL : malloc(bytes);
}

void *weft__store_adopt(struct store *s, void *slots, size_t room)
{
    WEFT_ASSERT(room > s->count);
    size_t bytes = store_slot_bytes(s->kind);
    char *old = (char *)s->slots.items;
    size_t first = s->count < s->room - s->head ? s->count : s->room - s->head;
    if (first != 0) {
        memcpy(slots, old + s->head * bytes, first * bytes);
    }
    if (first != s->count) { /* the ring's part from its beginning */
        memcpy((char *)slots + first * bytes, old, (s->count - first) * bytes);
    }
    s->slots.items = slots;
    s->room = room;
    s->head = 0;
    return old;
}

void *weft__store_clear(struct store *s)
{
    s->count = 0;
    s->head = 0;
    if (s->room <= STORE_KEEP) {
        return NULL;
    }
    void *old = s->slots.items;
    s->slots.items = NULL;
    s->room = 0;
    return old;
}

/* --- the heap: no entry comes before the one at half its index -------------------------------- */

static bool entry_is_before(const struct store_entry *a, const struct store_entry *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->number < b->number;
}

static void heap_push(struct store *s, struct store_entry e)
{
    struct store_entry *heap = s->slots.heap;
    size_t at = s->count;
    while (at > 0 && entry_is_before(&e, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = e;
}

/* Take the first; s->count is what is left. */
static void *heap_pop(struct store *s)
{
    struct store_entry *heap = s->slots.heap;
    void *item = heap[0].item;
    const struct store_entry *last = &heap[s->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= s->count) {
            break;
        }
        if (child + 1 < s->count && entry_is_before(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!entry_is_before(&heap[child], last)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = *last;
    return item;
}

/* --- all of them ------------------------------------------------------------------------------ */

void weft__store_push(struct store *s, int64_t priority, void *item)
{
    WEFT_ASSERT(s->count < s->room);
    size_t at = s->head + s->count;
    switch (s->kind) {
    case WEFT_FIFO:
    case WEFT_LIFO:
        s->slots.items[at >= s->room ? at - s->room : at] = item;
        break;
    case WEFT_PRIORITY:
        heap_push(s, (struct store_entry){priority, s->numbers++, item});
        break;
    }
    s->count++;
}

void *weft__store_pop(struct store *s)
{
    WEFT_ASSERT(s->count > 0);
    s->count--;
    void *item = NULL;
    switch (s->kind) {
    case WEFT_FIFO:
        item = s->slots.items[s->head];
        s->head = s->head + 1 == s->room ? 0 : s->head + 1;
        break;
    case WEFT_LIFO:
        item = s->slots.items[s->count];
        break;
    case WEFT_PRIORITY:
        item = heap_pop(s);
        break;
    }
    return item;
}
