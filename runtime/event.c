/* SPDX-License-Identifier: MIT */
/*
 * Event.
 *
 * The word is SET, and LOCK and WAITERS (sync_word.h). There are no waiters while it is SET: set
 * claims all of them under LOCK, so that each is woken by this set, whatever becomes of the flag
 * before it runs; it goes on without a look at the event, which may be gone.
 *
 * Pairs
 *   P1  set: word, release  -> wait, is_set: word, acquire    what the setters did before
 *
 * Tested: tests/model/model_event.c (all interleavings), tests/unit/test_rt_event.c,
 * tests/stress/stress_sync.c.
 */
#include <errno.h>

#include <weft/sync.h>

#include "backoff.h"
#include "runtime_object.h"
#include "sync_word.h"

#define EVENT_SET ((uint64_t)4)

void weft_event_set(struct weft_event *e)
{
    uint64_t old = 0;
    /* A change also when it is set already: for those who will see it what this caller did. */
    /* ORD P1: what the caller did. */
    while (!atomic_cas_acq_rel(&e->word, &old, EVENT_SET)) {
        if ((old & (SYNC_LOCK | SYNC_WAITERS)) == 0) {
            continue;
        }
        struct wait_queue *q = sync_queue(&e->first);
        struct wait_chain woken = {NULL, NULL};
        struct wait_node *n;
        (void)sync_lock(&e->word);
        while ((n = weft__wait_queue_claim(q)) != NULL) {
            wait_chain_add(&woken, n);
        }
        sync_unlock(&e->word, EVENT_SET);
        if (woken.first != NULL && woken.first == woken.last) {
            weft__wait_queue_resume(woken.first); /* next, since the caller may well wait for it */
        } else {
            weft__wait_chain_resume(&woken);
        }
        return;
    }
}

void weft_event_clear(struct weft_event *e)
{
    uint64_t old = EVENT_SET;
    unsigned turns = 0;
    /* ORD P1: passes on what the setters did, though nobody will ask. */
    while (!atomic_cas_acq_rel(&e->word, &old, old & ~EVENT_SET)) {
        if ((old & SYNC_LOCK) != 0) {
            backoff_wait(&turns);
            old &= ~SYNC_LOCK;
        } else if ((old & EVENT_SET) == 0) {
            return;
        }
    }
}

bool weft_event_is_set(const struct weft_event *e)
{
    /* ORD P1: what the setters did. */
    return (atomic_load_acquire(&((struct weft_event *)(uintptr_t)e)->word) & EVENT_SET) != 0;
}

static WEFT_NOINLINE int event_wait_slow(struct weft_event *e, struct fiber *f)
{
    struct wait_queue *q = sync_queue(&e->first);
    struct wait_node n;
    f->wait_for = WAIT_FOR_EVENT;
    int err = weft__sync_wait_begin(&n, f, WAIT_CLAIMABLE, e);
    uint64_t old = sync_lock(&e->word);
    if ((old & EVENT_SET) != 0 || err < 0) {
        sync_unlock(&e->word, old);
        return (old & EVENT_SET) != 0 ? weft__sync_wait_retract(&n)
                                      : weft__sync_wait_refused(&n, err);
    }
    wait_queue_push(q, &n);
    sync_unlock(&e->word, SYNC_WAITERS);
    weft__park(f);
    if (f->outcome < 0) {
        err = f->outcome;
        old = sync_lock(&e->word);
        (void)wait_queue_remove(q, &n);
        sync_unlock(&e->word, (old & EVENT_SET) | sync_waiters(q));
    }
    return err;
}

int weft_event_wait(struct weft_event *e)
{
    struct fiber *f = weft__fiber_current();
    if (WEFT_UNLIKELY(f == NULL)) {
        return -EPERM;
    }
    return WEFT_LIKELY(weft_event_is_set(e)) ? 0 : event_wait_slow(e, f);
}
