/* SPDX-License-Identifier: MIT */
/*
 * Queue: items from tasks to tasks, through a store (store.h), under a turnstile.
 *
 * Who waits, and may be served
 *     getters  only while the store is empty
 *     putters  only while it is full
 *     joiners  only while items are owed
 * which are kept so: a put goes to the first getter whose wait can be ended, past the store, which
 * is empty then, so that no order is hurt; a get takes the next item and puts the first putter's
 * into the place that has become free. After a shutdown nobody waits but joiners.
 *
 * An item is owed from when it was put, to a getter or into the store, until task_done; one that a
 * putter waits with is not. What an immediate shutdown drops is owed no more.
 *
 * Invariants, whenever the lock is free
 *     I1  owed >= store.count
 *     I2  store.count <= capacity, and room <= capacity
 *
 * The store grows without the lock: who finds it full lets go, allocates, and looks again. Memory
 * is freed when the lock was let go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"
#include "turnstile.h"
#include "turnstile_resume.h"
#include "worker.h"

struct weft_queue {
    struct turnstile gate; /* guards the rest */
    bool is_shut;
    size_t capacity; /* immutable; SIZE_MAX: none */
    uint64_t owed;
    struct wait_queue getters;
    struct wait_queue putters;
    struct wait_queue joiners;
    struct store store;
};

/* One wait of a get or put; on the waiter's stack. */
struct queue_waiter {
    struct wait_node node;
    void *item; /* to be put, or what was got */
    int64_t priority;
    int outcome; /* what the call returns; written by who claimed the node */
};

/* What a locked call leaves to be done without the lock. */
struct queue_after {
    struct wait_node *resume; /* a waiter that was claimed */
    void *slots;              /* to be freed */
};

/* Of queue_try_put: the store has to grow first. */
#define QUEUE_STORE_FULL (-ENOBUFS)

static struct queue_waiter *queue_waiter_of(struct wait_node *n)
{
    return WEFT_CONTAINER(n, struct queue_waiter, node);
}

weft_queue *weft_queue_create(enum weft_queue_kind kind, size_t capacity)
{
    if (kind != WEFT_FIFO && kind != WEFT_LIFO && kind != WEFT_PRIORITY) {
        return NULL;
    }
    struct weft_queue *q = calloc(1, sizeof *q);
    if (q == NULL) {
        return NULL;
    }
    q->capacity = capacity == 0 ? SIZE_MAX : capacity;
    size_t room = q->capacity < STORE_ROOM_MIN ? q->capacity : STORE_ROOM_MIN;
    q->store.kind = kind;
    void *slots = weft__store_allocate(kind, room);
    if (slots == NULL) {
        free(q);
        return NULL;
    }
    (void)weft__store_adopt(&q->store, slots, room);
    return q;
}

/* --- under the lock --------------------------------------------------------------------------- */

static int queue_try_put(struct weft_queue *q, void *item, int64_t priority,
                         struct queue_after *after)
{
    if (q->is_shut) {
        return -ESHUTDOWN;
    }
    struct wait_node *n = turnstile_claim(&q->gate, &q->getters);
    if (n != NULL) {
        queue_waiter_of(n)->item = item;
        queue_waiter_of(n)->outcome = 0;
        after->resume = n;
        q->owed++;
        return 0;
    }
    if (q->store.count == q->capacity) {
        return -EAGAIN;
    }
    if (q->store.count == q->store.room) {
        return QUEUE_STORE_FULL;
    }
    weft__store_push(&q->store, priority, item);
    q->owed++;
    return 0;
}

static int queue_try_get(struct weft_queue *q, void **item, struct queue_after *after)
{
    if (q->store.count == 0) {
        return q->is_shut ? -ESHUTDOWN : -EAGAIN;
    }
    *item = weft__store_pop(&q->store);
    struct wait_node *n = turnstile_claim(&q->gate, &q->putters);
    if (n != NULL) {
        struct queue_waiter *w = queue_waiter_of(n);
        weft__store_push(&q->store, w->priority, w->item);
        w->outcome = 0;
        after->resume = n;
        q->owed++;
    }
    after->slots = store_trim(&q->store);
    return 0;
}

/* Let the store grow; the lock is let go meanwhile. Returns 0 or -ENOMEM. */
static int queue_grow(struct weft_queue *q)
{
    size_t room = q->store.room > q->capacity / 2 ? q->capacity : 2 * q->store.room;
    room = room == 0 ? STORE_ROOM_MIN : room;
    turnstile_unlock(&q->gate);
    void *slots = weft__store_allocate(q->store.kind, room);
    turnstile_lock(&q->gate);
    if (slots == NULL) {
        return -ENOMEM;
    }
    if (q->store.room < room) { /* nobody else was as quick */
        slots = weft__store_adopt(&q->store, slots, room);
    }
    turnstile_unlock(&q->gate);
    free(slots);
    turnstile_lock(&q->gate);
    return 0;
}

/* Put, if that can be done at once; the store may grow for it. */
static int queue_put_growing(struct weft_queue *q, void *item, int64_t priority,
                             struct queue_after *after)
{
    int err;
    while ((err = queue_try_put(q, item, priority, after)) == QUEUE_STORE_FULL) {
        if (queue_grow(q) < 0) {
            return -ENOMEM;
        }
    }
    return err;
}

/* --- the calls -------------------------------------------------------------------------------- */

/* The lock has been let go. on: the worker, for one who is on a fiber; else NULL. */
static void queue_done(struct worker *on, const struct queue_after *after)
{
    if (on != NULL) {
        on = worker_spend(on);
    }
    if (after->resume != NULL) {
        turnstile_resume(on, after->resume);
    }
    if (WEFT_UNLIKELY(after->slots != NULL)) {
        free(after->slots);
    }
}

/* Wait as w says. Lets go of the lock. */
static int queue_wait(struct weft_queue *q, struct wait_queue *in, struct queue_waiter *w,
                      struct fiber *f)
{
    f->wait_for = in == &q->putters ? WAIT_FOR_ROOM : WAIT_FOR_ITEM;
    int err = weft__turnstile_wait(&q->gate, in, &w->node, f, q);
    return err < 0 ? err : w->outcome;
}

static int queue_put(struct weft_queue *q, void *item, int64_t priority)
{
    struct worker *on = weft__worker_current();
    struct fiber *f = worker_current_fiber(on);
    if (f == NULL || q == NULL) {
        return f == NULL ? -EPERM : -ENOMEM;
    }
    struct queue_after after = {NULL, NULL};
    turnstile_lock_by(&q->gate, on);
    int err = queue_put_growing(q, item, priority, &after);
    if (err == -EAGAIN) {
        struct queue_waiter w = {.item = item, .priority = priority};
        return queue_wait(q, &q->putters, &w, f);
    }
    turnstile_unlock(&q->gate);
    queue_done(on, &after);
    return err;
}

static int queue_put_now(struct weft_queue *q, void *item, int64_t priority)
{
    if (q == NULL) {
        return -ENOMEM;
    }
    struct queue_after after = {NULL, NULL};
    turnstile_lock(&q->gate);
    int err = queue_put_growing(q, item, priority, &after);
    turnstile_unlock(&q->gate);
    queue_done(NULL, &after);
    return err;
}

int weft_queue_put(weft_queue *q, void *item)
{
    return queue_put(q, item, 0);
}

int weft_queue_put_priority(weft_queue *q, void *item, int64_t priority)
{
    return q != NULL && q->store.kind != WEFT_PRIORITY ? -EINVAL : queue_put(q, item, priority);
}

int weft_queue_try_put(weft_queue *q, void *item)
{
    return queue_put_now(q, item, 0);
}

int weft_queue_try_put_priority(weft_queue *q, void *item, int64_t priority)
{
    return q != NULL && q->store.kind != WEFT_PRIORITY ? -EINVAL : queue_put_now(q, item, priority);
}

int weft_queue_get(weft_queue *q, void **item)
{
    struct worker *on = weft__worker_current();
    struct fiber *f = worker_current_fiber(on);
    if (f == NULL || q == NULL) {
        return f == NULL ? -EPERM : -ENOMEM;
    }
    struct queue_after after = {NULL, NULL};
    struct queue_waiter w = {.item = NULL};
    turnstile_lock_by(&q->gate, on);
    int err = queue_try_get(q, &w.item, &after);
    if (err == -EAGAIN) {
        err = queue_wait(q, &q->getters, &w, f);
    } else {
        turnstile_unlock(&q->gate);
        queue_done(on, &after);
    }
    if (err == 0 && item != NULL) {
        *item = w.item;
    }
    return err;
}

int weft_queue_try_get(weft_queue *q, void **item)
{
    if (q == NULL) {
        return -ENOMEM;
    }
    struct queue_after after = {NULL, NULL};
    void *got = NULL;
    turnstile_lock(&q->gate);
    int err = queue_try_get(q, &got, &after);
    turnstile_unlock(&q->gate);
    queue_done(NULL, &after);
    if (err == 0 && item != NULL) {
        *item = got;
    }
    return err;
}

/* So many items are owed no more. Returns the joiners that this lets go on. */
static struct wait_node *queue_finish(struct weft_queue *q, uint64_t count)
{
    WEFT_ASSERT(q->owed >= count);
    q->owed -= count;
    return q->owed == 0 ? weft__turnstile_claim_all(&q->gate, &q->joiners) : NULL;
}

int weft_queue_task_done(weft_queue *q)
{
    if (q == NULL) {
        return -ENOMEM;
    }
    turnstile_lock(&q->gate);
    bool is_owed = q->owed > 0;
    struct wait_node *joiners = is_owed ? queue_finish(q, 1) : NULL;
    turnstile_unlock(&q->gate);
    weft__turnstile_resume_all(joiners);
    return is_owed ? 0 : -EOVERFLOW;
}

int weft_queue_join(weft_queue *q)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL || q == NULL) {
        return f == NULL ? -EPERM : -ENOMEM;
    }
    turnstile_lock(&q->gate);
    if (q->owed != 0) {
        struct wait_node n = {.next = NULL};
        f->wait_for = WAIT_FOR_JOIN;
        return weft__turnstile_wait(&q->gate, &q->joiners, &n, f, q);
    }
    turnstile_unlock(&q->gate);
    weft__spend();
    return 0;
}

size_t weft_queue_size(const weft_queue *q)
{
    if (q == NULL) {
        return 0;
    }
    struct weft_queue *mine = (struct weft_queue *)(uintptr_t)q;
    turnstile_lock(&mine->gate);
    size_t count = mine->store.count;
    turnstile_unlock(&mine->gate);
    return count;
}

/* End all waits in a queue of waiters. Returns them, to be resumed. */
static struct wait_node *queue_refuse(struct weft_queue *q, struct wait_queue *in)
{
    struct wait_node *chain = weft__turnstile_claim_all(&q->gate, in);
    for (struct wait_node *n = chain; n != NULL; n = n->next) {
        queue_waiter_of(n)->outcome = -ESHUTDOWN;
    }
    return chain;
}

int weft_queue_shutdown(weft_queue *q, bool immediate)
{
    if (q == NULL) {
        return -ENOMEM;
    }
    void *slots = NULL;
    struct wait_node *joiners = NULL;
    turnstile_lock(&q->gate);
    q->is_shut = true;
    struct wait_node *getters = queue_refuse(q, &q->getters);
    struct wait_node *putters = queue_refuse(q, &q->putters);
    if (immediate) {
        joiners = queue_finish(q, q->store.count);
        slots = weft__store_clear(&q->store);
    }
    turnstile_unlock(&q->gate);
    weft__turnstile_resume_all(getters);
    weft__turnstile_resume_all(putters);
    weft__turnstile_resume_all(joiners);
    free(slots);
    return 0;
}

int weft_queue_destroy(weft_queue *q)
{
    if (q == NULL) {
        return 0;
    }
    turnstile_lock(&q->gate);
    bool is_busy = q->gate.waiting != 0;
    turnstile_unlock(&q->gate);
    if (is_busy) {
        return -EBUSY;
    }
    free(q->store.slots.items);
    free(q);
    return 0;
}
