/* SPDX-License-Identifier: MIT */
/*
 * The trials. Each submits an operation or two that must wait, makes the awaited thing happen,
 * looks at the completions, and settles: whatever is still armed is cancelled and its last
 * completion awaited, so that the next trial, and the ring's user, start from an idle ring.
 *
 * An emulation may accept anything and answer nothing. Hence every wait has a limit, and the memory
 * that a receive is pointed at is static: should an operation never end, nothing that matters is
 * overwritten later.
 *
 * Numbers above 0 that a trial returns mean: the kernel answered, and the answer is no.
 */
#include "probe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* How long a completion that is due may take. All take microseconds; a machine that is swapping
   must not look like a kernel without io_uring. */
#define WEFT_PROBE_LIMIT_NS (2 * WEFT_SECOND)

/* The length of the timed wait that is tried. */
#define WEFT_PROBE_WAIT_NS (20 * WEFT_US)

/* Submits that a trial makes where the kernel has no memory for one, and the pause between: 50 ms,
   as long as a burst of others may take. */
#define WEFT_PROBE_TRIES 50u
#define WEFT_PROBE_PAUSE_NS (1 * WEFT_MS)

/* Completions that a trial looks at before it gives up on one it wants. */
#define WEFT_PROBE_CQES 16

/* user_data: a trial's operations have 1 ... WEFT_PROBE_OPS, its cancels WEFT_PROBE_CANCEL. */
#define WEFT_PROBE_OPS 2u
#define WEFT_PROBE_CANCEL 100u

/* A trial's answer "no". */
#define WEFT_PROBE_NO 1

/* The buffer group of the trial of multishot_recv, and the size of its two parts. */
#define WEFT_PROBE_GROUP 0
#define WEFT_PROBE_PAGE 4096u

static const struct {
    unsigned opcode;
    const char *name;
} required[] = {
    {IORING_OP_NOP, "NOP"},           {IORING_OP_READV, "READV"},
    {IORING_OP_WRITEV, "WRITEV"},     {IORING_OP_FSYNC, "FSYNC"},
    {IORING_OP_POLL_ADD, "POLL_ADD"}, {IORING_OP_POLL_REMOVE, "POLL_REMOVE"},
    {IORING_OP_SENDMSG, "SENDMSG"},   {IORING_OP_RECVMSG, "RECVMSG"},
    {IORING_OP_ACCEPT, "ACCEPT"},     {IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
    {IORING_OP_CONNECT, "CONNECT"},   {IORING_OP_OPENAT, "OPENAT"},
    {IORING_OP_CLOSE, "CLOSE"},       {IORING_OP_STATX, "STATX"},
    {IORING_OP_READ, "READ"},         {IORING_OP_WRITE, "WRITE"},
    {IORING_OP_SEND, "SEND"},         {IORING_OP_RECV, "RECV"},
};

/* What pending receives write to, and nobody reads. */
static char sink[WEFT_PROBE_OPS];

struct trial {
    struct ring *r;
    unsigned in_flight;      /* operations whose last completion has not come */
    struct io_uring_cqe cqe; /* the completion looked at */
};

static int64_t clock_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

/* An SQE, to be filled and passed to trial_submit. There is room: the one before is submitted. */
static struct io_uring_sqe *trial_sqe(struct trial *t)
{
    struct io_uring_sqe *sqe = ring_sqe(t->r);
    WEFT_ASSERT(sqe != NULL);
    t->in_flight++;
    return sqe;
}

/* The kernel has no memory to submit: leave it a moment. Returns false when it has had enough. */
static bool trial_pause(unsigned *tries)
{
    static const struct timespec pause = {.tv_nsec = WEFT_PROBE_PAUSE_NS};
    if (++*tries >= WEFT_PROBE_TRIES) {
        return false;
    }
    (void)nanosleep(&pause, NULL);
    return true;
}

/* The SQE is filled: name it and hand it over. Returns 0 or -ENOMEM. */
static int trial_submit(struct trial *t, struct io_uring_sqe *sqe, uint64_t id)
{
    unsigned tries = 0;
    sqe->user_data = id;
    ring_publish(t->r);
    while (weft__ring_submit(t->r) != 0) {
        if (!trial_pause(&tries)) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* The next completion, into t->cqe. Returns 0, or WEFT_PROBE_NO when none comes. */
static int trial_next(struct trial *t)
{
    int64_t deadline_ns = clock_ns() + WEFT_PROBE_LIMIT_NS;
    const struct io_uring_cqe *cqe;
    int64_t for_ns = WEFT_PROBE_LIMIT_NS;
    while ((cqe = ring_peek(t->r)) == NULL) {
        if (for_ns <= 0) {
            return WEFT_PROBE_NO;
        }
        (void)!weft__ring_wait(t->r, for_ns);
        for_ns = deadline_ns - clock_ns(); /* before the look: this process may stand still */
    }
    t->cqe = *cqe;
    ring_advance(t->r, 1);
    if ((t->cqe.flags & IORING_CQE_F_MORE) == 0) {
        t->in_flight--;
    }
    return 0;
}

/* The next completion of operation `id`; others are passed over. */
static int trial_await(struct trial *t, uint64_t id)
{
    for (int i = 0; i < WEFT_PROBE_CQES; i++) {
        int err = trial_next(t);
        if (err != 0 || t->cqe.user_data == id) {
            return err;
        }
    }
    return WEFT_PROBE_NO;
}

/* End what is still armed. Returns 0, -ENOMEM, or -ENOSYS when something will not end. */
static int trial_settle(struct trial *t)
{
    if (t->in_flight == 0) {
        return 0;
    }
    for (uint64_t id = 1; id <= WEFT_PROBE_OPS; id++) {
        struct io_uring_sqe *sqe = trial_sqe(t);
        io_uring_prep_cancel64(sqe, id, 0);
        int err = trial_submit(t, sqe, WEFT_PROBE_CANCEL);
        if (err != 0) {
            return err;
        }
    }
    for (int i = 0; i < WEFT_PROBE_CQES && t->in_flight > 0; i++) {
        if (trial_next(t) != 0) {
            break;
        }
    }
    return t->in_flight == 0 ? 0 : -ENOSYS;
}

/* A wait with a limit ends when that is reached. Returns 0 or -errno. */
static int try_timed_wait(struct ring *r)
{
    int ret = -EINTR;
    unsigned tries = 0;
    for (int i = 0; i < WEFT_PROBE_CQES && ret == -EINTR; i++) {
        struct __kernel_timespec limit = {.tv_nsec = WEFT_PROBE_WAIT_NS};
        struct io_uring_getevents_arg arg = {.ts = (uint64_t)(uintptr_t)&limit};
        ret = weft__ring_enter(r, 0, 1, IORING_ENTER_GETEVENTS | r->wait_flags, &arg);
        if (ret == -EINVAL && r->wait_flags != 0) {
            r->wait_flags = 0; /* the features word promised too much */
            r->features.no_iowait = false;
            ret = -EINTR;
        } else if (ret == -EAGAIN || ret == -EBUSY || ret == -ENOMEM) {
            ret = trial_pause(&tries) ? -EINTR : -ENOMEM;
        }
    }
    return ret == -ETIME || ret == -EINTR ? 0 : ret < 0 ? ret : -ENOSYS;
}

/* A receive waits for data, and has it. */
static int try_recv(struct trial *t, const int pair[2])
{
    struct io_uring_sqe *sqe = trial_sqe(t);
    io_uring_prep_recv(sqe, pair[0], sink, 1, 0);
    int err = trial_submit(t, sqe, 1);
    if (err != 0) {
        return err;
    }
    if (write(pair[1], "x", 1) != 1) {
        return WEFT_PROBE_NO;
    }
    err = trial_await(t, 1);
    return err != 0 ? err : t->cqe.res == 1 ? 0 : WEFT_PROBE_NO;
}

/* A cancel finds a receive that waits. */
static int try_cancel(struct trial *t, const int pair[2])
{
    struct io_uring_sqe *sqe = trial_sqe(t);
    io_uring_prep_recv(sqe, pair[0], sink, 1, 0);
    int err = trial_submit(t, sqe, 1);
    if (err != 0) {
        return err;
    }
    sqe = trial_sqe(t);
    io_uring_prep_cancel64(sqe, 1, 0);
    err = trial_submit(t, sqe, WEFT_PROBE_CANCEL);
    if (err != 0) {
        return err;
    }
    err = trial_await(t, 1);
    return err != 0 ? err : t->cqe.res == -ECANCELED ? 0 : WEFT_PROBE_NO;
}

/* A cancel by descriptor finds all that wait on it, and says how many. */
static int try_cancel_fd(struct trial *t, const int pair[2])
{
    for (unsigned id = 1; id <= WEFT_PROBE_OPS; id++) {
        struct io_uring_sqe *sqe = trial_sqe(t);
        io_uring_prep_recv(sqe, pair[0], &sink[id - 1], 1, 0);
        int err = trial_submit(t, sqe, id);
        if (err != 0) {
            return err;
        }
    }
    struct io_uring_sqe *sqe = trial_sqe(t);
    io_uring_prep_cancel_fd(sqe, pair[0], IORING_ASYNC_CANCEL_ALL);
    int err = trial_submit(t, sqe, WEFT_PROBE_CANCEL);
    if (err != 0) {
        return err;
    }
    err = trial_await(t, WEFT_PROBE_CANCEL);
    return err != 0 ? err : t->cqe.res == (int)WEFT_PROBE_OPS ? 0 : WEFT_PROBE_NO;
}

/* One poll reports one event after the other, though the counter is never read. */
static int try_multishot_poll(struct trial *t, const int pair[2])
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    (void)pair;
    struct io_uring_sqe *sqe = trial_sqe(t);
    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    int err = trial_submit(t, sqe, 1);
    for (int i = 0; i < 2 && err == 0; i++) {
        if (eventfd_write(fd, 1) != 0) {
            err = WEFT_PROBE_NO;
            break;
        }
        err = trial_await(t, 1);
        if (err == 0 && (t->cqe.res <= 0 || (t->cqe.flags & IORING_CQE_F_MORE) == 0)) {
            err = WEFT_PROBE_NO;
        }
    }
    (void)close(fd);
    return err;
}

/* A listening socket with a name of the kernel's choice, or -errno. */
static int listener(struct sockaddr_un *name, socklen_t *name_bytes)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    *name_bytes = sizeof(*name);
    if (bind(fd, (struct sockaddr *)name, sizeof(sa_family_t)) != 0 || listen(fd, 2) != 0 ||
        getsockname(fd, (struct sockaddr *)name, name_bytes) != 0) {
        int err = -errno;
        (void)close(fd);
        return err;
    }
    return fd;
}

/* One accept takes one connection after the other. */
static int try_multishot_accept(struct trial *t, const int pair[2])
{
    struct sockaddr_un name;
    socklen_t name_bytes = 0;
    int fd = listener(&name, &name_bytes);
    if (fd < 0) {
        return WEFT_PROBE_NO; /* no such sockets here: then without */
    }
    (void)pair;
    struct io_uring_sqe *sqe = trial_sqe(t);
    io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
    int err = trial_submit(t, sqe, 1);
    for (int i = 0; i < 2 && err == 0; i++) {
        int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (peer < 0 || connect(peer, (struct sockaddr *)&name, name_bytes) != 0) {
            err = WEFT_PROBE_NO;
        }
        if (err == 0) {
            err = trial_await(t, 1);
        }
        if (err == 0 && t->cqe.res >= 0) {
            (void)close(t->cqe.res);
        }
        if (err == 0 && (t->cqe.res < 0 || (t->cqe.flags & IORING_CQE_F_MORE) == 0)) {
            err = WEFT_PROBE_NO;
        }
        if (peer >= 0) {
            (void)close(peer);
        }
    }
    (void)close(fd);
    return err;
}

/* One receive fills one provided buffer after the other. `page`: the ring of two, then the two. */
static int try_multishot_recv_with(struct trial *t, const int pair[2], char *page)
{
    struct io_uring_buf_ring *ring = (struct io_uring_buf_ring *)(void *)page;
    char *buffers = page + WEFT_PROBE_PAGE / 2;
    io_uring_buf_ring_init(ring);
    io_uring_buf_ring_add(ring, buffers, 1, 0, io_uring_buf_ring_mask(2), 0);
    io_uring_buf_ring_add(ring, buffers + 1, 1, 1, io_uring_buf_ring_mask(2), 1);
    io_uring_buf_ring_advance(ring, 2);
    struct io_uring_sqe *sqe = trial_sqe(t);
    io_uring_prep_recv_multishot(sqe, pair[0], NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = WEFT_PROBE_GROUP;
    int err = trial_submit(t, sqe, 1);
    for (int i = 0; i < 2 && err == 0; i++) {
        const unsigned wanted = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE;
        if (write(pair[1], "x", 1) != 1) {
            return WEFT_PROBE_NO;
        }
        err = trial_await(t, 1);
        if (err == 0 && (t->cqe.res != 1 || (t->cqe.flags & wanted) != wanted)) {
            err = WEFT_PROBE_NO;
        }
    }
    return err;
}

static int try_multishot_recv(struct trial *t, const int pair[2])
{
    char *page =
        mmap(NULL, WEFT_PROBE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return -errno;
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)page,
        .ring_entries = 2,
        .bgid = WEFT_PROBE_GROUP,
    };
    int err = WEFT_PROBE_NO;
    if (io_uring_register_buf_ring(&t->r->uring, &reg, 0) == 0) {
        err = try_multishot_recv_with(t, pair, page);
        int unsettled = trial_settle(t);
        if (unsettled != 0) {
            return unsettled; /* the kernel may still write there: the page stays */
        }
        (void)io_uring_unregister_buf_ring(&t->r->uring, WEFT_PROBE_GROUP);
    }
    (void)munmap(page, WEFT_PROBE_PAGE);
    return err;
}

/*
 * One trial on a pair of connected sockets of its own, settled. Returns 0: it can; WEFT_PROBE_NO;
 * -errno: the ring is of no use.
 */
static int trial_run(struct ring *r, int (*try)(struct trial *t, const int pair[2]))
{
    struct trial t = {.r = r};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return -errno;
    }
    int err = try(&t, pair);
    int unsettled = trial_settle(&t);
    (void)close(pair[0]);
    (void)close(pair[1]);
    return unsettled != 0 ? unsettled : err;
}

/* Ask for the opcodes. Returns 0 or -errno. */
static int probe_opcodes(struct ring *r)
{
    union {
        struct io_uring_probe head;
        char
            bytes[sizeof(struct io_uring_probe) + WEFT_OP_COUNT * sizeof(struct io_uring_probe_op)];
    } answer;

    memset(&answer, 0, sizeof(answer));
    int err = io_uring_register_probe(&r->uring, &answer.head, WEFT_OP_COUNT);
    if (err < 0) {
        return err;
    }
    memset(r->features.ops, 0, sizeof(r->features.ops));
    for (unsigned i = 0; i < answer.head.ops_len; i++) {
        const struct io_uring_probe_op *op = &answer.head.ops[i];
        if ((op->flags & IO_URING_OP_SUPPORTED) != 0) {
            r->features.ops[op->op / 64] |= UINT64_C(1) << (op->op % 64);
        }
    }
    return 0;
}

/* A trial that could not be made. */
static int trial_failed(const char *what, int err, char *why, size_t why_bytes)
{
    if (err == -EMFILE || err == -ENFILE) {
        (void)snprintf(why, why_bytes, "no descriptor left to try io_uring with (%s); raise the "
                       "limit (ulimit -n) or close some", strerrordesc_np(-err));
    } else {
        (void)snprintf(why, why_bytes, "io_uring does not work here: it cannot %s (error %d)", what,
                       -err);
    }
    return err;
}

/* What cannot be done without, by trying. */
static int probe_required(struct ring *r, char *why, size_t why_bytes)
{
    static const struct {
        int (*try)(struct trial *t, const int pair[2]);
        const char *name;
    } trials[] = {
        {try_recv, "receive from a socket"},
        {try_cancel, "cancel a receive"},
    };

    int err = try_timed_wait(r);
    if (err != 0) {
        (void)snprintf(why, why_bytes,
                       "io_uring does not work here: it cannot wait with a limit (error %d)", -err);
        return err == -ENOMEM ? -ENOMEM : -ENOSYS;
    }
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        err = trial_run(r, trials[i].try);
        if (err != 0) {
            return trial_failed(trials[i].name, err < 0 ? err : -ENOSYS, why, why_bytes);
        }
    }
    return 0;
}

/* What has a fallback, by trying. */
static int probe_optional(struct ring *r, char *why, size_t why_bytes)
{
    struct ring_features *f = &r->features;

    const struct {
        bool *has;
        unsigned disabled_by;
        int (*try)(struct trial *t, const int pair[2]);
    } trials[] = {
        {&f->multishot_poll, WEFT_RING_WITHOUT_MULTISHOT_POLL, try_multishot_poll},
        {&f->multishot_accept, WEFT_RING_WITHOUT_MULTISHOT_ACCEPT, try_multishot_accept},
        {&f->multishot_recv, WEFT_RING_WITHOUT_MULTISHOT_RECV, try_multishot_recv},
        {&f->cancel_fd, WEFT_RING_WITHOUT_CANCEL_FD, try_cancel_fd},
    };

    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        *trials[i].has = false;
        if ((r->disabled & trials[i].disabled_by) != 0) {
            continue;
        }
        int err = trial_run(r, trials[i].try);
        if (err < 0) {
            return trial_failed("be tried", err, why, why_bytes);
        }
        *trials[i].has = err == 0;
    }
    return 0;
}

int weft__probe(struct ring *r, char *why, size_t why_bytes)
{
    WEFT_ASSERT(ring_unsubmitted(r) == 0 && ring_pending(r) == 0);
    if (why_bytes > 0) {
        why[0] = '\0';
    }
    int err = probe_opcodes(r);
    if (err != 0) {
        (void)snprintf(why, why_bytes, "io_uring does not tell what it can do (error %d)", -err);
        return -ENOSYS;
    }
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (!weft__ring_supports(r, required[i].opcode)) {
            (void)snprintf(why, why_bytes,
                           "io_uring is too old here (no %s): Linux 5.15 or newer is needed",
                           required[i].name);
            return -ENOSYS;
        }
    }
    err = probe_required(r, why, why_bytes);
    if (err == 0) {
        err = probe_optional(r, why, why_bytes);
    }
    if (err != 0) {
        return err;
    }
    r->features.cqe_skip = (r->uring.features & IORING_FEAT_CQE_SKIP) != 0 &&
                           (r->disabled & WEFT_RING_WITHOUT_CQE_SKIP) == 0;
    r->features.is_probed = true;
    return 0;
}
