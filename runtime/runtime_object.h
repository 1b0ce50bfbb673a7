/* SPDX-License-Identifier: MIT */
/* Runtime: the object behind weft_runtime, and what its parts need of it. */
#ifndef WEFT_RUNTIME_OBJECT_H
#define WEFT_RUNTIME_OBJECT_H

#include <signal.h>

#include <weft/runtime.h>

#include "fork.h"
#include "idle.h"
#include "inject.h"
#include "ration.h"
#include "resident.h"
#include "worker.h"

/* What tests replace; all zero: the real ones. */
struct runtime_seams {
    const struct poller_ops *poller;
    int64_t (*clock)(void *arg);
    void *clock_arg;
    char *refusal; /* why a worker got no poller goes here; NULL: to standard error */
    size_t refusal_bytes;
};

enum runtime_phase {
    RUNTIME_OPEN,
    RUNTIME_CLOSING,  /* from outside nothing can be begun; inside, tasks are born cancelled */
    RUNTIME_STOPPING, /* the same, and what others' futures and timers would begin is dropped */
    RUNTIME_CLOSED,   /* no workers any more */
};

struct signal_hub;

struct weft_runtime {
    /* immutable after the start */
    unsigned worker_count;
    struct worker *workers;
    struct weft_options options; /* with the defaults filled in */
    struct runtime_seams seams;
    uint64_t fork_generation;
    struct slab_pool *tasks;
    unsigned default_class;
    struct simulation *simulation; /* NULL: none */
    void *poller_shared;   /* of the pollers */
    char backend_why[256]; /* why it is not io_uring; empty: it is, or was not asked for */
    sigset_t program_mask; /* the creator's signal mask */

    _Atomic(struct weft_pool *) pool; /* for blocking work; NULL: not used yet; blocking.c P2 */
    _Atomic(struct weft_pool *) detached; /* for calls left behind; the same; detached.h P3 */
    _Atomic(struct local_set *) run_locals; /* what the last run's main task left; locals.h P2 */

    _Atomic(struct signal_hub *) signals; /* NULL: nobody has wanted any; signal_hub.h P2 */

    _Atomic(uint32_t) phase;       /* enum runtime_phase */
    _Atomic(uint32_t) is_stopping; /* workers are to end */
    _Atomic(uint64_t) ids;         /* next block of task ids */
    _Atomic(uint32_t) pin_turn;    /* round robin for pinned spawns from outside */

    /* spawned and queued from threads that are no workers */
    _Atomic(uint64_t) outside_spawned;
    _Atomic(uint64_t) outside_ended; /* held tasks that ended without running */
    _Atomic(uint64_t) outside_callbacks;
    _Atomic(uint64_t) jobs_ended; /* that had a future; begun on workers */
    _Atomic(uint64_t) outside_wakes; /* of its workers by such threads */

    struct idle idle;
    struct inject inject;
    struct ration ration;
    struct rescue_shared rescue;
    struct stack_pool stacks;
    struct debug debug;
    struct residents residents;

    struct start_gate *gate; /* the creator's, while workers start */

    bool scatters;                  /* immutable; for tests, as what follows: see queued.h */
    _Atomic(uint32_t) scattered_by; /* the last worker that did */

    pthread_mutex_t handler_lock; /* options.error_handler and its arg; never destroyed: futures
                                     report when the runtime is gone */

    /* closing */
    pthread_mutex_t close_lock;
    struct message *close_messages;  /* one a worker */
    uint32_t close_asked;            /* close_lock; messages sent so far */
    _Atomic(uint32_t) close_answers; /* and answered */
    _Atomic(uint32_t) visitors;      /* see visit.c */
    _Atomic(uint32_t) holders;       /* of this object's memory: who is to destroy it, timers,
                                         registrations with another runtime's futures */
    _Atomic(uint32_t) closer_waits; /* for quiet to move on */
    _Atomic(uint32_t) quiet; /* futex: raised when something that closing waits for has happened */
};

/* Nanoseconds, on the runtime's clock. */
int64_t weft__runtime_now(weft_runtime *rt);

/* Whether its clock has come to that time; a fifth of the cost of reading it, unless it is near. */
bool weft__runtime_has_come(weft_runtime *rt, int64_t at_ns);

/* weft_runtime_create with the seams. */
int weft__runtime_create(weft_runtime **rt, const struct weft_options *options,
                         const struct runtime_seams *seams);

/*
 * Begin to use rt, from any thread; what it is made of stays until weft__runtime_exit.
 * refused_from: RUNTIME_CLOSING to begin something, RUNTIME_STOPPING to go on with something begun
 * before, RUNTIME_CLOSED to look at something, or end it
 * Returns 0, -EINVAL for NULL, or -ESHUTDOWN, also for a parent's runtime in a child of fork.
 * Context: any thread that holds the object's memory or knows it to be there; must not wait.
 */
int weft__runtime_enter(weft_runtime *rt, enum runtime_phase refused_from);

/* The same for what no live task or callback does, also on a worker; ends with runtime_leave. */
int weft__runtime_enter_unkept(weft_runtime *rt, enum runtime_phase refused_from);

/* The caller's last use of rt, unless it holds the memory. */
void weft__runtime_exit(weft_runtime *rt);

/* Wait until nobody is in between the two. Context: who closes. */
void weft__runtime_await_visitors(weft_runtime *rt);

/* Keep the object's memory beyond its destruction. */
void weft__runtime_hold(weft_runtime *rt);
void weft__runtime_release(weft_runtime *rt);

/* Whether rt was made by the parent of this forked child. */
bool weft__runtime_is_parents(const weft_runtime *rt);

/* Whether the caller is one of rt's workers. */
bool weft__runtime_is_own_worker(const weft_runtime *rt);

/* What WEFT_BACKEND says where the program leaves it open. 0, or -EINVAL (the environment). */
int weft__options_backend(enum weft_backend *backend);

/* Fill in the defaults, with the environment; check. 0 or -EINVAL. */
int weft__options_complete(struct weft_options *out, const struct weft_options *given);

/* weft_runtime_spawn, the task having those locals; on an error they are still the caller's. */
int weft__runtime_spawn(weft_runtime *rt, weft_fn fn, void *arg, weft_task **task,
                        struct local_set *locals);

/* A promise from rt's memory, one reference. NULL: no memory. Context: any thread, rt is there. */
weft_future *weft__promise_create(weft_runtime *rt);

/* The future of a job, one reference. NULL: no memory. w: the current worker, or NULL. */
weft_future *weft__job_future_create(struct worker *w, struct blocking_job *job);

/* Queue a callback, whose `invoke` is set. Context: any thread. */
void weft__callback_queue(weft_runtime *rt, struct callback *c);

/* Make the first `count` workers end, and wait until they have. */
void weft__runtime_stop_workers(weft_runtime *rt, unsigned count);

/* Take back the signal handlers that it installed when it was made. */
void weft__runtime_remove_handlers(weft_runtime *rt);

/* Free a runtime without workers, as far as it was made. */
void weft__runtime_free(weft_runtime *rt);

/* A worker has started, or could not. Context: the worker. */
void weft__runtime_started(weft_runtime *rt, bool ok);

/* How many tasks, residents and queued callbacks are live: never too few. Context: any thread. */
uint64_t weft__runtime_live(weft_runtime *rt);

/* Tell a closing thread to look again. Context: any thread. */
void weft__runtime_poke(weft_runtime *rt);

/*
 * A thread that is none of rt's workers is about to make something ready that keeps rt open, and
 * goes on to use rt when that has run, maybe ended, and maybe let rt be closed. Between the two
 * calls rt stays. Context: any thread, while rt cannot have been closed.
 */
static inline void runtime_visit(weft_runtime *rt)
{
    /* ORD none: what keeps rt open ends only after this, and who sees its end sees this. */
    (void)atomic_add_acq_rel(&rt->visitors, 1);
}

static inline void runtime_leave(weft_runtime *rt)
{
    (void)atomic_sub_release(&rt->visitors, 1); /* ORD P2 (visit.c): our uses of rt come before */
}

/* Whether it has one worker, which runs all its tasks and timers. */
static inline bool runtime_is_single(const weft_runtime *rt)
{
    return rt->worker_count == 1;
}

static inline bool runtime_is_closing(weft_runtime *rt)
{
    /* ORD none: a spawn that misses it is found by the second walk, see close.c. */
    return atomic_load_relaxed(&rt->phase) != RUNTIME_OPEN;
}

#endif
