/* SPDX-License-Identifier: MIT */
/*
 * Opening. The contract is in weft/io.h.
 *
 * open(2) can hold its caller up in two ways. In the file system: behind NFS (4) and FUSE it waits
 * for an answer, which a server that is away never gives. io_uring looks up what is cached and then
 * calls the file system on the submitting thread, O_NONBLOCK or not; so all opens that can get
 * there are made on a thread of the kernel: a few microseconds, against a worker with all its tasks
 * standing still for as long as the server pleases. O_PATH does not get there.
 *
 * And by what the file is: a FIFO waits for its other end, a leased file for its holder. That may
 * last for ever, and a ring has few threads. So the open is made with O_NONBLOCK first, which is
 * taken off the descriptor again, and who has to wait gets a thread of its own, beside those few:
 *
 *   a reader of a FIFO   has its descriptor already, and waits for a writer. A poll tells of one
 *                        that has written or has gone again, but not of one that is merely there;
 *                        so the FIFO is opened once more, on a thread, where open(2) waits for the
 *                        writer. That second descriptor is only a bell, and closed. It is opened
 *                        through /proc, so it is the same FIFO whatever has become of its name.
 *                        Without /proc, or a free descriptor, the poll is what there is.
 *   a writer of a FIFO   was refused with -ENXIO: nothing was opened. The call is made once more as
 *                        it was given; so is that of a leased file, after -EAGAIN.
 *
 * Nothing is done twice: a FIFO is not truncated; a lease is met before the file is cut, and none
 * is on a file that was just created; and O_EXCL, which meets neither, is tried once.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/scope.h>

#include "op.h"

#define BELL_PATH "/proc/self/fd/%d"

/* Between two looks for a writer that the bell may have missed. */
#define LOOK_MIN_NS (5 * WEFT_MS)
#define LOOK_MAX_NS (160 * WEFT_MS)

/* Asks the pipe layer alone: fstat may ask the server of a file system. */
static bool is_fifo(int fd)
{
    return fcntl(fd, F_GETPIPE_SZ) >= 0;
}

/*
 * The same where the open is made by a thread that cannot be told of what the poll would tell: a
 * writer that has come and gone before the thread opened the bell. So it is called back now and
 * then, to look.
 */
static int fifo_await_on_thread(int fd, const struct op_request *bell)
{
    int64_t pause_ns = LOOK_MIN_NS;
    for (;;) {
        struct weft_scope s;
        weft_scope_enter(&s, pause_ns);
        int result = weft__op_run_entered(bell);
        (void)weft_scope_exit(&s);
        if (result >= 0) {
            close(result);
            return 0;
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (weft__poll_now(&p, 1) > 0) {
            return 0;
        }
        if (!weft_scope_expired(&s)) {
            return result;
        }
        pause_ns = pause_ns < LOOK_MAX_NS ? 2 * pause_ns : pause_ns;
    }
}

/* The reading end of a FIFO is open, and entered: wait until there is, or has been, a writer. */
static int fifo_await_writer(int fd)
{
    char path[sizeof BELL_PATH + 3 * sizeof fd];
    snprintf(path, sizeof path, BELL_PATH, fd);
    struct op_request requests[2] = {
        {.code = OP_POLL, .fd = fd, .flags = POLLIN},
        {
            .code = OP_OPENAT,
            .fd = fd,
            .address = path,
            .flags = O_RDONLY | O_CLOEXEC,
            .on_own_thread = true,
        },
    };
    unsigned count = 2;
    for (;;) {
        struct op ops[2] = {{.is_done = false}, {.is_done = false}};
        int err = weft__op_run_first(ops, requests, count);
        if (err == OP_ON_THREAD) {
            return fifo_await_on_thread(fd, &requests[1]);
        }
        bool is_told = ops[0].is_done && ops[0].result > 0;
        if (ops[1].is_done && ops[1].result >= 0) {
            close(ops[1].result);
            is_told = true;
        }
        if (is_told || err < 0) {
            return is_told ? 0 : err;
        }
        if (ops[0].result < 0 && ops[0].result != -ECANCELED) {
            return ops[0].result;
        }
        /* -EINTR, -ECANCELED: the next round knows whether the task was meant. */
        if (ops[1].result != -EINTR && ops[1].result != -ECANCELED) {
            count = 1;
        }
    }
}

static int fifo_wait(int fd)
{
    struct op_request r = {.fd = fd};
    int err = weft__op_enter_all(&r, 1);
    if (err == 0) {
        err = fifo_await_writer(fd);
        weft__op_leave_all(&r, 1);
    }
    if (err < 0) {
        close(fd);
        return err;
    }
    return fd;
}

/* Open without waiting, and where that is refused once more, as it was asked for. */
static int open_entered(struct op_request *r)
{
    uint32_t flags = r->flags;
    r->flags = flags | O_NONBLOCK;
    int fd = weft__op_run_entered(r);
    if (fd == -EAGAIN || (fd == -ENXIO && (flags & O_ACCMODE) == O_WRONLY)) {
        r->flags = flags;
        r->on_own_thread = true;
        fd = weft__op_run_entered(r);
    } else if (fd >= 0) {
        (void)fcntl(fd, F_SETFL, (int)flags);
    }
    return fd;
}

int weft_openat(int dirfd, const char *path, int flags, mode_t mode)
{
    struct op_request r = {
        .code = OP_OPENAT,
        .fd = dirfd,
        .address = path,
        .length = mode,
        .flags = (uint32_t)(flags | O_CLOEXEC),
        .on_thread = (flags & (O_NONBLOCK | O_PATH)) == 0,
    };
    bool is_new = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
    if (!r.on_thread || is_new) {
        return weft__op_run(&r);
    }
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    int fd = weft__op_enter_all(&r, 1);
    if (fd == 0) {
        fd = open_entered(&r);
        weft__op_leave_all(&r, 1);
    }
    bool is_reader = (flags & O_ACCMODE) == O_RDONLY;
    return fd >= 0 && is_reader && is_fifo(fd) ? fifo_wait(fd) : fd;
}
