/* SPDX-License-Identifier: MIT */
/*
 * What the queues carry: a task, or a callback. The queues look at `next` alone, and only a queue
 * that holds the item does.
 */
#ifndef WEFT_RUNNABLE_H
#define WEFT_RUNNABLE_H

#include <stdint.h>

#include "atomic.h"

enum runnable_kind {
    RUNNABLE_TASK,     /* the start of a struct weft_future */
    RUNNABLE_CALLBACK, /* the start of a struct callback */
};

#define RUNNABLE_ANYWHERE UINT16_MAX

struct runnable {
    struct runnable *next; /* owned by the queue it is in */
    uint8_t kind;          /* enum runnable_kind; immutable */
    uint8_t stack_class;   /* of a task; immutable */
    uint16_t pinned_to;    /* the only worker that may run it, or RUNNABLE_ANYWHERE; immutable */
    _Atomic(uint32_t) index; /* its place in the deque it was last in; see deque.h */
};

/* A function that runs on a worker's own stack; embedded in what it belongs to. */
struct callback {
    struct runnable run;
    void (*invoke)(struct callback *self); /* may free what it is embedded in */
};

#endif
