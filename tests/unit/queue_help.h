/* SPDX-License-Identifier: MIT */
/* For tests of queues: tasks that make one call and note what came of it. */
#ifndef WEFT_QUEUE_HELP_H
#define WEFT_QUEUE_HELP_H

#include "task_help.h"

/* A task that makes one call and notes what came of it. */
struct call {
    weft_queue *queue;
    uintptr_t item;
    shared_int err; /* 1: not yet */
    weft_task *task;
};

static inline int put(weft_queue *q, uintptr_t item)
{
    return weft_queue_put(q, (void *)item);
}

static inline int try_put(weft_queue *q, uintptr_t item)
{
    return weft_queue_try_put(q, (void *)item);
}

/* The next item of q; 0 when there is none. */
static inline uintptr_t try_get(weft_queue *q)
{
    void *item = NULL;
    int err = weft_queue_try_get(q, &item);
    CHECK(err == 0 || (err == -EAGAIN && item == NULL));
    return (uintptr_t)item;
}

static inline void *put_one(void *arg)
{
    struct call *c = arg;
    atomic_store_seq_cst(&c->err, put(c->queue, c->item));
    return NULL;
}

static inline void *get_one(void *arg)
{
    struct call *c = arg;
    void *item = (void *)c->item;
    int err = weft_queue_get(c->queue, &item);
    c->item = (uintptr_t)item;
    atomic_store_seq_cst(&c->err, err);
    return NULL;
}

static inline void *join_once(void *arg)
{
    struct call *c = arg;
    atomic_store_seq_cst(&c->err, weft_queue_join(c->queue));
    return NULL;
}

static inline void begin(struct call *c, weft_queue *q, weft_fn fn, uintptr_t item)
{
    c->queue = q;
    c->item = item;
    atomic_store_seq_cst(&c->err, 1);
    c->task = weft_spawn(fn, c);
    CHECK(c->task != NULL);
}

static inline bool is_waiting(struct call *c)
{
    return atomic_load_seq_cst(&c->err) == 1;
}

static inline int end(struct call *c)
{
    CHECK_EQUAL(weft_join(c->task, NULL), 0);
    return atomic_load_seq_cst(&c->err);
}

/* On one worker: let all others run until they wait. */
static inline void let_run(void)
{
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

static inline weft_queue *create(enum weft_queue_kind kind, size_t capacity)
{
    weft_queue *q = weft_queue_create(kind, capacity);
    CHECK(q != NULL);
    return q;
}

static inline void destroy(weft_queue *q)
{
    CHECK_EQUAL(weft_queue_destroy(q), 0);
}

#endif
