/* SPDX-License-Identifier: MIT */
/* Timers of a worker; see timers.h. */
#include "timers.h"

#include <sched.h>

static void timers_lock(struct timers *t)
{
    unsigned spins = 0;
    /* ORD P1: what the holder before did. */
    while (atomic_exchange_acquire(&t->lock, 1) != 0) {
        cpu_relax();
        if (++spins % 64 == 0) {
            sched_yield();
        }
    }
}

static void timers_unlock(struct timers *t)
{
    atomic_store_release(&t->lock, 0); /* ORD P1: what we did */
}

void weft__timers_init(struct timers *t)
{
    atomic_store_relaxed(&t->lock, 0); /* ORD none: not shared yet */
    timer_heap_init(&t->heap);
}

void weft__timers_fini(struct timers *t)
{
    timer_heap_fini(&t->heap);
}

/* Take d out of the heap, if it is in. Caller holds the lock. */
static bool timers_remove(struct timers *t, struct deadline *d)
{
    /* ORD none: read by those who may arm, as the caller. */
    atomic_store_relaxed(&d->armed_ns, 0);
    return timer_heap_remove(&t->heap, &d->node);
}

static int timers_insert(struct timers *t, struct deadline *d, int64_t at_ns)
{
    int err = timer_heap_insert(&t->heap, &d->node, at_ns);
    if (err == 0) {
        atomic_store_relaxed(&d->armed_ns, at_ns); /* ORD none: as above; 0 is a safe answer */
    }
    return err;
}

int weft__timers_arm(struct timers *t, struct deadline *d, int64_t at_ns)
{
    if (d->home != t) {
        (void)weft__timers_disarm(d);
        d->home = t;
    }
    timers_lock(t);
    (void)timers_remove(t, d);
    int err = timers_insert(t, d, at_ns);
    timers_unlock(t);
    return err;
}

bool weft__timers_disarm(struct deadline *d)
{
    struct timers *t = d->home;
    if (t == NULL) {
        return false;
    }
    timers_lock(t);
    bool was_armed = timers_remove(t, d);
    timers_unlock(t);
    return was_armed;
}

/* Call back the first that is due. Lock held. */
static inline bool timers_expire_first(struct timers *t, int64_t now_ns)
{
    struct timer_node *node = timer_heap_pop_due(&t->heap, now_ns);
    if (node == NULL) {
        return false;
    }
    struct deadline *d = WEFT_CONTAINER(node, struct deadline, node);
    /* ORD P2: before the callback looks at who relies on it. */
    atomic_store_seq_cst(&d->armed_ns, 0);
    int64_t again_ns = d->expire(d, now_ns);
    if (again_ns != 0 && timers_insert(t, d, again_ns) < 0) {
        (void)d->expire(d, TIMERS_END);
    }
    return true;
}

unsigned weft__timers_expire(struct timers *t, int64_t now_ns, unsigned max)
{
    unsigned count = 0;
    timers_lock(t);
    while (count < max && timers_expire_first(t, now_ns)) {
        count++;
    }
    timers_unlock(t);
    return count;
}

int64_t weft__timers_next(struct timers *t)
{
    return timer_heap_next_hint(&t->heap);
}

int64_t weft__timers_wake_at(struct timers *t)
{
    int64_t next = timer_heap_next_hint(&t->heap);
    if (next > INT64_MAX - TIMERS_BATCH_NS) {
        return next;
    }
    timers_lock(t);
    int64_t last = timer_heap_nth(&t->heap, TIMERS_BATCH_MIN - 1);
    timers_unlock(t);
    return last <= next + TIMERS_BATCH_NS ? next + TIMERS_BATCH_NS : next;
}
