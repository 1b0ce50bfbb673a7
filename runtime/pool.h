/* SPDX-License-Identifier: MIT */
/*
 * Pool: threads for calls that block. Made when a job finds none idle, up to a limit; the one that
 * was idle for the shortest time is used first; one that nobody needed for a while ends.
 *
 *     submit:  push the job                     thread:  no job: push the slot, say so, look again
 *              nobody searches: call a thread            sleep
 *
 * No lock is taken to submit: a job goes into an inbox (mpsc.h), a thread that is to be woken comes
 * off a stack of slots. Threads take jobs under `lock`, by which the inbox has one consumer; who
 * withdraws a job takes it too.
 *
 * At most one thread searches: it was called for a job and has not looked for it yet, or it had one
 * and looks on for some microseconds, where sleeping and being woken would take longer. Who submits
 * while one searches leaves it at that. A searcher that has taken a job stops searching, and calls
 * the next thread if there are more jobs, before it runs its own, which may block for long: so all
 * jobs get threads as long as there are any to be had, and those who submit many pay for one call.
 *
 * A slot is a place for a thread. It is
 *   EMPTY     no thread, on the stack `unused`
 *   BUSY      its thread runs jobs, or looks for one; or it is about to be started, or to end
 *   SLEEPING  on the stack `idle`; its thread sleeps on the word
 *   RETIRED   on the stack `idle`; its thread has slept for idle_ns and has ended. Who takes it off
 *             puts it to the unused ones
 *
 * Invariants
 *   I1  a job is in the inbox, in the queue, or somebody's who has taken it out under the lock
 *   I2  while there is a job in either and a thread to be had, somebody searches, or is between a
 *       step that has made it so and pool_call: a submission, an end of searching, a sleep, the end
 *       of a thread, and a release of the lock by who has moved jobs from one to the other
 *   I3  a slot is on one stack, or somebody's
 *   I4  `threads` counts those that will look for jobs once more
 *
 * Pairs
 *   P1  submit: inbox, seq_cst; then is_searching, seq_cst
 *       <-> end of searching: is_searching, seq_cst; then inbox and listed, seq_cst
 *           the searcher that a submission relies on sees its job
 *   P2  sleep: idle, seq_cst; then inbox and listed, seq_cst
 *       <-> pool_call: inbox (its own, or seen), seq_cst; then idle, seq_cst
 *           the sleeper sees the job or is found on the stack
 *   P3  push of a slot: stack, seq_cst -> pop: stack, seq_cst            the slot's contents
 *   P4  call: state, acq_rel           -> thread: state, acquire         what was done before
 *   P5  close: is_closing, seq_cst; then idle  <-> sleep: idle, seq_cst; then is_closing
 *   P6  release: refs, acq_rel         -> the last release: refs         all uses come first
 *   P7  retire: threads, seq_cst; then inbox and listed, seq_cst
 *       <-> pool_call: inbox, seq_cst; then threads, seq_cst
 *           who could not start a thread and relies on another one is right to
 *   P8  poke: quiet, acq_rel           -> closer: quiet, acquire, before it looks
 *   P9  refuse: refusal, acq_rel       -> submit: refusal, acquire       why
 *
 * Tested: tests/model/model_pool.c, tests/unit/test_rt_pool.c, tests/stress/stress_blocking.c.
 */
#ifndef WEFT_POOL_H
#define WEFT_POOL_H

#include <pthread.h>
#include <time.h>

#include "atomic.h"
#include "job.h"

enum slot_state {
    SLOT_EMPTY,
    SLOT_BUSY,
    SLOT_SLEEPING,
    SLOT_RETIRED,
};

/* A place for a thread. */
struct pool_slot {
    _Atomic(uint32_t) state; /* enum slot_state; a futex */
    _Atomic(uint32_t) next;  /* on its stack: number of the one below, plus 1 */
    struct weft_pool *pool;  /* immutable */
    int tid;                 /* of the thread; written before it takes a job, as the next */
    const char *stack_low;   /* where its stack ends, NULL: not known; the guard is below */
    size_t stack_bytes;
    size_t guard_bytes;
    struct job *job;         /* what runs; the pool's lock */
    timer_t timer;           /* sends the signal; the same */
    bool has_timer;          /* the same */
};

/* Slots, last in first out: bits 0..31 the number of the top one plus 1, above that how often the
 * stack has changed. */
struct slot_stack {
    _Atomic(uint64_t) top;
};

struct weft_pool {
    /* immutable */
    struct pool_slot *slots;
    unsigned threads_max;
    int64_t idle_ns;
    int64_t look_on_ns; /* how long to look on for a job; 0: not at all */
    uint64_t fork_generation;
    int signal; /* that interrupts a job; -1: none */
    int64_t grace_ns;   /* how long its close waits */
    uint64_t queue_max; /* jobs in line; 0: any number */
    int (*thread_begin)(void *arg); /* called first on each thread; NULL: nothing */
    void (*thread_end)(void *arg);  /* and last */
    void *thread_arg;
    char name[16];
    /* written by those who submit */
    _Alignas(WEFT_CACHE_LINE) struct mpsc inbox;
    _Atomic(uint64_t) submitted;
    /* and by threads */
    _Alignas(WEFT_CACHE_LINE) _Atomic(uint32_t) is_searching;
    struct slot_stack idle;
    struct slot_stack unused;
    _Atomic(uint32_t) threads;    /* I4 */
    _Atomic(uint32_t) sleeping;   /* how many of them are; a figure */
    _Atomic(uint32_t) is_closing; /* threads are to end */
    _Atomic(int) refusal;         /* why jobs are refused; 0: they are not */
    _Atomic(uint32_t) quiet;      /* a futex: raised when a closer is to look again */
    _Atomic(uint32_t) refs;       /* the owner's, and one a thread */
    /* who takes jobs */
    _Alignas(WEFT_CACHE_LINE) pthread_mutex_t lock;
    struct list queue;         /* lock */
    uint32_t let_go;           /* threads whose job was let go; lock */
    _Atomic(uint64_t) listed;  /* how many are in it; written under the lock */
    _Atomic(uint64_t) taken;   /* jobs that were taken or withdrawn; the same */
    _Atomic(uint32_t) in_vain; /* the searcher's: times that it looked on and nothing came */
};

struct pool_config {
    const char *name; /* of its threads, cut to 15 characters */
    unsigned threads_max;
    int64_t idle_ns;
    int64_t grace_ns;
    int signal;
    uint64_t queue_max;
    int (*thread_begin)(void *arg);
    void (*thread_end)(void *arg);
    void *thread_arg;
};

/* A pool without threads, one reference; NULL: no memory. Context: any thread. */
struct weft_pool *weft__pool_create(const struct pool_config *config);

/* Take another reference. Context: any thread, holding one. */
struct weft_pool *weft__pool_hold(struct weft_pool *pool);

/* Whether it was made by the parent of this forked child. */
bool weft__pool_is_parents(const struct weft_pool *pool);

/* Drop a reference. Context: any thread. */
void weft__pool_release(struct weft_pool *pool);

/*
 * Hand a job over; its fields but for those of the pool are set. If no thread can be started and
 * there is none, `end` is called from inside, for this and all others that are queued.
 * Context: any thread.
 */
void weft__pool_submit(struct weft_pool *pool, struct job *job);

/* What became of a job that is cancelled. */
enum job_cancel {
    JOB_TAKEN_BACK, /* it was in line, and is the caller's */
    JOB_LET_GO,     /* it runs, and nobody is to wait for it */
    JOB_GOES_ON,    /* it runs, or is over */
};

/* Take a job back; if it runs, have its thread interrupted, if it is interruptible, and, if it may,
 * let it go. Context: any thread, while the job is there. */
enum job_cancel weft__pool_cancel(struct weft_pool *pool, struct job *job, bool may_let_go);

/* Refuse jobs from now on, with that error, unless they are refused already. */
void weft__pool_refuse(struct weft_pool *pool, int error);

/* End all jobs in line, with that error. Returns how many. */
size_t weft__pool_fail_all(struct weft_pool *pool, int error);

/* Take a job back. False: a thread has it, or had. Context: who submitted it, while the job is
 * there. */
bool weft__pool_withdraw(struct weft_pool *pool, struct job *job);

/* Have all threads end when there are no more jobs. Context: no job is submitted any more. */
void weft__pool_dismiss_threads(struct weft_pool *pool);

/* The same, and wait until they have, but for those whose job was let go. until_ns: on the real
 * clock; WEFT_FOREVER: no limit. False: the time is over. */
bool weft__pool_end_threads(struct weft_pool *pool, int64_t until_ns);

/* Whether one of its threads runs that job. */
bool weft__pool_runs(struct weft_pool *pool, const struct job *job);

/* Nanoseconds on the real clock. */
int64_t weft__pool_now(void);

/* How many jobs wait for a thread. Context: any thread. */
uint64_t weft__pool_queued(struct weft_pool *pool);

/* ---- between pool.c and pool_thread.c ---- */

/* Start a thread in a slot; it begins as the searcher. 0 or -errno. */
int weft__pool_thread_start(struct pool_slot *slot);

/* The next job, which the slot's thread is to run; NULL: there is none. */
struct job *weft__pool_take(struct pool_slot *slot);

/* The thread has run its job. Ends it. */
void weft__pool_job_over(struct pool_slot *slot);

/* Become the searcher. False: there is one. */
bool weft__pool_search_begin(struct weft_pool *pool);

/* The searcher ends to be it, with a job or to sleep: if there are jobs, it calls a thread. */
void weft__pool_search_end(struct weft_pool *pool);

/* Whether there may be a job to take. */
bool weft__pool_has_jobs(struct weft_pool *pool);

/* Call a thread if there are jobs and none searches; after a step that I2 names. */
void weft__pool_look(struct weft_pool *pool);

/* Put the slot on the idle stack, SLEEPING. */
void weft__pool_sleep_begin(struct pool_slot *slot);

/* The slot's thread has slept for long enough. False: it has just been called. */
bool weft__pool_retire(struct pool_slot *slot);

/* ---- pool_signal.c ---- */

/* What interrupts jobs where nothing else is said. */
int weft__pool_signal_default(void);

/* Send the slot's thread the signal until its job is over. Caller holds the lock, and the slot has
 * a job, and no timer. */
void weft__pool_interrupt(struct pool_slot *slot);

/* Have the signal reach this thread, and not. Context: a thread of the pool. */
void weft__pool_signal_open(const struct weft_pool *pool);
void weft__pool_signal_close(const struct weft_pool *pool);

/* What was sent for a job that is over is not to reach the next. Context: the slot's thread, the
 * signal closed. */
void weft__pool_signal_drain(const struct weft_pool *pool, timer_t timer);

/* ---- between pool.c and pool_thread.c ---- */

/* The slot's thread cannot begin: put the slot back. */
void weft__pool_slot_back(struct pool_slot *slot);

/* A thread that has retired looks for the last time, and drops its reference. */
void weft__pool_thread_over(struct weft_pool *pool);

#endif
