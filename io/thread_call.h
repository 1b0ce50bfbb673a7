/* SPDX-License-Identifier: MIT */
/*
 * Thread call: an operation as a system call on a thread that may be held up, for a backend that
 * has no other way.
 *
 * What a disk answers takes a thread of the runtime's pool. What may last for ever (a FIFO without
 * its other end) takes one of a pool beside it, so that it holds up no other call on a file, and is
 * interrupted by a signal when the task is cancelled.
 */
#ifndef WEFT_THREAD_CALL_H
#define WEFT_THREAD_CALL_H

#include <weft/blocking.h>

#include "atomic.h"
#include "op.h"

/* The pool for what may last for ever: made when it is first needed. */
struct thread_calls {
    _Atomic(weft_pool *) waits;
};

/* Context: task     Blocks: task
 * Returns the call's result, -errno too; -ECANCELED, -ETIMEDOUT, -EAGAIN, -ENOMEM: it was not made,
 * or (the first two) interrupted. */
int weft__thread_call(struct thread_calls *t, const struct op_request *request);

/* Context: nobody calls any more; any thread. */
void weft__thread_calls_fini(struct thread_calls *t);

#endif
