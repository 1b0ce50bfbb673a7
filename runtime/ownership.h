/* SPDX-License-Identifier: MIT */
/*
 * Ownership: of a deque, whose owner takes by loads and stores as long as there are no thieves.
 *
 * An exchange costs twenty times what a load and a store do, for thieves who hardly ever come. So
 * there is a mode: in an owned deque the owner takes by a load and a store, and says by `is_taking`
 * when it is in the middle of that. A thief first opens the deque: it asks, has every running
 * thread pass a barrier, after which the owner sees that it is asked, and waits until the owner is
 * not in the middle of a take that it began before. Then owner and thieves exchange, until the
 * owner, which has seen no thief for a while, owns the deque again. Thieves are counted while they
 * steal: if there is one just now, it leaves the deque open.
 *
 *      owned --a thief asks--> asked --is_taking was seen 0--> open --no thief is counted--> owned
 *
 * Invariant
 *   I1  while a counted thief has seen "open", nobody takes but by exchanges.
 *
 * Pairs
 *   P1  take: is_taking; light barrier; then mode
 *       <-> open: mode, seq_cst; heavy barrier; then is_taking     one sees the other
 *   P2  end: is_taking, release -> open: is_taking, acquire        what the owner took
 *   P3  open: mode, release     -> enter: mode, seq_cst            the same, for other thieves
 *   P4  own: mode, seq_cst; then thieves, seq_cst
 *       <-> enter: thieves, seq_cst; then mode, seq_cst            one sees the other
 *   P5  leave: thieves, release -> own: thieves, seq_cst           what thieves took
 *
 * Costs: two stores and a load a take; to open it a heavy barrier, 2 us, and a moment of all who
 * run: so it is not owned again before there was no thief for long (steal.c). Where the kernel has
 * no such barrier it stays open.
 *
 * Tested: tests/model/model_deque.c (all interleavings), tests/stress/stress_deque.c.
 */
#ifndef WEFT_OWNERSHIP_H
#define WEFT_OWNERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "barrier.h"
#include "check.h"

/* How often a thief looks whether the owner has ended its take: a few instructions, unless it has
 * lost its processor meanwhile. Then the thief comes again later. */
#ifndef OWNERSHIP_TRIES
#define OWNERSHIP_TRIES 64
#endif

enum ownership_mode {
    OWNERSHIP_OPEN,  /* owner and thieves, by exchanges; zeroed memory */
    OWNERSHIP_ASKED, /* a thief has come; the owner may be in the middle of a take without */
    OWNERSHIP_OWNED, /* the owner alone, without exchanges */
};

/* Beside what the owner writes with each take. */
struct ownership {
    _Atomic(uint32_t) is_taking; /* written by the owner */
    _Atomic(uint32_t) mode;      /* enum ownership_mode; written by all, seldom */
};

/* Whether the owner may take by a load and a store, until ownership_end. Context: owner. */
static inline bool ownership_begin(struct ownership *o)
{
    atomic_store_relaxed(&o->is_taking, 1); /* ORD P1: before the mode */
    barrier_light_asymmetric();
    if (WEFT_LIKELY(atomic_load_relaxed(&o->mode) == OWNERSHIP_OWNED)) { /* ORD P1: as above */
        return true;
    }
    atomic_store_relaxed(&o->is_taking, 0); /* ORD none: nothing was taken */
    return false;
}

static inline void ownership_end(struct ownership *o)
{
    atomic_store_release(&o->is_taking, 0); /* ORD P2: what was taken */
}

/* A thief comes: whether it may take, by exchanges. It is counted in `thieves` until
 * ownership_leave, whatever the answer: false, if the owner was stopped in the middle of a take. */
bool weft__ownership_enter(struct ownership *o, _Atomic(uint32_t) *thieves);

static inline void ownership_leave(_Atomic(uint32_t) *thieves)
{
    (void)atomic_sub_release(thieves, 1); /* ORD P5: what we took */
}

/* Take without exchanges from now on, unless there are thieves just now. Context: owner. */
void weft__ownership_own(struct ownership *o, _Atomic(uint32_t) *thieves);

/* Whether it does. A hint. */
static inline bool ownership_is_owned(struct ownership *o)
{
    return atomic_load_relaxed(&o->mode) == OWNERSHIP_OWNED; /* ORD none: a hint */
}

#endif
