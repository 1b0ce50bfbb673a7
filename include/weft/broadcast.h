/* SPDX-License-Identifier: MIT */
/*
 * Broadcasts: every element goes to every subscriber.
 *
 *     weft_broadcast *b = weft_broadcast_create(sizeof(struct tick), 64);
 *     weft_broadcast_send(b, &tick);                       never waits
 *
 *     struct weft_subscription s;                          in each task that wants them
 *     weft_broadcast_subscribe(b, &s);
 *     uint64_t missed;
 *     while (weft_broadcast_receive(&s, &tick, &missed) == 0) { ... }
 *
 * The broadcast keeps the last `capacity` elements. A subscriber that falls further behind loses
 * the oldest and is told how many; it holds up nobody. For the latest value alone there is watch.h.
 *
 * A subscription is a place in the sequence, and nothing in the broadcast: it may be copied, and is
 * dropped by forgetting it. Each is for one task at a time.
 *
 * What a task waits for is handed to it; a cancel that comes after that does not undo it. What can
 * be done at once is done, also in a cancelled task; where it would have to wait, it gets
 * -ECANCELED, or -ETIMEDOUT in a scope whose deadline has passed (scope.h).
 *
 * Destroying: a call has let go of the broadcast before those that it lets go on return.
 *
 * A broadcast may be NULL, as from a failed create: calls answer -ENOMEM.
 */
#ifndef WEFT_BROADCAST_H
#define WEFT_BROADCAST_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_broadcast weft_broadcast;

/* Where a subscriber is; filled in by weft_broadcast_subscribe. */
struct weft_subscription {
    weft_broadcast *broadcast;
    uint64_t next; /* the number of the element that it is to receive next */
};

/*
 * Make a broadcast.
 * Context: any thread     Blocks: nothing
 * element_bytes: the size of an element; elements are copied, in and out
 * capacity: how many elements are kept for those who are slow; at least 1
 * Returns the broadcast, which is the caller's to destroy, or NULL: no memory, or no capacity.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_broadcast *weft_broadcast_create(size_t element_bytes,
                                                                  size_t capacity);

/*
 * Send one element to all subscribers; there may be none.
 * Context: any thread     Blocks: nothing
 * Returns 0, or -EPIPE (closed), -ENOMEM for NULL; then nothing was sent.
 */
WEFT_PUBLIC int weft_broadcast_send(weft_broadcast *b, const void *element);

/*
 * Begin to receive: what is sent from now on.
 * Context: any thread     Blocks: nothing
 * Returns 0, -ENOMEM for NULL; then s makes receives fail the same way.
 */
WEFT_PUBLIC int weft_broadcast_subscribe(weft_broadcast *b, struct weft_subscription *s);

/*
 * Receive the next element, waiting for one.
 * Context: task     Blocks: task
 * element: where it is copied to; NULL: it is dropped; untouched unless 0 is returned
 * missed: how many elements came before this one, after the last one, and are lost; may be NULL;
 * untouched unless 0 is returned
 * Returns 0, or -EPIPE (closed, and nothing is left for this subscriber), -ECANCELED, -ETIMEDOUT,
 * -EPERM outside a task, -ENOMEM; after each of these the subscription is where it was.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_broadcast_receive(struct weft_subscription *s, void *element,
                                                       uint64_t *missed);

/*
 * Receive the next element if there is one.
 * Context: any thread     Blocks: nothing
 * Returns 0, or -EAGAIN (nothing new), -EPIPE, -ENOMEM, as weft_broadcast_receive.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_broadcast_try_receive(struct weft_subscription *s,
                                                           void *element, uint64_t *missed);

/*
 * Say that no more is sent. Subscribers get what is kept for them, then -EPIPE.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EALREADY when it was closed before, -ENOMEM for NULL.
 */
WEFT_PUBLIC int weft_broadcast_close(weft_broadcast *b);

/*
 * Free a broadcast. It need not be closed. Nobody may begin a call on it, or on a subscription to
 * it, any more.
 * Context: any thread     Blocks: nothing
 * Returns 0, also for NULL; -EBUSY when a task waits in a call on it, or has been cancelled there
 * and has not returned yet: then nothing happened.
 */
WEFT_PUBLIC int weft_broadcast_destroy(weft_broadcast *b);

WEFT_END_DECLS

#endif
