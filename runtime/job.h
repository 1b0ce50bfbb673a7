/* SPDX-License-Identifier: MIT */
/*
 * Job: a call that may block, to be made on a thread of a pool (pool.h).
 *
 * It is embedded in what it belongs to: the frame of a task that waits for it, or an object of its
 * own that a future has. From the submission on it is the pool's, which either runs it and then
 * calls `end`, or, when there is no thread and none can be had, calls `end` with the error. Who
 * withdraws it (weft__pool_withdraw) has it back, and `end` is not called.
 *
 * Pairs
 *   P1  over: is_over, release -> await: is_over, acquire     the outcome
 */
#ifndef WEFT_JOB_H
#define WEFT_JOB_H

#include <weft/base.h>

#include "list.h"
#include "mpsc.h"

struct local_set;
struct pool_slot;

struct job {
    struct mpsc_node node; /* in the pool's inbox */
    struct list link;      /* in the pool's queue; the pool's lock */
    bool is_listed;        /* it is in that; the same */
    weft_fn fn;
    void *arg;
    const char *name;         /* NULL: none */
    struct local_set *locals; /* a reference; its thread's while it runs, then the pool's */
    void *result;             /* written before `end`, as */
    int error;                /* what weft_fail noted meanwhile, or why it could not run */
    _Atomic(uint32_t) *requests; /* how often its end was asked for; NULL: nobody can */
    struct pool_slot *slot;   /* whose thread runs it, or NULL; the pool's lock */
    const weft_runtime *rt;   /* whose close waits for it, unless it is let go; NULL: none */
    weft_future *of;          /* the task that waits for it, or its own future; NULL: not known.
                                 For crash reports, and there unless it is let go */
    bool tells_crash;         /* what its thread does to itself meanwhile is reported (crash.h) */
    bool is_interruptible;    /* a cancel sends its thread a signal */
    bool is_let_go;           /* nobody waits for it any more; the pool's lock while it runs */
    bool is_awaited;          /* its thread does not end it, but tells weft__job_await */
    _Atomic(uint32_t) is_over; /* where it is awaited: it is; a futex */
    /* The last touch: the job may be gone when this returns. Context: a thread of the pool, or who
     * submits. */
    void (*end)(struct job *self);
};

/* Make the call on this thread; what it came to is in result and error. */
void weft__job_call(struct job *job);

/* Wait until it has run, or was refused, for which it has to be awaited; then it is the caller's.
 * Context: who has submitted it. */
void weft__job_await(struct job *job);

/* It has run, or was refused: end it, or tell who awaits it. */
void weft__job_over(struct job *job);

#endif
