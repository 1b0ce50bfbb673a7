/* SPDX-License-Identifier: MIT */
/* Fetching ahead what a long queue is going to run; see fetch_ahead.h. */
#include "fetch_ahead.h"

#include "worker.h"

/* A deque as long as this does not stay in the second cache, with ten lines an item. */
#define FETCH_QUEUE_MIN 1024

/* What was woken in the kernel's company, so that the caches have the kernel's lines now. */
#define FETCH_COLD_MIN 4

/* The fiber that a queued item goes on with; NULL: it is no task, or has not begun. */
static struct fiber *item_fiber(struct runnable *r)
{
    /* ORD none: written by the worker that ran it last, which queued it, and its queue orders. */
    return r == NULL || r->kind != RUNNABLE_TASK ? NULL : atomic_load_relaxed(&task_of(r)->fiber);
}

/* Those of a range of the deque. Context: owner, no thief comes. */
static void fetch_range(const struct deque *d, int64_t first, int64_t end)
{
    struct fiber *fibers[TURN_TICKS_MAX];
    for (int64_t i = first; i < end; i++) {
        /* ORD none: own slots; the later item is only fetched. */
        const char *later = (const char *)atomic_load_relaxed(deque_slot(d, i + end - first));
        struct runnable *r = atomic_load_relaxed(deque_slot(d, i)); /* ORD none: as above */
        struct fiber *f = item_fiber(r);
        __builtin_prefetch(later, 1);
        __builtin_prefetch(later + WEFT_CACHE_LINE, 1);
        if (f != NULL) {
            fiber_fetch_header(f);
        }
        fibers[i - first] = f;
    }
    for (int64_t i = 0; i < end - first; i++) {
        if (fibers[i] != NULL) {
            fiber_fetch(fibers[i]);
        }
    }
}

void weft__fetch_ahead(struct worker *w, bool is_cold)
{
    struct deque *d = &w->deque;
    if (WEFT_LIKELY(deque_size_hint(d) <= (is_cold ? FETCH_COLD_MIN : FETCH_QUEUE_MIN))) {
        return;
    }
    int64_t top = atomic_load_relaxed(&d->top); /* ORD none: own variable */
    int64_t first = w->fetched_until > top ? w->fetched_until : top;
    int64_t end = top + w->turn_ticks; /* TURN_TICKS_MAX at most */
    if (first >= end || (d->shared && !ownership_begin(&d->ownership))) {
        return;
    }
    fetch_range(d, first, end);
    if (d->shared) {
        ownership_end(&d->ownership);
    }
    w->fetched_until = end;
}
