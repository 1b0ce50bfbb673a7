/* SPDX-License-Identifier: MIT */
/*
 * Wait set: one task waits for several futures, until all are done or one that decides is.
 *
 * Each future that is pending gets a node on the waiter's stack (above WAIT_SET_OWN of them, in one
 * piece of heap memory). Whoever ends a future calls the node, under the future's lock, and counts
 * the set down; the waiter is made ready once, when the count is 0 or a future decides before.
 *
 * The state
 *   bits 3..63  futures that are not done, or whose enders are not through with the set
 *   FIRED       one of them decided; who set this wrote `first`
 *   ARMED       the waiter is parked, or about to be: who counts down to 0 wakes it
 *   EARLY       the same for who sets FIRED; then who comes to 0 does not
 *
 *   who waits                                   who ends a future, its lock held
 *     count = n; add a node to each               decides? set FIRED; was not set: write first;
 *     over already? leave                           was EARLY: wake
 *     announce the wait, ARM                      count down, the last touch of the set, unless
 *     over meanwhile? take it back, leave           it is 0 and waking is up to us: wake
 *     park; leave
 *
 * To leave is to see to it that nobody looks at the set any more. When the count is 0 all are
 * through, but for one that may still be about to wake a waiter who has gone on for another reason.
 * In that case (is_cut), and when the count is not 0, the waiter takes each future's lock to remove
 * its node, and so comes after whoever had called it.
 *
 * A node costs two locked accesses when it is added and two as its future ends. Futures that are
 * done cost none. So a wait for all first lets children that have not started do so: as many as end
 * in that turn are had for what they cost alone.
 *
 * Invariants
 *   I1  fiber, ticket, first: read by who has the duty to wake, before the waiter can leave.
 *   I2  at most one has that duty: who set FIRED under EARLY, or who came to 0.
 *   I3  a future that is done when its node would be added is counted down by the waiter.
 *
 * Pairs
 *   P1  wake: state, acq_rel   -> is_over, disarm: state, acquire     first; the ender is through
 *   P2  arm: state, acq_rel    -> wake: state, acq_rel                fiber, ticket
 *
 * Tested: tests/model/model_gather.c (all interleavings).
 */
#ifndef WEFT_WAIT_SET_H
#define WEFT_WAIT_SET_H

#include "park.h"

/* Nodes on the stack: as many as most waits need, in half a kilobyte of it. */
#define WAIT_SET_OWN 16

#define SET_ARMED ((uint64_t)1)
#define SET_EARLY ((uint64_t)2)
#define SET_FIRED ((uint64_t)4)
#define SET_ONE ((uint64_t)8)

/* What ends the wait before all are done. NULL among the futures is one that failed. */
enum set_end {
    SET_ALL,     /* nothing */
    SET_FIRST,   /* the first one that is done */
    SET_FAILURE, /* the first that did not succeed */
    SET_ERROR,   /* the same; one that was cancelled does not count */
};

struct set_node {
    struct waiter node;
    struct wait_set *set; /* NULL: it was not added */
};

struct wait_set {
    _Atomic(uint64_t) state;
    struct fiber *fiber;         /* I1 */
    uint64_t ticket;             /* I1 */
    weft_future *first;          /* I1; NULL when none decided, or NULL itself did */
    weft_future *const *futures; /* immutable */
    size_t count;                /* immutable */
    enum set_end end;            /* immutable */
    /* the waiter's own */
    bool is_early;   /* what `end` says counts */
    bool is_cut;     /* somebody may be about to wake it for a wait that is over */
    bool has_parked; /* it waited at all */
    struct weft_scope *blame; /* the scope that park failed of; NULL: a cancel of the task */
    size_t added;    /* nodes from 0 up to here were looked at */
    struct set_node *nodes;
    struct set_node own[WAIT_SET_OWN];
};

/*
 * Begin to wait for the futures, to which the caller holds references until it ends the set.
 * Returns 0; -EDEADLK when the caller is among them, -ENOMEM: then nothing was begun.
 * Context: task
 */
int weft__wait_set_begin(struct wait_set *s, weft_future *const *futures, size_t count,
                         enum set_end end);

/* Whether there is no need to wait (any more). Context: the waiter. */
bool weft__wait_set_is_over(struct wait_set *s);

/*
 * Wait until it is over. WAIT_CLAIMABLE: or until the task's waits fail; WAIT_FIRM: nothing else.
 * Returns 0, or that error; then it may be called again.
 * Context: the waiter
 */
int weft__wait_set_park(struct wait_set *s, enum wait_kind kind);

/* After park has failed: pass a cancel on to each future that is pending, once, and from now on
 * wait for all of them. Returns whether there was one.
 * Context: the waiter, not parked */
bool weft__wait_set_cancel(struct wait_set *s);

/* Nobody looks at the set any more. Context: the waiter. */
void weft__wait_set_end(struct wait_set *s);

#endif
