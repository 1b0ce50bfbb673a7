/* SPDX-License-Identifier: MIT */
/*
 * A wait set: futures that end on several threads, against a cancel of the waiter and against its
 * leaving early, in all interleavings.
 *
 * wait_set.c and future.c as they are; around them what gather.c and wait.c do with a set, and in
 * place of the fiber's wait (see model_wait.c) one word that is a ticket or 0. The waiter is woken
 * when it is over, once, or finds that it need not wait: a wake-up that is missed is a deadlock.
 * When it has left, the set is gone: whoever touches it then is found, and so is who did before
 * without being ordered against it.
 */
#include "explorer/model.h"

#include "wait_set.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_COUNT_RELAXED, /* P1 */
    MUTANT_COUNT_ACQUIRE, /* P1 */
    MUTANT_ARM_ACQUIRE,   /* P2 */
    MUTANT_ARM_UNCHECKED, /* the waiter does not look whether it was over when it armed */
    MUTANT_LAST_TOO,      /* who comes to 0 wakes though another has for its own sake */
    MUTANT_CUT_IGNORED,   /* a waiter that was cut short takes a count of 0 for all being through */
    MUTANT_STAYS_LISTED,  /* a waiter that leaves early leaves its nodes behind */
};

static enum mutant mutant;

static bool mutates(enum mutant which, const char *function, const char *here)
{
    return mutant == which && strcmp(function, here) == 0;
}

static void touch_set(const char *function);

static uint64_t mutated(const char *function, uint64_t old)
{
    bool is_unchecked = mutant == MUTANT_ARM_UNCHECKED || mutant == MUTANT_CUT_IGNORED;
    return is_unchecked && strcmp("weft__wait_set_park", function) == 0 ? 64 * SET_ONE : old;
}

#undef atomic_sub_acq_rel
#define atomic_sub_acq_rel(p, v) \
    (touch_set(__func__), \
     MODEL_MODIFY(p, v, MODEL_SUB, \
                  mutates(MUTANT_COUNT_RELAXED, "set_wake", __func__)   ? MODEL_RELAXED \
                  : mutates(MUTANT_COUNT_ACQUIRE, "set_wake", __func__) ? MODEL_ACQUIRE \
                                                                        : MODEL_ACQ_REL) & \
         (mutates(MUTANT_LAST_TOO, "set_wake", __func__) ? ~SET_FIRED : ~(uint64_t)0))
#undef atomic_or_acq_rel
#define atomic_or_acq_rel(p, v) \
    (mutant == MUTANT_CUT_IGNORED \
         ? MODEL_MODIFY(p, v, MODEL_OR, MODEL_ACQ_REL) \
         : mutated(__func__, \
                   MODEL_MODIFY(p, v, MODEL_OR, \
                                mutates(MUTANT_ARM_ACQUIRE, "weft__wait_set_park", __func__) \
                                    ? MODEL_ACQUIRE \
                                    : MODEL_ACQ_REL)))
#undef atomic_and_acq_rel
#define atomic_and_acq_rel(p, v) \
    (mutant == MUTANT_CUT_IGNORED \
         ? mutated(__func__, MODEL_MODIFY(p, v, MODEL_AND, MODEL_ACQ_REL)) \
         : MODEL_MODIFY(p, v, MODEL_AND, MODEL_ACQ_REL))

/* What is said on stderr. */
#define fprintf(...) ((void)0)

#include "future.c"
#include "future_calls.h"

#define weft__future_remove_waiter(f, node) \
    (mutant == MUTANT_STAYS_LISTED ? true : weft__future_remove_waiter(f, node))

#include "wait_set.c"

#undef weft__future_remove_waiter

enum { FUTURES = 2, FIRM_TICKET = 2 };

static struct fiber fiber;
static weft_task task; /* on it */
static weft_future futures[FUTURES];
static weft_future *list[FUTURES];
static struct wait_set set;
static _Atomic(uint64_t) wait;     /* the ticket, or 0 */
static _Atomic(uint32_t) readied;  /* the queue */
static _Atomic(uint32_t) requests; /* to end the task */
static _Atomic(uint32_t) passed[FUTURES];
static uint64_t generation;
static enum set_end end;
static bool passes_on; /* the waiter passes a cancel on, and waits for all: it gathers */
static bool is_asked;  /* a future ends only when it is asked to */
static int errors[FUTURES];
static int came_to; /* what park returned the first time */

/* ---- what wait_set.c and future.c call ---- */

/* Who ends a future has read in the set what it waits for. */
static void touch_set(const char *function)
{
    if (strcmp(function, "set_wake") == 0) {
        model_plain_read(&set.end);
    }
}

struct worker *weft__worker_current(void)
{
    return NULL;
}

struct fiber *weft__fiber_current(void)
{
    return &fiber;
}

void weft__give_turn(void)
{
}

int weft__interrupted(struct fiber *f)
{
    model_assert(f == &fiber);
    return atomic_load_seq_cst(&requests) != 0 ? -ECANCELED : 0;
}

int weft__interrupted_look(struct fiber *f)
{
    return weft__interrupted(f);
}

int weft__interrupted_by(struct fiber *f, struct weft_scope **blame)
{
    *blame = NULL;
    return weft__interrupted(f);
}

void weft__interrupted_unnote(struct fiber *f)
{
    model_assert(f == &fiber); /* in no scope */
}

uint64_t weft__wait_begin(struct fiber *f, enum wait_kind kind, void *on)
{
    model_assert(f == &fiber && on == &set);
    model_plain_write(&set.ticket);
    generation += WAIT_GENERATION;
    uint64_t ticket = generation | (kind == WAIT_FIRM ? FIRM_TICKET : WAIT_WAITING);
    (void)atomic_exchange_seq_cst(&wait, ticket);
    return ticket;
}

bool weft__wait_claim(struct fiber *f, uint64_t ticket)
{
    model_assert(f == &fiber);
    return atomic_cas_acq_rel(&wait, &ticket, 0);
}

bool weft__wake(struct fiber *f, uint64_t ticket)
{
    model_plain_read(&set.ticket);
    model_assert(f == &fiber);
    if (!atomic_cas_acq_rel(&wait, &ticket, 0)) {
        return false;
    }
    model_plain_write(&fiber.outcome);
    fiber.outcome = 0;
    uint32_t before = atomic_exchange_acq_rel(&readied, 1);
    model_assert(before == 0);
    return true;
}

void weft__park(struct fiber *f)
{
    model_assert(f == &fiber);
    model_wait_until(atomic_load_relaxed(&readied) != 0);
    (void)atomic_exchange_acq_rel(&readied, 0);
    model_plain_read(&fiber.outcome);
}

bool weft_cancel(weft_future *f)
{
    uint32_t before = atomic_exchange_acq_rel(&passed[f - futures], 1);
    model_assert(before == 0); /* once to each */
    return true;
}

void weft__slab_put(struct slab_pool *pool, weft_task *of)
{
    (void)pool;
    (void)of;
    model_fail("%s", "the list holds references");
}

/* ---- threads ---- */

static void setup(void)
{
    memset(&fiber, 0, sizeof(fiber));
    memset(&task, 0, sizeof(task));
    memset(futures, 0, sizeof(futures));
    memset(&set, 0, sizeof(set));
    fiber.top = &task;
    generation = 0;
    came_to = 1;
    atomic_store_relaxed(&wait, 0);
    atomic_store_relaxed(&readied, 0);
    atomic_store_relaxed(&requests, 0);
    for (int i = 0; i < FUTURES; i++) {
        list[i] = &futures[i];
        atomic_store_relaxed(&passed[i], 0);
        atomic_store_relaxed(&futures[i].word, 2 * FUTURE_REF);
    }
}

static void end_future(int i)
{
    if (is_asked) {
        model_wait_until(atomic_load_acquire(&passed[i]) != 0);
    }
    model_plain_write(&futures[i].value);
    futures[i].error = errors[i];
    weft__future_end(&futures[i]);
}

static void end_0(void)
{
    end_future(0);
}

static void end_1(void)
{
    end_future(1);
}

static void end_both(void)
{
    end_future(0);
    end_future(1);
}

static void canceller(void)
{
    (void)atomic_exchange_seq_cst(&requests, 1);
    uint64_t ticket = atomic_load_seq_cst(&wait);
    if ((ticket & WAIT_WAITING) != 0 && atomic_cas_acq_rel(&wait, &ticket, 0)) {
        model_plain_write(&fiber.outcome);
        fiber.outcome = -ECANCELED;
        uint32_t before = atomic_exchange_acq_rel(&readied, 1);
        model_assert(before == 0);
    }
}

/* Whether the wait was allowed to end. */
static bool is_over_now(void)
{
    int done = 0;
    bool any_decides = false;
    for (int i = 0; i < FUTURES; i++) {
        bool is_done = future_is_done(&futures[i]);
        if (is_done) {
            model_plain_read(&futures[i].value);
        }
        done += is_done;
        any_decides = any_decides || (is_done && (end == SET_FIRST || errors[i] < 0));
    }
    return done == FUTURES || (end != SET_ALL && any_decides);
}

/* As weft_gather, or as weft_wait. */
static void waiter(void)
{
    int err = weft__wait_set_begin(&set, list, FUTURES, end);
    model_assert(err == 0);
    if (!weft__wait_set_is_over(&set)) {
        err = weft__wait_set_park(&set, WAIT_CLAIMABLE);
        if (err < 0 && passes_on) {
            (void)weft__wait_set_cancel(&set);
            int again = weft__wait_set_park(&set, WAIT_FIRM);
            model_assert(again == 0);
            model_assert(future_is_done(&futures[0]) && future_is_done(&futures[1]));
        }
    }
    came_to = err;
    model_assert(err == 0 || err == -ECANCELED);
    model_assert(err < 0 || is_over_now());
    weft__wait_set_end(&set);
    if (set.first != NULL) {
        model_assert(future_is_done(set.first));
    }
    model_plain_write(&set.end); /* what had the set's memory is another object now */
    model_plain_write(&set.ticket);
    model_retire(&set, sizeof(set));
}

/* ---- scenarios ---- */

static void check(void)
{
    model_assert(atomic_load_relaxed(&readied) == 0);
    model_assert(atomic_load_relaxed(&wait) == 0);
    model_assert(came_to == 0 || atomic_load_relaxed(&requests) != 0);
}

static struct model_scenario scenario(const char *name, enum set_end until, void (*a)(void),
                                      void (*b)(void), void (*c)(void))
{
    mutant = MUTANT_NONE;
    end = until;
    errors[0] = 0;
    errors[1] = until == SET_FAILURE ? -EIO : 0;
    passes_on = true;
    is_asked = false;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {waiter, a, b, c}, .check = check};
}

static struct model_scenario bounded(struct model_scenario s, uint32_t preemptions_max)
{
    s.memory = MODEL_SC;
    s.preemptions_max = preemptions_max;
    return s;
}

static int test_right(void)
{
    struct model_scenario s = scenario("gather: all, one ends them", SET_ALL, end_both, NULL, NULL);
    int failures = model_run(&s);
    s.preemptions_max = 5;
    failures += model_run(&s);
    s = bounded(scenario("gather: all, two end them", SET_ALL, end_0, end_1, NULL), 4);
    failures += model_run(&s);
    s = bounded(scenario("gather: a failure, two end them", SET_FAILURE, end_0, end_1, NULL), 4);
    failures += model_run(&s);
    s = bounded(scenario("gather: two failures", SET_FAILURE, end_0, end_1, NULL), 4);
    errors[0] = -EPIPE;
    failures += model_run(&s);
    s = bounded(scenario("gather: all, cancelled", SET_ALL, end_0, end_1, canceller), 3);
    failures += model_run(&s);
    s = bounded(scenario("gather: end when asked", SET_ALL, end_0, end_1, canceller), 3);
    is_asked = true;
    failures += model_run(&s);
    s = bounded(scenario("gather: a failure, cancelled", SET_FAILURE, end_0, end_1, canceller), 3);
    failures += model_run(&s);
    s = bounded(scenario("gather: ends one by one, cancelled", SET_FAILURE, end_both, canceller,
                         NULL), 4);
    failures += model_run(&s);
    s = bounded(scenario("wait: the first, cancelled", SET_FIRST, end_0, end_1, canceller), 3);
    passes_on = false;
    failures += model_run(&s);
    s = bounded(scenario("wait: all, cancelled", SET_ALL, end_0, end_1, canceller), 3);
    passes_on = false;
    return failures + model_run(&s);
}

static int test_mutant(enum mutant which, struct model_scenario s, const char *text)
{
    mutant = which;
    return model_finds(&s, text);
}

static int test_mutants(void)
{
    struct model_scenario s;
    s = scenario("gather, mutant: count relaxed", SET_ALL, end_0, end_1, NULL);
    int failures = test_mutant(MUTANT_COUNT_RELAXED, s, "data race");
    s = scenario("gather, mutant: count acquire", SET_ALL, end_0, end_1, NULL);
    failures += test_mutant(MUTANT_COUNT_ACQUIRE, s, "data race");
    s = scenario("gather, mutant: arm acquire", SET_ALL, end_both, NULL, NULL);
    failures += test_mutant(MUTANT_ARM_ACQUIRE, s, "data race");
    s = scenario("gather, mutant: arm unchecked", SET_ALL, end_both, NULL, NULL);
    failures += test_mutant(MUTANT_ARM_UNCHECKED, s, "deadlock");
    s = bounded(scenario("gather, mutant: the last wakes too", SET_FAILURE, end_0, end_1, NULL), 4);
    failures += test_mutant(MUTANT_LAST_TOO, s, "data race");
    s = bounded(scenario("gather, mutant: cut ignored", SET_ALL, end_both, canceller, NULL), 4);
    passes_on = false;
    failures += test_mutant(MUTANT_CUT_IGNORED, s, "data race");
    s = bounded(scenario("wait, mutant: stays listed", SET_FIRST, end_0, end_1, NULL), 4);
    failures += test_mutant(MUTANT_STAYS_LISTED, s, "data race");
    return failures;
}

int main(void)
{
    return test_right() + test_mutants() == 0 ? 0 : 1;
}
