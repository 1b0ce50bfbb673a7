/* SPDX-License-Identifier: MIT */
/* What there is to say of failures on purpose: their names, whether a ring can have them, and which
 * of them a call by its number is of. */
#include "injection.h"

#include <errno.h>
#include <liburing.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>

/* Of linux/io_uring.h of 6.10: a NOP ends with what its length says. */
#define NOP_INJECT_RESULT 1u

const char *inject_name(enum inject_kind kind)
{
    static const char *const names[INJECT_KINDS] = {
        "nothing", "memory", "map",     "advice",     "thread", "ring",    "register",
        "enter",   "operation", "cancel", "timer",   "descriptor", "accept", "send",    "receive",
        "write",   "connect", "control", "spawn",   "resolve", "signal",  "kernel",  "barrier",
        "waitid", "OpenSSL",
    };
    return names[kind];
}

bool inject_has_operations(void)
{
    struct io_uring ring;
    struct io_uring_cqe *cqe = NULL;
    if (io_uring_queue_init(2, &ring, 0) != 0) {
        return false;
    }
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_nop(sqe);
    sqe->rw_flags = NOP_INJECT_RESULT;
    sqe->len = (unsigned)-EXDEV;
    bool has = io_uring_submit(&ring) == 1 && io_uring_wait_cqe(&ring, &cqe) == 0 &&
               cqe->res == -EXDEV;
    io_uring_queue_exit(&ring);
    return has;
}

enum inject_kind inject_kind_of_syscall(long number, long command)
{
    switch (number) {
    case SYS_pidfd_open:
        return INJECT_DESCRIPTOR;
    case SYS_process_madvise:
        return INJECT_ADVICE;
    case SYS_membarrier:
        return command == MEMBARRIER_CMD_PRIVATE_EXPEDITED ? INJECT_BARRIER : INJECT_KERNEL;
    case SYS_waitid:
        return INJECT_WAITID;
    default:
        return INJECT_KINDS;
    }
}
