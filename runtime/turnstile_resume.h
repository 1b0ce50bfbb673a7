/* SPDX-License-Identifier: MIT */
/* Turnstile: resume a waiter, quick for one who knows the worker. */
#ifndef WEFT_TURNSTILE_RESUME_H
#define WEFT_TURNSTILE_RESUME_H

#include "queued.h"
#include "runtime_object.h"
#include "simulation.h"
#include "wait_queue.h"

/*
 * weft__wait_queue_resume. The waiter goes into the next slot when it can be run here.
 * w: the current worker when the caller is on a fiber; else NULL
 */
static inline void turnstile_resume(struct worker *w, struct wait_node *n)
{
    weft_task *t = n->fiber->top;
    if (WEFT_LIKELY(w != NULL && t->rt == w->rt && t->run.pinned_to == RUNNABLE_ANYWHERE)) {
        queued_push_next(w, &t->run);
        simulation_point(w->rt);
    } else {
        weft__wait_queue_resume(n);
    }
}

#endif
