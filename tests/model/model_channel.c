/* SPDX-License-Identifier: MIT */
/*
 * The hand-over of a channel, the claim of a select, and when the channel may go, in all
 * interleavings.
 *
 * channel.c, select.c, turnstile.c, wait_queue.c and cancel.c as they are; each thread is a task on
 * a fiber of its own, and parks as in model_wait.c. The copies of elements are announced, on both
 * sides: whoever copies to a waiter that may have gone on is a data race, and so is one who reads
 * an element while it is written. A wake-up that is lost is a deadlock; an element that is lost or
 * doubled shows in what was received; a touch of a channel that was destroyed fails by itself.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_UNLOCK_RELAXED, /* turnstile.h P1 */
    MUTANT_LOCK_RELAXED,   /* turnstile.h P1, the other side */
    MUTANT_UNCLAIMED,      /* a waiter is given an element though its wait was ended by another */
    MUTANT_RESUME_FIRST,   /* a waiter is made ready when it is claimed */
    MUTANT_WINDOW,         /* the lock is let go between the look and the queue */
    MUTANT_DESTROY_BUSY,   /* destroy does not ask who waits */
};

static enum mutant mutant;

#undef atomic_exchange_acquire
#define atomic_exchange_acquire(p, v) \
    MODEL_SWAP(p, v, mutant == MUTANT_LOCK_RELAXED ? MODEL_RELAXED : MODEL_ACQUIRE)
#undef atomic_store_release
#define atomic_store_release(p, v) \
    MODEL_STORE(p, v, \
                mutant == MUTANT_UNLOCK_RELAXED && strcmp(__func__, "turnstile_unlock") == 0 \
                    ? MODEL_RELAXED \
                    : MODEL_RELEASE)

/* The first try of a claim, which wait_queue.c makes again when it fails. */
#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    (skips_first_try(__func__) ? false : MODEL_CAS(p, expected, v, MODEL_ACQ_REL))

static bool skips_first_try(const char *function)
{
    return (mutant == MUTANT_UNCLAIMED || mutant == MUTANT_RESUME_FIRST) &&
           strcmp(function, "turnstile_claim") == 0;
}

#define element_copy element_copy_unseen
#include "element.h"
#undef element_copy

static void element_copy(void *to, const void *from, size_t bytes)
{
    model_plain_read(from);
    model_plain_write(to);
    element_copy_unseen(to, from, bytes);
}

#include "cancel.c"

#include "interrupt.c"

#include "interrupt_calls.h"

/* What wait_queue.c calls. */
static bool claim(struct fiber *f, uint64_t ticket)
{
    if (mutant == MUTANT_RESUME_FIRST) {
        return weft__wake(f, ticket);
    }
    return weft__wait_claim(f, ticket) || mutant == MUTANT_UNCLAIMED;
}

static void resume(struct fiber *f)
{
    if (mutant != MUTANT_RESUME_FIRST) {
        weft__fiber_ready(f);
    }
}

#define weft__wait_claim claim
#define weft__fiber_ready resume
#include "wait_queue.c"
#undef weft__wait_claim
#undef weft__fiber_ready

#include "turnstile.h"

static uint64_t begin(struct turnstile *t, struct fiber *f, enum wait_kind kind, void *on)
{
    if (mutant == MUTANT_WINDOW) {
        turnstile_unlock(t);
        turnstile_lock(t);
    }
    return weft__wait_begin(f, kind, on);
}

#define weft__wait_begin(f, kind, on) begin(t, f, kind, on)
#include "turnstile.c"
#undef weft__wait_begin

#include "channel.c"

#include "select.c"

enum { TASKS_MAX = 2, NOT_YET = 1 };

static struct fiber fibers[TASKS_MAX]; /* of the first threads */
static struct worker workers[TASKS_MAX];
static weft_task tasks[TASKS_MAX];
static weft_runtime runtime = {.worker_count = TASKS_MAX};
static _Atomic(uint32_t) readied[TASKS_MAX];
static _Atomic(uint32_t) parked[TASKS_MAX]; /* it is in the queues, or has returned */
static weft_channel *a;
static weft_channel *b;
static size_t room;
static uint64_t got[MODEL_THREADS_MAX];  /* by each thread */
static uint64_t gave[MODEL_THREADS_MAX]; /* the same */
static int errors[MODEL_THREADS_MAX];
static int chosen[MODEL_THREADS_MAX];

/* ---- what the sources call ---- */

static int fiber_number(const struct fiber *f)
{
    return (int)(f - fibers);
}

void weft__fiber_ready(struct fiber *f)
{
    model_plain_read(&f->outcome);
    uint32_t before = atomic_exchange_acq_rel(&readied[fiber_number(f)], 1);
    model_assert(before == 0);
}

void weft__park(struct fiber *f)
{
    int number = fiber_number(f);
    atomic_store_release(&parked[number], 1);
    model_wait_until(atomic_load_relaxed(&readied[number]) != 0);
    (void)atomic_exchange_acq_rel(&readied[number], 0);
    model_plain_write(&f->outcome);
}

struct fiber *weft__fiber_current(void)
{
    return model_self() < TASKS_MAX ? &fibers[model_self()] : NULL;
}

struct worker *weft__worker_current(void)
{
    return model_self() < TASKS_MAX ? &workers[model_self()] : NULL;
}

void weft__spend(void)
{
    /* no turn is due */
}

void weft__fiber_visit_loop(struct worker *w)
{
    (void)w;
}

void weft__task_fetch_neighbour(const weft_task *t, int places)
{
    (void)t;
    (void)places;
}

void weft__queued_push_slow(struct worker *w, struct runnable *r)
{
    (void)w;
    (void)r;
}

void weft__worker_offer(struct worker *w)
{
    (void)w;
}

int64_t weft_now(void)
{
    return 0;
}

weft_future *weft_get(weft_future *f)
{
    return f;
}

void weft_put(weft_future *f)
{
    (void)f;
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

struct job *weft__job_current(void)
{
    return NULL;
}

bool weft__promise_cancel(weft_future *of)
{
    (void)of;
    return false; /* here are tasks alone */
}

bool weft__slab_is_ours(const weft_task *t)
{
    return t != NULL; /* nobody forks here */
}

bool weft__task_send(weft_task *t, struct worker *to, uint8_t why)
{
    (void)t;
    (void)to;
    (void)why;
    model_fail("no operation waits here");
}

/* ---- the threads ---- */

static void setup(void)
{
    memset(fibers, 0, sizeof(fibers));
    memset(tasks, 0, sizeof(tasks));
    for (int i = 0; i < TASKS_MAX; i++) {
        tasks[i].fn = (weft_fn)(uintptr_t)1;
        tasks[i].rt = &runtime;
        atomic_store_relaxed(&tasks[i].word, 2 * FUTURE_REF);
        atomic_store_relaxed(&tasks[i].fiber, &fibers[i]);
        fibers[i].top = &tasks[i];
        workers[i].fiber = &fibers[i];
        workers[i].rt = (weft_runtime *)(uintptr_t)64; /* not the tasks': each makes them ready */
        workers[i].rng.state = 0;
        worker_set_ticks(&workers[i], INT_MAX);
        atomic_store_relaxed(&readied[i], 0);
        atomic_store_relaxed(&parked[i], 0);
    }
    for (int i = 0; i < MODEL_THREADS_MAX; i++) {
        got[i] = 0;
        gave[i] = 10 + (uint64_t)i;
        errors[i] = NOT_YET;
        chosen[i] = NOT_YET;
    }
    a = weft_channel_create(sizeof(uint64_t), room);
    b = weft_channel_create(sizeof(uint64_t), room);
}

static void receiver(void)
{
    int i = model_self();
    errors[i] = weft_channel_receive(a, &got[i]);
    atomic_store_release(&parked[i], 1);
    if (errors[i] == 0) {
        model_plain_read(&got[i]);
    }
}

static void sender(void)
{
    int i = model_self();
    model_plain_write(&gave[i]);
    errors[i] = weft_channel_send(a, &gave[i]);
    model_plain_write(&gave[i]);
}

static void trier(void)
{
    int i = model_self();
    errors[i] = weft_channel_try_send(a, &gave[i]);
}

static void trier_b(void)
{
    int i = model_self();
    errors[i] = weft_channel_try_send(b, &gave[i]);
}

static void canceller(void)
{
    (void)weft__cancel(&tasks[0]);
}

static void canceller_of_both(void)
{
    (void)weft__cancel(&tasks[0]);
    (void)weft__cancel(&tasks[1]);
}

static void closer(void)
{
    errors[model_self()] = weft_channel_close(a);
}

static void receiver_destroys(void)
{
    receiver();
    int err = weft_channel_destroy(a);
    model_assert(err == 0);
}

/* It lets the first task wait, passes it over or serves it, and destroys. */
static void destroyer(void)
{
    int i = model_self();
    model_wait_until(atomic_load_acquire(&parked[0]) != 0);
    errors[i] = weft_channel_try_send(a, &gave[i]);
    if (mutant == MUTANT_DESTROY_BUSY) {
        a->gate.waiting = 0;
    }
    chosen[i] = weft_channel_destroy(a);
    model_assert(chosen[i] == 0 || chosen[i] == -EBUSY);
}

static void select_one(struct weft_select_case *cases)
{
    int i = model_self();
    chosen[i] = weft_select(cases, 2);
    if (chosen[i] >= 0 && cases[chosen[i]].kind == WEFT_SELECT_RECEIVE) {
        model_plain_read(&got[i]);
    }
    errors[i] = chosen[i] < 0 ? chosen[i] : cases[chosen[i]].error;
}

static void selector(void)
{
    int i = model_self();
    struct weft_select_case cases[] = {{WEFT_SELECT_RECEIVE, a, &got[i], 0, {NULL}},
                                       {WEFT_SELECT_RECEIVE, b, &got[i], 0, {NULL}}};
    select_one(cases);
}

/* Receives from one or sends to the other; the second thread the other way round. */
static void selector_across(void)
{
    int i = model_self();
    struct weft_select_case cases[] = {{WEFT_SELECT_RECEIVE, i == 0 ? a : b, &got[i], 0, {NULL}},
                                       {WEFT_SELECT_SEND, i == 0 ? b : a, &gave[i], 0, {NULL}}};
    select_one(cases);
}

/* The same with one channel. */
static void selector_of_one(void)
{
    int i = model_self();
    struct weft_select_case cases[] = {{WEFT_SELECT_RECEIVE, a, &got[i], 0, {NULL}},
                                       {WEFT_SELECT_SEND, a, &gave[i], 0, {NULL}}};
    select_one(cases);
}

/* ---- what has to come of it ---- */

/* Task 0 has what the one who could send sent, or nobody could. */
static void check_one(void)
{
    int sent = 0;
    for (int i = 1; i < MODEL_THREADS_MAX; i++) {
        sent += errors[i] == 0;
        model_assert(errors[i] != 0 || got[0] == gave[i]);
    }
    model_assert(errors[0] == 0 || errors[0] == -ECANCELED);
    model_assert(sent == (errors[0] == 0));
    model_assert(a->gate.waiting == 0 && b->gate.waiting == 0);
    model_assert(atomic_load_relaxed(&readied[0]) == 0);
}

static void check_destroyed(void)
{
    model_assert((errors[0] == 0) == (errors[1] == 0));
}

static void check_sent(void)
{
    model_assert(errors[0] == 0 && errors[1] == 0 && got[0] == gave[1]);
}

static void check_closed(void)
{
    model_assert(errors[0] == -EPIPE || errors[0] == -ECANCELED);
    model_assert(a->gate.waiting == 0);
}

static void check_met(void)
{
    for (int i = 0; i < TASKS_MAX; i++) {
        model_assert(errors[i] == (errors[0] < 0 ? -ECANCELED : 0));
        model_assert(errors[i] < 0 || got[i] == (chosen[i] == 0 ? gave[1 - i] : 0));
    }
    model_assert(errors[0] < 0 || chosen[0] + chosen[1] == 1);
    model_assert(a->gate.waiting == 0 && b->gate.waiting == 0);
}

static struct model_scenario scenario(const char *name, size_t capacity, void (*check)(void),
                                      void (*first)(void), void (*second)(void))
{
    mutant = MUTANT_NONE;
    room = capacity;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {first, second}, .check = check};
}

static int run(struct model_scenario s, void (*third)(void), void (*fourth)(void))
{
    s.threads[2] = third;
    s.threads[3] = fourth;
    return model_run(&s);
}

static int test_channel(void)
{
    int failures = 0;
    failures += run(
        scenario("channel: a receiver, cancelled, and a try", 0, check_one, receiver, canceller),
        trier, NULL);
    failures +=
        run(scenario("channel: the last one destroys", 0, check_sent, receiver_destroys, sender),
            NULL, NULL);
    failures +=
        run(scenario("channel: the same, with room", 1, check_sent, receiver_destroys, sender),
            NULL, NULL);
    failures +=
        run(scenario("channel: destroyed beside a cancel", 0, check_destroyed, receiver, destroyer),
            canceller, NULL);
    failures += run(scenario("channel: closed, cancelled", 0, check_closed, receiver, closer),
                    canceller, NULL);
    return failures;
}

static int test_select(void)
{
    int failures = 0;
    failures += run(scenario("select: a try, a cancel", 0, check_one, selector, canceller), trier,
                    NULL);
    struct model_scenario s = scenario("select: two tries, a cancel", 0, check_one, selector,
                                       canceller);
    s.memory = MODEL_TSO; /* weak it takes minutes */
    failures += run(s, trier, trier_b);
    failures +=
        run(scenario("select: two, crosswise", 0, check_met, selector_across, selector_across),
            NULL, NULL);
    s = scenario("select: two, crosswise, cancelled", 0, check_met, selector_across,
                 selector_across);
    s.memory = MODEL_SC;
    failures += run(s, canceller_of_both, NULL);
    failures +=
        run(scenario("select: two, on one channel", 0, check_met, selector_of_one, selector_of_one),
            NULL, NULL);
    return failures;
}

static int finds(struct model_scenario s, enum mutant which, void (*third)(void), const char *text)
{
    mutant = which;
    s.threads[2] = third;
    return model_finds(&s, text);
}

static int test_mutants(void)
{
    int failures = 0;
    failures += finds(scenario("channel, mutant: unlock relaxed", 1, check_sent, receiver, sender),
                      MUTANT_UNLOCK_RELAXED, NULL, "data race");
    failures += finds(scenario("channel, mutant: lock relaxed", 1, check_sent, receiver, sender),
                      MUTANT_LOCK_RELAXED, NULL, "data race");
    failures += finds(scenario("channel, mutant: unclaimed", 0, check_one, receiver, canceller),
                      MUTANT_UNCLAIMED, trier, "");
    failures += finds(scenario("channel, mutant: resumed first", 0, check_sent, receiver, sender),
                      MUTANT_RESUME_FIRST, NULL, "data race");
    failures += finds(scenario("channel, mutant: a window", 0, check_sent, receiver, sender),
                      MUTANT_WINDOW, NULL, "deadlock");
    failures += finds(
        scenario("channel, mutant: destroyed while busy", 0, check_destroyed, receiver, destroyer),
        MUTANT_DESTROY_BUSY, canceller, "");
    return failures;
}

int main(void)
{
    return test_channel() + test_select() + test_mutants() == 0 ? 0 : 1;
}
