/* SPDX-License-Identifier: MIT */
/*
 * Operations on files as system calls of a thread of the blocking pool, where the backend lacks the
 * operation: an ftruncate before Linux 6.9.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blocking.h"
#include "op.h"

/* Whether what the C library's functions must be given is NULL; the kernel answers EFAULT. */
static bool is_faulty(const struct op_request *r)
{
    switch (r->code) {
    case OP_UNLINKAT:
    case OP_MKDIRAT:
        return r->address == NULL;
    case OP_STATX:
    case OP_RENAMEAT:
    case OP_LINKAT:
    case OP_SYMLINKAT:
        return r->address == NULL || r->offset == 0;
    default:
        return false;
    }
}

/* The system call of a request: its result, or -1 and errno. */
static int call_make(const struct op_request *r)
{
    const char *path = r->address;
    const char *other = (const char *)(uintptr_t)r->offset;
    if (is_faulty(r)) {
        errno = EFAULT;
        return -1;
    }
    switch (r->code) {
    case OP_FSYNC:
        return r->flags != 0 ? fdatasync(r->fd) : fsync(r->fd);
    case OP_STATX:
        return statx(r->fd, path, (int)r->flags, r->length, (struct statx *)(uintptr_t)r->offset);
    case OP_FALLOCATE:
        return fallocate(r->fd, (int)r->length, (off_t)r->offset, (off_t)(uintptr_t)r->address);
    case OP_FTRUNCATE:
        return ftruncate(r->fd, (off_t)r->offset);
    case OP_UNLINKAT:
        return unlinkat(r->fd, path, (int)r->flags);
    case OP_RENAMEAT:
        return renameat(r->fd, path, (int)r->length, other);
    case OP_MKDIRAT:
        return mkdirat(r->fd, path, r->length);
    case OP_LINKAT:
        return linkat(r->fd, path, (int)r->length, other, (int)r->flags);
    case OP_SYMLINKAT:
        return symlinkat(path, r->fd, other);
    default:
        errno = ENOSYS;
        return -1;
    }
}

struct call {
    const struct op_request *request;
    int result;
};

/* On a thread. */
static void *call_run(void *arg)
{
    struct call *c = arg;
    int result = call_make(c->request);
    c->result = result < 0 ? -errno : result;
    return NULL;
}

int weft__op_call(const struct op_request *request)
{
    int err = weft__interrupted(weft__fiber_current());
    if (err == 0) {
        err = weft__op_enter_all(request, 1);
    }
    if (err < 0) {
        return op_spent(err);
    }
    struct call call = {.request = request};
    int result = weft__run_blocking("file call", call_run, &call, NULL);
    result = result < 0 ? result : call.result;
    weft__op_leave_all(request, 1);
    return op_spent(result);
}
