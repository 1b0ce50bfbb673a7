/* SPDX-License-Identifier: MIT */
/*
 * Thread calls; see thread_call.h.
 *
 * Pairs
 *   P1  make: waits, acq_rel CAS  -> whoever reads it: acquire     the pool
 */
#include "thread_call.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weft/future.h>
#include <weft/task.h>

#include "blocking.h"

/* Openings of FIFOs and the like that can last at a time; more wait for one of them. */
#define WAITS_MAX 1024

#define CALL_NAME "a call on a file"

static ssize_t call_splice(const struct op_request *r)
{
    off_t from = (off_t)(uintptr_t)r->address;
    off_t to = (off_t)r->offset;
    return splice(r->other_fd, (uint64_t)from == OP_HERE ? NULL : &from, r->fd,
                  (uint64_t)to == OP_HERE ? NULL : &to, r->length, r->flags);
}

/* The system call: its result, or -1 and errno. */
static ssize_t call_make(const struct op_request *r)
{
    struct iovec one = {(void *)(uintptr_t)r->address, r->length};
    switch (r->code) {
    case OP_READ:
        return preadv2(r->fd, &one, 1, (off_t)r->offset, 0);
    case OP_WRITE:
        return pwritev2(r->fd, &one, 1, (off_t)r->offset, 0);
    case OP_READV:
        return preadv2(r->fd, r->address, (int)r->length, (off_t)r->offset, 0);
    case OP_WRITEV:
        return pwritev2(r->fd, r->address, (int)r->length, (off_t)r->offset, 0);
    case OP_FSYNC:
        return r->flags != 0 ? fdatasync(r->fd) : fsync(r->fd);
    case OP_OPENAT:
        if (r->address == NULL) {
            errno = EFAULT; /* the C library's function must not be given that */
            return -1;
        }
        return openat(r->fd, r->address, (int)r->flags, (mode_t)r->length);
    case OP_SPLICE:
        return call_splice(r);
    default:
        errno = EINVAL;
        return -1;
    }
}

static void *call_run(void *arg)
{
    ssize_t n = call_make(arg);
    int result = n < 0 ? -errno : (int)n;
    return result < 0 ? weft_fail(result) : (void *)(intptr_t)result;
}

/* NULL: no memory. */
static weft_pool *waits_of(struct thread_calls *t)
{
    weft_pool *pool = atomic_load_acquire(&t->waits); /* ORD P1: the pool */
    if (pool != NULL) {
        return pool;
    }
    struct weft_pool_options options = {.name = "weft-waits", .threads_max = WAITS_MAX};
    weft_pool *made;
    if (weft_pool_create(&options, &made) < 0) {
        return NULL;
    }
    /* ORD P1: of two who make one, one stays. */
    if (!atomic_cas_acq_rel(&t->waits, &pool, made)) {
        (void)weft_pool_close(made);
        return pool;
    }
    return made;
}

int weft__thread_call(struct thread_calls *t, const struct op_request *request)
{
    void *arg = (void *)(uintptr_t)request;
    void *result = NULL;
    int err;
    if (!request->on_own_thread) {
        err = weft__run_blocking(CALL_NAME, call_run, arg, &result);
        return err < 0 ? err : (int)(intptr_t)result;
    }
    struct weft_blocking_options options = {
        .pool = waits_of(t),
        .name = CALL_NAME,
        .interruptible = true,
    };
    if (options.pool == NULL) {
        return -ENOMEM;
    }
    /* The job is ours until it has ended: it is never let go. */
    err = weft_join(weft_submit_blocking_with(&options, call_run, arg), &result);
    return err < 0 ? err : (int)(intptr_t)result;
}

void weft__thread_calls_fini(struct thread_calls *t)
{
    weft_pool *pool = atomic_load_acquire(&t->waits); /* ORD P1: the pool */
    if (pool != NULL) {
        (void)weft_pool_close(pool);
    }
}
