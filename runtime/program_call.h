/* SPDX-License-Identifier: MIT */
/*
 * A call of the program's code from the middle of ours, wherever that is: a destructor, a handler.
 * On a worker it is as in a callback: every call that would wait answers -EPERM.
 */
#ifndef WEFT_PROGRAM_CALL_H
#define WEFT_PROGRAM_CALL_H

#include "worker.h"

struct program_call {
    struct worker *worker;     /* or NULL; as it was: */
    struct local_set **locals;
    bool in_loop;
};

/* locals: where the called code has its values; NULL: nowhere */
static inline void program_call_begin(struct program_call *call, struct local_set **locals)
{
    struct worker *w = weft__worker_current();
    call->worker = w;
    if (w != NULL) {
        call->locals = w->callback_locals;
        call->in_loop = w->in_loop;
        w->callback_locals = locals;
        w->in_loop = true;
    }
}

static inline void program_call_end(const struct program_call *call)
{
    struct worker *w = call->worker;
    if (w == NULL) {
        return;
    }
    w->callback_locals = call->locals;
    w->in_loop = call->in_loop;
    if (w->was_woken && !w->in_loop) { /* what it has spawned, in the middle of a task */
        w->was_woken = false;
        weft__worker_offer(w);
    }
}

#endif
