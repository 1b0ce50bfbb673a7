/* SPDX-License-Identifier: MIT */
/*
 * Goal: nobody is inside a turnstile together, while workers become its home, are evicted, and
 * threads that are no workers come between.
 *
 * Method: tasks and a thread pass in bursts of random length, long enough now and then to become
 * the home, and count two plain numbers, which have to be the same whenever somebody is inside, and
 * come out right. A fresh turnstile every round, since it has only so many homes in its life.
 */
#include "task_help.h"

#include "turnstile.h"

enum { TASKS = 4, BURST_MAX = 300 };

struct round {
    struct turnstile gate;
    uint64_t seed;
    uint64_t one; /* guarded */
    uint64_t other;
    shared_int tickets;
    _Atomic(uint64_t) passes;
    size_t bursts;
};

static void pass(struct round *r)
{
    turnstile_lock(&r->gate);
    uint64_t one = r->one;
    CHECK_EQUAL(r->other, one);
    *(volatile uint64_t *)&r->one = one + 1;
    *(volatile uint64_t *)&r->other = one + 1;
    turnstile_unlock(&r->gate);
}

static uint64_t burst(struct round *r, uint64_t *state)
{
    uint64_t count = 1 + test_random(state) % (test_random(state) % BURST_MAX + 1);
    for (uint64_t i = 0; i < count; i++) {
        pass(r);
    }
    return count;
}

static void *task(void *arg)
{
    struct round *r = arg;
    uint64_t state = r->seed + (uint64_t)atomic_add_seq_cst(&r->tickets, 1);
    uint64_t passes = 0;
    for (size_t i = 0; i < r->bursts; i++) {
        passes += burst(r, &state);
        if (test_random(&state) % 4 == 0) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    atomic_add_seq_cst(&r->passes, passes);
    return NULL;
}

static void *thread(void *arg)
{
    struct round *r = arg;
    uint64_t state = r->seed + 100;
    uint64_t passes = 0;
    for (size_t i = 0; i < r->bursts / 4; i++) {
        passes += burst(r, &state);
        sched_yield();
    }
    atomic_add_seq_cst(&r->passes, passes);
    return NULL;
}

static void *round_main(void *arg)
{
    struct round *r = arg;
    weft_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = weft_spawn(task, r);
    }
    pthread_t outside = start_thread(thread, r);
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    CHECK_EQUAL(pthread_join(outside, NULL), 0);
    CHECK_EQUAL(r->one, r->other);
    CHECK_EQUAL(r->one, atomic_load_seq_cst(&r->passes));
    return NULL;
}

static void nobody_is_inside_together(void **state)
{
    (void)state;
    uint64_t seeds = test_seed();
    for (size_t i = 0; test_goes_on(i, test_scaled(150, 20)); i++) {
        struct round r = {.seed = test_random(&seeds), .bursts = test_scaled(200, 50)};
        run_case(round_main, &r);
    }
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_inside_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
