/* SPDX-License-Identifier: MIT */
/* Asymmetric barrier by membarrier(2); see barrier.h. */
#include "barrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* True until the kernel has said yes: the safe side. */
_Atomic(bool) weft__barrier_symmetric = true;

void weft__barrier_init(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0) {
        /* ORD none: comes before the start of every thread that has to see it; to see it early
         * or twice does no harm, since the registration is the process's. */
        atomic_store_relaxed(&weft__barrier_symmetric, false);
    }
}

void weft__barrier_fence(void)
{
    /* An exchange on a variable of our own is a full fence, and one that TSan understands. */
    _Atomic(int) word;
    atomic_store_relaxed(&word, 0); /* ORD none: nobody else sees this variable */
    (void)atomic_exchange_seq_cst(&word, 1); /* ORD none: used for its fence alone */
}

void weft__barrier_heavy(void)
{
    weft__barrier_fence();
    /* ORD none: as in weft__barrier_init. */
    if (!atomic_load_relaxed(&weft__barrier_symmetric)) {
        long rc = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
        while (rc != 0 && errno == ENOMEM) { /* a kernel for many processors needs a set of them */
            sched_yield();
            rc = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
        }
        WEFT_ASSERT(rc == 0);
    }
}
