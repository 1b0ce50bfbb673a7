/* SPDX-License-Identifier: MIT */
/*
 * Stack slabs: mappings that are cut into slots of one class, and what state each slot is in.
 * Private to stack.c and stack_slab.c.
 *
 *     out     with a cache, in use, or in the hands of a call here; in no set
 *     warm    idle in the pool, its header valid, its pages as the last owner left them
 *     old     also warm: was so already when the slab was looked at last
 *     cold    idle, its memory given back, the guard in place
 *     fresh   not used since the slab was mapped; no guard
 *
 *     fresh --refill--> out --spill--> warm --look--> old --release--> cold --refill--> out
 *                        ^---------------refill-------'  '---renew---> fresh
 *
 * Nothing of an idle slot is read or linked through its memory; that is what allows to give it
 * back, in runs of neighbours.
 */
#ifndef WEFT_STACK_SLAB_H
#define WEFT_STACK_SLAB_H

#include "stack.h"

#define SLAB_SLOTS_MAX 256
#define SLOT_SET_WORDS (SLAB_SLOTS_MAX / 64)

struct slot_set {
    uint64_t word[SLOT_SET_WORDS];
};

struct stack_slab {
    /* immutable */
    struct stack_pool *pool;
    char *base;
    uint32_t slot_count;
    uint8_t slot_shift;
    uint8_t stack_class;

    /* under the pool's lock */
    struct list all;
    struct list shelf;
    struct list aging;
    enum stack_place place; /* which shelf; STACK_SLAB_PLACES: none */
    uint32_t epoch;         /* grows when memory is given back */
    int64_t check_ns;       /* when to look for old slots */
    size_t mprotected;      /* guards made by mprotect */
    struct slot_set warm, old, cold, fresh;
};

/* A new slab, on its shelf. Under the lock. NULL: no memory. */
struct stack_slab *weft__stack_slab_create(struct stack_pool *pool, unsigned stack_class);

void weft__stack_slab_destroy(struct stack_slab *slab);

/* Put a slab on the shelf where it belongs now; at its front when it is new there. Under the
 * lock. */
void weft__stack_slab_shelve(struct stack_slab *slab);

/* Make the guard of a slot that is out. Returns 0, 1 when mprotect had to do it, -ENOMEM. */
int weft__stack_slab_guard(struct stack_slab *slab, unsigned i);

/* The same for several slots at once. False: some have none yet, and to try again does no harm. */
bool weft__stack_slab_guard_all(struct stack_slab *slab, const struct slot_set *slots);

/* Have the pages of headers of slots that are out; they come at the first touch, else. */
void weft__stack_slab_populate(struct stack_slab *slab, const struct slot_set *slots);

/*
 * Give back old slots, all of the slab's memory when no slot is out. Under the lock, which is left
 * meanwhile.
 * work: how much is allowed, at least 1; a unit is a call, or 32 slots of one
 * Returns how much of that is left.
 */
unsigned weft__stack_slab_decay(struct stack_slab *slab, unsigned work);

static inline void set_add(struct slot_set *set, unsigned i)
{
    set->word[i / 64] |= (uint64_t)1 << (i % 64);
}

static inline bool set_has(const struct slot_set *set, unsigned i)
{
    return (set->word[i / 64] >> (i % 64)) & 1;
}

static inline bool set_any(const struct slot_set *set)
{
    uint64_t any = 0;
    for (size_t w = 0; w < SLOT_SET_WORDS; w++) {
        any |= set->word[w];
    }
    return any != 0;
}

static inline unsigned set_count(const struct slot_set *set)
{
    unsigned count = 0;
    for (size_t w = 0; w < SLOT_SET_WORDS; w++) {
        count += (unsigned)__builtin_popcountll(set->word[w]);
    }
    return count;
}

static inline void set_unite(struct slot_set *set, const struct slot_set *other)
{
    for (size_t w = 0; w < SLOT_SET_WORDS; w++) {
        set->word[w] |= other->word[w];
    }
}

static inline void set_subtract(struct slot_set *set, const struct slot_set *other)
{
    for (size_t w = 0; w < SLOT_SET_WORDS; w++) {
        set->word[w] &= ~other->word[w];
    }
}

/* Take the lowest slot out of a set that has one. */
static inline unsigned set_pop(struct slot_set *set)
{
    unsigned w = 0;
    while (set->word[w] == 0) {
        w++;
    }
    unsigned bit = (unsigned)__builtin_ctzll(set->word[w]);
    set->word[w] &= set->word[w] - 1;
    return w * 64 + bit;
}

/* The slab's mapping. */
static inline size_t slab_bytes(const struct stack_slab *slab)
{
    return (size_t)slab->slot_count << slab->slot_shift;
}

/* A sixteenth of the slot, see stack.h. */
static inline size_t guard_bytes(const struct stack_slab *slab)
{
    size_t bytes = ((size_t)1 << slab->slot_shift) / 16;
    size_t max = WEFT_STACK_GUARD_MAX;
    bytes = bytes > max ? max : bytes;
    return bytes < slab->pool->page_bytes ? slab->pool->page_bytes : bytes;
}

static inline char *slot_low(const struct stack_slab *slab, unsigned i)
{
    return slab->base + ((size_t)i << slab->slot_shift);
}

static inline struct stack *slot_header(const struct stack_slab *slab, unsigned i)
{
    size_t colour = (size_t)(i % WEFT_STACK_COLOURS) * WEFT_STACK_COLOUR_BYTES;
    return (struct stack *)(void *)(slot_low(slab, i + 1) - WEFT_STACK_HEADER - colour);
}

static inline unsigned slot_index(const struct stack *s)
{
    return (unsigned)((size_t)((const char *)s - s->slab->base) >> s->slab->slot_shift);
}

/* To the front of a list. */
static inline void list_push_first(struct list *l, struct list *node)
{
    list_push_back(l->next, node);
}

#endif
