/* SPDX-License-Identifier: MIT */
/*
 * The semaphore: permits are neither lost nor doubled, with cancels at any moment; whoever acquires
 * sees what the releaser did; and who knows that no more is to come may free it.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_RELEASE_RELAXED, /* semaphore.c P1 */
    MUTANT_ACQUIRE_RELAXED, /* semaphore.c P1, the other side */
    MUTANT_RESUME_FIRST,    /* a waiter is made ready before the semaphore is left alone */
    MUTANT_TOUCH,           /* the semaphore is looked at after the release */
    MUTANT_NO_SECOND_LOOK,  /* a waiter does not ask under LOCK whether there is a permit */
    MUTANT_LEAVE_UNSERVED,  /* who leaves the queue does not look whether others can go on */
};

static enum mutant mutant;

#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    MODEL_CAS(p, expected, v, \
              mutant == MUTANT_RELEASE_RELAXED && \
                      strcmp(__func__, "weft_semaphore_release_many") == 0 \
                  ? MODEL_RELAXED \
                  : MODEL_ACQ_REL)
#undef atomic_cas_acquire
#define atomic_cas_acquire(p, expected, v) \
    MODEL_CAS(p, expected, v, \
              mutant == MUTANT_ACQUIRE_RELAXED && strcmp(__func__, "semaphore_take") == 0 \
                  ? MODEL_RELAXED \
                  : MODEL_ACQUIRE)

#include "sync_fibers.h"

#include <weft/sync.h>

/* ---- semaphore.c, with some of its calls led through here ---- */

static uint64_t hidden; /* permits, from who has LOCK */

static uint64_t model_sync_lock(_Atomic(uint64_t) *word, const char *function)
{
    uint64_t old = sync_lock(word);
    bool blind = mutant == MUTANT_NO_SECOND_LOOK && strcmp(function, "semaphore_acquire_slow") == 0;
    bool idle = mutant == MUTANT_LEAVE_UNSERVED && strcmp(function, "semaphore_leave") == 0;
    hidden = blind || idle ? old & ~SYNC_WAITERS : 0;
    return old - hidden;
}

static void model_sync_unlock(_Atomic(uint64_t) *word, uint64_t value)
{
    sync_unlock(word, value + hidden);
}

static bool model_take(struct wait_queue *q, struct wait_node *n)
{
    bool is_taken = weft__wait_queue_take(q, n);
    if (mutant == MUTANT_RESUME_FIRST && is_taken) {
        weft__wait_queue_resume(n);
    }
    return is_taken;
}

static void model_resume(struct weft_semaphore *s, struct wait_chain *c)
{
    if (mutant != MUTANT_RESUME_FIRST) {
        weft__wait_chain_resume(c);
    }
    if (mutant == MUTANT_TOUCH) {
        (void)atomic_load_relaxed(&s->word);
    }
}

#define sync_lock(word) model_sync_lock(word, __func__)
#define weft__wait_queue_take(q, n) model_take(q, n)
#define weft__wait_chain_resume(c) model_resume(s, c)
#define sync_unlock(word, value) model_sync_unlock(word, value)

#include "semaphore.c"

static struct weft_semaphore *semaphore;
static int told; /* by the releaser */
static int got[MODEL_THREADS_MAX];
static int64_t wants[MODEL_THREADS_MAX];
static int64_t at_first;
static int64_t released;

static void setup(void)
{
    fibers_setup();
    semaphore = calloc(1, sizeof(*semaphore));
    int err = weft_semaphore_init(semaphore, at_first);
    model_assert(err == 0);
    told = 0;
}

static void releaser(void)
{
    model_plain_write(&told);
    told = 1;
    int err = weft_semaphore_release_many(semaphore, released);
    model_assert(err == 0);
}

static void acquirer(void)
{
    int me = model_self();
    got[me] = weft_semaphore_acquire_many(semaphore, wants[me]);
}

static void acquirer_that_frees(void)
{
    acquirer();
    model_plain_read(&told);
    model_assert(told == 1);
    free(semaphore);
}

static void canceller(void)
{
    fiber_cancel(1);
}

/* Those that can be satisfied are: nobody but the cancelled one goes without. */
static void check(void)
{
    int64_t taken = 0;
    for (int i = 1; i <= 2; i++) {
        model_assert(got[i] == 0 || (i == 1 && got[i] == -ECANCELED));
        taken += got[i] == 0 ? wants[i] : 0;
    }
    model_assert(weft_semaphore_value(semaphore) == at_first + released - taken);
    model_assert(semaphore->first == NULL);
}

static struct model_scenario scenario(const char *name)
{
    mutant = MUTANT_NONE;
    at_first = 0;
    released = 1;
    wants[1] = 1;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {releaser, acquirer_that_frees}};
}

/* One that wants much or little and is cancelled, one that wants little. There is enough for both
 * when the release has come. */
static struct model_scenario scenario_cancel(const char *name, int64_t first_wants)
{
    struct model_scenario s = scenario(name);
    s.threads[1] = acquirer;
    s.threads[2] = acquirer;
    s.threads[3] = canceller;
    s.check = check;
    s.memory = MODEL_SC;
    s.preemptions_max = 3;
    wants[1] = first_wants;
    wants[2] = 1;
    at_first = first_wants;
    return s;
}

static void nobody_releases(void)
{
}

static int find(enum mutant which, const char *name, const char *rule)
{
    struct model_scenario s = scenario(name);
    if (which == MUTANT_LEAVE_UNSERVED) {
        s = scenario_cancel(name, 2);
        s.threads[0] = nobody_releases;
        released = 0;
        at_first = 1;
    }
    mutant = which;
    return model_finds(&s, rule);
}

int main(void)
{
    struct model_scenario s = scenario("semaphore: a release, one that frees it");
    int failures = model_run(&s);
    s = scenario_cancel("semaphore: a release, two waiters, a cancel", 1);
    failures += model_run(&s);
    s = scenario_cancel("semaphore: one wants more and is cancelled", 2);
    failures += model_run(&s);
    s = scenario_cancel("semaphore: one wants too much and is cancelled", 2);
    s.threads[0] = nobody_releases;
    released = 0;
    at_first = 1;
    failures += model_run(&s);

    failures += find(MUTANT_RELEASE_RELAXED, "semaphore: release relaxed", "data race");
    failures += find(MUTANT_ACQUIRE_RELAXED, "semaphore: acquire relaxed", "data race");
    failures += find(MUTANT_RESUME_FIRST, "semaphore: resume first", "free");
    failures += find(MUTANT_TOUCH, "semaphore: touched after the end", "free");
    failures += find(MUTANT_NO_SECOND_LOOK, "semaphore: no second look", "deadlock");
    failures += find(MUTANT_LEAVE_UNSERVED, "semaphore: leave unserved", "deadlock");
    return failures == 0 ? 0 : 1;
}
