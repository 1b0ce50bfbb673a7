/* SPDX-License-Identifier: MIT */
/* Placement: binding a sleeper; see placement.h. */
#include "placement.h"

#include <errno.h>
#include <sched.h>

#include "cpu_count.h"
#include "runtime_object.h"

_Static_assert(PLACEMENT_CPUS <= CPU_SETSIZE, "a cpu_set_t holds them");

/* Whether another worker was there when it last said where it is. */
static bool is_others(const struct worker *self, int cpu)
{
    for (unsigned i = 0; i < self->rt->worker_count; i++) {
        struct worker *w = &self->rt->workers[i];
        /* ORD none: a hint, and old. */
        if (w != self && atomic_load_relaxed(&w->cpu) == (uint32_t)cpu + 1) {
            return true;
        }
    }
    return false;
}

/* Where to sleep: where it is, or else the next CPU that no worker has; -1: there is none. */
static int choose(const struct worker *w, const cpu_set_t *usual)
{
    int here = sched_getcpu();
    for (int i = 0; here >= 0 && i < PLACEMENT_CPUS; i++) {
        int cpu = (here + i) % PLACEMENT_CPUS;
        if (CPU_ISSET((size_t)cpu, usual) && !is_others(w, cpu)) {
            return cpu;
        }
    }
    return -1;
}

bool weft__placement_bind(struct worker *w)
{
    cpu_set_t *usual = &w->usual_cpus;
    if (sched_getaffinity(0, sizeof *usual, usual) != 0 ||
        (unsigned)CPU_COUNT(usual) < w->rt->worker_count) {
        return false;
    }
    int cpu = choose(w, usual);
    if (cpu < 0) {
        return false;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    atomic_store_relaxed(&w->cpu, (uint32_t)cpu + 1); /* ORD none: a hint to the others */
    return sched_setaffinity(0, sizeof one, &one) == 0;
}

void weft__placement_unbind(struct worker *w)
{
    (void)sched_setaffinity(0, sizeof w->usual_cpus, &w->usual_cpus);
}

void weft__placement_pin(struct worker *w)
{
    int cpu = weft__cpu_nth(w->index);
    if (cpu == -ENOENT) {
        unsigned cpus = 1;
        while (weft__cpu_nth(cpus) >= 0) {
            cpus++;
        }
        cpu = weft__cpu_nth(w->index % cpus);
    }
    if (cpu < 0) {
        return;
    }
    cpu_set_t *set = CPU_ALLOC((size_t)cpu + 1);
    if (set != NULL) {
        size_t bytes = CPU_ALLOC_SIZE((size_t)cpu + 1);
        CPU_ZERO_S(bytes, set);
        CPU_SET_S((size_t)cpu, bytes, set);
        (void)pthread_setaffinity_np(pthread_self(), bytes, set);
        CPU_FREE(set);
    }
}
