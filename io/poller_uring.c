/* SPDX-License-Identifier: MIT */
/*
 * The io_uring poller: one ring a worker, one enter a turn.
 *
 * A wake is a write to an eventfd that one multishot poll watches for the life of the ring. Its
 * counter is never read: each write is an edge, and it cannot overflow in centuries.
 *
 * Ops in flight are kept in lists by descriptor, for weft_close: it has to end those on one
 * descriptor, and a cancel by file would take those on its duplicates along. Those that the kernel
 * was asked to end are in a list of their own, until they have.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "completed.h"
#include "fd_table.h"
#include "feature_switch.h"
#include "op.h"
#include "refusal.h"
#include "relief.h"
#include "ring.h"
#include "uring_shared.h"
#include "want_of_descriptor.h"

/* Lists of ops in flight: 256 of them, 4 KiB, keep a close short among 10,000 idle connections. */
#define OP_LISTS 256

/* Tries to get an SQE when the kernel has no memory to take those before it. */
#define SQE_TRIES 64

/* What a worker whose kernel is out of memory leaves it to recover. */
#define BACKOFF_NS (1 * WEFT_MS)

/*
 * Pauses before a cancel that the kernel found nothing for is asked for again: the first, and after
 * doubling the last. What is between two queues is there for microseconds; what a disk is at, which
 * the kernel does not find either, for as long as the disk takes.
 */
#define AGAIN_MIN_NS (20 * WEFT_US)
#define AGAIN_MAX_NS (20 * WEFT_MS)

/* What an op does to threads of the kernel; 0: nothing. */
enum {
    THREAD_SLOW = 1, /* needs one of the usual ones, for a moment or, who knows, for good */
    THREAD_OWN,      /* keeps one of its own for long */
};

struct uring_poller {
    struct io_poller base; /* first */
    struct ring ring;
    int wake_fd;
    bool is_wake_armed;
    unsigned own_threads;  /* ops in flight that may each keep a thread for long */
    struct relief relief;  /* for the others that need one */
    unsigned more_threads; /* what the pool has been given for them */
    uint16_t number;    /* of the last op */
    bool is_cancel_due;   /* of some op in `asked` */
    int64_t cancel_at_ns; /* but not before; 0: now */
    int64_t again_ns;     /* the last pause before asking again; 0: there was none */
    struct list asked;    /* ops that the kernel is to end; they are in no other list */
    _Atomic(int64_t) due_ns; /* when the poller itself has something to do; a hint, see below */
    struct list ops[OP_LISTS];
};

static struct uring_poller *uring_of(struct poller *p)
{
    return (struct uring_poller *)(void *)p;
}

static const uint8_t uring_opcode[OP_CODES] = {
    [OP_READ] = IORING_OP_READ,       [OP_WRITE] = IORING_OP_WRITE,
    [OP_READV] = IORING_OP_READV,     [OP_WRITEV] = IORING_OP_WRITEV,
    [OP_FSYNC] = IORING_OP_FSYNC,     [OP_OPENAT] = IORING_OP_OPENAT,
    [OP_POLL] = IORING_OP_POLL_ADD,   [OP_ACCEPT] = IORING_OP_ACCEPT,
    [OP_CONNECT] = IORING_OP_CONNECT, [OP_RECV] = IORING_OP_RECV,
    [OP_SEND] = IORING_OP_SEND,       [OP_RECVMSG] = IORING_OP_RECVMSG,
    [OP_SENDMSG] = IORING_OP_SENDMSG, [OP_STATX] = IORING_OP_STATX,
    [OP_SPLICE] = IORING_OP_SPLICE,   [OP_UNLINKAT] = IORING_OP_UNLINKAT,
    [OP_MKDIRAT] = IORING_OP_MKDIRAT, [OP_RENAMEAT] = IORING_OP_RENAMEAT,
    [OP_LINKAT] = IORING_OP_LINKAT,   [OP_SYMLINKAT] = IORING_OP_SYMLINKAT,
    [OP_FTRUNCATE] = WEFT_OP_FTRUNCATE, [OP_FALLOCATE] = IORING_OP_FALLOCATE,
};

_Static_assert(OP_DATA_ONLY == IORING_FSYNC_DATASYNC, "the flag of an fsync is the kernel's");

static unsigned uring_reap(struct uring_poller *u);

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

/* A free SQE, making room when there is none; NULL when the kernel has no memory. */
static struct io_uring_sqe *uring_sqe(struct uring_poller *u)
{
    struct io_uring_sqe *sqe = ring_sqe(&u->ring);
    for (unsigned i = 0; WEFT_UNLIKELY(sqe == NULL) && i < SQE_TRIES; i++) {
        if (weft__ring_submit(&u->ring) < 0) {
            (void)uring_reap(u);
            sched_yield();
        }
        sqe = ring_sqe(&u->ring);
    }
    return sqe;
}

/* Let the pool of threads have as many more than its own as there are ops that may keep one for
 * long, and as relief. Context: owner; who has claimed the poller only counts. */
static void uring_set_threads(struct uring_poller *u)
{
    unsigned more = u->own_threads + u->relief.more;
    if (WEFT_UNLIKELY(more != u->more_threads)) {
        u->more_threads = more;
        weft__ring_add_threads(&u->ring, more);
    }
}

/* An op needs a thread of the kernel. */
static void uring_thread_begun(struct uring_poller *u, struct op *op, const struct op_request *r,
                               struct io_uring_sqe *sqe)
{
    op->thread = r->on_own_thread ? THREAD_OWN : THREAD_SLOW;
    if (r->on_own_thread) {
        u->own_threads++;
        uring_set_threads(u);
    } else {
        relief_begun(&u->relief);
    }
    if (r->on_thread || r->on_own_thread) {
        sqe->flags = IOSQE_ASYNC;
    }
}

static void uring_thread_ended(struct uring_poller *u, const struct op *op)
{
    if (op->thread == THREAD_OWN) {
        u->own_threads--;
    } else {
        relief_ended(&u->relief);
    }
}

/* Look whether the threads of slow ops are stuck. Returns in how long to look again. */
static int64_t uring_relieve(struct uring_poller *u)
{
    if (WEFT_LIKELY(u->relief.in_flight == 0 && u->relief.more == 0)) {
        return WEFT_FOREVER;
    }
    int64_t now_ns = clock_ns();
    unsigned before = u->relief.more;
    struct io_uring_sqe *sqe = NULL;
    if (weft__relief_look(&u->relief, now_ns) && u->relief.more > before) {
        uring_set_threads(u);
        sqe = uring_sqe(u);
    }
    if (sqe != NULL) {
        sqe->opcode = IORING_OP_NOP;
        sqe->flags = IOSQE_ASYNC;
        sqe->user_data = TAG_NOBODY;
        ring_publish(&u->ring);
    }
    return relief_in(&u->relief, now_ns);
}

static bool uring_can_repeat(const struct poller *p, enum op_code code)
{
    const struct ring_features *f = &((const struct uring_poller *)(const void *)p)->ring.features;
    return code == OP_ACCEPT ? f->multishot_accept : code == OP_POLL && f->multishot_poll;
}

static void uring_repeat(const struct uring_poller *u, enum op_code code, struct io_uring_sqe *sqe)
{
    if (!uring_can_repeat((const struct poller *)(const void *)u, code)) {
        return;
    }
    if (code == OP_ACCEPT) {
        sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    } else {
        sqe->len = IORING_POLL_ADD_MULTI;
    }
}

static int uring_start(struct poller *p, struct op *op, const struct op_request *r)
{
    struct uring_poller *u = uring_of(p);
    struct io_uring_sqe *sqe = uring_sqe(u);
    if (WEFT_UNLIKELY(sqe == NULL)) {
        return -ENOMEM;
    }
    sqe->opcode = uring_opcode[r->code];
    sqe->fd = WEFT_UNLIKELY(r->through > 0) ? r->through : r->fd;
    sqe->off = r->offset;
    sqe->addr = (uint64_t)(uintptr_t)r->address;
    sqe->len = r->length;
    sqe->rw_flags = (__kernel_rwf_t)r->flags; /* a union: the flags of each opcode */
    sqe->splice_fd_in = r->other_fd;
    if (WEFT_UNLIKELY(r->repeats)) {
        uring_repeat(u, r->code, sqe);
    }
    if (WEFT_UNLIKELY(r->code >= OP_SLOW_FIRST)) {
        uring_thread_begun(u, op, r, sqe);
    }
    op->number = ++u->number;
    sqe->user_data = user_data_of(op);
    list_push_back(&u->ops[(unsigned)op->fd % OP_LISTS], &op->link);
    ring_publish(&u->ring);
    return 0;
}

/* Ask the kernel to end what has this user_data. False: no SQE can be had now. */
static bool uring_ask_cancel(struct uring_poller *u, uint64_t user_data)
{
    struct io_uring_sqe *sqe = ring_sqe(&u->ring);
    /* Who has claimed the poller cannot submit: the ring is its worker's. */
    bool may_submit = weft__poller_current() == (struct poller *)(void *)u;
    if (sqe == NULL && may_submit && weft__ring_submit(&u->ring) == 0) {
        sqe = ring_sqe(&u->ring);
    }
    if (sqe == NULL) {
        return false; /* not reaped here: the caller walks over ops in flight */
    }
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = user_data;
    sqe->user_data = TAG_NOBODY;
    ring_publish(&u->ring);
    return true;
}

/*
 * Note for uring_ready, which the worker calls outside the guard, where another may have claimed
 * the poller: when the poll for wakes is to be armed, a cancel asked for, or relief given. 0: now.
 */
static void uring_note_due(struct uring_poller *u)
{
    int64_t due = u->is_cancel_due ? u->cancel_at_ns : WEFT_FOREVER;
    if (WEFT_UNLIKELY(relief_is_due(&u->relief)) && u->relief.due_ns < due) {
        due = u->relief.due_ns;
    }
    /* ORD none: a hint; who misses it asks again inside the guard before it sleeps. */
    atomic_store_relaxed(&u->due_ns, u->is_wake_armed ? due : 0);
}

static void uring_cancel(struct poller *p, struct op *op)
{
    struct uring_poller *u = uring_of(p);
    list_remove(&op->link);
    if (list_empty(&u->asked)) {
        u->again_ns = 0; /* what was missed before has ended */
    }
    list_push_back(&u->asked, &op->link);
    if (!uring_ask_cancel(u, user_data_of(op))) {
        u->is_cancel_due = true;
        u->cancel_at_ns = 0;
        uring_note_due(u);
    }
}

/*
 * The kernel did not find an op. It has ended, and is gone from the list; or was on its way from
 * one of the kernel's queues to another (a connect that waits for room in a listener's queue is
 * tried a hundred times before a thread of the kernel takes it); or is with a disk, until that is
 * done with it. So ask again, for all, since nothing tells which it was; at once the first time,
 * and ever later, as the disk may take its time.
 */
static void uring_cancel_missed(struct uring_poller *u)
{
    if (u->is_cancel_due || list_empty(&u->asked)) {
        return;
    }
    u->is_cancel_due = true;
    u->cancel_at_ns = u->again_ns == 0 ? 0 : clock_ns() + u->again_ns;
    int64_t longer = u->again_ns == 0 ? AGAIN_MIN_NS : 2 * u->again_ns;
    u->again_ns = longer < AGAIN_MAX_NS ? longer : AGAIN_MAX_NS;
}

/* How long until cancels are to be asked for; <= 0: now. */
static int64_t uring_cancel_in(const struct uring_poller *u)
{
    if (WEFT_LIKELY(!u->is_cancel_due)) {
        return WEFT_FOREVER;
    }
    return u->cancel_at_ns == 0 ? 0 : u->cancel_at_ns - clock_ns();
}

/* Ask again: there was no SQE, or the kernel did not find some op. */
static void uring_cancel_due(struct uring_poller *u)
{
    u->is_cancel_due = false;
    u->cancel_at_ns = 0;
    struct list *l = u->asked.next;
    while (l != &u->asked && !u->is_cancel_due) {
        struct op *op = WEFT_CONTAINER(l, struct op, link);
        u->is_cancel_due = !uring_ask_cancel(u, user_data_of(op));
        l = l->next;
    }
}

static void uring_cancel_fd(struct poller *p, int fd)
{
    struct list *head = &uring_of(p)->ops[(unsigned)fd % OP_LISTS];
    struct list *next;
    for (struct list *l = head->next; l != head; l = next) {
        struct op *op = WEFT_CONTAINER(l, struct op, link);
        next = l->next;
        if (op->fd == fd) {
            uring_cancel(p, op);
        }
    }
}

static bool uring_can(const struct poller *p, enum op_code code)
{
    const struct uring_poller *u = (const struct uring_poller *)(const void *)p;
    return weft__ring_supports(&u->ring, uring_opcode[code]);
}

static const struct op_backend uring_backend = {
    .start = uring_start,
    .cancel = uring_cancel,
    .cancel_fd = uring_cancel_fd,
    .can = uring_can,
    .can_repeat = uring_can_repeat,
};

/* Watch the eventfd, for good where the kernel can. */
static void uring_arm_wake(struct uring_poller *u)
{
    struct io_uring_sqe *sqe = uring_sqe(u);
    if (sqe == NULL) {
        return; /* the next turn tries again */
    }
    if (!u->ring.features.multishot_poll) {
        uint64_t count;
        (void)!read(u->wake_fd, &count, sizeof count); /* or the poll would fire at once */
    }
    io_uring_prep_poll_add(sqe, u->wake_fd, POLLIN);
    sqe->len = u->ring.features.multishot_poll ? IORING_POLL_ADD_MULTI : 0;
    sqe->user_data = TAG_WAKE;
    ring_publish(&u->ring);
    u->is_wake_armed = true;
}

static int uring_result(int res)
{
    bool is_restart = res <= -WEFT_KERNEL_RESTART_FIRST && res >= -WEFT_KERNEL_RESTART_LAST;
    return WEFT_UNLIKELY(is_restart) ? -EINTR : res;
}

/* Deliver what is in the completion queue. Returns how many there were. */
static unsigned uring_reap(struct uring_poller *u)
{
    unsigned count = ring_pending(&u->ring);
    completed_fetch_first(&u->ring, u->base.fds, count);
    for (unsigned i = 0; i < count; i++) {
        completed_fetch(&u->ring, u->base.fds, count - i);
        const struct io_uring_cqe *cqe = ring_cqe_at(&u->ring, 0);
        uint64_t tag = cqe->user_data;
        int result = cqe->res;
        uint32_t flags = cqe->flags;
        ring_advance(&u->ring, 1);
        struct op *op = user_data_op(tag);
        if (WEFT_LIKELY(op != NULL)) {
            if (WEFT_UNLIKELY((flags & IORING_CQE_F_MORE) != 0)) {
                op_repeat(op, uring_result(result));
                continue;
            }
            if (WEFT_UNLIKELY(op->thread != 0)) {
                uring_thread_ended(u, op);
            }
            weft__op_complete((struct poller *)(void *)u, op, uring_result(result));
        } else if (tag == TAG_WAKE) {
            u->base.is_woken = true;
            u->is_wake_armed = (flags & IORING_CQE_F_MORE) != 0;
        } else if (tag == TAG_NOBODY && result == -ENOENT) {
            uring_cancel_missed(u);
        }
    }
    uring_note_due(u);
    return count;
}

static bool uring_ready(struct poller *p)
{
    struct uring_poller *u = uring_of(p);
    if (ring_unsubmitted(&u->ring) != 0 || ring_ready(&u->ring)) {
        return true;
    }
    int64_t due = atomic_load_relaxed(&u->due_ns); /* ORD none: a hint */
    return WEFT_UNLIKELY(due != WEFT_FOREVER) && (due == 0 || clock_ns() >= due);
}

/*
 * A wait that has to arm the poll for wakes does not sleep: its caller has published that it does,
 * may have been sent a wake, and to arm the poll takes that off the eventfd. Nor does one whose
 * wake has been reaped: by a helper, which claimed the poller as the wait was about to begin, or to
 * make room for an SQE. Who comes back without a completion looks at everything again.
 */
static void uring_wait(struct poller *p, int64_t for_ns)
{
    struct uring_poller *u = uring_of(p);
    guard_enter(&u->base.guard);
    uring_set_threads(u);
    bool was_armed = u->is_wake_armed;
    if (WEFT_UNLIKELY(!was_armed)) {
        uring_arm_wake(u);
    }
    int64_t cancel_in = uring_cancel_in(u);
    if (WEFT_UNLIKELY(cancel_in <= 0)) {
        uring_cancel_due(u);
        cancel_in = u->is_cancel_due ? 0 : WEFT_FOREVER;
    }
    int64_t relief_in_ns = uring_relieve(u);
    int64_t limit = !was_armed ? 0 : cancel_in < for_ns ? cancel_in : for_ns;
    limit = relief_in_ns < limit ? relief_in_ns : limit;
    int rc = weft__ring_wait(&u->ring, u->base.is_woken ? 0 : limit);
    unsigned count = uring_reap(u);
    u->base.is_woken = false; /* the caller is about to look at everything */
    bool is_refused = rc < 0 || !u->is_wake_armed || cancel_in == 0;
    if (WEFT_UNLIKELY(is_refused && count == 0 && for_ns != 0)) {
        struct timespec t = {0, BACKOFF_NS};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
    }
    guard_leave(&u->base.guard);
}

static bool uring_pending(struct poller *p)
{
    const struct uring_poller *u = uring_of(p);
    bool has_any = !list_empty(&u->asked);
    for (unsigned i = 0; i < OP_LISTS && !has_any; i++) {
        has_any = !list_empty(&u->ops[i]);
    }
    return has_any;
}

static void uring_kick(struct poller *p)
{
    weft__ring_kick(&uring_of(p)->ring);
}

static bool uring_behind(struct poller *p)
{
    const struct uring_poller *u = uring_of(p);
    return ring_ready(&u->ring) || ring_unsubmitted(&u->ring) != 0;
}

static bool uring_claim(struct poller *p)
{
    return weft__guard_claim(&uring_of(p)->base.guard);
}

static void uring_unclaim(struct poller *p)
{
    guard_unclaim(&uring_of(p)->base.guard);
}

static unsigned uring_harvest(struct poller *p)
{
    return uring_reap(uring_of(p));
}

static void uring_wake(struct poller *p)
{
    static const uint64_t one = 1;
    (void)!write(uring_of(p)->wake_fd, &one, sizeof one);
}

/* Threads that the kernel makes for this ring inherit the worker's CPU; let them run anywhere. */
static void uring_spread_kernel_threads(struct uring_poller *u)
{
    cpu_set_t set;
    if (sched_getaffinity(getpid(), sizeof set, &set) == 0) {
        (void)io_uring_register_iowq_aff(&u->ring.uring, sizeof set, &set);
    }
}

static int uring_create(struct poller **out, const struct poller_config *config, char *why,
                        size_t why_bytes)
{
    struct feature_switch off;
    int err = weft__feature_switch(&off, why, why_bytes);
    if (err < 0) {
        return err;
    }
    if (weft__uring_kills(why, why_bytes)) {
        return -EPERM;
    }
    struct uring_poller *u = aligned_alloc(WEFT_CACHE_LINE, sizeof *u);
    if (u == NULL) {
        snprintf(why, why_bytes, "no memory for a poller");
        return -ENOMEM;
    }
    memset(u, 0, sizeof *u);
    u->base.backend = &uring_backend;
    struct uring_shared *shared = config->shared;
    u->base.fds = shared->fds;
    fd_table_begin(u->base.fds, config->worker_count);
    list_init(&u->asked);
    for (unsigned i = 0; i < OP_LISTS; i++) {
        list_init(&u->ops[i]);
    }
    struct ring_options options = {.entries = config->entries, .disable = off.disable};
    err = weft__uring_shared_ring(shared, &u->ring, &options, why, why_bytes);
    if (err < 0) {
        free(u);
        return err;
    }
    u->ring.features.ops[0] &= ~off.ops;
    u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (u->wake_fd < 0) {
        err = -errno;
        explain_want_of_descriptor("descriptor to wake a worker with", err, why, why_bytes);
        weft__ring_fini(&u->ring);
        free(u);
        return err;
    }
    if (config->pin_workers) {
        uring_spread_kernel_threads(u);
    }
    uring_arm_wake(u);
    uring_note_due(u);
    *out = (struct poller *)(void *)u;
    return 0;
}

/* End the poll for wakes; the ring is then empty. */
static void uring_finish(struct poller *p)
{
    struct uring_poller *u = uring_of(p);
    guard_enter(&u->base.guard); /* for good */
    bool is_asked = u->is_wake_armed && uring_ask_cancel(u, TAG_WAKE);
    while (is_asked && u->is_wake_armed) {
        int rc = weft__ring_wait(&u->ring, BACKOFF_NS);
        (void)rc; /* whatever it was, the next round tries again */
        (void)uring_reap(u);
    }
    weft__ring_fini(&u->ring);
}

static void uring_release(struct poller *p)
{
    struct uring_poller *u = uring_of(p);
    if (u->wake_fd >= 0) {
        close(u->wake_fd);
        u->wake_fd = -1;
    }
}

static void uring_destroy(struct poller *p)
{
    uring_release(p);
    free(uring_of(p)->base.input);
    free(p);
}

static void uring_counters(const struct poller *p, struct poller_counters *out)
{
    const struct uring_poller *u = (const struct uring_poller *)(const void *)p;
    out->enters = ring_enter_count(&u->ring);
    out->sqes = ring_sqe_count(&u->ring);
    out->cqes = ring_cqe_count(&u->ring);
}

static void uring_about(const struct poller *p, struct crash_text *text)
{
    weft__ring_about(&((const struct uring_poller *)(const void *)p)->ring, text);
}

const struct poller_ops weft__poller_uring = {
    .name = "io_uring",
    .shared_create = weft__uring_shared_create,
    .shared_destroy = weft__uring_shared_destroy,
    .create = uring_create,
    .finish = uring_finish,
    .release = uring_release,
    .destroy = uring_destroy,
    .ready = uring_ready,
    .wait = uring_wait,
    .wake = uring_wake,
    .cancel = weft__op_cancel_task,
    .fd_of = weft__op_fd_of,
    .pending = uring_pending,
    .kick = uring_kick,
    .behind = uring_behind,
    .claim = uring_claim,
    .unclaim = uring_unclaim,
    .harvest = uring_harvest,
    .counters = uring_counters,
    .about = uring_about,
};
