/* SPDX-License-Identifier: MIT */
/*
 * Wait queue: the tasks that wait for an object, first come, first served. Mutexes, events,
 * queues, channels: all that tasks wait for between themselves has one, or several, in it.
 *
 * The object guards it by a lock of its own, held for a few instructions (never across a wait, a
 * wake or a call of the program's).
 *
 *     who waits                                        who wakes
 *       ticket = weft__wait_begin(f, CLAIMABLE, o)       lock
 *       interrupted? abort, return its error             n = weft__wait_queue_claim(q)
 *       lock                                             give n what it waits for
 *       satisfied meanwhile? unlock, abort, go on        unlock: the last touch of the object
 *       wait_queue_push(q, n)                            if (n != NULL) weft__wait_queue_resume(n)
 *       unlock
 *       weft__park(f)
 *       f->outcome < 0? lock, wait_queue_remove, unlock
 *
 * To claim is to end a wait without making the fiber ready. So what a waiter waits for is given to
 * it, or to nobody: one that was cancelled or timed out is passed over, and the next gets it; one
 * that was claimed has it, whatever is asked of the task later. And the waiter cannot go on before
 * the object is unlocked, after which the waker does not touch it: the waiter may free it.
 *
 * A node lives on its waiter's stack. One that was passed over is out of the queue, which its owner
 * finds under the lock. One that was claimed stays put until weft__wait_queue_resume.
 *
 * Tested: with the objects that use it; the claim itself in tests/model/model_wait.c.
 */
#ifndef WEFT_WAIT_QUEUE_H
#define WEFT_WAIT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fiber;

struct wait_node {
    struct wait_node *next; /* circular; NULL: in no queue */
    struct wait_node *prev;
    struct fiber *fiber;
    uint64_t ticket;
};

/* Zeroed memory is an empty one. */
struct wait_queue {
    struct wait_node *first;
};

static inline bool wait_queue_is_empty(const struct wait_queue *q)
{
    return q->first == NULL;
}

/* Behind all others. Caller holds the lock. */
static inline void wait_queue_push(struct wait_queue *q, struct wait_node *n)
{
    if (q->first == NULL) {
        n->next = n;
        n->prev = n;
        q->first = n;
    } else {
        n->next = q->first;
        n->prev = q->first->prev;
        n->prev->next = n;
        n->next->prev = n;
    }
}

/* Before all others: one that had its turn and could not use it. Caller holds the lock. */
static inline void wait_queue_push_first(struct wait_queue *q, struct wait_node *n)
{
    wait_queue_push(q, n);
    q->first = n;
}

/* Take a node out. False: it was not in the queue. Caller holds the lock. */
static inline bool wait_queue_remove(struct wait_queue *q, struct wait_node *n)
{
    if (n->next == NULL) {
        return false;
    }
    if (n->next == n) {
        q->first = NULL;
    } else {
        n->next->prev = n->prev;
        n->prev->next = n->next;
        q->first = q->first == n ? n->next : q->first;
    }
    n->next = NULL;
    return true;
}

/* Take the node out and end its wait. False: it is out, and its wait has been ended by another.
 * Caller holds the lock, and owes a weft__wait_queue_resume after it. */
bool weft__wait_queue_take(struct wait_queue *q, struct wait_node *n);

/* The same with the first whose wait can be ended; NULL when there is none. */
struct wait_node *weft__wait_queue_claim(struct wait_queue *q);

/* Let one that was claimed go on. It may be gone when this returns. Caller has let go of the
 * object's lock. Context: any thread. */
void weft__wait_queue_resume(struct wait_node *n);

#endif
