/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a task is to those who hold it: its outcome, awaiting it, its identity, references.
 *
 * Method: each case is a main task on a runtime of its own, which ends with no task left over.
 * Where several workers are at play the cases hold for every order; where the order is the promise
 * there is one worker.
 */
#include "task_help.h"

#include <limits.h>

static void *give_back(void *arg)
{
    return arg;
}

static void *yield_and_give_back(void *arg)
{
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void *count_up(void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
    return arg;
}

/* --- outcome ---------------------------------------------------------------------------------- */

static void *outcome_main(void *arg)
{
    int value;
    void *result = NULL;
    CHECK_EQUAL(weft_join(weft_spawn(give_back, &value), &result), 0);
    CHECK(result == &value);
    CHECK_EQUAL(weft_join(weft_spawn(yield_and_give_back, NULL), &result), 0);
    CHECK(result == NULL);
    CHECK_EQUAL(weft_join(weft_spawn(give_back, &value), NULL), 0);
    return arg;
}

static void the_outcome_is_what_the_function_returned(void **state)
{
    (void)state;
    run_case(outcome_main, NULL);
}

static void *fail_as_told(void *arg)
{
    CHECK_EQUAL(weft_yield(), 0);
    return weft_fail((int)(intptr_t)arg);
}

static void *failed_main(void *arg)
{
    int untouched;
    void *result = &untouched;
    weft_task *t = weft_spawn(fail_as_told, (void *)(intptr_t)-EIO);
    CHECK_EQUAL(weft_await(t, &result), -EIO);
    CHECK_EQUAL(weft_await(t, &result), -EIO);
    CHECK_EQUAL(weft_result(t, &result), -EIO);
    CHECK(result == &untouched);
    CHECK(weft_done(t));
    CHECK(!weft_cancelled(t));
    weft_put(t);

    t = weft_spawn(fail_as_told, (void *)(intptr_t)-ECANCELED);
    CHECK_EQUAL(weft_await(t, &result), -ECANCELED);
    CHECK(weft_cancelled(t));
    CHECK(result == &untouched);
    weft_put(t);
    return arg;
}

static void a_failed_task_has_an_error_and_no_value(void **state)
{
    (void)state;
    run_case(failed_main, NULL);
}

static void *fail_and_change_mind(void *arg)
{
    void *failure = weft_fail(-EIO);
    return failure == NULL ? NULL : arg;
}

static void *mind_main(void *arg)
{
    int value;
    void *result = NULL;
    CHECK_EQUAL(weft_join(weft_spawn(fail_and_change_mind, &value), &result), 0);
    CHECK(result == &value);
    return arg;
}

static void weft_fail_counts_only_when_it_is_returned(void **state)
{
    (void)state;
    run_case(mind_main, NULL);
}

static void *wait_for_flag(void *flag)
{
    yield_until(flag, 1);
    return flag;
}

static void *without_waiting_main(void *arg)
{
    shared_int flag = 0;
    int untouched;
    void *result = &untouched;
    weft_task *t = weft_spawn(wait_for_flag, &flag);
    CHECK_EQUAL(weft_result(t, &result), -EINPROGRESS);
    CHECK(result == &untouched);
    CHECK(!weft_done(t));
    CHECK(!weft_cancelled(t));
    atomic_store_seq_cst(&flag, 1);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK(weft_done(t));
    CHECK(!weft_cancelled(t));
    CHECK_EQUAL(weft_result(t, NULL), 0);
    CHECK_EQUAL(weft_result(t, &result), 0);
    CHECK(result == &flag);
    weft_put(t);
    return arg;
}

static void the_outcome_can_be_read_without_waiting(void **state)
{
    (void)state;
    run_case(without_waiting_main, NULL);
}

/* --- awaiting --------------------------------------------------------------------------------- */

static void *await_twice_main(void *arg)
{
    shared_int runs = 0;
    weft_task *t = weft_spawn(count_up, &runs);
    for (int i = 0; i < 3; i++) {
        void *result = NULL;
        CHECK_EQUAL(weft_await(t, &result), 0);
        CHECK(result == &runs);
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 1);
    return arg;
}

static void item_2_awaiting_again_gives_the_same_outcome_and_runs_nothing(void **state)
{
    (void)state;
    run_case(await_twice_main, NULL);
}

enum { AWAITERS = 100 };

static void *await_it(void *t)
{
    void *result = NULL;
    CHECK_EQUAL(weft_await(t, &result), 0);
    return result;
}

static void *await_many_main(void *arg)
{
    shared_int flag = 0;
    weft_task *t = weft_spawn(wait_for_flag, &flag);
    weft_task *awaiters[AWAITERS];
    for (int i = 0; i < AWAITERS; i++) {
        awaiters[i] = weft_spawn(await_it, t);
    }
    settle();
    atomic_store_seq_cst(&flag, 1);
    for (int i = 0; i < AWAITERS; i++) {
        void *result = NULL;
        CHECK_EQUAL(weft_join(awaiters[i], &result), 0);
        CHECK(result == &flag);
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void many_tasks_may_await_one(void **state)
{
    (void)state;
    run_case(await_many_main, NULL);
}

static void *await_done_main(void *arg)
{
    shared_int runs = 0;
    weft_task *t = weft_spawn(give_back, NULL);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    weft_task *other = weft_spawn(count_up, &runs);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&runs),
                0); /* one worker: it would have run, had the await suspended */
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 0);
    CHECK_EQUAL(weft_join(other, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 1);
    return arg;
}

static void awaiting_what_is_done_does_not_suspend(void **state)
{
    (void)state;
    run_case_alone(await_done_main, NULL);
}

static void *await_self(void *arg)
{
    void *result = arg;
    weft_task *self = weft_self();
    CHECK_EQUAL(weft_await(self, &result), -EDEADLK);
    CHECK_EQUAL(weft_join(self, &result), -EDEADLK); /* keeps the reference */
    CHECK_EQUAL(weft_result(self, &result), -EINPROGRESS);
    CHECK(result == arg);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_await(self, &result), -EDEADLK);
    return result;
}

static void *self_main(void *arg)
{
    void *result = NULL;
    await_self(&result);
    CHECK_EQUAL(weft_join(weft_spawn(await_self, arg), &result), 0);
    CHECK(result == arg);
    return arg;
}

static void item_3_awaiting_oneself_is_refused(void **state)
{
    int something;
    (void)state;
    run_case(self_main, &something);
}

static void *own_error_main(void *arg)
{
    /* Errors of the task that awaiting has a meaning for as well: the reference still goes. */
    static const int errors[] = {-EPERM, -EDEADLK, -ENOMEM, -EINPROGRESS};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        weft_task *t = weft_spawn(fail_as_told, (void *)(intptr_t)errors[i]);
        CHECK_EQUAL(weft_await(t, NULL), errors[i]);
        CHECK_EQUAL(weft_join(t, NULL), errors[i]);
    }
    return arg;
}

static void a_join_takes_the_reference_whatever_the_tasks_own_error(void **state)
{
    (void)state;
    run_case(own_error_main, NULL);
}

static void *null_main(void *arg)
{
    int untouched;
    void *result = &untouched;
    char name[8];
    CHECK_EQUAL(weft_await(NULL, &result), -ENOMEM);
    CHECK_EQUAL(weft_join(NULL, &result), -ENOMEM);
    CHECK_EQUAL(weft_cancel_and_join(NULL, &result), -ENOMEM);
    CHECK_EQUAL(weft_result(NULL, &result), -ENOMEM);
    CHECK(result == &untouched);
    CHECK_EQUAL(weft_start(NULL), -ENOMEM);
    CHECK(!weft_cancel(NULL));
    CHECK(!weft_done(NULL));
    CHECK(!weft_cancelled(NULL));
    CHECK(weft_get(NULL) == NULL);
    weft_put(NULL);
    CHECK_EQUAL(weft_on_done(NULL, NULL, NULL), -ENOMEM);
    CHECK_EQUAL(weft_on_done_remove(NULL, NULL, NULL), 0);
    CHECK_EQUAL(weft_task_name(NULL, name, sizeof name), -EINVAL);
    CHECK_EQUAL(weft_task_set_name(NULL, "name"), -EINVAL);
    CHECK_EQUAL(weft_task_set_name(weft_self(), NULL), -EINVAL);
    CHECK_EQUAL(weft_task_id(NULL), 0);
    CHECK_EQUAL(weft_stack_high_water(NULL), 0);
    return arg;
}

static void null_is_answered_as_a_spawn_that_found_no_memory(void **state)
{
    (void)state;
    run_case(null_main, NULL);
}

/* --- two runtimes ----------------------------------------------------------------------------- */

static void *two_main(void *arg)
{
    weft_runtime *other = arg;
    shared_int flag = 0;
    weft_task *t = NULL;
    CHECK_EQUAL(weft_runtime_spawn(other, wait_for_flag, &flag, &t), 0);
    weft_task *awaiter = weft_spawn(await_it, t);
    settle();
    atomic_store_seq_cst(&flag, 1);
    void *result = NULL;
    CHECK_EQUAL(weft_await(t, &result), 0);
    CHECK(result == &flag);
    CHECK_EQUAL(weft_join(awaiter, &result), 0);
    CHECK(result == &flag);
    weft_put(t);
    return NULL;
}

static void item_4_a_task_of_another_runtime_can_be_awaited(void **state)
{
    (void)state;
    weft_runtime *other = create_runtime(NULL);
    run_case(two_main, other);
    finish_runtime(other);
}

/* --- identity --------------------------------------------------------------------------------- */

static void *interleave(void *arg)
{
    weft_task *self = weft_self();
    CHECK(self != NULL);
    CHECK(weft_runtime_current() == arg);
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(i % 2 == 0 ? weft_yield() : weft_sleep(10 * WEFT_US), 0);
        CHECK(weft_self() == self);
        CHECK(weft_runtime_current() == arg);
    }
    return self;
}

static void *self_is_right_main(void *arg)
{
    weft_task *self = weft_self();
    weft_task *t[20];
    for (int i = 0; i < 20; i++) {
        t[i] = weft_spawn(interleave, weft_runtime_current());
        CHECK(weft_self() == self);
    }
    for (int i = 0; i < 20; i++) {
        void *result = NULL;
        CHECK_EQUAL(weft_await(t[i], &result), 0);
        CHECK(result == t[i]);
        CHECK(weft_self() == self);
        weft_put(t[i]);
    }
    return arg;
}

static void item_9_the_current_task_is_right_after_every_wait(void **state)
{
    (void)state;
    assert_null(weft_self());
    assert_null(weft_runtime_current());
    run_case(self_is_right_main, NULL);
    assert_null(weft_self());
    assert_null(weft_runtime_current());
}

static void *own_name(void *arg)
{
    CHECK(weft_task_name(weft_self(), arg, 64) > 0);
    return arg;
}

static void *names_main(void *arg)
{
    char name[64];
    char want[64];
    char given[] = "given";
    weft_task *t = weft_spawn(own_name, name);
    snprintf(want, sizeof want, "Task-%" PRIu64, weft_task_id(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(strcmp(name, want), 0);

    struct weft_spawn_options options = {.name = given};
    t = weft_spawn_with(&options, own_name, name);
    memset(given, 'x', 5); /* it was copied */
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK_EQUAL(strcmp(name, "given"), 0);

    CHECK_EQUAL(weft_task_set_name(t, "changed"), 0);
    CHECK_EQUAL(weft_task_name(t, name, sizeof name), 7);
    CHECK_EQUAL(strcmp(name, "changed"), 0);
    CHECK_EQUAL(weft_task_name(t, name, 4), 7);
    CHECK_EQUAL(strcmp(name, "cha"), 0);
    CHECK_EQUAL(weft_task_name(t, name, 1), 7);
    CHECK_EQUAL(name[0], '\0');
    CHECK_EQUAL(weft_task_name(t, NULL, 0), 7);
    CHECK_EQUAL(weft_task_set_name(t, ""), 0);
    CHECK_EQUAL(weft_task_name(t, name, sizeof name), 0);
    weft_put(t);
    return arg;
}

static void item_5_names_can_be_given_changed_and_cut(void **state)
{
    (void)state;
    run_case(names_main, NULL);
}

static void *id_grows_main(void *arg)
{
    uint64_t last = weft_task_id(weft_self());
    CHECK(last >= 1);
    for (int i = 0; i < 3000; i++) {
        weft_task *t = weft_spawn(give_back, NULL);
        CHECK(weft_task_id(t) > last);
        last = weft_task_id(t);
        CHECK_EQUAL(weft_join(t, NULL), 0);
    }
    return arg;
}

static void on_one_worker_ids_only_grow(void **state)
{
    (void)state;
    run_case_alone(id_grows_main, NULL);
}

enum { ID_TASKS = 1500, ID_THREADS = 3, ID_EACH = 300 };

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct id_thread {
    weft_runtime *rt;
    uint64_t ids[ID_EACH];
};

static void *own_id(void *arg)
{
    *(uint64_t *)arg = weft_task_id(weft_self());
    return NULL;
}

static void *ids_from_thread(void *arg)
{
    struct id_thread *thread = arg;
    for (int i = 0; i < ID_EACH; i++) {
        weft_task *t = NULL;
        CHECK_EQUAL(weft_runtime_spawn(thread->rt, own_id, &thread->ids[i], &t), 0);
        uint64_t id = weft_task_id(t);
        CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
        CHECK_EQUAL(thread->ids[i], id);
        weft_put(t);
    }
    return NULL;
}

static void *ids_half(void *arg)
{
    uint64_t *ids = arg;
    weft_task *t[ID_TASKS / 2];
    for (int i = 0; i < ID_TASKS / 2; i++) {
        t[i] = weft_spawn(own_id, &ids[i]);
    }
    for (int i = 0; i < ID_TASKS / 2; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return arg;
}

static void *ids_main(void *arg)
{
    static struct id_thread threads[ID_THREADS];
    static uint64_t all[ID_TASKS + ID_THREADS * ID_EACH];
    pthread_t thread[ID_THREADS];
    for (int i = 0; i < ID_THREADS; i++) {
        threads[i].rt = weft_runtime_current();
        thread[i] = start_thread(ids_from_thread, &threads[i]);
    }
    struct weft_spawn_options big = {.stack_bytes = 256 * 1024};
    weft_task *half = weft_spawn_with(&big, ids_half, all);
    weft_task *other = weft_spawn_with(&big, ids_half, &all[ID_TASKS / 2]);
    CHECK_EQUAL(weft_join(half, NULL), 0);
    CHECK_EQUAL(weft_join(other, NULL), 0);
    for (int i = 0; i < ID_THREADS; i++) {
        while (pthread_tryjoin_np(thread[i], NULL) != 0) { /* they need this worker */
            CHECK_EQUAL(weft_yield(), 0);
        }
        memcpy(&all[ID_TASKS + i * ID_EACH], threads[i].ids, sizeof threads[i].ids);
    }
    size_t n = sizeof all / sizeof all[0];
    qsort(all, n, sizeof all[0], compare_ids);
    CHECK(all[0] >= 1);
    for (size_t i = 1; i < n; i++) {
        CHECK(all[i] != all[i - 1]);
    }
    return arg;
}

static void no_two_tasks_have_the_same_id(void **state)
{
    (void)state;
    run_case(ids_main, NULL);
}

/* --- references ------------------------------------------------------------------------------- */

static void *count_when_told(void *arg)
{
    shared_int *flag = arg;
    yield_until(&flag[0], 1);
    atomic_add_seq_cst(&flag[1], 1);
    return NULL;
}

static void *unheld_main(void *arg)
{
    shared_int flag[2] = {0, 0};
    for (int i = 0; i < 50; i++) {
        weft_task *t = weft_spawn(count_when_told, flag);
        CHECK(weft_get(t) == t);
        weft_put(t);
        weft_put(t);
    }
    atomic_store_seq_cst(&flag[0], 1);
    yield_until(&flag[1], 50);
    return arg;
}

static void a_task_that_nobody_holds_runs_to_its_end(void **state)
{
    (void)state;
    run_case(unheld_main, NULL);
}

static void *put_all(void *arg)
{
    weft_task **t = arg;
    for (int i = 0; i < 100; i++) {
        weft_put(t[i]);
    }
    return NULL;
}

static void item_14_the_last_reference_may_go_on_another_thread(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    weft_task *t[100];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(weft_runtime_spawn(rt, yield_and_give_back, &t[i], &t[i]), 0);
    }
    pthread_t thread = start_thread(put_all, t); /* some of them have ended by then, some not */
    pthread_join(thread, NULL);
    finish_runtime(rt);
}

static void an_outcome_outlives_its_runtime(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    weft_task *t = NULL;
    int value;
    void *result = NULL;
    assert_int_equal(weft_runtime_spawn(rt, yield_and_give_back, &value, &t), 0);
    assert_int_equal(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
    finish_runtime(rt);
    assert_true(weft_done(t));
    assert_int_equal(weft_result(t, &result), 0);
    assert_ptr_equal(result, &value);
    weft_put(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_outcome_is_what_the_function_returned),
        cmocka_unit_test(a_failed_task_has_an_error_and_no_value),
        cmocka_unit_test(weft_fail_counts_only_when_it_is_returned),
        cmocka_unit_test(the_outcome_can_be_read_without_waiting),
        cmocka_unit_test(item_2_awaiting_again_gives_the_same_outcome_and_runs_nothing),
        cmocka_unit_test(many_tasks_may_await_one),
        cmocka_unit_test(awaiting_what_is_done_does_not_suspend),
        cmocka_unit_test(item_3_awaiting_oneself_is_refused),
        cmocka_unit_test(a_join_takes_the_reference_whatever_the_tasks_own_error),
        cmocka_unit_test(null_is_answered_as_a_spawn_that_found_no_memory),
        cmocka_unit_test(item_4_a_task_of_another_runtime_can_be_awaited),
        cmocka_unit_test(item_9_the_current_task_is_right_after_every_wait),
        cmocka_unit_test(item_5_names_can_be_given_changed_and_cut),
        cmocka_unit_test(on_one_worker_ids_only_grow),
        cmocka_unit_test(no_two_tasks_have_the_same_id),
        cmocka_unit_test(a_task_that_nobody_holds_runs_to_its_end),
        cmocka_unit_test(item_14_the_last_reference_may_go_on_another_thread),
        cmocka_unit_test(an_outcome_outlives_its_runtime),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
