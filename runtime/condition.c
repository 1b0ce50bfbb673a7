/* SPDX-License-Identifier: MIT */
/*
 * Condition.
 *
 * The word has nothing but LOCK and WAITERS (sync_word.h). A waiter queues itself, and unlocks the
 * mutex only then, so that no notify by one who has the mutex falls between. Whoever is claimed by
 * a notify has had it: it locks the mutex, by a wait that no cancel ends, and returns 0, also when
 * it is cancelled meanwhile. One that was cancelled before is passed over, and the next is claimed.
 * So no notify is lost.
 *
 * Who notifies has to have the mutex of those who wait. It is kept beside the queue, and looked at
 * only while somebody is in there, so it exists.
 *
 * Invariants
 *   I1  mutex: under LOCK; meant while the queue is not empty
 *
 * Tested: tests/unit/test_rt_condition.c, tests/stress/stress_sync.c.
 */
#include <errno.h>

#include "mutex.h"
#include "runtime_object.h"

/* In the queue, and the mutex unlocked; until notified, or err < 0. */
static int cond_wait_queued(struct weft_cond *c, struct weft_mutex *m, struct wait_node *n)
{
    struct fiber *f = n->fiber;
    (void)weft_mutex_unlock(m);
    weft__park(f);
    int err = f->outcome;
    if (err < 0) {
        struct wait_queue *q = sync_queue(&c->first);
        (void)sync_lock(&c->word);
        (void)wait_queue_remove(q, n);
        sync_unlock(&c->word, sync_waiters(q));
    }
    int locked = weft_mutex_lock_shielded(m);
    WEFT_ASSERT(locked == 0); /* it is not ours, we are a task, and no cancel ends the wait */
    return err;
}

int weft_cond_wait(struct weft_cond *c, struct weft_mutex *m)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL || !mutex_is_owned(m, f->top)) {
        return -EPERM;
    }
    struct wait_node n;
    f->wait_for = WAIT_FOR_CONDITION;
    int err = weft__sync_wait_begin(&n, f, WAIT_CLAIMABLE, c);
    if (err < 0) {
        return weft__sync_wait_refused(&n, err);
    }
    uint64_t old = sync_lock(&c->word);
    if ((old & SYNC_WAITERS) != 0 && c->mutex != m) {
        sync_unlock(&c->word, old);
        (void)weft__sync_wait_retract(&n);
        return -EINVAL;
    }
    c->mutex = m;
    wait_queue_push(sync_queue(&c->first), &n);
    sync_unlock(&c->word, SYNC_WAITERS);
    return cond_wait_queued(c, m, &n);
}

int weft_cond_wait_for(struct weft_cond *c, struct weft_mutex *m, bool (*predicate)(void *),
                       void *arg)
{
    while (!predicate(arg)) {
        int err = weft_cond_wait(c, m);
        if (err == -EPERM || err == -EINVAL) {
            return err;
        }
        if (err < 0) {
            return predicate(arg) ? 0 : err;
        }
    }
    return 0;
}

int weft_cond_notify(struct weft_cond *c, size_t n)
{
    struct wait_queue *q = sync_queue(&c->first);
    struct fiber *f = weft__fiber_current();
    struct wait_chain woken = {NULL, NULL};
    /* ORD none: who has the mutex sees all that those did who had it before; who has not is wrong
     * here, and is told so if it is seen. */
    if (atomic_load_relaxed(&c->word) == 0) {
        return 0;
    }
    uint64_t old = sync_lock(&c->word);
    if ((old & SYNC_WAITERS) != 0 && (f == NULL || !mutex_is_owned(c->mutex, f->top))) {
        sync_unlock(&c->word, old);
        return -EPERM;
    }
    for (size_t i = 0; i < n; i++) {
        struct wait_node *node = weft__wait_queue_claim(q);
        if (node == NULL) {
            break;
        }
        wait_chain_add(&woken, node);
    }
    sync_unlock(&c->word, sync_waiters(q));
    weft__wait_chain_resume(&woken);
    return 0;
}

int weft_cond_notify_all(struct weft_cond *c)
{
    return weft_cond_notify(c, SIZE_MAX);
}
