/* SPDX-License-Identifier: MIT */
/*
 * Moving bytes through pipes; the contract is in weft/file.h.
 *
 * splice(2) waits for a pipe that is empty or full. In a ring it does so on a thread of the kernel,
 * which it keeps for as long as that takes. So it is called with SPLICE_F_NONBLOCK, and a pipe or
 * socket that is not ready is waited for as by weft_poll. What is left to wait for then:
 *
 *   two pipes          nothing, it is all memory: a plain call on the worker
 *   a pipe and a file  the disk: a thread of the kernel, as for other calls on files
 *   a socket to a pipe nothing, unless somebody else has taken what was there: a thread of its own
 *   a pipe to a socket room, when the socket is blocking. The kernel waits for that with the pipe's
 *                      lock held, and whoever touches the pipe, workers that only submit a write to
 *                      it too, waits for the lock. So no more is moved at a time than a socket that
 *                      is ready for writing has room for.
 *
 * While it waits it watches both sides, so that weft_close of either ends it. A file cannot be
 * watched: it is left, and entered again, and so may be closed meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <weft/io.h>

#include "op.h"

enum side_kind {
    SIDE_PIPE,
    SIDE_SOCKET,
    SIDE_FILE,
    SIDE_DEVICE, /* anything else; some can be watched */
};

struct side {
    int fd;
    off_t *offset;
    enum side_kind kind;
};

struct move {
    struct side from;
    struct side to;
    size_t n;
    unsigned flags;
    bool is_tee;
    int left; /* the descriptor that is not entered any more; -1: none */
};

/* Whether nobody at the other end can hold a call up that does not wait for pipes. */
static bool side_is_quick(const struct side *s)
{
    return s->kind == SIDE_PIPE || s->kind == SIDE_FILE;
}

/* Apart, as are the other system calls here: errno is the thread's. */
static WEFT_NOINLINE enum side_kind side_kind(int fd)
{
    struct statx status;
    int err = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status);
    if (err < 0 || S_ISREG(status.stx_mode) || S_ISBLK(status.stx_mode) ||
        S_ISDIR(status.stx_mode)) {
        return SIDE_FILE;
    }
    return S_ISFIFO(status.stx_mode)   ? SIDE_PIPE
           : S_ISSOCK(status.stx_mode) ? SIDE_SOCKET
                                       : SIDE_DEVICE;
}

static WEFT_NOINLINE ssize_t move_now(const struct move *m, unsigned flags)
{
    ssize_t n = m->is_tee ? tee(m->from.fd, m->to.fd, m->n, flags)
                          : splice(m->from.fd, m->from.offset, m->to.fd, m->to.offset, m->n, flags);
    return n < 0 ? -errno : n;
}

/* By the ring; the offsets are ours to move on. */
static ssize_t move_by_ring(const struct move *m, unsigned flags)
{
    off_t *from = m->from.offset;
    off_t *to = m->to.offset;
    struct op_request r = {
        .code = OP_SPLICE,
        .fd = m->to.fd,
        .address = (const void *)(uintptr_t)(from != NULL ? (uint64_t)*from : OP_HERE),
        .length = transfer_length(m->n),
        .flags = flags,
        .offset = to != NULL ? (uint64_t)*to : OP_HERE,
        .other_fd = m->from.fd,
        .on_own_thread = !side_is_quick(&m->from) || !side_is_quick(&m->to),
    };
    ssize_t n = weft__op_run_entered(&r);
    if (n > 0 && from != NULL) {
        *from += n;
    }
    if (n > 0 && to != NULL) {
        *to += n;
    }
    return n;
}

/* What the kernel refuses, and what the ring would take for something else: splice(2) says why. */
static bool move_is_odd(const struct move *m)
{
    bool has_pipe = m->from.kind == SIDE_PIPE || m->to.kind == SIDE_PIPE;
    bool is_negative = (m->from.offset != NULL && *m->from.offset < 0) ||
                       (m->to.offset != NULL && *m->to.offset < 0);
    return !has_pipe || is_negative || m->is_tee;
}

/* What a socket that is ready for writing has room for: it is ready when a third of its buffer is
 * free, some kinds a quarter; and the kernel's records take room, too. */
static WEFT_NOINLINE size_t socket_room(int fd)
{
    int bytes = 0;
    socklen_t size = sizeof bytes;
    bool is_known = getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) == 0 && bytes >= 8;
    return is_known ? (size_t)bytes / 8 : 1;
}

static ssize_t move_to_socket(const struct move *m, unsigned flags)
{
    struct pollfd to = {.fd = m->to.fd, .events = POLLOUT};
    int ready = weft__poll_now(&to, 1);
    if (ready <= 0) {
        return ready < 0 ? ready : -EAGAIN;
    }
    struct move some = *m;
    size_t room = socket_room(m->to.fd);
    some.n = m->n < room ? m->n : room;
    return move_by_ring(&some, flags);
}

static ssize_t move_once(const struct move *m)
{
    unsigned flags = m->flags | SPLICE_F_NONBLOCK;
    bool is_memory = m->from.kind == SIDE_PIPE && m->to.kind == SIDE_PIPE;
    if (is_memory || move_is_odd(m)) {
        return move_now(m, flags);
    }
    return m->to.kind == SIDE_SOCKET ? move_to_socket(m, flags) : move_by_ring(m, flags);
}

/* Wait for one side while the other, which cannot be watched, is left. As weft__poll_entered. */
static int move_await_alone(struct move *m, struct pollfd *awaited, int other)
{
    struct op_request r = {.fd = other};
    weft__op_leave_all(&r, 1);
    m->left = other;
    int ready = weft__poll_entered(awaited, 1);
    int err = ready < 0 ? ready : weft__op_enter_all(&r, 1);
    if (err < 0) {
        return err;
    }
    m->left = -1;
    return ready;
}

/* Wait for what is missing: input first, room after that. 0, or an error. */
static int move_await(struct move *m)
{
    struct pollfd both[2] = {
        {.fd = m->from.fd, .events = POLLIN},
        {.fd = m->to.fd, .events = POLLOUT},
    };
    int ready = weft__poll_now(both, 2);
    if (ready < 0 || (both[0].revents != 0 && both[1].revents != 0)) {
        return ready < 0 ? ready : 0;
    }
    unsigned awaited = both[0].revents == 0 ? 0 : 1;
    const struct side *other = awaited == 0 ? &m->to : &m->from;
    if (other->kind == SIDE_PIPE || other->kind == SIDE_SOCKET) {
        both[1 - awaited].events = 0; /* to see that it breaks, or is closed */
        ready = weft__poll_entered(both, 2);
    } else {
        ready = move_await_alone(m, &both[awaited], other->fd);
    }
    bool is_broken = (both[1].revents & (POLLERR | POLLHUP)) != 0 && both[0].revents == 0;
    return ready < 0 ? ready : is_broken ? -EPIPE : 0;
}

static ssize_t move_entered(struct move *m)
{
    ssize_t n = move_once(m);
    while (n == -EAGAIN && (m->flags & SPLICE_F_NONBLOCK) == 0) {
        int err = move_await(m);
        if (err < 0) {
            return err;
        }
        n = move_once(m);
    }
    return n;
}

static ssize_t move_run(struct move *m)
{
    struct op_request both[2] = {{.fd = m->from.fd}, {.fd = m->to.fd}};
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    ssize_t n = weft__interrupted(f);
    if (n == 0) {
        n = weft__op_enter_all(both, 2);
    }
    if (n < 0) {
        weft__spend();
        return n;
    }
    m->from.kind = side_kind(m->from.fd);
    m->to.kind = side_kind(m->to.fd);
    n = move_entered(m);
    both[0].fd = both[0].fd == m->left ? -1 : both[0].fd;
    both[1].fd = both[1].fd == m->left ? -1 : both[1].fd;
    weft__op_leave_all(both, 2);
    weft__spend();
    return n;
}

ssize_t weft_splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t n,
                    unsigned flags)
{
    struct move m = {
        .from = {.fd = from, .offset = from_offset},
        .to = {.fd = to, .offset = to_offset},
        .n = n,
        .flags = flags,
        .left = -1,
    };
    return move_run(&m);
}

ssize_t weft_tee(int from, int to, size_t n, unsigned flags)
{
    struct move m = {
        .from = {.fd = from},
        .to = {.fd = to},
        .n = n,
        .flags = flags,
        .left = -1,
        .is_tee = true,
    };
    return move_run(&m);
}
