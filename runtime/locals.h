/* SPDX-License-Identifier: MIT */
/*
 * Locals: the values of a task, and how they come to others.
 *
 * A set holds the values of one task, callback or context; whoever has one has a slot that points
 * to it. To inherit is to count one more reference to the set. A set with several references is
 * never written: who wants to, copies it first, for itself (clone), so that the others keep what
 * they had. What is behind the values is shared all the same: each value that has a destructor is
 * counted in a box of its own. A set with values that have copy functions is never shared: to
 * inherit it is to clone it at once, calling them.
 *
 *      slot of the parent --> set (2) <-- slot of the child
 *                              | value --> box (1)
 *      after the child has set another one
 *      slot of the parent --> set (1)    set (1) <-- slot of the child
 *                              | value --> box (2) <-- value |
 *
 * A slot is in a task's extra record, and the task's alone while it runs; in the frame of a
 * callback; or in a context, under its lock. Values are let go of when no slot changes any more and
 * no lock is held: the destructor is the program's. It and the copy function run as in a callback:
 * they cannot wait, wherever they are called.
 *
 * Invariants
 *   I1  a set is written by the owner of a slot while that is its only reference
 *   I2  a set with `copies` has one reference, but for the moment in which it is cloned
 *
 * Pairs
 *   P1  drop: refs, acq_rel  -> write, the last drop: refs, acquire      all reads come before
 *   P2  run: run_locals, acq_rel  -> the next run: run_locals, acq_rel   what the task has left
 *
 * Tested: tests/unit/test_rt_local.c, tests/stress/stress_local.c.
 */
#ifndef WEFT_LOCALS_H
#define WEFT_LOCALS_H

#include <weft/local.h>

#include "debug_switch.h"
#include "extra.h"

struct local_set;

/* A reference to, or a copy of, the values of the running task or callback; *set = NULL when there
 * are none. Returns 0 or -ENOMEM. Context: any thread. */
int weft__locals_capture(struct local_set **set);

/* Drop a reference; may call destructors. NULL does nothing. Context: any thread. */
void weft__locals_drop(struct local_set *set);

/* Give a task that is not published the values, and the reference, or a context. 0, or -ENOMEM.
 * Context: its spawner. */
int weft__locals_give(weft_task *t, struct local_set *set);
int weft__locals_give_context(weft_task *t, weft_context *context);

/* Give a task that is not published the values of the running task or callback. 0 or -ENOMEM. */
int weft__locals_inherit(weft_task *t);

/* Take the values out of a task that has ended. Context: holding a reference. */
struct local_set *weft__locals_take(weft_task *t);

/* The same; of a task with a context, as weft__locals_capture what that holds. 0 or -ENOMEM. */
int weft__locals_take_all(weft_task *t, struct local_set **set);

/* Let go of what a record holds. Context: as weft__extra_free. */
void weft__locals_forget(struct task_extra *extra);

/* Whether there may be something to inherit. Context: worker. */
static inline bool locals_are_here(const struct worker *w)
{
    weft_task *self = w->fiber->top;
    return self != NULL ? extra_of(self) != NULL : w->callback_locals != NULL;
}

/* weft__locals_capture, quick where there is nothing. */
static inline int locals_capture(const struct worker *w, struct local_set **set)
{
    *set = NULL;
    return WEFT_LIKELY(w == NULL || !locals_are_here(w)) ? 0 : weft__locals_capture(set);
}

/* A call of the program's code from the loop: in between, its values are the given ones. The
 * reference is dropped. fn: the function's address, for debug mode. */
struct callback_frame {
    struct worker *worker;
    struct local_set *locals;
};

static inline void callback_begin(struct callback_frame *frame, struct local_set *locals,
                                  uintptr_t fn)
{
    frame->worker = weft__worker_current();
    frame->locals = locals;
    frame->worker->callback_locals = &frame->locals;
    if (debug_is_on(frame->worker)) {
        weft__debug_callback(frame->worker, fn);
    }
}

static inline void callback_end(struct callback_frame *frame)
{
    frame->worker->callback_locals = NULL;
    debug_switch(frame->worker, NULL);
    if (WEFT_UNLIKELY(frame->locals != NULL)) {
        weft__locals_drop(frame->locals);
    }
}

#endif
