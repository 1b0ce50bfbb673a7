/* SPDX-License-Identifier: MIT */
/*
 * What the io_uring pollers of a runtime share: the descriptor table, and what the first of them
 * has found out about rings.
 *
 * The workers start at once. If each made its own trials, how many descriptors a runtime needs to
 * start would depend on how many of the trials happen to be under way together. So the first to
 * come tries, the others wait for what it finds, and fail as it has failed: a runtime needs two
 * descriptors a worker, or the few that one worker's trials take meanwhile if that is more.
 *
 * Tested: tests/fault/fault_limits.c.
 */
#ifndef WEFT_URING_SHARED_H
#define WEFT_URING_SHARED_H

#include <pthread.h>

#include "fd_table.h"
#include "ring.h"

struct uring_shared {
    struct fd_table *fds;
    pthread_mutex_t lock;
    /* written once, under the lock */
    bool is_tried;
    int error; /* of the one that tried; else `found` */
    char why[256];
    struct ring_features found;
};

/* As poller_ops has them. */
void *weft__uring_shared_create(void);
void weft__uring_shared_destroy(void *shared);

/*
 * Set up a worker's ring, with all that is known of what it can do.
 * Returns 0, or -errno with the reason in `why`; then there is no ring.
 * Context: owner     Blocks: the thread, as weft__ring_init and weft__probe
 */
int weft__uring_shared_ring(struct uring_shared *s, struct ring *r,
                            const struct ring_options *options, char *why, size_t why_bytes);

#endif
