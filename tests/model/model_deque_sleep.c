/* SPDX-License-Identifier: MIT */
/*
 * The deque and one that is about to sleep (I4 of deque.h): no work is left behind unseen.
 *
 * The owner makes all sequences of a few operations, passes the light barrier and looks whether
 * somebody is parked, as a worker that has pushed does. The sleeper parks, passes the heavy barrier
 * and looks for work. Whatever holes, late thieves and indices used again there were: if an element
 * remains then one of the two has seen the other.
 */
#include "explorer/model.h"

#include "barrier.h"
#include "deque.c"
#include "ownership.c"

enum { ITEMS_MAX = 6 };

/* What the owner does. */
enum owner_op {
    OWNER_PUSH,
    OWNER_BACK_NEWEST,
    OWNER_BACK_OLDEST,
    OWNER_NEXT,
    OWNER_POP,
    OWNER_OPS
};

static struct deque d;
static struct runnable items[ITEMS_MAX];
static int pushed;
static int first; /* elements that are there at the start */
static int owner_ops;
static bool is_barrier_left_out;
static _Atomic(bool) parked;
static bool owner_saw_parked;
static bool sleeper_saw_work;

static void setup(void)
{
    model_assert(deque_init(&d, 4, true) == 0);
    for (pushed = 0; pushed < first; pushed++) {
        model_assert(deque_push(&d, &items[pushed]));
    }
    atomic_store_relaxed(&parked, false);
    owner_saw_parked = false;
    sleeper_saw_work = false;
}

static void owner_do(enum owner_op op)
{
    switch (op) {
    case OWNER_PUSH:
        if (pushed < ITEMS_MAX) {
            pushed += deque_push(&d, &items[pushed]);
        }
        break;
    case OWNER_BACK_NEWEST:
        (void)deque_take_back(&d, &items[pushed - 1]);
        break;
    case OWNER_BACK_OLDEST:
        (void)deque_take_back(&d, &items[0]);
        break;
    case OWNER_NEXT:
        (void)deque_next(&d);
        break;
    default:
        (void)deque_pop(&d);
        break;
    }
}

static void owner(void)
{
    for (int i = 0; i < owner_ops; i++) {
        owner_do((enum owner_op)model_choose(OWNER_OPS));
    }
    barrier_light();
    owner_saw_parked = atomic_load_relaxed(&parked);
}

static void sleeper(void)
{
    atomic_store_relaxed(&parked, true);
    if (!is_barrier_left_out) {
        model_barrier_heavy();
    }
    sleeper_saw_work = deque_holds_work(&d);
}

static void thief(void)
{
    (void)weft__deque_steal(&d);
}

static void check(void)
{
    model_assert(!deque_holds_work(&d) || sleeper_saw_work || owner_saw_parked);
}

int main(void)
{
    struct model_scenario s = {
        .name = "deque, sleep: 4 operations",
        .setup = setup,
        .threads = {owner, sleeper},
        .check = check,
    };
    first = 1;
    owner_ops = 4;
    int failures = model_run(&s);
    s.name = "deque, sleep: 3 operations, 1 thief";
    s.threads[2] = thief;
    first = 2;
    owner_ops = 3;
    failures += model_run(&s);
    s.name = "deque, sleep, mutant: no barrier";
    s.threads[2] = NULL;
    first = 1;
    s.memory = MODEL_TSO;
    is_barrier_left_out = true;
    failures += model_finds(&s, "sleeper_saw_work");
    return failures == 0 ? 0 : 1;
}
