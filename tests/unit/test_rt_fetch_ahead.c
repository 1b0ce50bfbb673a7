/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a worker looks at ahead, in a queue that is longer than its caches hold, is neither
 * run by that nor lost, whatever it is: tasks that waited, tasks that have not begun, callbacks;
 * and a close ends more tasks than it waits for one by one.
 *
 * Method: the real runtime. Sleepers are cancelled all at once, and between them come new tasks and
 * posts; each counts that it ran. Mutant: items are taken for tasks, whatever their kind.
 */
#include "task_help.h"

static shared_int waiting;
static shared_int called_off;
static shared_int begun;
static shared_int posted;

static void *sleeper(void *arg)
{
    atomic_add_seq_cst(&waiting, 1);
    CHECK_EQUAL(weft_sleep(60 * WEFT_MINUTE), -ECANCELED);
    atomic_add_seq_cst(&called_off, 1);
    return arg;
}

static void *fresh(void *arg)
{
    atomic_add_seq_cst(&begun, 1);
    return arg;
}

static void post(void *arg)
{
    (void)arg;
    atomic_add_seq_cst(&posted, 1);
}

static void *mixture(void *arg)
{
    int count = (int)(intptr_t)arg;
    weft_task **tasks = calloc((size_t)count, sizeof *tasks);
    CHECK(tasks != NULL);
    for (int i = 0; i < count; i++) {
        tasks[i] = weft_spawn(sleeper, NULL);
        CHECK(tasks[i] != NULL);
    }
    yield_until(&waiting, count);
    for (int i = 0; i < count; i++) {
        CHECK(weft_cancel(tasks[i]));
        if (i % 3 == 0) {
            CHECK_EQUAL(weft_go(fresh, NULL), 0);
            CHECK_EQUAL(weft_post(weft_runtime_current(), post, NULL), 0);
        }
    }
    for (int i = 0; i < count; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    yield_until(&begun, (count + 2) / 3);
    yield_until(&posted, (count + 2) / 3);
    free(tasks);
    return NULL;
}

static void a_long_queue_is_run_once(void **state)
{
    (void)state;
    int count = (int)test_scaled(6000, 1500);
    atomic_store_seq_cst(&waiting, 0);
    atomic_store_seq_cst(&called_off, 0);
    atomic_store_seq_cst(&begun, 0);
    atomic_store_seq_cst(&posted, 0);
    run_case(mixture, (void *)(intptr_t)count);
    assert_int_equal(atomic_load_seq_cst(&called_off), count);
    assert_int_equal(atomic_load_seq_cst(&begun), (count + 2) / 3);
    assert_int_equal(atomic_load_seq_cst(&posted), (count + 2) / 3);
}

static void *spawn_sleepers(void *arg)
{
    for (intptr_t i = 0; i < (intptr_t)arg; i++) {
        CHECK_EQUAL(weft_go(sleeper, NULL), 0);
    }
    yield_until(&waiting, (int)(intptr_t)arg);
    return NULL;
}

static void a_close_ends_many(void **state)
{
    (void)state;
    int count = (int)test_scaled(6000, 1500);
    atomic_store_seq_cst(&waiting, 0);
    atomic_store_seq_cst(&called_off, 0);
    weft_runtime *rt = create_runtime(NULL);
    assert_int_equal(weft_runtime_run(rt, spawn_sleepers, (void *)(intptr_t)count, NULL), 0);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    assert_int_equal(atomic_load_seq_cst(&called_off), count);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_queue_is_run_once),
        cmocka_unit_test(a_close_ends_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
