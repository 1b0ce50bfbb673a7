/* SPDX-License-Identifier: MIT */
/*
 * The pinned list and the deque took turns by whether the number of items run so far was even. A
 * pinned task that yields to one it has just made ready, over and over, kept them in step: the
 * deque had its turn once in 64.
 */
#include "task_help.h"

#define LOOPS 10000

static shared_int is_over;
static int turns;

static void *give_back(void *arg)
{
    return arg;
}

static void *yield_to_next(void *arg)
{
    struct weft_spawn_options held = {.held = true};
    for (int i = 0; i < LOOPS; i++) {
        weft_task *t = weft_spawn_with(&held, give_back, arg);
        CHECK_EQUAL(weft_start(t), 0);
        weft_put(t);
        CHECK_EQUAL(weft_yield(), 0);
    }
    atomic_store_seq_cst(&is_over, 1);
    return arg;
}

static void *count_turns(void *arg)
{
    while (atomic_load_seq_cst(&is_over) == 0) {
        turns++;
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void *body(void *arg)
{
    struct weft_spawn_options pinned = {.pinned = true};
    weft_task *t = weft_spawn_with(&pinned, yield_to_next, arg);
    weft_task *other = weft_spawn(count_turns, arg);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_join(other, NULL), 0);
    return arg;
}

static void pinned_tasks_and_others_share(void **state)
{
    (void)state;
    run_case_alone(body, NULL);
    assert_in_range(turns, LOOPS / 4, 4 * LOOPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pinned_tasks_and_others_share),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
