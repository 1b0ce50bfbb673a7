/* SPDX-License-Identifier: MIT */
/*
 * The epoll poller as its parts know it: poller_epoll.c waits, wakes and tells of events, and
 * epoll_op.c has ops tried, kept and ended.
 *
 * All fields but the atomics belong to who is inside the guard; so do all functions.
 */
#ifndef WEFT_EPOLL_POLLER_H
#define WEFT_EPOLL_POLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "atomic.h"
#include "epoll_shared.h"
#include "interest.h"
#include "op.h"

/* Events a system call. */
#define EVENTS_MAX 128

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

static inline struct epoll_poller *epoll_of(struct poller *p)
{
    return (struct epoll_poller *)(void *)p;
}

/* Count what one thread at a time writes. */
static inline void epoll_add(_Atomic(uint32_t) *count, int n)
{
    uint32_t old = atomic_load_relaxed(count); /* ORD none: a figure or a hint */
    atomic_store_relaxed(count, old + (uint32_t)n); /* ORD none: as above */
}

static inline void epoll_count(_Atomic(uint64_t) *count)
{
    uint64_t old = atomic_load_relaxed(count); /* ORD none: a figure */
    atomic_store_relaxed(count, old + 1); /* ORD none: as above */
}

/* What operations ask of the poller. */
extern const struct op_backend weft__epoll_backend;

/* Have the ops of a list, whose descriptors have met these events, go on. */
void weft__epoll_go_on(struct epoll_poller *e, struct list *ops, uint32_t events);

/* Complete those that were ended, look at polls that have just begun, and try those whose time has
 * come. */
void weft__epoll_deliver_due(struct epoll_poller *e);

#endif
