/* SPDX-License-Identifier: MIT */
/*
 * The deque: every element is taken exactly once, in all interleavings.
 *
 * The owner makes all sequences of a few operations (model_choose), on a deque of two or four slots
 * that wraps around and whose bottom falls, so that indices are used again, against one or two
 * thieves with whatever top, bottom and hint they have read before. Each element carries plain
 * data, written before the push and by its taker. The same with a deque that is owned at the start
 * (ownership.h), and that the owner owns again whenever it likes. Then mutations: each pair of the
 * essays is broken,
 * and that has to be found. The acquire of P3 cannot be broken here: the explorer never moves a
 * load before an earlier one.
 */
#include "explorer/model.h"

#include "atomic.h"

/* Orders are run-time values of the explorer, so one program holds all the mutants. */
enum mutant {
    MUTANT_NONE,
    MUTANT_SLOT_RELAXED,   /* P1 */
    MUTANT_TAKE_RELEASE,   /* P1, the other side */
    MUTANT_STEAL_UNLOCKED, /* P2, load and store in place of the exchange: the thief's */
    MUTANT_OWNER_UNLOCKED, /* P2, the owner's */
    MUTANT_BACK_UNLOCKED,  /* P2, the one in take_back */
    MUTANT_BOTTOM_RELAXED, /* P3 */
    MUTANT_NO_BARRIER,     /* ownership.h P1, the heavy one */
    MUTANT_NO_WAIT,        /* P1, the look at is_taking */
    MUTANT_END_RELAXED,    /* P2 */
    MUTANT_OPEN_EARLY,     /* P3, open before the owner has ended its take */
    MUTANT_OWN_BLINDLY,    /* P4, the look for thieves */
    MUTANT_COUNT_LATE,     /* P4, P5, a thief that is not counted */
};

static enum mutant mutant;
static bool is_owner(void);

#undef atomic_store_release
#define atomic_store_release(p, v) \
    MODEL_STORE(p, v, \
                (mutant == MUTANT_SLOT_RELAXED && strstr(#p, "slot") != NULL) || \
                        (mutant == MUTANT_BOTTOM_RELAXED && strstr(#p, "bottom") != NULL) || \
                        (mutant == MUTANT_END_RELAXED && strstr(#p, "is_taking") != NULL) \
                    ? MODEL_RELAXED \
                    : MODEL_RELEASE)
#undef atomic_exchange_acq_rel
#define atomic_exchange_acq_rel(p, v) \
    (mutant == (is_owner() ? MUTANT_OWNER_UNLOCKED : MUTANT_STEAL_UNLOCKED) \
         ? model_swap_unlocked(p, v) \
         : MODEL_SWAP(p, v, mutant == MUTANT_TAKE_RELEASE ? MODEL_RELEASE : MODEL_ACQ_REL))
#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    (mutant == MUTANT_BACK_UNLOCKED \
         ? atomic_load_acquire(p) == *(expected) && (MODEL_STORE(p, v, MODEL_SEQ_CST), true) \
         : MODEL_CAS(p, expected, v, MODEL_ACQ_REL))

#undef atomic_store_seq_cst
#define atomic_store_seq_cst(p, v) \
    MODEL_STORE(p, mutant == MUTANT_OPEN_EARLY && (v) == OWNERSHIP_ASKED ? OWNERSHIP_OPEN : (v), \
                MODEL_SEQ_CST)
#undef atomic_load_seq_cst
#define atomic_load_seq_cst(p) \
    (mutant == MUTANT_OWN_BLINDLY && strstr(#p, "thieves") != NULL ? 0 \
                                                                  : MODEL_LOAD(p, MODEL_SEQ_CST))
#undef atomic_load_acquire
#define atomic_load_acquire(p) \
    (mutant == MUTANT_NO_WAIT && strstr(#p, "is_taking") != NULL ? 0 \
                                                                 : MODEL_LOAD(p, MODEL_ACQUIRE))
#undef atomic_add_seq_cst
#define atomic_add_seq_cst(p, v) \
    (mutant == MUTANT_COUNT_LATE ? 0 : MODEL_MODIFY(p, v, MODEL_ADD, MODEL_SEQ_CST))
#undef atomic_sub_release
#define atomic_sub_release(p, v) \
    (mutant == MUTANT_COUNT_LATE ? 0 : MODEL_MODIFY(p, v, MODEL_SUB, MODEL_RELEASE))

#include "barrier.h"
#undef weft__barrier_heavy
#define weft__barrier_heavy() \
    do { \
        if (mutant != MUTANT_NO_BARRIER) { \
            model_barrier_heavy(); \
        } \
    } while (0)

#include "runnable.h"

static struct runnable *model_swap_unlocked(_Atomic(struct runnable *) *p, struct runnable *v)
{
    struct runnable *was = atomic_load_acquire(p);
    MODEL_STORE(p, v, MODEL_SEQ_CST);
    return was;
}

#define OWNERSHIP_TRIES 2

#include "deque.c"
#include "ownership.c"

enum { ITEMS_MAX = 8 };

struct item {
    struct runnable run;
    int data;
};

/* What the owner does. */
enum owner_op {
    OWNER_PUSH,
    OWNER_BACK_NEWEST,
    OWNER_BACK_OLDEST,
    OWNER_BACK_MIDDLE,
    OWNER_NEXT,
    OWNER_POP,
    OWNER_OWN,
    OWNER_OPS
};

static uint32_t capacity;
static int first;      /* elements that are there at the start */
static int first_hint; /* where the last thief left off */
static int owner_ops;  /* operations that are chosen */
static int steals;
static bool is_owned;  /* at the start */

static struct deque d;
static struct item items[ITEMS_MAX];
static int taken[ITEMS_MAX];
static bool gone[ITEMS_MAX]; /* taken, as far as the owner knows */
static int pushed;

static bool is_owner(void)
{
    return model_self() == 0;
}

static void setup(void)
{
    model_assert(deque_init(&d, capacity, true) == 0);
    atomic_store_relaxed(&d.scan_hint, first_hint);
    if (is_owned) {
        atomic_store_relaxed(&d.ownership.mode, OWNERSHIP_OWNED);
    }
    memset(taken, 0, sizeof(taken));
    memset(gone, 0, sizeof(gone));
    for (pushed = 0; pushed < first; pushed++) {
        model_assert(deque_push(&d, &items[pushed].run));
    }
}

static int item_take(struct runnable *r)
{
    struct item *item = WEFT_CONTAINER(r, struct item, run);
    int i = (int)(item - items);
    model_assert(i >= 0 && i < ITEMS_MAX);
    taken[i]++;
    model_assert(taken[i] == 1);
    model_plain_write(&item->data); /* the taker owns it, and sees what the pusher wrote */
    return i;
}

/* An element must not turn up after the deque has been found empty of it. */
static void owner_got(int i)
{
    model_assert(!gone[i]);
    gone[i] = true;
}

static void owner_gone(int from, int to)
{
    for (int i = from; i < to; i++) {
        gone[i] = true;
    }
}

static int owner_live(void)
{
    int live = 0;
    for (int i = 0; i < pushed; i++) {
        live += !gone[i];
    }
    return live;
}

/* The n-th that may be there, the oldest first; -1: none. */
static int owner_nth(int n)
{
    for (int i = 0; i < pushed; i++) {
        if (!gone[i] && n-- == 0) {
            return i;
        }
    }
    return -1;
}

static void owner_push(void)
{
    if (pushed == ITEMS_MAX) {
        return;
    }
    model_plain_write(&items[pushed].data);
    bool done = deque_push(&d, &items[pushed].run);
    model_assert(done || owner_live() > 0);
    pushed += done;
}

static void owner_take_back(int i)
{
    if (i < 0) {
        return;
    }
    if (deque_take_back(&d, &items[i].run)) {
        item_take(&items[i].run);
        owner_got(i);
    } else {
        owner_gone(i, i + 1);
    }
}

/* What is older is gone; with pop, what is newer. */
static void owner_next(void)
{
    struct runnable *r = deque_next(&d);
    if (r == NULL) {
        owner_gone(0, pushed);
        return;
    }
    int i = item_take(r);
    owner_got(i);
    owner_gone(0, i);
}

static void owner_pop(void)
{
    struct runnable *r = deque_pop(&d);
    if (r == NULL) {
        owner_gone(0, pushed);
        return;
    }
    int i = item_take(r);
    owner_got(i);
    owner_gone(i + 1, pushed);
}

static void owner_do(enum owner_op op)
{
    switch (op) {
    case OWNER_PUSH:
        owner_push();
        break;
    case OWNER_BACK_NEWEST:
        owner_take_back(owner_nth(owner_live() - 1));
        break;
    case OWNER_BACK_OLDEST:
        owner_take_back(owner_nth(0));
        break;
    case OWNER_BACK_MIDDLE:
        owner_take_back(owner_nth(1));
        break;
    case OWNER_NEXT:
        owner_next();
        break;
    case OWNER_OWN:
        weft__ownership_own(&d.ownership, &d.thieves);
        break;
    default:
        owner_pop();
        break;
    }
}

static void owner(void)
{
    for (int i = 0; i < owner_ops; i++) {
        owner_do((enum owner_op)model_choose(is_owned ? OWNER_OPS : OWNER_OWN));
    }
}

static void thief(void)
{
    for (int n = 0; n < steals; n++) {
        struct runnable *r = weft__deque_steal(&d);
        if (r != NULL) {
            item_take(r);
        }
    }
}

/* What is left is what nobody has taken; a thief finds it, and the owner did not miss it. */
static void check(void)
{
    model_assert(deque_size_hint(&d) <= (int64_t)capacity);
    while (deque_holds_work(&d)) {
        struct runnable *r = weft__deque_steal(&d);
        model_assert(r != NULL);
        owner_got(item_take(r));
    }
    model_assert(weft__deque_steal(&d) == NULL);
    model_assert(deque_next(&d) == NULL);
    for (int i = 0; i < pushed; i++) {
        model_assert(taken[i] == 1);
    }
}

static struct model_scenario scenario(const char *name, uint32_t slots, int at_start, int ops,
                                      int steal_count)
{
    mutant = MUTANT_NONE;
    capacity = slots;
    first = at_start;
    first_hint = 0;
    is_owned = false;
    owner_ops = ops;
    steals = steal_count;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {owner, thief}, .check = check};
}

/* ---- a thief that sees bottom sees what is below it ---- */

static void pusher(void)
{
    owner_push();
}

static void follower(void)
{
    model_wait_until(deque_size_hint(&d) > 0);
    struct runnable *r = weft__deque_steal(&d);
    model_assert(r != NULL);
    item_take(r);
}

static struct model_scenario message(const char *name)
{
    struct model_scenario s = scenario(name, 2, 0, 0, 0);
    s.threads[0] = pusher;
    s.threads[1] = follower;
    return s;
}

/* The same, owned at the start. */
static struct model_scenario owned(const char *name, uint32_t slots, int at_start, int ops,
                                   int steal_count)
{
    struct model_scenario s = scenario(name, slots, at_start, ops, steal_count);
    is_owned = true;
    return s;
}

static int test_owned(void)
{
    struct model_scenario s = owned("deque: owned, 3 operations, 1 thief", 2, 1, 3, 1);
    int failures = model_run(&s);
    s = owned("deque: owned, full, 2 operations, 1 thief", 2, 2, 2, 2);
    failures += model_run(&s);
    s = owned("deque: owned, an operation, 2 thieves", 2, 1, 1, 1);
    s.threads[2] = thief;
    return failures + model_run(&s);
}

static int find_owned(const char *name, enum mutant which, bool has_two)
{
    struct model_scenario s = owned(name, 2, 1, 2, 1);
    if (has_two) {
        s.threads[2] = thief;
    }
    mutant = which;
    return model_finds(&s, "taken");
}

static int test_owned_mutants(void)
{
    return find_owned("deque, mutant: opened without a barrier", MUTANT_NO_BARRIER, false) +
           find_owned("deque, mutant: opened in the middle of a take", MUTANT_NO_WAIT, false) +
           find_owned("deque, mutant: a take's end relaxed", MUTANT_END_RELAXED, false) +
           find_owned("deque, mutant: open as soon as asked", MUTANT_OPEN_EARLY, true) +
           find_owned("deque, mutant: owned with thieves in it", MUTANT_OWN_BLINDLY, false) +
           find_owned("deque, mutant: a thief is not counted", MUTANT_COUNT_LATE, false);
}

static int test_right(void)
{
    struct model_scenario s = scenario("deque: 4 operations, 1 thief", 2, 1, 4, 1);
    int failures = model_run(&s);
    s = scenario("deque: full, 3 operations, 1 thief", 2, 2, 3, 2);
    failures += model_run(&s);
    s = scenario("deque: 4 slots, 3 operations, 1 thief from the middle", 4, 3, 3, 2);
    first_hint = 2;
    failures += model_run(&s);
    s = scenario("deque: 2 operations, 2 thieves", 2, 2, 2, 1);
    s.threads[2] = thief;
    failures += model_run(&s);
    s = scenario("deque: 4 slots, 2 operations, 2 thieves", 4, 3, 2, 1);
    s.threads[2] = thief;
    failures += model_run(&s);
    s = message("deque: bottom, then the slot");
    return failures + model_run(&s);
}

static int test_mutants(void)
{
    /* A thief that knows an old bottom, above an index that is used again. */
    struct model_scenario s = scenario("deque, mutant: slot relaxed", 2, 1, 2, 1);
    mutant = MUTANT_SLOT_RELAXED;
    int failures = model_finds(&s, "data race");
    s = scenario("deque, mutant: taken without acquire", 2, 1, 2, 1);
    mutant = MUTANT_TAKE_RELEASE;
    failures += model_finds(&s, "data race");
    s = scenario("deque, mutant: the thief loads and stores", 4, 2, 1, 1);
    s.memory = MODEL_SC;
    mutant = MUTANT_STEAL_UNLOCKED;
    failures += model_finds(&s, "taken");
    s = scenario("deque, mutant: the owner loads and stores", 4, 2, 1, 1);
    s.memory = MODEL_SC;
    mutant = MUTANT_OWNER_UNLOCKED;
    failures += model_finds(&s, "taken");
    s = scenario("deque, mutant: take_back loads and stores", 4, 2, 1, 1);
    s.memory = MODEL_SC;
    mutant = MUTANT_BACK_UNLOCKED;
    failures += model_finds(&s, "taken");
    s = message("deque, mutant: bottom relaxed");
    mutant = MUTANT_BOTTOM_RELAXED;
    return failures + model_finds(&s, "r != NULL");
}

int main(void)
{
    return test_owned_mutants() + test_owned() + test_mutants() + test_right() == 0 ? 0 : 1;
}
