/* SPDX-License-Identifier: MIT */
/*
 * The global queue: each runnable is taken once, in its pusher's order; no wake is lost.
 *
 * inject.c as it is, with a lock of the explorer's in place of the mutex. A pusher of a chain and
 * one of a single runnable against takers of two each, which sleep when the queue is empty: by the
 * protocol of inject.h, so a lost wake is a deadlock. Then mutations of P1.
 */
#include "explorer/model.h"

#include <pthread.h>

#include "atomic.h"

static _Atomic(bool) is_locked;
static bool is_push_weak;    /* length released, not seq_cst */
static bool is_look_missing; /* no inject_empty before the sleep */

static int model_lock(void)
{
    while (atomic_exchange_acquire(&is_locked, true)) {
        cpu_relax();
    }
    return 0;
}

static int model_unlock(void)
{
    atomic_store_release(&is_locked, false);
    return 0;
}

#define pthread_mutex_init(m, attributes) ((void)(m), 0)
#define pthread_mutex_destroy(m) ((void)(m), 0)
#define pthread_mutex_lock(m) ((void)(m), model_lock())
#define pthread_mutex_unlock(m) ((void)(m), model_unlock())

#undef atomic_store_seq_cst
#define atomic_store_seq_cst(p, v) MODEL_STORE(p, v, is_push_weak ? MODEL_RELEASE : MODEL_SEQ_CST)

#include "inject.c"

enum { ITEMS_MAX = 3, TAKERS_MAX = 2 };

static unsigned chain_length; /* of the first pusher; the other pushes one */
static unsigned items_all;
static unsigned take_max;

static struct inject q;
static struct runnable items[ITEMS_MAX];
static bool taken[ITEMS_MAX];
static _Atomic(unsigned) taken_count;
static _Atomic(unsigned) idle_count;
static _Atomic(unsigned) wakes;

static void setup(void)
{
    weft__inject_init(&q);
    atomic_store_relaxed(&is_locked, false);
    atomic_store_relaxed(&taken_count, 0);
    atomic_store_relaxed(&idle_count, 0);
    atomic_store_relaxed(&wakes, 0);
    for (int i = 0; i < ITEMS_MAX; i++) {
        items[i].next = NULL;
        taken[i] = false;
    }
}

static void wake_one_if_idle(void)
{
    unsigned idle = atomic_load_seq_cst(&idle_count);
    while (idle > 0) {
        if (atomic_cas_seq_cst(&idle_count, &idle, idle - 1)) {
            atomic_add_acq_rel(&wakes, 1);
            return;
        }
    }
}

static void push(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        model_plain_write(&items[i]);
        items[i].next = i + 1 < first + count ? &items[i + 1] : NULL;
    }
    weft__inject_push(&q, &items[first], &items[first + count - 1], count);
    wake_one_if_idle();
}

static void pusher_of_chain(void)
{
    push(0, chain_length);
}

static void pusher_of_one(void)
{
    push(chain_length, 1);
}

static bool is_all_taken(void)
{
    return atomic_load_seq_cst(&taken_count) == items_all;
}

/* Take a wake; false when there will be none, as all has been taken. */
static void wait_for_wake(void)
{
    for (;;) {
        unsigned n = atomic_load_seq_cst(&wakes);
        if (n > 0 && atomic_cas_seq_cst(&wakes, &n, n - 1)) {
            return;
        }
        if (n == 0 && is_all_taken()) {
            return;
        }
        if (n == 0) {
            cpu_relax();
        }
    }
}

static void fall_asleep(void)
{
    atomic_add_seq_cst(&idle_count, 1);
    if (!is_look_missing && !inject_empty(&q)) {
        wake_one_if_idle(); /* itself, or another one that is asleep */
    }
    wait_for_wake();
}

static void taker(void)
{
    int newest = -1; /* of the chain */
    while (!is_all_taken()) {
        size_t count;
        struct runnable *r = weft__inject_take(&q, take_max, &count);
        model_assert(count <= take_max);
        for (size_t i = 0; i < count; i++) {
            int item = (int)(r - items);
            r = r->next;
            model_plain_write(&items[item]);
            model_assert(!taken[item]);
            taken[item] = true;
            model_assert(item == (int)chain_length || item > newest);
            newest = item == (int)chain_length ? newest : item;
        }
        model_assert(r == NULL);
        atomic_add_seq_cst(&taken_count, (unsigned)count);
        if (count == 0) {
            fall_asleep();
        }
    }
}

static void check(void)
{
    model_assert(inject_empty(&q));
    for (unsigned i = 0; i < items_all; i++) {
        model_assert(taken[i]);
    }
    weft__inject_fini(&q);
}

static struct model_scenario scenario(const char *name, unsigned chain, bool has_second_pusher)
{
    is_push_weak = false;
    is_look_missing = false;
    chain_length = chain;
    take_max = 2;
    items_all = chain + has_second_pusher;
    struct model_scenario s = {
        .name = name, .setup = setup, .threads = {pusher_of_chain, taker}, .check = check};
    if (has_second_pusher) {
        s.threads[2] = pusher_of_one;
    }
    return s;
}

int main(void)
{
    struct model_scenario s = scenario("inject: 2 pushers, 1 taker", 2, true);
    int failures = model_run(&s);
    s = scenario("inject: 1 pusher, 2 takers", 2, false);
    s.threads[2] = taker;
    take_max = 1;
    s.memory = MODEL_SC;
    s.preemptions_max = 4;
    failures += model_run(&s);

    s = scenario("inject, mutant: length not seq_cst", 1, false);
    is_push_weak = true;
    failures += model_finds(&s, "deadlock");
    s = scenario("inject, mutant: no look before the sleep", 1, false);
    is_look_missing = true;
    failures += model_finds(&s, "deadlock");
    return failures == 0 ? 0 : 1;
}
