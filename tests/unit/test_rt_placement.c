/* SPDX-License-Identifier: MIT */
/*
 * Goal: while stalls are met workers sleep on different CPUs; a task, and what it starts, never
 * finds itself bound; and when there are no more stalls nobody is bound any more.
 *
 * Method: the time until which stalls count as met is set by hand. What the kernel says of the
 * workers' affinity is looked at from outside until it is as it should be, which may be at once or
 * when they have slept again.
 */
#include "task_help.h"

#include <sched.h>

#include "runtime_object.h"

#define WORKERS 2
#define ROUNDS 200

static cpu_set_t usual;

static bool is_usual(void)
{
    cpu_set_t now;
    CHECK(sched_getaffinity(0, sizeof now, &now) == 0);
    return CPU_EQUAL(&now, &usual);
}

static void *thread_main(void *arg)
{
    CHECK(is_usual());
    return arg;
}

/* It has just been woken, or another has. */
static void *task_main(void *arg)
{
    CHECK(is_usual());
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    CHECK(is_usual());
    return arg;
}

static void *task_with_thread(void *arg)
{
    pthread_join(start_thread(thread_main, NULL), NULL);
    return task_main(arg);
}

static void run_one(weft_runtime *rt, weft_fn fn)
{
    CHECK_EQUAL(weft_runtime_run(rt, fn, NULL, NULL), 0);
}

/* The CPUs that a worker may run on now. */
static cpu_set_t cpus_of(weft_runtime *rt, unsigned index)
{
    cpu_set_t set;
    CHECK(sched_getaffinity(rt->workers[index].rescue.kick.tid, sizeof set, &set) == 0);
    return set;
}

static bool all_are_apart(weft_runtime *rt)
{
    cpu_set_t both;
    cpu_set_t first = cpus_of(rt, 0);
    cpu_set_t second = cpus_of(rt, 1);
    CPU_AND(&both, &first, &second);
    return CPU_COUNT(&first) == 1 && CPU_COUNT(&second) == 1 && CPU_COUNT(&both) == 0;
}

static bool all_are_free(weft_runtime *rt)
{
    cpu_set_t first = cpus_of(rt, 0);
    cpu_set_t second = cpus_of(rt, 1);
    return CPU_EQUAL(&first, &usual) && CPU_EQUAL(&second, &usual);
}

/* Until it is so, have workers wake and sleep. They may have met a stall of their own meanwhile. */
static void await(weft_runtime *rt, int64_t watch_until_ns, bool (*is_so)(weft_runtime *rt))
{
    while (!is_so(rt)) {
        /* ORD none: a hint, in the library as here. */
        atomic_store_relaxed(&rt->rescue.watch_until_ns, watch_until_ns);
        weft__worker_nudge(&rt->workers[0]);
        weft__worker_nudge(&rt->workers[1]);
        run_one(rt, task_main);
    }
}

static void workers_sleep_apart_while_stalls_are_met(void **state)
{
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof usual, &usual), 0);
    if (CPU_COUNT(&usual) < WORKERS) {
        skip();
    }
    struct weft_options options = {.workers = WORKERS};
    weft_runtime *rt = create_runtime(&options);
    await(rt, 0, all_are_free);
    await(rt, INT64_MAX, all_are_apart);
    for (size_t i = 0; i < test_scaled(ROUNDS, ROUNDS / 4); i++) {
        run_one(rt, i % 10 == 0 ? task_with_thread : task_main);
    }
    await(rt, INT64_MAX, all_are_apart);
    await(rt, 0, all_are_free);
    finish_runtime(rt);
}

static void too_many_workers_are_left_alone(void **state)
{
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof usual, &usual), 0);
    struct weft_options options = {.workers = (unsigned)CPU_COUNT(&usual) + 1};
    if (options.workers > 16) {
        skip();
    }
    weft_runtime *rt = create_runtime(&options);
    /* ORD none: as above. */
    atomic_store_relaxed(&rt->rescue.watch_until_ns, INT64_MAX);
    for (int i = 0; i < ROUNDS / 4; i++) {
        run_one(rt, task_main);
        for (unsigned worker = 0; worker < options.workers; worker++) {
            cpu_set_t set = cpus_of(rt, worker);
            assert_true(CPU_EQUAL(&set, &usual));
        }
    }
    finish_runtime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_sleep_apart_while_stalls_are_met),
        cmocka_unit_test(too_many_workers_are_left_alone),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
