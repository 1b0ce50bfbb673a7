/* SPDX-License-Identifier: MIT */
/*
 * Rescue: what waits behind a task that keeps its worker busy goes on elsewhere.
 *
 * The burning worker itself is interrupted by a signal (kick.h). Its handler finds the worker late
 * when nothing has gone on since the signal before: no switch, no task ended, no turn. It then
 *   - enters the kernel, so that what was prepared goes out and what is complete is posted;
 *   - hands the next slot over, where others can take it;
 *   - if anything waits, offers it, and wakes a worker.
 * A worker that finds an offer, in its turn, when it searches or when it is woken, comes to the
 * late one's help: it takes what was handed over, expires its timers, and, having claimed its
 * poller (guard.h), delivers the messages in its inbox and its completions, as if they were its
 * own. The burning task is not touched, and what only its worker may do waits: pinned tasks.
 *
 * The same handler sees to it that a turn is made at all, when items have become slow and are fewer
 * than a turn is due after.
 *
 * The timer's resolution is the kernel's tick, milliseconds. So when stalls have been met lately
 * the others look: a worker whose turn began LOOK_NS ago, with something waiting, while its CPU
 * clock goes on, is kicked by one of them. They look in their turns, and up to two that sleep do so
 * with a time limit. Nobody does when there was no stall for a while: an idle runtime is silent.
 *
 * `handed` holds one item at most. The handler puts it there from the next slot, both of which the
 * interrupted code may be using: the slot is taken with a compare-and-swap that a handler on the
 * same thread cannot split (atomic_local_cas).
 *
 * Invariants
 *   I1  is_offered is set exactly while the offer is counted in the runtime's `offers`, but for
 *       the moment between the two
 *   I2  what is in `handed` is taken by one exchange, by a helper or by the worker itself, which
 *       looks there in each turn and before it sleeps
 *
 *   I3  a claimed poller's worker is not inside the poller's calls: its ring, its ops in flight and
 *       their waits are the helper's until it lets go
 *
 * Pairs
 *   P1  offer: offers, seq_cst; then the idle word  <-> park: the idle word; then offers, seq_cst
 *                                       the sleeper sees the offer, or is woken; see idle.h P1
 *   P2  hand over: handed, release    -> take: handed, acq_rel        the item
 *   P3  begin: is_kickable, release   -> kick: is_kickable, seq_cst   the struct kick
 *   P4  end: is_kickable, seq_cst; then weft__look_pass  <-> look_begin; then is_kickable: look.h
 *
 * Tested: tests/unit/test_rt_rescue.c, tests/stress/stress_rescue.c; the wakes that helpers meet:
 * tests/model/model_poller_wake.c.
 */
#ifndef WEFT_RESCUE_H
#define WEFT_RESCUE_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "check.h"
#include "kick.h"
#include "look.h"
#include "runnable.h"

struct worker;

/* A worker's part. */
struct rescue {
    /* the handler's, on the worker's thread */
    uint64_t progress_seen;
    uint64_t turns_seen;
    /* written by the handler, taken by anybody */
    _Atomic(uint32_t) is_offered;
    _Atomic(struct runnable *) handed;
    /* written by who looks */
    int64_t kicked_ns;       /* by another worker, last */
    int64_t suspect_turn_ns; /* the turn in which it was found late */
    int64_t suspect_at_ns;   /* when it was looked at last */
    int64_t suspect_cpu_ns;  /* its CPU clock then */
    /* the worker's; read by others once is_kickable */
    struct kick kick;
    _Atomic(uint32_t) is_kickable;
    _Atomic(uint32_t) is_blocking; /* its task has said that it is about to block */
};

/* A runtime's part. */
struct rescue_shared {
    _Atomic(uint32_t) offers;        /* workers whose is_offered is set */
    _Atomic(int64_t) watch_until_ns; /* stalls were met lately: workers are watched until then */
    _Atomic(int64_t) look_next_ns;   /* when to look at them again */
    struct look look;                /* of those who look at workers */
    _Atomic(uint32_t) watchers;      /* sleep with a limit, to look again */
};

/* What weft__kick_install is given. */
void weft__rescue_on_kick(struct kick *k, bool is_asked);

/*
 * The running task is about to block its worker, and has. In between the others look after what
 * comes to it, without a kick. Begin: what is ready here goes to them at once. Context: on a fiber
 * of a runtime that has other workers; the worker.
 */
void weft__rescue_block_begin(struct worker *w);
void weft__rescue_block_end(struct worker *w);

/* Begin to be kicked, and end. Context: the worker's thread, with its poller. */
void weft__rescue_begin(struct worker *w);
void weft__rescue_end(struct worker *w);

/* Take back what was handed over and offered while the worker was busy. Context: owner, loop. */
void weft__rescue_take_back(struct worker *w);

/* Help the workers that have offered something. True: what came of it is in the caller's queues.
 * Context: a worker in its loop. */
bool weft__rescue_others(struct worker *w);

/* Whether workers are watched, since stalls were met lately. Context: any thread. */
static inline bool rescue_is_watching(struct rescue_shared *s, int64_t now_ns)
{
    return WEFT_UNLIKELY(now_ns < atomic_load_relaxed(&s->watch_until_ns)); /* ORD none: a hint */
}

/* If the worker's items took until now for longer than they should, and something waits for it:
 * have workers watched for a while. Context: owner, loop. */
void weft__rescue_note_stall(struct worker *w, int64_t now_ns);

enum rescue_look {
    RESCUE_NONE,
    RESCUE_SUSPECT, /* somebody may be stuck: look again after RESCUE_SUSPECT_NS */
    RESCUE_KICKED,  /* somebody was, and is about to offer what waits there */
};

/* How often those who sleep look, and how soon they look again at a suspect. */
#define RESCUE_WATCH_NS 100000
#define RESCUE_SUSPECT_NS 25000

/* If workers are watched and it is time to, look at the others, and kick those that are stuck.
 * Context: a worker in its loop. */
enum rescue_look weft__rescue_look(struct worker *w, int64_t now_ns);

/* Whether a worker that goes to sleep is to watch: to wake now and then and look, until it calls
 * weft__rescue_watch_end. */
bool weft__rescue_watch_begin(struct worker *w, int64_t now_ns);
void weft__rescue_watch_end(struct worker *w);

#endif
