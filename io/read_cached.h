/* SPDX-License-Identifier: MIT */
/*
 * Reads at an offset of what is in the page cache: by a plain call on the worker, which needs no
 * ring and no switch.
 *
 * preadv2(2) with RWF_NOWAIT does what the kernel does for a read in a ring first, and on the same
 * thread: copy what is cached, and refuse where it would have to wait. ns of one worker for a block
 * of 4 kB at random from a cached file:
 *
 *     tasks that read     ring     preadv2
 *     1                   1245     780
 *     32                   755     800         a batch of 32 shares one system call
 *
 * So a call is made by a task that is alone on its worker, whose read would be a batch by itself.
 * One that is refused costs 150 ns for nothing; after each the worker leaves it out for twice as
 * many reads.
 *
 * RWF_NOWAIT is no promise with O_DIRECT: there the call waits for the disk. So F_GETFL is asked
 * first, once for 64 reads of a descriptor, as it would take 130 ns of each. Should a descriptor
 * have been closed and its number given to an O_DIRECT file meanwhile, then no more reads than that
 * take the worker's time until the disk has answered.
 *
 * Part of a read may be cached; then the ring does the rest.
 */
#ifndef WEFT_READ_CACHED_H
#define WEFT_READ_CACHED_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Descriptors that are remembered: what reads in turn from more of them asks F_GETFL each time. */
#define READ_CACHE_FDS 16u
#define READ_CACHE_USES 64
/* Reads for which the call is left out after refusals: 1, 3, 7 and at the most this many. */
#define READ_CACHE_SKIP_MAX 63u

/* What a worker knows. All zero: nothing. */
struct read_cache {
    unsigned skip;      /* reads that do not try */
    unsigned last_skip; /* what `skip` was set to after the last refusal */
    struct {
        int fd;
        int uses; /* left; 0: not known not to be O_DIRECT */
    } known[READ_CACHE_FDS];
};

/* No result of a call. */
#define READ_NOT_CACHED ((ssize_t)INT64_MIN)

/*
 * Read at an offset, if that needs no waiting; where it is for the rest only, that is waited for.
 * Returns what was read; READ_NOT_CACHED: nothing was, it is the ring's; -errno: the call is not to
 * be made: -EPERM, -EINVAL (offset, count), -EBADF, -ECANCELED and so on.
 * Context: any thread, but of use in a task only     Blocks: task
 */
ssize_t weft__read_cached(int fd, const struct iovec *iov, int count, off_t offset);

#endif
