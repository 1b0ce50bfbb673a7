/* SPDX-License-Identifier: MIT */
/* Look: the wait; the protocol is in look.h. */
#include "look.h"

#include <sched.h>

void weft__look_pass(struct look *l)
{
    unsigned spins = 0;
    /* ORD P1: after the caller said what is gone. */
    /* ORD P2: what the lookers before did. */
    uint32_t seen = atomic_load_seq_cst(&l->count);
    /* ORD P2: as above. */
    while (seen % 2 != 0 && atomic_load_acquire(&l->count) == seen) {
        cpu_relax();
        if (++spins % 64 == 0) {
            sched_yield();
        }
    }
}
