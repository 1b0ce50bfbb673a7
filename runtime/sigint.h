/* SPDX-License-Identifier: MIT */
/*
 * Sigint: SIGINT while weft_run runs on the main thread.
 *
 * The first one cancels the main task, the second one ends the process by the default action. The
 * handler does no more than count, and wake the thread that waits in weft_run: to cancel takes
 * locks and may find the interrupted thread holding them.
 *
 * It is installed in place of the default action only: a program that handles the signal, or was
 * started with it ignored, has decided. What was there comes back when the main task has ended, so
 * that a close that hangs can be interrupted; a handler that replaced ours meanwhile stays, and if
 * it calls ours the default action follows. A task that has SIGINT told to itself (signal_hub.h) is
 * such a handler; what comes back when it wants it no more is ours, as long as weft_run waits.
 *
 * Pairs
 *   P1  handler: count, seq_cst; then word, seq_cst -> wait: word, acquire; then count, acquire
 *   P2  wake: is_over, release; then word, seq_cst  -> wait: word, acquire; then is_over, acquire
 *                                       nobody looks at the waiter any more
 *
 * Tested: tests/unit/test_rt_sigint.c.
 */
#ifndef WEFT_SIGINT_H
#define WEFT_SIGINT_H

#include <stdbool.h>

#include <weft/base.h>

/* Install the handler, where it is due. False: SIGINT is none of ours. Context: any thread. */
bool weft__sigint_begin(void);

/* Take it back. Context: who has begun. */
void weft__sigint_end(void);

/*
 * Wait until the task is done; an interrupt cancels it.
 * Returns as weft_result; -EINTR in place of -ECANCELED when nobody else had asked it to end.
 * Context: who has begun.
 */
int weft__sigint_wait(weft_task *t, void **result);

#endif
