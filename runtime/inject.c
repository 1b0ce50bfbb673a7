/* SPDX-License-Identifier: MIT */
/* The global queue; see inject.h. */
#include "inject.h"

#include "check.h"

void weft__inject_init(struct inject *q)
{
    atomic_store_relaxed(&q->length, 0); /* ORD none: not shared yet */
    q->head = NULL;
    q->tail = NULL;
    /* With default attributes there is nothing that could fail. */
    int rc = pthread_mutex_init(&q->lock, NULL);
    WEFT_ASSERT(rc == 0);
}

void weft__inject_fini(struct inject *q)
{
    WEFT_ASSERT(q->head == NULL);
    int rc = pthread_mutex_destroy(&q->lock);
    WEFT_ASSERT(rc == 0);
}

void weft__inject_push(struct inject *q, struct runnable *first, struct runnable *last,
                       size_t count)
{
    WEFT_ASSERT(count > 0);
    last->next = NULL;

    pthread_mutex_lock(&q->lock);
    size_t length = atomic_load_relaxed(&q->length); /* ORD none: written under this lock */
    WEFT_ASSERT((length == 0) == (q->head == NULL));
    if (q->head == NULL) {
        q->head = first;
    } else {
        q->tail->next = first;
    }
    q->tail = last;
    /* ORD P1: stands before the pusher's look at "idle" in the total order. */
    atomic_store_seq_cst(&q->length, length + count);
    pthread_mutex_unlock(&q->lock);
}

/* Cut the first `count` of the queue's runnables off. The lock is held; the queue has that many. */
static struct runnable *cut_front(struct inject *q, size_t count)
{
    struct runnable *first = q->head;
    struct runnable *last = first;
    for (size_t i = 1; i < count; i++) {
        last = last->next;
    }
    q->head = last->next;
    last->next = NULL;
    return first;
}

struct runnable *weft__inject_take(struct inject *q, size_t count_max, size_t *count)
{
    *count = 0;
    if (count_max == 0 || inject_length_hint(q) == 0) {
        return NULL;
    }

    struct runnable *first = NULL;
    pthread_mutex_lock(&q->lock);
    size_t length = atomic_load_relaxed(&q->length); /* ORD none: written under this lock */
    size_t taken = length < count_max ? length : count_max;
    if (taken == length) {
        /* All of it: no need to walk the chain, whose last link is NULL already (I1). */
        first = q->head;
        q->head = NULL;
    } else {
        first = cut_front(q, taken);
    }
    /* ORD none: a looker that still sees more looks in vain, or takes the lock and sees. */
    atomic_store_relaxed(&q->length, length - taken);
    pthread_mutex_unlock(&q->lock);

    *count = taken;
    return first;
}
