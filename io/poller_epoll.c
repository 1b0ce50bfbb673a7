/* SPDX-License-Identifier: MIT */
/*
 * The epoll poller: for where io_uring is refused. How it waits, is woken, and tells ops of what
 * their descriptors have met; what becomes of an op is epoll_op.c's.
 *
 * A wake is a write to an eventfd, which is never read: watched edge by edge, each write is one.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "crash_text.h"
#include "epoll_event.h"
#include "epoll_poller.h"
#include "want_of_descriptor.h"

/* To ask the kernel whether there is something takes a call: not so soon after the last. */
#define ASK_NS (20 * WEFT_US)

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

static void deliver_events(struct epoll_poller *e, int n)
{
    for (int i = -EVENT_FAR; i < 0 && n > 1; i++) {
        event_fetch(e, i, n);
    }
    for (int i = 0; i < n; i++) {
        event_fetch(e, i, n);
        if (e->events[i].data.u64 == DATA_WAKE) {
            e->base.is_woken = true;
            continue;
        }
        struct interest *in = interest_find(&e->interests, (int)e->events[i].data.u64);
        if (in != NULL && weft__interest_note(&e->interests, in, e->events[i].events)) {
            weft__epoll_go_on(e, &in->ops, e->events[i].events);
        }
    }
}

/* The kernel has told of n events, or failed: give them to who waits, and look at those that wait
 * for long. */
static void deliver(struct epoll_poller *e, int n)
{
    deliver_events(e, n);
    struct list again;
    list_init(&again);
    /* In no interest's list yet though watched; and an op's event only notes what has come. */
    WEFT_ASSERT(list_empty(&e->soon));
    weft__interests_check(&e->interests, e->now_ns, n >= 0 && n < EVENTS_MAX, &again);
    weft__epoll_go_on(e, &again, 0);
}

/* Ask the kernel once, for at most for_ns. Apart: errno is the thread's. */
static WEFT_NOINLINE int epoll_ask(struct epoll_poller *e, int64_t for_ns)
{
    epoll_count(&e->enters);
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
    weft__epoll_deliver_due(e);
    bool has_some = atomic_load_relaxed(&e->completed) != before; /* ORD none: as above */
    int64_t due_ns = weft__interests_check_at(&e->interests);
    due_ns = !list_empty(&e->later) && e->later_ns < due_ns ? e->later_ns : due_ns;
    int64_t limit = due_ns == WEFT_FOREVER ? WEFT_FOREVER : due_ns - e->now_ns;
    /* A wake that a helper has taken off as this wait was about to begin is for this wait. */
    limit = has_some || e->base.is_woken || limit < 0 ? 0 : limit;
    int n = epoll_ask(e, for_ns < limit ? for_ns : limit);
    e->now_ns = for_ns != 0 ? clock_ns() : e->now_ns;
    atomic_store_relaxed(&e->asked_ns, e->now_ns); /* ORD none: a hint */
    deliver(e, n);
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
    weft__epoll_deliver_due(e);
    deliver(e, epoll_ask(e, 0));
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
    e->base.backend = &weft__epoll_backend;
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
