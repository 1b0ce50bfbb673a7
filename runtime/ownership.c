/* SPDX-License-Identifier: MIT */
/* Ownership: thieves that come, and the owner that owns again; see ownership.h. */
#include "ownership.h"

/* Have the owner take by exchanges, if it does not. */
static bool ownership_open(struct ownership *o)
{
    atomic_store_seq_cst(&o->mode, OWNERSHIP_ASKED); /* ORD P1: before the look at is_taking */
    weft__barrier_heavy();
    for (unsigned i = 0; i < OWNERSHIP_TRIES; i++) {
        /* ORD P1: after the mode. */
        /* ORD P2: what the owner took. */
        if (atomic_load_acquire(&o->is_taking) == 0) {
            atomic_store_release(&o->mode, OWNERSHIP_OPEN); /* ORD P3: and so for others */
            return true;
        }
        cpu_relax();
    }
    return false;
}

bool weft__ownership_enter(struct ownership *o, _Atomic(uint32_t) *thieves)
{
    (void)atomic_add_seq_cst(thieves, 1); /* ORD P4: before the mode */
    /* ORD P4: after we were counted. */
    /* ORD P3: what the owner took. */
    return atomic_load_seq_cst(&o->mode) == OWNERSHIP_OPEN || ownership_open(o);
}

void weft__ownership_own(struct ownership *o, _Atomic(uint32_t) *thieves)
{
    if (barrier_is_symmetric()) {
        return; /* a fence for each take would cost what an exchange does */
    }
    atomic_store_seq_cst(&o->mode, OWNERSHIP_OWNED); /* ORD P4: before the look for thieves */
    /* ORD P4: after the mode. */
    /* ORD P5: what those before took. */
    if (atomic_load_seq_cst(thieves) != 0) {
        atomic_store_seq_cst(&o->mode, OWNERSHIP_OPEN); /* ORD P3: nothing is being taken */
    }
}
