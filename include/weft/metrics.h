/* SPDX-License-Identifier: MIT */
/*
 * Metrics: what the workers of a runtime have done so far.
 *
 *     struct weft_metrics m;
 *     weft_metrics(rt, &m);
 *     printf("%llu tasks live\n", (unsigned long long)m.tasks_live);
 *
 * Each worker counts for itself, without locks; reading adds the workers up and disturbs nobody.
 */
#ifndef WEFT_METRICS_H
#define WEFT_METRICS_H

#include <weft/base.h>
#include <weft/runtime.h>

WEFT_BEGIN_DECLS

struct weft_metrics {
    uint64_t workers;
    uint64_t tasks_spawned;
    uint64_t tasks_live;   /* spawned and not ended */
    uint64_t switches;     /* from one stack to another */
    uint64_t nested;       /* tasks that ran on their waiter's stack */
    uint64_t polls;        /* turns in which a worker looked at its ring, or epoll */
    uint64_t steals;       /* tasks taken from another worker */
    uint64_t parks;        /* a worker went to sleep in the kernel */
    uint64_t wakes;        /* a sleeping worker was woken by another thread */
    uint64_t ring_enters;  /* io_uring_enter calls; epoll: calls that ask for events */
    uint64_t sqes;         /* operations handed to the kernel; epoll: begun */
    uint64_t cqes;         /* completions */
    uint64_t stacks;       /* in existence, idle ones included */
    uint64_t rescues;      /* a worker did another one's part, which was busy in one task */
    uint64_t slow;         /* debug mode: tasks and callbacks that took slow_ns without waiting */
    uint64_t blocked;      /* debug mode: calls that blocked a worker for so long */
    uint64_t blocking_threads; /* of the runtime's pool for blocking work, idle ones included */
    uint64_t blocking_idle;    /* those that sleep */
    uint64_t blocking_queued;  /* jobs that wait for one of them */
    uint64_t blocking_jobs;    /* that were handed to it */
    uint64_t reserved[12]; /* zero */
};

/*
 * Read the metrics of a runtime. Each figure is right or a moment old; together they are no
 * snapshot.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EINVAL for NULL, -ESHUTDOWN in a forked child.
 */
WEFT_PUBLIC int weft_metrics(weft_runtime *rt, struct weft_metrics *metrics);

/*
 * What drives the runtime's input and output: WEFT_BACKEND_URING or WEFT_BACKEND_EPOLL.
 * why: if io_uring was tried and refused, the reason and its cure, else an empty string; the
 *      runtime's, valid as long as rt; may be NULL
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC enum weft_backend weft_runtime_backend(const weft_runtime *rt, const char **why);

WEFT_END_DECLS

#endif
