/* SPDX-License-Identifier: MIT */
/*
 * Idle: who searches for work, who sleeps, and whom to wake.
 *
 * A wake costs microseconds, so they are rationed: new work wakes a sleeper only when nobody is
 * searching, and a searcher that finds some and was the last one searching wakes the next. At most
 * half the workers search at a time.
 *
 * One word for a group of up to 48 workers:
 *   bits 0..47   worker i sleeps, and nobody has woken it yet
 *   bits 48..63  how many are searching (or were woken to search and have not come to it yet)
 * so each transition is one compare-and-swap, and no two parts can disagree. Larger runtimes have
 * several groups; the protocol is that of one, and a waker looks at its own group first.
 *
 *   running --enter_search--> searching --park--> parked --wake (by another)--> searching
 *      ^------leave_search-------'                   '--unpark (by itself)----> running
 *
 * A worker goes to sleep so: publish "parked" (leaving the searchers); unless others are searching
 * still, look at every queue once more; sleep. If that look finds work it is a searcher again:
 * others may have parked because it was one, and there may be more than it takes. A searcher that
 * has found something leaves the searchers and, if it was the last one and somebody sleeps, looks
 * at every queue once more and wakes one if they hold anything. New work is published so: push it,
 * look at the word.
 *
 * Invariants
 *   I1  a sleeping worker whose bit is clear has been woken: exactly one waker, the one that
 *       cleared the bit, has raised the searching count for it and calls its poller's wake.
 *   I2  work in a queue while a bit is set and nobody searches is only possible between a push and
 *       the look of the one who pushed, or between a park and the look of the one who parks.
 *
 * Why no wake is lost: let the push be of work x, and let somebody sleep. If the pusher's look sees
 * no searcher, it wakes one. If it sees some, then each of them leaves the searchers after that
 * look, and the last of them to leave, parking or running, looks at the queues after the push (P1):
 * it finds x there, or somebody has taken it. If the pusher's look does not see the sleeper's bit,
 * the bit was set later, and the sleeper either looked at the queues after the push, or saw a
 * searcher when it set the bit, for whom the same holds. Two groups: a parker of one trusts only
 * searchers of its own.
 *
 * A task that yields goes to the end of a queue when the next item has left it: for a moment that
 * queue looks empty, and a look then misses both. To offer each task that yields would ask the word
 * each time for work that had been offered. So looks are counted: who replaces an item and finds
 * the count as it was at its last offer, need not offer: each look began before that offer, which
 * found whom there was to find, or it will see the item (P1). A count has 32 bits; a worker would
 * have to miss all of 2^32 looks to be wrong.
 *
 * Pairs
 *   P1  park, leave: word, looks, seq_cst; heavy barrier; then the queues
 *       <-> notify: the queue, release; light barrier; then word or looks, seq_cst
 *           one sees the other
 *   P2  wake: word, seq_cst (CAS) -> unpark: word, seq_cst                 I1
 *
 * Tested: tests/model/model_idle.c (all interleavings).
 */
#ifndef WEFT_IDLE_H
#define WEFT_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "barrier.h"
#include "check.h"

#ifndef IDLE_GROUP
#define IDLE_GROUP 48
#endif
#define IDLE_GROUPS_MAX 6
#define IDLE_SEARCHING_SHIFT 48
#define IDLE_SEARCHING_ONE ((uint64_t)1 << IDLE_SEARCHING_SHIFT)
#define IDLE_PARKED_MASK (IDLE_SEARCHING_ONE - 1)
#define IDLE_NOBODY (-1)

struct idle_group {
    _Alignas(WEFT_CACHE_LINE) _Atomic(uint64_t) word;
};

struct idle {
    unsigned workers; /* immutable */
    unsigned groups;  /* immutable */
    struct idle_group group[IDLE_GROUPS_MAX];
    _Alignas(WEFT_CACHE_LINE) _Atomic(uint32_t) looks; /* last looks that were begun */
};

static inline void idle_init(struct idle *idle, unsigned workers)
{
    idle->workers = workers;
    idle->groups = (workers + IDLE_GROUP - 1) / IDLE_GROUP;
    for (unsigned g = 0; g < IDLE_GROUPS_MAX; g++) {
        atomic_store_relaxed(&idle->group[g].word, 0); /* ORD none: not shared yet */
    }
    atomic_store_relaxed(&idle->looks, 0); /* ORD none: as above */
}

static inline bool idle_somebody_should_wake(uint64_t word)
{
    return (word & IDLE_PARKED_MASK) != 0 && word < IDLE_SEARCHING_ONE;
}

/*
 * Choose a sleeper to wake for work that was just pushed; the caller then calls its poller's wake.
 * Returns its index, or IDLE_NOBODY. The caller has pushed and passed barrier_light (or a seq_cst
 * read-modify-write) before. Context: any thread; near: a worker in the group to begin with.
 */
int weft__idle_claim_slow(struct idle *idle, unsigned near);

/* Whether that may find one. Context: as there. */
static inline bool idle_should_wake(struct idle *idle)
{
    if (WEFT_UNLIKELY(idle->groups != 1)) {
        return true;
    }
    /* ORD P1: the work was pushed before; if the bit is missed here, the parker sees the work. */
    return WEFT_UNLIKELY(idle_somebody_should_wake(atomic_load_seq_cst(&idle->group[0].word)));
}

static inline int idle_claim(struct idle *idle, unsigned near)
{
    return idle_should_wake(idle) ? weft__idle_claim_slow(idle, near) : IDLE_NOBODY;
}

/*
 * Wake this worker if it sleeps. True: the caller cleared the bit and has to call its poller's
 * wake. The caller has pushed to the worker's inbox by a seq_cst read-modify-write before.
 */
bool weft__idle_claim_one(struct idle *idle, unsigned index);

/* Become a searcher, unless half of the group's workers are. Context: a running worker. */
bool weft__idle_enter_search(struct idle *idle, unsigned index);

/* Found work. True when it was the last one searching: then it should wake another. */
bool weft__idle_leave_search(struct idle *idle, unsigned index);

/*
 * Publish "parked". True: nobody of the group is searching, and the caller must pass the heavy
 * barrier and look at all queues once more before it sleeps.
 */
bool weft__idle_park(struct idle *idle, unsigned index, bool was_searching);

/* Last looks that were begun. Context: any thread, after a push and barrier_light. */
static inline uint32_t idle_looks(struct idle *idle)
{
    return atomic_load_seq_cst(&idle->looks); /* ORD P1: a look that is missed here sees the push */
}

/* Whether anybody sleeps. A hint for those who would otherwise look for work to wake
 * somebody for. */
static inline bool idle_has_sleepers(struct idle *idle)
{
    for (unsigned g = 0; g < idle->groups; g++) {
        /* ORD P1: after the leaving; a bit set later is followed by its owner's own look. */
        if ((atomic_load_seq_cst(&idle->group[g].word) & IDLE_PARKED_MASK) != 0) {
            return true;
        }
    }
    return false;
}

/* Whether a worker sleeps, a moment ago. Context: any thread. */
static inline bool idle_is_parked(struct idle *idle, unsigned index)
{
    /* ORD none: a hint. */
    uint64_t word = atomic_load_relaxed(&idle->group[index / IDLE_GROUP].word);
    return (word >> (index % IDLE_GROUP) & 1) != 0;
}

/* Whether all workers but this one slept, a moment ago. Context: any thread. */
bool weft__idle_others_sleep(struct idle *idle, unsigned index);

/*
 * Not sleeping any more. True: it counts as searching, because another has woken it or, with
 * to_search, anyhow: for one whose last look has found work, which others may have seen it park on.
 */
bool weft__idle_unpark(struct idle *idle, unsigned index, bool to_search);

#endif
