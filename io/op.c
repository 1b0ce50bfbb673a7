/* SPDX-License-Identifier: MIT */
/* Op: start, wait, complete, cancel; see op.h. */
#include "op.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weft/task.h>

#include "fd_table.h"

/* For one op the steps of a wait are much shorter, and each frame less is a line less of the stack
 * that a task needs to wait and to go on. */
#define OP_INLINE inline __attribute__((always_inline))

static const struct op_backend *backend_of(struct poller *p)
{
    return ((struct io_poller *)(void *)p)->backend;
}

static struct fd_table *fds_of(struct poller *p)
{
    return ((struct io_poller *)(void *)p)->fds;
}

static struct guard *guard_of(struct poller *p)
{
    return &((struct io_poller *)(void *)p)->guard;
}

static void op_wait_cancel(struct poller *p, struct op_wait *wait)
{
    wait->is_cancelling = true;
    for (unsigned i = 0; i < wait->count; i++) {
        if (!wait->ops[i].is_done) {
            backend_of(p)->cancel(p, &wait->ops[i]);
        }
    }
}

void weft__op_complete(struct poller *p, struct op *op, int result)
{
    struct op_wait *wait = op->wait;
    op->result = result;
    op->is_done = true;
    list_remove(&op->link);
    if (wait == NULL) {
        op->event(op, result, true);
        return;
    }
    if (--wait->pending > 0) {
        if (wait->cancel_after_first && !wait->is_cancelling) {
            op_wait_cancel(p, wait);
        }
        return;
    }
    bool is_ours = weft__wake(wait->fiber, wait->ticket);
    WEFT_ASSERT(is_ours); /* the last completion is all that ends this wait */
}

/* Enter the guard, unless the caller is inside as one who has claimed the poller. */
static bool op_enter(struct poller *p)
{
    bool is_owner = p == weft__poller_current();
    if (WEFT_LIKELY(is_owner)) {
        guard_enter(guard_of(p));
    }
    return is_owner;
}

static void op_cancel_inside(struct poller *p, weft_task *t)
{
    /* ORD P5 (future.h): the fiber's contents. */
    struct fiber *f = atomic_load_acquire(&t->fiber);
    uint64_t ticket = f == NULL ? 0 : weft__hold(f);
    if (ticket == 0) {
        return; /* it has been woken meanwhile */
    }
    /* The request may be older than this wait, and have been taken back. */
    if (f->top == t && f->wait_kind == WAIT_OPERATION && weft__wait_is_asked(f)) {
        struct op_wait *wait = f->wait_on;
        if (!weft__wait_is_at(f, p)) {
            weft__wait_kick(f);
        } else if (!wait->is_cancelling) {
            op_wait_cancel(p, wait);
        }
    }
    weft__unhold(f, ticket, false);
}

int weft__op_fd_of(const void *wait_on)
{
    const struct op_wait *wait = wait_on;
    return wait->ops[0].fd;
}

void weft__op_cancel_task(struct poller *p, weft_task *t)
{
    bool is_owner = op_enter(p);
    op_cancel_inside(p, t);
    if (is_owner) {
        guard_leave(guard_of(p));
    }
}

void weft__op_cancel_fd(struct poller *p, int fd)
{
    bool is_owner = op_enter(p);
    backend_of(p)->cancel_fd(p, fd);
    if (is_owner) {
        guard_leave(guard_of(p));
    }
}

int weft__op_begin(struct op *op, const struct op_request *request, op_event_fn event)
{
    struct poller *p = weft__poller_current();
    *op = (struct op){.event = event, .fd = request->fd};
    list_init(&op->link);
    guard_enter(guard_of(p));
    int err = fd_table_is_closing(fds_of(p), op->fd) ? -ECANCELED
                                                     : backend_of(p)->start(p, op, request);
    guard_leave(guard_of(p));
    return err;
}

void weft__op_end(struct poller *p, struct op *op)
{
    bool is_owner = op_enter(p);
    if (!op->is_done) {
        backend_of(p)->cancel(p, op);
    }
    if (is_owner) {
        guard_leave(guard_of(p));
    }
}

void *weft__op_input(void)
{
    struct io_poller *p = (struct io_poller *)(void *)weft__poller_current();
    if (WEFT_UNLIKELY(p->input == NULL)) {
        p->input = malloc(INPUT_BYTES);
    }
    return p->input;
}

/* Begin all of a wait. 0, or the error, or OP_ON_THREAD, with which it stopped; wait->count tells
 * how many began. */
static OP_INLINE int op_start_all(struct poller *p, struct op_wait *wait,
                                  const struct op_request *requests, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct op *op = &wait->ops[i];
        op->wait = wait;
        op->fd = requests[i].fd;
        op->result = 0;
        op->is_done = false;
        op->thread = 0;
        op->request = &requests[i];
        list_init(&op->link);
        if (WEFT_UNLIKELY(fd_table_is_closing(fds_of(p), op->fd))) {
            return -ECANCELED; /* it is not the call's first, and weft_close has asked already */
        }
        wait->pending++;
        int err = backend_of(p)->start(p, op, &requests[i]);
        if (err != 0) {
            wait->pending--;
            return err;
        }
        wait->count++; /* not before: a completion meanwhile cancels those that were begun */
    }
    return 0;
}

/* Run the ops of a wait to their end. */
static OP_INLINE int op_run_wait(struct op_wait *wait, const struct op_request *requests,
                                 unsigned count)
{
    struct fiber *f = wait->fiber;
    struct poller *p = weft__poller_current();
    guard_enter(guard_of(p));
    f->wait_for = WAIT_FOR_OPERATION;
    wait->ticket = weft__wait_begin(f, WAIT_OPERATION, wait);
    wait->pending = 1; /* ourselves: to start one may complete another */
    int err = weft__interrupted(f);
    if (err == 0) {
        err = op_start_all(p, wait, requests, count);
    }
    bool is_any_done = wait->pending - 1 < wait->count;
    if (err != 0 || (wait->cancel_after_first && is_any_done)) {
        op_wait_cancel(p, wait);
    }
    bool is_pending = --wait->pending > 0;
    guard_leave(guard_of(p));
    if (is_pending) {
        weft__park(f);
    } else {
        bool is_aborted = weft__wait_abort(f, wait->ticket);
        WEFT_ASSERT(is_aborted); /* cancellers do not end this kind of wait */
        weft__spend();           /* it did not wait: it may be one of a loop of such calls */
    }
    return err;
}

/* A call begins on a descriptor. 0, -EBADF, -ENOMEM. */
static int op_enter_fd(int fd)
{
    int err = fd_table_enter(fds_of(weft__poller_current()), fd);
    while (WEFT_UNLIKELY(err == -EAGAIN)) {
        (void)weft_yield(); /* close(2), of the file which had the number before, is quick */
        err = fd_table_enter(fds_of(weft__poller_current()), fd);
    }
    return err;
}

int weft__op_enter_all(const struct op_request *requests, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int err = op_enter_fd(requests[i].fd);
        if (err < 0) {
            weft__op_leave_all(requests, i);
            weft__spend();
            return err;
        }
    }
    return 0;
}

void weft__op_leave_all(const struct op_request *requests, unsigned count)
{
    struct fd_table *fds = fds_of(weft__poller_current());
    for (unsigned i = 0; i < count; i++) {
        fd_table_leave(fds, requests[i].fd);
    }
}

int weft__op_run_first(struct op *ops, const struct op_request *requests, unsigned count)
{
    struct op_wait wait = {
        .fiber = weft__fiber_current(),
        .ops = ops,
        .cancel_after_first = true,
    };
    int err = op_run_wait(&wait, requests, count);
    if (WEFT_LIKELY(err != OP_ON_THREAD) || requests[wait.count].code != OP_POLL) {
        return err;
    }
    ops[wait.count].result = -EINVAL; /* it began after those, and none after it */
    for (unsigned i = wait.count + 1; i < count; i++) {
        ops[i].result = -ECANCELED;
    }
    return 0;
}

/* What to wait for before a request that met -EAGAIN is tried again; 0: the caller is to know. */
static uint32_t op_retry_events(const struct op_request *r)
{
    switch (r->code) {
    case OP_READ:
    case OP_READV:
    case OP_ACCEPT:
        return POLLIN;
    case OP_WRITE:
    case OP_WRITEV:
        return POLLOUT;
    case OP_RECV:
    case OP_RECVMSG:
        return (r->flags & MSG_DONTWAIT) == 0 ? POLLIN : 0;
    case OP_SEND:
    case OP_SENDMSG:
        return (r->flags & MSG_DONTWAIT) == 0 ? POLLOUT : 0;
    default:
        return 0;
    }
}

static OP_INLINE int op_run_one(struct fiber *f, const struct op_request *request)
{
    struct op op;
    struct op_wait wait = {.fiber = f, .ops = &op};
    int err = op_run_wait(&wait, request, 1);
    if (WEFT_UNLIKELY(err == OP_ON_THREAD)) {
        struct poller *p = weft__poller_current();
        return backend_of(p)->call(p, request);
    }
    if (WEFT_UNLIKELY(err == 0 && op.result == -ECANCELED)) {
        err = weft__interrupted(f); /* by whom; 0: by weft_close */
    }
    return err < 0 ? err : op.result;
}

/*
 * An operation ended with -EINTR, as one that the kernel runs on a thread of its own does when it
 * is cancelled, or with -EAGAIN, on a descriptor with O_NONBLOCK and a kernel that takes it at its
 * word: try again. If a cancel or weft_close was meant, nothing more is begun.
 */
static WEFT_NOINLINE int op_run_again(struct fiber *f, const struct op_request *request, int result)
{
    uint32_t events = op_retry_events(request);
    while (result == -EINTR || (result == -EAGAIN && events != 0)) {
        if (result == -EAGAIN) {
            int ready = weft__wait_ready(request->fd, (short)events);
            if (ready < 0) {
                return ready;
            }
        }
        result = op_run_one(f, request);
    }
    return result;
}

static OP_INLINE int op_run_entered(struct fiber *f, const struct op_request *request)
{
    int result = op_run_one(f, request);
    if (WEFT_UNLIKELY(result == -EINTR || result == -EAGAIN)) {
        result = op_run_again(f, request, result);
    }
    return result;
}

int weft__op_run_entered(const struct op_request *request)
{
    return op_run_entered(weft__fiber_current(), request);
}

int weft__op_run_or_call(const struct op_request *request)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    struct poller *p = weft__poller_current();
    bool can = backend_of(p)->can == NULL || backend_of(p)->can(p, request->code);
    return WEFT_LIKELY(can) ? weft__op_run(request) : weft__op_call(request);
}

int weft__op_run(const struct op_request *request)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    int result = op_enter_fd(request->fd);
    if (WEFT_UNLIKELY(result < 0)) {
        weft__spend();
        return result;
    }
    result = op_run_entered(f, request);
    fd_table_leave(fds_of(weft__poller_current()), request->fd);
    return result;
}
