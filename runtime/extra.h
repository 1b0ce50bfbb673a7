/* SPDX-License-Identifier: MIT */
/*
 * Extra: what few tasks have, kept out of the descriptor, which is full: a name, locals, what the
 * library keeps for it. The record is made when the task gets the first of these, and goes with the
 * descriptor.
 *
 * Pairs
 *   P1  make: extra, release     -> whoever reads it: extra, acquire     the record
 *   P2  set_name: name, release  -> name: name, acquire                  the characters
 */
#ifndef WEFT_EXTRA_H
#define WEFT_EXTRA_H

#include <weft/local.h>

#include "future.h"

struct local_set;

struct task_extra {
    _Atomic(char *) name; /* heap, or NULL for the default one; guarded by the future's LOCK */
    struct local_set *locals; /* the task's while it runs, then the last holder's; see locals.h */
    weft_context *context;    /* in place of locals; a reference; immutable */
    void *kept;               /* the task's, written before it ends; then the library's */
    void (*kept_free)(void *kept); /* NULL: nothing is kept */
};

/* Have something go with the descriptor of the current task, that was made for it: its record is
 * there. Context: the task, once, before it ends. */
static inline void extra_keep(struct task_extra *extra, void *kept, void (*kept_free)(void *))
{
    extra->kept = kept;
    extra->kept_free = kept_free;
}

/* The record of a task, made when there is none; NULL: no memory. Context: any thread, holding a
 * reference, without the future's lock; or the spawner, before the task is published. */
struct task_extra *weft__extra_make(weft_task *t);

/* Free the record of a descriptor, which has one. Context: the last holder, or the spawner of a
 * task that is not published. */
void weft__extra_free(weft_task *t);

/* Give a task that is not published a name (copied). 0 or -ENOMEM. Context: its spawner. */
int weft__extra_name_new(weft_task *t, const char *name);

/* The record; NULL when there is none. Context: the task itself; the spawner before the task is
 * published; the last holder. */
static inline struct task_extra *extra_of(weft_task *t)
{
    return atomic_load_acquire(&t->extra); /* ORD P1: another thread may have made it */
}

#endif
