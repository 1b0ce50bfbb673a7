/* SPDX-License-Identifier: MIT */
/*
 * Waiting for readiness. One descriptor is one poll operation. Several are asked at once by
 * poll(2), which does not block with a timeout of 0; if none is ready, a poll operation is armed
 * for each, the first to complete ends the others, and poll(2) is asked again for the whole
 * picture.
 *
 * io_uring tells of POLLRDHUP unasked. Who waits for room in a socket whose peer has shut its side
 * down would be told so at once, again and again, and wait for nothing. epoll tells only what it
 * was asked for, so the next wait of that descriptor goes through an epoll instance.
 *
 * Some files are never waited for, a regular one: what they are not at once (POLLPRI, or nothing
 * was asked for) they are never. poll(2) passes over them. Such a descriptor is left, as no
 * operation is on it that weft_close could end, and the others are waited for.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/task.h>

#include "op.h"

#define POLL_ON_STACK POLL_FEW

static struct op_request poll_request(int fd, short events)
{
    return (struct op_request){
        .code = OP_POLL,
        .fd = fd,
        .flags = (uint16_t)events,
    };
}

/* What of an operation's result was asked for, or is always told. */
static int poll_asked(const struct op_request *r, int result)
{
    return result & (int)(r->flags | POLLERR | POLLHUP | POLLNVAL);
}

/*
 * poll(2), which does not wait, and is cut short by signals all the same. Apart, as is poll_epoll:
 * errno is the thread's, and their callers are on another after a wait, while the compiler takes
 * its address to be the same.
 */
WEFT_NOINLINE int weft__poll_now(struct pollfd *fds, nfds_t nfds)
{
    int ready;
    do {
        ready = poll(fds, nfds, 0);
    } while (ready < 0 && errno == EINTR);
    return ready < 0 ? -errno : ready;
}

/* An epoll instance that is readable when fd has one of the events, or -errno. */
static WEFT_NOINLINE int poll_epoll(int fd, uint32_t events)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = events};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
        int err = -errno;
        if (epoll >= 0) {
            close(epoll);
        }
        return err;
    }
    return epoll;
}

/* Let those that were told nothing they had asked for wait through epoll from now on. */
static int poll_avoid_unasked(const struct op *ops, struct op_request *requests, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct op_request *r = &requests[i];
        if (r->through == 0 && ops[i].result > 0 && poll_asked(r, ops[i].result) == 0) {
            int epoll = poll_epoll(r->fd, r->flags);
            if (epoll < 0) {
                return epoll;
            }
            r->through = epoll;
            r->flags = POLLIN;
        }
    }
    return 0;
}

/* Leave those that are never ready: they go to the end, without a descriptor. Returns how many are
 * before them. */
static unsigned poll_leave_never(const struct op *ops, struct op_request *requests, unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        if (WEFT_UNLIKELY(ops[i].result == -EINVAL)) {
            weft__op_leave_all(&requests[i], 1);
            requests[i] = requests[--count];
            requests[count] = (struct op_request){.fd = -1};
        }
    }
    return count;
}

/* Wait until one of them is ready, by operations on those that were entered: count of them. Returns
 * how many are ready, or an error. */
static int poll_rounds(struct pollfd *fds, nfds_t nfds, struct op *ops, struct op_request *requests,
                       unsigned count)
{
    int ready = 0;
    while (ready == 0) {
        ready = count > 0 ? weft__op_run_first(ops, requests, count) : weft_sleep(WEFT_FOREVER);
        if (ready == 0) {
            ready = weft__poll_now(fds, nfds);
        }
        if (ready == 0) {
            ready = poll_avoid_unasked(ops, requests, count);
            count = poll_leave_never(ops, requests, count);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (requests[i].through > 0) {
            close(requests[i].through);
        }
    }
    return ready;
}

int weft__wait_ready(int fd, short events)
{
    struct op_request r = poll_request(fd, events);
    int result = weft__op_run_entered(&r);
    if (result < 0 || poll_asked(&r, result) != 0) {
        return result < 0 ? result : poll_asked(&r, result);
    }
    struct pollfd p = {.fd = fd, .events = events};
    struct op op;
    int ready = poll_rounds(&p, 1, &op, &r, 1);
    return ready < 0 ? ready : p.revents;
}

int weft__poll_entered(struct pollfd *fds, unsigned count)
{
    struct op ops[POLL_FEW];
    struct op_request requests[POLL_FEW];
    WEFT_ASSERT(count <= POLL_FEW);
    for (unsigned i = 0; i < count; i++) {
        requests[i] = poll_request(fds[i].fd, fds[i].events);
    }
    return poll_rounds(fds, count, ops, requests, count);
}

int weft_wait_fd(int fd, short events)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    struct op_request r = poll_request(fd, events);
    int ready = weft__op_enter_all(&r, 1);
    if (ready == 0) {
        ready = weft__wait_ready(fd, events);
        weft__op_leave_all(&r, 1);
    }
    return ready;
}

/* One operation for each descriptor that is to be looked at. Returns how many. */
static unsigned poll_requests(const struct pollfd *fds, nfds_t nfds, struct op_request *requests)
{
    unsigned count = 0;
    for (nfds_t i = 0; i < nfds; i++) {
        if (fds[i].fd >= 0) {
            requests[count++] = poll_request(fds[i].fd, fds[i].events);
        }
    }
    return count;
}

static int poll_entered(struct pollfd *fds, nfds_t nfds, struct op *ops,
                        struct op_request *requests)
{
    unsigned count = poll_requests(fds, nfds, requests);
    if (count == 0) {
        return weft_sleep(WEFT_FOREVER);
    }
    int ready = weft__op_enter_all(requests, count);
    if (ready == 0) {
        ready = poll_rounds(fds, nfds, ops, requests, count);
        weft__op_leave_all(requests, count);
    }
    return ready;
}

static int poll_wait(struct pollfd *fds, nfds_t nfds)
{
    if (nfds <= POLL_ON_STACK) {
        struct op ops[POLL_ON_STACK];
        struct op_request requests[POLL_ON_STACK];
        return poll_entered(fds, nfds, ops, requests);
    }
    struct op *ops = malloc(nfds * sizeof *ops);
    struct op_request *requests = malloc(nfds * sizeof *requests);
    int ready = -ENOMEM;
    if (ops != NULL && requests != NULL) {
        ready = poll_entered(fds, nfds, ops, requests);
    }
    free(ops);
    free(requests);
    return ready;
}

int weft_poll(struct pollfd *fds, nfds_t nfds)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    int ready = weft__interrupted(f);
    if (nfds > INT_MAX) { /* of which poll(2) would see the lower half */
        ready = -EINVAL;
    }
    if (ready == 0 && nfds > 0) {
        ready = weft__poll_now(fds, nfds);
        if (ready == 0) {
            return poll_wait(fds, nfds);
        }
    }
    weft__spend(); /* it did not wait, and is what loops are made of */
    return ready;
}
