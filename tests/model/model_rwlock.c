/* SPDX-License-Identifier: MIT */
/*
 * The reader-writer lock: a writer is alone, readers see what writers did, nobody is forgotten,
 * also when one is cancelled; and the last to have had it may free it.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_UNLOCK_RELAXED, /* rwlock.c P1 */
    MUTANT_LOCK_RELAXED,   /* rwlock.c P1, the other side */
    MUTANT_TOUCH,          /* the lock is looked at after it was unlocked */
    MUTANT_LEAVE_UNSERVED, /* who leaves the queue does not look whether others can go on */
};

static enum mutant mutant;

#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    MODEL_CAS(p, expected, v, \
              mutant == MUTANT_UNLOCK_RELAXED && strcmp(__func__, "weft_rwlock_unlock") == 0 \
                  ? MODEL_RELAXED \
                  : MODEL_ACQ_REL)
#undef atomic_cas_acquire
#define atomic_cas_acquire(p, expected, v) \
    MODEL_CAS(p, expected, v, \
              mutant == MUTANT_LOCK_RELAXED && strcmp(__func__, "rwlock_take") == 0 \
                  ? MODEL_RELAXED \
                  : MODEL_ACQUIRE)

#include "sync_fibers.h"

#include <weft/sync.h>

/* ---- rwlock.c, with some of its calls led through here ---- */

/* To the one who leaves it seems that a writer has the lock. */
static uint64_t hidden;

static uint64_t model_sync_lock(_Atomic(uint64_t) *word, const char *function)
{
    uint64_t old = sync_lock(word);
    bool idle = mutant == MUTANT_LEAVE_UNSERVED && strcmp(function, "rwlock_leave") == 0;
    hidden = idle ? 4 : 0;
    return old + hidden;
}

static void model_sync_unlock(_Atomic(uint64_t) *word, uint64_t value)
{
    sync_unlock(word, value - hidden);
}

static void model_resume(struct weft_rwlock *l, struct wait_chain *c)
{
    weft__wait_chain_resume(c);
    if (mutant == MUTANT_TOUCH) {
        (void)atomic_load_relaxed(&l->word);
    }
}

#define sync_lock(word) model_sync_lock(word, __func__)
#define sync_unlock(word, value) model_sync_unlock(word, value)
#define weft__wait_chain_resume(c) model_resume(l, c)

#include "rwlock.c"

enum { PREEMPTIONS = 3 }; /* of three tasks: all would be millions of executions */

static struct weft_rwlock *rwlock;
static int written; /* under the lock */
static int got[MODEL_THREADS_MAX];
static _Atomic(uint32_t) uses; /* of the lock that are to come */
static _Atomic(uint32_t) readers_in;
static bool frees;

static void setup(void)
{
    fibers_setup();
    rwlock = calloc(1, sizeof(*rwlock));
    written = 0;
    atomic_store_relaxed(&uses, 2);
    atomic_store_relaxed(&readers_in, 0);
    memset(got, 0, sizeof(got));
}

/* Each task takes itself off while it has the lock; who finds nobody else frees it afterwards. */
static void unlock(void)
{
    bool is_last = frees && atomic_sub_acq_rel(&uses, 1) == 1;
    int err = weft_rwlock_unlock(rwlock);
    model_assert(err == 0);
    if (is_last) {
        free(rwlock);
    }
}

static void writer(void)
{
    int me = model_self();
    got[me] = weft_rwlock_wrlock(rwlock);
    if (got[me] == 0) {
        model_plain_write(&written);
        written++;
        unlock();
    }
}

static void reader(void)
{
    int me = model_self();
    got[me] = weft_rwlock_rdlock(rwlock);
    if (got[me] == 0) {
        model_plain_read(&written);
        atomic_store_relaxed(&readers_in, 1);
        unlock();
    }
}

/* Reads until another reader is in, too: the writer between them has to be cancelled for that. */
static void reader_that_waits(void)
{
    int me = model_self();
    got[me] = weft_rwlock_rdlock(rwlock);
    model_assert(got[me] == 0);
    model_wait_until(atomic_load_relaxed(&readers_in) != 0);
    unlock();
}

static void canceller(void)
{
    fiber_cancel(1);
}

static void check(void)
{
    if (frees) {
        return;
    }
    for (int i = 0; i < MODEL_THREADS_MAX; i++) {
        model_assert(got[i] == 0 || (i == 1 && got[i] == -ECANCELED));
    }
    model_assert(atomic_load_relaxed(&rwlock->word) == 0 && rwlock->first == NULL);
}

static struct model_scenario two(const char *name)
{
    mutant = MUTANT_NONE;
    frees = true;
    return (struct model_scenario){
        .name = name, .setup = setup, .check = check, .threads = {writer, writer}};
}

/* A reader and a reader, and between them a writer, which is cancelled. */
static struct model_scenario three(const char *name)
{
    struct model_scenario s = two(name);
    frees = false;
    s.threads[0] = reader_that_waits;
    s.threads[2] = reader;
    s.threads[3] = canceller;
    s.memory = MODEL_SC;
    s.preemptions_max = PREEMPTIONS;
    return s;
}

static int find(enum mutant which, struct model_scenario s, const char *rule)
{
    mutant = which;
    return model_finds(&s, rule);
}

int main(void)
{
    struct model_scenario s = two("rwlock: two writers, the last frees it");
    int failures = model_run(&s);
    s = three("rwlock: two readers and a writer that is cancelled");
    failures += model_run(&s);
    s = three("rwlock: two writers and a reader, a cancel");
    s.threads[0] = writer;
    failures += model_run(&s);

    failures += find(MUTANT_UNLOCK_RELAXED, two("rwlock: unlock relaxed"), "data race");
    failures += find(MUTANT_LOCK_RELAXED, two("rwlock: lock relaxed"), "data race");
    failures += find(MUTANT_TOUCH, two("rwlock: touched after the end"), "free");
    failures += find(MUTANT_LEAVE_UNSERVED, three("rwlock: leave unserved"), "deadlock");
    return failures == 0 ? 0 : 1;
}
