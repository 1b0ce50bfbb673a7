/* SPDX-License-Identifier: MIT */
/*
 * Resident: what lives in a runtime and is no task: a connection that calls back. Closing the
 * runtime ends it as it cancels tasks, and waits for it.
 *
 * Enter looks at the phase, and close walks the list, under one lock: so a resident is refused or
 * found. It leaves in a callback, at the end of which the closer looks again.
 *
 * Pairs
 *   P1  leave: residents.count, release  -> live (close.c): residents.count, acquire, before what
 *       was begun and after what has ended: what it has queued is counted, and what has made it
 */
#ifndef WEFT_RESIDENT_H
#define WEFT_RESIDENT_H

#include <pthread.h>
#include <stdbool.h>

#include <weft/base.h>

#include "atomic.h"
#include "list.h"

struct resident {
    struct list link; /* the lock's */
    /* The runtime closes: end soon. May come again. Context: any thread, with the lock held. */
    void (*end)(struct resident *self);
};

/* A runtime's. */
struct residents {
    pthread_mutex_t lock;
    struct list list;        /* lock */
    _Atomic(uint64_t) count; /* written under the lock */
};

void weft__residents_init(struct residents *all);
void weft__residents_fini(struct residents *all);

/* Have all of them end. Context: who closes, after the phase was changed. */
void weft__residents_end(struct residents *all);

/* Whether one of rt has this end, and is what `is` looks for. Context: any thread, rt is there. */
bool weft__residents_have(weft_runtime *rt, void (*end)(struct resident *self),
                          bool (*is)(struct resident *r, void *arg), void *arg);

/* Begin to live in rt, `end` being set. 0, or -ESHUTDOWN: it is being closed. Context: a worker of
 * rt. */
int weft__resident_enter(weft_runtime *rt, struct resident *r);

/* Be no more; `end` is not called, nor running, after this. Context: a callback on rt. */
void weft__resident_leave(weft_runtime *rt, struct resident *r);

#endif
