/* SPDX-License-Identifier: MIT */
/*
 * Stealing: up to half of another worker's deque, one by one, the oldest first.
 *
 * Victims are tried in a circle from a random start, so that thieves spread. The oldest tasks are
 * those nearest the root of a tree of spawns, and those that have waited longest.
 */
#include "runtime_object.h"

/* At most this many in one go: a thief that carries off hundreds keeps others from stealing from
 * the richer victim, and takes their lines from it twice. */
#define STEAL_MAX 64

/* Steal from one victim; the first is returned, the others go to the own deque. */
static struct runnable *steal_from(struct worker *w, struct worker *victim)
{
    int64_t want = (deque_size_hint(&victim->deque) + 1) / 2;
    want = want > STEAL_MAX ? STEAL_MAX : want;
    struct runnable *first = NULL;
    int64_t count = 0;
    while (count < want) {
        struct runnable *r = weft__deque_steal(&victim->deque);
        if (r == NULL) {
            break;
        }
        if (first == NULL) {
            first = r;
        } else {
            weft__worker_push(w, r);
        }
        count++;
    }
    counter_add(&w->count.steals, (uint64_t)count);
    return first;
}

struct runnable *weft__worker_steal(struct worker *w)
{
    unsigned n = w->rt->worker_count;
    unsigned start = (unsigned)rng_below(&w->rng, n);
    for (unsigned i = 0; i < n; i++) {
        unsigned v = start + i < n ? start + i : start + i - n;
        if (v == w->index) {
            continue;
        }
        struct runnable *r = steal_from(w, &w->rt->workers[v]);
        if (r != NULL) {
            recent_note(&w->debug.recent, RECENT_STEAL, v, worker_turn_started(w));
            return r;
        }
    }
    return NULL;
}

/*
 * To own a deque again makes the next thief interrupt all that run. So it takes as many turns
 * without one, about 50 us each, as there are pairs of workers: with more workers each of them is
 * robbed so, in the worst case, less often.
 */
void weft__worker_own_deque(struct worker *w)
{
    struct deque *d = &w->deque;
    if (ownership_is_owned(&d->ownership)) {
        return;
    }
    int64_t seen = atomic_load_relaxed(&d->scan_hint); /* ORD none: a hint */
    w->quiet_turns = seen == w->thief_seen ? w->quiet_turns + 1 : 0;
    w->thief_seen = seen;
    if (w->quiet_turns >= w->rt->worker_count * w->rt->worker_count) {
        w->quiet_turns = 0;
        weft__ownership_own(&d->ownership, &d->thieves);
    }
}

bool weft__queues_hold_work(weft_runtime *rt)
{
    /* ORD P1 (rescue.h): after "parked" was published. */
    if (!inject_empty(&rt->inject) || atomic_load_seq_cst(&rt->rescue.offers) != 0) {
        return true;
    }
    for (unsigned v = 0; v < rt->worker_count; v++) {
        if (deque_holds_work(&rt->workers[v].deque)) {
            return true;
        }
    }
    return false;
}
