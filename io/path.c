/* SPDX-License-Identifier: MIT */
/*
 * Calls by name; the contract is in weft/file.h.
 *
 * A path may lead to a disk or to a server, so the worker must not make these calls itself, though
 * on ext4 with all in memory that would be quickest. Of the two that may be held up the ring, whose
 * threads in the kernel make the call, is as quick as the blocking pool or quicker: its threads
 * hand their results over in batches, without a system call. ns a call, one task and 32 of them:
 *
 *                 plain call     ring           blocking pool
 *     statx        360            4000   760     7300  5500
 *     fallocate    640            3100  1000     3800  1100
 *     ftruncate   1650            4500  1900     more  1700
 *     two renames 4800            9800           9700
 *     pwrite       300            3100   660     3400   880     (file.c)
 *     open, close  700            5200  1440     more  1170     (open.c)
 *
 * The exception is a statx of a descriptor that asks no server: it reads what is in memory, on the
 * worker, in 200 ns.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <weft/file.h>

#include "op.h"

/* Run an operation on the names in two folders, the second of which is not its fd. */
static int run_between(const struct op_request *r, int other_dirfd)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    struct op_request other = {.fd = other_dirfd};
    int err = weft__op_enter_all(&other, 1);
    if (err == 0) {
        err = weft__op_run_or_call(r);
        weft__op_leave_all(&other, 1);
    }
    return err;
}

/* Apart: errno is the thread's. */
static WEFT_NOINLINE int statx_now(int dirfd, int flags, unsigned mask, struct statx *status)
{
    return statx(dirfd, "", flags, mask, status) < 0 ? -errno : 0;
}

int weft_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *status)
{
    const int known = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    bool is_known = (flags & known) == known && dirfd >= 0 && path != NULL && path[0] == '\0';
    if (is_known) {
        int err = weft__interrupted(f);
        return op_spent(err < 0 ? err : statx_now(dirfd, flags, mask, status));
    }
    struct op_request r = {
        .code = OP_STATX,
        .fd = dirfd,
        .address = path,
        .length = mask,
        .flags = (uint32_t)flags,
        .offset = (uint64_t)(uintptr_t)status,
    };
    return weft__op_run_or_call(&r);
}

int weft_unlinkat(int dirfd, const char *path, int flags)
{
    struct op_request r = {
        .code = OP_UNLINKAT,
        .fd = dirfd,
        .address = path,
        .flags = (uint32_t)flags,
    };
    return weft__op_run_or_call(&r);
}

int weft_mkdirat(int dirfd, const char *path, mode_t mode)
{
    struct op_request r = {
        .code = OP_MKDIRAT,
        .fd = dirfd,
        .address = path,
        .length = mode,
    };
    return weft__op_run_or_call(&r);
}

int weft_symlinkat(const char *target, int dirfd, const char *path)
{
    struct op_request r = {
        .code = OP_SYMLINKAT,
        .fd = dirfd,
        .address = target,
        .offset = (uint64_t)(uintptr_t)path,
    };
    return weft__op_run_or_call(&r);
}

int weft_renameat(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
    struct op_request r = {
        .code = OP_RENAMEAT,
        .fd = from_dirfd,
        .address = from,
        .length = (uint32_t)to_dirfd,
        .offset = (uint64_t)(uintptr_t)to,
    };
    return run_between(&r, to_dirfd);
}

int weft_linkat(int from_dirfd, const char *from, int to_dirfd, const char *to, int flags)
{
    struct op_request r = {
        .code = OP_LINKAT,
        .fd = from_dirfd,
        .address = from,
        .length = (uint32_t)to_dirfd,
        .flags = (uint32_t)flags,
        .offset = (uint64_t)(uintptr_t)to,
    };
    return run_between(&r, to_dirfd);
}
