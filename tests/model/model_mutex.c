/* SPDX-License-Identifier: MIT */
/*
 * The mutex: one owner at a time, who sees what the owners before did; no waiter is forgotten, also
 * when one is cancelled; and nobody touches it who has let go of it.
 *
 * Each task locks, counts, unlocks; one is cancelled meanwhile. What is protected is announced
 * plain data. A waiter that nobody wakes is a deadlock. The last task to have it locked, as the
 * count tells, frees the mutex at once, which is the release guarantee: any access after that is a
 * failure.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_UNLOCK_RELAXED, /* mutex.c P1 */
    MUTANT_LOCK_RELAXED,   /* mutex.c P1, the other side */
    MUTANT_GIVE_RELAXED,   /* sync_word.h P1 */
    MUTANT_RESUME_FIRST,   /* a waiter is made ready before the mutex is left alone */
    MUTANT_TOUCH,          /* the mutex is looked at after it was unlocked */
    MUTANT_HEIR_STAYS,     /* an heir that is cancelled leaves its duty to nobody */
    MUTANT_NO_WAITERS,     /* an heir does not see to the queue */
};

static enum mutant mutant;

#undef atomic_cas_acquire
#define atomic_cas_acquire(p, expected, v) \
    MODEL_CAS(p, expected, v, mutant == MUTANT_LOCK_RELAXED ? MODEL_RELAXED : MODEL_ACQUIRE)
#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    MODEL_CAS(p, expected, v, \
              mutant == MUTANT_UNLOCK_RELAXED && strcmp(__func__, "weft_mutex_unlock") == 0 \
                  ? MODEL_RELAXED \
                  : MODEL_ACQ_REL)
#undef atomic_store_release
#define atomic_store_release(p, v) \
    MODEL_STORE(p, v, mutant == MUTANT_GIVE_RELAXED ? MODEL_RELAXED : MODEL_RELEASE)

#include "sync_fibers.h"

#include "mutex.h"

/* ---- mutex.c, with some of its calls led through here ---- */

static int queue_data; /* stands for what LOCK guards */

static uint64_t model_sync_lock(_Atomic(uint64_t) *word)
{
    uint64_t old = sync_lock(word);
    model_plain_write(&queue_data);
    return old;
}

static void model_sync_unlock(struct weft_mutex *m, uint64_t value)
{
    if (mutant == MUTANT_HEIR_STAYS && (value & SYNC_WAITERS) != 0 &&
        weft__interrupted(weft__fiber_current()) < 0) {
        m->has_heir = true;
        value &= ~SYNC_WAITERS;
    }
    if (mutant == MUTANT_NO_WAITERS && model_self() != 0) {
        value &= ~SYNC_WAITERS;
    }
    model_plain_write(&queue_data);
    sync_unlock(&m->word, value);
}

static struct wait_node *model_claim(struct wait_queue *q)
{
    struct wait_node *n = weft__wait_queue_claim(q);
    if (mutant == MUTANT_RESUME_FIRST && n != NULL) {
        weft__wait_queue_resume(n);
    }
    return n;
}

static void model_resume(struct weft_mutex *m, struct wait_node *n)
{
    if (mutant != MUTANT_RESUME_FIRST) {
        weft__wait_queue_resume(n);
    }
    if (mutant == MUTANT_TOUCH) {
        (void)atomic_load_relaxed(&m->word);
    }
}

#define sync_lock(word) model_sync_lock(word)
#define sync_unlock(word, value) model_sync_unlock(m, value)
#define weft__wait_queue_claim(q) model_claim(q)
#define weft__wait_queue_resume(n) model_resume(m, n)

#define MUTEX_LOOKS 0
#include "mutex.c"



enum { PREEMPTIONS = 3 }; /* of three tasks: all would be millions of executions */

static struct weft_mutex *mutex; /* gone at the end */
static int used;                 /* under the mutex */
static int locks[MODEL_THREADS_MAX]; /* what each task's call returned */
static int tasks;                    /* that lock it, from 0 on */
static bool frees;

static void setup(void)
{
    fibers_setup();
    mutex = calloc(1, sizeof(*mutex));
    used = 0;
}

/* Under the mutex. Returns whether the caller is the last to have it. */
static bool use(void)
{
    model_plain_write(&used);
    used++;
    return used == tasks;
}

static void unlock(bool is_last)
{
    int err = weft_mutex_unlock(mutex);
    model_assert(err == 0);
    if (is_last && frees) {
        free(mutex);
    }
}

static void locker(void)
{
    int err = weft_mutex_lock(mutex);
    locks[model_self()] = err;
    if (err == 0) {
        unlock(use());
    }
}

/* One that a cancel cannot stop. */
static void shielded_locker(void)
{
    int err = weft_mutex_lock_shielded(mutex);
    model_assert(err == 0);
    locks[model_self()] = err;
    unlock(use());
}

static void try_locker(void)
{
    int err = weft_mutex_trylock(mutex);
    locks[model_self()] = err;
    if (err == 0) {
        unlock(use());
    }
}

static void canceller(void)
{
    fiber_cancel(model_choose(2));
}

static void check(void)
{
    if (frees) {
        model_assert(used == tasks);
        return;
    }
    model_assert(atomic_load_relaxed(&mutex->word) == 0);
    model_assert(mutex->first == NULL && !mutex->has_heir);
    int got = 0;
    for (int i = 0; i < tasks; i++) {
        got += locks[i] == 0;
        model_assert(locks[i] == 0 || locks[i] == -ECANCELED || locks[i] == -EAGAIN);
    }
    model_assert(used == got);
}

static struct model_scenario scenario(const char *name, int of_tasks, bool is_freed)
{
    mutant = MUTANT_NONE;
    fibers_alone = false;
    tasks = of_tasks;
    frees = is_freed;
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {locker, locker, of_tasks > 2 ? locker : NULL},
    };
}

/* Three tasks, and maybe one that cancels: too many for all interleavings. */
static int run_three(const char *name, bool alone, bool is_freed)
{
    struct model_scenario s = scenario(name, 3, is_freed);
    s.threads[3] = is_freed ? NULL : canceller;
    s.memory = MODEL_SC;
    s.preemptions_max = PREEMPTIONS;
    fibers_alone = alone;
    return model_run(&s);
}

static int test_right(void)
{
    struct model_scenario s = scenario("mutex: two tasks, the last frees it", 2, true);
    int failures = model_run(&s);
    s = scenario("mutex: two tasks, given, the last frees it", 2, true);
    fibers_alone = true;
    failures += model_run(&s);
    s = scenario("mutex: two tasks and a cancel", 2, false);
    s.threads[2] = canceller;
    failures += model_run(&s);
    s = scenario("mutex: two shielded and a cancel", 2, false);
    s.threads[0] = shielded_locker;
    s.threads[1] = shielded_locker;
    s.threads[2] = canceller;
    failures += model_run(&s);
    s = scenario("mutex: a task and a try", 2, false);
    s.threads[1] = try_locker;
    failures += model_run(&s);
    failures += run_three("mutex: three tasks, the last frees it", false, true);
    failures += run_three("mutex: three tasks, given, the last frees it", true, true);
    failures += run_three("mutex: three tasks and a cancel", false, false);
    return failures + run_three("mutex: three tasks, given, and a cancel", true, false);
}

static int find(enum mutant which, const char *name, bool alone, const char *rule)
{
    bool is_freed = which == MUTANT_RESUME_FIRST || which == MUTANT_TOUCH;
    struct model_scenario s = scenario(name, 3, is_freed);
    s.memory = MODEL_SC;
    s.preemptions_max = PREEMPTIONS;
    s.threads[3] = which == MUTANT_HEIR_STAYS ? canceller : NULL;
    mutant = which;
    fibers_alone = alone;
    return model_finds(&s, rule);
}

int main(void)
{
    int failures = test_right();
    failures += find(MUTANT_UNLOCK_RELAXED, "mutex: unlock relaxed", false, "data race");
    failures += find(MUTANT_LOCK_RELAXED, "mutex: lock relaxed", false, "data race");
    failures += find(MUTANT_GIVE_RELAXED, "mutex: LOCK let go relaxed", true, "data race");
    failures += find(MUTANT_RESUME_FIRST, "mutex: resume first", true, "deadlock");
    failures += find(MUTANT_TOUCH, "mutex: touched after the end", true, "free");
    failures += find(MUTANT_HEIR_STAYS, "mutex: an heir that never comes", false, "has_heir");
    failures += find(MUTANT_NO_WAITERS, "mutex: nobody sees to the queue", false, "deadlock");
    return failures == 0 ? 0 : 1;
}
