/* SPDX-License-Identifier: MIT */
/* Pool: jobs, slots, who calls whom; see pool.h. */
#include "pool.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cpu_count.h"
#include "fork.h"
#include "futex.h"
#include "locals.h"

/* To wake a thread takes 5 to 50 us; the next job of a task that waited for the last one comes
 * within some 10. */
#define LOOK_ON_NS 20000

/* ---- slots ---- */

static uint32_t slot_number(const struct pool_slot *slot)
{
    return (uint32_t)(slot - slot->pool->slots) + 1;
}

static uint64_t stack_word(uint64_t before, uint32_t number)
{
    return ((before >> 32) + 1) << 32 | number;
}

static void stack_push(struct slot_stack *s, struct pool_slot *slot)
{
    uint64_t old = atomic_load_relaxed(&s->top); /* ORD none: the CAS checks it */
    do {
        /* ORD none: the slot is ours; P3 publishes it. */
        atomic_store_relaxed(&slot->next, (uint32_t)old);
        /* ORD P3: the slot's contents. */
        /* ORD P2, P5: before the look for jobs. */
    } while (!atomic_cas_seq_cst(&s->top, &old, stack_word(old, slot_number(slot))));
}

static struct pool_slot *stack_pop(struct weft_pool *pool, struct slot_stack *s)
{
    uint64_t old = atomic_load_seq_cst(&s->top); /* ORD P2, P3, P5: after the job, or the word */
    while ((uint32_t)old != 0) {
        struct pool_slot *slot = &pool->slots[(uint32_t)old - 1];
        /* ORD none: if it was taken meanwhile, the stack has changed and the CAS fails. */
        uint32_t next = atomic_load_relaxed(&slot->next);
        if (atomic_cas_seq_cst(&s->top, &old, stack_word(old, next))) { /* ORD P3: as above */
            return slot;
        }
    }
    return NULL;
}

/* A slot whose thread sleeps, taken off its stack; NULL: there is none. */
static struct pool_slot *pop_sleeper(struct weft_pool *pool)
{
    struct pool_slot *slot;
    while ((slot = stack_pop(pool, &pool->idle)) != NULL) {
        /* ORD P4: what we did before. */
        if (atomic_exchange_acq_rel(&slot->state, SLOT_BUSY) == SLOT_SLEEPING) {
            (void)atomic_sub_release(&pool->sleeping, 1); /* ORD none: a figure */
            return slot;
        }
        atomic_store_relaxed(&slot->state, SLOT_EMPTY); /* ORD none: ours; P3 publishes it */
        stack_push(&pool->unused, slot);
    }
    return NULL;
}

static void wake(struct pool_slot *slot)
{
    weft__futex_wake(&slot->state, 1);
}

/* ---- jobs ---- */

/* Move what was submitted to the queue. Caller holds the lock, and looks for a searcher when it
 * has given it back. */
static void drain(struct weft_pool *pool)
{
    struct mpsc_node *node = mpsc_take_all(&pool->inbox);
    uint64_t count = 0;
    while (node != NULL) {
        struct mpsc_node *next = node->next;
        struct job *job = WEFT_CONTAINER(node, struct job, node);
        list_push_back(&pool->queue, &job->link);
        job->is_listed = true;
        count++;
        node = next;
    }
    if (count > 0) {
        /* ORD P1, P2, P7: before the look for a searcher. */
        (void)atomic_add_seq_cst(&pool->listed, count);
    }
}

/* Take a job out of the queue. Caller holds the lock. */
static void unlist(struct weft_pool *pool, struct job *job)
{
    list_remove(&job->link);
    job->is_listed = false;
    (void)atomic_sub_seq_cst(&pool->listed, 1); /* ORD none: one less is nobody's loss */
    /* ORD none: a figure, written under the lock. */
    atomic_store_relaxed(&pool->taken, atomic_load_relaxed(&pool->taken) + 1);
}

/* The first job, taken out; NULL: there is none. Caller holds the lock. */
static struct job *first_out(struct weft_pool *pool)
{
    drain(pool);
    if (list_empty(&pool->queue)) {
        return NULL;
    }
    struct job *job = WEFT_CONTAINER(pool->queue.next, struct job, link);
    unlist(pool, job);
    return job;
}

bool weft__pool_has_jobs(struct weft_pool *pool)
{
    /* ORD P1, P2, P7: after what the caller has said of itself. The inbox first: jobs go from there
     * to the queue. */
    return !mpsc_empty(&pool->inbox) || atomic_load_seq_cst(&pool->listed) != 0;
}

struct job *weft__pool_take(struct pool_slot *slot)
{
    struct weft_pool *pool = slot->pool;
    pthread_mutex_lock(&pool->lock);
    struct job *job = first_out(pool);
    slot->job = job;
    if (job != NULL) {
        job->slot = slot;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

void weft__pool_job_over(struct pool_slot *slot)
{
    struct weft_pool *pool = slot->pool;
    struct job *job = slot->job;
    pthread_mutex_lock(&pool->lock);
    slot->job = NULL;
    job->slot = NULL;
    pool->let_go -= job->is_let_go;
    bool has_timer = slot->has_timer;
    slot->has_timer = false;
    pthread_mutex_unlock(&pool->lock);
    if (WEFT_UNLIKELY(has_timer)) {
        weft__pool_signal_drain(pool, slot->timer);
    }
    weft__job_over(job);
}

/* A closer is to look again. */
static void poke(struct weft_pool *pool)
{
    (void)atomic_add_acq_rel(&pool->quiet, 1); /* ORD P8: what has happened */
    weft__futex_wake(&pool->quiet, INT_MAX);
}

/* Caller holds the lock. */
static enum job_cancel cancel_running(struct weft_pool *pool, struct job *job, bool may_let_go)
{
    struct pool_slot *slot = job->slot;
    if (slot == NULL) {
        return JOB_GOES_ON; /* it is over */
    }
    if (job->is_interruptible && !slot->has_timer && pool->signal > 0) {
        weft__pool_interrupt(slot);
    }
    if (!may_let_go || job->is_let_go) {
        return JOB_GOES_ON;
    }
    job->is_let_go = true;
    pool->let_go++;
    return JOB_LET_GO;
}

enum job_cancel weft__pool_cancel(struct weft_pool *pool, struct job *job, bool may_let_go)
{
    pthread_mutex_lock(&pool->lock);
    drain(pool);
    enum job_cancel what = JOB_TAKEN_BACK;
    if (job->is_listed) {
        unlist(pool, job);
    } else {
        what = cancel_running(pool, job, may_let_go);
    }
    pthread_mutex_unlock(&pool->lock);
    weft__pool_look(pool);
    if (what == JOB_LET_GO) {
        poke(pool);
    }
    return what;
}

bool weft__pool_withdraw(struct weft_pool *pool, struct job *job)
{
    return weft__pool_cancel(pool, job, false) == JOB_TAKEN_BACK;
}

bool weft__pool_runs(struct weft_pool *pool, const struct job *job)
{
    pthread_mutex_lock(&pool->lock);
    bool is_ours = job->slot != NULL && job->slot->pool == pool;
    pthread_mutex_unlock(&pool->lock);
    return is_ours;
}

uint64_t weft__pool_queued(struct weft_pool *pool)
{
    uint64_t taken = atomic_load_relaxed(&pool->taken);         /* ORD none: a figure */
    uint64_t submitted = atomic_load_relaxed(&pool->submitted); /* ORD none: as above */
    return submitted > taken ? submitted - taken : 0;
}

/* It does not run. */
static void fail(struct job *job, int error)
{
    weft__locals_drop(job->locals);
    job->error = error;
    job->result = NULL;
    weft__job_over(job);
}

size_t weft__pool_fail_all(struct weft_pool *pool, int error)
{
    for (size_t count = 0;; count++) {
        pthread_mutex_lock(&pool->lock);
        struct job *job = first_out(pool);
        pthread_mutex_unlock(&pool->lock);
        if (job == NULL) {
            return count;
        }
        fail(job, error);
    }
}

void weft__pool_refuse(struct weft_pool *pool, int error)
{
    int none = 0;
    (void)atomic_cas_acq_rel(&pool->refusal, &none, error); /* ORD P9: before what follows */
}

/* ---- searching ---- */

bool weft__pool_search_begin(struct weft_pool *pool)
{
    /* ORD P1: who finds a searcher relies on its look, which comes after. */
    return atomic_exchange_seq_cst(&pool->is_searching, 1) == 0;
}

static void search_over(struct weft_pool *pool)
{
    (void)atomic_exchange_seq_cst(&pool->is_searching, 0); /* ORD P1: before the look for jobs */
}

/* Have a thread search, the caller being counted as searching until it does. 0: one does; -ENOENT:
 * all are busy; -errno: one could have been made, but for that. */
static int call_thread(struct weft_pool *pool)
{
    struct pool_slot *slot = pop_sleeper(pool);
    if (slot != NULL) {
        wake(slot);
        return 0;
    }
    slot = stack_pop(pool, &pool->unused);
    if (slot == NULL) {
        return -ENOENT;
    }
    atomic_store_relaxed(&slot->state, SLOT_BUSY); /* ORD none: ours */
    (void)atomic_add_seq_cst(&pool->threads, 1);   /* ORD none: it is there from now on */
    (void)weft__pool_hold(pool);
    int err = weft__pool_thread_start(slot);
    if (err < 0) {
        atomic_store_relaxed(&slot->state, SLOT_EMPTY); /* ORD none: ours; P3 publishes it */
        stack_push(&pool->unused, slot);
        (void)atomic_sub_seq_cst(&pool->threads, 1); /* ORD P7: as a thread that ends */
        weft__pool_release(pool);
    }
    return err;
}

static bool has_idle(struct weft_pool *pool)
{
    return (uint32_t)atomic_load_seq_cst(&pool->idle.top) != 0; /* ORD P2: after the word */
}

/* Without memory or room for threads a job waits for one that is there. */
static void call_failed(struct weft_pool *pool, int error)
{
    if (atomic_load_seq_cst(&pool->threads) == 0) { /* ORD P7: after the job */
        (void)weft__pool_fail_all(pool, error);
    }
}

void weft__pool_look(struct weft_pool *pool)
{
    while (weft__pool_has_jobs(pool) && weft__pool_search_begin(pool)) {
        int err = call_thread(pool);
        if (err == 0) {
            return;
        }
        search_over(pool);
        if (err != -ENOENT) {
            call_failed(pool, err);
        }
        if (!has_idle(pool)) {
            return; /* those that are busy look when they have done */
        }
    }
}

void weft__pool_search_end(struct weft_pool *pool)
{
    search_over(pool);
    weft__pool_look(pool);
}

void weft__pool_submit(struct weft_pool *pool, struct job *job)
{
    job->is_listed = false;
    job->error = 0;
    int refusal = atomic_load_acquire(&pool->refusal); /* ORD P9: after it was closed, or broke */
    if (refusal == 0 && pool->queue_max != 0 && weft__pool_queued(pool) >= pool->queue_max) {
        refusal = -EAGAIN;
    }
    if (WEFT_UNLIKELY(refusal != 0)) {
        fail(job, refusal);
        return;
    }
    (void)atomic_add_relaxed(&pool->submitted, 1); /* ORD none: a figure */
    (void)mpsc_push(&pool->inbox, &job->node);
    if (atomic_load_seq_cst(&pool->is_searching) == 0) { /* ORD P1: after the push */
        weft__pool_look(pool);
    }
}

/* ---- threads that come and go ---- */

void weft__pool_sleep_begin(struct pool_slot *slot)
{
    (void)atomic_add_relaxed(&slot->pool->sleeping, 1); /* ORD none: a figure */
    atomic_store_relaxed(&slot->state, SLOT_SLEEPING);  /* ORD none: ours; P3 publishes it */
    stack_push(&slot->pool->idle, slot);
}

bool weft__pool_retire(struct pool_slot *slot)
{
    struct weft_pool *pool = slot->pool;
    uint32_t sleeping = SLOT_SLEEPING;
    /* ORD P4: what the caller of the thread did, if it came first. */
    bool is_retired = atomic_cas_acq_rel(&slot->state, &sleeping, SLOT_RETIRED);
    if (is_retired) {
        (void)atomic_sub_release(&pool->sleeping, 1); /* ORD none: a figure */
    }
    return is_retired;
}

void weft__pool_slot_back(struct pool_slot *slot)
{
    atomic_store_relaxed(&slot->state, SLOT_EMPTY); /* ORD none: ours; P3 publishes it */
    stack_push(&slot->pool->unused, slot);
    search_over(slot->pool);
}

void weft__pool_thread_over(struct weft_pool *pool)
{
    (void)atomic_sub_seq_cst(&pool->threads, 1); /* ORD P7: before the look */
    weft__pool_look(pool);
    poke(pool);
    weft__pool_release(pool);
}

void weft__pool_dismiss_threads(struct weft_pool *pool)
{
    atomic_store_seq_cst(&pool->is_closing, 1); /* ORD P5: before the look for sleepers */
    struct pool_slot *slot;
    while ((slot = pop_sleeper(pool)) != NULL) {
        wake(slot);
    }
}

/* Whether no thread is left but those whose job was let go. */
static bool is_at_end(struct weft_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    /* ORD P7: as who relies on a thread. */
    bool is_last = atomic_load_seq_cst(&pool->threads) == pool->let_go;
    pthread_mutex_unlock(&pool->lock);
    return is_last && !weft__pool_has_jobs(pool);
}

bool weft__pool_end_threads(struct weft_pool *pool, int64_t until_ns)
{
    weft__pool_dismiss_threads(pool);
    for (;;) {
        uint32_t seen = atomic_load_acquire(&pool->quiet); /* ORD P8: before the look */
        if (is_at_end(pool)) {
            return true;
        }
        int64_t now = until_ns == WEFT_FOREVER ? 0 : weft__pool_now();
        if (now >= until_ns) {
            return false;
        }
        weft__futex_wait(&pool->quiet, seen,
                         until_ns == WEFT_FOREVER ? WEFT_FOREVER : until_ns - now);
    }
}

/* ---- life ---- */

struct weft_pool *weft__pool_create(const struct pool_config *config)
{
    struct weft_pool *pool = aligned_alloc(WEFT_CACHE_LINE, sizeof *pool);
    struct pool_slot *slots = calloc(config->threads_max, sizeof *slots);
    if (pool == NULL || slots == NULL) {
        free(pool);
        free(slots);
        return NULL;
    }
    memset(pool, 0, sizeof *pool);
    pool->slots = slots;
    pool->threads_max = config->threads_max;
    pool->idle_ns = config->idle_ns;
    pool->look_on_ns = weft__cpu_count() > 1 ? LOOK_ON_NS : 0;
    pool->fork_generation = weft__fork_generation();
    pool->signal = config->signal;
    pool->grace_ns = config->grace_ns;
    pool->queue_max = config->queue_max;
    pool->thread_begin = config->thread_begin;
    pool->thread_end = config->thread_end;
    pool->thread_arg = config->thread_arg;
    snprintf(pool->name, sizeof pool->name, "%s", config->name);
    mpsc_init(&pool->inbox);
    list_init(&pool->queue);
    pthread_mutex_init(&pool->lock, NULL);
    atomic_store_relaxed(&pool->refs, 1); /* ORD none: not shared yet */
    for (unsigned i = config->threads_max; i-- > 0;) {
        slots[i].pool = pool;
        stack_push(&pool->unused, &slots[i]);
    }
    return pool;
}

struct weft_pool *weft__pool_hold(struct weft_pool *pool)
{
    (void)atomic_add_relaxed(&pool->refs, 1); /* ORD none: the caller has one */
    return pool;
}

bool weft__pool_is_parents(const struct weft_pool *pool)
{
    return pool->fork_generation != weft__fork_generation();
}

void weft__pool_release(struct weft_pool *pool)
{
    if (pool != NULL && atomic_sub_acq_rel(&pool->refs, 1) == 1) { /* ORD P6: the last one */
        pthread_mutex_destroy(&pool->lock);
        free(pool->slots);
        free(pool);
    }
}
