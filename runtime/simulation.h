/* SPDX-License-Identifier: MIT */
/*
 * Simulation: the whole runtime on one worker, in an order that a seed decides, on a clock that is
 * only a number.
 *
 * How the order is decided
 *   A simulated worker has no ticks (worker.h), so whatever asks for the next item is sent to the
 *   loop: a park, a yield, the end of a task, an await that could nest. Hence nothing is added to a
 *   switch. The loop (simulation.c) is another one: it takes any item that is ready, as the seed's
 *   generator says. One deadline expires at a time, with items between, so that what is due at one
 *   moment meets in every order.
 *   That decides who goes on wherever a task gives its turn away. On several workers others run
 *   also while it does not: so calls that make something ready (spawn, cancel, what hands a turn
 *   over) end with a point, simulation_point, at which the task may be sent to the back. Not under
 *   a lock, and not while a wait is announced: there, others would wait for what cannot go on.
 *   A run has a taste, drawn from the seed: how often a point is taken, and whether old or new
 *   items are preferred. Programs hide different mistakes from different tastes.
 *
 * How time goes
 *   When nothing is ready the clock jumps to the next deadline. While something is, it stands; but
 *   who goes on at one moment for FREE_STEPS items, or readings of the clock, is one who waits for
 *   time to pass, and each further one takes STEP_NS.
 *   An operation in flight is the world's, which knows nothing of this clock: for HOLD_NS, of real
 *   time and since the last one began or ended, nothing jumps. Such a run cannot be replayed.
 *
 * When it goes on
 *   Only while a plain thread waits for it: in weft_runtime_run, weft_future_wait_blocking,
 *   weft_runtime_close. Each counts as a driver until the worker, in its loop, tells it that the
 *   wait is over. So between two calls everything stands, and what a thread does then comes at the
 *   same place in every run. What comes while it goes on does not: the run cannot be replayed, and
 *   says so.
 *
 * Pairs
 *   P1  drive: drivers, seq_cst; then the nudge  -> the loop, which the nudge makes look
 */
#ifndef WEFT_SIMULATION_OBJECT_H
#define WEFT_SIMULATION_OBJECT_H

#include "atomic.h"
#include "check.h"
#include "rng.h"
#include "runtime_object.h"

/* A plain thread that waits; its memory. */
struct simulation_driver {
    struct simulation_driver *next;
    void (*tell)(struct simulation_driver *self); /* the wait is over; the last touch */
};

struct simulation {
    /* the worker's */
    struct rng rng;
    struct simulation_driver *told; /* whose wait is over, but who do not know it yet */
    uint32_t point_part;   /* one in so many points is taken */
    uint32_t oldest_part;  /* so many of 16 picks are the oldest item, */
    uint32_t newest_part;  /* so many the newest, and the rest any */
    uint32_t steps;        /* at this moment, since the clock jumped */
    uint64_t io_seen;      /* operations that began or ended so far */
    int64_t held_since_ns; /* real time; the clock is held for them since */
    bool is_stuck_known;   /* it was said that nothing can go on */
    uint32_t muted;        /* points are none: a lock is held */
    /* written by the worker, read by anybody */
    _Atomic(int64_t) now_ns;
    /* written by anybody */
    _Atomic(uint32_t) drivers;      /* threads that wait for it */
    _Atomic(uint32_t) is_disturbed; /* the seed does not tell all that has happened */
};

/* Make the simulation of a runtime that has its options. 0 or -ENOMEM. */
int weft__simulation_create(weft_runtime *rt);

/* The worker's loop. Context: the worker's thread. */
void weft__simulation_loop(struct worker *w);

/* A plain thread begins to wait for rt to do something, and has ended to. Nothing on a runtime that
 * is not simulated. Context: any thread that knows rt to be there. */
void weft__simulation_drive(weft_runtime *rt);
void weft__simulation_rest(weft_runtime *rt);

/*
 * Add a waiter by which a plain thread waits for f, and drive what f belongs to, if that is
 * simulated. *drives: that runtime, else NULL; then the wake of the waiter tells nobody of it.
 * Returns false when f is done; then neither was done. Context: plain thread, with a reference.
 */
bool weft__simulation_wait(weft_future *f, struct waiter *node, weft_runtime **drives);

/* Tell a driver that its wait is over, and that it rests: on rt's worker, when that comes to its
 * loop. rt is simulated. Context: any thread, also under a lock. */
void weft__simulation_tell(weft_runtime *rt, struct simulation_driver *d);

/* The slow halves of the two that follow. */
void weft__simulation_touch(weft_runtime *rt);
void weft__simulation_point(void);

/* From here to simulation_unmute no point is one: a future of rt is locked while those who wait for
 * it are told. rt may be NULL. Context: any thread. */
struct simulation *weft__simulation_mute(void);

static inline struct simulation *simulation_mute(const weft_runtime *rt)
{
#ifdef WEFT_MODEL
    (void)rt;
    return NULL;
#else
    bool is_real = rt != NULL && WEFT_LIKELY(rt->simulation == NULL);
    return is_real ? NULL : weft__simulation_mute();
#endif
}

static inline void simulation_unmute(struct simulation *s)
{
    if (WEFT_UNLIKELY(s != NULL)) {
        s->muted--;
    }
}

/* A coin of the simulation's. Context: the worker of one. */
bool weft__simulation_flip(struct worker *w);

/* Whether to act as the only worker does: in a simulation now so, now as one of many. Context: the
 * worker. */
static inline bool simulation_is_alone(struct worker *w)
{
#ifdef WEFT_MODEL
    return w->is_alone;
#else
    return w->is_alone && (WEFT_LIKELY(w->rt->simulation == NULL) || weft__simulation_flip(w));
#endif
}

/* Something comes from a thread that is none of rt's. Context: any thread that knows rt to be
 * there. */
static inline void simulation_touch(weft_runtime *rt)
{
#ifdef WEFT_MODEL
    (void)rt;
#else
    if (WEFT_UNLIKELY(rt->simulation != NULL)) {
        weft__simulation_touch(rt);
    }
#endif
}

/* Whether rt is simulated. Models have no loop to go to. */
static inline bool simulation_is_on(const weft_runtime *rt)
{
#ifdef WEFT_MODEL
    (void)rt;
    return false;
#else
    return WEFT_UNLIKELY(rt->simulation != NULL);
#endif
}

/* simulation_point, when that was asked before: what was made ready may have closed rt since. */
static inline void simulation_point_where(bool has_point)
{
#ifdef WEFT_MODEL
    (void)has_point;
#else
    if (WEFT_UNLIKELY(has_point)) {
        weft__simulation_point();
    }
#endif
}

/*
 * The caller has made something ready, or may have: let others go first now and then, in a
 * simulation. Does nothing in a callback, or while the caller's wait is announced.
 * Context: any thread, no lock held; in a task of rt the fiber may be sent to the loop, and others
 * run. rt: of what was made ready; it must be there, or be NULL
 */
static inline void simulation_point(const weft_runtime *rt)
{
    simulation_point_where(rt != NULL && simulation_is_on(rt));
}

#endif
