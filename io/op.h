/* SPDX-License-Identifier: MIT */
/*
 * Op: one operation in flight, in terms of no backend.
 *
 * An op and the record of its wait live on the stack of the task that waits; both, and all that the
 * kernel writes to, stay until the last completion, cancelled or not. An op belongs to the poller
 * of the worker it was started on, its home: only that thread submits it, and cancels and completes
 * it, or another one that has claimed the poller meanwhile (guard.h, rescue.h).
 *
 *   IDLE --start--> IN_FLIGHT --completion--> DONE
 *                     |   '--(cancel asked: the home asks the kernel; still IN_FLIGHT)
 *                     buffers are the kernel's
 *
 * A call enters its descriptors (fd_table.h) before its first operation and leaves them after the
 * last, when its task runs again: an operation that is tried again finds the same file.
 *
 * A wait has one op, or several of which the first to complete ends the others (poll). All its
 * fields are the home's, inside the guard, until the last op is DONE and the fiber is made ready;
 * so they need no atomics.
 *
 * An op without a wait is an object's, which no task waits for (readiness.h): `event` is called for
 * each completion, inside the guard, until the last one. It must only note what has come and leave
 * the rest to a callback.
 */
#ifndef WEFT_OP_H
#define WEFT_OP_H

#include <stdint.h>

#include <weft/base.h>

#include "fiber.h"
#include "guard.h"
#include "list.h"
#include "park.h"
#include "poller.h"
#include "read_cached.h"
#include "short_write.h"
#include "transfer.h"

enum op_code {
    OP_READ,
    OP_WRITE,
    OP_READV,
    OP_WRITEV,
    OP_POLL,
    OP_ACCEPT,
    OP_CONNECT,
    OP_RECV,
    OP_SEND,
    OP_RECVMSG,
    OP_SENDMSG,
    /* from here on what a thread of the kernel does: OP_SLOW_FIRST */
    OP_FSYNC,
    OP_OPENAT,
    OP_STATX,
    OP_FALLOCATE,
    OP_FTRUNCATE,
    OP_SPLICE,
    OP_UNLINKAT,
    OP_RENAMEAT,
    OP_MKDIRAT,
    OP_LINKAT,
    OP_SYMLINKAT,
    OP_CODES,
};

/* How many weft__poll_entered can wait for. */
#define POLL_FEW 8

#define OP_SLOW_FIRST OP_FSYNC

/* Flag of an fsync: of the metadata only what is needed to read the data back. */
#define OP_DATA_ONLY 1u

/* The file position, as an offset. */
#define OP_HERE ((uint64_t)-1)

/* What is wanted, in the POSIX call's terms. */
struct op_request {
    enum op_code code;
    int fd;
    const void *address; /* buffer, iovec, msghdr, path, sockaddr; fallocate: bytes, splice: offset
                            in other_fd, both as a number */
    uint32_t length;     /* bytes, iovecs, mode, mask of a statx, the other folder of two */
    uint32_t flags;      /* of the call; events of a poll */
    uint64_t offset;     /* in the file; accept: address of the length; connect: the length; statx:
                            address of the answer; address of the second path */
    int other_fd;        /* splice: the source */
    int through;         /* > 0: the kernel is given this descriptor in place of fd */
    bool on_thread;      /* run it on a thread of the kernel: it may hold up who runs it */
    bool on_own_thread;  /* the same, and for so long that others must have threads beside it */
    bool repeats;        /* a poll: complete each time it is ready anew; if can_repeat */
};

struct op_wait;
struct pollfd;
struct op;

/* An op has completed; is_over: for the last time, and the op may be gone when this returns.
 * Context: inside the guard. */
typedef void (*op_event_fn)(struct op *op, int result, bool is_over);

struct op {
    struct list link;     /* of the backend's ops */
    struct op_wait *wait; /* NULL: nobody waits */
    union {
        op_event_fn event;                /* then */
        const struct op_request *request; /* else; stays where it is */
    };
    int fd;
    int result; /* >= 0 or -errno, once it is done */
    bool is_done;
    uint8_t thread; /* the backend's: what it may do to a thread of the kernel */
    union {
        uint16_t number;  /* the backend's: tells it from earlier ones at the same address */
        uint16_t attempt; /* or its state, where the backend makes the calls itself (attempt.h) */
    };
    union {
        uint32_t progress; /* such a backend's: bytes moved so far */
        uint32_t events;   /* or as requested, of an op without a wait */
    };
};

struct op_wait {
    struct fiber *fiber;
    uint64_t ticket;
    struct op *ops;
    unsigned count;
    unsigned pending;        /* ops in flight; one more while they are being started */
    bool is_cancelling;      /* the kernel has been asked to end those in flight */
    bool cancel_after_first; /* the first completion ends the others */
};

/* What a backend does for the operations; a poller begins with a pointer to it. */
struct op_backend {
    /* Begin. 0: its completion will come by weft__op_complete, from `wait` of the poller or from
     * here; -ENOMEM: nothing was begun; OP_ON_THREAD: nothing either, it is for a thread that may
     * wait, by `call`. */
    int (*start)(struct poller *p, struct op *op, const struct op_request *request);

    /* Ask the kernel to end an op; its completion still comes. */
    void (*cancel)(struct poller *p, struct op *op);

    /* Ask it to end all ops of this poller on a descriptor. */
    void (*cancel_fd)(struct poller *p, int fd);

    /* Whether it has operations of that code, and they can repeat; may be missing: all, none. */
    bool (*can)(const struct poller *p, enum op_code code);
    bool (*can_repeat)(const struct poller *p, enum op_code code);

    /* The descriptor is about to be closed, no call is in; it has just been opened. Context:
     * worker. Both may be missing. */
    void (*closing)(struct poller *p, int fd);
    void (*opened)(struct poller *p, int fd);

    /* Have a thread make the call. Context: task. Missing: `start` never answers OP_ON_THREAD. */
    int (*call)(struct poller *p, const struct op_request *request);
};

#define OP_ON_THREAD 1

struct fd_table;

/* The start of every poller of this layer. */
struct io_poller {
    const struct op_backend *backend;
    struct fd_table *fds; /* the runtime's */
    struct guard guard;   /* its worker enters it for whatever it does here; helpers claim it */
    bool is_woken;        /* a wake was taken off, which is for the next wait; inside the guard */
    struct read_cache cache; /* its worker's alone, outside the guard; the next, too */
    enum short_write short_write;
    void *input;          /* the worker's: INPUT_BYTES that callbacks read into; NULL: not yet */
};

/*
 * Run one operation of the current task to its end.
 * Context: task; else -EPERM     Blocks: task
 * Returns its result, or -errno: see weft/io.h.
 */
int weft__op_run(const struct op_request *request);

/* The same where the backend may lack the operation: then it is a system call that a thread of the
 * blocking pool makes (call.c). */
int weft__op_run_or_call(const struct op_request *request);

/* That call, by whatever thread may be held up (call.c). Context: task     Blocks: task */
int weft__op_call(const struct op_request *request);

/* weft__op_run in a call that has entered its descriptor. */
int weft__op_run_entered(const struct op_request *request);

/*
 * Begin a call that runs operations on several descriptors: from here to weft__op_leave_all none of
 * them is closed by weft_close, which waits.
 * Context: task
 * Returns 0, -EBADF when one is being closed, -ENOMEM; then no call was begun.
 */
int weft__op_enter_all(const struct op_request *requests, unsigned count);
void weft__op_leave_all(const struct op_request *requests, unsigned count);

/*
 * Run several, of which the first completion ends the others. The result of a poll of what nothing
 * can be told of is -EINVAL.
 * ops, requests: count of them, whose descriptors were entered
 * Context: task     Blocks: task     Returns 0 and the results in ops; -errno, or OP_ON_THREAD of
 * another than a poll: nothing was begun, or all that was has ended.
 */
int weft__op_run_first(struct op *ops, const struct op_request *requests, unsigned count);

/*
 * Wait until a descriptor that was entered is ready (poll.c).
 * Context: task     Blocks: task
 * Returns the events, of those asked for, POLLERR, POLLHUP and POLLNVAL, or -errno.
 */
int weft__wait_ready(int fd, short events);

/* poll(2) that does not wait (poll.c): how many are ready, or -errno. Context: any thread. */
int weft__poll_now(struct pollfd *fds, unsigned long count);

/*
 * Wait until one of a few descriptors, POLL_FEW at the most, that were entered is ready (poll.c).
 * Context: task     Blocks: task
 * Returns how many are, with their revents, or -errno.
 */
int weft__poll_entered(struct pollfd *fds, unsigned count);
/*
 * Begin an op that nobody waits for; its descriptor was entered.
 * Context: worker     Returns 0; -ENOMEM, -ECANCELED (weft_close is closing the descriptor), or
 * -EPERM (what kind of file it is): nothing was begun.
 */
int weft__op_begin(struct op *op, const struct op_request *request, op_event_fn event);

/* Ask the kernel to end such an op, if it is not done. p: its home. Context: as for
 * poller_ops.cancel. */
void weft__op_end(struct poller *p, struct op *op);

/*
 * The memory of the current worker that callbacks read into: one a worker, however many
 * descriptors. NULL: there is none to be had.
 * Context: a callback, until it returns
 */
#define INPUT_BYTES ((size_t)64 * 1024)
void *weft__op_input(void);

/* The result of a call that did not wait. An error lets others run if it is their turn: the call
 * may be one of a loop that goes on until they have done something. Context: task */
static inline int op_spent(int result)
{
    if (WEFT_UNLIKELY(result < 0)) {
        weft__spend();
    }
    return result;
}

/* An op has completed; wakes its task when it was the last one. Context: inside the guard. */
void weft__op_complete(struct poller *p, struct op *op, int result);

/* One that repeats has completed, and goes on. Context: inside the guard. */
static inline void op_repeat(struct op *op, int result)
{
    op->event(op, result, false);
}

/* poller_ops.cancel for every poller of this layer. */
void weft__op_cancel_task(struct poller *p, weft_task *t);

/* poller_ops.fd_of for every poller of this layer: of several the first. */
int weft__op_fd_of(const void *wait_on);

/* Ask the kernel to end all operations on a descriptor. Context: as poller_ops.cancel. */
void weft__op_cancel_fd(struct poller *p, int fd);

#endif
