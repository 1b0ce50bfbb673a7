/* SPDX-License-Identifier: MIT */
/*
 * Linger: what the end of a runtime leaves to those who owe something to others.
 *
 * A runtime that closes cancels every task. One that has taken bytes from the program, and promised
 * to send them, goes on for a while all the same; so long that a peer who reads gets them, and no
 * longer than the close may take.
 */
#ifndef WEFT_LINGER_H
#define WEFT_LINGER_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base.h>

/* The most that a close waits for peers. Half as much is short for what a stream buffers, on a slow
 * line; with twice as much, one peer that does not read holds up the end of a program for long. */
#define LINGER_MAX_NS (1 * WEFT_SECOND)

/* Whether the current runtime is being closed. Context: task */
bool weft__linger_is_closing(void);

/* How long a task may go on then: LINGER_MAX_NS, or half of options.close_grace_ns if that is
 * less. Context: task */
int64_t weft__linger_ns(void);

#endif
