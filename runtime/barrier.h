/* SPDX-License-Identifier: MIT */
/*
 * Asymmetric barrier: a store-load order between two threads of which one pays everything.
 *
 *     hot:   store x;  barrier_light();        load y   no instruction; the compiler keeps order
 *     cold:  store y;  weft__barrier_heavy();  load x   makes every running thread of the process
 *                                                       pass a full barrier
 *
 * At least one of the two loads sees the other's store, as if both sides had a full fence. The
 * heavy side is membarrier(PRIVATE_EXPEDITED), 0.2 us alone and about 2 us with one thread running
 * beside it; where the kernel refuses it, barrier_light becomes a full fence. weft__barrier_init
 * chooses, once, before the second thread exists.
 */
#ifndef WEFT_BARRIER_H
#define WEFT_BARRIER_H

#include <stdbool.h>

#include "atomic.h"
#include "check.h"

#ifdef WEFT_MODEL
#define barrier_light() model_barrier_light()
#define barrier_light_asymmetric() model_barrier_light()
#define barrier_is_symmetric() false
#define weft__barrier_heavy() model_barrier_heavy()
#else

/* True when the kernel refuses membarrier: the light side has to fence. Written when a runtime is
 * created, the same each time; other runtimes' workers may be reading it. */
extern _Atomic(bool) weft__barrier_symmetric;

/* Choose the kind of barrier. Context: any thread; may be called again. */
void weft__barrier_init(void);

/* The heavy side. Context: any thread. */
void weft__barrier_heavy(void);

/* Fence of the fallback, out of line. */
void weft__barrier_fence(void);

static inline bool barrier_is_symmetric(void)
{
    /* ORD none: written before this thread was started. */
    return WEFT_UNLIKELY(atomic_load_relaxed(&weft__barrier_symmetric));
}

/* The light side, on paths that are not taken when it has to fence. Context: any thread. */
static inline void barrier_light_asymmetric(void)
{
    __asm__ volatile("" ::: "memory");
}

/* The light side. Context: any thread. */
static inline void barrier_light(void)
{
    barrier_light_asymmetric();
    if (barrier_is_symmetric()) {
        weft__barrier_fence();
    }
}

#endif

#endif
