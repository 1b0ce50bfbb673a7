/* SPDX-License-Identifier: MIT */
/*
 * fork: a child has the parent's memory but none of its workers, and must not touch its rings. Each
 * runtime notes the generation it was made in; in a child the generation is another one, so every
 * call on it is refused, and the thread that forked is no worker any more. A lock of the parent's
 * runtimes may be held for ever by a thread that is not there, so none is taken in the child; the
 * locks of the process, of the signal handlers, are held over the fork.
 */
#ifndef WEFT_FORK_H
#define WEFT_FORK_H

#include <signal.h>
#include <stdint.h>

/* Have forks noticed from now on. Context: any thread; may be called again. */
void weft__fork_watch(void);

/* How many forks lie between this process and the one that first watched. Context: any thread. */
uint64_t weft__fork_generation(void);

/* The signal mask that a program is to start with: on a worker that of the thread which made the
 * runtime, elsewhere the thread's own. Context: any thread. */
void weft__fork_program_mask(sigset_t *set);

#endif
