/* SPDX-License-Identifier: MIT */
/*
 * The queues of a worker as its owner uses them: the next slot, the pinned list, the deque.
 *
 * Inline, since they are part of every switch.
 */
#ifndef WEFT_QUEUED_H
#define WEFT_QUEUED_H

#include "runtime_object.h"

/* The deque is full, or the item is pinned. */
void weft__queued_push_slow(struct worker *w, struct runnable *r);

/*
 * For tests: in builds with WEFT_SCATTER, where the environment has WEFT_TEST_SCATTER=1, three of
 * four items go where any worker takes them, who put them there last seldom does, and each yield is
 * a switch: tasks resume on another thread most of the time.
 */
static inline bool queued_scatters(const struct worker *w)
{
#ifdef WEFT_SCATTER
    return w->rt->scatters;
#else
    (void)w;
    return false;
#endif
}

/* True: the item was one of those. Context: owner. */
bool weft__queued_scatter(struct worker *w, struct runnable *r);

/* Whether to leave what there is to another worker. Context: owner. */
bool weft__queued_leaves(struct worker *w);

/* Last in the queue that it belongs to. Context: owner. */
static inline void queued_push(struct worker *w, struct runnable *r)
{
    if (queued_scatters(w) && weft__queued_scatter(w, r)) {
        return;
    }
    if (WEFT_UNLIKELY(r->pinned_to != RUNNABLE_ANYWHERE || !deque_push(&w->deque, r))) {
        weft__queued_push_slow(w, r);
    }
}

/* What a task has made ready goes into the next slot. Not for what is pinned. Context: owner, on a
 * fiber. */
static inline void queued_push_next(struct worker *w, struct runnable *r)
{
    if (queued_scatters(w) && weft__queued_scatter(w, r)) {
        return;
    }
    struct runnable *before = worker_swap_next(w, r);
    if (before != NULL) {
        queued_push(w, before);
        weft__worker_offer(w);
    }
}

/* The oldest pinned item, or NULL. Context: owner. */
static inline struct runnable *pinned_next(struct worker *w)
{
    struct runnable *r = w->pinned_first;
    if (r != NULL) {
        w->pinned_first = r->next;
    }
    return r;
}

/* The pinned list and the deque, taking turns. Context: owner. */
static inline struct runnable *queued_next(struct worker *w)
{
    if (WEFT_UNLIKELY(w->pinned_first != NULL)) {
        w->is_pinned_turn = !w->is_pinned_turn;
        if (w->is_pinned_turn) {
            return pinned_next(w);
        }
    }
    struct runnable *r = deque_next(&w->deque);
    return WEFT_LIKELY(r != NULL) ? r : pinned_next(w);
}

/* The next item to run; NULL: nothing is here, or a turn of the loop is due. Context: owner. */
static inline struct runnable *queued_pick(struct worker *w)
{
    if (WEFT_UNLIKELY(worker_count_item(w) <= 0)) {
        return NULL;
    }
    struct runnable *next = worker_next(w);
    if (next != NULL && w->next_streak < NEXT_STREAK_MAX &&
        WEFT_LIKELY(atomic_local_cas(&w->next, next, NULL))) {
        w->next_streak++;
        return next;
    }
    w->next_streak = 0;
    struct runnable *r = queued_next(w);
    return WEFT_LIKELY(r != NULL || next == NULL) ? r : worker_swap_next(w, NULL);
}

#endif
