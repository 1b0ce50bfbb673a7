/* SPDX-License-Identifier: MIT */
/*
 * Attempt: an operation as a system call that does not wait, whether the descriptor is blocking or
 * not; for a backend that the kernel tells of readiness only.
 *
 * What there is for that depends on the file:
 *   sockets   recv, send, recvmsg, sendmsg take MSG_DONTWAIT
 *   accept    takes no such flag: a listening socket is given O_NONBLOCK, and keeps it
 *   connect   the same, but O_NONBLOCK is taken off again when the operation is over
 *   others    preadv2 and pwritev2 take RWF_NOWAIT, where the file knows it (regular files, and
 *             since 6.5 pipes). Elsewhere poll(2) is asked first, and a write cut to PIPE_BUF, for
 *             which there is room when it says so. Another reader may be faster than we are after
 *             that: then the call waits. Nothing else can be done without changing the descriptor
 *             for everybody who has it.
 */
#ifndef WEFT_ATTEMPT_H
#define WEFT_ATTEMPT_H

#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "op.h"

/* op->attempt */
#define ATTEMPT_CONNECTING 1  /* the kernel is connecting */
#define ATTEMPT_NONBLOCK 2    /* O_NONBLOCK was set for the operation */
#define ATTEMPT_OWN_BITS 0xff /* the others are the backend's */

enum attempt {
    ATTEMPT_DONE,   /* *result is what the operation came to */
    ATTEMPT_WAIT,   /* nothing yet: again when the descriptor is ready */
    ATTEMPT_LATER,  /* nothing yet, and readiness will not tell: again after a while */
    ATTEMPT_THREAD, /* it may hold up who makes it: on a thread that may wait */
};

/* Try. op->request says what, op->progress what was moved by attempts before. */
enum attempt weft__attempt(struct op *op, int *result);

/* The operation is given up: undo what attempts have changed. Returns the result it is to have,
 * which is `result` if nothing was moved. */
int weft__attempt_end(struct op *op, int result);

/* What poll(2) says now, without waiting. */
uint32_t weft__attempt_events_now(int fd, uint32_t events);

/* Whether a descriptor is a socket that moves bytes, in no messages. */
bool weft__attempt_is_stream(int fd);

/* What readiness an operation waits for: POLLIN, POLLOUT; of a poll, what it asks for. */
static inline uint32_t attempt_events(const struct op_request *r)
{
    switch (r->code) {
    case OP_POLL:
        return r->flags;
    case OP_WRITE:
    case OP_WRITEV:
    case OP_CONNECT:
    case OP_SEND:
    case OP_SENDMSG:
        return POLLOUT;
    default:
        return POLLIN;
    }
}

/* Whether it has an answer at any time, be it that there is nothing, or is not about readiness. */
static inline bool attempt_is_immediate(const struct op_request *r)
{
    switch (r->code) {
    case OP_POLL:
        return true;
    case OP_RECV:
    case OP_RECVMSG:
    case OP_SENDMSG:
        return (r->flags & MSG_DONTWAIT) != 0;
    case OP_SEND:
        return (r->flags & MSG_DONTWAIT) != 0 || r->length == 0;
    case OP_ACCEPT:
    case OP_CONNECT:
        return false;
    default:
        return r->code >= OP_SLOW_FIRST || r->length == 0;
    }
}

/* Whether it is about other bytes than the next: what it meets tells nothing of those. */
static inline bool attempt_is_special(const struct op_request *r)
{
    bool is_message = r->code == OP_RECV || r->code == OP_RECVMSG;
    return is_message && (r->flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) != 0;
}

#endif
