/* SPDX-License-Identifier: MIT */
/*
 * The wait of a fiber: park, wake, cancel, abort, in all interleavings.
 *
 * cancel.c, interrupt.c, scope.c and await.c as they are; around them what sleep.c and op.c do with
 * a wait, switch.c with `running`, and timers.c with the alarm. Each end of a wait makes the fiber
 * ready once; the outcome tells who ended it. The fiber's plain fields are announced: by the fiber,
 * which writes them whenever it runs, and by those who read them under a hold or as the one who
 * ended its wait. So whoever looks after the fiber could go on is a data race. A request that
 * nobody saw is a deadlock, where nothing else ends the wait.
 */
#include "explorer/model.h"

#include "runtime_object.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_BEGIN_ACQ_REL,   /* fiber.h P1 */
    MUTANT_REQUEST_ACQ_REL, /* fiber.h P1, the other side */
    MUTANT_HOLD_RELAXED,    /* fiber.h P2 */
    MUTANT_UNHOLD_ACQUIRE,  /* fiber.h P3 */
    MUTANT_ABORT_RELEASE,   /* fiber.h P3, the other side */
    MUTANT_LEAVE_RELAXED,   /* fiber.h P4 */
    MUTANT_RESUME_RELAXED,  /* fiber.h P4, the other side */
    MUTANT_WAKE_UNLOCKED,   /* load and store in place of the CAS */
    MUTANT_TICKETS_REPEAT,  /* all waits have the same one */
    MUTANT_RESUME_EARLY,    /* does not wait for `running` */
    MUTANT_ALARM_LATE,      /* fiber.h P5, the other way round */
    MUTANT_SCOPE_ACQ_REL,   /* scope.h P1 */
    MUTANT_SETTLE_LIGHT,    /* fiber.h P6: no heavy barrier */
};

static enum mutant mutant;

static bool mutates(enum mutant which, const char *function, const char *here)
{
    return mutant == which && strcmp(function, here) == 0;
}

#include "barrier.h"
#undef weft__barrier_heavy
#define weft__barrier_heavy() (mutant == MUTANT_SETTLE_LIGHT ? (void)0 : model_barrier_heavy())

#undef atomic_exchange_seq_cst
#define atomic_exchange_seq_cst(p, v) \
    MODEL_SWAP(p, v, mutant == MUTANT_BEGIN_ACQ_REL ? MODEL_ACQ_REL : MODEL_SEQ_CST)
#undef atomic_add_seq_cst
#define atomic_add_seq_cst(p, v) \
    MODEL_MODIFY(p, v, MODEL_ADD, mutant == MUTANT_REQUEST_ACQ_REL ? MODEL_ACQ_REL : MODEL_SEQ_CST)
#undef atomic_load_seq_cst
#define atomic_load_seq_cst(p) \
    MODEL_LOAD(p, mutates(MUTANT_HOLD_RELAXED, "weft__hold", __func__) ? MODEL_RELAXED \
                                                                       : MODEL_SEQ_CST)
#undef atomic_or_seq_cst
#define atomic_or_seq_cst(p, v) \
    MODEL_MODIFY(p, v, MODEL_OR, mutant == MUTANT_SCOPE_ACQ_REL ? MODEL_ACQ_REL : MODEL_SEQ_CST)
#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    (mutates(MUTANT_WAKE_UNLOCKED, "weft__wake", __func__) \
         ? cas_unlocked((_Atomic(uint64_t) *)(p), (uint64_t *)(expected), (uint64_t)(v)) \
         : MODEL_CAS(p, expected, v, cas_order(__func__)))

static enum model_order cas_order(const char *function)
{
    bool keeps_acquire = mutates(MUTANT_UNHOLD_ACQUIRE, "weft__unhold", function);
    bool keeps_release = mutates(MUTANT_HOLD_RELAXED, "weft__hold", function) ||
                         mutates(MUTANT_ABORT_RELEASE, "weft__wait_claim", function);
    return keeps_acquire ? MODEL_ACQUIRE : keeps_release ? MODEL_RELEASE : MODEL_ACQ_REL;
}

static bool cas_unlocked(_Atomic(uint64_t) *p, uint64_t *expected, uint64_t v)
{
    uint64_t was = atomic_load_acquire(p);
    bool same = was == *expected;
    *expected = was;
    if (same) {
        atomic_store_seq_cst(p, v);
    }
    return same;
}

#include "await.c"

#include "cancel.c"

#include "interrupt.c"

#include "scope.c"

enum { WAITS_MAX = 2, NEVER = 1, NOT_YET = 1 };

static struct worker worker;
static weft_runtime runtime;
static bool is_single;                  /* the runtime has one worker, which runs the fiber */
static struct fiber f;
static weft_task parent;                /* under `task`, where there is one */
static weft_task task;                  /* on f */
static weft_task awaited;               /* what it awaits, where it does */
static int left_behind;                 /* on the fiber's stack and in its registers */
static _Atomic(uint32_t) readied;       /* the queue */
static _Atomic(uint64_t) told;          /* the ticket, for the waker; NEVER: there will be none */
static _Atomic(uint32_t) asked;         /* the operation is to be cancelled */
static _Atomic(struct waiter *) listed; /* of the awaited task */
static int outcomes[WAITS_MAX];         /* of each wait */
static bool woken[WAITS_MAX];           /* by the waker */
static int waits;                       /* how many times it waits */
static bool is_nested;
static bool claims;       /* the waker ends the wait first, and makes the fiber ready later */
static bool ends_at_once; /* what it waits for: as an operation that completes when it is begun */
static enum wait_kind kind;
static struct weft_scope scope;    /* around the waits, where there is one */
static bool has_scope;
static int64_t armed_first;        /* the alarm as an earlier wait left it; 0: it is not armed */
static _Atomic(uint32_t) heap;     /* the timers' lock */

enum { DEADLINE = 10, EARLIER = 5 };

#include "wait_calls.h"

/* ---- the fiber ---- */

static void task_setup(weft_task *t, struct fiber *on)
{
    memset(t, 0, sizeof(*t));
    t->rt = &runtime;
    t->fn = (weft_fn)(uintptr_t)1;
    atomic_store_relaxed(&t->word, 2 * FUTURE_REF);
    atomic_store_relaxed(&t->fiber, on);
}

static void setup(void)
{
    memset(&f, 0, sizeof(f));
    runtime.worker_count = is_single ? 1 : 2;
    task_setup(&parent, &f);
    task_setup(&task, &f);
    task_setup(&awaited, NULL);
    if (is_nested) {
        parent.above = &task;
        task.under = &parent;
    }
    f.top = &task;
    if (has_scope) {
        memset(&scope, 0, sizeof(scope));
        scope.task = &task;
        scope.fiber = &f;
        scope.deadline_ns = DEADLINE;
        f.scope = &scope;
        f.alarm.expire = alarm_expire;
        atomic_store_relaxed(&f.alarm.armed_ns, armed_first);
    }
    atomic_store_relaxed(&heap, 0);
    atomic_store_relaxed(&f.running, 1);
    atomic_store_relaxed(&readied, 0);
    atomic_store_relaxed(&told, 0);
    atomic_store_relaxed(&asked, 0);
    atomic_store_relaxed(&listed, NULL);
    for (int i = 0; i < WAITS_MAX; i++) {
        outcomes[i] = NOT_YET;
        woken[i] = false;
    }
}

/* It runs: it calls, changes its fields, begins waits. */
static void fiber_runs(void)
{
    model_plain_write(&left_behind);
    model_plain_write(&f.top);
    model_plain_write(&f.outcome);
    model_plain_write(&f.wait_on);
}

/* weft__park and fiber_arrive. False: its own worker has found it ready before it left. */
static bool fiber_leave(void)
{
    if (atomic_load_relaxed(&readied) != 0 && atomic_exchange_acq_rel(&readied, 0) != 0) {
        fiber_runs();
        return false;
    }
    model_plain_write(&left_behind);
    MODEL_STORE(&f.running, 0, mutant == MUTANT_LEAVE_RELAXED ? MODEL_RELAXED : MODEL_RELEASE);
    return true;
}

/* By a worker that has taken it out of the queue; any, also the one it left. */
static void fiber_resume(void)
{
    if (mutant != MUTANT_RESUME_EARLY) {
        model_wait_until(MODEL_LOAD(&f.running, mutant == MUTANT_RESUME_RELAXED
                                                    ? MODEL_RELAXED
                                                    : MODEL_ACQUIRE) == 0);
    }
    atomic_store_relaxed(&f.running, 1);
    fiber_runs();
}

void weft__park(struct fiber *parking)
{
    model_assert(parking == &f);
    if (f.scope != NULL) {
        weft__alarm_set(&worker, &f);
    }
    if (fiber_leave()) {
        model_wait_until(atomic_load_relaxed(&readied) != 0);
        (void)atomic_exchange_acq_rel(&readied, 0);
        fiber_resume();
    }
    if (f.outcome < 0) {
        weft__interrupted_note(&f);
    }
}

/* As weft_sleep and op_run_wait begin. False: there is no need to wait. */
static bool fiber_begin(int number)
{
    fiber_runs();
    if (mutant == MUTANT_TICKETS_REPEAT) {
        f.generation = 0;
    }
    uint64_t ticket = weft__wait_begin(&f, kind, &awaited);
    int err = weft__interrupted(&f);
    if (err < 0 && kind == WAIT_OPERATION) {
        atomic_store_release(&asked, 1);
    }
    if (err < 0 && kind == WAIT_CLAIMABLE && weft__wait_abort(&f, ticket)) {
        outcomes[number] = err;
        fiber_runs();
        return false;
    }
    if (ends_at_once) {
        bool is_aborted = weft__wait_abort(&f, ticket);
        model_assert(is_aborted);
        outcomes[number] = 0;
        fiber_runs();
        return false;
    }
    if (mutant == MUTANT_TICKETS_REPEAT) {
        ticket |= (uint64_t)number << 32; /* for the waker to know; cut off before use */
    }
    atomic_store_release(&told, ticket);
    return true;
}

/* All on one worker. Between two waits it takes notice of a request. */
static void fiber(void)
{
    for (int i = 0; i < waits; i++) {
        if (fiber_begin(i)) {
            weft__park(&f);
            outcomes[i] = f.outcome;
        }
        (void)weft_uncancel();
    }
    atomic_store_release(&told, NEVER);
}

/* It leaves one worker and is resumed by another. */
static void fiber_left_worker(void)
{
    bool waits_on = fiber_begin(0);
    if (waits_on && fiber_leave()) {
        return;
    }
    outcomes[0] = waits_on ? f.outcome : outcomes[0];
    atomic_store_release(&told, NEVER);
}

static void fiber_other_worker(void)
{
    for (;;) {
        model_wait_until(atomic_load_relaxed(&readied) != 0 || atomic_load_acquire(&told) == NEVER);
        if (atomic_load_acquire(&told) == NEVER) {
            return;
        }
        if (atomic_exchange_acq_rel(&readied, 0) == 1) {
            fiber_resume();
            outcomes[0] = f.outcome;
            return;
        }
    }
}

/* ---- the others ---- */

static void waker(void)
{
    uint64_t ticket = 0;
    for (int i = 0; i < waits; i++) {
        uint64_t before = ticket;
        model_wait_until((ticket = atomic_load_acquire(&told)) != before);
        if (ticket == NEVER) {
            return;
        }
        int number = mutant == MUTANT_TICKETS_REPEAT ? (int)(ticket >> 32)
                                                     : (int)(ticket / WAIT_GENERATION) - 1;
        if (!claims) {
            woken[number] = weft__wake(&f, ticket & UINT32_MAX);
        } else if (weft__wait_claim(&f, ticket)) {
            model_plain_write(&woken[number]); /* what the waiter is given */
            woken[number] = true;
            weft__fiber_ready(&f);
        }
    }
}

/* The kernel, which ends an operation when it is asked to. */
static void kernel(void)
{
    model_wait_until(atomic_load_acquire(&asked) != 0);
    waker();
}

static void canceller(void)
{
    (void)weft__cancel(is_nested ? &parent : &task);
}

static void scope_canceller(void)
{
    weft_scope_cancel(&scope);
}

/* ---- a task that awaits another ---- */

static void awaiter(void)
{
    fiber_runs();
    weft__await_parked(&f, &awaited);
    outcomes[0] = f.outcome;
}

/* It ends when it is asked to. */
static void awaited_ends(void)
{
    struct waiter *node;
    model_wait_until(atomic_load_acquire(&awaited.cancel) != 0);
    model_wait_until((node = atomic_load_acquire(&listed)) != NULL);
    node->wake(node, &awaited);
    woken[0] = true;
}

static void check_passed_once(void)
{
    model_assert(outcomes[0] == 0);
    model_assert(atomic_load_relaxed(&awaited.cancel) == 1);
}

/* ---- a task that starts ---- */

static void setup_start(void)
{
    setup();
    f.top = NULL;
    atomic_store_relaxed(&task.fiber, NULL);
}

/* fiber_run_task, and a first wait. */
static void starter(void)
{
    fiber_runs();
    f.top = &task;
    atomic_store_release(&task.fiber, &f);
    fiber();
}

/* ---- scenarios ---- */

static void check(void)
{
    for (int i = 0; i < waits; i++) {
        model_assert(outcomes[i] == (woken[i] || ends_at_once ? 0 : -ECANCELED));
    }
    model_assert(!is_nested || atomic_load_relaxed(&task.cancel) <= 1);
    model_assert(atomic_load_relaxed(&readied) == 0);
}

/* Within a scope, which tells at its end whether a wait failed because of it. */
static void check_scope(void)
{
    bool is_blamed = false;
    for (int i = 0; i < waits; i++) {
        model_assert((outcomes[i] == 0) == woken[i]);
        is_blamed = is_blamed || outcomes[i] == -ETIMEDOUT;
    }
    model_assert(!is_blamed || scope.error == -ETIMEDOUT);
    model_assert(atomic_load_relaxed(&readied) == 0);
}

static struct model_scenario scenario(const char *name, enum wait_kind wait_kind, int wait_count)
{
    mutant = MUTANT_NONE;
    kind = wait_kind;
    waits = wait_count;
    is_nested = false;
    ends_at_once = false;
    claims = false;
    has_scope = false;
    is_single = false;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {fiber, canceller}, .check = check};
}

static struct model_scenario with(struct model_scenario s, void (*a)(void), void (*b)(void))
{
    int i = 2;
    s.threads[i++] = a;
    s.threads[i] = b;
    return s;
}

/* Two cancel `parent`, on which the task is nested. */
static struct model_scenario nested(const char *name)
{
    struct model_scenario s = scenario(name, WAIT_CLAIMABLE, 1);
    is_nested = true;
    return with(s, canceller, NULL);
}

static struct model_scenario resumed_elsewhere(const char *name)
{
    struct model_scenario s = scenario(name, WAIT_CLAIMABLE, 1);
    s.threads[0] = fiber_left_worker;
    return with(s, fiber_other_worker, NULL);
}

static struct model_scenario started(const char *name)
{
    struct model_scenario s = scenario(name, WAIT_CLAIMABLE, 1);
    s.setup = setup_start;
    s.threads[0] = starter;
    return s;
}

static struct model_scenario ended_at_once(const char *name)
{
    struct model_scenario s = scenario(name, WAIT_OPERATION, 1);
    ends_at_once = true;
    return with(s, canceller, NULL);
}

static struct model_scenario awaiting(const char *name)
{
    struct model_scenario s = scenario(name, WAIT_TASK, 1);
    s.threads[0] = awaiter;
    s.check = check_passed_once;
    return with(s, awaited_ends, NULL);
}

/* Within a scope whose deadline comes; the alarm may be there from an earlier wait. */
static struct model_scenario late(const char *name, int64_t armed, int wait_count)
{
    struct model_scenario s = scenario(name, WAIT_CLAIMABLE, wait_count);
    has_scope = true;
    armed_first = armed;
    s.threads[1] = expirer;
    s.check = check_scope;
    return s;
}

/* Within a scope that is cancelled. */
static struct model_scenario scope_cancelled(const char *name)
{
    struct model_scenario s = late(name, 0, 1);
    s.threads[1] = scope_canceller;
    return s;
}

static int test_scopes(void)
{
    struct model_scenario s = late("wait: past its deadline", 0, 1);
    int failures = model_run(&s);
    s = late("wait: the same, with an alarm that is left", EARLIER, 1);
    s.threads[1] = expirer_of_two;
    failures += model_run(&s);
    s = with(late("wait: woken or past its deadline", 0, 1), waker, NULL);
    failures += model_run(&s);
    s = with(late("wait: cancelled or past its deadline", 0, 1), canceller, NULL);
    s.memory = MODEL_SC;
    failures += model_run(&s);
    s = with(late("wait: two waits, woken or past the deadline", 0, 2), waker, NULL);
    s.memory = MODEL_SC;
    failures += model_run(&s);
    s = scope_cancelled("wait: in a scope that is cancelled");
    failures += model_run(&s);
    s = with(scope_cancelled("wait: the same, or woken"), waker, NULL);
    failures += model_run(&s);
    s = with(scope_cancelled("wait: the same, or past its deadline"), expirer, NULL);
    s.memory = MODEL_SC;
    failures += model_run(&s);
    s = late("wait, mutant: alarm put out after the look", EARLIER, 1);
    s.threads[1] = expirer_of_two;
    s.memory = MODEL_SC;
    mutant = MUTANT_ALARM_LATE;
    failures += model_finds(&s, "deadlock");
    s = late("wait, mutant: begin acq_rel, with an alarm that is left", EARLIER, 1);
    s.threads[1] = expirer_of_two;
    mutant = MUTANT_BEGIN_ACQ_REL;
    failures += model_finds(&s, "deadlock");
    s = scope_cancelled("wait, mutant: cancel of a scope acq_rel");
    mutant = MUTANT_SCOPE_ACQ_REL;
    failures += model_finds(&s, "deadlock");
    return failures;
}

static int test_right(void)
{
    struct model_scenario s = scenario("wait: cancelled", WAIT_CLAIMABLE, 1);
    int failures = model_run(&s);
    s = with(scenario("wait: woken or cancelled, by two", WAIT_CLAIMABLE, 1), waker, canceller);
    failures += model_run(&s);
    s = with(scenario("wait: claimed or cancelled, by two", WAIT_CLAIMABLE, 1), waker, canceller);
    claims = true;
    failures += model_run(&s);
    s = with(scenario("wait: two waits, woken or cancelled", WAIT_CLAIMABLE, 2), waker, NULL);
    failures += model_run(&s);
    s = with(scenario("wait: an operation, two cancel", WAIT_OPERATION, 1), kernel, canceller);
    failures += model_run(&s);
    s = with(scenario("wait: firm, woken, two cancel", WAIT_FIRM, 1), waker, canceller);
    failures += model_run(&s);
    s = ended_at_once("wait: an operation that ends at once, two cancel");
    failures += model_run(&s);
    s = nested("wait: of a nested task, two cancel the one under it");
    failures += model_run(&s);
    s = with(nested("wait: the same, with a waker"), waker, NULL);
    failures += model_run(&s);
    s = resumed_elsewhere("wait: goes on elsewhere");
    s.threads[3] = waker;
    failures += model_run(&s);
    s = started("wait: of a task that starts");
    failures += model_run(&s);
    s = awaiting("wait: for a task, cancelled");
    failures += model_run(&s);
    s = awaiting("wait: for a task, two cancel");
    s.threads[3] = canceller;
    s.memory = MODEL_SC;
    failures += model_run(&s);
    return failures;
}

static int test_orders(void)
{
    struct model_scenario s = scenario("wait, mutant: begin acq_rel", WAIT_CLAIMABLE, 1);
    mutant = MUTANT_BEGIN_ACQ_REL;
    int failures = model_finds(&s, "deadlock");
    s = scenario("wait, mutant: request acq_rel", WAIT_CLAIMABLE, 1);
    mutant = MUTANT_REQUEST_ACQ_REL;
    failures += model_finds(&s, "deadlock");
    s = with(scenario("wait, mutant: hold relaxed", WAIT_OPERATION, 1), kernel, NULL);
    mutant = MUTANT_HOLD_RELAXED;
    failures += model_finds(&s, "data race");
    s = with(scenario("wait, mutant: unhold without release", WAIT_OPERATION, 1), kernel,
             canceller);
    mutant = MUTANT_UNHOLD_ACQUIRE;
    failures += model_finds(&s, "data race");
    s = ended_at_once("wait, mutant: abort without acquire");
    mutant = MUTANT_ABORT_RELEASE;
    failures += model_finds(&s, "data race");
    s = resumed_elsewhere("wait, mutant: leave relaxed");
    mutant = MUTANT_LEAVE_RELAXED;
    failures += model_finds(&s, "data race");
    s = resumed_elsewhere("wait, mutant: resume relaxed");
    mutant = MUTANT_RESUME_RELAXED;
    failures += model_finds(&s, "data race");
    return failures;
}

#include "wait_single.h"

static int test_protocol(void)
{
    struct model_scenario s =
        with(scenario("wait, mutant: wake without CAS", WAIT_CLAIMABLE, 1), waker, NULL);
    s.memory = MODEL_SC;
    mutant = MUTANT_WAKE_UNLOCKED;
    int failures = model_finds(&s, "outcomes[i]");
    s = with(scenario("wait, mutant: tickets repeat", WAIT_CLAIMABLE, 2), waker, NULL);
    s.memory = MODEL_SC;
    mutant = MUTANT_TICKETS_REPEAT;
    failures += model_finds(&s, "outcomes[i]");
    s = resumed_elsewhere("wait, mutant: resumed before it has left");
    mutant = MUTANT_RESUME_EARLY;
    return failures + model_finds(&s, "data race");
}

int main(void)
{
    int failures = test_scopes() + test_right() + test_orders() + test_single() + test_protocol();
    return failures == 0 ? 0 : 1;
}
