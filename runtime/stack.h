/* SPDX-License-Identifier: MIT */
/*
 * Stacks for fibers: slots of large mappings, with a guard below each; a pool for a runtime and a
 * cache without locks for each worker.
 *
 *     struct stack *s = stack_cache_get(&cache, stack_class);   (NULL: no memory)
 *     ... run on it, down from weft__stack_top(s) to s->low ...
 *     stack_cache_put(&cache, s);                               (not while running on it)
 *
 *      slot, low end                                                   slot, high end
 *      | guard |  ... untouched ...  | frames | struct stack and its owner's fields | colour |
 *              ^ low                          ^ s, the top of the stack
 *
 * Classes. A class is a promise, a power of two from 16 KiB to 64 MiB. The slot is four times as
 * large (address space, not memory), twice above 1 MiB: room for children that run on their
 * waiter's stack. Slots are aligned to their size.
 *
 * The guard is a sixteenth of the slot, a page to 64 KiB, so that also a frame with a buffer of
 * some pages does not step over it into the neighbour. 16 pages take as long as one, 0.5 us.
 *
 * The header is the first member of its owner's object (a fiber), of WEFT_STACK_HEADER bytes at
 * most. It lies at the top of the stack, in the page that the first frames touch: a suspended task
 * costs one page. Memory of idle slots is given back to the kernel and reads as zeros afterwards,
 * which must be a valid idle object to the owner: an address once handed out stays readable as long
 * as the pool lives. What must never repeat is derived from `epoch`, which is new after that.
 *
 * The colour: slot i's header and stack begin (i mod 16) * 128 bytes lower. Without it the hot
 * lines of all stacks fall in the same few sets of the L1 cache. Round robin, ns a switch, fibers
 * that touch two lines of header and two frames:   16 fibers  1000 fibers  10 000 fibers
 *     no colour                          21         130          500
 *     stacks coloured, headers not       17          92          380
 *     both                                9.7        22          240
 * 32 steps of 64 do the same. Colour, header and 1.2 KiB of frames still share the page.
 *
 * Giving memory back happens only in weft__stack_cache_decay, called by a worker that is about to
 * sleep. An idle runtime must make no system calls, so there is no timer: the call returns by when
 * this worker wants to be called again, which is the deadline of its sleep. See stack.c.
 */
#ifndef WEFT_STACK_H
#define WEFT_STACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"
#include "check.h"
#include "list.h"

#define WEFT_STACK_CLASSES 13
#define WEFT_STACK_HEADER 256
#define WEFT_STACK_COLOURS 16
#define WEFT_STACK_COLOUR_BYTES 128
#define WEFT_STACK_GUARD_MAX (64 * 1024)

/* What a task that sleeps or receives has on its stack: so many lines are fetched ahead. */
#define STACK_FETCH_LINES 6u
/* Of its header, those that each start and wait touches. */
#define STACK_HEADER_LINES 3u

/* A time that never comes. */
#define STACK_NEVER INT64_MAX

struct stack_slab;
struct stack_pool;

/* Owner: who has the stack; zero while its memory is given back. */
struct stack {
    struct stack *next; /* in the cache's list */
    char *low;          /* lowest usable address; the guard is below */
    struct stack_slab *slab;
    uint32_t epoch;      /* how often the slab has given memory back; see above */
    uint8_t stack_class; /* immutable */
};

/* An owner's object: the stack is its first member and it fits. */
#define WEFT_STACK_EMBEDS(type, member) \
    _Static_assert(offsetof(type, member) == 0 && sizeof(type) <= WEFT_STACK_HEADER, \
                   #type " is the header of its stack's slot")

/* What tests and simulations change; all zero: the defaults. */
struct stack_options {
    bool refuse_madvise; /* as if the kernel did not know MADV_GUARD_INSTALL */
    size_t guard_max;    /* guards by mprotect in this process; 0: as the kernel's limit allows */
    int64_t decay_ns;    /* idle so long before memory is given back; 0: 10 s; < 0: never */
};

/* Stacks of one class in a cache. Owner: the worker. */
struct stack_bin {
    struct stack *head; /* linked by next, last put first */
    uint16_t count;
    uint16_t max;  /* immutable: when there are more, half goes to the pool */
    uint16_t keep; /* immutable: what a sleeping worker keeps */
    uint16_t want; /* unused slots to ask for next time; doubles */
};

/* A worker's own stacks. Owner: the worker. */
struct stack_cache {
    struct stack_pool *pool; /* immutable */
    int64_t trim_due_ns;     /* not before, what is above `keep` goes to the pool */
    struct stack_bin bin[WEFT_STACK_CLASSES];
};

/* Slabs of one class with something to hand out, see stack.c. */
enum stack_place { STACK_SLAB_WARM, STACK_SLAB_BARE, STACK_SLAB_PLACES };

struct stack_pool {
    /* immutable after init */
    struct stack_options options;
    size_t page_bytes;

    pthread_mutex_t lock;
    /* under the lock */
    struct list shelf[WEFT_STACK_CLASSES][STACK_SLAB_PLACES]; /* of stack_slab.shelf */
    struct list slabs;                                        /* all of them, by stack_slab.all */
    struct list aging; /* with warm slots, by stack_slab.aging, ordered by check_ns */
    size_t slab_count;
    char *hint; /* where the next slab may fit */

    /* written under the lock, read by anybody */
    _Atomic(int64_t) decay_due_ns; /* check_ns of the first in `aging`, or STACK_NEVER */
    _Atomic(size_t) stacks;        /* slots that may have memory: in use, cached or idle */

    _Atomic(struct stack_cache *) keeper; /* whose worker wakes for decay_due_ns; NULL: nobody */
};

/*
 * The class for a promise.
 * Context: any thread     Blocks: nothing
 * Returns 0 .. WEFT_STACK_CLASSES - 1, or -EINVAL below 1 or above 64 MiB.
 */
int weft__stack_class(size_t stack_bytes);

/* What a class promises, in bytes. */
static inline size_t stack_promise_bytes(unsigned stack_class)
{
    return (size_t)(16 * 1024) << stack_class;
}

/*
 * Context: any thread     Blocks: nothing
 * options: NULL for the defaults
 * Returns 0 or -ENOMEM.
 */
int weft__stack_pool_init(struct stack_pool *pool, const struct stack_options *options);

/*
 * Unmap everything. No cache is left, and nobody runs on a stack or looks at one. Works in a forked
 * child too, whatever the parent's threads were doing.
 */
void weft__stack_pool_fini(struct stack_pool *pool);

void weft__stack_cache_init(struct stack_cache *cache, struct stack_pool *pool);

/* Hand everything to the pool. Context: the owner, or when the owner is gone. */
void weft__stack_cache_fini(struct stack_cache *cache);

/* The cold parts of get and put. Context: owner of the cache. */
struct stack *weft__stack_cache_refill(struct stack_cache *cache, unsigned stack_class);
void weft__stack_cache_spill(struct stack_cache *cache, unsigned stack_class, unsigned keep);

/*
 * Give back what has been idle for long enough. For a worker about to sleep.
 * Context: owner of the cache     Blocks: up to about a millisecond, in bounded portions
 * now_ns: any monotonic clock, always the same one
 * Returns when this worker has to call again: STACK_NEVER, or a time to wake up for, at most once
 * per decay_ns; not later than now_ns: there is more to do now, look for work first.
 */
int64_t weft__stack_cache_decay(struct stack_cache *cache, int64_t now_ns);

/*
 * The pool's part of it; `everything`: also what has become idle just now, in one go.
 * Context: any thread     Blocks: as above; with `everything` without bound
 * Returns when the next part is due, or STACK_NEVER.
 */
int64_t weft__stack_pool_decay(struct stack_pool *pool, int64_t now_ns, bool everything);

/*
 * The most that has been used of a stack, in whole pages from the slot's end. Pages that have been
 * swapped out do not count.
 * Context: any thread, while the stack is out     Blocks: nothing
 */
size_t weft__stack_high_water(const struct stack *s);

/* Bytes of address space between the guard and the end of the slot. */
size_t weft__stack_reserved_bytes(const struct stack *s);

/* The first address above the stack; what runs on it begins below. */
static inline void *weft__stack_top(const struct stack *s)
{
    return (char *)(uintptr_t)s;
}

/*
 * Whether a fault at an address is an overflow of this stack: it is in the guard, or so close below
 * the stack that a large frame may have gone there.
 * Context: async-signal
 */
static inline bool weft__stack_is_guard(const struct stack *s, const void *address)
{
    uintptr_t below = (uintptr_t)s->low - (uintptr_t)address;
    return s->low != NULL && below - 1 < WEFT_STACK_GUARD_MAX;
}

/*
 * Take a stack; the rest of its header is as the last owner left it, or zero.
 * Context: owner of the cache     Blocks: nothing
 * Returns NULL when there is no memory; nothing has changed then.
 */
static inline struct stack *stack_cache_get(struct stack_cache *cache, unsigned stack_class)
{
    struct stack_bin *bin = &cache->bin[stack_class];
    struct stack *s = bin->head;
    if (WEFT_UNLIKELY(s == NULL)) {
        return weft__stack_cache_refill(cache, stack_class);
    }
    bin->head = s->next;
    bin->count--;
    return s;
}

/* Give a stack back, from whatever cache it came. Context: owner of the cache, on another stack. */
static inline void stack_cache_put(struct stack_cache *cache, struct stack *s)
{
    unsigned stack_class = s->stack_class;
    struct stack_bin *bin = &cache->bin[stack_class];
    s->next = bin->head;
    bin->head = s;
    if (WEFT_UNLIKELY(++bin->count > bin->max)) {
        weft__stack_cache_spill(cache, stack_class, bin->max / 2u);
    }
}

#endif
