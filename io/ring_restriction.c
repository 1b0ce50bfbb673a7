/* SPDX-License-Identifier: MIT */
/* Ring restriction: the lists; see ring_restriction.h. */
#include "ring_restriction.h"

#include <errno.h>

/* What is submitted. Those that the kernel does not have are left out: it would refuse the list. */
static const uint8_t opcodes[] = {
    IORING_OP_NOP,        IORING_OP_READ,        IORING_OP_WRITE,       IORING_OP_READV,
    IORING_OP_WRITEV,     IORING_OP_FSYNC,       IORING_OP_OPENAT,      IORING_OP_POLL_ADD,
    IORING_OP_ACCEPT,     IORING_OP_CONNECT,     IORING_OP_RECV,        IORING_OP_SEND,
    IORING_OP_RECVMSG,    IORING_OP_SENDMSG,     IORING_OP_STATX,       IORING_OP_SPLICE,
    IORING_OP_UNLINKAT,   IORING_OP_MKDIRAT,     IORING_OP_RENAMEAT,    IORING_OP_LINKAT,
    IORING_OP_SYMLINKAT,  WEFT_OP_FTRUNCATE,     IORING_OP_FALLOCATE,   IORING_OP_ASYNC_CANCEL,
};

/* What is registered: by the probe, by ring_tune, for threads, and by liburing at the end. In the
   order in which kernels got them, as no call tells which there are. */
static const uint8_t calls[] = {
    IORING_REGISTER_PROBE,       IORING_REGISTER_IOWQ_AFF,   IORING_REGISTER_IOWQ_MAX_WORKERS,
    IORING_REGISTER_RING_FDS,    IORING_UNREGISTER_RING_FDS, IORING_REGISTER_PBUF_RING,
    IORING_UNREGISTER_PBUF_RING,
};

#define OPCODE_COUNT (sizeof opcodes / sizeof opcodes[0])
#define CALL_COUNT (sizeof calls / sizeof calls[0])

/* IOSQE_... in use, by the probe too. None is required. */
#define FLAGS_ALLOWED (IOSQE_ASYNC | IOSQE_CQE_SKIP_SUCCESS | IOSQE_BUFFER_SELECT)

/* Not by the calls that liburing has for it: 2.3 forgot to export them. 0 or -errno. */
static int ring_register(const struct ring *r, unsigned call, const void *arg, unsigned n)
{
    return io_uring_register((unsigned)r->uring.ring_fd, call, arg, n);
}

/* Write the list, with the opcodes up to `last` and the first `call_count` calls. Returns its
 * length. */
static unsigned list_fill(struct io_uring_restriction *list, unsigned last, size_t call_count)
{
    unsigned n = 0;
    list[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    list[n++].sqe_flags = FLAGS_ALLOWED;
    for (size_t i = 0; i < OPCODE_COUNT; i++) {
        if (opcodes[i] <= last) {
            list[n].opcode = IORING_RESTRICTION_SQE_OP;
            list[n++].sqe_op = opcodes[i];
        }
    }
    for (size_t i = 0; i < call_count; i++) {
        list[n].opcode = IORING_RESTRICTION_REGISTER_OP;
        list[n++].register_op = calls[i];
    }
    return n;
}

/* The most that the kernel takes; what it does not know it could not do either. */
static bool list_register(struct ring *r)
{
    struct io_uring_restriction list[OPCODE_COUNT + CALL_COUNT + 1];
    struct io_uring_probe known;
    int err = -EINVAL;

    memset(list, 0, sizeof list);
    memset(&known, 0, sizeof known);
    if (io_uring_register_probe(&r->uring, &known, 0) < 0) {
        return false;
    }
    for (size_t count = CALL_COUNT; count > 0 && err == -EINVAL; count--) {
        unsigned n = list_fill(list, known.last_op, count);
        err = ring_register(r, IORING_REGISTER_RESTRICTIONS, list, n);
    }
    return err == 0;
}

int weft__ring_restrict(struct ring *r)
{
    r->features.restricted = list_register(r);
    return ring_register(r, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}
