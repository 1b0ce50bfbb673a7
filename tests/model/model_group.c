/* SPDX-License-Identifier: MIT */
/*
 * A group: children that end, succeeding or failing, on several threads, against the exit, against
 * a cancel of the group's task, and against a child that has it cancelled, in all interleavings.
 *
 * group.c and future.c as they are; in place of the fiber's wait (see model_wait.c) one word that
 * is a ticket or 0, and in place of a child's cancel a count. The exit returns when all children
 * have ended, and not before: a wake-up that is missed is a deadlock. Then the group is gone:
 * whoever touches it is found, and so is who did before without being ordered against it. So is who
 * uses a child that has ended without a reference to it. When the group is called off each child
 * that has not ended is cancelled, once.
 */
#include "explorer/model.h"

#include "group.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_LOCK_RELAXED,   /* P1 */
    MUTANT_UNLOCK_RELAXED, /* P1 */
    MUTANT_NO_REFERENCE,   /* a child is cancelled without a reference to it */
};

static enum mutant mutant;

static struct weft_group group;

static uint32_t locked(uint32_t before)
{
    if (before == 0) {
        model_plain_write(&group.children); /* all that the lock guards */
    }
    return before;
}

/* What is said on stderr. */
#define fprintf(...) ((void)0)

#include "future.c"
#include "future_calls.h"
#include "runtime_object.h"
#include "scope.h"

#undef atomic_exchange_acquire
#define atomic_exchange_acquire(p, v) \
    (mutant == MUTANT_LOCK_RELAXED ? locked((uint32_t)MODEL_SWAP(p, v, MODEL_RELAXED)) \
                                   : locked((uint32_t)MODEL_SWAP(p, v, MODEL_ACQUIRE)))
#undef atomic_store_release
#define atomic_store_release(p, v) \
    MODEL_STORE(p, v, mutant == MUTANT_UNLOCK_RELAXED ? MODEL_RELAXED : MODEL_RELEASE)

#define weft_get(f) (mutant == MUTANT_NO_REFERENCE ? (f) : weft_get(f))
#define weft_put(f) (mutant == MUTANT_NO_REFERENCE ? (void)0 : weft_put(f))

#include "group.c"

#undef weft_get
#undef weft_put

enum { CHILDREN = 2, FIRM_TICKET = 2 };

static struct fiber fiber;
static weft_task task; /* on it */
static weft_task children[CHILDREN];
static _Atomic(uint64_t) wait;       /* the ticket, or 0 */
static _Atomic(uint32_t) readied;    /* the queue */
static _Atomic(uint32_t) requests;   /* to end the task */
static _Atomic(uint32_t) scope_ends; /* the group's scope was cancelled */
static _Atomic(uint32_t) passed[CHILDREN];
static bool is_left; /* the group's scope; the task's own */
static uint64_t generation;
static bool is_asked; /* a child ends only when it is asked to */
static int errors[CHILDREN];
static int came_to;

/* ---- what group.c and future.c call ---- */

struct worker *weft__worker_current(void)
{
    return NULL;
}

struct fiber *weft__fiber_current(void)
{
    return &fiber;
}

static int why(void)
{
    bool is_over = atomic_load_seq_cst(&requests) != 0 ||
                   (!is_left && atomic_load_seq_cst(&scope_ends) != 0);
    return is_over ? -ECANCELED : 0;
}

int weft__interrupted(struct fiber *f)
{
    model_assert(f == &fiber);
    return why();
}

int weft__interrupted_look(struct fiber *f)
{
    return weft__interrupted(f);
}

void weft__interrupted_unnote(struct fiber *f)
{
    model_assert(f == &fiber);
}

uint64_t weft__wait_begin(struct fiber *f, enum wait_kind kind, void *on)
{
    model_assert(f == &fiber && on == &group);
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

static void make_ready(int outcome)
{
    model_plain_write(&fiber.outcome);
    fiber.outcome = (int16_t)outcome;
    uint32_t before = atomic_exchange_acq_rel(&readied, 1);
    model_assert(before == 0);
}

bool weft__wake(struct fiber *f, uint64_t ticket)
{
    model_assert(f == &fiber);
    bool is_ours = atomic_cas_acq_rel(&wait, &ticket, 0);
    if (is_ours) {
        make_ready(0);
    }
    return is_ours;
}

void weft__park(struct fiber *f)
{
    model_assert(f == &fiber);
    model_wait_until(atomic_load_relaxed(&readied) != 0);
    (void)atomic_exchange_acq_rel(&readied, 0);
    model_plain_read(&fiber.outcome);
}

/* End the wait if it may be cut short. */
static void cut_short(void)
{
    uint64_t ticket = atomic_load_seq_cst(&wait);
    if ((ticket & WAIT_WAITING) != 0 && atomic_cas_acq_rel(&wait, &ticket, 0)) {
        make_ready(-ECANCELED);
    }
}

void weft_scope_enter(struct weft_scope *s, int64_t for_ns)
{
    (void)for_ns;
    s->task = &task;
    fiber.scope = s;
}

int weft_scope_exit(struct weft_scope *s)
{
    model_assert(fiber.scope == s);
    is_left = true;
    return 0;
}

void weft_scope_cancel(struct weft_scope *s)
{
    model_assert(s == &group.scope);
    model_plain_read(&group.scope.deadline_ns); /* it is there */
    (void)atomic_exchange_seq_cst(&scope_ends, 1);
    cut_short();
}

bool weft__cancel(weft_task *t)
{
    model_plain_read(&t->id); /* it is there */
    uint32_t before = atomic_add_acq_rel(&passed[t - children], 1);
    model_assert(before == 0); /* once to each */
    return true;
}

weft_task *weft_spawn_with(const struct weft_spawn_options *options, weft_fn fn, void *arg)
{
    (void)options;
    (void)fn;
    (void)arg;
    return NULL;
}

void weft__slab_put(struct slab_pool *pool, weft_task *of)
{
    (void)pool;
    model_plain_write(&of->id); /* it is another's now */
}

/* ---- threads ---- */

static void setup(void)
{
    memset(&fiber, 0, sizeof(fiber));
    memset(&task, 0, sizeof(task));
    memset(children, 0, sizeof(children));
    memset(&group, 0, sizeof(group));
    fiber.top = &task;
    generation = 0;
    came_to = 1;
    is_left = false;
    atomic_store_relaxed(&wait, 0);
    atomic_store_relaxed(&readied, 0);
    atomic_store_relaxed(&requests, 0);
    atomic_store_relaxed(&scope_ends, 0);
    weft_group_enter(&group);
    for (int i = 0; i < CHILDREN; i++) {
        atomic_store_relaxed(&passed[i], 0);
        struct group_child *c = weft__group_child_new(&group);
        bool is_added = weft__group_add(c, &children[i], FUTURE_REF);
        model_assert(is_added);
    }
}

static void end_child(int i)
{
    if (is_asked) {
        model_wait_until(atomic_load_acquire(&passed[i]) != 0);
    }
    children[i].error = errors[i];
    weft__future_end(&children[i]);
}

static void end_0(void)
{
    end_child(0);
}

static void end_1(void)
{
    end_child(1);
}

static void end_both(void)
{
    end_child(0);
    end_child(1);
}

/* The first child has its group cancelled, and ends. */
static void cancel_and_end(void)
{
    weft_group_cancel(&group);
    end_child(0);
}

static void canceller(void)
{
    (void)atomic_exchange_seq_cst(&requests, 1);
    cut_short();
}

static void owner(void)
{
    came_to = weft_group_exit(&group);
    model_assert(group.live == 0 && group.children == NULL && group.told == NULL);
    model_plain_write(&group.children); /* what had the group's memory is another object now */
    model_plain_write(&group.scope.deadline_ns);
    model_retire(&group, sizeof(group));
}

/* ---- scenarios ---- */

static bool is_ended(int i)
{
    return atomic_load_relaxed(&children[i].word) == 0; /* the last reference went, too */
}

static void check(void)
{
    model_assert(is_ended(0) && is_ended(1));
    model_assert(atomic_load_relaxed(&readied) == 0);
    model_assert(atomic_load_relaxed(&wait) == 0);
    if (errors[0] < 0 || errors[1] < 0) {
        model_assert(came_to == errors[0] || came_to == errors[1]);
    } else {
        model_assert(came_to == 0 || atomic_load_relaxed(&requests) != 0);
    }
}

static struct model_scenario scenario(const char *name, int error, void (*a)(void), void (*b)(void),
                                      void (*c)(void))
{
    mutant = MUTANT_NONE;
    errors[0] = error;
    errors[1] = 0;
    is_asked = false;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {owner, a, b, c}, .check = check};
}

static struct model_scenario bounded(struct model_scenario s, uint32_t preemptions_max)
{
    s.memory = MODEL_SC;
    s.preemptions_max = preemptions_max;
    return s;
}

static int test_right(void)
{
    struct model_scenario s = scenario("group: one ends both", 0, end_both, NULL, NULL);
    int failures = model_run(&s);
    s = bounded(scenario("group: two end", 0, end_0, end_1, NULL), 4);
    failures += model_run(&s);
    s = bounded(scenario("group: one fails", -EIO, end_0, end_1, NULL), 3);
    failures += model_run(&s);
    s = bounded(scenario("group: both fail", -EIO, end_0, end_1, NULL), 2);
    errors[1] = -EPIPE;
    failures += model_run(&s);
    s = bounded(scenario("group: cancelled", 0, end_both, canceller, NULL), 4);
    failures += model_run(&s);
    s = bounded(scenario("group: cancelled, two end", 0, end_0, end_1, canceller), 2);
    failures += model_run(&s);
    s = bounded(scenario("group: cancelled, end when asked", 0, end_0, end_1, canceller), 2);
    is_asked = true;
    failures += model_run(&s);
    s = bounded(scenario("group: cancelled, one fails", -EIO, end_0, end_1, canceller), 2);
    failures += model_run(&s);
    s = bounded(scenario("group: a child cancels it", 0, cancel_and_end, end_1, NULL), 3);
    failures += model_run(&s);
    s = bounded(scenario("group: a child cancels it, end when asked", 0, cancel_and_end, end_1,
                         NULL), 3);
    is_asked = true;
    failures += model_run(&s);
    s = bounded(scenario("group: a child and a cancel", 0, cancel_and_end, end_1, canceller), 2);
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
    s = bounded(scenario("group, mutant: lock relaxed", 0, end_0, end_1, NULL), 4);
    int failures = test_mutant(MUTANT_LOCK_RELAXED, s, "data race");
    s = bounded(scenario("group, mutant: unlock relaxed", 0, end_0, end_1, NULL), 4);
    failures += test_mutant(MUTANT_UNLOCK_RELAXED, s, "data race");
    s = bounded(scenario("group, mutant: no reference", 0, cancel_and_end, end_1, NULL), 3);
    failures += test_mutant(MUTANT_NO_REFERENCE, s, "data race");
    return failures;
}

int main(void)
{
    return test_right() + test_mutants() == 0 ? 0 : 1;
}
