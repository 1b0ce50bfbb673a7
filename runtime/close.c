/* SPDX-License-Identifier: MIT */
/*
 * Closing a runtime, in phases:
 *   1  phase = CLOSING. From outside nothing can be begun from now on; a task spawned inside is
 *      born cancelled. All live tasks, found by walking the slabs, are cancelled; held ones that
 *      nobody started end unrun. Residents (resident.h) are told to end, and none enters.
 *   2  A message to each worker, and its answer: whoever spawned while it had not seen the phase
 *      has finished spawning. A second walk finds those tasks.
 *   3  Wait until nothing is live: what has ended, read first, equals what was begun, read later
 *      (P2). Queued callbacks count alike. Each end pokes the closer.
 *   4  phase = STOPPING: not even what was registered with others' futures, or a timer. Calls that
 *      are under way end (visit.c); if one has spawned or posted meanwhile, all of it again.
 *   5  is_stopping, a wake to each worker, join. Nothing is in flight: operations belong to tasks
 *      and residents.
 * A close that runs out of grace goes back to OPEN and can be called again.
 *
 * Who may still hold on to the runtime afterwards: tasks' handles need the slabs alone, which go
 * with the last of them. Timers and registrations with another runtime's futures find it closed.
 *
 * Pairs
 *   P2  finish: ended, release       -> live: ended, acquire; then spawned: what had ended had been
 *                                       counted as begun
 *   P3  close: phase, seq_cst; then the message
 *       -> spawn: phase, relaxed: before the answer, or after it and then it sees CLOSING
 *   P4  poke: quiet, acq_rel         -> close: quiet, acquire, before it looks
 *   P6  poke: quiet, seq_cst; then closer_waits, seq_cst
 *       <-> close: closer_waits, seq_cst; then quiet, by the kernel: it is woken, or does not wait
 *   P5  spawn from outside: the task's word, release; spawned, seq_cst RMW; then phase, seq_cst
 *       <-> close: phase, seq_cst; then the walk: the task is found by it, or born cancelled
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weft/task.h>

#include "blocking.h"
#include "detached.h"
#include "futex.h"
#include "runtime_object.h"
#include "signal_hub.h"
#include "simulation.h"

#define CLOSE_FETCH_PLACES 8 /* so far ahead of the walk, fibers are fetched */
/* While more than so many are live, and ending, the closer sleeps for less than they take. */
#define CLOSE_MANY 1000
#define CLOSE_NAP_NS 50000
#define CLOSE_NAMES_MAX 20 /* stuck tasks named one by one */

void weft__runtime_poke(weft_runtime *rt)
{
    (void)atomic_add_seq_cst(&rt->quiet, 1); /* ORD P4, P6: what has happened */
    /* ORD P6: after that. Only the closer takes it back: who did it here, for something that the
     * closer has seen already, would keep the next one from waking it. */
    if (atomic_load_seq_cst(&rt->closer_waits) != 0) {
        weft__futex_wake(&rt->quiet, INT_MAX);
    }
}

uint64_t weft__runtime_live(weft_runtime *rt)
{
    /* ORD P2: first what has ended, then what was begun. */
    uint64_t ended = atomic_load_acquire(&rt->outside_ended) +
                     atomic_load_acquire(&rt->jobs_ended); /* ORD P2: as above */
    for (unsigned i = 0; i < rt->worker_count; i++) {
        struct worker_counters *c = &rt->workers[i].count;
        /* ORD P2: as above. */
        ended += atomic_load_acquire(&c->ended) + atomic_load_acquire(&c->callbacks_run);
    }
    /* ORD P1 (resident.h): those that have entered before what has ended; and what they queued. */
    uint64_t residents = atomic_load_acquire(&rt->residents.count);
    /* ORD P2: as above. */
    uint64_t begun = atomic_load_acquire(&rt->outside_spawned) +
                     atomic_load_acquire(&rt->outside_callbacks); /* ORD P2: as above */
    for (unsigned i = 0; i < rt->worker_count; i++) {
        struct worker_counters *c = &rt->workers[i].count;
        /* ORD P2: as above. */
        begun += atomic_load_acquire(&c->spawned) + atomic_load_acquire(&c->callbacks_queued) +
                 atomic_load_acquire(&c->jobs_begun); /* ORD P2: as above */
    }
    return begun - ended + residents;
}

static bool is_job(const weft_future *f)
{
    return f->fn == NULL && f->job != NULL;
}

/* Cancel a live task or job; one that is held and was never started ends here. */
static bool close_cancel(weft_task *t, void *arg)
{
    (void)arg;
    weft__task_fetch_neighbour(t, CLOSE_FETCH_PLACES);
    if (weft__task_try_get(t)) {
        /* ORD none: a task that has been told before need not be told again. */
        if ((t->fn != NULL || is_job(t)) && atomic_load_relaxed(&t->cancel) == 0) {
            (void)weft__cancel(t);
        }
        if (weft__task_unhold(t)) {
            weft__task_end_unrun(t);
        }
        weft_put(t);
    }
    return true;
}

static void close_answer(struct message *m, struct worker *w)
{
    if (weft__worker_current() != w) {
        weft__worker_send(w, m); /* delivered by a helper (rescue.h), who cannot answer for it */
        return;
    }
    /* ORD P3: all that this worker spawned before. */
    (void)atomic_add_acq_rel(&w->rt->close_answers, 1);
    weft__runtime_poke(w->rt);
}

/* Wait for `quiet` to move on from `seen`. False: the time is over. */
static bool close_wait(weft_runtime *rt, uint32_t seen, int64_t until)
{
    int64_t now = weft_now();
    if (until != WEFT_FOREVER && now >= until) {
        return false;
    }
    atomic_store_seq_cst(&rt->closer_waits, 1); /* ORD P6: before the kernel looks */
    weft__futex_wait(&rt->quiet, seen, until == WEFT_FOREVER ? WEFT_FOREVER : until - now);
    atomic_store_relaxed(&rt->closer_waits, 0); /* ORD none: a wake too many does nothing */
    return true;
}

struct close_names {
    unsigned count;
    bool has_jobs;
};

/* Name a task or job that is stuck. */
static bool close_name(weft_task *t, void *arg)
{
    struct close_names *names = arg;
    if (weft__task_try_get(t)) {
        char name[64];
        names->has_jobs = names->has_jobs || is_job(t);
        if (weft_task_name(t, name, sizeof name) >= 0 && ++names->count <= CLOSE_NAMES_MAX) {
            if (is_job(t)) {
                fprintf(stderr, "weft: close: job %s has not ended\n", name);
            } else {
                fprintf(stderr, "weft: close: task %s (id %llu) has not ended\n", name,
                        (unsigned long long)t->id);
            }
        }
        weft_put(t);
    }
    return true;
}

/* Wait until all workers have answered what was sent. False: the time is over. */
static bool close_await_answers(weft_runtime *rt, int64_t until)
{
    for (;;) {
        uint32_t seen = atomic_load_acquire(&rt->quiet); /* ORD P4: before the look */
        /* ORD P3: the workers' spawns before their answers. */
        if (atomic_load_acquire(&rt->close_answers) == rt->close_asked) {
            return true;
        }
        if (!close_wait(rt, seen, until)) {
            return false;
        }
    }
}

/* Wait until nothing is live. False: the time is over. While many end it looks now and then, and
 * none of them has to wake it. */
static bool close_await_end(weft_runtime *rt, int64_t until)
{
    uint64_t before = UINT64_MAX;
    for (;;) {
        uint32_t seen = atomic_load_acquire(&rt->quiet); /* ORD P4: before the look */
        uint64_t live = weft__runtime_live(rt);
        if (live == 0) {
            return true;
        }
        bool is_draining = live < before && live > CLOSE_MANY;
        before = live;
        if (is_draining) {
            (void)nanosleep(&(struct timespec){.tv_nsec = CLOSE_NAP_NS}, NULL);
            continue;
        }
        if (!close_wait(rt, seen, until)) {
            return false;
        }
    }
}

/* Phases 1 to 3. False: the time is over. */
static bool close_drain(weft_runtime *rt, int64_t until)
{
    /* ORD P3: before the messages. */
    atomic_store_seq_cst(&rt->phase, RUNTIME_CLOSING);
    weft__slab_walk(rt->tasks, close_cancel, NULL);
    weft__residents_end(&rt->residents);
    if (!close_await_answers(rt, until)) {
        return false; /* those of an earlier close that ran out of time */
    }
    rt->close_asked += rt->worker_count;
    for (unsigned i = 0; i < rt->worker_count; i++) {
        rt->close_messages[i].deliver = close_answer;
        weft__worker_send(&rt->workers[i], &rt->close_messages[i]);
    }
    if (!close_await_answers(rt, until)) {
        return false;
    }
    weft__slab_walk(rt->tasks, close_cancel, NULL);
    weft__simulation_drive(rt);
    bool has_ended = close_await_end(rt, until);
    weft__simulation_rest(rt);
    return has_ended;
}

void weft__runtime_stop_workers(weft_runtime *rt, unsigned count)
{
    /* ORD none: the wake that follows makes each worker look. */
    atomic_store_seq_cst(&rt->is_stopping, 1);
    for (unsigned i = 0; i < count; i++) {
        struct worker *w = &rt->workers[i];
        if (w->start_error == 0) {
            (void)weft__idle_claim_one(&rt->idle, i);
            w->poller_ops->wake(w->poller);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(rt->workers[i].thread, NULL);
    }
}

/* Phases 1 to 4. False: the time is over. */
static bool close_end_all(weft_runtime *rt, int64_t until)
{
    do {
        if (!close_drain(rt, until)) {
            return false;
        }
        /* ORD P1 (visit.c): before the look for visitors. */
        atomic_store_seq_cst(&rt->phase, RUNTIME_STOPPING);
        weft__runtime_await_visitors(rt);
    } while (weft__runtime_live(rt) != 0);
    return true;
}

/* Phase 5, and what is process-wide. */
static void close_finish(weft_runtime *rt)
{
    weft__debug_end(rt);
    weft__signal_hub_close(rt); /* sends messages to workers until here */
    weft__runtime_stop_workers(rt, rt->worker_count);
    weft__blocking_end(rt);
    weft__detached_end(rt);
    weft__runtime_remove_handlers(rt);
    /* ORD P1 (visit.c): before the look for visitors, who may be stopping timers. */
    atomic_store_seq_cst(&rt->phase, RUNTIME_CLOSED);
    weft__runtime_await_visitors(rt);
    for (unsigned i = 0; i < rt->worker_count; i++) {
        rt->workers[i].poller_ops->release(rt->workers[i].poller);
    }
}

/* When a grace that begins now is over. */
static int64_t close_limit(int64_t grace_ns)
{
    int64_t now = weft_now();
    return grace_ns >= WEFT_FOREVER - now ? WEFT_FOREVER : now + grace_ns;
}

int weft_runtime_close(weft_runtime *rt)
{
    if (rt == NULL) {
        return -EINVAL;
    }
    if (weft__runtime_is_parents(rt)) {
        return -ESHUTDOWN;
    }
    if (weft__runtime_is_own_worker(rt) || weft__blocking_is_job_of(rt) ||
        pthread_mutex_trylock(&rt->close_lock) != 0) {
        return -EBUSY;
    }
    int err = -ESHUTDOWN;
    if (atomic_load_relaxed(&rt->phase) != RUNTIME_CLOSED) { /* ORD none: written under the lock */
        if (close_end_all(rt, close_limit(rt->options.close_grace_ns))) {
            close_finish(rt);
            err = 0;
        } else {
            struct close_names names = {0, false};
            weft__slab_walk(rt->tasks, close_name, &names);
            fprintf(stderr, "weft: close: %u tasks%s have not ended in time\n", names.count,
                    names.has_jobs ? " and jobs" : "");
            /* ORD none: as in phase 1. */
            atomic_store_seq_cst(&rt->phase, RUNTIME_OPEN);
            err = -ETIMEDOUT;
        }
    }
    pthread_mutex_unlock(&rt->close_lock);
    return err;
}

int weft_runtime_destroy(weft_runtime *rt)
{
    if (rt == NULL) {
        return 0;
    }
    if (weft__runtime_is_parents(rt)) {
        return 0; /* the parent's: its memory is shared with nobody, and of no use to us */
    }
    /* ORD none: the caller has closed it before. */
    if (atomic_load_seq_cst(&rt->phase) != RUNTIME_CLOSED) {
        return -EBUSY;
    }
    weft__runtime_free(rt);
    return 0;
}
