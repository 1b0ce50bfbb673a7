/* SPDX-License-Identifier: MIT */
/*
 * Look: one thread at a time looks at things of others; who takes such a thing away says so, and
 * then waits for the look that is under way, if any.
 *
 *     looker:  if (look_begin(l)) { if (!is_gone) { ... } look_end(l); }
 *     owner:   is_gone = true;  weft__look_pass(l);  take it away
 *
 * The word counts begins and ends: odd while somebody looks. The owner waits until it moves, not
 * until it is free, which those who look again and again might never let it see.
 *
 * Pairs
 *   P1  look_begin: the word, CAS; then is_gone  <-> owner: is_gone, seq_cst; then pass: the word,
 *       all seq_cst                                one sees the other
 *   P2  look_end: the word, release  -> begin, pass: the word, acquire      what the looker did
 *
 * Tested: tests/model/model_look.c (all interleavings).
 */
#ifndef WEFT_LOOK_H
#define WEFT_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"

/* Zeroed memory is a free one. */
struct look {
    _Atomic(uint32_t) count;
};

/* Begin to look, unless somebody else does. What may be gone is asked for afterwards, seq_cst.
 * Context: any thread. */
static inline bool look_begin(struct look *l)
{
    uint32_t count = atomic_load_relaxed(&l->count); /* ORD none: the CAS checks it */
    /* ORD P1: before the question what is gone. */
    /* ORD P2: what those before did. */
    return count % 2 == 0 && atomic_cas_seq_cst(&l->count, &count, count + 1);
}

/* Context: who began. */
static inline void look_end(struct look *l)
{
    uint32_t count = atomic_load_relaxed(&l->count); /* ORD none: nobody else writes it now */
    atomic_store_release(&l->count, count + 1);      /* ORD P2: what we did */
}

/* Wait for the look that is under way. The caller has said, seq_cst, what is gone: those who look
 * later see it. Context: any thread that is not looking. */
void weft__look_pass(struct look *l);

#endif
