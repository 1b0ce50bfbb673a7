/* SPDX-License-Identifier: MIT */
/*
 * Ration: whether to wake a sleeping worker for work is worth while.
 *
 * A wake costs both sides microseconds, and what the woken one takes away is work for lines of
 * memory that have to travel. So who was woken for work and is about to sleep again tells how long
 * it was busy in between. If that was little, it pauses: it sleeps with a time limit, twice as long
 * each time, up to PAUSE_MAX_NS, and meanwhile nobody is woken for work; then it looks by itself.
 * So work that nobody was woken for waits, besides its turn, for one pause at most, whatever its
 * worker does. When the woken one had enough to do there is no pause.
 *
 * One that goes on finding work never comes to that. So it also counts what it steals: where an
 * item, with all that came of it, was done in less time than its move takes, the thief stops
 * stealing and pauses, whatever is left.
 *
 * Why nothing is stranded: who has pushed looks at the count of those who pause, and leaves the
 * work to them if there is one. Each of them, when awake for whatever reason, first takes itself
 * off the count and then counts as searching (idle.h); before it leaves the searchers for good
 * somebody has looked at all queues, after that, and after a heavy barrier.
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

/* A runtime's; zeroed memory is a valid one. */
struct ration {
    _Atomic(uint32_t) pausing; /* workers */
    _Atomic(int64_t) pause_ns; /* the last pause; 0: none */
};

/* Whether to wake somebody for work that was pushed. Context: any thread, after barrier_light or a
 * seq_cst read-modify-write. */
static inline bool ration_allows(struct ration *r)
{
    return WEFT_LIKELY(atomic_load_seq_cst(&r->pausing) == 0); /* ORD P1: after the push */
}

/*
 * A worker that was woken for work has been busy for so long, and is about to sleep.
 * Returns how long to pause, until weft__ration_resume; 0: it need not, and does not call that.
 */
int64_t weft__ration_judge(struct ration *r, int64_t busy_ns);

/* Whether `stolen` items, which gave a worker so much to do, were not worth their moves. */
bool weft__ration_is_in_vain(uint64_t stolen, int64_t busy_ns);

/* The pause is over. Context: the worker, which has been awake since and has looked nowhere. */
void weft__ration_resume(struct ration *r);

#endif
