/* SPDX-License-Identifier: MIT */
/* For tests of blocking work: a gate that jobs wait at, and who is there. */
#ifndef WEFT_BLOCKING_HELP_H
#define WEFT_BLOCKING_HELP_H

#include "task_help.h"

/* Jobs that have come to it wait until it is opened. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int come;
    bool is_open;
};

#define GATE_CLOSED {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false}

/* A job: come to the gate, wait there; returns its argument. */
static inline void *job_at_gate(void *arg)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    gate->come++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->is_open) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
    return arg;
}

static inline void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static inline int gate_come(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    int come = gate->come;
    pthread_mutex_unlock(&gate->lock);
    return come;
}

/* In a task: wait until so many jobs have come. */
static inline void gate_await(struct gate *gate, int count)
{
    while (gate_come(gate) < count) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

/* The same where waits fail. */
static inline void gate_spin(struct gate *gate, int count)
{
    while (gate_come(gate) < count) {
        sched_yield();
    }
}

static inline struct weft_metrics metrics_of(weft_runtime *rt)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(rt, &m), 0);
    return m;
}

/* In a task: wait until so many jobs stand in line. */
static inline void queued_await(uint64_t count)
{
    while (metrics_of(weft_runtime_current()).blocking_queued != count) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

/* In a task: wait until so many threads sleep. */
static inline void idle_await(uint64_t count)
{
    while (metrics_of(weft_runtime_current()).blocking_idle != count) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

/* A job: counts itself. */
static inline void *job_counts(void *arg)
{
    shared_int *count = arg;
    atomic_add_seq_cst(count, 1);
    return arg;
}

/* A job: its value is its argument plus 1. */
static inline void *job_adds(void *arg)
{
    return (char *)arg + 1;
}

/* A task: waits for job_at_gate; its outcome is that. */
static inline void *task_at_gate(void *arg)
{
    void *result;
    int err = weft_run_blocking(job_at_gate, arg, &result);
    return err < 0 ? weft_fail(err) : result;
}

/* One thread for jobs. */
static inline struct weft_options one_thread(void)
{
    return (struct weft_options){.blocking_threads_max = 1};
}

#endif
