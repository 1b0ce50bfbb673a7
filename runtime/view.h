/* SPDX-License-Identifier: MIT */
/*
 * View: what one task is doing, seen from any thread, while it goes on.
 *
 * A task that waits is held (fiber.h), as a canceller does it: nobody resumes it meanwhile, so what
 * its wait is and all of its stack stand still, once it has left that. Under the hold nothing is
 * locked (an ender, with a lock, may wait for the hold to pass) and nothing printed; what is wanted
 * is copied, with references. A waker leaves a note; one that claims waits, for a few microseconds.
 *
 * A task that is not held has a state that may be over when it is told.
 */
#ifndef WEFT_VIEW_H
#define WEFT_VIEW_H

#include "fiber.h"

enum view_state {
    VIEW_ENDED,
    VIEW_HELD_BACK, /* spawned `held` */
    VIEW_NEW,       /* has not started */
    VIEW_READY,
    VIEW_RUNNING,   /* or one nested on it is */
    VIEW_WAITING,
    VIEW_UNDER,     /* awaits one that is nested on it, which waits */
};

struct task_view {
    enum view_state state;
    uint32_t asked;        /* requests to end that are not acknowledged */
    enum wait_for what;    /* VIEW_WAITING */
    const void *object;    /* what it waits for, to be named only */
    weft_future *awaited;  /* a reference, or NULL */
    weft_task *under;      /* a reference: who awaits it on its own stack; NULL: nobody known */
    const weft_task *lock_holder; /* only to be compared; NULL: none, or not known */
    size_t count;          /* of futures that are awaited together */
    size_t pending;        /* of them */
    int fd;                /* -1: none */
    int64_t wake_ns;       /* 0: never */
    void **frames;         /* the viewer's: room for */
    size_t room;           /*   so many */
    size_t depth;          /* and so many are there */
};

/*
 * Look at a task. frames and room are the caller's; the rest is filled in.
 * Context: any thread, holding a reference.
 */
void weft__view(weft_task *t, struct task_view *v);

/* Give the references back. */
void weft__view_end(struct task_view *v);

/* weft_describe by a view. lock_holder: who v->lock_holder is, if that is known. */
int weft__view_format(weft_task *t, const struct task_view *v, weft_task *lock_holder, char *buf,
                      size_t bytes);

/* A task's name, and the default one behind it if it has another: "loader (Task-7)". Returns the
 * length of the whole. */
int weft__view_name(weft_task *t, char *buf, size_t bytes);

/* The task that waits by a node of a future, whose lock the caller has; NULL: no task. It is in the
 * call as long as the lock is held. Context: any thread, also a signal handler's. */
weft_task *weft__waiter_task(const struct waiter *node);

/*
 * The return addresses of a suspended fiber, from the public call that waits; returns how many.
 * Context: holding the fiber, which has left its stack.
 */
size_t weft__backtrace(const struct fiber *f, void **frames, size_t room);

#endif
