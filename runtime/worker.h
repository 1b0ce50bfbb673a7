/* SPDX-License-Identifier: MIT */
/*
 * Worker: a thread that runs tasks, with its deque, its poller, its timers and its caches.
 *
 * The scheduler runs on the fibers themselves: a fiber that parks picks the next item and switches
 * straight to it (switch.c). The worker's own stack, the loop (worker.c), is entered only when
 * nothing is ready, when a turn of polling is due, or for a callback.
 *
 * Items come from, in this order: the next slot (what the running task has just made ready; three
 * in a row at most, then the deque has its turn), the pinned list and the deque, first in first
 * out; in the loop then the runtime's inject queue, other workers' deques.
 *
 * A turn of the loop is due after `ticks` items: as many as took about TURN_NS lately, so that the
 * clock is read and the poller asked that often and not more. When items are all at once slower
 * than that foretold, the signal of kick.h makes it due.
 */
#ifndef WEFT_WORKER_H
#define WEFT_WORKER_H

#include <pthread.h>
#include <sched.h>

#include "counters.h"
#include "debug.h"
#include "deque.h"
#include "fiber.h"
#include "park.h"
#include "poller.h"
#include "ration.h"
#include "rescue.h"
#include "rng.h"
#include "slab.h"
#include "tls.h"

/* Time between two turns, as far as the cost of tasks lately foretells it. Half as much doubles the
 * clock reads (36 ns each here), twice as much adds to the tail of every completion. */
#define TURN_NS 50000
#define TURN_TICKS_MIN 4
#define TURN_TICKS_MAX 128
#define NEXT_STREAK_MAX 3

/* 32 KiB a worker: who spawns thousands before it waits does not reach the inject queue's lock. */
#ifndef WEFT_DEQUE_CAPACITY
#define WEFT_DEQUE_CAPACITY 4096
#endif

/* What becomes of the fiber that was left; the arriver's first act. */
enum leave_action {
    LEAVE_PARKED,  /* it waits, or is a loop */
    LEAVE_NEXT,    /* it goes on after a turn of the loop */
    LEAVE_REQUEUE, /* it goes to the end of the queue */
    LEAVE_OFFER,   /* the same, and others are offered it: what runs instead was not, maybe */
    LEAVE_FREE,    /* it has ended: its stack goes to the cache */
};

/*
 * C++'s per-thread exception state, when a C++ runtime is in the process: two words, 0 unless an
 * exception is being thrown or handled, and 0 whenever stacks are switched: a fiber that leaves in
 * a catch block takes its words with it, and writes them back when it resumes.
 */
struct cxx_state {
    uintptr_t word[2];
};

struct worker {
    /* immutable after the start */
    weft_runtime *rt;
    unsigned index;
    bool is_alone; /* the runtime has one worker */
    struct poller *poller;
    const struct poller_ops *poller_ops;
    int *errno_address; /* of this thread */
    struct cxx_state *cxx_globals; /* C++'s exception state of this thread; NULL without C++ */
    const struct cxx_state *_Atomic unusual; /* what a switch looks at, see debug_switch.h */
    /* owner: the scheduler's hot state */
    struct fiber *fiber;       /* whose stack the thread is on */
    _Atomic(struct runnable *) next; /* the next slot; a handler on this thread may empty it */
    unsigned next_streak;      /* times in a row that it was taken */
    _Atomic(int) ticks;        /* items until the next turn; a handler may take the rest away */
    int turn_ticks;            /* what ticks started from */
    struct fiber *slice_fiber; /* whose visits to the loop have been one after the other */
    int64_t slice_started_ns;  /* since then */
    enum leave_action leave;   /* what the arriver does with `left` */
    _Atomic(uint32_t) debug_mode; /* by weft_set_debug: 0: off; see debug.h */
    struct fiber *left;
    weft_task *starting;       /* what a fresh fiber is to run */
    struct runnable *loop_item; /* what a fiber has picked for the loop to run */
    struct runnable *pinned_first;
    struct runnable *pinned_last;
    bool is_pinned_turn;       /* the pinned list was taken from last time, and not the deque */
    bool in_loop;              /* on the worker's own stack */
    struct local_set **callback_locals; /* of the callback that runs; see locals.h */
    bool is_searching;         /* counted as such in the idle word */
    struct runnable *starved;  /* tasks that wait for a stack */
    bool was_woken;            /* an item was queued in the loop: look whether to wake somebody */
    uint32_t looks_seen;       /* others' last looks, when a task that yielded was offered last */
    bool was_idle;             /* since the last turn: it took long, and was no item's fault */
    bool is_watcher;           /* counted as such, see rescue.c */
    unsigned watched_in_vain;  /* calls in a row that took longer than to look on, see blocking.c */
    const weft_task *cancelled; /* the one before, to be compared only; see cancel.c */
    uint64_t steals_judged;    /* count.steals when it was last judged whether they are worth it */
    int64_t steals_judged_ns;  /* and when that was */
    struct ration_stay stay;   /* since it last slept */
    struct slab_cache tasks;
    struct stack_cache stacks;
    struct group_child *group_records; /* unused ones, see group.c */
    uint64_t id_next, id_end; /* task ids, taken from the runtime in blocks */
    _Atomic(int64_t) turn_started_ns;
    int64_t kicked_ns; /* when it last kicked another one; see rescue.h */
    _Atomic(uint32_t) cpu; /* that it slept on last, plus 1; see placement.h */
    cpu_set_t usual_cpus;  /* while it sleeps, bound to that */
    uint64_t turns;  /* so far */
    int64_t item_ns; /* moving average of what an item takes */
    struct rng rng;
    struct worker_counters count;
    struct fiber loop; /* stands for the thread's own stack */
    struct deque deque;
    int64_t fetched_until; /* an index of the deque; see fetch_ahead.h */
    struct timers timers;
    int64_t thief_seen;   /* deque.scan_hint in the turn before */
    unsigned quiet_turns; /* since a thief was seen */
    /* written by others */
    _Alignas(WEFT_CACHE_LINE) struct mpsc inbox;
    _Atomic(uint32_t) called;    /* it was woken for work: its enum ration_kind, plus 1 */
    _Atomic(uint32_t) is_nudged; /* `nudge` is in the inbox */
    struct message nudge;        /* does nothing but make the worker look */
    _Alignas(WEFT_CACHE_LINE) struct rescue rescue;
    struct debug_step debug;
    pthread_t thread;
    int start_error;    /* why it could not start; read after the start */
    char start_why[256];
};

/* Whether the running fiber is throwing or handling a C++ exception. Context: owner. */
static inline bool worker_in_exception(const struct worker *w)
{
    const struct cxx_state *cxx = w->cxx_globals;
    return cxx != NULL && (cxx->word[0] | cxx->word[1]) != 0;
}

/* The thread's main function; arg is the worker. */
void *weft__worker_main(void *arg);

/* Queue an item on this worker, last in the deque. Context: owner. */
void weft__worker_push(struct worker *w, struct runnable *r);

/* Wake a sleeping worker if there is work for one. Context: any thread, after pushing. */
void weft__wake_one(weft_runtime *rt, unsigned near);

/* The same for what this worker has too much of, if it is worth while (ration.h). By the owner. */
void weft__worker_call(struct worker *w);

/* Send a message to a worker. Context: any thread. */
void weft__worker_send(struct worker *w, struct message *m);

/* Others may want some of what was just pushed. Context: owner. */
void weft__worker_offer(struct worker *w);

/* Queue a new task on this worker and offer it to others. Context: owner. */
void weft__runnable_spawn(struct worker *w, struct runnable *r);

/* Have a worker deal with a task; why: TASK_INBOX_... True when it was not under way for that
 * reason already. Context: any thread, the task cannot go meanwhile. */
bool weft__task_send(weft_task *t, struct worker *to, uint8_t why);

/* Make a worker look at its timers anew. Context: any thread. */
void weft__worker_nudge(struct worker *w);

/* The next item for the worker to run; NULL: enter the loop. Context: owner. */
struct runnable *weft__worker_pick(struct worker *w);

/* Steal from another worker, or NULL. Context: owner. */
struct runnable *weft__worker_steal(struct worker *w);

/* If no thief was here lately, take without exchanges until one comes. Context: owner, a turn. */
void weft__worker_own_deque(struct worker *w);

/* Whether any worker's deque or the inject queue holds something. Context: any thread. */
bool weft__queues_hold_work(weft_runtime *rt);

/* Deliver a worker's inbox; whether it had anything. Context: owner, or who claimed its poller. */
bool weft__worker_deliver(struct worker *w);

/* Items until the next turn. Context: owner, or a handler on its thread. */
static inline int worker_ticks(struct worker *w)
{
    return atomic_load_relaxed(&w->ticks); /* ORD none: this thread's */
}

/* A handler may come between the reading and the writing of ticks; what it wrote is lost then, and
 * it comes again. */
static inline void worker_set_ticks(struct worker *w, int ticks)
{
    atomic_store_relaxed(&w->ticks, ticks); /* ORD none: this thread's */
}

/* When the present turn began. Context: any thread. */
static inline int64_t worker_turn_started(const struct worker *w)
{
    return atomic_load_relaxed(&w->turn_started_ns); /* ORD none: a figure */
}

/* One item more. Returns how many are left until the turn. Context: owner. */
static inline int worker_count_item(struct worker *w)
{
    int left = worker_ticks(w) - 1;
    worker_set_ticks(w, left);
    return left;
}

/* The fiber that runs on w, NULL in its loop. w: the current worker, or NULL. */
static inline struct fiber *worker_current_fiber(const struct worker *w)
{
    return WEFT_UNLIKELY(w == NULL || w->in_loop) ? NULL : w->fiber;
}

/* What the next slot holds. Context: owner. */
static inline struct runnable *worker_next(struct worker *w)
{
    return atomic_load_relaxed(&w->next); /* ORD none: this thread's */
}

/* Put an item into the next slot; what was there before. Context: owner. */
static inline struct runnable *worker_swap_next(struct worker *w, struct runnable *r)
{
    for (;;) {
        struct runnable *before = worker_next(w);
        if (WEFT_LIKELY(atomic_local_cas(&w->next, before, r))) {
            return before;
        }
    }
}

/* Whether the worker's own queues do. Context: owner. */
static inline bool weft__worker_has_local(struct worker *w)
{
    return worker_next(w) != NULL || w->pinned_first != NULL || deque_holds_work(&w->deque);
}

/* From the loop: run an item until the loop is entered again. */
void weft__loop_run(struct worker *w, struct runnable *r);

/* Give the worker's caches back to the pools. Context: owner, at its end. */
void weft__worker_drop_caches(struct worker *w);

/* A task that is not nested starts on a fresh fiber, or on one whose task has just ended. */
struct fiber *weft__fiber_create(struct worker *w, unsigned stack_class);

/* Make the outcome of a task that has returned `value` final. Context: on its worker. */
void weft__task_finish(struct worker *w, weft_task *t, void *value);

/* Let the loop have its turn, which is due, and go on; after slice_ns, at the end of the queue.
 * Context: on a fiber; may return on another worker. */
void weft__fiber_visit_loop(struct worker *w);

/* weft__spend, for who knows the worker. Returns the one it is on then. Context: on a fiber. */
static inline struct worker *worker_spend(struct worker *w)
{
    if (WEFT_UNLIKELY(worker_count_item(w) <= 0)) {
        weft__fiber_visit_loop(w);
        return weft__worker_current();
    }
    return w;
}

#endif
