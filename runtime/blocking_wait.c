/* SPDX-License-Identifier: MIT */
/* Waiting for a future on a plain thread. */
#include <errno.h>
#include <limits.h>

#include <weft/runtime.h>
#include <weft/task.h>

#include "blocking.h"
#include "futex.h"
#include "runtime_object.h"
#include "simulation.h"

/*
 * Pairs
 *   P1  wake: is_over, release -> wait: is_over, acquire     nobody looks at the node any more
 */
struct thread_waiter {
    struct waiter node;
    weft_runtime *drives; /* the runtime, when it is simulated; else NULL */
    struct simulation_driver driver;
    _Atomic(uint32_t) is_over;
};

static void thread_waiter_end(struct thread_waiter *w)
{
    /* ORD P1: the last touch; the thread may go on and its stack with it. */
    atomic_store_release(&w->is_over, 1);
    weft__futex_wake(&w->is_over, INT_MAX);
}

static void thread_waiter_tell(struct simulation_driver *d)
{
    thread_waiter_end(WEFT_CONTAINER(d, struct thread_waiter, driver));
}

static void thread_waiter_wake(struct waiter *node, weft_future *f)
{
    (void)f;
    struct thread_waiter *w = WEFT_CONTAINER(node, struct thread_waiter, node);
    if (WEFT_UNLIKELY(w->drives != NULL)) {
        weft__simulation_tell(w->drives, &w->driver);
    } else {
        thread_waiter_end(w);
    }
}

/* The waiter was taken back: the runtime goes on no longer for it. */
static void thread_waiter_removed(struct thread_waiter *w)
{
    weft_runtime *rt = w->drives;
    if (rt != NULL && weft__runtime_enter(rt, RUNTIME_CLOSED) == 0) {
        weft__simulation_rest(rt);
        weft__runtime_exit(rt);
    }
}

/* Wait for the waiter that was added. False: the time is over and it has been removed. */
static bool thread_wait(weft_future *f, struct thread_waiter *w, int64_t for_ns)
{
    int64_t now = weft_now();
    int64_t until = for_ns >= WEFT_FOREVER - now ? WEFT_FOREVER : now + for_ns;
    /* ORD P1: the waker is through with the node. */
    while (atomic_load_acquire(&w->is_over) == 0) {
        now = weft_now();
        if (now >= until && weft__future_remove_waiter(f, &w->node)) {
            thread_waiter_removed(w);
            return false;
        }
        weft__futex_wait(&w->is_over, 0,
                         until == WEFT_FOREVER || now >= until ? WEFT_FOREVER : until - now);
    }
    return true;
}

int weft_future_wait_blocking(weft_future *f, int64_t for_ns, void **result)
{
    if (f == NULL) {
        return -ENOMEM;
    }
    if (weft__worker_current() != NULL) {
        return -EDEADLK;
    }
    if (!weft_done(f) && !weft__slab_is_ours(f)) {
        return -ESHUTDOWN;
    }
    if (!weft_done(f) && weft__blocking_holds(f->rt)) {
        return -EDEADLK;
    }
    struct thread_waiter w = {.node.wake = thread_waiter_wake,
                              .driver.tell = thread_waiter_tell};
    if (!weft_done(f) && weft__simulation_wait(f, &w.node, &w.drives) &&
        !thread_wait(f, &w, for_ns)) {
        return -ETIMEDOUT;
    }
    return weft_result(f, result);
}
