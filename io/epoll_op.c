/* SPDX-License-Identifier: MIT */
/*
 * Ops of the epoll poller: attempted, kept until they can go on, and ended.
 *
 * An operation is attempted when it begins (attempt.h); what cannot be had at once waits for an
 * edge of its descriptor (interest.h) and is attempted again. What has no readiness (a full queue
 * of a Unix listener) is attempted again after a while. What may hold up who makes it goes to
 * threads.
 *
 *   begun -- had at once --> complete, inside `start`
 *     |
 *     '-- waits for an edge | for a time --(attempt)--> complete
 *                      '------(cancel)------> ended: completes in the next `wait`, as a canceller
 *                                             may be walking over the wait it belongs to
 */
#include <errno.h>
#include <poll.h>

#include "attempt.h"
#include "epoll_poller.h"

/* How long to leave what readiness does not tell of. */
#define LATER_NS (1 * WEFT_MS)

/* op->attempt, beside what attempt.h has there. */
#define IS_SOON 0x100   /* a poll without a wait: it is in `soon` */
#define IS_ENDING 0x200 /* it is in `ended` */

static void epoll_complete(struct epoll_poller *e, struct op *op, int result)
{
    epoll_count(&e->completed);
    if (op->wait != NULL) {
        result = weft__attempt_end(op, result);
        if (result >= 0 && op->request->code == OP_ACCEPT) {
            weft__registration_fresh(e->shared->registrations, result);
        }
    }
    weft__op_complete((struct poller *)(void *)e, op, result);
}

static bool is_stream(struct interest *in)
{
    if (in->kind == KIND_UNKNOWN) {
        in->kind = weft__attempt_is_stream(in->fd) ? KIND_STREAM : KIND_OTHER;
    }
    return in->kind == KIND_STREAM;
}

/* A call has come back with nothing, or less than it might have: has it taken all there was? */
static void note_result(struct interest *in, const struct op_request *r, enum attempt outcome,
                        int result)
{
    if (in->has_ended || r->code == OP_POLL || r->code == OP_CONNECT || attempt_is_special(r)) {
        return;
    }
    bool is_plain = r->code == OP_RECV || r->code == OP_SEND || r->code == OP_READ ||
                    r->code == OP_WRITE;
    bool is_short = outcome == ATTEMPT_DONE && is_plain && result > 0 &&
                    (uint32_t)result < r->length;
    if (outcome == ATTEMPT_WAIT || (is_short && is_stream(in))) {
        in->drained |= attempt_events(r);
    }
}

/* The op has to wait for an edge. 0, or -errno: it cannot. */
static int epoll_await_edge(struct epoll_poller *e, struct interest *in, struct op *op)
{
    int err = weft__interest_watch(&e->interests, in, attempt_events(op->request), e->now_ns);
    if (err < 0) {
        return err;
    }
    list_push_back(&in->ops, &op->link);
    epoll_add(&e->waiting, 1);
    return 0;
}

/* Readiness will not tell when to attempt it again. */
static void epoll_await_time(struct epoll_poller *e, struct op *op)
{
    if (list_empty(&e->later)) {
        e->later_ns = e->now_ns + LATER_NS;
    }
    list_push_back(&e->later, &op->link);
    epoll_add(&e->waiting, 1);
}

/* Attempt an op that is in no list; have it wait if that was for nothing. 0, or as
 * op_backend.start: it neither completed nor waits. */
static int epoll_go(struct epoll_poller *e, struct interest *in, struct op *op)
{
    const struct op_request *r = op->request;
    enum attempt outcome = ATTEMPT_WAIT;
    int result = 0;
    if ((attempt_events(r) & in->drained) == 0 || attempt_is_immediate(r) ||
        attempt_is_special(r)) {
        outcome = weft__attempt(op, &result);
        note_result(in, r, outcome, result);
    }
    int err = 0;
    switch (outcome) {
    case ATTEMPT_DONE:
        epoll_complete(e, op, result);
        return 0;
    case ATTEMPT_WAIT:
        err = epoll_await_edge(e, in, op);
        break;
    case ATTEMPT_LATER:
        epoll_await_time(e, op);
        break;
    case ATTEMPT_THREAD:
        err = -EPERM;
        break;
    }
    if (err == -EPERM) {
        in->drained = 0;     /* the next bytes may be at hand */
        return OP_ON_THREAD; /* of such files there is nothing to be told */
    }
    if (WEFT_UNLIKELY(err < 0) && weft__attempt_end(op, err) >= 0) {
        epoll_complete(e, op, err); /* to what it has moved */
        return 0;
    }
    return err == -ENOSPC ? -ENOMEM : err;
}

/* Begin a poll that an object has in flight. It is told of what is there from the next wait, not
 * from here, where it is busy itself. */
static int epoll_start_object(struct epoll_poller *e, struct interest *in, struct op *op,
                              const struct op_request *r)
{
    WEFT_ASSERT(r->code == OP_POLL);
    op->events = r->flags;
    int err = weft__interest_watch(&e->interests, in, r->flags, e->now_ns);
    if (err < 0) {
        return err == -ENOSPC ? -ENOMEM : err;
    }
    op->attempt = IS_SOON | (r->repeats ? REPEATS : 0);
    list_push_back(&e->soon, &op->link);
    epoll_add(&e->due, 1);
    return 0;
}

/* A poll of an object, in no list, has met these events. */
static void epoll_tell_object(struct epoll_poller *e, struct interest *in, struct op *op,
                              uint32_t events)
{
    int met = (int)(events & (op->events | POLLERR | POLLHUP | POLLNVAL));
    if (met != 0 && (op->attempt & REPEATS) == 0) {
        epoll_complete(e, op, met);
        return;
    }
    list_push_back(&in->ops, &op->link);
    epoll_add(&e->waiting, 1);
    if (met != 0) {
        epoll_count(&e->completed);
        op_repeat(op, met);
    }
}

static int epoll_start(struct poller *p, struct op *op, const struct op_request *r)
{
    struct epoll_poller *e = epoll_of(p);
    epoll_count(&e->begun);
    op->attempt = 0;
    op->progress = 0;
    if (r->fd < 0) {
        int result = 0; /* a path, or refused: there is nothing to be ready */
        if (weft__attempt(op, &result) != ATTEMPT_DONE) {
            return OP_ON_THREAD;
        }
        epoll_complete(e, op, result);
        return 0;
    }
    struct interest *in = weft__interest_get(&e->interests, r->fd);
    if (in == NULL) {
        return -ENOMEM;
    }
    if (r->code == OP_CONNECT) {
        weft__interest_doubt(&e->interests, in);
    }
    return op->wait == NULL ? epoll_start_object(e, in, op, r) : epoll_go(e, in, op);
}

/* Its result is set: complete it in the next wait. */
static void epoll_cancel(struct poller *p, struct op *op)
{
    struct epoll_poller *e = epoll_of(p);
    if ((op->attempt & IS_ENDING) != 0) {
        return;
    }
    op->attempt |= IS_ENDING;
    list_remove(&op->link);
    list_push_back(&e->ended, &op->link);
    if ((op->attempt & IS_SOON) == 0) {
        epoll_add(&e->waiting, -1);
        epoll_add(&e->due, 1);
    }
}

static void cancel_fd_in(struct epoll_poller *e, struct list *ops, int fd)
{
    struct list *next;
    for (struct list *l = ops->next; l != ops; l = next) {
        struct op *op = WEFT_CONTAINER(l, struct op, link);
        next = l->next;
        if (op->fd == fd) {
            epoll_cancel((struct poller *)(void *)e, op);
        }
    }
}

static void epoll_cancel_fd(struct poller *p, int fd)
{
    struct epoll_poller *e = epoll_of(p);
    struct interest *in = interest_find(&e->interests, fd);
    if (in != NULL) {
        cancel_fd_in(e, &in->ops, fd);
    }
    cancel_fd_in(e, &e->later, fd);
    cancel_fd_in(e, &e->soon, fd);
}

/* What concerns paths and the file system is a call that a thread makes anyway. */
static bool epoll_can(const struct poller *p, enum op_code code)
{
    (void)p;
    return code < OP_STATX || code == OP_SPLICE;
}

static void epoll_closing(struct poller *p, int fd)
{
    weft__registration_forget(epoll_of(p)->shared->registrations, fd);
}

static void epoll_opened(struct poller *p, int fd)
{
    weft__registration_fresh(epoll_of(p)->shared->registrations, fd);
}

static int epoll_call(struct poller *p, const struct op_request *request)
{
    struct epoll_shared *shared = epoll_of(p)->shared;
    int result = weft__thread_call(&shared->calls, request);
    if (result >= 0 && request->code == OP_OPENAT) {
        epoll_opened(p, result);
    }
    return result;
}

const struct op_backend weft__epoll_backend = {
    .start = epoll_start,
    .cancel = epoll_cancel,
    .cancel_fd = epoll_cancel_fd,
    .can = epoll_can,
    .closing = epoll_closing,
    .opened = epoll_opened,
    .call = epoll_call,
};

/* ---- delivery ---- */

/* One that another's completion ends on the way is taken off the list by epoll_cancel. */
void weft__epoll_go_on(struct epoll_poller *e, struct list *ops, uint32_t events)
{
    struct list all;
    list_init(&all);
    for (struct list *l; (l = list_pop_front(ops)) != NULL;) {
        list_push_back(&all, l);
    }
    for (struct list *l; (l = list_pop_front(&all)) != NULL;) {
        struct op *op = WEFT_CONTAINER(l, struct op, link);
        struct interest *in = interest_find(&e->interests, op->fd);
        epoll_add(&e->waiting, -1);
        if (op->wait == NULL) {
            epoll_tell_object(e, in, op, events);
            continue;
        }
        int err = epoll_go(e, in, op);
        if (err != 0) {
            epoll_complete(e, op, err == OP_ON_THREAD ? -EAGAIN : err); /* begun anew: op.c */
        }
    }
}

static void deliver_ended(struct epoll_poller *e)
{
    for (struct list *l; (l = list_pop_front(&e->ended)) != NULL;) {
        epoll_add(&e->due, -1);
        epoll_complete(e, WEFT_CONTAINER(l, struct op, link), -ECANCELED);
    }
}

static void deliver_soon(struct epoll_poller *e)
{
    for (struct list *l; (l = list_pop_front(&e->soon)) != NULL;) {
        struct op *op = WEFT_CONTAINER(l, struct op, link);
        op->attempt = (uint16_t)(op->attempt & ~IS_SOON);
        epoll_add(&e->due, -1);
        epoll_tell_object(e, interest_find(&e->interests, op->fd), op,
                          weft__attempt_events_now(op->fd, op->events));
    }
}

void weft__epoll_deliver_due(struct epoll_poller *e)
{
    deliver_ended(e);
    deliver_soon(e);
    if (!list_empty(&e->later) && e->later_ns <= e->now_ns) {
        weft__epoll_go_on(e, &e->later, 0);
    }
}
