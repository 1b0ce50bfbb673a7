/* SPDX-License-Identifier: MIT */
/*
 * What is sent to a worker: a task's one message with its flags, and the nudge, in all
 * interleavings.
 *
 * ready.c, idle.c and mpsc.h as they are, against a worker that delivers and sleeps as worker.c
 * does; whoever sends is a thread outside. Shown is:
 *   - nothing is lost: the worker sleeps until a pinned task was there as often as it was made
 *     ready, the poller was asked after the last request was made, and the timers were looked at
 *     after they were changed. What is lost is a deadlock.
 *   - what the sender did is seen, also by a reason that joins a message under way: the task's
 *     context is announced plain data.
 *   - a message is written again only when the worker is through with it: it is announced by who
 *     finds the flags at 0, and by the loop that reads its link and its function.
 *   - a kick's reference is there while the poller is asked, and is given back once, by the worker
 *     or by a sender that found a kick under way.
 *   - the same when another worker, which holds the poller's guard meanwhile (here a lock),
 *     delivers in between: the pinned task runs on its own worker all the same.
 * Then the same without each of the orders, and with what the worker does in another sequence.
 */
#include "explorer/model.h"

#include "runtime_object.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_SEND_ACQUIRE,    /* ready.c P1 */
    MUTANT_SEND_RELEASE,    /* the same: the message may still be read */
    MUTANT_DELIVER_ACQUIRE, /* ready.c P1, the other side */
    MUTANT_DELIVER_RELEASE,
    MUTANT_DELIVER_UNLOCKED, /* load and store in place of the exchange */
    MUTANT_LINK_LATE,        /* the next message is looked for after this one was delivered */
    MUTANT_NUDGE_RELAXED,    /* ready.c P2 */
    MUTANT_NUDGE_LATE,       /* the flag falls after the look at the timers */
};

static enum mutant mutant;
static weft_task task;
static struct worker worker;
static struct worker helper; /* of worker's, with nothing of its own */

/* Who finds 0 writes the message. */
static uint64_t sends(uint64_t old, uint64_t new, const struct message *m)
{
    if (old == 0 && new != 0) {
        model_plain_write(m);
    }
    return old;
}

static uint8_t take_flags(_Atomic(uint8_t) *flags)
{
    if (mutant == MUTANT_DELIVER_UNLOCKED) {
        uint8_t was = atomic_load_acquire(flags);
        atomic_store_release(flags, 0);
        return was;
    }
    return MODEL_SWAP(flags, 0,
                      mutant == MUTANT_DELIVER_ACQUIRE   ? MODEL_ACQUIRE
                      : mutant == MUTANT_DELIVER_RELEASE ? MODEL_RELEASE
                                                         : MODEL_ACQ_REL);
}

#undef atomic_or_acq_rel
#define atomic_or_acq_rel(p, v) \
    ((uint8_t)sends(MODEL_MODIFY(p, v, MODEL_OR, \
                                 mutant == MUTANT_SEND_ACQUIRE   ? MODEL_ACQUIRE \
                                 : mutant == MUTANT_SEND_RELEASE ? MODEL_RELEASE \
                                                                 : MODEL_ACQ_REL), \
                    (v), &task.inbox))
#undef atomic_exchange_acq_rel
#define atomic_exchange_acq_rel(p, v) take_flags(p)
#undef atomic_exchange_seq_cst
#define atomic_exchange_seq_cst(p, v) \
    sends(MODEL_SWAP(p, v, mutant == MUTANT_NUDGE_RELAXED ? MODEL_RELAXED : MODEL_SEQ_CST), (v), \
          &worker.nudge)

#include "ready.c"

#include "idle.c"

static weft_runtime runtime;
static int context;                /* of the task, written by who makes it ready */
static _Atomic(uint32_t) wakes;    /* calls of the poller's wake */
static _Atomic(uint32_t) runs;     /* of the task */
static _Atomic(uint32_t) requests; /* of cancel, counted before they are sent */
static _Atomic(uint32_t) timers;   /* changes, the same */
static _Atomic(uint32_t) held;     /* references of kicks */
static _Atomic(uint32_t) guard;    /* of the poller: who delivers holds it */
static uint32_t asked;             /* requests that the poller has seen; under guard */
static uint32_t wanted_runs, wanted_requests, wanted_timers;
static int helping = -1; /* the thread that is a helper, if one is */

/* ---- what ready.c calls ---- */

struct worker *weft__worker_current(void)
{
    return model_self() == 0 ? &worker : model_self() == helping ? &helper : NULL;
}

bool weft__deque_grow(struct deque *d)
{
    (void)d;
    model_fail("a pinned task is in the deque");
}

void weft__inject_push(struct inject *q, struct runnable *first, struct runnable *last, size_t n)
{
    (void)q;
    (void)first;
    (void)last;
    (void)n;
    model_fail("a pinned task is injected");
}

bool weft__ration_allows_lone(struct ration *r)
{
    (void)r;
    model_fail("a pinned task is offered");
}

void weft_put(weft_future *f)
{
    uint32_t was = atomic_sub_acq_rel(&held, 1);
    model_assert(f == &task && was > 0);
}

int weft__runtime_enter(weft_runtime *rt, enum runtime_phase refused_from)
{
    (void)rt;
    (void)refused_from;
    model_fail("another runtime's task");
    return -ESHUTDOWN;
}

void weft__runtime_exit(weft_runtime *rt)
{
    (void)rt;
}

void weft__cancel_put(weft_task *t)
{
    (void)t;
    model_fail("a cancel is passed on");
}

static void poller_wake(struct poller *p)
{
    (void)p;
    (void)atomic_add_seq_cst(&wakes, 1);
}

static void poller_cancel(struct poller *p, weft_task *of)
{
    (void)p;
    model_assert(of == &task && atomic_load_relaxed(&held) > 0);
    asked = atomic_load_relaxed(&requests);
}

static const struct poller_ops ops = {.wake = poller_wake, .cancel = poller_cancel};

static void setup(void)
{
    memset(&runtime, 0, sizeof(runtime));
    memset(&worker, 0, sizeof(worker));
    memset(&helper, 0, sizeof(helper));
    memset(&task, 0, sizeof(task));
    idle_init(&runtime.idle, 1);
    runtime.workers = &worker;
    worker.rt = helper.rt = task.rt = &runtime;
    worker.poller_ops = &ops; /* and the task is pinned to worker 0 */
    atomic_store_relaxed(&wakes, 0);
    atomic_store_relaxed(&runs, 0);
    atomic_store_relaxed(&requests, 0);
    atomic_store_relaxed(&timers, 0);
    atomic_store_relaxed(&held, 0);
    atomic_store_relaxed(&guard, 0);
    asked = 0;
}

/* ---- worker.c ---- */

static void deliver_messages(void)
{
    while (helping >= 0 && atomic_exchange_acquire(&guard, 1) != 0) {
        cpu_relax();
    }
    struct mpsc_node *node = mpsc_take_all(&worker.inbox);
    while (node != NULL) {
        struct message *m = WEFT_CONTAINER(node, struct message, node);
        model_plain_read(m);
        struct mpsc_node *next = node->next;
        m->deliver(m, &worker);
        if (mutant == MUTANT_LINK_LATE) {
            model_plain_read(m);
            next = node->next;
        }
        node = next;
    }
    if (helping >= 0) {
        atomic_store_release(&guard, 0);
    }
}

static void run_pinned(void)
{
    struct runnable *r = pinned_next(&worker);
    if (r != NULL) {
        model_assert(r == &task.run && worker.pinned_first == NULL);
        model_plain_write(&context);
        (void)atomic_add_acq_rel(&runs, 1);
    }
}

static void sleep_in_poller(uint32_t *wakes_seen)
{
    (void)weft__idle_park(&runtime.idle, 0, false);
    if (mpsc_empty(&worker.inbox)) {
        uint32_t now = *wakes_seen;
        model_wait_until((now = atomic_load_acquire(&wakes)) != *wakes_seen);
        *wakes_seen = now;
    }
    if (weft__idle_unpark(&runtime.idle, 0, false)) {
        (void)weft__idle_leave_search(&runtime.idle, 0);
    }
}

static void work(void)
{
    uint32_t wakes_seen = 0;
    uint32_t timers_seen = 0;
    for (;;) {
        if (mutant == MUTANT_NUDGE_LATE) {
            timers_seen = atomic_load_relaxed(&timers);
        }
        deliver_messages();
        if (mutant != MUTANT_NUDGE_LATE) {
            timers_seen = atomic_load_relaxed(&timers);
        }
        run_pinned();
        bool has_asked = helping >= 0 || asked >= wanted_requests; /* a helper may have */
        if (atomic_load_relaxed(&runs) >= wanted_runs && has_asked &&
            timers_seen >= wanted_timers) {
            return;
        }
        sleep_in_poller(&wakes_seen);
    }
}

/* Another worker, once. */
static void help(void)
{
    deliver_messages();
    model_assert(helper.pinned_first == NULL);
}

/* ---- who sends ---- */

static void make_ready(void)
{
    model_plain_write(&context);
    weft__runnable_ready(&runtime, &task.run);
}

/* Ready again when it has run, in the same message. */
static void make_ready_twice(void)
{
    make_ready();
    model_wait_until(atomic_load_acquire(&runs) == 1);
    make_ready();
}

/* As weft__wait_kick. */
static void kick(void)
{
    (void)atomic_add_seq_cst(&requests, 1);
    (void)atomic_add_relaxed(&held, 1);
    if (!weft__task_send(&task, &worker, TASK_INBOX_KICK)) {
        weft_put(&task);
    }
}

static void nudge(void)
{
    (void)atomic_add_relaxed(&timers, 1);
    weft__worker_nudge(&worker);
}

/* ---- scenarios ---- */

/* What was still under way when the worker had seen enough. */
static void check(void)
{
    deliver_messages();
    model_assert(atomic_load_relaxed(&runs) == wanted_runs && worker.pinned_first == NULL);
    model_assert(asked == wanted_requests && atomic_load_relaxed(&held) == 0);
    model_assert(atomic_load_relaxed(&task.inbox_flags) == 0);
    model_assert(atomic_load_relaxed(&worker.is_nudged) == 0);
    model_assert(atomic_load_relaxed(&runtime.visitors) == 0);
}

typedef void (*sender_fn)(void);

static struct model_scenario scenario(const char *name, sender_fn a, sender_fn b, sender_fn c)
{
    const sender_fn senders[] = {a, b, c};
    wanted_runs = wanted_requests = wanted_timers = 0;
    helping = -1;
    for (int i = 0; i < 3; i++) {
        wanted_runs += senders[i] == make_ready_twice ? 2u : senders[i] == make_ready;
        wanted_requests += senders[i] == kick;
        wanted_timers += senders[i] == nudge;
        helping = senders[i] == help ? i + 1 : helping;
    }
    mutant = MUTANT_NONE;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {work, a, b, c}, .check = check};
}

static int test_right(void)
{
    struct model_scenario s = scenario("inbox: ready twice, a kick", make_ready_twice, kick, NULL);
    s.preemptions_max = 2;
    int failures = model_run(&s);
    s = scenario("inbox: two kicks", kick, kick, NULL);
    failures += model_run(&s);
    s = scenario("inbox: two nudges", nudge, nudge, NULL);
    failures += model_run(&s);
    s = scenario("inbox: ready, two kicks", make_ready, kick, kick);
    s.memory = MODEL_TSO;
    s.preemptions_max = 3;
    failures += model_run(&s);
    s = scenario("inbox: ready, a kick, a nudge", make_ready, kick, nudge);
    s.memory = MODEL_TSO;
    s.preemptions_max = 2;
    failures += model_run(&s);
    s = scenario("inbox: ready, a kick, a helper", make_ready, kick, help);
    s.memory = MODEL_TSO;
    s.preemptions_max = 2;
    return failures + model_run(&s);
}

static int test_mutant(struct model_scenario s, enum mutant which, const char *text)
{
    mutant = which;
    return model_finds(&s, text);
}

static int test_mutants(void)
{
    struct model_scenario s =
        scenario("inbox, mutant: sent without release", make_ready, kick, NULL);
    int failures = test_mutant(s, MUTANT_SEND_ACQUIRE, "held");
    s = scenario("inbox, mutant: sent without acquire", make_ready_twice, kick, NULL);
    failures += test_mutant(s, MUTANT_SEND_RELEASE, "data race");
    s = scenario("inbox, mutant: delivered without release", kick, kick, NULL);
    failures += test_mutant(s, MUTANT_DELIVER_ACQUIRE, "data race");
    s = scenario("inbox, mutant: delivered without acquire", make_ready, kick, NULL);
    failures += test_mutant(s, MUTANT_DELIVER_RELEASE, "data race");
    s = scenario("inbox, mutant: the flags are loaded, then cleared", make_ready, kick, NULL);
    failures += test_mutant(s, MUTANT_DELIVER_UNLOCKED, "deadlock");
    s = scenario("inbox, mutant: the link is read late", kick, kick, NULL);
    failures += test_mutant(s, MUTANT_LINK_LATE, "data race");
    s = scenario("inbox, mutant: nudge relaxed", nudge, nudge, NULL);
    failures += test_mutant(s, MUTANT_NUDGE_RELAXED, "data race");
    s = scenario("inbox, mutant: the flag falls after the look", nudge, nudge, NULL);
    return failures + test_mutant(s, MUTANT_NUDGE_LATE, "deadlock");
}

int main(void)
{
    return test_right() + test_mutants() == 0 ? 0 : 1;
}
