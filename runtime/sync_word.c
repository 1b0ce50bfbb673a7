/* SPDX-License-Identifier: MIT */
/* Sync word: the slow parts of sync_word.h. */
#include "sync_word.h"

#include "backoff.h"
#include "simulation.h"

uint64_t weft__sync_lock_contended(_Atomic(uint64_t) *word)
{
    unsigned turns = 0;
    for (;;) {
        uint64_t old = atomic_load_relaxed(word); /* ORD none: the CAS checks it */
        if ((old & SYNC_LOCK) != 0) {
            backoff_wait(&turns);
            continue;
        }
        /* ORD P1 (sync_word.h): what the holder before did. */
        if (atomic_cas_acquire(word, &old, old | SYNC_LOCK)) {
            return old;
        }
    }
}

int weft__sync_wait_begin(struct wait_node *n, struct fiber *f, enum wait_kind kind, void *on)
{
    n->next = NULL;
    n->fiber = f;
    n->ticket = weft__wait_begin(f, kind, on);
    return kind == WAIT_FIRM ? 0 : fiber_interrupted(f);
}

int weft__sync_wait_retract(struct wait_node *n)
{
    if (!weft__wait_abort(n->fiber, n->ticket)) {
        weft__park(n->fiber); /* a cancel came in between, and stays to be seen by the next wait */
    }
    weft__interrupted_unnote(n->fiber);
    return 0;
}

int weft__sync_wait_refused(struct wait_node *n, int err)
{
    if (!weft__wait_abort(n->fiber, n->ticket)) {
        weft__park(n->fiber);
        return n->fiber->outcome;
    }
    weft__spend();
    return err;
}

void weft__wait_chain_resume(struct wait_chain *c)
{
    struct wait_node *n = c->first;
    bool has_point = n != NULL && simulation_is_on(n->fiber->top->rt);
    while (n != NULL) {
        struct wait_node *next = n->prev;
        weft__fiber_ready_last(n->fiber);
        n = next;
    }
    simulation_point_where(has_point);
}
