/* SPDX-License-Identifier: MIT */
/*
 * Signal sinks: those whom the handler of signals tells.
 *
 * They are a list that the handler walks, on any thread, also on one that is just changing it; so
 * it takes no lock, and counts itself while it walks. Who takes a sink out unlinks it first, and
 * then waits until nobody walks; who comes after that does not find it. Links and what is wanted
 * are written under a lock, by one at a time.
 *
 * Pairs
 *   P1  enter: walkers, seq_cst; then the links, seq_cst
 *       <-> unlink: the link, seq_cst; then walkers, seq_cst
 *           either the walker is waited for, or it does not find the sink
 *   P2  leave: walkers, release      -> unlink: walkers, seq_cst     all uses of the sink
 *   P3  link: the link, seq_cst      -> tell: the link, seq_cst      the sink is whole
 *
 * Tested: tests/model/model_signal_sinks.c (all interleavings).
 */
#ifndef WEFT_SIGNAL_SINKS_H
#define WEFT_SIGNAL_SINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"

/* A set of signals has bit signo - 1. */
#define SIGNAL_NUMBERS 64

static inline uint64_t signal_bit(int signo)
{
    return (uint64_t)1 << (signo - 1);
}

struct signal_sink {
    _Atomic(struct signal_sink *) next;
    _Atomic(uint64_t) wanted;
    uint32_t wishes[SIGNAL_NUMBERS]; /* under the lock: how often each is wanted */
    bool is_listed;                  /* under the lock */
    /* A signal has come. Context: async-signal, any thread; maybe several at once. */
    void (*arrive)(struct signal_sink *self, int signo);
};

struct signal_sinks {
    _Atomic(struct signal_sink *) first;
    _Atomic(uint32_t) walkers;
};

/* Begin to walk, and end. Context: async-signal. */
static inline void signal_sinks_enter(struct signal_sinks *list)
{
    (void)atomic_add_seq_cst(&list->walkers, 1); /* ORD P1: before the links */
}

static inline void signal_sinks_leave(struct signal_sinks *list)
{
    (void)atomic_sub_release(&list->walkers, 1); /* ORD P2: the last use */
}

/* Tell all that want it. Returns whether there was any. Context: who has begun to walk. */
static inline bool signal_sinks_tell(struct signal_sinks *list, int signo)
{
    bool is_wanted = false;
    struct signal_sink *s = atomic_load_seq_cst(&list->first); /* ORD P1, P3: after the count */
    while (s != NULL) {
        /* ORD none: the kernel orders it, who calls the handler (signal_action.c P2); else a bit
         * that has just changed may as well have changed later. */
        if ((atomic_load_relaxed(&s->wanted) & signal_bit(signo)) != 0) {
            is_wanted = true;
            s->arrive(s, signo);
        }
        s = atomic_load_seq_cst(&s->next); /* ORD P1, P3: after the count */
    }
    return is_wanted;
}

/* Lock held. */
static inline void signal_sinks_link(struct signal_sinks *list, struct signal_sink *s)
{
    /* ORD none: written under the lock; found by P3. */
    atomic_store_relaxed(&s->next, atomic_load_relaxed(&list->first));
    atomic_store_seq_cst(&list->first, s); /* ORD P3: it is whole */
}

/* Nobody has found it, or will, that signal_sinks_is_walked does not tell of. Lock held. */
static inline void signal_sinks_unlink(struct signal_sinks *list, const struct signal_sink *s)
{
    _Atomic(struct signal_sink *) *link = &list->first;
    struct signal_sink *at;
    /* ORD none: written under the lock, which we have. */
    while ((at = atomic_load_relaxed(link)) != s) {
        link = &at->next;
    }
    /* ORD none: as above. ORD P1: before the look for walkers; P3: what comes after it is whole */
    atomic_store_seq_cst(link, atomic_load_relaxed(&at->next));
}

static inline bool signal_sinks_is_walked(struct signal_sinks *list)
{
    /* ORD P1: after the link. ORD P2: what they did. */
    return atomic_load_seq_cst(&list->walkers) != 0;
}

#endif
