/* SPDX-License-Identifier: MIT */
/* Reads of what is in the page cache; see read_cached.h. */
#include "read_cached.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include <weft/io.h>

#include "op.h"

/* Whether a read of the worker may try; its descriptor is then known not to be O_DIRECT. */
static bool cache_may_try(struct read_cache *c, int fd)
{
    if (c->skip > 0) {
        c->skip--;
        return false;
    }
    unsigned i = (unsigned)fd % READ_CACHE_FDS;
    if (WEFT_UNLIKELY(c->known[i].fd != fd || c->known[i].uses == 0)) {
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || (flags & O_DIRECT) != 0) {
            return false;
        }
        c->known[i].fd = fd;
        c->known[i].uses = READ_CACHE_USES;
    }
    c->known[i].uses--;
    return true;
}

static void cache_refused(struct read_cache *c)
{
    unsigned next = 2 * c->last_skip + 1;
    c->last_skip = next < READ_CACHE_SKIP_MAX ? next : READ_CACHE_SKIP_MAX;
    c->skip = c->last_skip;
}

/* One try. What was read, or READ_NOT_CACHED. Apart: errno and the worker are the thread's. */
static WEFT_NOINLINE ssize_t read_try(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct read_cache *c = &((struct io_poller *)(void *)weft__poller_current())->cache;
    if (!cache_may_try(c, fd)) {
        return READ_NOT_CACHED;
    }
    ssize_t got = preadv2(fd, iov, count, offset, RWF_NOWAIT);
    if (got >= 0) {
        c->last_skip = 0;
        return got;
    }
    if (errno == EAGAIN || errno == EOPNOTSUPP) {
        cache_refused(c);
    }
    return READ_NOT_CACHED;
}

/*
 * Less came than was asked for: the file ends there, or the rest is on the disk. Goes on to the end
 * of the buffer it is in; who wants more calls again, as after any short read. The first try has
 * begun to fetch the rest, so the second may find a part of it.
 */
static ssize_t read_rest(int fd, const struct iovec *iov, off_t offset, size_t done)
{
    size_t had = done;
    while (had >= iov->iov_len) {
        had -= iov->iov_len;
        iov++;
    }
    struct iovec rest = {
        .iov_base = (char *)iov->iov_base + had,
        .iov_len = iov->iov_len - had,
    };
    ssize_t more = read_try(fd, &rest, 1, offset + (off_t)done);
    size_t got = more > 0 ? (size_t)more : 0;
    if (more != 0 && got < rest.iov_len) {
        struct op_request r = {
            .code = OP_READ,
            .fd = fd,
            .address = (char *)rest.iov_base + got,
            .length = transfer_length(rest.iov_len - got),
            .offset = (uint64_t)offset + done + got,
        };
        more = weft__op_run_entered(&r);
        got += more > 0 ? (size_t)more : 0; /* an error comes again with the next call */
    }
    return (ssize_t)(done + got);
}

static ssize_t read_entered(int fd, const struct iovec *iov, int count, off_t offset)
{
    ssize_t got = read_try(fd, iov, count, offset);
    if (got <= 0) {
        return got;
    }
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        n += iov[i].iov_len;
    }
    n = n < OP_TRANSFER_MAX ? n : OP_TRANSFER_MAX;
    return (size_t)got < n ? read_rest(fd, iov, offset, (size_t)got) : got;
}

ssize_t weft__read_cached(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct fiber *f = weft__fiber_current();
    if (WEFT_UNLIKELY(offset < 0 || count < 0 || count > IOV_MAX)) {
        return f == NULL ? -EPERM : op_spent(-EINVAL);
    }
    if (f == NULL || !weft__is_alone_here()) {
        return READ_NOT_CACHED;
    }
    struct op_request r = {.fd = fd};
    int err = fiber_interrupted(f);
    if (err == 0) {
        err = weft__op_enter_all(&r, 1);
    }
    ssize_t got = err;
    if (err == 0) {
        got = read_entered(fd, iov, count, offset);
        weft__op_leave_all(&r, 1);
    }
    if (got != READ_NOT_CACHED) {
        weft__spend();
    }
    return got;
}
