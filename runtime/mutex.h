/* SPDX-License-Identifier: MIT */
/* Mutex: what conditions know of it; see mutex.c. */
#ifndef WEFT_MUTEX_OBJECT_H
#define WEFT_MUTEX_OBJECT_H

#include <weft/sync.h>

#include "future.h"
#include "sync_word.h"

/* The bits of the word that are not the owner's; a descriptor is aligned to more than they need. */
#define MUTEX_BITS ((uint64_t)(SYNC_LOCK | SYNC_WAITERS | 4))

/* How a task stands in the word. */
static inline uint64_t mutex_owner(const weft_task *t)
{
    return (uint64_t)(uintptr_t)t;
}

/* The task that has it locked, to be compared only; NULL: none. Context: who knows that m stays. */
static inline const weft_task *mutex_holder(const struct weft_mutex *m)
{
    /* ORD none: it may be another's by the time it is told. */
    uint64_t word = atomic_load_relaxed(&((struct weft_mutex *)(uintptr_t)m)->word);
    return (const weft_task *)(uintptr_t)(word & ~MUTEX_BITS);
}

/* Whether t has it locked. Context: t itself, or who knows that t cannot go on. */
static inline bool mutex_is_owned(struct weft_mutex *m, const weft_task *t)
{
    /* ORD none: only the owner makes itself so, and only it lets go. */
    return (atomic_load_relaxed(&m->word) & ~MUTEX_BITS) == mutex_owner(t);
}

#endif
