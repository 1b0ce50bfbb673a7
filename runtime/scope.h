/* SPDX-License-Identifier: MIT */
/*
 * Scopes, inside: who may look at what, and how the end of one reaches a wait.
 *
 * The scopes of all tasks that a fiber carries are one list, innermost first (fiber.scope): those
 * of the top task, then those of the task under it. Each knows its task. Nothing else is kept: a
 * wait walks the list, which is short.
 *
 * A scope ends early by its deadline or by a cancel. Nobody is told of a deadline: each wait
 * compares it with the clock when it begins, and sets an alarm when it parks (interrupt.c). Either
 * end acts on a wait as a cancel of the task does (cancel.c): under a hold, by the kind of wait.
 *
 * A shield hides what is outside of it, for the waits of its task: also from the alarm, and from
 * what is passed on to a task above.
 *
 * Invariants
 *   I1  outer, task, fiber, deadline_ns, error: written by the scope's task; error also by who
 *       holds its fiber. Read by the task and by who holds the fiber.
 *   I2  CANCELLED is set by anybody, EXPIRED as I1; neither is cleared before the scope is left.
 *
 * Pairs
 *   P1  wait: fiber.wait, seq_cst exchange; then state, seq_cst
 *       <-> weft_scope_cancel: state, seq_cst; then fiber.wait, seq_cst
 *           either the wait sees the cancel or the canceller sees the wait; with one worker as
 *           fiber.h P6
 */
#ifndef WEFT_SCOPE_INSIDE_H
#define WEFT_SCOPE_INSIDE_H

#include <weft/scope.h>

#include "atomic.h"

struct fiber;
struct worker;

/* Bits of weft_scope.state. */
#define SCOPE_ENTERED 1u
#define SCOPE_SHIELD 2u
#define SCOPE_CANCELLED 4u
#define SCOPE_EXPIRED 8u /* its deadline was found to have passed */

/* The time where no deadline is to be looked at: those that were found to have passed count. */
#define SCOPE_NO_TIME INT64_MIN

static inline uint32_t scope_state(const struct weft_scope *s)
{
    /* ORD P1: after the wait was announced, where one was. */
    return atomic_load_seq_cst(&((struct weft_scope *)(uintptr_t)s)->state);
}

/* A wait of the scope's task failed, or passed a cancel on, because it has ended. */
static inline void scope_note(struct weft_scope *s, int error)
{
    if (s != NULL && s->error == 0) {
        s->error = error;
    }
}

/* The same for the scope to blame for the outcome of a wait that is over; can be taken back by
 * weft__interrupted_unnote. Context: on f. */
void weft__interrupted_note(struct fiber *f);

/* As weft__interrupted, where no wait fails of it. Context: on f. */
int weft__interrupted_look(struct fiber *f);

/* As weft__interrupted, and of which scope the wait fails; NULL: it is a cancel of the task, or it
 * does not fail. Context: on f. */
int weft__interrupted_by(struct fiber *f, struct weft_scope **blame);

/* Whether a scope around f's top task has ended. Context: on f. */
bool weft__scope_is_over(struct fiber *f);

/*
 * Let what has ended, by that time, act on a held fiber: pass it on among its tasks, and end the
 * wait if that is how its kind is to be ended. Lets go of the fiber.
 * now_ns: or SCOPE_NO_TIME
 * Returns the task that a cancel is to be passed on to, with a reference, or NULL.
 * Context: any thread.
 */
weft_task *weft__interrupt(struct fiber *f, uint64_t ticket, int64_t now_ns);

/* weft_cancel for a task with a reference, or NULL, which goes; all that a cancel is passed on to
 * included. Context: any thread. */
void weft__cancel_put(weft_task *t);

/* f is about to park: have it interrupted in time. Context: on f, on w. */
void weft__alarm_set(struct worker *w, struct fiber *f);

/* The same for a sleep until f->wake_ns; -ENOMEM: it was not. */
int weft__alarm_set_sleep(struct worker *w, struct fiber *f);

/* The fiber's last task has ended: nothing goes off any more. Context: on f. */
void weft__alarm_clear(struct fiber *f);

#endif
