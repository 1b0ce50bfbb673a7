/* SPDX-License-Identifier: MIT */
/*
 * The deque under real threads. Goal: nothing lost, nothing twice, the oldest first for the owner,
 * and what the owner wrote before the push is there for the taker.
 *
 * Method: an owner makes random operations on a small deque, so that full, empty, holes, and the
 * race for one element are common, and now and then owns the deque (ownership.h), while thieves
 * steal as fast as they can. Elements come from a small set and are used again at once. Their
 * fields are plain: two takers of one element, or one that came too early, are a data race for
 * ThreadSanitizer and a broken check without it. In the end the numbers pushed and taken have to
 * add up to the same sum.
 *
 * WEFT_WORKERS sets the number of thieves (default 3).
 */
#include "deque.h"

#include <pthread.h>
#include <sched.h>

#include "check.h"
#include "test.h"

enum { ITEMS = 48, CAPACITY = 8, THIEVES_MAX = 16, WAIT_TURNS_MAX = 10 * 1000 * 1000 };

/* Turns of the owner. */
enum { OWN_ONE_IN = 32 };

struct item {
    struct runnable run;
    _Atomic(bool) free; /* true: the owner may push it again */
    bool live;          /* plain: who takes it has it alone */
    uint64_t number;    /* plain: how many were pushed before it */
};

struct tally {
    uint64_t count;
    uint64_t sum;
};

struct thief {
    pthread_t thread;
    struct arena *arena;
    uint64_t random;
    struct tally taken;
};

struct arena {
    struct deque deque;
    _Atomic(bool) stop;
    struct item items[ITEMS];
    struct thief thieves[THIEVES_MAX];
    unsigned thief_count;
    /* owner */
    uint64_t random;
    struct tally pushed;
    struct tally taken;
    uint64_t taken_back;
    uint64_t next_min; /* what the owner takes at the top is newer than what it took before */
};

static struct item *item_of(struct runnable *r)
{
    return r == NULL ? NULL : WEFT_CONTAINER(r, struct item, run);
}

static void item_take(struct item *item, struct tally *taken)
{
    WEFT_ASSERT(item->live);
    item->live = false;
    taken->count++;
    taken->sum += item->number;
    /* ORD none: hands the plain fields back to the owner, with the acquire in item_find */
    atomic_store_release(&item->free, true);
}

static void *steal(void *arg)
{
    struct thief *t = arg;
    while (!atomic_load_acquire(&t->arena->stop)) {
        struct item *item = item_of(weft__deque_steal(&t->arena->deque));
        if (item != NULL) {
            item_take(item, &t->taken);
        }
        if (test_random(&t->random) % 64 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* An element that is nowhere, or NULL. */
static struct item *item_find(struct arena *a)
{
    size_t from = (size_t)(test_random(&a->random) % ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
        struct item *item = &a->items[(from + i) % ITEMS];
        if (atomic_load_acquire(&item->free)) {
            return item;
        }
    }
    return NULL;
}

static struct item *owner_push(struct arena *a)
{
    struct item *item = item_find(a);
    if (item == NULL) {
        return NULL;
    }
    item->live = true;
    item->number = a->pushed.count;
    atomic_store_relaxed(&item->free, false); /* ORD none: the owner alone reads true here */
    if (!deque_push(&a->deque, &item->run)) {
        item->live = false;
        atomic_store_relaxed(&item->free, true); /* ORD none: it was never away */
        return NULL;
    }
    a->pushed.count++;
    a->pushed.sum += item->number;
    return item;
}

/* As a spawn and an await: take it back, or a thief has it and will be done with it. */
static void owner_push_and_take_back(struct arena *a)
{
    struct item *item = owner_push(a);
    if (item == NULL) {
        return;
    }
    if (deque_take_back(&a->deque, &item->run)) {
        a->taken_back++;
        item_take(item, &a->taken);
        return;
    }
    unsigned turns = 0;
    while (!atomic_load_acquire(&item->free)) {
        WEFT_ASSERT(++turns < WAIT_TURNS_MAX);
        sched_yield();
    }
}

/* Any element, wherever it is. */
static void owner_take_back_any(struct arena *a)
{
    struct item *item = &a->items[test_random(&a->random) % ITEMS];
    if (deque_take_back(&a->deque, &item->run)) {
        a->taken_back++;
        item_take(item, &a->taken);
    }
}

static void owner_next(struct arena *a)
{
    struct item *item = item_of(deque_next(&a->deque));
    if (item != NULL) {
        WEFT_ASSERT(item->number >= a->next_min);
        a->next_min = item->number + 1;
        item_take(item, &a->taken);
    }
}

static void owner_pop(struct arena *a)
{
    struct item *item = item_of(deque_pop(&a->deque));
    if (item != NULL) {
        item_take(item, &a->taken);
    }
}

static void owner_turn(struct arena *a)
{
    uint64_t choice = test_random(&a->random) % 16;
    if (choice < 5) {
        owner_push(a);
    } else if (choice < 9) {
        owner_push_and_take_back(a);
    } else if (choice < 12) {
        owner_take_back_any(a);
    } else if (choice < 14) {
        owner_next(a);
    } else {
        owner_pop(a);
    }
    if (test_random(&a->random) % OWN_ONE_IN == 0) {
        weft__ownership_own(&a->deque.ownership, &a->deque.thieves);
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static unsigned thief_count(void)
{
    const char *given = getenv("WEFT_WORKERS");
    unsigned long count = given != NULL ? strtoul(given, NULL, 10) : 3;
    return count < 1 ? 1 : count > THIEVES_MAX ? THIEVES_MAX : (unsigned)count;
}

static void arena_start(struct arena *a)
{
    weft__barrier_init();
    a->random = test_seed();
    a->thief_count = thief_count();
    assert_int_equal(deque_init(&a->deque, CAPACITY, true), 0);
    for (size_t i = 0; i < ITEMS; i++) {
        atomic_store_relaxed(&a->items[i].free, true); /* ORD none: before the threads */
    }
    for (unsigned i = 0; i < a->thief_count; i++) {
        a->thieves[i].arena = a;
        a->thieves[i].random = test_random(&a->random);
        assert_int_equal(pthread_create(&a->thieves[i].thread, NULL, steal, &a->thieves[i]), 0);
    }
}

/* Stop, and add what the thieves have taken to the owner's tally. */
static uint64_t arena_stop(struct arena *a)
{
    uint64_t stolen = 0;
    atomic_store_release(&a->stop, true); /* ORD none: ends the loop in steal */
    for (unsigned i = 0; i < a->thief_count; i++) {
        pthread_join(a->thieves[i].thread, NULL);
        stolen += a->thieves[i].taken.count;
        a->taken.count += a->thieves[i].taken.count;
        a->taken.sum += a->thieves[i].taken.sum;
    }
    return stolen;
}

static void every_element_is_taken_once(void **state)
{
    (void)state;
    static struct arena arena;
    struct arena *a = &arena;
    arena_start(a);
    double end = seconds() + 0.8;
    while (seconds() < end) {
        for (int i = 0; i < 200; i++) {
            owner_turn(a);
        }
    }
    uint64_t stolen = arena_stop(a);
    assert_int_equal(deque_holds_work(&a->deque), a->taken.count < a->pushed.count);
    while (deque_holds_work(&a->deque)) {
        owner_next(a);
    }
    printf("%llu pushed, %llu taken back, %llu stolen\n", (unsigned long long)a->pushed.count,
           (unsigned long long)a->taken_back, (unsigned long long)stolen);
    assert_int_equal(a->taken.count, a->pushed.count);
    assert_int_equal(a->taken.sum, a->pushed.sum);
    deque_fini(&a->deque);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_element_is_taken_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
