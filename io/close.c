/* SPDX-License-Identifier: MIT */
/*
 * weft_close: end what is in flight on a descriptor, then close it.
 *
 * Nearly always nothing is in flight, and it is one compare-and-swap and close(2). Otherwise every
 * worker is sent a message, on which it asks its ring to end the operations on that descriptor; the
 * closer waits until all have answered and the last call is over.
 *
 * Tested: tests/model/model_fd_close.c, tests/io/test_io_close.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/runtime.h>
#include <weft/task.h>

#include "close.h"
#include "descriptor.h"
#include "fd_table.h"
#include "op.h"

/*
 * Pairs
 *   P1  done: pending, acq_rel -> wake: by the one who counts to 0     all messages are read
 */
struct close_wait {
    struct fd_closer closer;
    struct fiber *fiber;
    uint64_t ticket;
    int fd;
    _Atomic(uint32_t) pending; /* answers, and the last call */
};

struct close_request {
    struct message message;
    struct close_wait *wait;
};

static void close_one_done(struct close_wait *c)
{
    /* ORD P1: nobody uses the wait after the last of us. */
    if (atomic_sub_acq_rel(&c->pending, 1) == 1) {
        bool is_ours = weft__wake(c->fiber, c->ticket);
        WEFT_ASSERT(is_ours);
    }
}

static void close_left(struct fd_closer *closer)
{
    close_one_done(WEFT_CONTAINER(closer, struct close_wait, closer));
}

/* For each worker. */
static void close_deliver(struct message *m, struct worker *w)
{
    struct close_request *r = WEFT_CONTAINER(m, struct close_request, message);
    weft__op_cancel_fd(weft__poller_of(w), r->wait->fd);
    close_one_done(r->wait);
}

/* Wait until no call is in on a descriptor that is marked as closing. */
static void close_drain(struct fiber *f, struct fd_entry *e, int fd)
{
    unsigned workers = weft_runtime_workers(weft_runtime_current());
    struct close_request one[16];
    struct close_request *requests = one;
    if (workers > 16) {
        requests = malloc(workers * sizeof *requests);
    }
    unsigned asked = requests == NULL ? 16 : workers;
    requests = requests == NULL ? one : requests;
    for (unsigned first = 0; first < workers; first += asked) {
        unsigned n = workers - first < asked ? workers - first : asked;
        bool is_last = first + n == workers;
        struct close_wait c = {.closer.left = close_left, .fiber = f, .fd = fd};
        f->wait_for = WAIT_FOR_CLOSE;
        c.ticket = weft__wait_begin(f, WAIT_FIRM, NULL);
        /* ORD none: published by the messages. */
        atomic_store_relaxed(&c.pending, n + (is_last ? 1 : 0));
        for (unsigned i = 0; i < n; i++) {
            requests[i].wait = &c;
            requests[i].message.deliver = close_deliver;
            weft__send_to_worker(first + i, &requests[i].message);
        }
        if (is_last) {
            weft__fd_entry_await(e, &c.closer);
        }
        weft__park(f);
    }
    if (requests != one) {
        free(requests);
    }
}

/* Apart, as the task may have changed its thread, and errno is the thread's. */
static WEFT_NOINLINE int close_number(int fd)
{
    return close(fd) < 0 ? -errno : 0;
}

static struct fd_table *close_table(void)
{
    return ((struct io_poller *)(void *)weft__poller_current())->fds;
}

int weft__close_begin(int fd)
{
    if (!fd_is_in_table(fd)) {
        return -EBADF;
    }
    struct fd_entry *e = fd_table_find(close_table(), fd);
    if (e == NULL) {
        return -ENOMEM;
    }
    int64_t calls = fd_entry_close(e);
    while (calls == -EAGAIN) {
        (void)weft_yield(); /* that of the file which had the number before, most likely */
        calls = fd_entry_close(e);
    }
    if (calls < 0) {
        return -EBADF;
    }
    if (calls > 0) {
        close_drain(weft__fiber_current(), e, fd);
    }
    return 0;
}

int weft__close_end(int fd)
{
    struct fd_entry *e = fd_table_find(close_table(), fd);
    fd_entry_end(e);
    op_closing(fd);
    int err = close_number(fd);
    fd_entry_ended(e);
    return err;
}

int weft_close(int fd)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    int err = weft__close_begin(fd);
    if (err == 0) {
        err = weft__close_end(fd);
    } else if (err == -ENOMEM) {
        err = close_number(fd);
    }
    return op_spent(err);
}
