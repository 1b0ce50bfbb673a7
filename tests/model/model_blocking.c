/* SPDX-License-Identifier: MIT */
/*
 * A task that waits for a blocking job: it goes on once, when the job is over or was taken back; it
 * sees what the job did; and nobody touches the call after that.
 *
 * blocking.c as it is. The pool is one place for a job and one thread; the wait is reduced as in
 * sync_fibers.h. The call is in the frame of the task: when it has returned, its memory is gone.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_END_RELAXED,   /* P1: of the call that parks */
    MUTANT_SEEN_RELAXED,  /* P1: of the call that is watched */
    MUTANT_AWAIT_RELAXED, /* P1, the task's side */
    MUTANT_AWAIT_BLIND,   /* the second wait's ticket is put there whatever is there */
    MUTANT_PARK_BLIND,    /* the same of the first's, after a watch */
    MUTANT_WAKE_FIRST,    /* the thread wakes the task before it takes the ticket out */
    MUTANT_WITHDRAW_LATE, /* a job is taken back that a thread has */
};

static enum mutant mutant;

static bool is_in(const char *function, const char *here)
{
    return strcmp(function, here) == 0;
}

static enum model_order cas_order(const char *function)
{
    bool is_weak = (mutant == MUTANT_SEEN_RELAXED && is_in("call_end", function)) ||
                   (mutant == MUTANT_AWAIT_RELAXED && is_in("call_await", function));
    return is_weak ? MODEL_RELAXED : MODEL_ACQ_REL;
}

static bool store_blindly(_Atomic(uint64_t) *p, uint64_t v)
{
    atomic_store_seq_cst(p, v);
    return true;
}

#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    ((mutant == MUTANT_AWAIT_BLIND && is_in("call_await", __func__)) || \
             (mutant == MUTANT_PARK_BLIND && is_in("call_submit", __func__)) \
         ? store_blindly((_Atomic(uint64_t) *)(uintptr_t)(p), (uint64_t)(uintptr_t)(v)) \
         : MODEL_CAS(p, expected, v, cas_order(__func__)))

#undef atomic_exchange_acq_rel
#define atomic_exchange_acq_rel(p, v) \
    MODEL_SWAP(p, v, mutant == MUTANT_END_RELAXED && is_in("call_end", __func__) ? MODEL_RELAXED \
                                                                                : MODEL_ACQ_REL)

#include "runtime_object.h"
#include "worker.h"

#define weft__worker_has_local(w) ((void)(w), true) /* a look on is one look */
#include "blocking.c"

#include "sync_fibers.h"

/* Where the job is. */
enum place { PLACE_NONE, PLACE_IN_LINE, PLACE_TAKEN, PLACE_BACK };

static struct blocking_call call;
static struct weft_pool pool;
static weft_runtime runtime;
static _Atomic(uint32_t) place;
static int outcome;   /* what the job did */
static int went_on;   /* what the task was told */
static bool looks_on; /* the task looks whether the job is over, before it parks */
static int64_t now_ns;

#include "pool_calls.h"

static void setup(void)
{
    fibers_setup();
    memset(&call, 0, sizeof call);
    memset(&pool, 0, sizeof pool);
    memset(&runtime, 0, sizeof runtime);
    atomic_store_relaxed(&place, PLACE_NONE);
    outcome = 0;
    went_on = 1;
    now_ns = 0;
    runtime.worker_count = 2;
    pool.look_on_ns = looks_on ? 1 : 0;
    for (int i = 0; i < MODEL_THREADS_MAX; i++) {
        fibers[i].worker.rt = &runtime;
        fibers[i].task.rt = &runtime;
    }
}

static void task(void)
{
    call.fiber = weft__fiber_current();
    call.rt = &runtime;
    call.job.end = call_end;
    went_on = call_run(&call, &pool);
    if (went_on == 0) {
        model_plain_read(&outcome);
    } else if (atomic_load_relaxed(&place) == PLACE_NONE) {
        atomic_store_relaxed(&place, PLACE_BACK); /* it never was in line */
    }
    model_retire(&call, sizeof call);
}

static void end_wrongly(struct blocking_call *c)
{
    struct fiber *f = c->fiber;
    (void)weft__wake(f, atomic_load_acquire(&c->ticket));
    (void)atomic_exchange_acq_rel(&c->ticket, 0);
}

static void thread(void)
{
    uint32_t in_line = PLACE_IN_LINE;
    model_wait_until(atomic_load_relaxed(&place) != PLACE_NONE);
    if (!atomic_cas_acquire(&place, &in_line, PLACE_TAKEN)) {
        return;
    }
    model_plain_write(&outcome);
    outcome = 1;
    if (mutant == MUTANT_WAKE_FIRST) {
        end_wrongly(&call);
    } else {
        call_end(&call.job);
    }
}

static void canceller(void)
{
    fiber_cancel(0);
}

static void check(void)
{
    model_assert(went_on == 0 || went_on == -ECANCELED);
    model_assert((went_on == 0) == (outcome == 1));
    model_assert(atomic_load_relaxed(&fibers[0].is_ready) == 0);
    model_assert(atomic_load_relaxed(&runtime.visitors) == 0);
}

static struct model_scenario scenario(const char *name, bool looks)
{
    looks_on = looks;
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {task, thread, canceller},
    };
}

static int run_mutant(enum mutant which, const char *name, bool looks, const char *rule)
{
    mutant = which;
    struct model_scenario s = scenario(name, looks);
    return model_finds(&s, rule);
}

int main(void)
{
    struct model_scenario s = scenario("blocking: a task that parks, cancelled", false);
    int failed = model_run(&s);
    s = scenario("blocking: a task that looks on, cancelled", true);
    failed += model_run(&s);
    failed += run_mutant(MUTANT_END_RELAXED, "blocking: end relaxed", false, "data race");
    failed += run_mutant(MUTANT_SEEN_RELAXED, "blocking: end of a watched one relaxed", true,
                         "data race");
    failed += run_mutant(MUTANT_AWAIT_RELAXED, "blocking: await relaxed", false, "data race");
    failed += run_mutant(MUTANT_AWAIT_BLIND, "blocking: await without a look", false, "deadlock");
    failed += run_mutant(MUTANT_PARK_BLIND, "blocking: park without a look", true, "deadlock");
    failed += run_mutant(MUTANT_WAKE_FIRST, "blocking: wake first", false, "");
    failed += run_mutant(MUTANT_WITHDRAW_LATE, "blocking: taken back from a thread", false, "");
    return failed == 0 ? 0 : 1;
}
