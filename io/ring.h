/* SPDX-License-Identifier: MIT */
/*
 * One io_uring: set-up with fallbacks, taking SQEs, submitting, waiting, reading completions.
 *
 *     sqe = ring_sqe(r);  io_uring_prep_recv(sqe, ...);  sqe->user_data = ...;  ring_publish(r);
 *     ...                                              (more of them: one system call for all)
 *     weft__ring_wait(r, for_ns);
 *     do {
 *         for (n = ring_pending(r), i = 0; i < n; i++) { use(ring_cqe_at(r, i)); }
 *         ring_advance(r, n);
 *     } while (ring_ready(r) && weft__ring_wait(r, 0) == 0);
 *
 * This layer knows nothing of tasks, of timers or of what user_data means, and has no lock.
 *
 * Threads and roles
 *   owner      the thread that called weft__ring_init. It alone makes the system calls (the kernel
 *              answers EEXIST to others), and calls weft__ring_fini. It takes SQEs and publishes
 *              them, or another thread does in its place, as with the consumer below.
 *   handler    a signal handler that interrupts the owner, anywhere: may call weft__ring_kick, and
 *              ring_unsubmitted. It may take and publish SQEs only if its caller can tell that the
 *              owner is not between ring_sqe and ring_publish.
 *   consumer   who reads completions: the owner, or another thread in its place. At most one at a
 *              time, and one's last call must happen before the next one's first; a lock of the
 *              user's sees to that. The kernel neither knows nor cares who moves the CQ head.
 *   observer   any thread: ring_ready, and the counters.
 *
 * Invariants
 *   I1  sq head <= sq tail <= sqe_tail <= sq head + sq_entries, as numbers that wrap: the kernel
 *       consumes only what is published, and a slot is taken again only when it was consumed.
 *   I2  What is published is complete: an enter by anyone on the owner's thread may submit it.
 *   I3  cq head = (uint32_t)cqe_head whenever no consumer is inside ring_advance.
 *   I4  No completion is lost: when the CQ is full the kernel keeps the rest on a list of its own,
 *       sets CQ_OVERFLOW, and moves them over, in order, in an enter that asks for events. (If it
 *       has no memory for that list it counts the loss, and the process is ended.)
 *
 * The number of SQEs published and not consumed is read from the two words of ring memory each
 * time: a count of our own would be wrong after a handler submitted in the middle of its update.
 *
 * Pairs, over the kernel boundary
 *   P1  ring_publish: sq tail, release    -> kernel, submission: sq tail, acquire   SQE's contents
 *   P2  kernel, completion: cq tail, rel. -> ring_pending: cq tail, acquire         CQE's contents
 *   P3  ring_advance: cq head, release    -> kernel, completion: cq head, and a branch on it
 *                                            before it writes the slot     our reads of the slot
 *   P4  kernel, submission: sq head, rel. -> ring_sqe: sq head, acquire         its reads of a slot
 * No full barrier: only a kernel thread that polls the SQ (SQPOLL) would need the store of the
 * tail ordered before the load of its flags, and we have none.
 */
#ifndef WEFT_RING_H
#define WEFT_RING_H

#include <string.h>

#include "atomic.h"
#include "check.h"
#include "ring_features.h"
#include "weft/base.h"

/*
 * SQEs of a ring by default. A turn of a worker batches tens; a full SQ costs a system call and
 * nothing else. 256, and the CQ that goes with them, take 9 pages of locked memory. Half saves 4;
 * double pays only where more than 256 operations are started without letting the loop turn.
 */
#define WEFT_RING_ENTRIES 256u

struct ring {
    /* immutable after init: one line, the hot one */
    _Alignas(WEFT_CACHE_LINE) struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    /* Words of ring memory, from liburing's plain pointers; the library's only casts to an atomic
       type make them (ring_word in ring.c). */
    _Atomic(uint32_t) *sq_head;  /* the kernel's: next to consume */
    _Atomic(uint32_t) *sq_tail;  /* the owner's: end of what is published */
    _Atomic(uint32_t) *sq_flags; /* the kernel's: IORING_SQ_TASKRUN, IORING_SQ_CQ_OVERFLOW */
    _Atomic(uint32_t) *cq_head;  /* the consumer's */
    _Atomic(uint32_t) *cq_tail;  /* the kernel's */
    uint32_t sq_entries;         /* a power of two */
    uint32_t cq_entries;         /* the same */

    /* immutable after init */
    int enter_fd;                  /* descriptor, or index among the thread's registered rings */
    uint32_t enter_flags;          /* IORING_ENTER_REGISTERED_RING or 0 */
    uint32_t wait_flags;           /* WEFT_ENTER_NO_IOWAIT or 0: of enters that block */
    unsigned disabled;             /* WEFT_RING_WITHOUT_... */
    _Atomic(uint32_t) *cq_lost;    /* the kernel's: completions it had no memory for */
    _Atomic(uint32_t) *sq_dropped; /* the kernel's: SQEs it could not find */
    struct ring_features features; /* the probed part is written by weft__probe */
    struct io_uring uring;         /* liburing's: for register calls, unmapping, closing */

    /* written by the owner, read by any thread */
    _Alignas(WEFT_CACHE_LINE) _Atomic(uint64_t) sqe_tail; /* SQEs ever taken; low half: next slot */
    _Atomic(uint64_t) enter_count;                        /* system calls ever made */

    /* written by a handler on the owner's thread, read by any thread */
    _Atomic(uint64_t) kick_count;

    /* written by the consumer, read by any thread */
    _Alignas(WEFT_CACHE_LINE) _Atomic(uint64_t) cqe_head; /* CQEs ever consumed */
};

/*
 * Set up a ring for the calling thread, which becomes its owner.
 * Tries, in this order, until the kernel does not answer EINVAL: SINGLE_ISSUER + DEFER_TASKRUN +
 * TASKRUN_FLAG + SUBMIT_ALL (6.1); COOP_TASKRUN + TASKRUN_FLAG + SUBMIT_ALL (5.19); plain (5.15).
 * Where memory is refused it tries smaller rings: see sq_entries and cq_entries for what it became.
 * Context: any thread, not a handler.   Blocks: the thread, up to 0.2 s when memory is refused.
 * why: at least one byte, or NULL with 0 bytes; on failure it holds a line for people, with the
 *      likely cause and the cure. 256 bytes are enough. On success it is an empty string.
 * Returns 0, or -EPERM, -EACCES, -ENOSYS (refused; or a feature that cannot be done without is
 *         missing), -ENOMEM, -EMFILE, -ENFILE, -EINVAL (no rung accepted). On failure nothing is
 *         left open.
 */
WEFT_MUST_CHECK int weft__ring_init(struct ring *r, const struct ring_options *options, char *why,
                                    size_t why_bytes);

/*
 * Give everything back. Nothing may be in flight: the kernel could still write to its buffers. What
 * is published and not submitted never happens. The memory is the caller's again.
 * Context: owner
 */
void weft__ring_fini(struct ring *r);

/*
 * Submit everything published, without waiting for completions; none published: no system call.
 * Runs what completions the kernel has deferred, if it says so, on the way.
 * Context: owner
 * Returns 0: all submitted; -EAGAIN (no memory in the kernel) or -EBUSY (5.15: CQ overflown): some
 *         may be left, in order; reap, then call again.
 */
WEFT_MUST_CHECK int weft__ring_submit(struct ring *r);

/*
 * Submit everything published and wait until the CQ is not empty, in at most one system call; none
 * at all where there is nothing to submit, nothing deferred, and no reason to wait.
 * for_ns: the longest wait, from the call on; <= 0 does not wait, WEFT_FOREVER has no limit.
 * Context: owner   Blocks: the thread
 * Returns 0: there are completions, or none (time up, signal, short submit): look, and call again;
 *         -EAGAIN, -EBUSY: nothing was submitted nor waited for; reap, then call again.
 */
WEFT_MUST_CHECK int weft__ring_wait(struct ring *r, int64_t for_ns);

/*
 * Submit what is published and run deferred completions, for a worker that is stuck in user code.
 * Makes no system call when there is nothing of either; leaves errno alone; never blocks.
 * Context: owner, a signal handler on its thread included
 */
void weft__ring_kick(struct ring *r);

/*
 * The bare system call: -errno as the result, errno left alone, nothing counted, nothing sorted.
 * flags: IORING_ENTER_...; what the ring's descriptor and `arg` (may be NULL) need is added.
 * Context: owner, a signal handler on its thread included
 */
int weft__ring_enter(const struct ring *r, unsigned to_submit, unsigned min_complete,
                     unsigned flags, struct io_uring_getevents_arg *arg);

/*
 * How many threads the kernel may have for the owner's requests, of each of its two kinds, beyond
 * the usual few: one for each request that may keep its thread for long. Takes effect for what is
 * submitted later; no thread is made or ended by this, and a refusal leaves it as it was. The
 * kernel's own limit is RLIMIT_NPROC.
 * Context: owner
 */
void weft__ring_add_threads(struct ring *r, unsigned more);

struct crash_text;

/* For crash reports: liburing's version, the ring's size and features. Context: async-signal. */
void weft__ring_about(const struct ring *r, struct crash_text *text);

/* Whether the kernel has an opcode; false before weft__probe. Context: any thread. */
bool weft__ring_supports(const struct ring *r, unsigned opcode);

/* IORING_SQ_TASKRUN and IORING_SQ_CQ_OVERFLOW: what only an enter can turn into completions. */
static inline uint32_t ring_deferred(const struct ring *r)
{
    /* ORD none: a hint, looked at again before each wait; the kernel, entered to wait, goes by its
       own lists and not by this word. */
    return atomic_load_relaxed(r->sq_flags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* SQEs published that the kernel has not consumed. Context: owner, handler. */
static inline unsigned ring_unsubmitted(const struct ring *r)
{
    /* ORD none: both are written on this thread, the head inside its own system calls; or the tail
     * by who has its place. For others it is a hint. */
    return atomic_load_relaxed(r->sq_tail) - atomic_load_relaxed(r->sq_head);
}

/*
 * The next free SQE, all zero, or NULL when there is none: then weft__ring_submit, and again.
 * It is the caller's until ring_publish; several may be taken before one publish.
 * Context: owner
 */
static inline struct io_uring_sqe *ring_sqe(struct ring *r)
{
    /* ORD none: own variable. */
    uint64_t tail = atomic_load_relaxed(&r->sqe_tail);
    /* ORD P4: for who has the owner's place: the kernel has read the slot. */
    uint32_t head = atomic_load_acquire(r->sq_head);
    if (WEFT_UNLIKELY((uint32_t)tail - head >= r->sq_entries)) {
        return NULL;
    }
    /* ORD none: own variable, others read it as a counter. */
    atomic_store_relaxed(&r->sqe_tail, tail + 1);
    struct io_uring_sqe *sqe = &r->sqes[(uint32_t)tail & (r->sq_entries - 1)];
    memset(sqe, 0, sizeof(*sqe));
    return sqe;
}

/* Let the kernel see every SQE taken: from now on any enter of this thread may submit them. */
static inline void ring_publish(struct ring *r)
{
    /* ORD none: own variable. */
    uint64_t tail = atomic_load_relaxed(&r->sqe_tail);
    /* ORD P1: the SQEs written above are complete before the kernel can find them. */
    atomic_store_release(r->sq_tail, (uint32_t)tail);
}

/* Completions in the CQ. Context: consumer. */
static inline unsigned ring_pending(const struct ring *r)
{
    /* ORD P2: who sees the kernel's new tail sees the entries below it. */
    uint32_t tail = atomic_load_acquire(r->cq_tail);
    /* ORD none: own variable of whoever consumes, handed over with that role. */
    return tail - (uint32_t)atomic_load_relaxed(&r->cqe_head);
}

/* The i-th of the ring_pending completions, until ring_advance passes it. Context: consumer. */
static inline const struct io_uring_cqe *ring_cqe_at(const struct ring *r, unsigned i)
{
    /* ORD none: own variable of whoever consumes. */
    uint32_t head = (uint32_t)atomic_load_relaxed(&r->cqe_head);
    return &r->cqes[(head + i) & (r->cq_entries - 1)];
}

/* The oldest completion, or NULL; valid until ring_advance. Context: consumer. */
static inline const struct io_uring_cqe *ring_peek(const struct ring *r)
{
    return ring_pending(r) != 0 ? ring_cqe_at(r, 0) : NULL;
}

/* Give the n oldest entries of the CQ back to the kernel. Context: consumer. */
static inline void ring_advance(struct ring *r, unsigned n)
{
    /* ORD none: own variable of whoever consumes. */
    uint64_t head = atomic_load_relaxed(&r->cqe_head) + n;
    /* ORD none: the same; others read it as a counter. */
    atomic_store_relaxed(&r->cqe_head, head);
    /* ORD P3: our reads of the entries are done before the kernel may write there again. */
    atomic_store_release(r->cq_head, (uint32_t)head);
}

/*
 * Whether there is something to reap: completions in the CQ, or deferred ones that an enter will
 * put there. False may be late by a moment; true may be taken by another consumer.
 * Context: any thread
 */
static inline bool ring_ready(const struct ring *r)
{
    return ring_pending(r) != 0 || ring_deferred(r) != 0;
}

/* Single-writer counters, as the writer left them a moment ago. Context: any thread. */
static inline uint64_t ring_sqe_count(const struct ring *r)
{
    /* ORD none: a counter. */
    return atomic_load_relaxed(&r->sqe_tail);
}

static inline uint64_t ring_cqe_count(const struct ring *r)
{
    /* ORD none: a counter. */
    return atomic_load_relaxed(&r->cqe_head);
}

static inline uint64_t ring_enter_count(const struct ring *r)
{
    /* ORD none: counters. */
    return atomic_load_relaxed(&r->enter_count) + atomic_load_relaxed(&r->kick_count);
}

#endif
