/* SPDX-License-Identifier: MIT */
/*
 * Queues: pointers handed from tasks to tasks, in the order of arrival, the reverse, or by
 * priority, with a count of those that are not finished.
 *
 *     weft_queue *q = weft_queue_create(WEFT_FIFO, 100);
 *     int err = weft_queue_put(q, job);            waits while the queue is full
 *
 *     void *job;                                   in each of several workers:
 *     while (weft_queue_get(q, &job) == 0) {       waits while it is empty
 *         run(job);
 *         (void)weft_queue_task_done(q);
 *     }
 *
 *     err = weft_queue_join(q);                    until all that was put is done
 *     weft_queue_shutdown(q, false);               the workers' gets end with -ESHUTDOWN
 *
 * Any number of tasks, of any runtimes, may put and get; those who wait are served first come,
 * first served, and what a waiter waits for is handed to it: nobody who comes later can take it,
 * and a cancel that comes after that does not undo it. What can be done at once is done, also in a
 * cancelled task; where it would have to wait, it gets -ECANCELED, or -ETIMEDOUT in a scope whose
 * deadline has passed (scope.h).
 *
 * Items are the program's; the queue never looks at them, and forgets those that it holds when it
 * is destroyed or shut down immediately.
 *
 * Destroying: a call has let go of the queue before those that it lets go on return. So a task that
 * was handed the last item, or was told that the queue is shut down, may destroy it.
 *
 * A queue may be NULL, as from a failed create: calls answer -ENOMEM.
 */
#ifndef WEFT_QUEUE_H
#define WEFT_QUEUE_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_queue weft_queue;

/* Which item is next. */
enum weft_queue_kind {
    WEFT_FIFO,     /* the oldest */
    WEFT_LIFO,     /* the newest */
    WEFT_PRIORITY, /* the one with the lowest number; the oldest of those with the same */
};

/*
 * Make a queue.
 * Context: any thread     Blocks: nothing
 * capacity: how many items it holds at most; 0: any number, a put never waits
 * Returns the queue, which is the caller's to destroy, or NULL: no memory, or a kind that is none.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_queue *weft_queue_create(enum weft_queue_kind kind,
                                                          size_t capacity);

/*
 * Put an item, waiting for room. In a WEFT_PRIORITY queue its number is 0.
 * Context: task     Blocks: task
 * Returns 0, or -ESHUTDOWN (maybe while it waited), -ECANCELED, -ETIMEDOUT, -EPERM outside a task,
 * -ENOMEM; after each of these nothing was put.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_queue_put(weft_queue *q, void *item);

/*
 * The same with a number: the lowest is next.
 * Context: task     Blocks: task
 * Returns as weft_queue_put, and -EINVAL when q is no WEFT_PRIORITY queue.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_queue_put_priority(weft_queue *q, void *item,
                                                        int64_t priority);

/*
 * Get the next item, waiting for one.
 * Context: task     Blocks: task
 * item: where it goes; may be NULL; untouched unless 0 is returned
 * Returns 0, or -ESHUTDOWN (and nothing is left), -ECANCELED, -ETIMEDOUT, -EPERM outside a task,
 * -ENOMEM for NULL; after each of these nothing was taken.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_queue_get(weft_queue *q, void **item);

/*
 * Put an item if there is room, or a task that waits for one.
 * Context: any thread     Blocks: nothing
 * Returns 0, or -EAGAIN (full), -ESHUTDOWN, -ENOMEM; then nothing was put.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_queue_try_put(weft_queue *q, void *item);

/*
 * The same with a number.
 * Context: any thread     Blocks: nothing
 * Returns as weft_queue_try_put, and -EINVAL when q is no WEFT_PRIORITY queue.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_queue_try_put_priority(weft_queue *q, void *item,
                                                            int64_t priority);

/*
 * Get the next item if there is one.
 * Context: any thread     Blocks: nothing
 * item: as for weft_queue_get
 * Returns 0, or -EAGAIN (empty), -ESHUTDOWN (and empty), -ENOMEM for NULL; then nothing was taken.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_queue_try_get(weft_queue *q, void **item);

/*
 * Say that an item that was put is finished; once for each.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EOVERFLOW when as many were finished as were put (then nothing changes), -ENOMEM for
 * NULL.
 */
WEFT_PUBLIC int weft_queue_task_done(weft_queue *q);

/*
 * Wait until each item that was put is finished; at once when none is owed.
 * Context: task     Blocks: task
 * Returns 0, or -ECANCELED, -ETIMEDOUT, -EPERM outside a task, -ENOMEM for NULL.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_queue_join(weft_queue *q);

/*
 * How many items the queue holds: those of puts that wait are not among them. 0 for NULL.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC size_t weft_queue_size(const weft_queue *q);

/*
 * Let nothing be put any more: puts fail with -ESHUTDOWN, also those that wait, and gets once the
 * queue is empty. A join still waits for what is owed.
 * Context: any thread     Blocks: nothing
 * immediate: the items that the queue holds are dropped, and count as finished; those that were
 * handed out are still owed. To keep them, shut down first, then get them, and shut down again.
 * Returns 0, also when it was shut down before; -ENOMEM for NULL.
 */
WEFT_PUBLIC int weft_queue_shutdown(weft_queue *q, bool immediate);

/*
 * Free a queue; items that it holds are dropped. It need not be shut down. Nobody may begin a call
 * on it any more.
 * Context: any thread     Blocks: nothing
 * Returns 0, also for NULL; -EBUSY when a task waits in a call on it, or has been cancelled there
 * and has not returned yet: then nothing happened.
 */
WEFT_PUBLIC int weft_queue_destroy(weft_queue *q);

WEFT_END_DECLS

#endif
