/* SPDX-License-Identifier: MIT */
/*
 * Descriptor table: how many calls of a runtime's tasks use each descriptor, and whether it is
 * being closed.
 *
 * close(2) does not end operations in flight, and its number is given out again at once. So
 * weft_close marks the descriptor (new calls: -EBADF), has operations in flight cancelled, waits
 * until the last call is over, and only then closes. One word a descriptor:
 *   bit 0       CLOSING   calls are refused
 *   bit 1       AWAITED   the closer waits to be told that the last call is over
 *   bit 2       ENDING    close(2) is under way: the number is still the file's, or nobody's, or
 *                         another file's already, and nothing tells which; so calls and other
 *                         closers wait until it has returned
 *   bits 3..63  calls that have entered and not left
 * A call that was let in while close(2) is under way would keep the old file open, with nobody to
 * end it. A call enters by a compare-and-swap, so one that came too late leaves no trace. It stays
 * in while it tries again (a descriptor with O_NONBLOCK), so that no second try meets a file that
 * has got the number since.
 *
 * Invariants
 *   I1  One tells the closer: the call that leaves as the last one after AWAITED was set, or the
 *       closer itself, when none was in any more as it set it. Nobody enters after CLOSING, so
 *       there is no other. The closer goes on only when told; `closer` stands still till then.
 *
 * Pairs
 *   P1  enter: word, acq_rel CAS    <-> close: word, acq_rel CAS    either it is refused, or the
 *                                                                   closer counts it
 *   P2  await: word, acq_rel or      -> last left: word, acq_rel    `closer`
 *   P3  leave: word, acq_rel sub     -> last left: word, acq_rel    all that the calls did
 *   P4  new chunk: chunk, acq_rel    -> find: chunk, acquire        zeros
 *   P5  close: word, acq_rel CAS     -> is closing: word, acquire   with the message of close.c: a
 *                                                                   call that missed the message
 *                                                                   sees the mark
 *   P6  end: word, acq_rel and       -> close: word, acq_rel CAS; enter: word, acq_rel CAS
 *                                                                   close(2) has returned
 *
 * In a runtime with one worker all of that is one thread's: its tasks enter, leave and close, its
 * strands (transport.h, on_fd.c) run on it, and there is no other worker to help it out (rescue.h).
 * A thread of a pool, or one that is no worker, has no current fiber and no current runtime, and is
 * refused before it gets here; a handler of a signal does not call. So a call enters and leaves by
 * loads and stores there; with two system calls in a batch of many, four exchanges were a hundredth
 * of a small echo. Builds with a sanitizer check that it is that thread.
 *
 * Tested in tests/model/model_fd_table.c.
 */
#ifndef WEFT_FD_TABLE_H
#define WEFT_FD_TABLE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"
#include "check.h"
#include "sanitize.h"

#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
#define FD_CHECKS_THREAD
#include <pthread.h>
#endif

#ifndef FD_CHUNK
#define FD_CHUNK 4096   /* descriptors a chunk: 64 KiB, touched page by page */
#define FD_CHUNKS 65536 /* 268 million descriptors; the kernel's default limit is one million */
#endif
#define FD_CLOSING ((uint64_t)1)
#define FD_AWAITED ((uint64_t)2)
#define FD_ENDING ((uint64_t)4)
#define FD_ONE ((uint64_t)8)

/* Somebody who closes, and waits for the last call to be over. */
struct fd_closer {
    void (*left)(struct fd_closer *self);
};

struct fd_entry {
    _Atomic(uint64_t) word;
    struct fd_closer *closer; /* I1 */
};

/* Descriptors that callbacks watch (on_fd.c): a table of lists. Few are watched, as a rule. */
#define FD_WATCH_BUCKETS 256u
struct fd_watch;

struct fd_table {
    bool is_alone; /* all calls come from one thread; set before the first, then immutable */
#ifdef FD_CHECKS_THREAD
    pthread_t thread; /* that one */
#endif
    _Atomic(struct fd_entry *) chunk[FD_CHUNKS];
    _Atomic(uint64_t) watch_lock;
    struct fd_watch *watches[FD_WATCH_BUCKETS]; /* the lock's */
};

struct fd_table *weft__fd_table_create(void);
void weft__fd_table_destroy(struct fd_table *t);

/* A worker of so many is about to use it. Context: its thread, before its first call. */
static inline void fd_table_begin(struct fd_table *t, unsigned workers)
{
    if (workers == 1) {
        t->is_alone = true;
#ifdef FD_CHECKS_THREAD
        t->thread = pthread_self();
#endif
    }
}

/* Whether the caller is the only thread that calls. */
static inline bool fd_table_is_alone(const struct fd_table *t)
{
#ifdef FD_CHECKS_THREAD
    WEFT_ASSERT(!t->is_alone || pthread_equal(t->thread, pthread_self()));
#endif
    return t->is_alone;
}

/* Make the chunk of a descriptor; NULL: no memory. */
struct fd_entry *weft__fd_table_grow(struct fd_table *t, int fd);

/* The last call on a descriptor whose closer waits is over: tell it. Context: see I1. */
void weft__fd_entry_last_left(struct fd_entry *e);

/* Have closer->left called once no call is in, maybe from here. Context: the one that closes. */
void weft__fd_entry_await(struct fd_entry *e, struct fd_closer *closer);

/* Whether the number is within the table; no process can have a descriptor beyond. */
static inline bool fd_is_in_table(int fd)
{
    return (unsigned)fd / FD_CHUNK < FD_CHUNKS; /* negative ones are not */
}

/* fd: in the table. NULL: no memory, and no call has ever entered. */
static inline struct fd_entry *fd_table_find(struct fd_table *t, int fd)
{
    /* ORD P4: zeros, or in use. */
    struct fd_entry *all = atomic_load_acquire(&t->chunk[(unsigned)fd / FD_CHUNK]);
    return WEFT_LIKELY(all != NULL) ? &all[(unsigned)fd % FD_CHUNK] : weft__fd_table_grow(t, fd);
}

/* A call was over as the word was `old`: it may be the last one, which a closer waits for. */
static inline void fd_entry_left(struct fd_entry *e, uint64_t old)
{
    if (WEFT_UNLIKELY(old == FD_CLOSING + FD_AWAITED + FD_ONE)) {
        weft__fd_entry_last_left(e);
    }
}

static inline void fd_entry_leave(struct fd_entry *e)
{
    fd_entry_left(e, atomic_sub_acq_rel(&e->word, FD_ONE)); /* ORD P3: the call is over */
}

/* Why no call can begin; 0: it can. */
static inline int fd_entry_refusal(uint64_t word)
{
    if (WEFT_LIKELY((word & (FD_CLOSING | FD_ENDING)) == 0)) {
        return 0;
    }
    return (word & FD_CLOSING) != 0 ? -EBADF : -EAGAIN;
}

/* A call begins. 0; -EBADF: somebody closes the descriptor; -EAGAIN: somebody is in close(2), let
 * others run and call again. */
static inline int fd_entry_enter(struct fd_entry *e)
{
    uint64_t old = atomic_load_relaxed(&e->word); /* ORD none: the CAS checks it */
    do {
        int err = fd_entry_refusal(old);
        if (WEFT_UNLIKELY(err < 0)) {
            return err;
        }
        /* ORD P1: counted, or refused. */
        /* ORD P6: the close(2) before has returned. */
    } while (WEFT_UNLIKELY(!atomic_cas_acq_rel(&e->word, &old, old + FD_ONE)));
    return 0;
}

/*
 * Refuse calls from now on. How many are in; -EBADF: somebody else closes it; -EAGAIN: somebody
 * else is in close(2).
 */
static inline int64_t fd_entry_close(struct fd_entry *e)
{
    uint64_t old = 0;
    /* ORD P1: calls after this are refused. */
    /* ORD P5: before the messages. */
    /* ORD P6: the close(2) before has returned. */
    while (!atomic_cas_acq_rel(&e->word, &old, old | FD_CLOSING)) {
        if ((old & FD_CLOSING) != 0) {
            return -EBADF;
        }
        if ((old & FD_ENDING) != 0) {
            return -EAGAIN;
        }
    }
    return (int64_t)(old / FD_ONE);
}

/*
 * About to call close(2), in which the number may become somebody else's, to whose calls -EBADF
 * would be a lie: from now on they wait.
 * Context: the one that closes; no call is in.
 */
static inline void fd_entry_end(struct fd_entry *e)
{
    /* ORD none: nobody goes on upon this, but upon fd_entry_ended. */
    (void)atomic_add_relaxed(&e->word, FD_ENDING - FD_CLOSING);
}

/*
 * A call that is in closes the descriptor itself: leave, and be about to call close(2). False:
 * others are in, or somebody closes it; the call is still in.
 */
static inline bool fd_entry_end_alone(struct fd_entry *e)
{
    uint64_t alone = FD_ONE;
    /* ORD P1: calls after this wait. */
    /* ORD P3: all that those before did. */
    return atomic_cas_acq_rel(&e->word, &alone, FD_ENDING);
}

/* close(2) has returned: as if never used. Context: the one that closed. */
static inline void fd_entry_ended(struct fd_entry *e)
{
    (void)atomic_and_acq_rel(&e->word, ~FD_ENDING); /* ORD P6: it has returned */
}

/* The two where all is done by the caller's thread. */
static inline int fd_entry_enter_alone(struct fd_entry *e)
{
    uint64_t old = atomic_load_relaxed(&e->word); /* ORD none: this thread's */
    int err = fd_entry_refusal(old);
    if (WEFT_LIKELY(err == 0)) {
        atomic_store_relaxed(&e->word, old + FD_ONE); /* ORD none: as above */
    }
    return err;
}

static inline void fd_entry_leave_alone(struct fd_entry *e)
{
    uint64_t old = atomic_load_relaxed(&e->word); /* ORD none: this thread's */
    atomic_store_relaxed(&e->word, old - FD_ONE); /* ORD none: as above */
    fd_entry_left(e, old);
}

/* A call on fd begins: 0, -EBADF, -EAGAIN, -ENOMEM. A negative fd is not noted: AT_FDCWD, or the
 * kernel's to refuse. */
static inline int fd_table_enter(struct fd_table *t, int fd)
{
    if (WEFT_UNLIKELY(!fd_is_in_table(fd))) {
        return fd < 0 ? 0 : -EBADF;
    }
    struct fd_entry *e = fd_table_find(t, fd);
    if (WEFT_UNLIKELY(e == NULL)) {
        return -ENOMEM;
    }
    return fd_table_is_alone(t) ? fd_entry_enter_alone(e) : fd_entry_enter(e);
}

/* It is over. */
static inline void fd_table_leave(struct fd_table *t, int fd)
{
    if (WEFT_UNLIKELY(fd < 0)) {
        return;
    }
    struct fd_entry *e = fd_table_find(t, fd);
    if (fd_table_is_alone(t)) {
        fd_entry_leave_alone(e);
    } else {
        fd_entry_leave(e);
    }
}

/*
 * Whether somebody closes fd, for a call that has entered it and is about to begin an operation: if
 * it is not the first, the closer's message may have found nothing, between two. Context: the
 * worker it is begun on, with no switch before it is.
 */
static inline bool fd_table_is_closing(struct fd_table *t, int fd)
{
    /* ORD P5: after the message, if that has been here. */
    return fd >= 0 && (atomic_load_acquire(&fd_table_find(t, fd)->word) & FD_CLOSING) != 0;
}

#endif
