/* SPDX-License-Identifier: MIT */
/*
 * Backoff: how to wait for a lock that is held for a few instructions, and taken again and again.
 *
 * Who looks whether it is free takes its line, and with it what lies beside it, from the one who
 * works under it, and when both go on at once each use costs the way of these lines from one
 * processor to the other: several times what is done under the lock. So one looks again soon,
 * after about as long as a use with its misses takes, and then waits twice as long each time. The
 * other does many uses from its own cache meanwhile, and when they change places that is paid by
 * all of them. Who waits loses time, but none of it is the object's.
 *
 * A holder that does not run is waited for with the CPU given away.
 */
#ifndef WEFT_BACKOFF_H
#define WEFT_BACKOFF_H

#include <sched.h>

#include "atomic.h"

/* In turns of cpu_relax, some 45 ns each where this was measured: an item of a channel between two
 * workers that do nothing else took 262 ns with a look after each turn. */
#ifdef WEFT_MODEL
#define BACKOFF_FIRST 1
#define BACKOFF_LAST 1
#define BACKOFF_YIELD 2
#else
#define BACKOFF_FIRST 8  /* 42 ns; half as much 45, twice as much is a loss for a chance meeting */
#define BACKOFF_LAST 128 /* half as much 46 ns, twice as much 38, and late when it is free */
#define BACKOFF_YIELD 64 /* from here on the CPU is given away: 3 us have gone by */
#endif

/* One turn of a wait loop, of which *turns is 0 in the first. */
static inline void backoff_wait(unsigned *turns)
{
    unsigned n = *turns == 0 ? BACKOFF_FIRST : *turns < BACKOFF_LAST ? *turns * 2 : BACKOFF_LAST;
    *turns = n;
    do {
        cpu_relax();
    } while (--n != 0);
    if (*turns >= BACKOFF_YIELD) {
        sched_yield();
    }
}

#endif
