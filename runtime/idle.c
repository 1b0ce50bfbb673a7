/* SPDX-License-Identifier: MIT */
/* Idle accounting; the protocol and its argument are in idle.h. */
#include "idle.h"

static _Atomic(uint64_t) *idle_word(struct idle *idle, unsigned index)
{
    return &idle->group[index / IDLE_GROUP].word;
}

static uint64_t idle_bit(unsigned index)
{
    return (uint64_t)1 << (index % IDLE_GROUP);
}

/* How many workers belong to the group of a worker. */
static unsigned idle_group_workers(const struct idle *idle, unsigned index)
{
    unsigned before = index / IDLE_GROUP * IDLE_GROUP;
    unsigned here = idle->workers - before;
    return here < IDLE_GROUP ? here : IDLE_GROUP;
}

/* Claim the lowest sleeper of a group. */
static int idle_claim_in(struct idle *idle, unsigned g)
{
    _Atomic(uint64_t) *word = &idle->group[g].word;
    /* ORD P1: as in idle_claim. */
    uint64_t old = atomic_load_seq_cst(word);
    while (idle_somebody_should_wake(old)) {
        unsigned bit = (unsigned)__builtin_ctzll(old & IDLE_PARKED_MASK);
        uint64_t new = (old & ~((uint64_t)1 << bit)) + IDLE_SEARCHING_ONE;
        /* ORD P2: the sleeper sees that it was woken. */
        if (atomic_cas_seq_cst(word, &old, new)) {
            return (int)(g * IDLE_GROUP + bit);
        }
    }
    return IDLE_NOBODY;
}

int weft__idle_claim_slow(struct idle *idle, unsigned near)
{
    unsigned first = near / IDLE_GROUP;
    for (unsigned i = 0; i < idle->groups; i++) {
        unsigned g = (first + i) % idle->groups;
        int found = idle_claim_in(idle, g);
        if (found != IDLE_NOBODY) {
            return found;
        }
        /* ORD P1: a searcher of any group looks at all queues. */
        if (atomic_load_seq_cst(&idle->group[g].word) >= IDLE_SEARCHING_ONE) {
            return IDLE_NOBODY;
        }
    }
    return IDLE_NOBODY;
}

bool weft__idle_claim_one(struct idle *idle, unsigned index)
{
    _Atomic(uint64_t) *word = idle_word(idle, index);
    uint64_t bit = idle_bit(index);
    /* ORD P1: the message was pushed before. */
    uint64_t old = atomic_load_seq_cst(word);
    while ((old & bit) != 0) {
        /* ORD P2: the sleeper sees that it was woken. */
        if (atomic_cas_seq_cst(word, &old, (old & ~bit) + IDLE_SEARCHING_ONE)) {
            return true;
        }
    }
    return false;
}

bool weft__idle_enter_search(struct idle *idle, unsigned index)
{
    _Atomic(uint64_t) *word = idle_word(idle, index);
    unsigned limit = (idle_group_workers(idle, index) + 1) / 2;
    uint64_t old = atomic_load_relaxed(word); /* ORD none: the CAS checks it */
    do {
        if ((old >> IDLE_SEARCHING_SHIFT) >= limit) {
            return false;
        }
        /* ORD P1: who sees this searcher relies on its looking at the queues later. */
    } while (!atomic_cas_seq_cst(word, &old, old + IDLE_SEARCHING_ONE));
    return true;
}

bool weft__idle_leave_search(struct idle *idle, unsigned index)
{
    /* ORD P1: the look for more work that follows comes after. */
    uint64_t old = atomic_sub_seq_cst(idle_word(idle, index), IDLE_SEARCHING_ONE);
    WEFT_ASSERT(old >= IDLE_SEARCHING_ONE);
    bool is_last = old < 2 * IDLE_SEARCHING_ONE;
    if (is_last) {
        (void)atomic_add_seq_cst(&idle->looks, 1); /* ORD P1: as above */
    }
    return is_last;
}

bool weft__idle_park(struct idle *idle, unsigned index, bool was_searching)
{
    uint64_t change = idle_bit(index) - (was_searching ? IDLE_SEARCHING_ONE : 0);
    /* ORD P1: comes before the last look at the queues. */
    uint64_t old = atomic_add_seq_cst(idle_word(idle, index), change);
    WEFT_ASSERT((old & idle_bit(index)) == 0);
    bool must_look = old + change < IDLE_SEARCHING_ONE;
    if (must_look) {
        (void)atomic_add_seq_cst(&idle->looks, 1); /* ORD P1: as above */
    }
    return must_look;
}

bool weft__idle_unpark(struct idle *idle, unsigned index, bool to_search)
{
    _Atomic(uint64_t) *word = idle_word(idle, index);
    uint64_t bit = idle_bit(index);
    uint64_t counted = to_search ? IDLE_SEARCHING_ONE : 0;
    /* ORD P2: a waker that came first has cleared the bit and counted us as searching. */
    uint64_t old = atomic_load_seq_cst(word);
    while ((old & bit) != 0) {
        /* ORD P1: who sees this searcher relies on its looking at the queues later. */
        if (atomic_cas_seq_cst(word, &old, (old & ~bit) + counted)) {
            return to_search;
        }
    }
    return true;
}

bool weft__idle_others_sleep(struct idle *idle, unsigned index)
{
    unsigned asleep = idle_is_parked(idle, index) ? 0 : 1;
    for (unsigned g = 0; g < idle->groups; g++) {
        /* ORD none: a hint. */
        uint64_t word = atomic_load_relaxed(&idle->group[g].word);
        asleep += (unsigned)__builtin_popcountll(word & IDLE_PARKED_MASK);
    }
    return asleep >= idle->workers;
}
