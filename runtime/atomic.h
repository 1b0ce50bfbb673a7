/* SPDX-License-Identifier: MIT */
/*
 * Atomic accesses, each named by its order; the only file that includes <stdatomic.h>.
 *
 * This is a seam: with WEFT_MODEL defined the same names come from tests/model/model_atomic.h,
 * where every access is a step of an explored execution with store buffers. Code that uses nothing
 * but these names can be run through all its interleavings unchanged.
 *
 * Every use carries a comment: `ORD Pn:` names the pair of the file's table that the access belongs
 * to, `ORD none:` says why relaxed is enough.
 *
 * There are no stand-alone fences: ThreadSanitizer does not model them. The one barrier that is not
 * tied to an access is the asymmetric one of barrier.h.
 */
#ifndef WEFT_ATOMIC_H
#define WEFT_ATOMIC_H

#define WEFT_CACHE_LINE 64

#ifdef WEFT_MODEL
#include "model_atomic.h"
#else

#include <stdatomic.h>
#include <stdbool.h>

#define atomic_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define atomic_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define atomic_load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)

#define atomic_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define atomic_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define atomic_store_seq_cst(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

#define atomic_exchange_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define atomic_exchange_release(p, v) atomic_exchange_explicit((p), (v), memory_order_release)
#define atomic_exchange_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define atomic_exchange_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)

/* These return the value from before. */
#define atomic_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define atomic_add_acq_rel(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define atomic_add_seq_cst(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define atomic_sub_release(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_release)
#define atomic_sub_acq_rel(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define atomic_sub_seq_cst(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define atomic_or_acq_rel(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define atomic_or_seq_cst(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define atomic_and_acq_rel(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)
#define atomic_and_seq_cst(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)

/*
 * Compare and swap: true when *(p) was *(expected) and is now v; else *(expected) tells what it
 * was. The name gives the order of success; on failure it is a load, seq_cst or acquire or relaxed.
 */
#define atomic_cas_relaxed(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_relaxed, \
                                            memory_order_relaxed)
#define atomic_cas_acquire(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire, \
                                            memory_order_acquire)
#define atomic_cas_acq_rel(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, \
                                            memory_order_acquire)
#define atomic_cas_seq_cst(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst, \
                                            memory_order_seq_cst)

/*
 * Compare and swap of a pointer that only this thread and signal handlers on it write: no handler
 * can come in between. For other threads it is a relaxed store, if anything.
 */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(WEFT_TSAN)
#define atomic_local_cas(p, expected, v) \
    ({ \
        void *local_expected = (expected); \
        bool local_done; \
        __asm__ volatile("cmpxchgq %3, %1" \
                         : "=@ccz"(local_done), "+m"(*(p)), "+a"(local_expected) \
                         : "r"((void *)(v)) \
                         : "memory"); \
        local_done; \
    })
#else
#define atomic_local_cas(p, expected, v) \
    ({ \
        __typeof__((void)0, *(p)) local_expected = (expected); \
        atomic_cas_relaxed((p), &local_expected, (v)); \
    })
#endif

/* One turn of a wait loop: tells the processor, and nothing else. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif /* WEFT_MODEL */

#endif
