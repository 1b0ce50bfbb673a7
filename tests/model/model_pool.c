/* SPDX-License-Identifier: MIT */
/*
 * The calling of threads of a pool: each job is run once or taken back, and none is left in line
 * while a thread sleeps.
 *
 * pool.c as it is, with a lock of the explorer's in place of the mutex. The threads are there from
 * the beginning, and wait until they are started. What they do is what pool_thread.c does, without
 * the clock: nobody looks on, and nobody has slept for long. A lost call is a deadlock. Then
 * mutations of the looks.
 */
#include "explorer/model.h"

#include <pthread.h>

#include "atomic.h"

#define WEFT_FUTEX_H /* sleeping and waking are the explorer's */
#define weft__futex_wake(word, count) ((void)(word), (void)(count))
#define weft__futex_wait(word, seen, for_ns) ((void)(word), (void)(seen), (void)(for_ns))

static _Atomic(bool) is_locked;

static int model_lock(void)
{
    while (atomic_exchange_acquire(&is_locked, true)) {
        cpu_relax();
    }
    return 0;
}

static int model_unlock(void)
{
    atomic_store_release(&is_locked, false);
    return 0;
}

#define pthread_mutex_init(m, attributes) ((void)(m))
#define pthread_mutex_destroy(m) ((void)(m))
#define pthread_mutex_lock(m) ((void)(m), model_lock())
#define pthread_mutex_unlock(m) ((void)(m), model_unlock())

#include "pool.c"

enum mutant {
    MUTANT_NONE,
    MUTANT_SLEEP_BLIND,    /* P2: no look for jobs after the slot was pushed */
    MUTANT_END_WEAK,       /* P1: that nobody searches may be seen after the look */
    MUTANT_WITHDRAW_BLIND, /* who has moved jobs to the queue does not look */
    MUTANT_ASK_FIRST,      /* P1: a submitter asks for a searcher before it pushes */
};

enum { JOBS_MAX = 2, SLOTS_MAX = 2 };

static enum mutant mutant;
static unsigned jobs_all;
static struct weft_pool pool;
static struct pool_slot slots[SLOTS_MAX];
static struct job jobs[JOBS_MAX];
static int runs[JOBS_MAX];
static bool is_back[JOBS_MAX];
static _Atomic(unsigned) over_count;
static _Atomic(uint32_t) is_started[SLOTS_MAX];

/* ---- what pool.c asks of others ---- */

int weft__pool_thread_start(struct pool_slot *slot)
{
    atomic_store_release(&is_started[slot - slots], 1);
    return 0;
}

void weft__job_over(struct job *job)
{
    model_plain_write(&runs[job - jobs]);
    runs[job - jobs]++;
    (void)atomic_add_seq_cst(&over_count, 1);
}

void weft__locals_drop(struct local_set *set)
{
    (void)set;
}

void weft__pool_interrupt(struct pool_slot *slot)
{
    (void)slot;
}

void weft__pool_signal_drain(const struct weft_pool *of, timer_t timer)
{
    (void)of;
    (void)timer;
}

int64_t weft__pool_now(void)
{
    return 0;
}

unsigned weft__cpu_count(void)
{
    return 1;
}

uint64_t weft__fork_generation(void)
{
    return 0;
}

/* ---- the threads ---- */

static void setup(void)
{
    memset(&pool, 0, sizeof pool);
    memset(slots, 0, sizeof slots);
    memset(jobs, 0, sizeof jobs);
    memset(runs, 0, sizeof runs);
    memset(is_back, 0, sizeof is_back);
    atomic_store_relaxed(&is_locked, false);
    atomic_store_relaxed(&over_count, 0);
    pool.slots = slots;
    list_init(&pool.queue);
    atomic_store_relaxed(&pool.refs, 1);
}

static void setup_with(unsigned count)
{
    setup();
    for (unsigned i = count; i-- > 0;) {
        atomic_store_relaxed(&is_started[i], 0);
        slots[i].pool = &pool;
        stack_push(&pool.unused, &slots[i]);
    }
}

static void setup_one(void)
{
    setup_with(1);
}

static void setup_two(void)
{
    setup_with(2);
}

static bool is_all_over(void)
{
    return atomic_load_seq_cst(&over_count) == jobs_all;
}

static void submit(unsigned i)
{
    if (mutant != MUTANT_ASK_FIRST) {
        weft__pool_submit(&pool, &jobs[i]);
        return;
    }
    bool has_searcher = atomic_load_seq_cst(&pool.is_searching) != 0;
    (void)mpsc_push(&pool.inbox, &jobs[i].node);
    if (!has_searcher) {
        weft__pool_look(&pool);
    }
}

static void submitter(void)
{
    for (unsigned i = 0; i < jobs_all; i++) {
        submit(i);
    }
}

static void submitter_of_first(void)
{
    submit(0);
}

static void submitter_of_second(void)
{
    submit(1);
}

static bool withdraw_blindly(struct job *job)
{
    pthread_mutex_lock(&pool.lock);
    drain(&pool);
    bool is_ours = job->is_listed;
    if (is_ours) {
        unlist(&pool, job);
    }
    pthread_mutex_unlock(&pool.lock);
    return is_ours;
}

/* Submits the second job and takes it back, if it can. */
static void canceller(void)
{
    submit(1);
    bool is_ours = mutant == MUTANT_WITHDRAW_BLIND ? withdraw_blindly(&jobs[1])
                                                   : weft__pool_withdraw(&pool, &jobs[1]);
    if (is_ours) {
        is_back[1] = true;
        (void)atomic_add_seq_cst(&over_count, 1);
    }
}

static void end_search(void)
{
    if (mutant == MUTANT_END_WEAK) {
        atomic_store_relaxed(&pool.is_searching, 0);
        weft__pool_look(&pool);
    } else {
        weft__pool_search_end(&pool);
    }
}

/* False: all is over. */
static bool wait_for(_Atomic(uint32_t) *word, uint32_t unlike)
{
    while (atomic_load_seq_cst(word) == unlike) {
        if (is_all_over()) {
            return false;
        }
        cpu_relax();
    }
    return true;
}

static void thread_of(struct pool_slot *slot)
{
    bool is_searching = true;
    if (!wait_for(&is_started[slot - slots], 0)) {
        return;
    }
    for (;;) {
        struct job *job = weft__pool_take(slot);
        if (job == NULL) {
            weft__pool_sleep_begin(slot);
        }
        if (job == NULL && mutant == MUTANT_SLEEP_BLIND) {
            search_over(&pool);
        } else if (is_searching) {
            end_search();
        } else {
            weft__pool_look(&pool);
        }
        if (job != NULL) {
            weft__pool_job_over(slot);
            is_searching = weft__pool_search_begin(&pool);
        } else if (!wait_for(&slot->state, SLOT_SLEEPING)) {
            return;
        } else {
            is_searching = true;
        }
    }
}

static void first_thread(void)
{
    thread_of(&slots[0]);
}

static void second_thread(void)
{
    thread_of(&slots[1]);
}

static void check(void)
{
    model_assert(mpsc_empty(&pool.inbox) && list_empty(&pool.queue));
    for (unsigned i = 0; i < jobs_all; i++) {
        model_assert(runs[i] + is_back[i] == 1);
    }
}

static struct model_scenario scenario(const char *name, enum mutant which, void (*a)(void),
                                      void (*b)(void))
{
    mutant = which;
    jobs_all = 2;
    return (struct model_scenario){
        .name = name,
        .setup = setup_one,
        .threads = {a, first_thread, b},
        .check = check,
        .memory = MODEL_SC,
        .preemptions_max = 3,
    };
}

int main(void)
{
    struct model_scenario s = scenario("pool: 2 jobs, 1 thread", MUTANT_NONE, submitter, NULL);
    s.memory = MODEL_WEAK;
    int failures = model_run(&s);
    s = scenario("pool: 2 submitters", MUTANT_NONE, submitter_of_first, submitter_of_second);
    failures += model_run(&s);
    s = scenario("pool: a cancel", MUTANT_NONE, submitter_of_first, canceller);
    failures += model_run(&s);
    s = scenario("pool: 2 threads", MUTANT_NONE, submitter, second_thread);
    s.setup = setup_two;
    failures += model_run(&s);

    s = scenario("pool, mutant: sleep blind", MUTANT_SLEEP_BLIND, submitter, NULL);
    failures += model_finds(&s, "deadlock");
    s = scenario("pool, mutant: ask first", MUTANT_ASK_FIRST, submitter, NULL);
    failures += model_finds(&s, "deadlock");
    s = scenario("pool, mutant: withdraw blind", MUTANT_WITHDRAW_BLIND, submitter_of_first,
                 canceller);
    failures += model_finds(&s, "deadlock");
    s = scenario("pool, mutant: end weak", MUTANT_END_WEAK, submitter, NULL);
    s.memory = MODEL_TSO;
    failures += model_finds(&s, "deadlock");
    return failures == 0 ? 0 : 1;
}
