/* SPDX-License-Identifier: MIT */
/*
 * Ring set-up and the system call. The protocol, and the pairs, are in ring.h.
 *
 * What an enter may answer, and what it means here
 *   n >= 0    n SQEs were consumed. If n is short of what was asked for, nothing was waited for: an
 *             allocation failed behind the n-th, or (no SUBMIT_ALL) the n-th was bad, or a handler
 *             had submitted some before the kernel looked. The rest stays published: call again.
 *             A result n > 0 hides how the wait ended: hence "look, and call again".
 *   -EINTR    a signal came while waiting. Never restarted by the kernel, SA_RESTART or not.
 *   -ETIME    time is up.
 *   -EAGAIN   no memory for the first request, nothing consumed. -ENOMEM (the thread's first enter
 *             allocates) is taken for the same.
 *   -EBUSY    5.15 refuses to submit while completions wait for room in the CQ.
 *   -EBADR    a completion was lost: see I4.
 *   the rest  (EBADF, EEXIST, EFAULT, EINVAL, ...) a defect: ours; a use by another thread or by a
 *             forked child; or somebody has closed a descriptor that was not his.
 *
 * The wait is cut short by nothing else: on a DEFER_TASKRUN ring the kernel, when entered, first
 * runs what was deferred, then looks at the CQ itself, then sleeps.
 *
 * Memory. Kernels from 6.14 on charge rings to RLIMIT_MEMLOCK, for all processes of the user
 * together. A ring that is closed, or that could not be completed, gives its charge back only
 * later, from a kernel thread; so the smallest size is tried a few times with a pause before giving
 * up.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ring_restriction.h"
#include "sanitize.h"

/*
 * CQEs for each SQE. A multishot operation has one SQE and many CQEs, and operations outlive the
 * turn that submitted them, so the CQ has to be deeper than the SQ; but it need not hold all that
 * is in flight, as an overflown CQ loses nothing (I4) and costs an allocation a completion. With 4
 * the default CQ is 16 KiB, half of a first-level cache, through which it cycles. With 2, bursts of
 * a server of a thousand connections overflow; 8 costs 4 pages of locked memory more.
 */
#define WEFT_RING_CQ_FACTOR 4u

/* Entries a caller can ask for. At 4096 the SQEs alone are 256 KiB; the kernel's limit is 32768. */
#define WEFT_RING_ENTRIES_MAX 4096u

/* The smallest ring tried: 32 SQEs and 128 CQEs take a page each; there is no less than that. */
#define WEFT_RING_ENTRIES_MIN 32u

/* Tries of the smallest ring, and the pause between: together four times the longest delay seen
   between closing a ring and getting its memory back (50 ms). */
#define WEFT_RING_ROOM_TRIES 20
#define WEFT_RING_ROOM_PAUSE_NS (10 * WEFT_MS)

/*
 * Kernel threads a ring's owner may have for requests that block: bounded (regular files and block
 * devices) and unbounded (everything else; the kernel's own limit is RLIMIT_NPROC). The runtime has
 * a pool for blocking calls, these are for stalls that cannot be seen beforehand. With half, a
 * stalled disk's reads soon stand in front of another's; double is paid for in threads, times the
 * number of workers.
 */
#define WEFT_RING_BOUNDED_WORKERS 4u
#define WEFT_RING_UNBOUNDED_WORKERS 8u

/* Enters in one weft__ring_submit. Each consumes at least one SQE or ends the call; without
   SUBMIT_ALL a batch of bad SQEs would need one each, and the rest is the next call's. */
#define WEFT_RING_SUBMIT_TRIES 64

#define SYSCTL_DISABLED "/proc/sys/kernel/io_uring_disabled"

_Static_assert(sizeof(_Atomic(uint32_t)) == sizeof(unsigned), "ring words are unsigned");
_Static_assert(sizeof(struct io_uring_sqe) == 64, "an SQE is a cache line");

/* One set of flags of the fallback chain, and the switches that take it out of the chain. */
struct ring_rung {
    unsigned flags;
    unsigned disabled_by;
};

static const struct ring_rung rungs[] = {
    {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
        .disabled_by =
            WEFT_RING_WITHOUT_DEFER | WEFT_RING_WITHOUT_TASKRUN_FLAG | WEFT_RING_WITHOUT_SUBMIT_ALL,
    },
    {
        .flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
        .disabled_by =
            WEFT_RING_WITHOUT_COOP | WEFT_RING_WITHOUT_TASKRUN_FLAG | WEFT_RING_WITHOUT_SUBMIT_ALL,
    },
    {.flags = 0, .disabled_by = 0},
};

/* The one cast of a plain word to an atomic one: ring memory belongs to the kernel's types. */
static _Atomic(uint32_t) *ring_word(unsigned *word)
{
    return (_Atomic(uint32_t) *)word;
}

/* The value of kernel.io_uring_disabled, or -1 where there is no such thing. */
static int sysctl_disabled(void)
{
    char digit = 0;
    int fd = open(SYSCTL_DISABLED, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = read(fd, &digit, 1);
    (void)close(fd);
    return n == 1 && digit >= '0' && digit <= '9' ? digit - '0' : -1;
}

static void explain_eperm(char *why, size_t why_bytes)
{
    int disabled = sysctl_disabled();
    if (disabled == 1) {
        (void)snprintf(why, why_bytes,
                       "io_uring is kept for privileged processes (sysctl kernel.io_uring_disabled "
                       "is 1): set it to 0, or put the user in the group kernel.io_uring_group");
    } else if (disabled > 1) {
        (void)snprintf(why, why_bytes,
                       "io_uring is switched off on this machine (sysctl kernel.io_uring_disabled "
                       "is %d): set it to 0",
                       disabled);
    } else {
        (void)snprintf(why, why_bytes,
                       "io_uring is refused (EPERM), most likely by a container's seccomp profile: "
                       "allow io_uring_setup, io_uring_enter and io_uring_register in it");
    }
}

static void explain_enomem(char *why, size_t why_bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        (void)snprintf(why, why_bytes, "the kernel has no memory for a ring of %u entries (ENOMEM)",
                       WEFT_RING_ENTRIES_MIN);
        return;
    }
    (void)snprintf(
        why, why_bytes,
        "no locked memory for even the smallest ring (ENOMEM): RLIMIT_MEMLOCK is %llu KiB "
        "for all rings of this user; raise it (ulimit -l, systemd LimitMEMLOCK=, docker "
        "--ulimit memlock=)",
        (unsigned long long)limit.rlim_cur / 1024);
}

static void explain_files(int err, char *why, size_t why_bytes)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (err == -ENFILE) {
        (void)snprintf(why, why_bytes,
                       "the system has no file left for a ring (ENFILE): raise sysctl fs.file-max");
    } else {
        (void)snprintf(why, why_bytes,
                       "the process has no descriptor left for a ring (EMFILE): RLIMIT_NOFILE is "
                       "%llu; raise it (ulimit -n) or close some",
                       (unsigned long long)limit.rlim_cur);
    }
}

/* One line for people: why a ring could not be had, and what to do. */
static void explain(int err, char *why, size_t why_bytes)
{
    switch (err) {
    case -EPERM:
        explain_eperm(why, why_bytes);
        break;
    case -EACCES:
        (void)snprintf(why, why_bytes,
                       "io_uring is refused by a security module's policy (EACCES): allow this "
                       "program the io_uring class in it");
        break;
    case -ENOSYS:
        (void)snprintf(why, why_bytes,
                       "there is no io_uring here (ENOSYS): a container's seccomp profile or a "
                       "sandbox hides it (allow io_uring_setup, io_uring_enter and "
                       "io_uring_register), or the kernel lacks CONFIG_IO_URING");
        break;
    case -ENOMEM:
    case -EAGAIN:
        explain_enomem(why, why_bytes);
        break;
    case -EMFILE:
    case -ENFILE:
        explain_files(err, why, why_bytes);
        break;
    case -EINVAL:
        (void)snprintf(why, why_bytes,
                       "the kernel, or what emulates it, takes none of the ring flags (EINVAL): "
                       "Linux 5.15 or newer is needed");
        break;
    default:
        (void)snprintf(why, why_bytes, "io_uring_setup failed with error %d", -err);
        break;
    }
}

/* A ring of these sizes with the best rung that the kernel takes, or -errno. */
static int setup_walk(struct ring *r, unsigned entries)
{
    int err = -EINVAL;
    for (size_t i = 0; i < sizeof(rungs) / sizeof(rungs[0]) && err == -EINVAL; i++) {
        if ((rungs[i].disabled_by & r->disabled) != 0) {
            continue;
        }
        bool is_free = (r->disabled & WEFT_RING_WITHOUT_RESTRICTIONS) != 0;
        struct io_uring_params params = {
            .flags = rungs[i].flags | IORING_SETUP_CQSIZE | (is_free ? 0 : IORING_SETUP_R_DISABLED),
            .cq_entries = entries * WEFT_RING_CQ_FACTOR,
        };
        err = io_uring_queue_init_params(entries, &r->uring, &params);
    }
    return err;
}

/* The same, with smaller sizes where memory is refused. */
static int setup_shrink(struct ring *r, unsigned entries)
{
    static const struct timespec pause = {.tv_nsec = WEFT_RING_ROOM_PAUSE_NS};
    unsigned least = entries < WEFT_RING_ENTRIES_MIN ? entries : WEFT_RING_ENTRIES_MIN;
    for (int tries = 0;;) {
        int err = setup_walk(r, entries);
        if (err != -ENOMEM && err != -EAGAIN) {
            return err;
        }
        if (entries / 2 >= least) {
            entries /= 2;
        } else if (++tries < WEFT_RING_ROOM_TRIES) {
            (void)nanosleep(&pause, NULL);
        } else {
            return err;
        }
    }
}

/* The same, and restricted if the kernel knows that. */
static int setup_ring(struct ring *r, unsigned entries)
{
    int err = -EINVAL;
    if ((r->disabled & WEFT_RING_WITHOUT_RESTRICTIONS) == 0) {
        err = setup_shrink(r, entries);
        if (err == 0) {
            err = weft__ring_restrict(r);
            if (err == 0) {
                return 0;
            }
            io_uring_queue_exit(&r->uring);
            err = -EINVAL;
        }
        r->disabled |= WEFT_RING_WITHOUT_RESTRICTIONS;
        r->features.restricted = false;
    }
    return err == -EINVAL ? setup_shrink(r, entries) : err;
}

/* Take over what liburing has mapped. */
static void ring_bind(struct ring *r)
{
    struct io_uring_sq *sq = &r->uring.sq;
    struct io_uring_cq *cq = &r->uring.cq;
    r->sqes = sq->sqes;
    r->cqes = cq->cqes;
    r->sq_head = ring_word(sq->khead);
    r->sq_tail = ring_word(sq->ktail);
    r->sq_flags = ring_word(sq->kflags);
    r->sq_dropped = ring_word(sq->kdropped);
    r->cq_head = ring_word(cq->khead);
    r->cq_tail = ring_word(cq->ktail);
    r->cq_lost = ring_word(cq->koverflow);
    r->sq_entries = *sq->kring_entries;
    r->cq_entries = *cq->kring_entries;
    /* Slot i of the SQ is SQE i, for good: the kernel's indirection is not used. */
    for (unsigned i = 0; i < r->sq_entries; i++) {
        sq->array[i] = i;
    }
}

void weft__ring_add_threads(struct ring *r, unsigned more)
{
    unsigned workers[2] = {WEFT_RING_BOUNDED_WORKERS + more, WEFT_RING_UNBOUNDED_WORKERS + more};
    (void)io_uring_register_iowq_max_workers(&r->uring, workers);
}

/* What makes the ring faster or safer, and may be refused without harm. */
static void ring_tune(struct ring *r)
{
    struct ring_features *f = &r->features;
    unsigned flags = r->uring.flags;
    f->defer_taskrun = (flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    f->coop_taskrun = (flags & IORING_SETUP_COOP_TASKRUN) != 0;
    f->taskrun_flag = (flags & IORING_SETUP_TASKRUN_FLAG) != 0;
    f->submit_all = (flags & IORING_SETUP_SUBMIT_ALL) != 0;
    f->no_iowait = (r->uring.features & WEFT_FEAT_NO_IOWAIT) != 0 &&
                   (r->disabled & WEFT_RING_WITHOUT_NO_IOWAIT) == 0 &&
                   (!f->is_probed || f->no_iowait);
    r->wait_flags = f->no_iowait ? WEFT_ENTER_NO_IOWAIT : 0;
    r->enter_fd = r->uring.ring_fd;
    /* A thread has 16 slots for this; without one the plain descriptor does. */
    if ((r->disabled & WEFT_RING_WITHOUT_REGISTERED_FD) == 0 &&
        io_uring_register_ring_fd(&r->uring) == 1) {
        f->registered_fd = true;
        r->enter_fd = r->uring.enter_ring_fd;
        r->enter_flags = IORING_ENTER_REGISTERED_RING;
    }
    (void)io_uring_ring_dontfork(&r->uring);
    weft__ring_add_threads(r, 0);
}

/* Features that this file is built upon; the opcodes are the probe's business. */
static const char *missing_feature(const struct ring *r)
{
    unsigned has = r->uring.features;
    if ((has & IORING_FEAT_NODROP) == 0) {
        return "completions that do not fit are dropped";
    }
    if ((has & IORING_FEAT_SUBMIT_STABLE) == 0) {
        return "arguments of a request must outlive its submission";
    }
    if ((has & IORING_FEAT_EXT_ARG) == 0 || (r->disabled & WEFT_RING_WITHOUT_EXT_ARG) != 0) {
        return "waiting with a time limit";
    }
    return NULL;
}

int weft__ring_init(struct ring *r, const struct ring_options *options, char *why, size_t why_bytes)
{
    unsigned entries = options->entries != 0 ? options->entries : WEFT_RING_ENTRIES;
    if (entries > WEFT_RING_ENTRIES_MAX) {
        entries = WEFT_RING_ENTRIES_MAX;
    }
    if (why_bytes > 0) {
        why[0] = '\0';
    }
    memset(r, 0, sizeof(*r));
    r->disabled = options->disable;
    int err = setup_ring(r, entries);
    if (err != 0) {
        explain(err, why, why_bytes);
        return err == -EAGAIN ? -ENOMEM : err;
    }
    sanitize_memory_comes();
    const char *missing = missing_feature(r);
    if (missing != NULL) {
        (void)snprintf(why, why_bytes,
                       "io_uring is too old here (%s): Linux 5.15 or newer is needed", missing);
        sanitize_memory_goes();
        io_uring_queue_exit(&r->uring);
        return -ENOSYS;
    }
    if (options->probed != NULL) {
        bool is_restricted = r->features.restricted;
        r->features = *options->probed;
        r->features.registered_fd = false;
        r->features.restricted = is_restricted;
    }
    ring_bind(r);
    ring_tune(r);
    return 0;
}

void weft__ring_fini(struct ring *r)
{
    /* ORD none: last written in a system call of this thread. */
    WEFT_ASSERT(atomic_load_relaxed(r->sq_dropped) == 0);
    sanitize_memory_goes();
    /* Gives the registered descriptor back too; that alone would keep the ring alive. */
    io_uring_queue_exit(&r->uring);
    r->enter_fd = -1;
    r->enter_flags = 0;
}

bool weft__ring_supports(const struct ring *r, unsigned opcode)
{
    return opcode < WEFT_OP_COUNT && (r->features.ops[opcode / 64] >> (opcode % 64) & 1) != 0;
}

int weft__ring_enter(const struct ring *r, unsigned to_submit, unsigned min_complete,
                     unsigned flags, struct io_uring_getevents_arg *arg)
{
    if (arg != NULL) {
        flags |= IORING_ENTER_EXT_ARG;
    }
    return io_uring_enter2((unsigned)r->enter_fd, to_submit, min_complete, flags | r->enter_flags,
                           (sigset_t *)(void *)arg, arg != NULL ? sizeof(*arg) : _NSIG / 8);
}

/* An answer that no caller can do anything about. */
__attribute__((noreturn, cold)) static void ring_enter_failed(int err)
{
    char text[160];
    (void)snprintf(text, sizeof(text),
                   "io_uring_enter answered %d (EBADF: something closed the ring's descriptor; "
                   "EEXIST: not the ring's owner; EBADR: a completion is lost)",
                   -err);
    weft__check_failed("io_uring_enter takes what the ring publishes", text, __FILE__, __LINE__);
}

/* Sort the answers of an enter into 0, -EAGAIN and -EBUSY; the rest ends the process. */
static int ring_answer(const struct ring *r, int ret)
{
    /* ORD none: written by the kernel on the way to the list that this thread's enter has just
       looked at; if not seen now, then after the next. */
    WEFT_REQUIRE(atomic_load_relaxed(r->cq_lost) == 0,
                 "the kernel ran out of memory and lost a completion");
    if (WEFT_LIKELY(ret >= 0)) {
        return 0;
    }
    switch (ret) {
    case -EINTR:
    case -ETIME:
        return 0;
    case -EAGAIN:
    case -ENOMEM:
        return -EAGAIN;
    case -EBUSY:
        return -EBUSY;
    default:
        ring_enter_failed(ret);
    }
}

/* One more in a counter of which the caller is the only writer. */
static void counter_increment(_Atomic(uint64_t) *counter)
{
    /* ORD none: own variable; others read it as a counter. */
    uint64_t now = atomic_load_relaxed(counter) + 1;
    /* ORD none: the same. */
    atomic_store_relaxed(counter, now);
}

int weft__ring_submit(struct ring *r)
{
    for (int i = 0; i < WEFT_RING_SUBMIT_TRIES; i++) {
        unsigned n = ring_unsubmitted(r);
        if (n == 0) {
            return 0;
        }
        unsigned flags = ring_deferred(r) != 0 ? IORING_ENTER_GETEVENTS : 0;
        counter_increment(&r->enter_count);
        int err = ring_answer(r, weft__ring_enter(r, n, 0, flags, NULL));
        if (err != 0) {
            return err;
        }
    }
    return ring_unsubmitted(r) == 0 ? 0 : -EAGAIN;
}

int weft__ring_wait(struct ring *r, int64_t for_ns)
{
    unsigned n = ring_unsubmitted(r);
    if (for_ns <= 0 || ring_pending(r) != 0) {
        if (n == 0 && ring_deferred(r) == 0) {
            return 0;
        }
        counter_increment(&r->enter_count);
        return ring_answer(r, weft__ring_enter(r, n, 0, IORING_ENTER_GETEVENTS, NULL));
    }
    struct __kernel_timespec limit = {
        .tv_sec = for_ns / WEFT_SECOND,
        .tv_nsec = for_ns % WEFT_SECOND,
    };
    struct io_uring_getevents_arg arg = {.ts = (uint64_t)(uintptr_t)&limit};
    counter_increment(&r->enter_count);
    return ring_answer(r, weft__ring_enter(r, n, 1, IORING_ENTER_GETEVENTS | r->wait_flags,
                                           for_ns != WEFT_FOREVER ? &arg : NULL));
}

void weft__ring_kick(struct ring *r)
{
    unsigned n = ring_unsubmitted(r);
    if (n == 0 && ring_deferred(r) == 0) {
        return;
    }
    counter_increment(&r->kick_count);
    (void)ring_answer(r, weft__ring_enter(r, n, 0, IORING_ENTER_GETEVENTS, NULL));
}
