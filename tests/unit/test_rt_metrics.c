/* SPDX-License-Identifier: MIT */
/*
 * Goal: each figure counts what it says. Those that are exact are compared with what was done;
 * those that depend on who came first are waited for.
 *
 * Method: the real runtime. What a figure must have grown by is the least that was done; how much
 * more there was, the machine decides.
 */
#include "task_help.h"

#include <sys/socket.h>

#define TASKS 50

static struct weft_metrics metrics_of(weft_runtime *rt)
{
    struct weft_metrics m;
    memset(&m, 0xff, sizeof m);
    CHECK_EQUAL(weft_metrics(rt, &m), 0);
    for (size_t i = 0; i < sizeof m.reserved / sizeof m.reserved[0]; i++) {
        CHECK_EQUAL(m.reserved[i], 0);
    }
    return m;
}

/* In a task. */
static struct weft_metrics metrics_here(void)
{
    return metrics_of(weft_runtime_current());
}

static void *give_back(void *arg)
{
    return arg;
}

static void a_fresh_runtime_has_done_nothing(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 3};
    weft_runtime *rt = create_runtime(&options);
    struct weft_metrics m = metrics_of(rt);
    assert_int_equal(m.workers, 3);
    assert_int_equal(m.tasks_spawned, 0);
    assert_int_equal(m.tasks_live, 0);
    assert_int_equal(m.nested, 0);
    assert_int_equal(m.steals, 0);
    assert_int_equal(m.stacks, 0);
    assert_int_equal(weft_metrics(NULL, &m), -EINVAL);
    assert_int_equal(weft_metrics(rt, NULL), -EINVAL);
    finish_runtime(rt);
}

/* --- tasks ------------------------------------------------------------------------------------ */

static void *wait_for_end(void *is_over)
{
    yield_until(is_over, 1);
    return NULL;
}

static void *tasks_main(void *arg)
{
    static const struct weft_spawn_options held = {.held = true};
    shared_int is_over = 0;
    weft_task *t[TASKS];
    struct weft_metrics before = metrics_here();
    CHECK_EQUAL(before.tasks_live, 1); /* this one */
    for (int i = 0; i < TASKS; i++) {
        t[i] = i % 2 == 0 ? weft_spawn(wait_for_end, &is_over)
                          : weft_spawn_with(&held, wait_for_end, &is_over);
    }
    struct weft_metrics spawned = metrics_here();
    CHECK_EQUAL(spawned.tasks_spawned - before.tasks_spawned, TASKS);
    CHECK_EQUAL(spawned.tasks_live, TASKS + 1);
    for (int i = 1; i < TASKS; i += 2) {
        CHECK_EQUAL(weft_start(t[i]), 0);
    }
    atomic_store_seq_cst(&is_over, 1);
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    while (metrics_here().tasks_live != 1) { /* one that was awaited is counted a moment later */
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(metrics_here().tasks_spawned, spawned.tasks_spawned);
    return arg;
}

static void tasks_are_counted_once(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    CHECK_EQUAL(weft_runtime_run(rt, tasks_main, NULL, NULL), 0);
    await_live(rt, 0);
    assert_int_equal(metrics_of(rt).tasks_spawned, TASKS + 1);
    CHECK_EQUAL(weft_runtime_run(rt, give_back, NULL, NULL), 0); /* spawned outside */
    assert_int_equal(metrics_of(rt).tasks_spawned, TASKS + 2);
    finish_runtime(rt);
}

static void *nested_main(void *arg)
{
    static const struct weft_spawn_options pinned = {.pinned = true};
    struct weft_metrics before = metrics_here();
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_join(weft_spawn_with(&pinned, give_back, NULL), NULL), 0);
    }
    struct weft_metrics after = metrics_here();
    CHECK_EQUAL(after.nested, before.nested); /* a pinned one never is */
    CHECK(after.switches - before.switches >= TASKS);
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_join(weft_spawn(give_back, NULL), NULL), 0);
    }
    /* A turn of the loop, when one is due, may give the child to its own stack. */
    CHECK(metrics_here().nested - after.nested >= 1);
    CHECK(metrics_here().nested - after.nested <= TASKS);
    return arg;
}

static void nested_tasks_are_counted(void **state)
{
    (void)state;
    run_case_alone(nested_main, NULL);
}

static void *raise_flag(void *flag)
{
    atomic_store_seq_cst((shared_int *)flag, 1);
    return NULL;
}

/* The child is in the deque of a worker that does not come to it. */
static void *steal_main(void *arg)
{
    shared_int flag = 0;
    uint64_t steals = metrics_here().steals;
    weft_task *t = weft_spawn(raise_flag, &flag);
    spin_until(&flag, 1);
    CHECK(metrics_here().steals > steals);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void steals_are_counted(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 2};
    run_case_with(&options, steal_main, NULL);
}

static void *sleep_till_told(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    return arg;
}

static void *stacks_main(void *arg)
{
    weft_task *t[TASKS];
    for (int i = 0; i < TASKS; i++) {
        t[i] = weft_spawn(sleep_till_told, NULL);
    }
    while (metrics_here().stacks < TASKS + 1) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_cancel_and_join(t[i], NULL), 0);
    }
    return arg;
}

static void each_suspended_task_has_a_stack(void **state)
{
    (void)state;
    run_case(stacks_main, NULL);
}

/* --- workers ---------------------------------------------------------------------------------- */

static void *operations_main(void *arg)
{
    int ends[2];
    char byte = 'x';
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct weft_metrics before = metrics_here();
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_send(ends[0], &byte, 1, 0), 1);
        CHECK_EQUAL(weft_recv(ends[1], &byte, 1, 0), 1);
    }
    struct weft_metrics after = metrics_here();
    CHECK(after.sqes - before.sqes >= TASKS);
    CHECK(after.cqes - before.cqes >= TASKS);
    /* epoll needs none for what can be had at once */
    bool is_ring = weft_runtime_backend(weft_runtime_current(), NULL) == WEFT_BACKEND_URING;
    CHECK(after.ring_enters - before.ring_enters >= (is_ring ? 1 : 0));
    CHECK_EQUAL(weft_close(ends[0]), 0);
    CHECK_EQUAL(weft_close(ends[1]), 0);
    return arg;
}

static void operations_are_counted(void **state)
{
    (void)state;
    run_case(operations_main, NULL);
}

static void *receive_one(void *fd)
{
    char byte;
    CHECK_EQUAL(weft_recv((int)(intptr_t)fd, &byte, 1, 0), 1);
    return NULL;
}

/* The worker has something to run all the time, so what comes is found between two items. */
static void *polls_main(void *arg)
{
    int ends[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    weft_task *t = weft_spawn(receive_one, (void *)(intptr_t)ends[1]);
    uint64_t polls = metrics_here().polls;
    CHECK_EQUAL(weft_yield(), 0); /* it has begun to receive */
    CHECK_EQUAL(write(ends[0], "x", 1), 1);
    while (!weft_done(t)) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK(metrics_here().polls > polls);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_close(ends[0]), 0);
    CHECK_EQUAL(weft_close(ends[1]), 0);
    return arg;
}

static void looks_at_the_ring_are_counted(void **state)
{
    (void)state;
    run_case_alone(polls_main, NULL);
}

static void *sleep_till_parked(void *arg)
{
    uint64_t parks = metrics_here().parks;
    while (metrics_here().parks == parks) { /* a sleep that is over at once needs none */
        CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    }
    return arg;
}

static void a_worker_that_sleeps_is_counted(void **state)
{
    (void)state;
    run_case_alone(sleep_till_parked, NULL);
}

/* Whoever it is that wakes: a thread that is no worker, or one of another runtime. */
static void a_wake_from_outside_is_counted(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 1};
    weft_runtime *rt = create_runtime(&options);
    uint64_t wakes = metrics_of(rt).wakes;
    while (metrics_of(rt).wakes == wakes) {
        CHECK_EQUAL(weft_runtime_run(rt, give_back, NULL, NULL), 0);
        usleep(1000); /* it falls asleep meanwhile, or after another */
    }
    finish_runtime(rt);
}

static void *wake_other(void *other)
{
    uint64_t wakes = metrics_of(other).wakes;
    while (metrics_of(other).wakes == wakes) {
        weft_task *t;
        CHECK_EQUAL(weft_runtime_spawn(other, give_back, NULL, &t), 0);
        CHECK_EQUAL(weft_join(t, NULL), 0);
        CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    }
    return NULL;
}

static void a_wake_is_counted_where_it_was_woken(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 1};
    weft_runtime *a = create_runtime(&options);
    weft_runtime *b = create_runtime(&options);
    CHECK_EQUAL(weft_runtime_run(a, wake_other, b, NULL), 0);
    finish_runtime(a);
    finish_runtime(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_runtime_has_done_nothing),
        cmocka_unit_test(tasks_are_counted_once),
        cmocka_unit_test(nested_tasks_are_counted),
        cmocka_unit_test(steals_are_counted),
        cmocka_unit_test(each_suspended_task_has_a_stack),
        cmocka_unit_test(operations_are_counted),
        cmocka_unit_test(looks_at_the_ring_are_counted),
        cmocka_unit_test(a_worker_that_sleeps_is_counted),
        cmocka_unit_test(a_wake_from_outside_is_counted),
        cmocka_unit_test(a_wake_is_counted_where_it_was_woken),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
