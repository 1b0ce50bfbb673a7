/* SPDX-License-Identifier: MIT */
/*
 * Channels: elements of one size, handed from tasks to tasks.
 *
 *     weft_channel *c = weft_channel_create(sizeof(struct order), 16);
 *     struct order o = {...};
 *     int err = weft_channel_send(c, &o);          waits while the channel is full
 *     err = weft_channel_receive(c, &o);           waits while it is empty
 *
 * Elements are copied, in and out; they come out in the order in which they went in. A channel
 * without room (capacity 0) is a meeting: a send waits until somebody receives.
 *
 * Any number of tasks, of any runtimes, may send and receive; those who wait are served first come,
 * first served, and what a waiter waits for is handed to it: nobody who comes later can take it,
 * and a cancel that comes after that does not undo it. What can be done at once is done, also in a
 * cancelled task; where it would have to wait, it gets -ECANCELED, or -ETIMEDOUT in a scope whose
 * deadline has passed (scope.h).
 *
 * Destroying: a call has let go of the channel before those that it lets go on return. So a task
 * that was handed the last element, or learned that the channel is closed, may destroy it.
 *
 * A channel may be NULL, as from a failed create: calls answer -ENOMEM.
 */
#ifndef WEFT_CHANNEL_H
#define WEFT_CHANNEL_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_channel weft_channel;

/*
 * Make a channel.
 * Context: any thread     Blocks: nothing
 * element_bytes: the size of an element; 0 is a channel of mere signals
 * capacity: how many elements it holds that nobody has received yet; 0: none
 * Returns the channel, which is the caller's to destroy, or NULL: no memory.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_channel *weft_channel_create(size_t element_bytes,
                                                              size_t capacity);

/*
 * Send one element, waiting for room, or without room for a receiver.
 * Context: task     Blocks: task
 * element: copied before the call returns; may be NULL when elements have no bytes
 * Returns 0, or -EPIPE (closed, maybe while it waited), -ECANCELED, -ETIMEDOUT, -EPERM outside a
 * task, -ENOMEM for NULL; after each of these nothing was sent.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_channel_send(weft_channel *c, const void *element);

/*
 * Receive one element, waiting for one.
 * Context: task     Blocks: task
 * element: where it is copied to; NULL: it is dropped; untouched unless 0 is returned
 * Returns 0, or -EPIPE (closed, and all that was sent has been received), -ECANCELED, -ETIMEDOUT,
 * -EPERM outside a task, -ENOMEM for NULL; after each of these nothing was received.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_channel_receive(weft_channel *c, void *element);

/*
 * Send if that can be done at once: there is room, or a task waits to receive.
 * Context: any thread     Blocks: nothing
 * Returns 0, or -EAGAIN (full), -EPIPE (closed), -ENOMEM for NULL; then nothing was sent.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_channel_try_send(weft_channel *c, const void *element);

/*
 * Receive if that can be done at once: there is an element, or a task waits to send one.
 * Context: any thread     Blocks: nothing
 * Returns 0, or -EAGAIN (empty), -EPIPE (closed and empty), -ENOMEM for NULL; then nothing was
 * received.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_channel_try_receive(weft_channel *c, void *element);

/*
 * Say that no more is sent. Receivers get what the channel holds, then -EPIPE; so do, at once,
 * those who send, and those who wait to: what they wanted to send is not.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EALREADY when it was closed before, -ENOMEM for NULL.
 */
WEFT_PUBLIC int weft_channel_close(weft_channel *c);

/*
 * How many elements the channel holds: those of senders that wait are not among them. 0 for NULL.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC size_t weft_channel_size(const weft_channel *c);

/*
 * Free a channel; elements that it holds are dropped. It need not be closed. Nobody may begin a
 * call on it any more.
 * Context: any thread     Blocks: nothing
 * Returns 0, also for NULL; -EBUSY when a task waits in a call on it, or has been cancelled there
 * and has not returned yet: then nothing happened.
 */
WEFT_PUBLIC int weft_channel_destroy(weft_channel *c);

enum weft_select_kind {
    WEFT_SELECT_SEND = 1, /* of `element` */
    WEFT_SELECT_RECEIVE,  /* to `element` */
    WEFT_SELECT_DEFAULT,  /* when none of the others can be done at once */
};

/* One of the things that a weft_select is to do. */
struct weft_select_case {
    enum weft_select_kind kind;
    weft_channel *channel; /* NULL: a case that is never ready */
    void *element;         /* what weft_channel_send and _receive take */
    int error;             /* set in the case that was done: 0, or -EPIPE for a closed channel */
    void *reserved[8];     /* used while the call runs; need not be set */
};

/*
 * Do one of several sends and receives: one that can be done at once, by chance when there are
 * several, or else WEFT_SELECT_DEFAULT when it is among the cases, or else wait for the first that
 * can be. Exactly one is done. The same channel may be in several cases, in both directions. That
 * a channel is closed counts as something that can be done: its case is returned with -EPIPE.
 * Context: task; any thread with WEFT_SELECT_DEFAULT     Blocks: task, not with WEFT_SELECT_DEFAULT
 * cases: the caller's; not to be used by others meanwhile
 * Returns the index of the case that was done, or -ECANCELED, -ETIMEDOUT, -EPERM outside a task,
 * -EINVAL (a kind that is none, NULL); after each of these nothing was sent or received.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_select(struct weft_select_case *cases, size_t n);

WEFT_END_DECLS

#endif
