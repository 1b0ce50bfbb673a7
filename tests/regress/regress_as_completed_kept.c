/* SPDX-License-Identifier: MIT */
/*
 * An iteration over more than 16 futures kept its memory for ever, when all that waited for the
 * next one were told of its end, and the one that had taken the last did not ask again: only asking
 * again gave it back.
 */
#include "task_help.h"

#include <malloc.h>

enum { FUTURES = 1000, ROUNDS = 50 };

static shared_int took;

static void *take_one(void *it)
{
    weft_future *f;
    int err = weft_as_completed_next(it, &f);
    CHECK(err == 0 || err == -ENODATA);
    atomic_add_seq_cst(&took, err == 0);
    return NULL;
}

static void iterate(weft_future *f[])
{
    struct weft_as_completed it;
    f[0] = weft_future_create();
    CHECK_EQUAL(weft_as_completed_init(&it, FUTURES, f), 0);
    for (size_t i = 1; i < FUTURES; i++) {
        weft_future *done;
        CHECK_EQUAL(weft_as_completed_next(&it, &done), 0);
    }
    weft_task *takers[] = {weft_spawn(take_one, &it), weft_spawn(take_one, &it)};
    settle();
    CHECK_EQUAL(weft_future_set_result(f[0], NULL), 0);
    CHECK_EQUAL(weft_join(takers[0], NULL), 0);
    CHECK_EQUAL(weft_join(takers[1], NULL), 0);
    weft_put(f[0]);
}

static void *body(void *arg)
{
    weft_future *f[FUTURES];
    for (size_t i = 1; i < FUTURES; i++) {
        f[i] = weft_future_create();
        CHECK_EQUAL(weft_future_set_result(f[i], NULL), 0);
    }
    iterate(f);
    size_t before = mallinfo2().uordblks; /* 0, where a tool has a malloc of its own */
    atomic_store_seq_cst(&took, 0);
    for (int i = 0; i < ROUNDS; i++) {
        iterate(f);
    }
    size_t after = mallinfo2().uordblks;
    CHECK_EQUAL(atomic_load_seq_cst(&took), ROUNDS);
    CHECK(after < before + ROUNDS / 2 * (FUTURES * sizeof(void *)));
    for (size_t i = 1; i < FUTURES; i++) {
        weft_put(f[i]);
    }
    return arg;
}

static void an_iteration_keeps_nothing(void **state)
{
    (void)state;
    run_case(body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_iteration_keeps_nothing)};
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
