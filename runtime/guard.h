/* SPDX-License-Identifier: MIT */
/*
 * Guard: mutual exclusion between an owner, who enters all the time, and claimers, who hardly ever
 * come and never wait.
 *
 *     owner:    guard_enter(g);  ...  guard_leave(g);              two plain stores and a load
 *     claimer:  if (weft__guard_claim(g)) { ... guard_unclaim(g); }
 *
 * The owner says that it is inside, then looks for a claim; a claimer claims, then looks whether
 * the owner is inside. The asymmetric barrier (barrier.h) between the two sees to it that one of
 * them sees the other. Both at once: the claimer gives way, so the owner waits at most for a
 * claimer that was there first, and nobody waits for the owner.
 *
 * Pairs
 *   P1  enter: is_inside, relaxed; light barrier; then is_claimed
 *       <-> claim: is_claimed, CAS; heavy barrier; then is_inside
 *           one sees the other
 *   P2  leave: is_inside, release     -> claim: is_inside, acquire      what the owner did
 *   P3  unclaim: is_claimed, release  -> enter, claim: is_claimed, acquire
 *                                                                       what the claimer did
 * Tested: tests/model/model_guard.c (all interleavings).
 */
#ifndef WEFT_GUARD_H
#define WEFT_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "barrier.h"
#include "check.h"

/* Zeroed memory is a free one. */
struct guard {
    _Atomic(uint32_t) is_inside;  /* the owner; written by it */
    _Atomic(uint32_t) is_claimed; /* a claimer; written by claimers */
};

/* Wait until a claimer has gone. Context: the owner, which has said that it is inside. */
void weft__guard_await(struct guard *g);

/* Context: the owner, outside. */
static inline void guard_enter(struct guard *g)
{
    /* ORD P1: before the look for a claim. */
    atomic_store_relaxed(&g->is_inside, 1);
    barrier_light();
    /* ORD P1: after we said so. */
    /* ORD P3: what the claimer before did. */
    if (WEFT_UNLIKELY(atomic_load_acquire(&g->is_claimed) != 0)) {
        weft__guard_await(g);
    }
}

/* Context: the owner, inside. */
static inline void guard_leave(struct guard *g)
{
    atomic_store_release(&g->is_inside, 0); /* ORD P2: what we did */
}

/* Take the owner's place, if it is outside and nobody else has it. Context: any thread but the
 * owner's. */
bool weft__guard_claim(struct guard *g);

/* Context: the claimer. */
static inline void guard_unclaim(struct guard *g)
{
    atomic_store_release(&g->is_claimed, 0); /* ORD P3: what we did */
}

#endif
