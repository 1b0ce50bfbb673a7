/* SPDX-License-Identifier: MIT */
/*
 * What a ring can do on the running kernel, and what can be switched off.
 */
#ifndef WEFT_RING_FEATURES_H
#define WEFT_RING_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"

/* What a test, or a user who has met a defect of a kernel, can switch off. */
enum ring_without {
    WEFT_RING_WITHOUT_DEFER = 1u << 0,         /* no DEFER_TASKRUN: the second rung */
    WEFT_RING_WITHOUT_COOP = 1u << 1,          /* no COOP_TASKRUN */
    WEFT_RING_WITHOUT_TASKRUN_FLAG = 1u << 2,  /* neither of the two: the last rung */
    WEFT_RING_WITHOUT_SUBMIT_ALL = 1u << 3,    /* the same */
    WEFT_RING_WITHOUT_REGISTERED_FD = 1u << 4, /* enter by the plain descriptor */
    WEFT_RING_WITHOUT_NO_IOWAIT = 1u << 5,     /* waiting counts as iowait */
    WEFT_RING_WITHOUT_EXT_ARG = 1u << 6,       /* init fails with -ENOSYS */
    WEFT_RING_WITHOUT_CQE_SKIP = 1u << 7,      /* from here on: the probe says no */
    WEFT_RING_WITHOUT_MULTISHOT_POLL = 1u << 8,
    WEFT_RING_WITHOUT_MULTISHOT_ACCEPT = 1u << 9,
    WEFT_RING_WITHOUT_MULTISHOT_RECV = 1u << 10,
    WEFT_RING_WITHOUT_CANCEL_FD = 1u << 11,
    WEFT_RING_WITHOUT_RESTRICTIONS = 1u << 12, /* the ring takes every opcode */
};

/* What a ring can do. */
struct ring_features {
    /* from the set-up of this ring */
    bool defer_taskrun; /* completions appear only when the owner enters and asks for events */
    bool coop_taskrun;  /* they appear when the owner enters or leaves the kernel for any reason */
    bool taskrun_flag;  /* ring_ready sees completions that wait for that */
    bool submit_all;    /* a bad SQE does not cut a batch */
    bool registered_fd; /* enter skips the lookup of the descriptor */
    bool no_iowait;     /* waiting does not count as iowait */
    bool restricted;    /* the kernel takes from it only what ring_restriction.c lists */
    /* from the probe, carried to later rings in ring_options.probed */
    bool is_probed;
    bool cqe_skip; /* IOSQE_CQE_SKIP_SUCCESS */
    bool multishot_poll;
    bool multishot_accept;
    bool multishot_recv;              /* with provided buffer rings */
    bool cancel_fd;                   /* IORING_ASYNC_CANCEL_FD with _ALL */
    uint64_t ops[WEFT_OP_COUNT / 64]; /* a bit an opcode */
};

struct ring_options {
    unsigned entries; /* SQEs, rounded up to a power of two; 0: WEFT_RING_ENTRIES */
    unsigned disable; /* WEFT_RING_WITHOUT_... */
    const struct ring_features *probed; /* what weft__probe found on an earlier ring, or NULL */
};

#endif
