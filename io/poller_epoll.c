/* SPDX-License-Identifier: MIT */
/*
 * The epoll poller: for where io_uring is refused.
 *
 * An operation is attempted when it begins (attempt.h); what cannot be had at once waits for an
 * edge of its descriptor (interest.h) and is attempted again. What has no readiness (a full queue
 * of a Unix listener) is attempted again after a while. What may hold up who makes it goes to
 * threads.
 *
 *   begun -- had at once --> complete, inside `start`
 *     |
 *     '-- waits for an edge | for a time --(attempt)--> complete
 *                      '------(cancel)------> ended: completes in the next `wait`, as a canceller
 *                                             may be walking over the wait it belongs to
 *
 * A wake is a write to an eventfd, which is never read: watched edge by edge, each write is one.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "attempt.h"
#include "crash_text.h"
#include "epoll_shared.h"
#include "interest.h"
#include "op.h"
#include "want_of_descriptor.h"

/* The eventfd, among the data of events, which are descriptors. */
#define DATA_WAKE UINT64_MAX

/* Events a system call. */
#define EVENTS_MAX 128

/* To ask the kernel whether there is something takes a call: not so soon after the last. */
#define ASK_NS (20 * WEFT_US)

/* How long to leave what readiness does not tell of. */
#define LATER_NS (1 * WEFT_MS)

/* op->attempt, beside what attempt.h has there. */
#define IS_SOON 0x100   /* a poll without a wait: it is in `soon` */
#define IS_ENDING 0x200 /* it is in `ended` */
#define REPEATS 0x400   /* as requested */

struct epoll_poller {
    _Alignas(WEFT_CACHE_LINE) struct io_poller base; /* first */
    struct epoll_shared *shared;
    struct interests interests;
    int wake_fd;
    struct list later;    /* ops to be attempted at later_ns */
    int64_t later_ns;
    struct list ended;    /* ops whose result is set */
    struct list soon;     /* polls without a wait that are to be looked at in the next wait */
    int64_t now_ns;       /* of the last wait */
    bool is_exact;        /* the kernel has epoll_pwait2 */
    _Atomic(uint32_t) waiting; /* ops that wait; written inside the guard */
    _Atomic(uint32_t) due;     /* ops in `ended` and `soon`; as above */
    _Atomic(int64_t) asked_ns; /* when the kernel was asked last */
    _Atomic(uint64_t) enters;
    _Atomic(uint64_t) begun;
    _Atomic(uint64_t) completed;
    struct epoll_event events[EVENTS_MAX];
};

static struct epoll_poller *epoll_of(struct poller *p)
{
    return (struct epoll_poller *)(void *)p;
}

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

/* Count what one thread at a time writes. */
static void add(_Atomic(uint32_t) *count, int n)
{
    uint32_t old = atomic_load_relaxed(count); /* ORD none: a figure or a hint */
    atomic_store_relaxed(count, old + (uint32_t)n); /* ORD none: as above */
}

static void count_one(_Atomic(uint64_t) *count)
{
    uint64_t old = atomic_load_relaxed(count); /* ORD none: a figure */
    atomic_store_relaxed(count, old + 1); /* ORD none: as above */
}

static void epoll_complete(struct epoll_poller *e, struct op *op, int result)
{
    count_one(&e->completed);
    if (op->wait != NULL) {
        result = weft__attempt_end(op, result);
        if (result >= 0 && op->request->code == OP_ACCEPT) {
            weft__registration_fresh(e->shared->registrations, result);
        }
    }
    weft__op_complete((struct poller *)(void *)e, op, result);
}

static bool is_stream(struct interest *in)
{
    if (in->kind == KIND_UNKNOWN) {
        in->kind = weft__attempt_is_stream(in->fd) ? KIND_STREAM : KIND_OTHER;
    }
    return in->kind == KIND_STREAM;
}

/* A call has come back with nothing, or less than it might have: has it taken all there was? */
static void note_result(struct interest *in, const struct op_request *r, enum attempt outcome,
                        int result)
{
    if (in->has_ended || r->code == OP_POLL || r->code == OP_CONNECT || attempt_is_special(r)) {
        return;
    }
    bool is_plain = r->code == OP_RECV || r->code == OP_SEND || r->code == OP_READ ||
                    r->code == OP_WRITE;
    bool is_short = outcome == ATTEMPT_DONE && is_plain && result > 0 &&
                    (uint32_t)result < r->length;
    if (outcome == ATTEMPT_WAIT || (is_short && is_stream(in))) {
        in->drained |= attempt_events(r);
    }
}

/* ---- the backend ---- */

/* The op has to wait for an edge. 0, or -errno: it cannot. */
static int epoll_await_edge(struct epoll_poller *e, struct interest *in, struct op *op)
{
    int err = weft__interest_watch(&e->interests, in, attempt_events(op->request), e->now_ns);
    if (err < 0) {
        return err;
    }
    list_push_back(&in->ops, &op->link);
    add(&e->waiting, 1);
    return 0;
}

/* Readiness will not tell when to attempt it again. */
static void epoll_await_time(struct epoll_poller *e, struct op *op)
{
    if (list_empty(&e->later)) {
        e->later_ns = e->now_ns + LATER_NS;
    }
    list_push_back(&e->later, &op->link);
    add(&e->waiting, 1);
}

/* Attempt an op that is in no list; have it wait if that was for nothing. 0, or as
 * op_backend.start: it neither completed nor waits. */
static int epoll_go(struct epoll_poller *e, struct interest *in, struct op *op)
{
    const struct op_request *r = op->request;
    enum attempt outcome = ATTEMPT_WAIT;
    int result = 0;
    if ((attempt_events(r) & in->drained) == 0 || attempt_is_immediate(r) ||
        attempt_is_special(r)) {
        outcome = weft__attempt(op, &result);
        note_result(in, r, outcome, result);
    }
    int err = 0;
    switch (outcome) {
    case ATTEMPT_DONE:
        epoll_complete(e, op, result);
        return 0;
    case ATTEMPT_WAIT:
        err = epoll_await_edge(e, in, op);
        break;
    case ATTEMPT_LATER:
        epoll_await_time(e, op);
        break;
    case ATTEMPT_THREAD:
        err = -EPERM;
        break;
    }
    if (err == -EPERM) {
        in->drained = 0;     /* the next bytes may be at hand */
        return OP_ON_THREAD; /* of such files there is nothing to be told */
    }
    if (WEFT_UNLIKELY(err < 0) && weft__attempt_end(op, err) >= 0) {
        epoll_complete(e, op, err); /* to what it has moved */
        return 0;
    }
    return err == -ENOSPC ? -ENOMEM : err;
}

/* Begin a poll that an object has in flight. It is told of what is there from the next wait, not
 * from here, where it is busy itself. */
static int epoll_start_object(struct epoll_poller *e, struct interest *in, struct op *op,
                              const struct op_request *r)
{
    WEFT_ASSERT(r->code == OP_POLL);
    op->events = r->flags;
    int err = weft__interest_watch(&e->interests, in, r->flags, e->now_ns);
    if (err < 0) {
        return err == -ENOSPC ? -ENOMEM : err;
    }
    op->attempt = IS_SOON | (r->repeats ? REPEATS : 0);
    list_push_back(&e->soon, &op->link);
    add(&e->due, 1);
    return 0;
}

/* A poll of an object, in no list, has met these events. */
static void epoll_tell_object(struct epoll_poller *e, struct interest *in, struct op *op,
                              uint32_t events)
{
    int met = (int)(events & (op->events | POLLERR | POLLHUP | POLLNVAL));
    if (met != 0 && (op->attempt & REPEATS) == 0) {
        epoll_complete(e, op, met);
        return;
    }
    list_push_back(&in->ops, &op->link);
    add(&e->waiting, 1);
    if (met != 0) {
        count_one(&e->completed);
        op_repeat(op, met);
    }
}

static int epoll_start(struct poller *p, struct op *op, const struct op_request *r)
{
    struct epoll_poller *e = epoll_of(p);
    count_one(&e->begun);
    op->attempt = 0;
    op->progress = 0;
    if (r->fd < 0) {
        int result = 0; /* a path, or refused: there is nothing to be ready */
        if (weft__attempt(op, &result) != ATTEMPT_DONE) {
            return OP_ON_THREAD;
        }
        epoll_complete(e, op, result);
        return 0;
    }
    struct interest *in = weft__interest_get(&e->interests, r->fd);
    if (in == NULL) {
        return -ENOMEM;
    }
    if (r->code == OP_CONNECT) {
        weft__interest_doubt(in);
    }
    return op->wait == NULL ? epoll_start_object(e, in, op, r) : epoll_go(e, in, op);
}

/* Its result is set: complete it in the next wait. */
static void epoll_cancel(struct poller *p, struct op *op)
{
    struct epoll_poller *e = epoll_of(p);
    if ((op->attempt & IS_ENDING) != 0) {
        return;
    }
    op->attempt |= IS_ENDING;
    list_remove(&op->link);
    list_push_back(&e->ended, &op->link);
    if ((op->attempt & IS_SOON) == 0) {
        add(&e->waiting, -1);
        add(&e->due, 1);
    }
}

static void cancel_fd_in(struct epoll_poller *e, struct list *ops, int fd)
{
    struct list *next;
    for (struct list *l = ops->next; l != ops; l = next) {
        struct op *op = WEFT_CONTAINER(l, struct op, link);
        next = l->next;
        if (op->fd == fd) {
            epoll_cancel((struct poller *)(void *)e, op);
        }
    }
}

static void epoll_cancel_fd(struct poller *p, int fd)
{
    struct epoll_poller *e = epoll_of(p);
    struct interest *in = interest_find(&e->interests, fd);
    if (in != NULL) {
        cancel_fd_in(e, &in->ops, fd);
    }
    cancel_fd_in(e, &e->later, fd);
    cancel_fd_in(e, &e->soon, fd);
}

/* What concerns paths and the file system is a call that a thread makes anyway. */
static bool epoll_can(const struct poller *p, enum op_code code)
{
    (void)p;
    return code < OP_STATX || code == OP_SPLICE;
}

static void epoll_closing(struct poller *p, int fd)
{
    weft__registration_forget(epoll_of(p)->shared->registrations, fd);
}

static void epoll_opened(struct poller *p, int fd)
{
    weft__registration_fresh(epoll_of(p)->shared->registrations, fd);
}

static int epoll_call(struct poller *p, const struct op_request *request)
{
    struct epoll_shared *shared = epoll_of(p)->shared;
    int result = weft__thread_call(&shared->calls, request);
    if (result >= 0 && request->code == OP_OPENAT) {
        epoll_opened(p, result);
    }
    return result;
}

static const struct op_backend epoll_backend = {
    .start = epoll_start,
    .cancel = epoll_cancel,
    .cancel_fd = epoll_cancel_fd,
    .can = epoll_can,
    .closing = epoll_closing,
    .opened = epoll_opened,
    .call = epoll_call,
};

/* ---- delivery ---- */

/* Have the ops of a list, whose descriptors have met these events, go on. One that another's
 * completion ends on the way is taken off the list by epoll_cancel. */
static void go_on_all(struct epoll_poller *e, struct list *ops, uint32_t events)
{
    struct list all;
    list_init(&all);
    for (struct list *l; (l = list_pop_front(ops)) != NULL;) {
        list_push_back(&all, l);
    }
    for (struct list *l; (l = list_pop_front(&all)) != NULL;) {
        struct op *op = WEFT_CONTAINER(l, struct op, link);
        struct interest *in = interest_find(&e->interests, op->fd);
        add(&e->waiting, -1);
        if (op->wait == NULL) {
            epoll_tell_object(e, in, op, events);
            continue;
        }
        int err = epoll_go(e, in, op);
        if (err != 0) {
            epoll_complete(e, op, err == OP_ON_THREAD ? -EAGAIN : err); /* begun anew: op.c */
        }
    }
}

static void deliver_events(struct epoll_poller *e, int n)
{
    for (int i = 0; i < n; i++) {
        if (e->events[i].data.u64 == DATA_WAKE) {
            e->base.is_woken = true;
            continue;
        }
        struct interest *in = interest_find(&e->interests, (int)e->events[i].data.u64);
        if (in != NULL && weft__interest_note(&e->interests, in, e->events[i].events)) {
            go_on_all(e, &in->ops, e->events[i].events);
        }
    }
}

static void deliver_ended(struct epoll_poller *e)
{
    for (struct list *l; (l = list_pop_front(&e->ended)) != NULL;) {
        add(&e->due, -1);
        epoll_complete(e, WEFT_CONTAINER(l, struct op, link), -ECANCELED);
    }
}

static void deliver_soon(struct epoll_poller *e)
{
    for (struct list *l; (l = list_pop_front(&e->soon)) != NULL;) {
        struct op *op = WEFT_CONTAINER(l, struct op, link);
        op->attempt = (uint16_t)(op->attempt & ~IS_SOON);
        add(&e->due, -1);
        epoll_tell_object(e, interest_find(&e->interests, op->fd), op,
                          weft__attempt_events_now(op->fd, op->events));
    }
}

static void deliver_timed(struct epoll_poller *e)
{
    if (!list_empty(&e->later) && e->later_ns <= e->now_ns) {
        go_on_all(e, &e->later, 0);
    }
    struct list again;
    list_init(&again);
    WEFT_ASSERT(list_empty(&e->soon)); /* they are watched, and on no interest's list */
    weft__interests_check(&e->interests, e->now_ns, &again);
    go_on_all(e, &again, 0);
}

/* ---- the poller ---- */

/* Ask the kernel once, for at most for_ns. Apart: errno is the thread's. */
static WEFT_NOINLINE int epoll_ask(struct epoll_poller *e, int64_t for_ns)
{
    count_one(&e->enters);
    if (WEFT_LIKELY(e->is_exact)) {
        struct timespec t = {for_ns / WEFT_SECOND, for_ns % WEFT_SECOND};
        int n = epoll_pwait2(e->interests.epoll_fd, e->events, EVENTS_MAX,
                             for_ns == WEFT_FOREVER ? NULL : &t, NULL);
        if (n >= 0 || errno == EINTR) {
            return n;
        }
        e->is_exact = false; /* an older kernel, or a filter that does not know the call */
    }
    int64_t ms = for_ns / WEFT_MS + (for_ns % WEFT_MS != 0);
    int limit = for_ns == WEFT_FOREVER ? -1 : ms > INT_MAX ? INT_MAX : (int)ms;
    return epoll_wait(e->interests.epoll_fd, e->events, EVENTS_MAX, limit);
}

static void epoll_wait_for(struct poller *p, int64_t for_ns)
{
    struct epoll_poller *e = epoll_of(p);
    guard_enter(&e->base.guard);
    e->now_ns = clock_ns();
    uint64_t before = atomic_load_relaxed(&e->completed); /* ORD none: ours, inside the guard */
    deliver_ended(e);
    deliver_soon(e);
    deliver_timed(e);
    bool has_some = atomic_load_relaxed(&e->completed) != before; /* ORD none: as above */
    int64_t due_ns = weft__interests_check_at(&e->interests);
    due_ns = !list_empty(&e->later) && e->later_ns < due_ns ? e->later_ns : due_ns;
    int64_t limit = due_ns == WEFT_FOREVER ? WEFT_FOREVER : due_ns - e->now_ns;
    /* A wake that a helper has taken off as this wait was about to begin is for this wait. */
    limit = has_some || e->base.is_woken || limit < 0 ? 0 : limit;
    int n = epoll_ask(e, for_ns < limit ? for_ns : limit);
    e->now_ns = for_ns != 0 ? clock_ns() : e->now_ns;
    atomic_store_relaxed(&e->asked_ns, e->now_ns); /* ORD none: a hint */
    deliver_events(e, n);
    e->base.is_woken = false;
    guard_leave(&e->base.guard);
}

static bool epoll_ready(struct poller *p)
{
    struct epoll_poller *e = epoll_of(p);
    /* ORD none: hints; what is missed is found in the next wait. */
    if (atomic_load_relaxed(&e->due) != 0) {
        return true;
    }
    return atomic_load_relaxed(&e->waiting) != 0 && /* ORD none: as above */
           clock_ns() - atomic_load_relaxed(&e->asked_ns) >= ASK_NS; /* ORD none: as above */
}

/* The same, for who can only have it harvested: asks the kernel, as nothing in memory tells. */
static bool epoll_behind(struct poller *p)
{
    struct epoll_poller *e = epoll_of(p);
    struct pollfd in = {.fd = e->interests.epoll_fd, .events = POLLIN};
    /* ORD none: as above; of those the kernel does not know. */
    return atomic_load_relaxed(&e->due) != 0 || (epoll_ready(p) && poll(&in, 1, 0) > 0);
}

static bool epoll_pending(struct poller *p)
{
    const struct epoll_poller *e = epoll_of(p);
    /* ORD none: the worker's own, or it has been told meanwhile. */
    return atomic_load_relaxed(&e->waiting) != 0 ||
           atomic_load_relaxed(&e->due) != 0; /* ORD none: as above */
}

/* Nothing is prepared but what has been begun: there is nothing to hand over. */
static void epoll_kick(struct poller *p)
{
    (void)p;
}

static bool epoll_claim(struct poller *p)
{
    return weft__guard_claim(&epoll_of(p)->base.guard);
}

static void epoll_unclaim(struct poller *p)
{
    guard_unclaim(&epoll_of(p)->base.guard);
}

static unsigned epoll_harvest(struct poller *p)
{
    struct epoll_poller *e = epoll_of(p);
    uint64_t before = atomic_load_relaxed(&e->completed); /* ORD none: ours, inside the guard */
    e->now_ns = clock_ns();
    deliver_ended(e);
    deliver_soon(e);
    deliver_timed(e);
    deliver_events(e, epoll_ask(e, 0));
    return (unsigned)(atomic_load_relaxed(&e->completed) - before); /* ORD none: as above */
}

static void epoll_wake(struct poller *p)
{
    static const uint64_t one = 1;
    (void)!write(epoll_of(p)->wake_fd, &one, sizeof one);
}

static int epoll_open(struct epoll_poller *e, char *why, size_t why_bytes)
{
    int err = weft__interests_init(&e->interests, e->shared->registrations);
    if (err < 0) {
        explain_want_of_descriptor("epoll instance", err, why, why_bytes);
        return err;
    }
    struct epoll_event wake = {.events = EPOLLIN | (uint32_t)EPOLLET, .data.u64 = DATA_WAKE};
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->wake_fd < 0 ||
        epoll_ctl(e->interests.epoll_fd, EPOLL_CTL_ADD, e->wake_fd, &wake) < 0) {
        err = -errno;
        explain_want_of_descriptor("descriptor to wake a worker with", err, why, why_bytes);
        if (e->wake_fd >= 0) {
            close(e->wake_fd);
        }
        weft__interests_fini(&e->interests);
    }
    return err;
}

static int epoll_create_poller(struct poller **out, const struct poller_config *config, char *why,
                               size_t why_bytes)
{
    struct epoll_poller *e = aligned_alloc(WEFT_CACHE_LINE, sizeof *e);
    if (e == NULL) {
        snprintf(why, why_bytes, "no memory for a poller");
        return -ENOMEM;
    }
    memset(e, 0, sizeof *e);
    e->base.backend = &epoll_backend;
    e->shared = config->shared;
    e->base.fds = e->shared->fds;
    fd_table_begin(e->base.fds, config->worker_count);
    list_init(&e->later);
    list_init(&e->ended);
    list_init(&e->soon);
    e->is_exact = true;
    e->now_ns = clock_ns();
    int err = epoll_open(e, why, why_bytes);
    if (err < 0) {
        free(e);
        return err;
    }
    *out = (struct poller *)(void *)e;
    return 0;
}

static void epoll_finish(struct poller *p)
{
    guard_enter(&epoll_of(p)->base.guard); /* for good */
}

static void epoll_release(struct poller *p)
{
    struct epoll_poller *e = epoll_of(p);
    if (e->wake_fd >= 0) {
        close(e->wake_fd);
        weft__interests_fini(&e->interests);
        e->wake_fd = -1;
    }
}

static void epoll_destroy(struct poller *p)
{
    epoll_release(p);
    free(epoll_of(p)->base.input);
    free(p);
}

static void epoll_counters(const struct poller *p, struct poller_counters *out)
{
    const struct epoll_poller *e = (const struct epoll_poller *)(const void *)p;
    /* ORD none: figures. */
    out->enters = atomic_load_relaxed(&e->enters);
    out->sqes = atomic_load_relaxed(&e->begun);
    out->cqes = atomic_load_relaxed(&e->completed);
}

static void epoll_about(const struct poller *p, struct crash_text *text)
{
    const struct epoll_poller *e = (const struct epoll_poller *)(const void *)p;
    weft__crash_text_add(text, e->is_exact ? ", waits by epoll_pwait2, "
                                           : ", waits by epoll_wait, ");
    weft__crash_text_number(text, atomic_load_relaxed(&e->waiting)); /* ORD none: a figure */
    weft__crash_text_add(text, " operations wait");
}

const struct poller_ops weft__poller_epoll = {
    .name = "epoll",
    .shared_create = weft__epoll_shared_create,
    .shared_destroy = weft__epoll_shared_destroy,
    .create = epoll_create_poller,
    .finish = epoll_finish,
    .release = epoll_release,
    .destroy = epoll_destroy,
    .ready = epoll_ready,
    .wait = epoll_wait_for,
    .wake = epoll_wake,
    .cancel = weft__op_cancel_task,
    .fd_of = weft__op_fd_of,
    .pending = epoll_pending,
    .kick = epoll_kick,
    .behind = epoll_behind,
    .claim = epoll_claim,
    .unclaim = epoll_unclaim,
    .harvest = epoll_harvest,
    .counters = epoll_counters,
    .about = epoll_about,
};
