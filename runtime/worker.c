/* SPDX-License-Identifier: MIT */
/*
 * The worker's loop: what is done on the thread's own stack.
 *
 * A turn: deliver messages, expire timers, ask the poller (without waiting), then run items until
 * the next turn is due or nothing is left here. Then the inject queue, then other workers' deques;
 * and when nobody has anything, sleep in the poller, by the protocol of idle.h, until a completion,
 * a deadline or a wake.
 *
 * Nothing ticks: a worker without work is in the kernel and stays there.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "fetch_ahead.h"
#include "placement.h"
#include "queued.h"
#include "runtime_object.h"
#include "signal_stack.h"
#include "simulation.h"

/* Who found nothing to steal looks on for about what a wake costs: longer robs those who work. */
#define DOZE_NS 5000
#define DOZE_SPINS 32

/* After so many steals the thief asks whether they were worth it. */
#define STEALS_TO_JUDGE 64

/* How long the other one takes to come to what it offers: twice what was seen. */
#define KICKED_NS 60000

/* A task could not start for want of a stack, and nothing else is there to wait for. */
#define STACK_RETRY_NS (10 * WEFT_MS)

/* C++'s accessor of its per-thread state; there when a C++ runtime is in the process. */
extern void *__cxa_get_globals(void) __attribute__((weak));

/* Fewer items between turns when they have become slow, more when they are quick. */
static void turn_adapt(struct worker *w, int64_t now)
{
    int done = w->turn_ticks - worker_ticks(w);
    if (done <= 0) {
        return;
    }
    int64_t sample = (now - worker_turn_started(w)) / done;
    w->item_ns = sample > w->item_ns ? (w->item_ns + sample) / 2 : (3 * w->item_ns + sample) / 4;
    w->turn_ticks = worker_ticks(w); /* each item once */
}

/* How many items a turn is to have. */
static int turn_length(const struct worker *w)
{
    int64_t ticks = TURN_NS / (w->item_ns + 1);
    ticks = ticks < TURN_TICKS_MIN ? TURN_TICKS_MIN : ticks;
    return ticks > TURN_TICKS_MAX ? TURN_TICKS_MAX : (int)ticks;
}

static void turn_begin(struct worker *w, int64_t now)
{
    w->turn_ticks = turn_length(w);
    worker_set_ticks(w, w->turn_ticks);
    atomic_store_relaxed(&w->turn_started_ns, now); /* ORD none: others want a figure */
    w->turns++;
}

bool weft__worker_deliver(struct worker *w)
{
    struct mpsc_node *node = mpsc_take_all(&w->inbox);
    bool has_any = node != NULL;
    while (node != NULL) {
        struct mpsc_node *next = node->next;
        struct message *m = WEFT_CONTAINER(node, struct message, node);
        m->deliver(m, w);
        node = next;
    }
    return has_any;
}

/* Several were made ready in the loop: wake one worker, which wakes the next. One that is alone
 * runs here at once, and is not offered unless something runs before it: `first`, or what is not in
 * the deque. */
static void offer_woken(struct worker *w, const struct runnable *first)
{
    if (w->was_woken) {
        bool is_behind = first != NULL || worker_next(w) != NULL || w->pinned_first != NULL;
        int64_t count = deque_size_hint(&w->deque);
        w->was_woken = count == 1 && !is_behind; /* later, maybe */
        if (count > 0 && !w->was_woken) {
            barrier_light();
            weft__worker_call(w);
        }
    }
}

/* What was taken from this worker while it was late, and what others are late with. */
static bool turn_rescue(struct worker *w, int64_t now)
{
    if (!w->was_idle) {
        weft__rescue_note_stall(w, now);
    }
    weft__worker_own_deque(w);
    weft__rescue_take_back(w);
    (void)weft__rescue_look(w, now);
    return weft__rescue_others(w);
}

/*
 * Deadlines: as many as have their turn now, and half of that while others wait for theirs, so that
 * they run while what was touched to wake them is in the cache. The rest stays in the heap.
 */
static bool turn_expire(struct worker *w, int64_t now)
{
    if (weft__timers_next(&w->timers) > now) {
        return false;
    }
    unsigned max = (unsigned)turn_length(w);
    max = deque_size_hint(&w->deque) > max ? max / 2 : max;
    return weft__timers_expire(&w->timers, now, max) > 0;
}

/* Messages, timers, completions. */
static void turn(struct worker *w)
{
    int64_t now = weft__runtime_now(w->rt);
    turn_adapt(w, now);
    bool has_worked = !w->is_alone && turn_rescue(w, now);
    bool was_idle = w->was_idle;
    w->was_idle = false;
    (void)weft__worker_deliver(w);
    has_worked = turn_expire(w, now) || has_worked;
    if (w->poller_ops->ready(w->poller)) {
        counter_add(&w->count.polls, 1);
        recent_note(&w->debug.recent, RECENT_POLL, 0, now);
        w->poller_ops->wait(w->poller, 0);
        (void)weft__worker_deliver(w);
        has_worked = true;
    }
    /* What the turn itself took is not the items' cost. */
    turn_begin(w, has_worked ? weft__runtime_now(w->rt) : now);
    weft__fetch_ahead(w, was_idle || has_worked);
}

/* A fair share of the inject queue: the first is returned, the others go to the own deque. A single
 * worker keeps the order of what it is given: all of it goes behind what is here already. */
static struct runnable *take_injected(struct worker *w)
{
    struct inject *q = &w->rt->inject;
    size_t length = inject_length_hint(q);
    if (length == 0 || (queued_scatters(w) && weft__queued_leaves(w))) {
        return NULL;
    }
    size_t share = length / w->rt->worker_count + 1;
    if (!w->is_alone) {
        /* What fits, and leaves room: what overflows would only come back here. */
        size_t max = (WEFT_DEQUE_CAPACITY - (size_t)deque_size_hint(&w->deque)) / 2 + 1;
        share = share < max ? share : max;
    }
    bool is_first_next = !w->is_alone || !deque_holds_work(&w->deque);
    size_t count;
    struct runnable *first = weft__inject_take(q, share, &count);
    if (first == NULL) {
        return NULL;
    }
    for (struct runnable *r = is_first_next ? first->next : first; r != NULL;) {
        struct runnable *next = r->next;
        weft__worker_push(w, r);
        r = next;
    }
    w->was_woken = w->was_woken || count > 1;
    return is_first_next ? first : NULL;
}

/* Leave the searchers, if this worker is one of them, because it has something to run. */
static void stop_searching(struct worker *w)
{
    if (!w->is_searching) {
        return;
    }
    w->is_searching = false;
    struct idle *idle = &w->rt->idle;
    if (!weft__idle_leave_search(idle, w->index) || !idle_has_sleepers(idle)) {
        return;
    }
    /* Work that was pushed while we were the only searcher woke nobody: look for some. */
    if (!weft__queues_hold_work(w->rt)) {
        weft__barrier_heavy();
        if (!weft__queues_hold_work(w->rt)) {
            return;
        }
    }
    weft__worker_call(w);
}

static bool worker_must_stop(struct worker *w)
{
    /* ORD none: nothing that its setter did is looked at; a spinner sees it in time. */
    return atomic_load_relaxed(&w->rt->is_stopping) != 0;
}

/* Whatever other queues hold, with a short look-out; the worker counts as searching. */
static struct runnable *search(struct worker *w)
{
    int64_t spin_ns = w->rt->options.spin_ns > DOZE_NS ? w->rt->options.spin_ns : DOZE_NS;
    int64_t until = 0;
    for (;;) {
        struct runnable *r = take_injected(w);
        if (r == NULL) {
            r = weft__worker_steal(w);
        }
        if (r == NULL && weft__rescue_others(w)) {
            r = queued_next(w);
        }
        if (r != NULL || w->poller_ops->ready(w->poller) || !mpsc_empty(&w->inbox)) {
            w->stay.has_found = r != NULL;
            return r;
        }
        if (w->rt->options.spin_ns <= 0 && weft__idle_others_sleep(&w->rt->idle, w->index)) {
            return NULL; /* nobody runs who could have some */
        }
        int64_t now = weft__runtime_now(w->rt);
        (void)weft__rescue_look(w, now);
        until = until == 0 ? now + spin_ns : until;
        /* Who has kicked another one is about to help it. */
        until = until < w->kicked_ns + KICKED_NS ? w->kicked_ns + KICKED_NS : until;
        if (now >= until || weft__timers_next(&w->timers) <= now || worker_must_stop(w)) {
            return NULL;
        }
        for (unsigned i = 0; i < DOZE_SPINS; i++) {
            cpu_relax();
        }
    }
}

/* Busy-wait for completions, as the program asked for, when there is nobody to steal from. */
static bool spin(struct worker *w)
{
    int64_t until = weft__runtime_now(w->rt) + w->rt->options.spin_ns;
    int64_t now;
    do {
        for (unsigned i = 0; i < DOZE_SPINS; i++) {
            if (w->poller_ops->ready(w->poller) || !mpsc_empty(&w->inbox)) {
                return true;
            }
            cpu_relax();
        }
        if (!inject_empty(&w->rt->inject) || worker_must_stop(w)) {
            return true;
        }
        now = weft__runtime_now(w->rt);
    } while (now < until && weft__timers_next(&w->timers) > now);
    return false;
}

/* Hand over what was prepared, then busy-wait. True when there is something to do. */
static bool poll_and_spin(struct worker *w)
{
    w->poller_ops->wait(w->poller, 0);
    return weft__worker_has_local(w) || spin(w);
}

/* How long a worker without work may sleep. */
static int64_t sleep_limit(struct worker *w, int64_t due_ns)
{
    int64_t now = weft__runtime_now(w->rt);
    int64_t next = weft__timers_wake_at(&w->timers);
    next = due_ns < next ? due_ns : next;
    if (w->starved != NULL && now + STACK_RETRY_NS < next) {
        next = now + STACK_RETRY_NS;
    }
    return next == INT64_MAX ? WEFT_FOREVER : next <= now ? 0 : next - now;
}

/* What it was awake for: was that worth while? Returns how long to pause; 0: not at all. */
static int64_t judge_stay(struct worker *w, int64_t now, bool in_vain)
{
    if (in_vain) {
        w->stay = (struct ration_stay){.called_ns = now, .kind = RATION_ANY};
    }
    return weft__ration_judge(&w->rt->ration, &w->stay, now);
}

/* Idle stacks and descriptors, when they have been idle for long enough. Returns when to do it
 * again: of descriptors one worker keeps the time, so that only one wakes for it. */
static int64_t give_memory_back(struct worker *w, int64_t now)
{
    int64_t stacks_ns = weft__stack_cache_decay(&w->stacks, now);
    if (stacks_ns != STACK_NEVER) {
        /* Tasks ended lately: what the cache has too many of counts as free from now on. */
        weft__slab_spill(&w->tasks, SLAB_CACHE_KEEP);
    }
    int64_t slabs_ns = weft__slab_trim(w->rt->tasks, now);
    return w->index == 0 && slabs_ns < stacks_ns ? slabs_ns : stacks_ns;
}

/* Busy-wait until then, or until there is something to do: to sleep and wake would take longer.
 * Returns the time. */
static int64_t look_on(struct worker *w, int64_t until)
{
    int64_t now;
    do {
        for (unsigned i = 0; i < DOZE_SPINS; i++) {
            cpu_relax();
        }
        now = weft__runtime_now(w->rt);
    } while (now < until && !w->poller_ops->ready(w->poller) && mpsc_empty(&w->inbox));
    return now;
}

/* Sleep for so long, looking after the others now and then. True: there is work elsewhere. */
static bool sleep_watching(struct worker *w, int64_t for_ns)
{
    int64_t now = weft__runtime_now(w->rt);
    int64_t until = for_ns > WEFT_FOREVER - now ? WEFT_FOREVER : now + for_ns;
    enum rescue_look look = RESCUE_NONE;
    bool has_found = false;
    while (!has_found && now < until && rescue_is_watching(&w->rt->rescue, now)) {
        if (look == RESCUE_SUSPECT) {
            now = look_on(w, now + RESCUE_SUSPECT_NS);
        } else {
            int64_t left_ns = until - now;
            w->poller_ops->wait(w->poller, left_ns < RESCUE_WATCH_NS ? left_ns : RESCUE_WATCH_NS);
            now = weft__runtime_now(w->rt);
        }
        look = weft__rescue_look(w, now);
        has_found = look == RESCUE_KICKED || weft__queues_hold_work(w->rt);
        if (weft__worker_has_local(w) || !mpsc_empty(&w->inbox) || worker_must_stop(w) ||
            !idle_is_parked(&w->rt->idle, w->index)) {
            break;
        }
    }
    weft__rescue_watch_end(w);
    return has_found;
}

/* Whether what it stole lately was not worth it: then it pauses, and leaves the rest. */
static bool steals_in_vain(struct worker *w)
{
    /* ORD none: this thread's. */
    uint64_t stolen = atomic_load_relaxed(&w->count.steals) - w->steals_judged;
    if (stolen < STEALS_TO_JUDGE) {
        return false;
    }
    int64_t now = weft__runtime_now(w->rt);
    int64_t busy_ns = now - w->steals_judged_ns;
    w->steals_judged += stolen;
    w->steals_judged_ns = now;
    return weft__ration_is_in_vain(stolen, busy_ns);
}

/* Sleep in the poller until there is something to do; in_vain: what is elsewhere can wait. */
static void sleep_in_poller(struct worker *w, bool in_vain)
{
    struct idle *idle = &w->rt->idle;
    /* Before "parked" is published: it may take a while, and who wakes us expects a sleeper. */
    int64_t now = weft__runtime_now(w->rt);
    int64_t due_ns = give_memory_back(w, now);
    int64_t pause_ns = judge_stay(w, now, in_vain);
    due_ns = pause_ns != 0 && now + pause_ns < due_ns ? now + pause_ns : due_ns;
    bool must_look = weft__idle_park(idle, w->index, w->is_searching);
    w->is_searching = false;
    if (must_look && !w->is_alone) {
        weft__barrier_heavy();
    }
    bool has_found = must_look && (in_vain ? !inject_empty(&w->rt->inject)
                                           : weft__queues_hold_work(w->rt));
    bool is_awaited = has_found || !mpsc_empty(&w->inbox) || worker_must_stop(w) ||
                      /* ORD none: put there by a handler on this thread. */
                      atomic_load_relaxed(&w->rescue.handed) != NULL;
    int64_t for_ns = is_awaited ? 0 : sleep_limit(w, due_ns);
    counter_add(&w->count.parks, for_ns != 0);
    recent_note(&w->debug.recent, RECENT_SLEEP, 0, now);
    bool is_bound = for_ns != 0 && rescue_is_watching(&w->rt->rescue, now) &&
                    weft__placement_bind(w);
    if (for_ns != 0 && !w->is_alone && weft__rescue_watch_begin(w, now)) {
        has_found = sleep_watching(w, for_ns);
    } else {
        w->poller_ops->wait(w->poller, for_ns);
    }
    if (is_bound) {
        weft__placement_unbind(w);
    }
    if (pause_ns != 0) {
        weft__ration_resume(&w->rt->ration, &w->stay);
    }
    /* Found by the last look: a searcher again, since others may have parked because of ours. And
     * after a pause, since others have left work to us. */
    w->is_searching = weft__idle_unpark(idle, w->index, has_found || pause_ns != 0);
    /* ORD none: this thread's. */
    w->steals_judged = atomic_load_relaxed(&w->count.steals);
    w->steals_judged_ns = weft__runtime_now(w->rt);
    recent_note(&w->debug.recent, RECENT_WOKEN, 0, w->steals_judged_ns);
    /* ORD none: see wake_one in ready.c. */
    uint32_t called = atomic_load_relaxed(&w->called);
    if (called != 0) {
        atomic_store_relaxed(&w->called, 0); /* ORD none: as above */
        w->stay.kind = (enum ration_kind)(called - 1);
        w->stay.called_ns = w->steals_judged_ns;
    }
}

/* Nothing is left here: find something elsewhere, or sleep. NULL: look here again. */
static struct runnable *idle(struct worker *w)
{
    if (w->is_alone) {
        struct runnable *r = take_injected(w);
        if (r == NULL && (w->rt->options.spin_ns <= 0 || !poll_and_spin(w))) {
            sleep_in_poller(w, false);
        }
        return r;
    }
    if (w->poller_ops->ready(w->poller)) {
        /* Cheaper than the sleep protocol when completions are about to come. */
        w->poller_ops->wait(w->poller, 0);
        if (weft__worker_has_local(w)) {
            return NULL;
        }
    }
    bool in_vain = !w->is_searching && steals_in_vain(w);
    w->is_searching = w->is_searching ||
                      (!in_vain && weft__idle_enter_search(&w->rt->idle, w->index));
    struct runnable *r = w->is_searching ? search(w) : NULL;
    if (r == NULL) {
        sleep_in_poller(w, in_vain);
    }
    return r;
}

/* Run an item, and then what fibers have left for the loop to run. */
static void run_item(struct worker *w, struct runnable *r)
{
    while (r != NULL) {
        stop_searching(w);
        w->loop_item = NULL;
        weft__loop_run(w, r);
        r = w->loop_item;
        offer_woken(w, r);
    }
}

/* Tasks that could not start for want of a stack: others may have given theirs back. */
static void retry_starved(struct worker *w)
{
    struct runnable *r = w->starved;
    w->starved = NULL;
    while (r != NULL) {
        struct runnable *next = r->next;
        run_item(w, r);
        r = next;
    }
}

/* Run what is here until a turn is due (true) or nothing is left (false). */
static bool run_local(struct worker *w, struct runnable *first)
{
    struct runnable *r = first;
    do {
        run_item(w, r);
        r = weft__worker_pick(w);
    } while (r != NULL);
    return worker_ticks(w) <= 0;
}

static void worker_loop(struct worker *w)
{
    struct runnable *found = NULL;
    turn_begin(w, weft__runtime_now(w->rt));
    while (!worker_must_stop(w)) {
        turn(w);
        if (found == NULL) {
            found = take_injected(w);
        }
        offer_woken(w, found);
        bool is_turn_due = run_local(w, found);
        found = NULL;
        if (w->starved != NULL) {
            retry_starved(w);
            is_turn_due = is_turn_due || worker_ticks(w) <= 0 || weft__worker_has_local(w);
        }
        if (!is_turn_due) {
            int64_t now = weft__runtime_now(w->rt);
            turn_adapt(w, now); /* now: to sleep is no item's cost */
            if (!w->is_alone) {
                weft__rescue_note_stall(w, now);
            }
            if (weft__timers_next(&w->timers) > now) { /* else more of them are due */
                w->was_idle = true;
                found = idle(w);
            }
        }
    }
    stop_searching(w);
    (void)weft__worker_deliver(w); /* some hold a reference to a task */
}

/* Deadlines are kept to the microsecond; by default the kernel may be 50 us late with each. */
static void worker_set_slack(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
}

static void worker_set_name(struct worker *w)
{
    char name[16];
    snprintf(name, sizeof name, "weft-%u", w->index);
    pthread_setname_np(pthread_self(), name);
}

/* The sanitizer's side of the stacks in the cache. What the pool has is lost to it: a few. */
static void forget_cached_fibers(struct worker *w)
{
#ifdef WEFT_TSAN
    for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
        for (struct stack *s = w->stacks.bin[c].head; s != NULL; s = s->next) {
            struct fiber *f = WEFT_CONTAINER(s, struct fiber, stack);
            sanitize_fiber_fini(&f->sanitize);
            f->sp = NULL;
        }
    }
#else
    (void)w;
#endif
}

void weft__worker_drop_caches(struct worker *w)
{
    forget_cached_fibers(w);
    weft__slab_spill(&w->tasks, 0);
    weft__stack_cache_fini(&w->stacks);
}

/* Everything that only the thread itself can set up. */
static int worker_begin(struct worker *w)
{
    weft__worker_set_current(w);
    worker_set_name(w);
    worker_set_slack();
    if (w->rt->options.pin_workers) {
        weft__placement_pin(w);
    }
    w->errno_address = &errno;
    w->cxx_globals = __cxa_get_globals != NULL ? __cxa_get_globals() : NULL;
    w->fiber = &w->loop;
    w->in_loop = true;
    sanitize_thread_init(&w->loop.sanitize);
    int err = weft__signal_stack_begin();
    if (err < 0) {
        snprintf(w->start_why, sizeof w->start_why, "no memory for a signal stack");
        return err;
    }
    struct poller_config config = {
        .entries = w->rt->options.ring_entries,
        .worker_count = w->rt->worker_count,
        .shared = w->rt->poller_shared,
        .pin_workers = w->rt->options.pin_workers,
    };
    err = w->poller_ops->create(&w->poller, &config, w->start_why, sizeof w->start_why);
    if (err < 0) {
        weft__signal_stack_end();
    } else {
        weft__rescue_begin(w);
        weft__debug_begin(w);
    }
    return err;
}

void *weft__worker_main(void *arg)
{
    struct worker *w = arg;
    w->start_error = worker_begin(w);
    if (w->start_error == 0) {
        weft__runtime_started(w->rt, true);
        if (w->rt->simulation != NULL) {
            weft__simulation_loop(w);
        } else {
            worker_loop(w);
        }
        weft__rescue_end(w);
        w->poller_ops->finish(w->poller);
        weft__signal_stack_end();
    } else {
        weft__runtime_started(w->rt, false);
    }
    weft__worker_drop_caches(w);
    weft__worker_set_current(NULL);
    return NULL;
}
