/* SPDX-License-Identifier: MIT */
/*
 * The lock of a turnstile: nobody is inside together, and each sees what those before did, while
 * workers become its home and are evicted.
 *
 * Workers pass a few times each; one that passes twice in a row becomes the home. What the lock
 * guards is announced plain data, which fails as soon as two accesses are not ordered.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_UNLOCK_RELAXED, /* P1 */
    MUTANT_LEAVE_RELAXED,  /* P3 */
    MUTANT_LOCK_RELAXED,   /* P1, the other side */
    MUTANT_NO_HEAVY,       /* P2 */
    MUTANT_NO_WAIT,        /* an eviction does not wait until the home is outside */
    MUTANT_ONE_FLAG,       /* all homes have the same */
};

static enum mutant mutant;

static void *flag(const volatile void *p);

#include "barrier.h"
#undef weft__barrier_heavy
#define weft__barrier_heavy() (mutant == MUTANT_NO_HEAVY ? (void)0 : model_barrier_heavy())

#undef atomic_exchange_acquire
#define atomic_exchange_acquire(p, v) \
    MODEL_SWAP(p, v, mutant == MUTANT_LOCK_RELAXED ? MODEL_RELAXED : MODEL_ACQUIRE)
#undef atomic_store_relaxed
#define atomic_store_relaxed(p, v) MODEL_STORE((__typeof__(p))flag(p), v, MODEL_RELAXED)
#undef atomic_store_release
#define atomic_store_release(p, v) \
    MODEL_STORE((__typeof__(p))flag(p), v, store_is_relaxed(p) ? MODEL_RELAXED : MODEL_RELEASE)
#undef atomic_load_acquire
#define atomic_load_acquire(p) \
    (mutant == MUTANT_NO_WAIT ? 0 : MODEL_LOAD((__typeof__(p))flag(p), MODEL_ACQUIRE))

static bool store_is_relaxed(const volatile void *p);

#define TURNSTILE_STREAK 0 /* the second pass in a row */

#include "turnstile.c"

#include "worker.h"

enum { WORKERS = 3 };

static struct turnstile gate;
static struct worker workers[WORKERS];
static int guarded;
static int passes[WORKERS];

static bool is_flag(const volatile void *p)
{
    const volatile char *at = p;
    return at >= (const char *)gate.is_inside &&
           at < (const char *)(gate.is_inside + TURNSTILE_HOMES);
}

/* Where the word is that is meant by p. */
static void *flag(const volatile void *p)
{
    return mutant == MUTANT_ONE_FLAG && is_flag(p) ? (void *)gate.is_inside : (void *)(uintptr_t)p;
}

static bool store_is_relaxed(const volatile void *p)
{
    return mutant == (is_flag(p) ? MUTANT_LEAVE_RELAXED : MUTANT_UNLOCK_RELAXED);
}

/* ---- what turnstile.c calls ---- */

struct worker *weft__worker_current(void)
{
    return &workers[model_self()];
}

uint64_t weft__wait_begin(struct fiber *f, enum wait_kind kind, void *on)
{
    (void)f;
    (void)kind;
    (void)on;
    model_fail("nobody waits here");
}

bool weft__wait_claim(struct fiber *f, uint64_t ticket)
{
    (void)f;
    (void)ticket;
    return false;
}

int weft__interrupted(struct fiber *f)
{
    (void)f;
    return 0;
}

void weft__park(struct fiber *f)
{
    (void)f;
}

struct wait_node *weft__wait_queue_claim(struct wait_queue *q)
{
    (void)q;
    return NULL;
}

void weft__wait_queue_resume(struct wait_node *n)
{
    (void)n;
}

/* ---- the threads ---- */

static void setup(void)
{
    memset(&gate, 0, sizeof(gate));
    guarded = 0;
}

static void worker(void)
{
    for (int i = 0; i < passes[model_self()]; i++) {
        turnstile_lock(&gate);
        model_plain_write(&guarded);
        guarded++;
        turnstile_unlock(&gate);
    }
}

static void check(void)
{
    int all = 0;
    for (int i = 0; i < WORKERS; i++) {
        all += passes[i];
    }
    model_assert(guarded == all);
    model_assert(atomic_load_relaxed(&gate.is_held) == 0);
}

/* How often each of up to three workers passes. */
static struct model_scenario scenario(const char *name, int first, int second, int third)
{
    mutant = MUTANT_NONE;
    passes[0] = first;
    passes[1] = second;
    passes[2] = third;
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {worker, worker, third != 0 ? worker : NULL},
    };
}

static int finds(struct model_scenario s, enum mutant which)
{
    mutant = which;
    return model_finds(&s, "data race");
}

int main(void)
{
    struct model_scenario s = scenario("turnstile: a home and another", 3, 1, 0);
    int failed = model_run(&s);
    s = scenario("turnstile: home, and home again", 3, 2, 0);
    s.memory = MODEL_TSO;
    failed += model_run(&s);
    s = scenario("turnstile: a home and two others", 3, 1, 1);
    s.memory = MODEL_TSO;
    s.preemptions_max = 2;
    failed += model_run(&s);
    s = scenario("turnstile: two homes and another", 3, 3, 1);
    s.memory = MODEL_SC;
    s.preemptions_max = 3;
    failed += model_run(&s);
    failed += finds(scenario("turnstile: unlock relaxed", 2, 1, 0), MUTANT_UNLOCK_RELAXED);
    failed += finds(scenario("turnstile: leave relaxed", 3, 1, 0), MUTANT_LEAVE_RELAXED);
    failed += finds(scenario("turnstile: lock relaxed", 1, 1, 0), MUTANT_LOCK_RELAXED);
    failed += finds(scenario("turnstile: no heavy barrier", 3, 1, 0), MUTANT_NO_HEAVY);
    failed += finds(scenario("turnstile: no wait", 3, 1, 0), MUTANT_NO_WAIT);
    s = scenario("turnstile: one flag", 3, 3, 1);
    s.memory = MODEL_SC;
    s.preemptions_max = 3;
    failed += finds(s, MUTANT_ONE_FLAG);
    return failed == 0 ? 0 : 1;
}
