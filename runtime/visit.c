/* SPDX-License-Identifier: MIT */
/*
 * Visits: threads that are none of a runtime's workers, and use it all the same. A call of the
 * program does (spawn, post, timers); so does what wakes one of its tasks from elsewhere,
 * the end of another runtime's task or a cancel.
 *
 * A visitor counts itself before it looks at the phase, and the closer changes the phase before it
 * looks at the count. So either the visitor is refused, or the closer waits for it: nothing is
 * taken away under its feet, and what it has spawned or posted is found live. Between enter and
 * leave there are a few instructions and no wait. A runtime's own workers need none of this in a
 * task or callback, which is live itself; a timer that expires is not, and visits as others do.
 *
 * The object's memory is counted apart: what is left of a runtime that was destroyed is a word that
 * says so, to timers and to registrations with another runtime's futures, which may come later.
 *
 * Pairs
 *   P1  enter: visitors, seq_cst; then phase, seq_cst
 *       <-> close: phase, seq_cst; then visitors, seq_cst
 *           the visitor is refused or waited for
 *   P2  leave: visitors, release  -> close: visitors, acquire    what the visitor did
 *   P3  release: holders, acq_rel -> the last release            all uses come before the free
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "runtime_object.h"
#include "simulation.h"

bool weft__runtime_is_parents(const weft_runtime *rt)
{
    return rt->fork_generation != weft__fork_generation();
}

bool weft__runtime_is_own_worker(const weft_runtime *rt)
{
    const struct worker *self = weft__worker_current();
    return self != NULL && self->rt == rt;
}

int weft__runtime_enter(weft_runtime *rt, enum runtime_phase refused_from)
{
    if (rt == NULL) {
        return -EINVAL;
    }
    if (weft__runtime_is_own_worker(rt)) {
        return 0;
    }
    if (weft__runtime_is_parents(rt)) {
        return -ESHUTDOWN;
    }
    int err = weft__runtime_enter_unkept(rt, refused_from);
    if (err == 0) {
        simulation_touch(rt);
    }
    return err;
}

int weft__runtime_enter_unkept(weft_runtime *rt, enum runtime_phase refused_from)
{
    /* ORD none: once refused, always; many who come again must not keep the count from 0. */
    if (atomic_load_relaxed(&rt->phase) >= (uint32_t)refused_from) {
        return -ESHUTDOWN;
    }
    (void)atomic_add_seq_cst(&rt->visitors, 1);                      /* ORD P1: before the look */
    if (atomic_load_seq_cst(&rt->phase) >= (uint32_t)refused_from) { /* ORD P1: after the count */
        runtime_leave(rt);
        return -ESHUTDOWN;
    }
    return 0;
}

void weft__runtime_exit(weft_runtime *rt)
{
    if (!weft__runtime_is_own_worker(rt)) {
        runtime_leave(rt);
    }
}

void weft__runtime_await_visitors(weft_runtime *rt)
{
    /* ORD P1: after the phase. */
    /* ORD P2: what they did. */
    while (atomic_load_seq_cst(&rt->visitors) != 0) {
        sched_yield();
    }
}

void weft__runtime_hold(weft_runtime *rt)
{
    (void)atomic_add_relaxed(&rt->holders, 1); /* ORD none: the caller knows that it is there */
}

void weft__runtime_release(weft_runtime *rt)
{
    if (atomic_sub_acq_rel(&rt->holders, 1) == 1) { /* ORD P3: the last one */
        free(rt->simulation);
        free(rt);
    }
}
