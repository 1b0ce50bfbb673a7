/* SPDX-License-Identifier: MIT */
/* Turnstile: waiting, and waking many; see turnstile.h. */
#include "turnstile.h"

#include "backoff.h"
#include "park.h"

void weft__turnstile_take(struct turnstile *t)
{
    unsigned turns = 0;
    do {
        /* ORD none: only looked at; the exchange decides. */
        while (atomic_load_relaxed(&t->is_held) != 0) {
            backoff_wait(&turns);
        }
        /* ORD P1: what those before did. */
    } while (atomic_exchange_acquire(&t->is_held, 1) != 0);
}

void weft__turnstile_evict(struct turnstile *t)
{
    unsigned turns = 0;
    /* ORD none: changed under is_held. */
    unsigned number = atomic_load_relaxed(&t->home) % TURNSTILE_HOMES;
    /* ORD P2: before the look whether it is inside. */
    atomic_store_relaxed(&t->home, 0);
    weft__barrier_heavy();
    /* ORD P2: after the home was told. */
    /* ORD P3: what the home did. */
    while (atomic_load_acquire(&t->is_inside[number]) != 0) {
        backoff_wait(&turns);
    }
}

struct wait_node *weft__turnstile_claim_all(struct turnstile *t, struct wait_queue *q)
{
    struct wait_node *chain = NULL;
    struct wait_node **last = &chain;
    struct wait_node *n;
    while ((n = turnstile_claim(t, q)) != NULL) {
        *last = n;
        last = &n->next;
    }
    return chain;
}

void weft__turnstile_resume_all(struct wait_node *chain)
{
    while (chain != NULL) {
        struct wait_node *n = chain;
        chain = n->next;
        weft__wait_queue_resume(n);
    }
}

int weft__turnstile_wait(struct turnstile *t, struct wait_queue *q, struct wait_node *n,
                         struct fiber *f, void *on)
{
    n->fiber = f;
    n->ticket = weft__wait_begin(f, WAIT_CLAIMABLE, on);
    int err = fiber_interrupted(f);
    if (WEFT_UNLIKELY(err < 0)) {
        turnstile_unlock(t);
        if (weft__wait_abort(f, n->ticket)) {
            return err;
        }
        weft__park(f); /* whoever was first to end it makes us ready */
        return f->outcome;
    }
    wait_queue_push(q, n);
    t->waiting++;
    turnstile_unlock(t);
    weft__park(f);
    err = f->outcome;
    if (WEFT_UNLIKELY(err < 0)) {
        turnstile_lock(t);
        (void)wait_queue_remove(q, n);
        t->waiting--;
        turnstile_unlock(t);
    }
    return err;
}
