/* SPDX-License-Identifier: MIT */
/*
 * Tasks that cannot start because no stack is to be had wait until others give theirs back. When
 * one of them was tried again, what it left for the loop to do (a callback, another such task) was
 * lost, and the worker could sleep beside what it had made ready.
 */
#include "task_help.h"

#include <sys/resource.h>

#include <weft/timer.h>

#define TASKS 60
#define STACK_BYTES ((size_t)16 * 1024 * 1024)
#define ADDRESS_SPACE ((rlim_t)320 * 1024 * 1024) /* a few of those stacks */

static shared_int ended;
static shared_int posted;
static shared_int called;

static void count_call(void *arg)
{
    (void)arg;
    atomic_add_seq_cst(&called, 1);
}

static void *give_back(void *arg)
{
    return arg;
}

/* Hand work over in every way that goes through the worker's queues, and wait in between. */
static void *need_much_stack(void *arg)
{
    struct weft_spawn_options pinned = {.pinned = true};
    struct weft_spawn_options held = {.held = true};
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_post(weft_runtime_current(), count_call, NULL), 0);
        atomic_add_seq_cst(&posted, 1);
        weft_task *there = weft_spawn_with(&pinned, give_back, arg);
        weft_task *next = weft_spawn_with(&held, give_back, arg);
        CHECK_EQUAL(weft_start(next), 0);
        /* Memory is short on purpose: a sleep may have no room for its timer. */
        int err = i % 2 == 0 ? weft_sleep(WEFT_MS / 2) : weft_yield();
        CHECK(err == 0 || err == -ENOMEM);
        CHECK_EQUAL(weft_join(there, NULL), 0);
        CHECK_EQUAL(weft_join(next, NULL), 0);
        CHECK_EQUAL(weft_post(weft_runtime_current(), count_call, NULL), 0);
        atomic_add_seq_cst(&posted, 1);
    }
    atomic_add_seq_cst(&ended, 1);
    return arg;
}

static void *spawn_too_many(void *arg)
{
    struct weft_spawn_options large = {.stack_bytes = STACK_BYTES};
    for (int round = 1; round <= 5; round++) {
        for (int i = 0; i < TASKS; i++) {
            weft_task *t = weft_spawn_with(&large, need_much_stack, arg);
            CHECK(t != NULL);
            weft_put(t);
        }
        while (atomic_load_seq_cst(&ended) < round * TASKS) {
            CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
        }
    }
    while (atomic_load_seq_cst(&called) < atomic_load_seq_cst(&posted)) {
        CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    }
    return arg;
}

static size_t address_space_used(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu", &pages), 1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void *warm_up(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    return arg;
}

static void all_run_in_the_end(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(weft_runtime_run(rt, warm_up, NULL, NULL), 0); /* small stacks are there */
    }
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = (rlim_t)address_space_used() + ADDRESS_SPACE;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    CHECK_EQUAL(weft_runtime_run(rt, spawn_too_many, NULL, NULL), 0);
    finish_runtime(rt);
    assert_int_equal(atomic_load_seq_cst(&ended), 5 * TASKS);
}

int main(void)
{
#ifdef TEST_SANITIZED
    return 77; /* the tools map terabytes */
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_run_in_the_end),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
