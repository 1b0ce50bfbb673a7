/* SPDX-License-Identifier: MIT */
/*
 * Recent: what a worker's scheduler did last, for crash reports (crash.c).
 *
 * A ring of events, written by the worker alone, two words each. What is rare is always noted: a
 * turn that met the kernel, a steal, a sleep and its end, a wake-up, a rescue, a cancel. What
 * happens for each task, its start, switches and end, is noted in debug mode alone: to note each
 * switch and spawn cost a yield 8.5 % and a spawn 3 %, and to look whether to note them a spawn 2 %
 * still; the rare ones cost nothing that could be measured.
 *
 * The time of an event is the one that the scheduler had at hand. Where it had none it is that of
 * the worker's turn, so several events in a row may have the same; their order is that of the ring.
 *
 * Whoever reads the ring of another worker, which goes on, may find an event half written: an old
 * time with a new kind. It is a hint for people.
 */
#ifndef WEFT_RECENT_H
#define WEFT_RECENT_H

#include <stdint.h>

#include "atomic.h"

/* 1 KiB a worker. Under load a turn takes 50 us and notes an event or two: some milliseconds. */
#define RECENT_EVENTS 64u

enum recent_kind {
    RECENT_NOTHING,
    RECENT_POLL,   /* a turn that handed over operations, or reaped */
    RECENT_STEAL,  /* from worker `of` */
    RECENT_SLEEP,
    RECENT_WOKEN,  /* its sleep is over */
    RECENT_WAKE,   /* worker `of` */
    RECENT_RESCUE, /* did the part of worker `of` */
    RECENT_CANCEL, /* of task `of`; it and the rest: task ids */
    RECENT_START,  /* from here on: in debug mode */
    RECENT_RUN,
    RECENT_PARK,
    RECENT_YIELD,
    RECENT_END,
    RECENT_CALLBACK, /* at address `of` */
    RECENT_KINDS,
};

struct recent_event {
    _Atomic(uint64_t) what; /* `of` above the kind */
    _Atomic(int64_t) at_ns;
};

#define RECENT_KIND_BITS 4
_Static_assert(RECENT_KINDS <= 1 << RECENT_KIND_BITS, "a kind fits below what it is about");

/* Owner: the worker; read by anybody. */
struct recent {
    _Atomic(uint32_t) count; /* noted so far; the next one's place */
    struct recent_event events[RECENT_EVENTS];
};

/* Note an event. Context: the worker. */
static inline void recent_note(struct recent *r, enum recent_kind kind, uint64_t of, int64_t at_ns)
{
    uint32_t count = atomic_load_relaxed(&r->count); /* ORD none: this thread's */
    struct recent_event *e = &r->events[count % RECENT_EVENTS];
    /* ORD none: a hint to others. */
    atomic_store_relaxed(&e->what, of << RECENT_KIND_BITS | (uint64_t)kind);
    atomic_store_relaxed(&e->at_ns, at_ns);    /* ORD none: as above */
    atomic_store_relaxed(&r->count, count + 1); /* ORD none: as above */
}

#endif
