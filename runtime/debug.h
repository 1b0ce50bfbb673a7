/* SPDX-License-Identifier: MIT */
/*
 * Debug mode: tells who holds up a worker.
 *
 * A step is what runs between two switches: a part of a task, or a callback. While the mode is on
 * each worker notes the step that it is in. When a step ends that took slow_ns or longer, the
 * worker says so. A step that does not end, because it blocks its thread in the kernel, is found by
 * a thread that looks at all workers twice in slow_ns: the same step in two looks, the thread
 * asleep in both and its CPU clock standing still. That thread signals nobody: the call is not cut
 * short. It exists from the first time the mode is on until the runtime is closed, and sleeps while
 * it is off.
 *
 * While it is off a switch pays nothing for it: the mode makes the words look as if there were a
 * C++ exception to take along (switch_is_usual), and who looks closer finds which it is.
 *
 * A step's number is odd while it runs, so that the looker can tell whether what it read about it
 * belongs together. The task is looked at by the rules of future.h: held first, then compared.
 *
 * Pairs
 *   P1  begin: number, release    -> look: number, acquire        the step's fields
 *   P2  end: number, seq_cst; then the next one's fields, release
 *       -> look: the fields, acquire; then number, seq_cst        they are of one step
 *
 * Tested: tests/unit/test_rt_debug.c.
 */
#ifndef WEFT_DEBUG_OBJECT_H
#define WEFT_DEBUG_OBJECT_H

#include <pthread.h>
#include <time.h>

#include <weft/base.h>

#include "atomic.h"
#include "check.h"
#include "recent.h"

struct worker;

/* A worker's part. */
struct debug_step {
    /* written by the worker, read by who looks */
    _Atomic(uint64_t) number;         /* of the step; even: between two */
    _Atomic(int64_t) started_ns;
    _Atomic(weft_task *) task;        /* whose step; NULL: a callback's */
    _Atomic(uint64_t) task_id;
    _Atomic(uint64_t) callback;       /* its address */
    _Atomic(uint64_t) told;           /* the last one that was reported as blocked */
    _Atomic(uint32_t) mode;           /* debug_mode as the step began */
    /* immutable once tid is there */
    clockid_t cpu_clock;
    _Atomic(int) tid;
    /* written by the worker, read for crash reports */
    struct recent recent;
    /* the looker's */
    uint64_t looked_number;
    int64_t looked_cpu_ns;
};

/* A runtime's part. */
struct debug {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_on;      /* lock */
    bool has_thread; /* lock */
    bool is_over;    /* lock */
    uint32_t mode;   /* lock; what the workers' flags are while it is on, never the same again */
    pthread_t thread;
    _Atomic(uint64_t) blocked; /* steps reported as such */
};

/* The step that ran is over; the next is the task's, or NULL: nobody's. Context: owner. */
__attribute__((cold)) void weft__debug_switch(struct worker *w, weft_task *next);

/* The same, and the next is a callback's. */
__attribute__((cold)) void weft__debug_callback(struct worker *w, uintptr_t fn);

/* Context: the worker's thread, at its start. */
void weft__debug_begin(struct worker *w);

/* Before any worker; 0 or -errno. */
int weft__debug_init(weft_runtime *rt);

/* Turn the mode on or off. 0, or -EAGAIN: no thread to be had, it stays off. */
int weft__debug_set(weft_runtime *rt, bool is_on);

/* End the looking thread. Context: who closes, before the workers end. */
void weft__debug_end(weft_runtime *rt);

#endif
