/* SPDX-License-Identifier: MIT */
/*
 * The event: no waiter sleeps on when it was set, also when it is cleared at once or when another
 * waiter is cancelled; who gets through sees what the setter did; and a waiter that got through may
 * free the event, since the setter does not touch it any more.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_SET_RELAXED,   /* event.c P1 */
    MUTANT_LOOK_RELAXED,  /* event.c P1, the other side */
    MUTANT_RESUME_FIRST,  /* waiters are made ready before the event is left alone */
    MUTANT_TOUCH,         /* the event is looked at after it was set */
    MUTANT_NO_SECOND_LOOK, /* a waiter does not ask under LOCK whether it was set meanwhile */
};

static enum mutant mutant;

#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    MODEL_CAS(p, expected, v, \
              mutant == MUTANT_SET_RELAXED && strcmp(__func__, "weft_event_set") == 0 \
                  ? MODEL_RELAXED \
                  : MODEL_ACQ_REL)
#undef atomic_load_acquire
#define atomic_load_acquire(p) \
    MODEL_LOAD(p, mutant == MUTANT_LOOK_RELAXED && strcmp(__func__, "weft_event_is_set") == 0 \
                      ? MODEL_RELAXED \
                      : MODEL_ACQUIRE)

#include "sync_fibers.h"

#include <weft/sync.h>

/* ---- event.c, with some of its calls led through here ---- */

static uint64_t model_sync_lock(_Atomic(uint64_t) *word, const char *function)
{
    uint64_t old = sync_lock(word);
    return mutant == MUTANT_NO_SECOND_LOOK && strcmp(function, "event_wait_slow") == 0 ? 0 : old;
}

static struct wait_node *model_claim(struct wait_queue *q)
{
    struct wait_node *n = weft__wait_queue_claim(q);
    if (mutant == MUTANT_RESUME_FIRST && n != NULL) {
        weft__wait_queue_resume(n);
    }
    return n;
}

static void model_resume(struct weft_event *e, struct wait_node *n)
{
    if (mutant != MUTANT_RESUME_FIRST) {
        weft__wait_queue_resume(n);
    }
    if (mutant == MUTANT_TOUCH) {
        (void)atomic_load_relaxed(&e->word);
    }
}

#define sync_lock(word) model_sync_lock(word, __func__)
#define weft__wait_queue_claim(q) model_claim(q)
#define weft__wait_queue_resume(n) model_resume(e, n)

#include "event.c"

static struct weft_event *event;
static int told; /* by the setter */
static int waits[MODEL_THREADS_MAX];

static void setup(void)
{
    fibers_setup();
    event = calloc(1, sizeof(*event));
    told = 0;
}

static void setter(void)
{
    model_plain_write(&told);
    told = 1;
    weft_event_set(event);
}

static void set_and_clear(void)
{
    setter();
    weft_event_clear(event);
}

static void waiter(void)
{
    int err = weft_event_wait(event);
    waits[model_self()] = err;
    if (err == 0) {
        model_plain_read(&told);
        model_assert(told == 1);
    }
}

static void waiter_that_frees(void)
{
    waiter();
    free(event);
}

static void canceller(void)
{
    fiber_cancel(1);
}

static void check(void)
{
    model_assert(waits[2] == 0);
    model_assert(waits[1] == 0 || waits[1] == -ECANCELED);
    model_assert(event->first == NULL);
    model_assert((atomic_load_relaxed(&event->word) & (SYNC_LOCK | SYNC_WAITERS)) == 0);
}

static struct model_scenario scenario(const char *name)
{
    mutant = MUTANT_NONE;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {setter, waiter_that_frees}};
}

static int test_right(void)
{
    struct model_scenario s = scenario("event: a set, a waiter that frees it");
    int failures = model_run(&s);
    s = scenario("event: a set, two waiters, a cancel");
    s.threads[1] = waiter;
    s.threads[2] = waiter;
    s.threads[3] = canceller;
    s.check = check;
    s.memory = MODEL_SC;
    s.preemptions_max = 3;
    failures += model_run(&s);
    s = scenario("event: set and cleared, a waiter that came before");
    s.threads[0] = set_and_clear;
    s.threads[1] = waiter;
    s.threads[2] = canceller;
    failures += model_run(&s);
    return failures;
}

static int find(enum mutant which, const char *name, const char *rule)
{
    struct model_scenario s = scenario(name);
    mutant = which;
    return model_finds(&s, rule);
}

int main(void)
{
    int failures = test_right();
    failures += find(MUTANT_SET_RELAXED, "event: set relaxed", "data race");
    failures += find(MUTANT_LOOK_RELAXED, "event: look relaxed", "data race");
    failures += find(MUTANT_RESUME_FIRST, "event: resume first", "free");
    failures += find(MUTANT_TOUCH, "event: touched after the end", "free");
    failures += find(MUTANT_NO_SECOND_LOOK, "event: no second look", "deadlock");
    return failures == 0 ? 0 : 1;
}
