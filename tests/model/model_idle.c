/* SPDX-License-Identifier: MIT */
/*
 * The sleep protocol: no work waits while a worker sleeps, each claimed sleeper is woken once.
 *
 * idle.c as it is, in the sequences of worker.c (search, stop_searching, sleep_in_poller) and of
 * those who push: from outside, from a worker that goes on running, to one worker's inbox. A queue
 * is one slot for each item, as a deque's: a release store publishes, an exchange takes. Who runs
 * an item does not come back before all have been taken, so each item needs a worker of its own,
 * and a wake that is lost is a deadlock. In the end nobody is counted as searching or asleep.
 *
 * One worker may pause (ration.h): a task leaves what it spawns to it. It does not sleep here: its
 * time limit can be over at any moment.
 *
 * Then the protocol without each of its parts, which has to be found.
 */
#include "explorer/model.h"

#define IDLE_GROUP group_size
static unsigned group_size;

#include "idle.c"

#include "ration.c"

#include "mpsc.h"

enum { WORKERS_MAX = 3, ITEMS_MAX = 3 };

static struct {
    bool no_heavy_park;  /* the last look without the barrier */
    bool no_heavy_leave; /* the same for the last searcher's */
    bool no_look_park;   /* no last look */
    bool no_look_leave;  /* none when the last searcher leaves */
    bool no_offer;       /* one that takes several for itself does not offer what it does not run */
    bool no_search;      /* one whose last look found work is not a searcher again */
    bool look_of_others; /* no last look of one that was not searching itself */
    bool pause_search;   /* one whose pause is over is not a searcher */
    bool no_looks;       /* one that yields does not ask whether somebody has looked */
    bool pause_resume;   /* a pause is over for others only after the look at the queues */
} without;

static unsigned workers;
static int items; /* to be pushed */
static int slots; /* queues */
static int messages;

static struct idle idle;
static struct ration ration;
static struct ration_stay paused; /* what the pause is of */
static _Atomic(uint32_t) slot[ITEMS_MAX];    /* the queues: 1 while the item is there */
static _Atomic(uint32_t) taken;              /* items and messages */
static _Atomic(uint32_t) wakes[WORKERS_MAX]; /* calls of the poller's wake */
static struct mpsc inbox[WORKERS_MAX];
static struct mpsc_node node;
static int delivered;

static void setup(void)
{
    idle_init(&idle, workers);
    memset(&ration, 0, sizeof(ration));
    for (int i = 0; i < ITEMS_MAX; i++) {
        atomic_store_relaxed(&slot[i], 0);
    }
    for (int i = 0; i < WORKERS_MAX; i++) {
        atomic_store_relaxed(&wakes[i], 0);
        mpsc_init(&inbox[i]);
    }
    atomic_store_relaxed(&taken, 0);
    delivered = 0;
}

static bool all_taken(void)
{
    return atomic_load_seq_cst(&taken) == (uint32_t)(items + messages);
}

struct worker {
    unsigned index;
    bool is_searching;
    bool pauses;         /* it is about to sleep with a time limit, and counted */
    bool found;          /* an item to run */
    bool has_ended;      /* there will be none */
    uint32_t wakes_seen; /* by poller_wait */
};

/* All that a worker knows at this point. */
#define FORGET(w, extra) \
    model_forget((w)->wakes_seen << 5 | (unsigned)(w)->pauses << 4 | \
                 (unsigned)(w)->is_searching << 3 | \
                 (unsigned)(w)->found << 2 | (unsigned)(w)->has_ended << 1 | (unsigned)(extra))

/* ---- the poller ---- */

static void poller_wake(unsigned worker)
{
    (void)atomic_add_seq_cst(&wakes[worker], 1);
}

/* Sleep until a wake that was not seen yet, or the program's end. */
static void poller_wait(struct worker *w)
{
    uint32_t now = w->wakes_seen;
    model_wait_until((w->has_ended = all_taken()) ||
                     (now = atomic_load_acquire(&wakes[w->index])) != w->wakes_seen);
    w->wakes_seen = now;
}

/* ---- ready.c ---- */

static void wake_one(unsigned near)
{
    int sleeper = idle_claim(&idle, near);
    if (sleeper != IDLE_NOBODY) {
        poller_wake((unsigned)sleeper);
    }
}

static void push(int item, unsigned near)
{
    atomic_store_release(&slot[item], 1);
    barrier_light();
    wake_one(near);
}

/* ---- worker.c ---- */

static bool queues_hold_work(void)
{
    for (int i = 0; i < slots; i++) {
        if (atomic_load_relaxed(&slot[i]) != 0) {
            return true;
        }
    }
    return false;
}

static bool take(void)
{
    for (int i = 0; i < slots; i++) {
        if (atomic_load_relaxed(&slot[i]) != 0 && atomic_exchange_acq_rel(&slot[i], 0) != 0) {
            return true;
        }
    }
    return false;
}

static void stop_searching(struct worker *w)
{
    if (!w->is_searching) {
        return;
    }
    w->is_searching = false;
    bool is_last = weft__idle_leave_search(&idle, w->index);
    if (!is_last || without.no_look_leave || !idle_has_sleepers(&idle)) {
        return;
    }
    FORGET(w, 0);
    if (!queues_hold_work()) {
        if (!without.no_heavy_leave) {
            weft__barrier_heavy();
        }
        if (!queues_hold_work()) {
            return;
        }
    }
    FORGET(w, 0);
    wake_one(w->index);
}

static void sleep_in_poller(struct worker *w)
{
    bool must_look = weft__idle_park(&idle, w->index, w->is_searching);
    if (without.look_of_others) {
        must_look = must_look && w->is_searching;
    }
    w->is_searching = false;
    FORGET(w, must_look);
    if (must_look && !without.no_heavy_park) {
        weft__barrier_heavy();
    }
    bool finds = must_look && !without.no_look_park && queues_hold_work();
    FORGET(w, finds);
    if (!finds && !w->pauses && (messages == 0 || mpsc_empty(&inbox[w->index]))) {
        poller_wait(w);
    }
    FORGET(w, finds);
    if (w->pauses && !without.pause_resume) {
        weft__ration_resume(&ration, &paused);
    }
    bool to_search = (finds && !without.no_search) || (w->pauses && !without.pause_search);
    w->is_searching = weft__idle_unpark(&idle, w->index, to_search);
}

static void deliver_messages(struct worker *w)
{
    if (mpsc_take_all(&inbox[w->index]) != NULL) {
        delivered++;
        atomic_add_seq_cst(&taken, 1);
    }
}

/* An item runs until all have been taken. */
static void run(struct worker *w)
{
    atomic_add_seq_cst(&taken, 1);
    if (messages == 0) {
        model_wait_until(all_taken());
        w->has_ended = true;
    }
}

static void work_on(struct worker *w)
{
    while (!w->has_ended) {
        FORGET(w, 0);
        w->is_searching = w->is_searching || weft__idle_enter_search(&idle, w->index);
        w->found = w->is_searching && take();
        if (!w->found) {
            sleep_in_poller(w);
            FORGET(w, 0);
            if (messages > 0) {
                deliver_messages(w);
            }
            w->found = take(); /* the turn that follows looks at the inject queue */
        }
        FORGET(w, 0);
        if (w->found) {
            stop_searching(w);
            FORGET(w, 0);
            run(w);
        }
    }
    stop_searching(w);
    model_forget(0);
}

static void work(unsigned index)
{
    struct worker w = {.index = index};
    work_on(&w);
}

static void worker_0(void)
{
    work(0);
}

static void worker_1(void)
{
    work(1);
}

static void worker_2(void)
{
    work(2);
}

/* Pushes from outside, one after the other. */
static void outside(void)
{
    for (int i = 0; i < items; i++) {
        push(i, 0);
        model_forget((uint64_t)i);
    }
}

/* A task on worker 0 that spawns, and runs on. */
static void spawner(void)
{
    outside();
    model_wait_until(all_taken());
}

/* A task on worker 0 that spawns the last item, which is left to who pauses, and runs on. */
static void rationed_spawner(void)
{
    atomic_store_release(&slot[items - 1], 1);
    barrier_light();
    bool is_allowed = ration_allows(&ration, RATION_ANY);
    if (paused.kind == RATION_LONE) {
        is_allowed = is_allowed && weft__ration_allows_lone(&ration);
    }
    if (is_allowed) {
        wake_one(0);
    }
    model_wait_until(all_taken());
}

/* Its pause is over, and it has work of its own: a completion, say. */
static void pausing_1(void)
{
    struct worker w = {.index = 1, .pauses = true};
    sleep_in_poller(&w);
    stop_searching(&w);
    if (without.pause_resume) {
        weft__ration_resume(&ration, &paused);
    }
    FORGET(&w, 0);
    model_wait_until(all_taken());
}

/* Sleeps from the beginning. */
static void sleeping_2(void)
{
    struct worker w = {.index = 2};
    poller_wait(&w);
    w.is_searching = weft__idle_unpark(&idle, w.index, false);
    work_on(&w);
}

static void setup_pause(void)
{
    setup();
    atomic_store_relaxed(&ration.pausing[paused.kind], 1);
    atomic_store_relaxed(&idle.group[0].word, 1u << 2);
}

/* An item for anybody, and a message to worker 0. */
static void sender(void)
{
    outside();
    mpsc_push(&inbox[0], &node);
    if (weft__idle_claim_one(&idle, 0)) {
        poller_wake(0);
    }
    model_forget(0);
}

/* Worker 0 comes by the inject queue, takes both items, and runs the first. While it has the second
 * in its hands, the queues look empty to a searcher, on which those who pushed have relied. */
static void taker(void)
{
    struct worker w = {.index = 0};
    if (atomic_exchange_acq_rel(&slot[0], 0) != 0) {
        if (atomic_exchange_acq_rel(&slot[1], 0) != 0) {
            atomic_store_release(&slot[2], 1);
            if (!without.no_offer) {
                barrier_light();
                wake_one(0);
            }
        }
        run(&w);
    }
    work_on(&w);
}

/* A task on worker 0 yields: item 1 takes the place of item 0, which runs. Who searched when item 0
 * was pushed has been relied on. */
static void yielder(void)
{
    struct worker w = {.index = 0};
    if (atomic_exchange_acq_rel(&slot[0], 0) != 0) {
        atomic_store_release(&slot[1], 1);
        barrier_light();
        if (!without.no_looks && idle_looks(&idle) != 0) {
            wake_one(0);
        }
    }
    run(&w);
    work_on(&w);
}

static void searcher_1(void)
{
    struct worker w = {.index = 1, .is_searching = true};
    work_on(&w);
}

static void setup_taker(void)
{
    setup();
    atomic_store_relaxed(&slot[0], 1);
    atomic_store_relaxed(&slot[1], 1);
    atomic_store_relaxed(&idle.group[0].word, IDLE_SEARCHING_ONE);
}

/* Item 2, if there is one, is for the searcher to find. */
static void setup_yielder(void)
{
    setup();
    atomic_store_relaxed(&slot[0], 1);
    if (items == 3) {
        atomic_store_relaxed(&slot[2], 1);
    }
    atomic_store_relaxed(&idle.group[0].word,
                         IDLE_SEARCHING_ONE | (workers == 3 ? (uint64_t)1 << 2 : 0));
}

/* ---- scenarios ---- */

static void check(void)
{
    for (unsigned g = 0; g < idle.groups; g++) {
        model_assert(atomic_load_relaxed(&idle.group[g].word) == 0);
    }
    model_assert(delivered == messages);
}

static struct model_scenario scenario(const char *name, unsigned worker_count, int item_count)
{
    memset(&without, 0, sizeof(without));
    workers = worker_count;
    group_size = worker_count;
    items = item_count;
    slots = item_count;
    messages = 0;
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .value_states = true,
#ifdef MODEL_ASAN
        .preemptions_max = 2,
#endif
    };
}

static struct model_scenario two_workers(const char *name, int item_count)
{
    struct model_scenario s = scenario(name, 2, item_count);
    s.threads[0] = outside;
    s.threads[1] = worker_0;
    s.threads[2] = worker_1;
    return s;
}

static struct model_scenario spawner_and_two(const char *name)
{
    struct model_scenario s = scenario(name, 3, 2);
    s.threads[0] = spawner;
    s.threads[1] = worker_1;
    s.threads[2] = worker_2;
    return s;
}

static struct model_scenario pausing(const char *name, enum ration_kind kind)
{
    struct model_scenario s = scenario(name, 3, 1);
    paused = (struct ration_stay){.kind = kind, .has_paused = true};
    s.setup = setup_pause;
    s.threads[0] = rationed_spawner;
    s.threads[1] = pausing_1;
    s.threads[2] = sleeping_2;
    return s;
}

static struct model_scenario yielder_and_searcher(const char *name, unsigned worker_count)
{
    struct model_scenario s = scenario(name, worker_count, (int)worker_count);
    s.setup = setup_yielder;
    s.threads[0] = yielder;
    s.threads[1] = searcher_1;
    s.threads[2] = worker_count == 3 ? sleeping_2 : NULL;
    return s;
}

static struct model_scenario taker_and_searcher(const char *name)
{
    struct model_scenario s = scenario(name, 2, 2);
    slots = 3;
    s.setup = setup_taker;
    s.threads[0] = taker;
    s.threads[1] = searcher_1;
    return s;
}

static int test_right(void)
{
    struct model_scenario s = two_workers("idle: 2 workers, 2 items from outside", 2);
    int failures = model_run(&s);
    s = two_workers("idle: 2 groups of 1 worker, 2 items from outside", 2);
    group_size = 1;
    failures += model_run(&s);
    s = spawner_and_two("idle: 3 workers, one of them spawns 2 items");
    failures += model_run(&s);
    s = two_workers("idle: 2 workers, an item, a message", 1);
    s.threads[0] = sender;
    messages = 1;
    s.preemptions_max = 3;
    failures += model_run(&s);
    s = taker_and_searcher("idle: a worker takes 2, the last searcher looks");
    failures += model_run(&s);
    s = pausing("idle: one pauses, one spawns, one sleeps", RATION_ANY);
    failures += model_run(&s);
    s = pausing("idle: the same for a lone item", RATION_LONE);
    failures += model_run(&s);
    s = yielder_and_searcher("idle: one yields, one searches", 2);
    failures += model_run(&s);
    s = yielder_and_searcher("idle: one yields, one searches, one sleeps", 3);
    failures += model_run(&s);
    return failures;
}

/* A part of the protocol that is left out for a scenario which then deadlocks. */
static int test_mutant(struct model_scenario s, bool *part)
{
    *part = true;
    return model_finds(&s, "deadlock");
}

static int test_mutants(void)
{
    struct model_scenario s = two_workers("idle, mutant: no barrier before the last look", 1);
    int failures = test_mutant(s, &without.no_heavy_park);
    s = two_workers("idle, mutant: no last look", 1);
    failures += test_mutant(s, &without.no_look_park);
    s = two_workers("idle, mutant: last look of searchers only", 2);
    failures += test_mutant(s, &without.look_of_others);
    s = two_workers("idle, mutant: the last searcher leaves without a look", 2);
    failures += test_mutant(s, &without.no_look_leave);
    s = two_workers("idle, mutant: no barrier before the last searcher's look", 2);
    failures += test_mutant(s, &without.no_heavy_leave);
    s = two_workers("idle, mutant: who finds work on the last look is no searcher", 2);
    failures += test_mutant(s, &without.no_search);
    s = taker_and_searcher("idle, mutant: what was taken along is not offered");
    failures += test_mutant(s, &without.no_offer);
    s = pausing("idle, mutant: a pause is over after the look", RATION_ANY);
    failures += test_mutant(s, &without.pause_resume);
    s = pausing("idle, mutant: a lone pause is over after the look", RATION_LONE);
    failures += test_mutant(s, &without.pause_resume);
    s = pausing("idle, mutant: who has paused is no searcher", RATION_ANY);
    failures += test_mutant(s, &without.pause_search);
    s = pausing("idle, mutant: no barrier before the look after a pause", RATION_ANY);
    failures += test_mutant(s, &without.no_heavy_leave);
    s = yielder_and_searcher("idle, mutant: who yields does not ask for looks", 2);
    failures += test_mutant(s, &without.no_looks);
    s = yielder_and_searcher("idle, mutant: the same beside a sleeper", 3);
    failures += test_mutant(s, &without.no_looks);
    s = yielder_and_searcher("idle, mutant: one yields, no barrier before the last look", 2);
    failures += test_mutant(s, &without.no_heavy_park);
    return failures;
}

int main(void)
{
    return test_right() + test_mutants() == 0 ? 0 : 1;
}
