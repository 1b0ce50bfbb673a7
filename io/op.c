/* SPDX-License-Identifier: MIT */
/* Op: start, wait, complete, cancel; see op.h. */
#include "op.h"

#include <errno.h>
#include <sys/socket.h>

#include <weft/io.h>

#include "fd_table.h"

static const struct op_backend *backend_of(struct poller *p)
{
    return ((struct io_poller *)(void *)p)->backend;
}

static struct fd_table *fds_of(struct poller *p)
{
    return ((struct io_poller *)(void *)p)->fds;
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
    fd_table_leave(fds_of(p), op->fd);
    if (--wait->pending > 0) {
        if (wait->cancel_after_first && !wait->is_cancelling) {
            op_wait_cancel(p, wait);
        }
        return;
    }
    bool is_ours = weft__wake(wait->fiber, wait->ticket);
    WEFT_ASSERT(is_ours); /* the last completion is all that ends this wait */
}

void weft__op_cancel_task(struct poller *p, weft_task *t)
{
    /* ORD P5 (future.h): the fiber's contents. */
    struct fiber *f = atomic_load_acquire(&t->fiber);
    uint64_t ticket = f == NULL ? 0 : weft__hold(f);
    if (ticket == 0) {
        return; /* it has been woken meanwhile */
    }
    if (f->top == t && f->wait_kind == WAIT_OPERATION && weft__wait_is_here(f)) {
        struct op_wait *wait = f->wait_on;
        if (!wait->is_cancelling) {
            op_wait_cancel(p, wait);
        }
    }
    weft__unhold(f, ticket, false);
}

/* Begin all of a wait. 0, or the error with which it stopped; wait->count tells how many began. */
static int op_start_all(struct poller *p, struct op_wait *wait, const struct op_request *requests,
                        unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct op *op = &wait->ops[i];
        op->wait = wait;
        op->fd = requests[i].fd;
        op->result = 0;
        op->is_done = false;
        op->is_cancel_due = false;
        list_init(&op->link);
        int err = fd_table_enter(fds_of(p), op->fd);
        if (err < 0) {
            return err;
        }
        wait->count++;
        wait->pending++;
        err = backend_of(p)->start(p, op, &requests[i]);
        if (err < 0) {
            wait->count--;
            wait->pending--;
            fd_table_leave(fds_of(p), op->fd);
            return err;
        }
    }
    return 0;
}

/* Run the ops of a wait to their end. */
static int op_run_wait(struct op_wait *wait, const struct op_request *requests, unsigned count)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    struct poller *p = weft__poller_current();
    wait->fiber = f;
    wait->ticket = weft__wait_begin(f, WAIT_OPERATION, wait);
    wait->pending = 1; /* ourselves: to start one may complete another */
    int err = weft__interrupted(f);
    if (err == 0) {
        err = op_start_all(p, wait, requests, count);
    }
    bool is_any_done = wait->pending - 1 < wait->count;
    if (err < 0 || (wait->cancel_after_first && is_any_done)) {
        op_wait_cancel(p, wait);
    }
    if (--wait->pending > 0) {
        weft__park(f);
    } else {
        bool is_aborted = weft__wait_abort(f, wait->ticket);
        WEFT_ASSERT(is_aborted); /* cancellers do not end this kind of wait */
    }
    return err;
}

int weft__op_run_first(struct op *ops, const struct op_request *requests, unsigned count)
{
    struct op_wait wait = {.ops = ops, .cancel_after_first = true};
    return op_run_wait(&wait, requests, count);
}

/* Whether the caller wants to hear -EAGAIN, or there is nothing to wait for. */
static bool op_may_retry(const struct op_request *r, short *events)
{
    switch (r->code) {
    case OP_READ:
    case OP_READV:
    case OP_ACCEPT:
        *events = POLLIN;
        return true;
    case OP_WRITE:
    case OP_WRITEV:
        *events = POLLOUT;
        return true;
    case OP_RECV:
    case OP_RECVMSG:
        *events = POLLIN;
        return (r->flags & MSG_DONTWAIT) == 0;
    case OP_SEND:
    case OP_SENDMSG:
        *events = POLLOUT;
        return (r->flags & MSG_DONTWAIT) == 0;
    default:
        return false;
    }
}

int weft__op_run(const struct op_request *request)
{
    for (;;) {
        struct op op;
        struct op_wait wait = {.ops = &op};
        int err = op_run_wait(&wait, request, 1);
        if (err < 0) {
            return err;
        }
        short events;
        if (WEFT_LIKELY(op.result != -EAGAIN && op.result != -EINTR)) {
            return op.result;
        }
        if (op.result == -EAGAIN) {
            /* A descriptor with O_NONBLOCK, on kernels that take it at its word. */
            if (!op_may_retry(request, &events)) {
                return op.result;
            }
            err = weft_wait_fd(request->fd, events);
            if (err < 0) {
                return err;
            }
        }
    }
}
