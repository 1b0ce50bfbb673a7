/* SPDX-License-Identifier: MIT */
/*
 * Waiting for readiness. One descriptor is one poll operation. Several are asked at once by
 * poll(2), which does not block with a timeout of 0; if none is ready, a poll operation is armed
 * for each, the first to complete ends the others, and poll(2) is asked again for the whole
 * picture.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <weft/io.h>
#include <weft/task.h>

#include "op.h"

#define POLL_ON_STACK 8

int weft_wait_fd(int fd, short events)
{
    struct op_request r = {
        .code = OP_POLL,
        .fd = fd,
        .flags = (uint16_t)events,
    };
    return fd < 0 ? -EBADF : weft__op_run(&r);
}

/* Arm one operation for each descriptor that is to be looked at. Returns how many. */
static unsigned poll_requests(const struct pollfd *fds, nfds_t nfds, struct op_request *requests)
{
    unsigned count = 0;
    for (nfds_t i = 0; i < nfds; i++) {
        if (fds[i].fd >= 0) {
            requests[count++] = (struct op_request){
                .code = OP_POLL,
                .fd = fds[i].fd,
                .flags = (uint16_t)fds[i].events,
            };
        }
    }
    return count;
}

/* Wait until one of them may be ready. */
static int poll_wait(const struct pollfd *fds, nfds_t nfds)
{
    struct op few_ops[POLL_ON_STACK];
    struct op_request few_requests[POLL_ON_STACK];
    struct op *ops = few_ops;
    struct op_request *requests = few_requests;
    if (nfds > POLL_ON_STACK) {
        ops = malloc(nfds * sizeof *ops);
        requests = malloc(nfds * sizeof *requests);
    }
    int err = -ENOMEM;
    if (ops != NULL && requests != NULL) {
        unsigned count = poll_requests(fds, nfds, requests);
        err = count == 0 ? weft_sleep(WEFT_FOREVER) : weft__op_run_first(ops, requests, count);
    }
    if (nfds > POLL_ON_STACK) {
        free(ops);
        free(requests);
    }
    return err;
}

int weft_poll(struct pollfd *fds, nfds_t nfds)
{
    struct fiber *f = weft__fiber_current();
    int err = f == NULL ? -EPERM : weft__interrupted(f);
    while (err == 0 && nfds > 0) {
        int ready = poll(fds, nfds, 0);
        if (ready != 0) {
            return ready < 0 ? -errno : ready;
        }
        err = poll_wait(fds, nfds);
        if (err < 0) {
            return err;
        }
        err = weft__interrupted(f);
    }
    return err;
}
