/* SPDX-License-Identifier: MIT */
/*
 * The names of runtime/atomic.h, and the barriers of runtime/barrier.h, as steps of an explored
 * execution; see model.h. They work on any _Atomic integer, boolean, enumeration or pointer.
 *
 * Memory allocated by the code under test comes from an arena that is emptied before each
 * execution, so that addresses repeat and an execution can be abandoned; touching it after free is
 * a failure.
 */
#ifndef WEFT_MODEL_ATOMIC_H
#define WEFT_MODEL_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum model_order {
    MODEL_RELAXED,
    MODEL_ACQUIRE,
    MODEL_RELEASE,
    MODEL_ACQ_REL,
    MODEL_SEQ_CST,
};

enum model_rmw {
    MODEL_EXCHANGE,
    MODEL_ADD,
    MODEL_SUB,
    MODEL_OR,
    MODEL_AND,
};

/* Where an access stands in the source. */
struct model_place {
    const char *text;
    const char *file;
    int line;
};

uint64_t model_load(const volatile void *p, size_t bytes, enum model_order order,
                    struct model_place place);
void model_store(volatile void *p, size_t bytes, uint64_t value, enum model_order order,
                 struct model_place place);
uint64_t model_rmw(volatile void *p, size_t bytes, enum model_rmw rmw, uint64_t operand,
                   enum model_order order, struct model_place place);
bool model_cas(volatile void *p, size_t bytes, void *expected, uint64_t value,
               enum model_order order, struct model_place place);
void model_relax(struct model_place place);
void model_heavy(struct model_place place);
void *model_malloc(size_t bytes);
void *model_calloc(size_t count, size_t bytes);
void *model_aligned_alloc(size_t alignment, size_t bytes);
void model_free(void *p);

#define MODEL_PLACE(text) ((struct model_place){text, __FILE__, __LINE__})

/* The type of *(p) without _Atomic and qualifiers: an operand of a comma is an rvalue. */
#define MODEL_TYPE(p) __typeof__(((void)0, *(p)))

#define MODEL_LOAD(p, order) \
    ((MODEL_TYPE(p))model_load((p), sizeof(*(p)), (order), MODEL_PLACE(#p)))
#define MODEL_STORE(p, v, order) \
    model_store((p), sizeof(*(p)), (uint64_t)(MODEL_TYPE(p))(v), (order), MODEL_PLACE(#p))
/* Statement expressions, since their values are often not used, which compilers say of a cast. */
#define MODEL_SWAP(p, v, order) \
    ({ \
        (MODEL_TYPE(p)) model_rmw((p), sizeof(*(p)), MODEL_EXCHANGE, (uint64_t)(MODEL_TYPE(p))(v), \
                                  (order), MODEL_PLACE(#p)); \
    })
#define MODEL_MODIFY(p, v, rmw, order) \
    ({ \
        (MODEL_TYPE(p)) \
            model_rmw((p), sizeof(*(p)), (rmw), (uint64_t)(v), (order), MODEL_PLACE(#p)); \
    })
#define MODEL_CAS(p, expected, v, order) \
    model_cas((p), sizeof(*(p)), (1 ? (expected) : (MODEL_TYPE(p) *)0), \
              (uint64_t)(MODEL_TYPE(p))(v), (order), MODEL_PLACE(#p))

#define atomic_load_relaxed(p) MODEL_LOAD(p, MODEL_RELAXED)
#define atomic_load_acquire(p) MODEL_LOAD(p, MODEL_ACQUIRE)
#define atomic_load_seq_cst(p) MODEL_LOAD(p, MODEL_SEQ_CST)

#define atomic_store_relaxed(p, v) MODEL_STORE(p, v, MODEL_RELAXED)
#define atomic_store_release(p, v) MODEL_STORE(p, v, MODEL_RELEASE)
#define atomic_store_seq_cst(p, v) MODEL_STORE(p, v, MODEL_SEQ_CST)

#define atomic_exchange_relaxed(p, v) MODEL_SWAP(p, v, MODEL_RELAXED)
#define atomic_exchange_acquire(p, v) MODEL_SWAP(p, v, MODEL_ACQUIRE)
#define atomic_exchange_release(p, v) MODEL_SWAP(p, v, MODEL_RELEASE)
#define atomic_exchange_acq_rel(p, v) MODEL_SWAP(p, v, MODEL_ACQ_REL)
#define atomic_exchange_seq_cst(p, v) MODEL_SWAP(p, v, MODEL_SEQ_CST)

#define atomic_add_relaxed(p, v) MODEL_MODIFY(p, v, MODEL_ADD, MODEL_RELAXED)
#define atomic_add_acquire(p, v) MODEL_MODIFY(p, v, MODEL_ADD, MODEL_ACQUIRE)
#define atomic_add_release(p, v) MODEL_MODIFY(p, v, MODEL_ADD, MODEL_RELEASE)
#define atomic_add_acq_rel(p, v) MODEL_MODIFY(p, v, MODEL_ADD, MODEL_ACQ_REL)
#define atomic_add_seq_cst(p, v) MODEL_MODIFY(p, v, MODEL_ADD, MODEL_SEQ_CST)
#define atomic_sub_relaxed(p, v) MODEL_MODIFY(p, v, MODEL_SUB, MODEL_RELAXED)
#define atomic_sub_acquire(p, v) MODEL_MODIFY(p, v, MODEL_SUB, MODEL_ACQUIRE)
#define atomic_sub_release(p, v) MODEL_MODIFY(p, v, MODEL_SUB, MODEL_RELEASE)
#define atomic_sub_acq_rel(p, v) MODEL_MODIFY(p, v, MODEL_SUB, MODEL_ACQ_REL)
#define atomic_sub_seq_cst(p, v) MODEL_MODIFY(p, v, MODEL_SUB, MODEL_SEQ_CST)
#define atomic_or_relaxed(p, v) MODEL_MODIFY(p, v, MODEL_OR, MODEL_RELAXED)
#define atomic_or_acquire(p, v) MODEL_MODIFY(p, v, MODEL_OR, MODEL_ACQUIRE)
#define atomic_or_release(p, v) MODEL_MODIFY(p, v, MODEL_OR, MODEL_RELEASE)
#define atomic_or_acq_rel(p, v) MODEL_MODIFY(p, v, MODEL_OR, MODEL_ACQ_REL)
#define atomic_or_seq_cst(p, v) MODEL_MODIFY(p, v, MODEL_OR, MODEL_SEQ_CST)
#define atomic_and_relaxed(p, v) MODEL_MODIFY(p, v, MODEL_AND, MODEL_RELAXED)
#define atomic_and_acquire(p, v) MODEL_MODIFY(p, v, MODEL_AND, MODEL_ACQUIRE)
#define atomic_and_release(p, v) MODEL_MODIFY(p, v, MODEL_AND, MODEL_RELEASE)
#define atomic_and_acq_rel(p, v) MODEL_MODIFY(p, v, MODEL_AND, MODEL_ACQ_REL)
#define atomic_and_seq_cst(p, v) MODEL_MODIFY(p, v, MODEL_AND, MODEL_SEQ_CST)

#define atomic_cas_relaxed(p, expected, v) MODEL_CAS(p, expected, v, MODEL_RELAXED)
#define atomic_cas_acquire(p, expected, v) MODEL_CAS(p, expected, v, MODEL_ACQUIRE)
#define atomic_cas_release(p, expected, v) MODEL_CAS(p, expected, v, MODEL_RELEASE)
#define atomic_cas_acq_rel(p, expected, v) MODEL_CAS(p, expected, v, MODEL_ACQ_REL)
#define atomic_cas_seq_cst(p, expected, v) MODEL_CAS(p, expected, v, MODEL_SEQ_CST)

/* The scheduler's next slot; the explorer has no signal handlers. */
#define atomic_local_cas(p, expected, v) \
    ({ \
        MODEL_TYPE(p) mx_expected = (expected); \
        atomic_cas_relaxed((p), &mx_expected, (v)); \
    })

/* After this a spinning thread is not run again until something that it has read is different. */
#define cpu_relax() model_relax(MODEL_PLACE("cpu_relax"))

#define model_barrier_light() ((void)0)
#define model_barrier_heavy() model_heavy(MODEL_PLACE("barrier_heavy"))

#define malloc(bytes) model_malloc(bytes)
#define calloc(count, bytes) model_calloc((count), (bytes))
#define aligned_alloc(alignment, bytes) model_aligned_alloc((alignment), (bytes))
#define free(p) model_free(p)

#endif
