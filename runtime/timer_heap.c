/* SPDX-License-Identifier: MIT */
/* Deadlines in order; see timer_heap.h. */
#include "timer_heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The front is sorted by insertion: fewer cost more partitioning, more cost more moves. */
#define FRONT_SORT 32
/* Inserting shifts half of this many entries at worst on average; cut in half beyond. */
#define FRONT_MAX (2 * FRONT_SORT)
/* From this many entries on a pivot is worth nine samples, else three. */
#define NINTHER_MIN 1024
/* How far ahead nodes are fetched: the work on one entry is shorter than a miss. */
#define FETCH_AHEAD 8
/* Memory stays for this many entries. */
#define CAPACITY_MIN 64
/* Memory is given back when less than this part is used: renumbering then is rare. */
#define SHRINK_PART 16
/* The upper half of `order`. */
#define SEQUENCE_MASK (~(uint64_t)UINT32_MAX)
/* Dead entries that are not worth a sweep. */
#define DEAD_MIN 64

static uint64_t when_of(int64_t deadline_ns)
{
    return (uint64_t)deadline_ns ^ ((uint64_t)1 << 63);
}

static uint32_t slot_of(const struct timer_entry *e)
{
    return (uint32_t)e->order;
}

static bool key_below(uint64_t when, uint64_t order, uint64_t other_when, uint64_t other_order)
{
    return when != other_when ? when < other_when : order < other_order;
}

static bool entry_below(const struct timer_entry *e, const struct timer_entry *other)
{
    return key_below(e->when, e->order, other->when, other->order);
}

static uint32_t front_end(const struct timer_heap *h)
{
    return h->bound_count > 0 ? h->bounds[h->bound_count - 1].index : h->end;
}

static void next_store(struct timer_heap *h, int64_t next_ns)
{
    atomic_store_relaxed(&h->next_ns, next_ns); /* ORD none: read under the lock, or as a hint */
}

/* --- bounds --------------------------------------------------------------------------------- */

/*
 * Cut the front at index. The bound goes by the sequence number alone, without the slot, since
 * slots get new numbers when memory is given back.
 */
static void bound_push(struct timer_heap *h, uint64_t when, uint64_t order, uint32_t index)
{
    if (h->bound_count == TIMER_HEAP_BOUND_MAX) {
        h->bound_count--;
        memmove(&h->bounds[0], &h->bounds[1], h->bound_count * sizeof(h->bounds[0]));
    }
    h->bounds[h->bound_count++] =
        (struct timer_bound){.when = when, .order = order & SEQUENCE_MASK, .index = index};
}

/* Join the chunk behind the front with the next one, as long as that is not larger. */
static void bounds_join(struct timer_heap *h)
{
    while (h->bound_count >= 2) {
        struct timer_bound *nearest = &h->bounds[h->bound_count - 1];
        struct timer_bound *next = nearest - 1;
        uint32_t next_end = h->bound_count > 2 ? next[-1].index : h->end;
        if (next->index - nearest->index < next_end - next->index) {
            return;
        }
        *next = *nearest;
        h->bound_count--;
    }
}

/* Cut a front that has grown too large. */
static void front_cut(struct timer_heap *h)
{
    if (front_end(h) - h->first > FRONT_MAX) {
        uint32_t index = h->first + FRONT_SORT;
        bound_push(h, h->entries[index].when, h->entries[index].order, index);
        bounds_join(h);
    }
}

/* --- partitioning ---------------------------------------------------------------------------- */

/*
 * Bring the entries whose `when` is below the pivot before the others; returns how many they are.
 * No branch depends on what is compared: half of them would be mispredicted, at thrice the cost.
 */
static uint32_t split_by_when(struct timer_entry *e, uint32_t count, uint64_t pivot)
{
    size_t below = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t when = e[i].when;
        uint64_t order = e[i].order;
        e[i].when = e[below].when;
        e[i].order = e[below].order;
        e[below].when = when;
        e[below].order = order;
        below += when < pivot;
    }
    return (uint32_t)below;
}

/* The same by `order`, for entries with equal deadlines. */
static uint32_t split_by_order(struct timer_entry *e, uint32_t count, uint64_t pivot)
{
    size_t below = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t order = e[i].order;
        e[i].order = e[below].order;
        e[below].order = order;
        below += order < pivot;
    }
    return (uint32_t)below;
}

static const struct timer_entry *median(const struct timer_entry *a, const struct timer_entry *b,
                                        const struct timer_entry *c)
{
    if (entry_below(b, a)) {
        const struct timer_entry *smaller = b;
        b = a;
        a = smaller;
    }
    return entry_below(c, a) ? a : entry_below(c, b) ? c : b;
}

static const struct timer_entry *median_of_three(struct rng *rng, const struct timer_entry *e,
                                                 uint32_t count)
{
    const struct timer_entry *a = &e[rng_below(rng, count)];
    const struct timer_entry *b = &e[rng_below(rng, count)];
    const struct timer_entry *c = &e[rng_below(rng, count)];
    return median(a, b, c);
}

static struct timer_entry choose_pivot(struct rng *rng, const struct timer_entry *e, uint32_t count)
{
    if (count < NINTHER_MIN) {
        return *median_of_three(rng, e, count);
    }
    const struct timer_entry *a = median_of_three(rng, e, count);
    const struct timer_entry *b = median_of_three(rng, e, count);
    const struct timer_entry *c = median_of_three(rng, e, count);
    return *median(a, b, c);
}

/* Cut the unsorted front at a pivot. Fails to when the pivot is a bad one: to be called again. */
static void front_split(struct timer_heap *h)
{
    struct timer_entry *e = &h->entries[h->first];
    uint32_t count = front_end(h) - h->first;
    struct timer_entry pivot = choose_pivot(&h->rng, e, count);
    struct timer_entry bound = {.when = pivot.when};
    uint32_t below = split_by_when(e, count, bound.when);
    if (below == 0 && bound.when < UINT64_MAX) {
        /* The pivot is the smallest deadline, of several: cut behind them. */
        bound.when++;
        below = split_by_when(e, count, bound.when);
    }
    if (below == 0 || below == count) {
        /* All deadlines are the pivot's. */
        bound = pivot;
        below = split_by_order(e, count, bound.order);
    }
    if (below > 0) {
        bound_push(h, bound.when, bound.order, h->first + below);
    }
}

/* Sort what stands before the nearest bound, cutting it first as long as it is too long. */
static void front_sort(struct timer_heap *h)
{
    while (front_end(h) - h->first > FRONT_SORT) {
        front_split(h);
    }
    struct timer_entry *e = &h->entries[h->first];
    uint32_t count = front_end(h) - h->first;
    for (uint32_t i = 0; i < count; i++) {
        struct timer_entry x = e[i];
        __builtin_prefetch(&h->slots[slot_of(&x)]);
        uint32_t at = i;
        while (at > 0 && entry_below(&x, &e[at - 1])) {
            e[at] = e[at - 1];
            at--;
        }
        e[at] = x;
    }
    for (uint32_t i = 0; i < FETCH_AHEAD && i < count; i++) {
        __builtin_prefetch(h->slots[slot_of(&e[i])].node);
    }
}

/* --- memory ---------------------------------------------------------------------------------- */

static uint32_t slot_get(struct timer_heap *h)
{
    if (h->free_slot == 0) {
        return h->slot_count++;
    }
    uint32_t slot = h->free_slot - 1;
    h->free_slot = (uint32_t)h->slots[slot].next_free;
    return slot;
}

static void slot_put(struct timer_heap *h, uint32_t slot)
{
    h->slots[slot].next_free = h->free_slot;
    h->free_slot = slot + 1;
}

/* Enlarge both arrays. On -ENOMEM the first one may have got larger, but nothing counts on it. */
static int grow(struct timer_heap *h, uint32_t capacity)
{
    struct timer_entry *entries = realloc(h->entries, capacity * sizeof(entries[0]));
    if (entries == NULL) {
        return -ENOMEM;
    }
    h->entries = entries;
    union timer_slot *slots = realloc(h->slots, capacity * sizeof(slots[0]));
    if (slots == NULL) {
        return -ENOMEM;
    }
    h->slots = slots;
    h->capacity = capacity;
    return 0;
}

/*
 * Move the live ones of the entries [from, end) down to `to`, in their order, and give the slots of
 * the dead ones back; returns the index behind the last. Which are dead cannot be predicted, so a
 * mask takes the place of a branch.
 */
static uint32_t sweep_range(struct timer_heap *h, uint32_t from, uint32_t end, uint32_t to)
{
    struct timer_entry *entries = h->entries;
    union timer_slot *slots = h->slots;
    uint32_t free_slot = h->free_slot;
    for (uint32_t i = from; i < end; i++) {
        uint64_t when = entries[i].when;
        uint64_t order = entries[i].order;
        uint32_t slot = (uint32_t)order;
        uintptr_t content = slots[slot].next_free; /* as a number; 0 is NULL */
        uint32_t if_dead = (uint32_t)0 - (content == 0);
        slots[slot].next_free = content | (free_slot & if_dead);
        free_slot = (free_slot & ~if_dead) | ((slot + 1) & if_dead);
        entries[to].when = when;
        entries[to].order = order;
        to += content != 0;
    }
    h->free_slot = free_slot;
    return to;
}

/* Take out the dead entries and move the rest to the start of the array; order and bounds stay. */
static void sweep(struct timer_heap *h)
{
    uint32_t to = 0;
    uint32_t from = h->first;
    for (uint32_t i = h->bound_count; i > 0; i--) {
        struct timer_bound *b = &h->bounds[i - 1];
        to = sweep_range(h, from, b->index, to);
        from = b->index;
        b->index = to;
    }
    h->end = sweep_range(h, from, h->end, to);
    h->first = 0;
    h->dead_count = 0;
}

/* Give memory back after a burst. Slots get new numbers, so that the table can be cut off. */
static void shrink(struct timer_heap *h)
{
    if (h->end - h->first >= h->capacity / SHRINK_PART || h->capacity <= CAPACITY_MIN) {
        return;
    }
    sweep(h);
    uint32_t capacity = 2 * h->end > CAPACITY_MIN ? 2 * h->end : CAPACITY_MIN;
    union timer_slot *slots = malloc(capacity * sizeof(slots[0]));
    if (slots == NULL) {
        return;
    }
    for (uint32_t i = 0; i < h->end; i++) {
        struct timer_entry *e = &h->entries[i];
        struct timer_node *node = h->slots[slot_of(e)].node;
        e->order = (e->order & SEQUENCE_MASK) | i;
        slots[i].node = node;
        node->slot = i + 1;
    }
    free(h->slots);
    h->slots = slots;
    h->slot_count = h->end;
    h->free_slot = 0;
    h->capacity = capacity;
    /* Failing to cut the array off leaves it longer than the capacity says. */
    struct timer_entry *entries = realloc(h->entries, capacity * sizeof(entries[0]));
    if (entries != NULL) {
        h->entries = entries;
    }
}

/* Make room for one more entry at the end. */
static int reserve(struct timer_heap *h)
{
    if (timer_heap_count(h) >= h->count_max) {
        return -ENOMEM;
    }
    if (h->end < h->capacity) {
        return 0;
    }
    if (h->first > h->capacity / 2) {
        uint32_t by = h->first;
        memmove(h->entries, &h->entries[by], (h->end - by) * sizeof(h->entries[0]));
        for (uint32_t i = 0; i < h->bound_count; i++) {
            h->bounds[i].index -= by;
        }
        h->first = 0;
        h->end -= by;
        return 0;
    }
    if (h->capacity > UINT32_MAX / 4) {
        return -ENOMEM;
    }
    return grow(h, h->capacity == 0 ? CAPACITY_MIN : 2 * h->capacity);
}

/* --- the calls ------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    return entry_below(a, b) ? -1 : entry_below(b, a);
}

/* The sequence numbers are used up: begin again, in the order that they gave. */
static void renumber(struct timer_heap *h)
{
    struct timer_entry *e = &h->entries[h->first];
    uint32_t count = h->end - h->first;
    qsort(e, count, sizeof(e[0]), compare_entries);
    for (uint32_t i = 0; i < count; i++) {
        e[i].order = (uint64_t)i << 32 | slot_of(&e[i]);
    }
    h->sequence = count;
    h->bound_count = 0;
    front_cut(h);
}

/* Restore I3 and I4 after the first entry has gone or died. */
static void settle(struct timer_heap *h)
{
    for (;;) {
        uint32_t end = front_end(h);
        while (h->first < end && h->slots[slot_of(&h->entries[h->first])].node == NULL) {
            slot_put(h, slot_of(&h->entries[h->first]));
            h->first++;
            h->dead_count--;
        }
        if (h->first < end) {
            break;
        }
        while (h->bound_count > 0 && front_end(h) == h->first) {
            h->bound_count--;
        }
        if (h->first == h->end) {
            break;
        }
        front_sort(h);
    }
    if (h->first == h->end) {
        h->first = 0;
        h->end = 0;
        h->sequence = 0;
    }
    shrink(h);
    next_store(h, h->first == h->end ? INT64_MAX : timer_deadline_of(h->entries[h->first].when));
}

/* Put an entry that belongs into the front there; the smaller ones move into the place before. */
static void front_insert_down(struct timer_heap *h, struct timer_entry x)
{
    struct timer_entry *e = h->entries;
    uint32_t hole = --h->first;
    uint32_t end = front_end(h);
    while (hole + 1 < end && entry_below(&e[hole + 1], &x)) {
        e[hole] = e[hole + 1];
        hole++;
    }
    e[hole] = x;
}

/* Put an entry where it belongs, through a place at the end of the array. */
static void insert_up(struct timer_heap *h, struct timer_entry x)
{
    struct timer_entry *e = h->entries;
    uint32_t hole = h->end++;
    for (uint32_t i = 0; i < h->bound_count; i++) {
        struct timer_bound *b = &h->bounds[i];
        if (!key_below(x.when, x.order, b->when, b->order)) {
            e[hole] = x;
            return;
        }
        e[hole] = e[b->index];
        hole = b->index++;
    }
    while (hole > h->first && entry_below(&x, &e[hole - 1])) {
        e[hole] = e[hole - 1];
        hole--;
    }
    e[hole] = x;
}

void weft__timer_heap_init(struct timer_heap *h)
{
    memset(h, 0, sizeof(*h));
    h->count_max = UINT32_MAX;
    rng_init(&h->rng, 0); /* any stream will do: it has to be unknown to nobody */
    next_store(h, INT64_MAX);
}

void weft__timer_heap_fini(struct timer_heap *h)
{
    free(h->entries);
    free(h->slots);
    weft__timer_heap_init(h);
}

int weft__timer_heap_insert(struct timer_heap *h, struct timer_node *node, int64_t deadline_ns)
{
    int err = reserve(h);
    if (err < 0) {
        return err;
    }
    if (h->sequence == UINT32_MAX) {
        renumber(h);
    }
    uint32_t slot = slot_get(h);
    h->slots[slot].node = node;
    node->slot = slot + 1;
    node->deadline_ns = deadline_ns;
    struct timer_entry x = {
        .when = when_of(deadline_ns),
        .order = (uint64_t)h->sequence++ << 32 | slot,
    };

    const struct timer_bound *nearest = &h->bounds[h->bound_count - (h->bound_count > 0)];
    if (h->first > 0 && h->bound_count > 0 &&
        key_below(x.when, x.order, nearest->when, nearest->order)) {
        front_insert_down(h, x);
    } else {
        insert_up(h, x);
    }
    front_cut(h);
    next_store(h, timer_deadline_of(h->entries[h->first].when));
    return 0;
}

void weft__timer_heap_remove(struct timer_heap *h, struct timer_node *node)
{
    uint32_t slot = node->slot - 1;
    WEFT_ASSERT(slot < h->slot_count && h->slots[slot].node == node);
    node->slot = 0;
    h->slots[slot].node = NULL;
    h->dead_count++;
    if (slot_of(&h->entries[h->first]) == slot) {
        settle(h);
    } else if (h->dead_count > DEAD_MIN + timer_heap_count(h)) {
        sweep(h);
        shrink(h);
    }
}

struct timer_node *weft__timer_heap_pop(struct timer_heap *h)
{
    const struct timer_entry *e = &h->entries[h->first];
    if (front_end(h) - h->first > FETCH_AHEAD) {
        __builtin_prefetch(h->slots[slot_of(&e[FETCH_AHEAD])].node);
    }
    uint32_t slot = slot_of(e);
    struct timer_node *node = h->slots[slot].node;
    WEFT_ASSERT(node->slot == slot + 1);
    node->slot = 0;
    slot_put(h, slot);
    h->first++;
    settle(h);
    return node;
}
