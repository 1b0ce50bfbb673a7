/* SPDX-License-Identifier: MIT */
/*
 * Barrier: of tasks, as they come (barrier.h is another thing: of memory).
 *
 * The word is LOCK, WAITERS (sync_word.h), BROKEN, and in the other bits how often all were turned
 * out, times BREAK. The queue holds those who wait for the round to be full. Who makes it full
 * claims them all, gives each its number, lets them go; the barrier is as good as new then, and who
 * comes next begins the next round. Nobody who was let go touches the barrier again.
 *
 * A waiter that is cancelled leaves the queue, and its place is free. When the last one comes it
 * may be cancelled and still in the queue; that shows when it is to be claimed. The round is not
 * full then: those that were claimed already are told to come AGAIN, and the last one waits with
 * them. They have new numbers afterwards. Who finds, when it comes again, that all were turned out
 * meanwhile, is turned out too: it has been waiting all the time.
 *
 * Invariants
 *   I1  waiting: under LOCK; nodes in the queue
 *   I2  result of a waiter: written by the one who claimed it, before it is made ready
 *
 * Tested: tests/model/model_sync_barrier.c (all interleavings), tests/unit/test_rt_barrier.c,
 * tests/stress/stress_sync.c.
 */
#include <errno.h>

#include <weft/sync.h>

#include "runtime_object.h"
#include "sync_word.h"

#define BARRIER_BROKEN ((uint64_t)4)
#define BARRIER_BREAK ((uint64_t)8)
#define BARRIER_BREAKS (~(BARRIER_BREAK - 1))
#define BARRIER_AGAIN (-EAGAIN)

struct barrier_waiter {
    struct wait_node node;
    int result;      /* BARRIER_AGAIN: it has been here before, */
    uint64_t breaks; /* when all had been turned out so often, times BREAK */
};

int weft_barrier_init(struct weft_barrier *b, int parties)
{
    if (parties < 1) {
        return -EINVAL;
    }
    atomic_store_relaxed(&b->word, 0); /* ORD none: not shared yet */
    b->first = NULL;
    b->parties = parties;
    b->waiting = 0;
    return 0;
}

/* Claim all who wait. Returns how many there were. Caller has LOCK. */
static int barrier_claim(struct weft_barrier *b, struct wait_chain *claimed)
{
    struct wait_node *n;
    int count = 0;
    while ((n = weft__wait_queue_claim(sync_queue(&b->first))) != NULL) {
        wait_chain_add(claimed, n);
        count++;
    }
    b->waiting = 0;
    return count;
}

/* Give those that were claimed a result: their number from 0 on, or all the same one. */
static void barrier_tell(const struct wait_chain *claimed, bool numbers, int result)
{
    for (struct wait_node *n = claimed->first; n != NULL; n = n->prev) {
        WEFT_CONTAINER(n, struct barrier_waiter, node)->result = result;
        result += numbers;
    }
}

/*
 * Under LOCK: fill the round, or fail, or queue. err: why the caller may not wait, or 0. Returns
 * whether it is to wait; if not, w->result is what it gets.
 */
static bool barrier_enter(struct weft_barrier *b, struct barrier_waiter *w, int err)
{
    struct wait_chain claimed = {NULL, NULL};
    uint64_t old = sync_lock(&b->word);
    bool is_out = w->result == BARRIER_AGAIN && w->breaks != (old & BARRIER_BREAKS);
    bool waits = false;
    w->breaks = old & BARRIER_BREAKS;
    if ((old & BARRIER_BROKEN) != 0 || is_out) {
        w->result = -EPIPE;
    } else if (b->waiting + 1 >= b->parties && barrier_claim(b, &claimed) + 1 >= b->parties) {
        barrier_tell(&claimed, true, 0);
        w->result = b->parties - 1;
    } else {
        barrier_tell(&claimed, false, BARRIER_AGAIN);
        w->result = err;
        waits = err == 0;
    }
    if (waits) {
        wait_queue_push(sync_queue(&b->first), &w->node);
        b->waiting++;
    }
    sync_unlock(&b->word, (old & ~SYNC_WAITERS) | sync_waiters(sync_queue(&b->first)));
    weft__wait_chain_resume(&claimed);
    return waits;
}

int weft_barrier_wait(struct weft_barrier *b)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    if (b->parties < 1) {
        return -EINVAL;
    }
    struct barrier_waiter w = {.result = 0};
    for (;;) {
        f->wait_for = WAIT_FOR_BARRIER;
        int err = weft__sync_wait_begin(&w.node, f, WAIT_CLAIMABLE, b);
        if (!barrier_enter(b, &w, err)) {
            if (err < 0 && w.result == err) {
                return weft__sync_wait_refused(&w.node, err);
            }
            (void)weft__sync_wait_retract(&w.node);
            if (w.result < 0) {
                weft__spend(); /* for who comes to a broken one again and again */
            }
            return w.result;
        }
        weft__park(f);
        if (f->outcome < 0) {
            err = f->outcome;
            uint64_t old = sync_lock(&b->word);
            b->waiting -= wait_queue_remove(sync_queue(&b->first), &w.node);
            sync_unlock(&b->word, (old & ~SYNC_WAITERS) | sync_waiters(sync_queue(&b->first)));
            return err;
        }
        if (w.result != BARRIER_AGAIN) {
            return w.result;
        }
    }
}

/* Turn all out, and leave the barrier like this. */
static void barrier_break(struct weft_barrier *b, uint64_t state)
{
    struct wait_chain claimed = {NULL, NULL};
    uint64_t old = sync_lock(&b->word);
    (void)barrier_claim(b, &claimed);
    barrier_tell(&claimed, false, -EPIPE);
    sync_unlock(&b->word, ((old & BARRIER_BREAKS) + BARRIER_BREAK) | state);
    weft__wait_chain_resume(&claimed);
}

void weft_barrier_reset(struct weft_barrier *b)
{
    barrier_break(b, 0);
}

void weft_barrier_abort(struct weft_barrier *b)
{
    barrier_break(b, BARRIER_BROKEN);
}

int weft_barrier_waiting(struct weft_barrier *b)
{
    uint64_t old = sync_lock(&b->word);
    int waiting = b->waiting;
    sync_unlock(&b->word, old);
    return waiting;
}

bool weft_barrier_is_broken(const struct weft_barrier *b)
{
    /* ORD none: a figure. */
    return (atomic_load_relaxed(&((struct weft_barrier *)(uintptr_t)b)->word) & BARRIER_BROKEN) !=
           0;
}
