/* SPDX-License-Identifier: MIT */
/*
 * The deque: every element is taken exactly once, oldest first at the top, in all interleavings.
 *
 * The owner makes all sequences of a few operations (model_choose), on a deque of two or four slots
 * that wraps around, against one or two thieves. Each element carries plain data, written before
 * the push and by its taker. Then mutations: the pairs P1 and P2 are broken one by one, and that
 * has to be found. P3 cannot be broken here: the explorer never moves a load behind a later store.
 */
#include "explorer/model.h"

#include "atomic.h"

/* Orders are run-time values of the explorer, so one program holds all the mutants. */
enum mutant {
    MUTANT_NONE,
    MUTANT_PUSH_RELAXED,      /* P1 */
    MUTANT_STEAL_RELAXED,     /* P1, the other side */
    MUTANT_WITHDRAW_RELAXED,  /* P1, bottom put back */
    MUTANT_CLAIM_ACQ_REL,     /* P2, as an architecture with weaker RMWs may have it */
    MUTANT_CLAIM_STORE,       /* P2, a store that x86 delays as well */
    MUTANT_TAKE_TOP_UNLOCKED, /* P2, load and store in place of the CAS */
};

static enum mutant mutant;

static bool mutates(enum mutant which, const char *function, const char *here)
{
    return mutant == which && strcmp(function, here) == 0;
}

#undef atomic_store_release
#define atomic_store_release(p, v) \
    MODEL_STORE(p, v, \
                mutates(MUTANT_PUSH_RELAXED, "deque_push", __func__) || \
                        mutates(MUTANT_WITHDRAW_RELAXED, "deque_take_bottom", __func__) \
                    ? MODEL_RELAXED \
                    : MODEL_RELEASE)
#undef atomic_load_seq_cst
#define atomic_load_seq_cst(p) \
    MODEL_LOAD(p, mutates(MUTANT_STEAL_RELAXED, "deque_steal", __func__) ? MODEL_RELAXED \
                                                                         : MODEL_SEQ_CST)
#undef atomic_exchange_seq_cst
#define atomic_exchange_seq_cst(p, v) \
    (mutant == MUTANT_CLAIM_STORE \
         ? (MODEL_STORE(p, v, MODEL_RELEASE), 0) \
         : MODEL_SWAP(p, v, mutant == MUTANT_CLAIM_ACQ_REL ? MODEL_ACQ_REL : MODEL_SEQ_CST))
#undef atomic_cas_seq_cst
#define atomic_cas_seq_cst(p, expected, v) \
    (mutates(MUTANT_TAKE_TOP_UNLOCKED, "deque_take_top", __func__) \
         ? atomic_load_relaxed(p) == *(expected) && (MODEL_STORE(p, v, MODEL_SEQ_CST), true) \
         : MODEL_CAS(p, expected, v, MODEL_SEQ_CST))

#include "deque.h"

enum { ITEMS_MAX = 8 };

struct runnable {
    int data;
};

/* What the owner does. */
enum owner_op {
    OWNER_PUSH,
    OWNER_BACK_NEWEST,
    OWNER_BACK_OLDEST,
    OWNER_NEXT,
    OWNER_POP,
    OWNER_OPS
};

static uint32_t capacity;
static int first;     /* elements that are there at the start */
static int owner_ops; /* operations that are chosen */
static int steals;

static struct deque d;
static struct runnable items[ITEMS_MAX];
static int taken[ITEMS_MAX];
static bool gone[ITEMS_MAX]; /* taken, as far as the owner knows */
static int pushed;
static int owner_oldest; /* the last one that the owner took at the top */

static void setup(void)
{
    model_assert(deque_init(&d, capacity, true) == 0);
    memset(taken, 0, sizeof(taken));
    memset(gone, 0, sizeof(gone));
    owner_oldest = -1;
    for (pushed = 0; pushed < first; pushed++) {
        model_assert(deque_push(&d, &items[pushed]));
    }
}

static int item_take(struct runnable *item)
{
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

static void owner_push(void)
{
    if (pushed == ITEMS_MAX) {
        return;
    }
    model_plain_write(&items[pushed].data);
    bool done = deque_push(&d, &items[pushed]);
    model_assert(done || owner_live() >= (int)capacity);
    pushed += done;
}

/* If the element was there it was the one at that end, so it is not declined for that. */
static void owner_take_back(int i)
{
    if (i < 0 || i >= pushed || gone[i]) {
        return;
    }
    if (deque_take_back(&d, &items[i])) {
        item_take(&items[i]);
        owner_got(i);
    } else {
        owner_gone(i, i + 1);
    }
}

static void owner_next(void)
{
    struct runnable *item = deque_next(&d);
    if (item == NULL) {
        owner_gone(0, pushed);
        return;
    }
    int i = item_take(item);
    owner_got(i);
    model_assert(i > owner_oldest);
    owner_oldest = i;
    owner_gone(0, i);
}

static void owner_pop(void)
{
    struct runnable *item = deque_pop(&d);
    if (item == NULL) {
        owner_gone(0, pushed);
        return;
    }
    int i = item_take(item);
    owner_got(i);
    for (int newer = i + 1; newer < pushed; newer++) {
        model_assert(gone[newer]);
    }
}

static void owner_do(enum owner_op op)
{
    int newest = pushed - 1;
    int oldest = 0;
    while (newest >= 0 && gone[newest]) {
        newest--;
    }
    while (oldest < pushed && gone[oldest]) {
        oldest++;
    }
    switch (op) {
    case OWNER_PUSH:
        owner_push();
        break;
    case OWNER_BACK_NEWEST:
        owner_take_back(newest);
        break;
    case OWNER_BACK_OLDEST:
        owner_take_back(oldest);
        break;
    case OWNER_NEXT:
        owner_next();
        break;
    default:
        owner_pop();
        break;
    }
}

static void owner(void)
{
    for (int i = 0; i < owner_ops; i++) {
        owner_do((enum owner_op)model_choose(OWNER_OPS));
    }
}

static void thief(void)
{
    int last = -1;
    for (int n = 0; n < steals; n++) {
        bool lost;
        struct runnable *item = deque_steal(&d, &lost);
        if (item != NULL) {
            int i = item_take(item);
            model_assert(i > last);
            last = i;
        }
        model_assert(item == NULL || !lost);
    }
}

/* What is left is what nobody has taken, in order, and the owner did not miss it. */
static void check(void)
{
    model_assert(deque_size_hint(&d) <= (int64_t)capacity);
    for (int64_t left = deque_size_hint(&d); left > 0; left--) {
        struct runnable *item = deque_next(&d);
        model_assert(item != NULL);
        owner_got(item_take(item));
    }
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
    owner_ops = ops;
    steals = steal_count;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {owner, thief}, .check = check};
}

static int test_right(void)
{
    struct model_scenario s = scenario("deque: 5 operations, 1 thief", 2, 1, 5, 2);
    int failures = model_run(&s);
    s = scenario("deque: full, 3 operations, 1 thief", 2, 2, 3, 3);
    failures += model_run(&s);
    s = scenario("deque: 2 operations, 2 thieves", 2, 2, 2, 1);
    s.threads[2] = thief;
    failures += model_run(&s);
    s = scenario("deque: 4 slots, 2 operations, 2 thieves", 4, 3, 2, 2);
    s.threads[2] = thief;
    failures += model_run(&s);
    return failures;
}

static int test_mutants(void)
{
    struct model_scenario s = scenario("deque, mutant: push relaxed", 4, 0, 2, 1);
    mutant = MUTANT_PUSH_RELAXED;
    int failures = model_finds(&s, "data race");
    s = scenario("deque, mutant: steal relaxed", 4, 0, 2, 1);
    mutant = MUTANT_STEAL_RELAXED;
    failures += model_finds(&s, "data race");
    s = scenario("deque, mutant: withdraw relaxed", 4, 2, 3, 3);
    mutant = MUTANT_WITHDRAW_RELAXED;
    failures += model_finds(&s, "data race");
    s = scenario("deque, mutant: claim acq_rel", 4, 2, 3, 2);
    mutant = MUTANT_CLAIM_ACQ_REL;
    failures += model_finds(&s, "taken");
    s = scenario("deque, mutant: claim by a store", 4, 2, 3, 2);
    s.memory = MODEL_TSO;
    mutant = MUTANT_CLAIM_STORE;
    failures += model_finds(&s, "taken");
    s = scenario("deque, mutant: take_top without CAS", 4, 2, 3, 2);
    s.memory = MODEL_SC;
    mutant = MUTANT_TAKE_TOP_UNLOCKED;
    failures += model_finds(&s, "taken");
    return failures;
}

int main(void)
{
    return test_right() + test_mutants() == 0 ? 0 : 1;
}
