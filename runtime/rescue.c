/* SPDX-License-Identifier: MIT */
/* Rescue: the handler's part, the helper's, the watch; see rescue.h. */
#include "rescue.h"

#include <limits.h>

#include "queued.h"
#include "runtime_object.h"

/* A worker is stuck whose turn is so old, twice what it should be, when stalls are known to
 * happen. */
#define LOOK_NS 100000

/* Two looks at a suspect are so far apart, for its CPU clock to tell something. */
#define SUSPECT_NS_MIN 20000

/* Items that took so long between two turns, five times what they may, were a stall. */
#define STALL_NS 250000

/* How long workers are watched after a stall. */
#define WATCH_NS (1 * WEFT_SECOND)

/* A kick costs about 2 us; the kernel's tick is the limit nearly everywhere. */
#define KICK_NS_MIN 500000

/* Two, so that one is left when the other has work and stalls itself. */
#define WATCHERS_MAX 2

/* What grows whenever the worker goes on. Context: any thread. */
static uint64_t worker_progress(struct worker *w)
{
    const struct worker_counters *c = &w->count;
    /* ORD none: figures; those of a stuck worker have been still for long. */
    return atomic_load_relaxed(&c->switches) + atomic_load_relaxed(&c->nested) +
           atomic_load_relaxed(&c->ended) + atomic_load_relaxed(&c->polls) +
           atomic_load_relaxed(&c->callbacks_run);
}

/* Whether something waits for the worker that others can do. Context: any thread, handler. */
static bool worker_is_awaited(struct worker *w, int64_t now_ns)
{
    return w->poller_ops->behind(w->poller) || !mpsc_empty(&w->inbox) ||
           weft__timers_next(&w->timers) <= now_ns;
}

static struct rescue_shared *shared_of(struct worker *w)
{
    return &w->rt->rescue;
}

/* ---- on the stuck worker, in the handler ---- */

static void hand_over_next(struct worker *w)
{
    struct rescue *r = &w->rescue;
    /* ORD none: only this thread puts something there. */
    if (atomic_load_relaxed(&r->handed) != NULL) {
        return;
    }
    struct runnable *next = atomic_load_relaxed(&w->next); /* ORD none: this thread's */
    if (next != NULL && next->pinned_to == RUNNABLE_ANYWHERE &&
        atomic_local_cas(&w->next, next, NULL)) {
        atomic_store_release(&r->handed, next); /* ORD P2: the item */
    }
}

static void offer(struct worker *w)
{
    /* ORD P1: before the look for sleepers. */
    if (atomic_exchange_seq_cst(&w->rescue.is_offered, 1) == 0) {
        (void)atomic_add_seq_cst(&shared_of(w)->offers, 1); /* ORD P1: as above */
    }
    weft__wake_one(w->rt, w->index);
}

/* Items have become slow: the turn is not to wait for as many as were foretold. */
static void hasten_turn(struct worker *w)
{
    uint64_t seen = w->rescue.turns_seen;
    w->rescue.turns_seen = w->turns;
    if (seen == w->turns && !w->in_loop && worker_ticks(w) > 1) {
        w->turn_ticks -= worker_ticks(w) - 1; /* those that were done stay counted */
        worker_set_ticks(w, 1);
    }
}

void weft__rescue_on_kick(struct kick *k, bool is_asked)
{
    struct worker *w = WEFT_CONTAINER(k, struct worker, rescue.kick);
    hasten_turn(w);
    if (w->is_alone) {
        return;
    }
    uint64_t progress = worker_progress(w);
    bool is_late = progress == w->rescue.progress_seen;
    w->rescue.progress_seen = progress;
    if (!is_late && !is_asked) {
        return;
    }
    w->poller_ops->kick(w->poller);
    hand_over_next(w);
    bool has_handed = atomic_load_relaxed(&w->rescue.handed) != NULL; /* ORD none: a hint */
    if (has_handed || deque_size_hint(&w->deque) > 0 ||
        worker_is_awaited(w, weft__runtime_now(w->rt))) {
        offer(w);
    }
}

/* ---- on a worker that is about to block ---- */

static bool is_blocking(struct worker *w)
{
    return atomic_load_relaxed(&w->rescue.is_blocking) != 0; /* ORD none: a hint */
}

void weft__rescue_block_end(struct worker *w)
{
    if (is_blocking(w)) {
        atomic_store_relaxed(&w->rescue.is_blocking, 0); /* ORD none: a hint */
    }
}

/* ---- on the others ---- */

/* Take the offer of a worker back or up. False: there was none. */
static bool take_offer(struct worker *w)
{
    /* ORD none: a guess, checked by the exchange. */
    if (atomic_load_relaxed(&w->rescue.is_offered) == 0 ||
        /* ORD none: who gets 1 counts it off; what is offered has orders of its own. */
        atomic_exchange_acq_rel(&w->rescue.is_offered, 0) == 0) {
        return false;
    }
    (void)atomic_sub_seq_cst(&shared_of(w)->offers, 1); /* ORD P1: the count */
    return true;
}

static struct runnable *take_handed(struct worker *w)
{
    /* ORD none: a guess, checked by the exchange. */
    if (atomic_load_relaxed(&w->rescue.handed) == NULL) {
        return NULL;
    }
    return atomic_exchange_acq_rel(&w->rescue.handed, NULL); /* ORD P2: the item */
}

void weft__rescue_take_back(struct worker *w)
{
    weft__rescue_block_end(w);
    (void)take_offer(w);
    struct runnable *r = take_handed(w);
    if (r != NULL) {
        weft__worker_push(w, r);
        weft__worker_offer(w);
    }
}

/* Do for a late worker what can be done for it. */
static bool help(struct worker *w, struct worker *late)
{
    bool has_helped = false;
    struct runnable *r = take_handed(late);
    if (r != NULL) {
        weft__worker_push(w, r);
        has_helped = true;
    }
    int64_t now = weft__runtime_now(w->rt);
    while (weft__timers_next(&late->timers) <= now &&
           weft__timers_expire(&late->timers, now, UINT_MAX) > 0) {
        has_helped = true;
    }
    if (late->poller_ops->claim(late->poller)) {
        has_helped = weft__worker_deliver(late) || has_helped;
        has_helped = late->poller_ops->harvest(late->poller) > 0 || has_helped;
        late->poller_ops->unclaim(late->poller);
    }
    counter_add(&w->count.rescues, has_helped);
    if (has_helped) {
        recent_note(&w->debug.recent, RECENT_RESCUE, late->index, now);
    }
    return has_helped;
}

bool weft__rescue_others(struct worker *w)
{
    weft_runtime *rt = w->rt;
    bool has_helped = false;
    /* ORD none: a hint here; before a sleep the look at the queues has its order. */
    for (unsigned i = 0; atomic_load_relaxed(&rt->rescue.offers) != 0 && i < rt->worker_count;
         i++) {
        struct worker *late = &rt->workers[i];
        if (late != w && take_offer(late)) {
            has_helped = help(w, late) || has_helped;
        }
    }
    return has_helped;
}

/* ---- the watch ---- */

static void rescue_watch_on(struct rescue_shared *s, int64_t now_ns)
{
    atomic_store_relaxed(&s->watch_until_ns, now_ns + WATCH_NS); /* ORD none: a hint to all */
}

void weft__rescue_block_begin(struct worker *w)
{
    w->poller_ops->kick(w->poller);
    struct runnable *next = worker_swap_next(w, NULL);
    if (next != NULL) {
        weft__worker_push(w, next);
    }
    atomic_store_relaxed(&w->rescue.is_blocking, 1); /* ORD none: a hint */
    rescue_watch_on(shared_of(w), weft__runtime_now(w->rt));
    offer(w);
}

void weft__rescue_note_stall(struct worker *w, int64_t now_ns)
{
    /* Nobody can be kicked: to watch would be of no use. */
    bool is_kickable = w->rescue.kick.signal != 0;
    if (is_kickable && now_ns - worker_turn_started(w) >= STALL_NS &&
        worker_is_awaited(w, now_ns)) {
        rescue_watch_on(shared_of(w), now_ns);
    }
}

/*
 * Look at one worker; kick it, if it is stuck and something waits for it. Its CPU clock tells it
 * from one that blocks in a system call, which must not be cut short, or waits for a processor: so
 * it takes two looks within one turn, and most of the time between them. What is left is that it
 * blocks before the signal has arrived: some microseconds. Caller looks.
 */
static enum rescue_look look_at(struct worker *v, int64_t now_ns)
{
    struct rescue *r = &v->rescue;
    int64_t turn_ns = worker_turn_started(v);
    if (now_ns - turn_ns < LOOK_NS || now_ns - r->kicked_ns < LOOK_NS ||
        /* ORD P3: the kick. */
        /* ORD P4: after the look's begin. */
        atomic_load_seq_cst(&r->is_kickable) == 0 || idle_is_parked(&v->rt->idle, v->index)) {
        return RESCUE_NONE;
    }
    bool is_wanted = atomic_load_relaxed(&v->next) != NULL || /* ORD none: a hint */
                     worker_is_awaited(v, now_ns);
    if (!is_wanted) {
        return RESCUE_NONE;
    }
    if (is_blocking(v)) {
        r->kicked_ns = now_ns;
        offer(v);
        return RESCUE_KICKED;
    }
    int64_t cpu_ns = weft__kick_cpu_ns(&r->kick);
    int64_t since_ns = now_ns - r->suspect_at_ns;
    bool is_second = r->suspect_turn_ns == turn_ns && since_ns >= SUSPECT_NS_MIN;
    bool is_burning = cpu_ns - r->suspect_cpu_ns >= since_ns / 2;
    r->suspect_turn_ns = turn_ns;
    r->suspect_at_ns = now_ns;
    r->suspect_cpu_ns = cpu_ns;
    if (!is_second || !is_burning) {
        return RESCUE_SUSPECT;
    }
    r->kicked_ns = now_ns;
    weft__kick_send(&r->kick);
    return RESCUE_KICKED;
}

enum rescue_look weft__rescue_look(struct worker *w, int64_t now_ns)
{
    struct rescue_shared *s = shared_of(w);
    if (!rescue_is_watching(s, now_ns) ||
        /* ORD none: a hint; at most one looks. */
        now_ns < atomic_load_relaxed(&s->look_next_ns)) {
        return RESCUE_NONE;
    }
    if (!look_begin(&s->look)) {
        return RESCUE_NONE;
    }
    enum rescue_look most = RESCUE_NONE;
    bool has_blocking = false;
    for (unsigned i = 0; i < w->rt->worker_count; i++) {
        if (i != w->index) {
            enum rescue_look found = look_at(&w->rt->workers[i], now_ns);
            has_blocking = has_blocking || is_blocking(&w->rt->workers[i]);
            most = found > most ? found : most;
        }
    }
    int64_t next_ns = most == RESCUE_SUSPECT ? RESCUE_SUSPECT_NS : RESCUE_WATCH_NS / 2;
    atomic_store_relaxed(&s->look_next_ns, now_ns + next_ns); /* ORD none: a hint */
    look_end(&s->look);
    if (most == RESCUE_KICKED) {
        w->kicked_ns = now_ns;
    }
    if (most == RESCUE_KICKED || has_blocking) {
        rescue_watch_on(s, now_ns);
    }
    return most;
}

bool weft__rescue_watch_begin(struct worker *w, int64_t now_ns)
{
    struct rescue_shared *s = shared_of(w);
    if (!rescue_is_watching(s, now_ns)) {
        return false;
    }
    uint32_t old = atomic_load_relaxed(&s->watchers); /* ORD none: the CAS checks it */
    do {
        if (old >= WATCHERS_MAX) {
            return false;
        }
    } while (!atomic_cas_relaxed(&s->watchers, &old, old + 1)); /* ORD none: only a count */
    w->is_watcher = true;
    return true;
}

void weft__rescue_watch_end(struct worker *w)
{
    if (w->is_watcher) {
        w->is_watcher = false;
        (void)atomic_sub_release(&shared_of(w)->watchers, 1); /* ORD none: only a count */
    }
}

/* ---- begin and end ---- */

void weft__rescue_begin(struct worker *w)
{
    int sig = w->rt->options.kick_signal;
    if (sig < 0 || w->poller_ops->kick == NULL) {
        return;
    }
    int64_t every_ns = w->rt->options.slice_ns / 2;
    every_ns = every_ns < KICK_NS_MIN ? KICK_NS_MIN : every_ns;
    /* Without a timer only the others' looks remain. */
    (void)weft__kick_thread_begin(&w->rescue.kick, sig, every_ns);
    atomic_store_release(&w->rescue.is_kickable, 1); /* ORD P3: the kick */
}

void weft__rescue_end(struct worker *w)
{
    if (w->rescue.kick.signal != 0) {
        /* Who looks at this worker now may be reading its ring, which is about to go. */
        atomic_store_seq_cst(&w->rescue.is_kickable, 0); /* ORD P4: before the wait */
        weft__look_pass(&shared_of(w)->look);
        weft__kick_thread_end(&w->rescue.kick);
    }
    weft__rescue_take_back(w);
}
