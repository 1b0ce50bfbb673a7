/* SPDX-License-Identifier: MIT */
/*
 * The global queue under real threads. Goal: nothing lost, nothing twice, each pusher's runnables
 * in order, no wake lost by the sleep protocol.
 *
 * Method: pushers send numbered chains of random length, takers take batches of random size. Takes
 * of several takers interleave, so order is checked within a batch and, over batches, by each taker
 * on its own: of one pusher's runnables it must see growing numbers. Takers sleep by the protocol
 * of inject.h; a lost wake hangs, and the semaphore's time limit turns that into a failure.
 */
#include "inject.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "check.h"
#include "test.h"

enum { PUSHERS = 2, TAKERS = 2, CHAIN_MAX = 16 };

struct item {
    struct runnable runnable;
    unsigned pusher;
    size_t number; /* 1-based */
    _Atomic(unsigned) taken_count;
};

struct shared {
    struct inject q;
    _Atomic(int) idle_count;
    _Atomic(size_t) taken_count;
    sem_t wake;
    size_t count_each;
    struct item *items; /* PUSHERS * count_each */
};

struct role {
    pthread_t thread;
    struct shared *shared;
    unsigned index;
    uint64_t random;
};

/* One token for each idle taker at most: whoever lowers the count posts. */
static void wake_one_if_idle(struct shared *s)
{
    int idle = atomic_load_seq_cst(&s->idle_count);
    while (idle > 0) {
        if (atomic_cas_seq_cst(&s->idle_count, &idle, idle - 1)) {
            sem_post(&s->wake);
            return;
        }
    }
}

static void *push_all(void *arg)
{
    struct role *role = arg;
    struct shared *s = role->shared;
    struct item *items = &s->items[role->index * s->count_each];
    size_t done = 0;
    while (done < s->count_each) {
        size_t n = 1 + test_random(&role->random) % CHAIN_MAX;
        n = n < s->count_each - done ? n : s->count_each - done;
        for (size_t i = done; i < done + n; i++) {
            items[i].pusher = role->index;
            items[i].number = i + 1;
            items[i].runnable.next = i + 1 < done + n ? &items[i + 1].runnable : NULL;
        }
        weft__inject_push(&s->q, &items[done].runnable, &items[done + n - 1].runnable, n);
        wake_one_if_idle(s);
        done += n;
        if (test_random(&role->random) % 64 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* Sleep until woken, unless there is something to do. */
static void idle(struct shared *s)
{
    atomic_add_seq_cst(&s->idle_count, 1);
    bool is_done = atomic_load_seq_cst(&s->taken_count) == PUSHERS * s->count_each;
    if (is_done || !inject_empty(&s->q)) {
        wake_one_if_idle(s); /* takes the count back, for this taker or another one */
    }
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 30;
    WEFT_ASSERT(sem_timedwait(&s->wake, &limit) == 0);
}

static void *take_all(void *arg)
{
    struct role *role = arg;
    struct shared *s = role->shared;
    size_t last[PUSHERS] = {0};
    while (atomic_load_seq_cst(&s->taken_count) < PUSHERS * s->count_each) {
        size_t count;
        struct runnable *r = weft__inject_take(&s->q, 1 + test_random(&role->random) % 40, &count);
        for (size_t i = 0; i < count; i++) {
            struct item *item = WEFT_CONTAINER(r, struct item, runnable);
            r = r->next;
            WEFT_ASSERT(item->number > last[item->pusher]);
            last[item->pusher] = item->number;
            atomic_add_relaxed(&item->taken_count, 1);
        }
        WEFT_ASSERT(r == NULL);
        if (count == 0) {
            idle(s);
        }
        atomic_add_seq_cst(&s->taken_count, count);
    }
    /* The others may be idle: there will be no further push. */
    for (int i = 0; i < TAKERS; i++) {
        wake_one_if_idle(s);
    }
    return NULL;
}

static void conserves_and_orders_and_wakes(void **state)
{
    (void)state;
    static struct shared s;
    static struct role pushers[PUSHERS];
    static struct role takers[TAKERS];
    uint64_t seed = test_seed();
    s.count_each = test_scaled(300000, 50000);
    s.items = calloc(PUSHERS * s.count_each, sizeof(s.items[0]));
    assert_non_null(s.items);
    assert_int_equal(sem_init(&s.wake, 0, 0), 0);
    weft__inject_init(&s.q);

    for (unsigned i = 0; i < TAKERS; i++) {
        takers[i] = (struct role){.shared = &s, .index = i, .random = seed + 10 + i};
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_all, &takers[i]), 0);
    }
    for (unsigned i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct role){.shared = &s, .index = i, .random = seed + i};
        assert_int_equal(pthread_create(&pushers[i].thread, NULL, push_all, &pushers[i]), 0);
    }
    for (unsigned i = 0; i < PUSHERS; i++) {
        assert_int_equal(pthread_join(pushers[i].thread, NULL), 0);
    }
    for (unsigned i = 0; i < TAKERS; i++) {
        assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
    }

    for (size_t i = 0; i < PUSHERS * s.count_each; i++) {
        assert_int_equal(atomic_load_relaxed(&s.items[i].taken_count), 1);
    }
    assert_true(inject_empty(&s.q));
    weft__inject_fini(&s.q);
    sem_destroy(&s.wake);
    free(s.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conserves_and_orders_and_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
