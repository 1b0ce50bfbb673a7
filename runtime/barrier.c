/* SPDX-License-Identifier: MIT */
/* Asymmetric barrier by membarrier(2); see barrier.h. */
#include "barrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

/* True until the kernel has said yes: the safe side. */
bool weft__barrier_symmetric = true;

void weft__barrier_init(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0) {
        weft__barrier_symmetric = false;
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
    if (!weft__barrier_symmetric) {
        long rc = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
        WEFT_ASSERT(rc == 0);
    }
}
