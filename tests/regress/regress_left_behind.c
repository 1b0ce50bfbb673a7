/* SPDX-License-Identifier: MIT */
/*
 * Tasks that were put into a worker's deque while the other workers slept, and nobody was told: a
 * task that yields to one it has just made ready, and tasks that a callback has spawned. When the
 * one that ran first was long, the other waited for it beside idle workers.
 *
 * Here the long one waits, without letting go of its worker, until the other has run.
 */
#include "task_help.h"

#include <weft/timer.h>

#define LIMIT_NS (10 * WEFT_SECOND)

static shared_int is_there;

/* On a worker, without letting go of it. */
static void hog_until(shared_int *value, int at_least)
{
    int64_t limit = weft_now() + LIMIT_NS;
    while (atomic_load_seq_cst(value) < at_least) {
        CHECK(weft_now() < limit); /* nobody takes the other one */
        sched_yield();
    }
}

/* Give the other workers time to fall asleep; when they do not, the test shows less. */
static void let_others_sleep(void)
{
    for (int i = 0; i < 5; i++) {
        settle();
    }
}

static void *hog(void *arg)
{
    hog_until(&is_there, 1);
    return arg;
}

static void *yield_to_hog(void *arg)
{
    struct weft_spawn_options held = {.held = true};
    for (int i = 0; i < 10; i++) {
        atomic_store_seq_cst(&is_there, 0);
        weft_task *t = weft_spawn_with(&held, hog, arg);
        let_others_sleep();
        CHECK_EQUAL(weft_start(t), 0); /* into the next slot */
        CHECK_EQUAL(weft_yield(), 0);
        atomic_store_seq_cst(&is_there, 1);
        CHECK_EQUAL(weft_join(t, NULL), 0);
    }
    return arg;
}

/* As many tasks as there are workers: they go on only together. */
static void *meet(void *count)
{
    int n = (int)(intptr_t)count;
    int round = atomic_add_seq_cst(&is_there, 1) / n;
    hog_until(&is_there, (round + 1) * n);
    return NULL;
}

static void spawn_those_who_meet(void *count)
{
    for (intptr_t i = 0; i < (intptr_t)count; i++) {
        CHECK_EQUAL(weft_go(meet, count), 0);
    }
}

static bool has_several_workers(weft_runtime *rt)
{
    return weft_runtime_workers(rt) > 1;
}

static void one_that_yields_is_taken(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    if (has_several_workers(rt)) {
        CHECK_EQUAL(weft_runtime_run(rt, yield_to_hog, NULL, NULL), 0);
    }
    finish_runtime(rt);
}

static void what_a_callback_spawns_is_taken(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    int count = (int)weft_runtime_workers(rt);
    atomic_store_seq_cst(&is_there, 0);
    for (int round = 1; round <= 10 && has_several_workers(rt); round++) {
        usleep(1000); /* let them fall asleep */
        CHECK_EQUAL(weft_post(rt, spawn_those_who_meet, (void *)(intptr_t)count), 0);
        spin_until(&is_there, round * count);
    }
    finish_runtime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_yields_is_taken),
        cmocka_unit_test(what_a_callback_spawns_is_taken),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
