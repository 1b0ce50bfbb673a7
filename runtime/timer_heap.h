/* SPDX-License-Identifier: MIT */
/*
 * Deadlines in order, for one owner at a time (a lock outside): arm, disarm, what is due.
 *
 * Order is exact: by deadline, and those with equal deadlines in the order of their insertion.
 * Any int64_t is a deadline. A node is embedded in what has the deadline; zeroed memory is a valid
 * node that is not armed.
 *
 * How it works
 *   This is a quickheap: a quicksort that stops as soon as it knows the smallest. The entries are
 *   an array, cut into chunks by bounds:
 *
 *       first        bounds[n-1]       bounds[n-2]                     bounds[0]          end
 *         | front: sorted | chunk: any order | chunk: any order, larger ... | chunk         |
 *
 *   Each bound is a key (a value, not an entry); what stands before it is smaller, what stands from
 *   it on is not. Only the front is in order. When it is used up, the next chunk is partitioned by
 *   random pivots, which become bounds, until a front of at most FRONT_SORT entries is left, and
 *   that is sorted. So work is done in sequential passes, and none is spent on far deadlines before
 *   they come near: most timeouts are disarmed long before.
 *
 *   insert  A far deadline is appended. Any other one takes the place of the first entry of the
 *           chunk behind its own, which moves to the end of that chunk, and so on: one move a
 *           chunk. In the front the place is found by shifting. A front that has grown to FRONT_MAX
 *           is cut in half by a new bound; then chunks that are not larger than the one before them
 *           are joined with it, so that inserting alone makes log n chunks.
 *   remove  An entry names its node by a number (slot) in a table. The table's place is cleared,
 *           and the entry is passed over when it comes to the front. Once such dead entries
 *           outnumber the live ones, a sweep takes them out. The node is not touched any more.
 *   pop     The first of the front. What follows is known, so the nodes, which may be anywhere in
 *           memory, are fetched ahead.
 *
 * Costs
 *   Amortised: O(1) for a far deadline that is removed again, else O(log n) for an insert and its
 *   pop. The price is that single calls pass over many entries: with a million armed at random the
 *   first pop takes 5 ms and later ones at most half of that, with 10,000 of them 50 us.
 *
 *   Measured against heaps of {deadline, node} with the position in the node, prefetching, each
 *   node on a page of its own; their time divided by this one's (medians of 7):
 *
 *       armed:                                 4-ary  100  10 k   1 M   binary  100  10 k   1 M
 *       arm all at random, then expire all            0.9   1.2   1.9           0.9   1.3   2.9
 *       expire the nearest, arm it again              1.1   1.6   2.7           1.1   1.6   4.9
 *       disarm any, arm it for later than all         0.9   1.0   0.9           1.5   1.3   1.7
 *       a short sleep among far deadlines             3.7   7.7    11           4.3   9.3    16
 *       arm in falling order, then expire all         0.6   0.7   1.2           0.5   0.8   1.4
 *
 * Invariants, between calls
 *   I1  entries[first .. end) are the live ones and dead_count dead ones; each has a slot of its
 *       own
 *   I2  entries before bounds[i].index are below bounds[i], those from it on are not;
 *       bounds[i].index never grows with i
 *   I3  the front, up to the nearest bound or the end, is sorted; unless there is no entry at all,
 *       it is not empty and begins with a live one
 *   I4  next_ns is the first entry's deadline, or INT64_MAX
 *
 * Rejected
 *   A binary or 4-ary heap: see above. With many entries nearly all of its time is waiting for
 *   memory: in the array, and for the nodes that have to be told their new position.
 *   A hierarchical wheel: the order within a tick is lost, and far deadlines are moved many times.
 *   A pairing heap: its links are in the nodes, so each step is a miss of the cache and of the TLB.
 *
 * Tested in tests/unit/test_timer_heap.c. Paper: Navarro and Paredes, "On Sorting, Heaps, and
 * Minimum Spanning Trees" (Algorithmica 57, 2010).
 */
#ifndef WEFT_TIMER_HEAP_H
#define WEFT_TIMER_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"
#include "check.h"
#include "rng.h"

/*
 * More bounds than this are not kept: forgetting the farthest one is always allowed, it joins two
 * chunks. Partitioning by medians of samples makes about 1.3 log2(n / FRONT_SORT) of them: 20 for a
 * million.
 */
#define TIMER_HEAP_BOUND_MAX 48

/* Embedded in what has a deadline. */
struct timer_node {
    int64_t deadline_ns; /* of the last insert; stays readable */
    uint32_t slot;       /* 0: not in a heap; else number + 1 in the table of its heap */
};

/* The key is (when, order). */
struct timer_entry {
    uint64_t when;  /* the deadline, mapped to unsigned in the same order */
    uint64_t order; /* upper half: sequence number of the insertion; lower half: slot */
};

struct timer_bound {
    uint64_t when;
    uint64_t order;
    uint32_t index; /* of the first entry that is not below */
};

/* A node in use, NULL for a dead entry's, or the next free slot + 1. */
union timer_slot {
    struct timer_node *node;
    uintptr_t next_free;
};

struct timer_heap {
    /* written under the lock, read by everyone */
    _Atomic(int64_t) next_ns; /* I4 */
    /* under the lock */
    struct timer_entry *entries;
    union timer_slot *slots;
    uint32_t capacity;   /* of both arrays */
    uint32_t first;      /* index of the nearest entry */
    uint32_t end;        /* index behind the last entry */
    uint32_t dead_count; /* entries whose node was removed */
    uint32_t sequence;   /* of the next insertion */
    uint32_t free_slot;  /* the last one given back, + 1; 0: none */
    uint32_t slot_count; /* slots ever used: those from here on are fresh */
    uint32_t count_max;  /* a limit of the number of entries, for tests of -ENOMEM */
    uint32_t bound_count;
    struct rng rng;
    struct timer_bound bounds[TIMER_HEAP_BOUND_MAX]; /* the nearest is the last */
};

/* A deadline is kept as an unsigned number, in the same order. */
static inline int64_t timer_deadline_of(uint64_t when)
{
    return (int64_t)(when ^ ((uint64_t)1 << 63));
}

void weft__timer_heap_init(struct timer_heap *h);
void weft__timer_heap_fini(struct timer_heap *h);
int weft__timer_heap_insert(struct timer_heap *h, struct timer_node *node, int64_t deadline_ns);
void weft__timer_heap_remove(struct timer_heap *h, struct timer_node *node);
struct timer_node *weft__timer_heap_pop(struct timer_heap *h);

/*
 * The calls. Context of all but timer_heap_next_hint: under the lock. Blocks: nothing.
 */

/* Cannot fail: memory is allocated by the first insert. */
static inline void timer_heap_init(struct timer_heap *h)
{
    weft__timer_heap_init(h);
}

/* Give the memory back. Nodes that are still armed are forgotten, and must not be used again. */
static inline void timer_heap_fini(struct timer_heap *h)
{
    weft__timer_heap_fini(h);
}

/* The number of armed nodes. */
static inline uint32_t timer_heap_count(const struct timer_heap *h)
{
    return h->end - h->first - h->dead_count;
}

/* The nearest deadline; INT64_MAX when nothing is armed. */
static inline int64_t timer_heap_next(struct timer_heap *h)
{
    return atomic_load_relaxed(&h->next_ns); /* ORD none: written under the lock */
}

/* The same a moment ago. Context: any thread. */
static inline int64_t timer_heap_next_hint(struct timer_heap *h)
{
    return atomic_load_relaxed(&h->next_ns); /* ORD none: a hint, whoever acts on it locks */
}

/* Call the nearest deadline the 0th: the nth one, or one before it if some were disarmed; INT64_MAX
 * when it is too far to be in order, or there is none. */
static inline int64_t timer_heap_nth(const struct timer_heap *h, uint32_t n)
{
    uint32_t end = h->bound_count > 0 ? h->bounds[h->bound_count - 1].index : h->end;
    return end - h->first > n ? timer_deadline_of(h->entries[h->first + n].when) : INT64_MAX;
}

/* Arm a node that is not armed. Returns 0, or -ENOMEM: nothing changed. */
static inline int timer_heap_insert(struct timer_heap *h, struct timer_node *node,
                                    int64_t deadline_ns)
{
    WEFT_ASSERT(node->slot == 0);
    return weft__timer_heap_insert(h, node, deadline_ns);
}

/* Disarm. False when the node was not armed. It is not touched any more after the call. */
static inline bool timer_heap_remove(struct timer_heap *h, struct timer_node *node)
{
    if (node->slot == 0) {
        return false;
    }
    weft__timer_heap_remove(h, node);
    return true;
}

/* Take out the nearest node whose deadline is at or before now; NULL when there is none. */
static inline struct timer_node *timer_heap_pop_due(struct timer_heap *h, int64_t now_ns)
{
    if (timer_heap_next(h) > now_ns || h->first == h->end) {
        return NULL;
    }
    return weft__timer_heap_pop(h);
}

static inline bool timer_node_is_armed(const struct timer_node *node)
{
    return node->slot != 0;
}

#endif
