/* SPDX-License-Identifier: MIT */
/* Guard: the rare ways; the protocol is in guard.h. */
#include "guard.h"

#include <sched.h>

void weft__guard_await(struct guard *g)
{
    unsigned spins = 0;
    /* ORD P3: what the claimer did. Who claims after this finds us inside. */
    while (atomic_load_acquire(&g->is_claimed) != 0) {
        cpu_relax();
        if (++spins % 64 == 0) {
            sched_yield();
        }
    }
}

bool weft__guard_claim(struct guard *g)
{
    uint32_t nobody = 0;
    /* ORD P3: what the claimer before did. */
    /* ORD P1: before the look whether the owner is inside. */
    if (!atomic_cas_acquire(&g->is_claimed, &nobody, 1)) {
        return false;
    }
    weft__barrier_heavy();
    /* ORD P1: after the claim. */
    /* ORD P2: what the owner did. */
    if (atomic_load_acquire(&g->is_inside) != 0) {
        guard_unclaim(g);
        return false;
    }
    return true;
}
