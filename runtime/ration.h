/* SPDX-License-Identifier: MIT */
/*
 * Ration: whether to wake a sleeping worker for work is worth while.
 *
 * A wake costs both sides microseconds, and what the woken one takes away is work for lines of
 * memory that have to travel. So who was woken for work and is about to sleep again tells how long
 * it was busy in between. If that was little, it pauses: it sleeps with a time limit, twice as long
 * each time, and meanwhile nobody is woken for work; then it looks by itself. So work that nobody
 * was woken for waits, besides its turn, for one pause at most, whatever its worker does. When the
 * woken one had enough to do there is no pause.
 *
 * A lone item, behind what its worker runs just now and nothing else, has most often been run by
 * that worker before the woken one comes: of a program that does a little now and then, each wake
 * would be two. So who was woken for one and found nothing makes a lone pause: it may be longer,
 * and only lone items are left. When it is over and others were left meanwhile, but nothing is
 * found, another one follows. If something is found, somebody had to wait for it, and the next is
 * short.
 *
 * One that goes on finding work never comes to that. So it also counts what it steals: where an
 * item, with all that came of it, was done in less time than its move takes, the thief stops
 * stealing and pauses, whatever is left.
 *
 * Why nothing is stranded: who has pushed looks at the count of those who pause, and leaves the
 * work to them if there is one. Each of them, when awake for whatever reason, first takes itself
 * off the count and then counts as searching (idle.h); before it leaves the searchers for good
 * somebody has looked at all queues, after that, and after a heavy barrier. Whether an item is a
 * lone one is a guess that nothing depends on.
 *
 * Pairs
 *   P1  pause over: pausing, seq_cst; then the idle word, and all that idle.h P1 says
 *       <-> call: the queue, release; light barrier; then pausing, seq_cst
 *           the caller sees that the pause is over, or the work is seen
 * Tested: tests/model/model_idle.c, tests/unit/test_rt_ration.c.
 */
#ifndef WEFT_RATION_H
#define WEFT_RATION_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "check.h"

/* What a worker is woken for. */
enum ration_kind {
    RATION_ANY,  /* there may be more than its worker comes to at once */
    RATION_LONE, /* a lone item */
};
#define RATION_KINDS 2

/* A runtime's; zeroed memory is a valid one. */
struct ration {
    _Atomic(uint32_t) pausing[RATION_KINDS]; /* workers */
    _Atomic(uint32_t) has_left;              /* a lone item was left to those who pause */
    _Atomic(int64_t) pause_ns[RATION_KINDS]; /* the last pause; 0: none */
};

/* What a worker has been awake for; zeroed memory: nothing that is judged. */
struct ration_stay {
    int64_t called_ns;     /* when it was woken for work; 0: it was not */
    enum ration_kind kind; /* what it was woken for; of a pause that is over, which one it was */
    bool has_paused;       /* it had paused before it woke */
    bool has_found;        /* something to run */
};

/* Whether to wake somebody for work that was pushed. A lone item has to be allowed as both kinds.
 * Context: any thread, after barrier_light or a seq_cst read-modify-write. */
static inline bool ration_allows(struct ration *r, enum ration_kind kind)
{
    return WEFT_LIKELY(atomic_load_seq_cst(&r->pausing[kind]) == 0); /* ORD P1: after the push */
}

/* The same for a lone item that is allowed as any work; takes note of one that is left. */
bool weft__ration_allows_lone(struct ration *r);

/*
 * A worker is about to sleep: judge its stay.
 * Returns how long to pause, until weft__ration_resume; 0: it need not, and does not call that.
 * The stay is then a new one, which that call completes.
 */
int64_t weft__ration_judge(struct ration *r, struct ration_stay *stay, int64_t now_ns);

/* Whether `stolen` items, which gave a worker so much to do, were not worth their moves. */
bool weft__ration_is_in_vain(uint64_t stolen, int64_t busy_ns);

/* The pause is over. Context: the worker, which has been awake since and has looked nowhere. */
void weft__ration_resume(struct ration *r, const struct ration_stay *stay);

#endif
