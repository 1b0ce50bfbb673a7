/* SPDX-License-Identifier: MIT */
/* For model_wait.c: what the sources under test call, made of what a scenario has; and what the
 * timers call. */
#ifndef WEFT_WAIT_CALLS_H
#define WEFT_WAIT_CALLS_H

void weft__fiber_ready(struct fiber *ready)
{
    model_assert(ready == &f);
    model_plain_read(&f.top); /* which runtime, which task */
    model_plain_read(&f.outcome);
    uint32_t before = atomic_exchange_acq_rel(&readied, 1);
    model_assert(before == 0);
}

struct worker *weft__worker_current(void)
{
    return NULL;
}

struct fiber *weft__fiber_current(void)
{
    return &f;
}

weft_future *weft_get(weft_future *of)
{
    model_plain_read(&f.wait_on);
    return of;
}

void weft_put(weft_future *of)
{
    (void)of;
}

int weft__runtime_enter(weft_runtime *rt, enum runtime_phase until)
{
    (void)rt;
    (void)until;
    return 0; /* nobody closes here */
}

void weft__runtime_exit(weft_runtime *rt)
{
    (void)rt;
}

int64_t weft__runtime_now(weft_runtime *rt)
{
    (void)rt;
    return DEADLINE;
}

/* Each wait begins before that: it is the alarm that has to end it. */
bool weft__runtime_has_come(weft_runtime *rt, int64_t at_ns)
{
    (void)rt;
    (void)at_ns;
    return false;
}

static void heap_lock(void)
{
    while (atomic_exchange_acquire(&heap, 1) != 0) {
        cpu_relax();
    }
}

int weft__timers_arm(struct timers *t, struct deadline *d, int64_t at_ns)
{
    (void)t;
    heap_lock();
    atomic_store_relaxed(&d->armed_ns, at_ns);
    atomic_store_release(&heap, 0);
    return 0;
}

bool weft__timers_disarm(struct deadline *d)
{
    (void)d;
    model_fail("the task has not ended");
}

bool weft__slab_is_ours(const weft_task *t)
{
    return t != NULL; /* nobody forks here */
}

bool weft__task_send(weft_task *t, struct worker *to, uint8_t why)
{
    model_assert(t == &task && to == NULL && why == TASK_INBOX_KICK);
    model_plain_read(&f.wait_on);
    return atomic_exchange_acq_rel(&asked, 1) == 0;
}

bool weft__future_add_waiter(weft_future *of, struct waiter *node)
{
    model_assert(of == &awaited);
    atomic_store_release(&listed, node);
    return true;
}

struct job *weft__job_current(void)
{
    return NULL;
}

bool weft__promise_cancel(weft_future *of)
{
    (void)of;
    return false; /* here are tasks alone */
}

void weft__fiber_visit_loop(struct worker *w)
{
    (void)w;
}

void weft__task_finish(struct worker *w, weft_task *t, void *value)
{
    (void)w;
    (void)t;
    (void)value;
}

int weft_result(weft_future *of, void **result)
{
    (void)of;
    (void)result;
    return 0;
}

bool weft_done(const weft_future *of)
{
    (void)of;
    return false;
}

/* weft__timers_expire: the alarm goes off, if it is armed. */
static void alarm_goes_off(void)
{
    heap_lock();
    int64_t now_ns = atomic_load_relaxed(&f.alarm.armed_ns);
    if (now_ns != 0) {
        if (mutant != MUTANT_ALARM_LATE) {
            atomic_store_seq_cst(&f.alarm.armed_ns, 0);
        }
        int64_t again_ns = f.alarm.expire(&f.alarm, now_ns);
        if (mutant == MUTANT_ALARM_LATE) {
            atomic_store_seq_cst(&f.alarm.armed_ns, 0);
        }
        if (again_ns != 0) {
            atomic_store_relaxed(&f.alarm.armed_ns, again_ns);
        }
    }
    atomic_store_release(&heap, 0);
}

/* The one that is left, and then the one that the wait needs. */
static void expirer_of_two(void)
{
    alarm_goes_off();
    model_wait_until(atomic_load_relaxed(&f.alarm.armed_ns) == DEADLINE);
    alarm_goes_off();
}

/* Each time that it is armed. */
static void expirer(void)
{
    for (;;) {
        model_wait_until(atomic_load_relaxed(&f.alarm.armed_ns) != 0 ||
                         atomic_load_acquire(&told) == NEVER);
        if (atomic_load_acquire(&told) == NEVER) {
            return;
        }
        alarm_goes_off();
    }
}

#endif
