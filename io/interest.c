/* SPDX-License-Identifier: MIT */
/* Interest; see interest.h. */
#include "interest.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attempt.h"
#include "check.h"
#include "op.h"

/* How long a wait relies on a registration that was made for an earlier one. */
#define TRUST_NS (10 * WEFT_MS)

/* Events in a row that nobody waits for, until the descriptor is taken off. */
#define UNCLAIMED_MAX 8

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLPRI == POLLPRI, "the same bits");

int weft__interests_init(struct interests *t, struct registrations *shared)
{
    list_init(&t->trusted);
    t->chunks = 0;
    t->chunk = calloc(INTEREST_CHUNKS, sizeof t->chunk[0]);
    if (t->chunk == NULL) {
        return -ENOMEM;
    }
    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (t->epoll_fd < 0) {
        int err = -errno;
        free(t->chunk);
        return err;
    }
    t->shared = shared;
    t->instance = weft__registrations_join(shared, t->epoll_fd);
    return 0;
}

void weft__interests_fini(struct interests *t)
{
    close(t->epoll_fd);
    for (size_t i = 0; i < t->chunks; i++) {
        free(t->chunk[i]);
    }
    free(t->chunk);
}

static void interest_reset(struct interest *in)
{
    in->events = 0;
    in->drained = 0;
    in->has_ended = false;
    in->unclaimed = 0;
    in->kind = KIND_UNKNOWN;
    list_remove(&in->link);
}

void weft__interest_doubt(struct interest *in)
{
    if (list_empty(&in->ops)) {
        interest_reset(in);
    }
}

struct interest *weft__interest_get(struct interests *t, int fd)
{
    struct registration *r = weft__registration_of(t->shared, fd);
    if (r == NULL) {
        return NULL;
    }
    uint32_t files = atomic_load_relaxed(&r->files); /* ORD none: registration.h */
    struct interest **chunk = &t->chunk[(unsigned)fd / INTEREST_CHUNK];
    if (WEFT_UNLIKELY(*chunk == NULL)) {
        *chunk = calloc(INTEREST_CHUNK, sizeof **chunk);
        if (*chunk == NULL) {
            return NULL;
        }
        size_t n = (unsigned)fd / INTEREST_CHUNK + 1;
        t->chunks = n > t->chunks ? n : t->chunks;
    }
    struct interest *in = &(*chunk)[(unsigned)fd % INTEREST_CHUNK];
    if (WEFT_UNLIKELY(!in->is_used)) {
        list_init(&in->ops);
        list_init(&in->link);
        in->is_used = true;
        in->fd = fd;
        in->files = files;
    }
    if (WEFT_UNLIKELY(in->files != files)) {
        in->files = files;
        interest_reset(in); /* the kernel has done its part in close(2) */
    }
    return in;
}

/* Apart: errno is the thread's. */
static WEFT_NOINLINE int interest_control(struct interests *t, int what, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.u64 = (uint64_t)(unsigned)fd};
    return epoll_ctl(t->epoll_fd, what, fd, &e) < 0 ? -errno : 0;
}

/* Register it for events, whatever the kernel knows of it. */
static int interest_register(struct interests *t, struct interest *in, uint32_t events)
{
    int err = -ENOENT;
    if (in->events != 0) {
        err = interest_control(t, EPOLL_CTL_MOD, in->fd, events);
        if (err == -ENOENT) {
            interest_reset(in); /* it was another file's */
        }
    }
    if (err == -ENOENT) {
        err = interest_control(t, EPOLL_CTL_ADD, in->fd, events);
        if (err == 0) {
            weft__registration_note(weft__registration_of(t->shared, in->fd), t->instance);
        }
    }
    if (err == -EEXIST) {
        err = interest_control(t, EPOLL_CTL_MOD, in->fd, events);
    }
    in->events = err == 0 ? events : in->events;
    return err;
}

/* What is asked for, for events that somebody waits for. */
static uint32_t registered_for(uint32_t events)
{
    return events | (uint32_t)EPOLLET | ((events & POLLIN) != 0 ? (uint32_t)EPOLLRDHUP : 0);
}

int weft__interest_watch(struct interests *t, struct interest *in, uint32_t events,
                         int64_t now_ns)
{
    uint32_t wanted = registered_for(events);
    in->unclaimed = 0;
    if (WEFT_LIKELY((wanted & ~in->events) == 0)) {
        if (list_empty(&in->link)) {
            in->since_ns = now_ns;
            list_push_back(&t->trusted, &in->link);
        }
        return 0;
    }
    return interest_register(t, in, in->events | wanted);
}

/* By number: somebody may be closing it, which is of no matter here, but TSan takes epoll_ctl for
 * a use of the file. Apart, as interest_control. */
static WEFT_NOINLINE void interest_take_off(struct interests *t, int fd)
{
    struct epoll_event unused = {.events = 0};
    (void)syscall(SYS_epoll_ctl, t->epoll_fd, EPOLL_CTL_DEL, fd, &unused);
}

bool weft__interest_note(struct interests *t, struct interest *in, uint32_t events)
{
    bool has_ended = (events & (uint32_t)(EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
    list_remove(&in->link);
    in->drained &= has_ended ? 0 : ~events;
    in->has_ended = in->has_ended || has_ended;
    if (!list_empty(&in->ops)) {
        in->unclaimed = 0;
        return true;
    }
    if (++in->unclaimed >= UNCLAIMED_MAX) {
        interest_take_off(t, in->fd);
        interest_reset(in);
    }
    return false;
}

int64_t weft__interests_check_at(const struct interests *t)
{
    if (list_empty(&t->trusted)) {
        return WEFT_FOREVER;
    }
    return WEFT_CONTAINER(t->trusted.next, struct interest, link)->since_ns + TRUST_NS;
}

/* What those that wait are to be registered for. */
static uint32_t interest_wanted(const struct interest *in)
{
    uint32_t wanted = 0;
    for (const struct list *l = in->ops.next; l != &in->ops; l = l->next) {
        const struct op *op = WEFT_CONTAINER(l, const struct op, link);
        wanted |= registered_for(op->wait != NULL ? attempt_events(op->request) : op->events);
    }
    return wanted;
}

/* Look at one that was trusted, and somebody waits for. Only what is waited for is asked for: what
 * else there is, as a rule room to send, would be told at once, and the wait trusted again. */
static void check_one(struct interests *t, struct interest *in, int64_t now_ns, struct list *again)
{
    uint32_t wanted = interest_wanted(in);
    int err = interest_register(t, in, wanted);
    if (err == -ENOMEM || err == -ENOSPC) {
        in->events = in->events != 0 ? in->events : wanted; /* if it was another file's */
        in->since_ns = now_ns; /* ask again */
        list_push_back(&t->trusted, &in->link);
    } else if (err < 0) {
        interest_reset(in);
        for (struct list *l; (l = list_pop_front(&in->ops)) != NULL;) {
            list_push_back(again, l);
        }
    }
}

void weft__interests_check(struct interests *t, int64_t now_ns, struct list *again)
{
    while (weft__interests_check_at(t) <= now_ns) {
        struct interest *in = WEFT_CONTAINER(t->trusted.next, struct interest, link);
        list_remove(&in->link);
        if (!list_empty(&in->ops)) {
            check_one(t, in, now_ns, again);
        }
    }
}
