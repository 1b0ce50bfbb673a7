/* SPDX-License-Identifier: MIT */
/*
 * Metrics: the workers' counters, added up. Workers and pollers stay until the runtime is
 * destroyed, so this is no visit, and does not keep a close waiting however often it is called.
 */
#include <weft/metrics.h>

#include <errno.h>
#include <string.h>

#include "pool.h"
#include "runtime_object.h"

/* ORD none: figures, each right or a moment old. */
#define READ(counter) atomic_load_relaxed(&(counter))

static void metrics_add_worker(struct weft_metrics *m, struct worker *w, uint64_t *ended)
{
    m->tasks_spawned += READ(w->count.spawned);
    *ended += READ(w->count.ended);
    m->switches += READ(w->count.switches);
    m->nested += READ(w->count.nested);
    m->polls += READ(w->count.polls);
    m->steals += READ(w->count.steals);
    m->parks += READ(w->count.parks);
    m->wakes += READ(w->count.wakes);
    m->rescues += READ(w->count.rescues);
    m->slow += READ(w->count.slow);
    struct poller_counters c;
    w->poller_ops->counters(w->poller, &c);
    m->ring_enters += c.enters;
    m->sqes += c.sqes;
    m->cqes += c.cqes;
}

static void metrics_add_pool(struct weft_metrics *m, weft_runtime *rt)
{
    struct weft_pool *pool = atomic_load_acquire(&rt->pool); /* ORD P2 (blocking.c): the pool */
    if (pool != NULL) {
        m->blocking_threads = READ(pool->threads);
        m->blocking_idle = READ(pool->sleeping);
        m->blocking_queued = weft__pool_queued(pool);
        m->blocking_jobs = READ(pool->submitted);
    }
}

int weft_metrics(weft_runtime *rt, struct weft_metrics *metrics)
{
    if (rt == NULL || metrics == NULL) {
        return -EINVAL;
    }
    if (weft__runtime_is_parents(rt)) {
        return -ESHUTDOWN;
    }
    struct weft_metrics m;
    memset(&m, 0, sizeof m);
    uint64_t ended = READ(rt->outside_ended);
    m.workers = rt->worker_count;
    for (unsigned i = 0; i < rt->worker_count; i++) {
        metrics_add_worker(&m, &rt->workers[i], &ended);
    }
    m.tasks_spawned += READ(rt->outside_spawned);
    m.wakes += READ(rt->outside_wakes);
    m.tasks_live = m.tasks_spawned > ended ? m.tasks_spawned - ended : 0;
    m.stacks = READ(rt->stacks.stacks);
    m.blocked = READ(rt->debug.blocked);
    metrics_add_pool(&m, rt);
    *metrics = m;
    return 0;
}
