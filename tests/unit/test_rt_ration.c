/* SPDX-License-Identifier: MIT */
/*
 * Ration: wakes for work pause when they are of little use, and what is queued meanwhile is run all
 * the same, though its worker does nothing more.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "task_help.h"

#include "ration.h"
#include "runtime_object.h"

/* ---- the judgement ---- */

/* Judge a stay that began at 1 with a call; how long is the pause? */
static int64_t judge(struct ration *r, struct ration_stay *stay, enum ration_kind kind,
                     bool has_found, int64_t busy_ns)
{
    stay->called_ns = 1;
    stay->kind = kind;
    stay->has_found = has_found;
    return weft__ration_judge(r, stay, 1 + busy_ns);
}

static void short_work_makes_longer_pauses(void **state)
{
    struct ration r = {0};
    struct ration_stay stay = {0};
    (void)state;
    assert_true(ration_allows(&r, RATION_ANY));
    int64_t pause = judge(&r, &stay, RATION_ANY, false, 0);
    assert_true(pause > 0);
    for (int i = 0; i < 10; i++) {
        assert_false(ration_allows(&r, RATION_ANY));
        weft__ration_resume(&r, &stay);
        assert_true(ration_allows(&r, RATION_ANY));
        int64_t next = judge(&r, &stay, RATION_ANY, true, 1000);
        assert_true(next == 2 * pause || (next >= pause && next == WEFT_MS));
        pause = next;
    }
    assert_int_equal(pause, WEFT_MS);
}

static void enough_work_ends_them(void **state)
{
    struct ration r = {0};
    struct ration_stay stay = {0};
    struct ration_stay other = {0};
    (void)state;
    int64_t first = judge(&r, &stay, RATION_ANY, false, 0);
    assert_true(judge(&r, &other, RATION_ANY, false, 0) > first);
    weft__ration_resume(&r, &stay);
    weft__ration_resume(&r, &other);
    assert_true(judge(&r, &stay, RATION_ANY, true, WEFT_MS) == 0);
    assert_true(ration_allows(&r, RATION_ANY));
    assert_true(weft__ration_judge(&r, &stay, WEFT_MS) == 0);
    assert_true(judge(&r, &stay, RATION_ANY, false, 0) == first);
}

/* Who found something short was of use: no lone pause. */
static void what_is_left_of_lone_items(void **state)
{
    struct ration r = {0};
    struct ration_stay stay = {0};
    (void)state;
    assert_true(judge(&r, &stay, RATION_LONE, true, 1000) > 0);
    assert_true(weft__ration_allows_lone(&r));
    weft__ration_resume(&r, &stay);
    assert_true(judge(&r, &stay, RATION_LONE, false, 1000) > 0);
    assert_true(ration_allows(&r, RATION_ANY));
    assert_false(weft__ration_allows_lone(&r));
    weft__ration_resume(&r, &stay);
    assert_true(weft__ration_allows_lone(&r));
}

static void a_lone_pause_goes_on_while_something_is_left(void **state)
{
    struct ration r = {0};
    struct ration_stay stay = {0};
    (void)state;
    int64_t first = judge(&r, &stay, RATION_LONE, false, 0);
    int64_t pause = first;
    for (int64_t now = 2; now < 12; now++) {
        assert_false(weft__ration_allows_lone(&r));
        weft__ration_resume(&r, &stay);
        int64_t next = weft__ration_judge(&r, &stay, now);
        assert_true(next == 2 * pause || (next >= pause && next == 10 * WEFT_MS));
        pause = next;
    }
    assert_int_equal(pause, 10 * WEFT_MS);
    weft__ration_resume(&r, &stay); /* and nothing was left */
    assert_true(weft__ration_judge(&r, &stay, 20) == 0);
    assert_true(weft__ration_allows_lone(&r));
    assert_int_equal(judge(&r, &stay, RATION_LONE, false, 0), 10 * WEFT_MS);
    weft__ration_resume(&r, &stay);
    stay.has_found = true; /* it had to wait: the next pause is short */
    assert_true(weft__ration_judge(&r, &stay, 30) == 0);
    assert_int_equal(judge(&r, &stay, RATION_LONE, false, 0), first);
}

/* A program that does a little now and then, on a clock of the test's own: a lone item every 2 ms,
 * which its worker has run before who is woken for it comes. */
static void lone_items_wake_nobody_in_the_end(void **state)
{
    struct ration r = {0};
    struct ration_stay stay = {0};
    int64_t pause_end = 0;
    int wakes = 0;
    (void)state;
    for (int64_t now = 2 * WEFT_MS; now < 2 * WEFT_SECOND; now += 2 * WEFT_MS) {
        while (pause_end != 0 && pause_end <= now) {
            weft__ration_resume(&r, &stay);
            int64_t next = weft__ration_judge(&r, &stay, pause_end);
            pause_end = next == 0 ? 0 : pause_end + next;
        }
        if (ration_allows(&r, RATION_ANY) && weft__ration_allows_lone(&r)) {
            assert_true(pause_end == 0);
            pause_end = now + judge(&r, &stay, RATION_LONE, false, 5000);
            wakes++;
        }
    }
    assert_in_range(wakes, 1, 10); /* of a thousand: until a pause is longer than 2 ms */
}

static void steals_of_short_work_are_in_vain(void **state)
{
    (void)state;
    assert_false(weft__ration_is_in_vain(0, 0));
    assert_true(weft__ration_is_in_vain(64, 64 * 100));
    assert_false(weft__ration_is_in_vain(64, 64 * 1000));
    assert_false(weft__ration_is_in_vain(1, 1000)); /* a subtree of short ones */
}

/* ---- in a runtime ---- */

static void *return_it(void *arg)
{
    return arg;
}

static void *write_byte(void *arg)
{
    CHECK_EQUAL(write(*(int *)arg, "x", 1), 1);
    return NULL;
}

#define BATCH 100

/* Batches that no other worker can help with, then a wait that blocks the thread. */
static void *batches_then_block(void *arg)
{
    weft_task *t[BATCH];
    int fds[2];
    (void)arg;
    CHECK_EQUAL(pipe(fds), 0);
    for (size_t round = 0; round < test_scaled(200, 20); round++) {
        for (int k = 0; k < 20; k++) {
            for (int i = 0; i < BATCH; i++) {
                t[i] = weft_spawn(return_it, NULL);
                CHECK(t[i] != NULL);
            }
            for (int i = 0; i < BATCH; i++) {
                CHECK_EQUAL(weft_join(t[i], NULL), 0);
            }
        }
        char c;
        CHECK_EQUAL(weft_go(write_byte, &fds[1]), 0);
        CHECK_EQUAL(read(fds[0], &c, 1), 1); /* another worker has to come by itself */
    }
    CHECK_EQUAL(close(fds[0]), 0);
    CHECK_EQUAL(close(fds[1]), 0);
    return NULL;
}

/* A task now and then, which its spawner runs at once, then such a wait. */
static void *lone_ones_then_block(void *arg)
{
    int fds[2];
    (void)arg;
    CHECK_EQUAL(pipe(fds), 0);
    for (size_t round = 0; round < test_scaled(10, 3); round++) {
        for (int i = 0; i < 100; i++) {
            CHECK_EQUAL(weft_sleep(50 * WEFT_US), 0);
            CHECK_EQUAL(weft_join(weft_spawn(return_it, NULL), NULL), 0);
        }
        char c;
        CHECK_EQUAL(weft_go(write_byte, &fds[1]), 0);
        CHECK_EQUAL(read(fds[0], &c, 1), 1);
    }
    CHECK_EQUAL(close(fds[0]), 0);
    CHECK_EQUAL(close(fds[1]), 0);
    return NULL;
}

static void a_blocked_worker_strands_nothing(void **state)
{
    (void)state;
    for (unsigned workers = 2; workers <= 16; workers *= 2) {
        struct weft_options options = {.workers = workers};
        run_case_with(&options, batches_then_block, NULL);
        run_case_with(&options, lone_ones_then_block, NULL);
    }
}

#define LONE_TASKS 100

/* Wait, without giving anything away, until the other worker sleeps, and not for a while only. */
static void await_sleeper(weft_runtime *rt)
{
    unsigned other = 1 - weft__worker_current()->index;
    while (!idle_is_parked(&rt->idle, other) || !ration_allows(&rt->ration, RATION_ANY) ||
           !ration_allows(&rt->ration, RATION_LONE)) {
        sched_yield();
    }
}

/* A thread that has run for long is kicked, and may wake somebody for that (rescue.h): not here. */
static uint64_t wakes_of_lone_tasks(weft_runtime *rt)
{
    struct weft_metrics before;
    struct weft_metrics after;
    sigset_t all;
    sigset_t mask;
    sigfillset(&all);
    CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, &all, &mask), 0);
    CHECK_EQUAL(weft_metrics(rt, &before), 0);
    for (int i = 0; i < LONE_TASKS; i++) {
        CHECK_EQUAL(weft_join(weft_spawn(return_it, NULL), NULL), 0);
    }
    CHECK_EQUAL(weft_metrics(rt, &after), 0);
    CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
    return after.wakes - before.wakes;
}

/* The pause of the other worker is one that the test makes, and lasts as long as it likes. */
static void *spawn_lone_tasks(void *arg)
{
    weft_runtime *rt = weft_runtime_current();
    (void)arg;
    await_sleeper(rt);
    /* ORD none: this thread's, which is the only one that asks; and so below. */
    (void)atomic_add_relaxed(&rt->ration.pausing[RATION_LONE], 1);
    CHECK_EQUAL(wakes_of_lone_tasks(rt), 0);
    CHECK_EQUAL(atomic_load_relaxed(&rt->ration.has_left), 1); /* ORD none: as above */
    atomic_store_relaxed(&rt->ration.has_left, 0);             /* ORD none: as above */
    /* ORD none: as above */
    (void)atomic_sub_release(&rt->ration.pausing[RATION_LONE], 1);
    await_sleeper(rt);
    CHECK(wakes_of_lone_tasks(rt) > 0);
    return NULL;
}

static void lone_tasks_wake_nobody(void **state)
{
    struct weft_options options = {.workers = 2};
    (void)state;
    run_case_with(&options, spawn_lone_tasks, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_work_makes_longer_pauses),
        cmocka_unit_test(enough_work_ends_them),
        cmocka_unit_test(steals_of_short_work_are_in_vain),
        cmocka_unit_test(what_is_left_of_lone_items),
        cmocka_unit_test(a_lone_pause_goes_on_while_something_is_left),
        cmocka_unit_test(lone_items_wake_nobody_in_the_end),
        cmocka_unit_test(a_blocked_worker_strands_nothing),
        cmocka_unit_test(lone_tasks_wake_nobody),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
