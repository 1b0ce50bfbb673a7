/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a cancel does to a task that awaits another: it is passed on, once an await; the await
 * goes on until the other has ended, and gives its outcome; along chains, and where the awaited
 * task runs on its waiter's stack.
 *
 * Method: as test_rt_cancel.c. A child that is spawned and joined at once is nested when it has not
 * been stolen; the cases with one worker make sure that both kinds are met.
 */
#include "task_help.h"

static void *give_back(void *arg)
{
    return arg;
}

static void *sleep_for_ever(void *arg)
{
    int err = weft_sleep(WEFT_FOREVER);
    return err < 0 ? weft_fail(err) : arg;
}

/* What a task saw of cancels, and where it is. */
struct seen {
    shared_int is_waiting;
    int requests;
    int after;
};

static void *sleep_and_tell(void *arg)
{
    struct seen *seen = arg;
    atomic_store_seq_cst(&seen->is_waiting, 1);
    int err = weft_sleep(WEFT_FOREVER);
    seen->requests = weft_cancelling();
    return weft_fail(err);
}

/* Awaits the task it is given, and tells what it was and how the next wait went. */
struct awaiter {
    weft_task *on;
    int awaited;
    int requests;
    int next_wait;
    void *value;
};

static void *await_it(void *arg)
{
    struct awaiter *a = arg;
    a->awaited = weft_await(a->on, &a->value);
    a->requests = weft_cancelling();
    a->next_wait = weft_yield();
    return arg;
}

/* --- passed on -------------------------------------------------------------------------------- */

static void *passed_main(void *arg)
{
    struct seen seen = {0, 0, 0};
    struct awaiter a = {.on = weft_spawn(sleep_and_tell, &seen)};
    weft_task *t = weft_spawn(await_it, &a);
    yield_until(&seen.is_waiting, 1);
    settle();
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(a.awaited, -ECANCELED);
    CHECK_EQUAL(a.requests, 1);
    CHECK_EQUAL(a.next_wait, -ECANCELED);
    CHECK_EQUAL(seen.requests, 1);
    CHECK(weft_cancelled(a.on));
    weft_put(a.on);
    return arg;
}

static void item_31_a_cancel_is_passed_on_to_the_awaited_task(void **state)
{
    (void)state;
    run_case(passed_main, NULL);
}

struct stubborn {
    shared_int is_told;
    shared_int may_end;
    int requests;
};

/* Sees the cancel, cleans up for as long as it takes, ends with a value. */
static void *clean_up(void *arg)
{
    struct stubborn *s = arg;
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_uncancel(), 0);
    atomic_store_seq_cst(&s->is_told, 1);
    yield_until(&s->may_end, 1);
    s->requests = weft_cancelling();
    return arg;
}

static void *waits_for_end_main(void *arg)
{
    struct stubborn s = {0, 0, -1};
    struct awaiter a = {.on = weft_spawn(clean_up, &s)};
    weft_task *t = weft_spawn(await_it, &a);
    settle();
    CHECK(weft_cancel(t));
    yield_until(&s.is_told, 1);
    settle();
    CHECK(!weft_done(t)); /* it waits for the end of what it awaits */
    atomic_store_seq_cst(&s.may_end, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(a.awaited, 0);
    CHECK(a.value == &s);
    CHECK_EQUAL(a.next_wait, -ECANCELED);
    CHECK_EQUAL(weft_join(a.on, NULL), 0);
    return arg;
}

static void the_await_goes_on_until_the_end_and_gives_its_outcome(void **state)
{
    (void)state;
    run_case(waits_for_end_main, NULL);
}

static void *once_main(void *arg)
{
    struct stubborn s = {0, 0, -1};
    struct awaiter a = {.on = weft_spawn(clean_up, &s)};
    weft_task *t = weft_spawn(await_it, &a);
    settle();
    for (int i = 0; i < 5; i++) {
        CHECK(weft_cancel(t));
    }
    yield_until(&s.is_told, 1);
    CHECK(weft_cancel(t));
    settle();
    atomic_store_seq_cst(&s.may_end, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(a.requests, 6);
    CHECK_EQUAL(s.requests, 0);
    weft_put(a.on);
    return arg;
}

static void several_cancels_are_passed_on_as_one(void **state)
{
    (void)state;
    run_case(once_main, NULL);
}

static void *await_two(void *arg)
{
    weft_task **t = arg;
    int first = weft_await(t[0], NULL);
    int second = weft_await(t[1], NULL);
    CHECK_EQUAL(first, -ECANCELED);
    CHECK_EQUAL(second, -ECANCELED);
    CHECK_EQUAL(weft_cancelling(), 1);
    return arg;
}

static void *each_await_main(void *arg)
{
    weft_task *t[2] = {weft_spawn(sleep_for_ever, NULL), weft_spawn(sleep_for_ever, NULL)};
    weft_task *awaiter = weft_spawn(await_two, t);
    settle();
    CHECK(weft_cancel(awaiter));
    CHECK_EQUAL(weft_join(awaiter, NULL), 0);
    CHECK_EQUAL(weft_join(t[0], NULL), -ECANCELED);
    CHECK_EQUAL(weft_join(t[1], NULL), -ECANCELED);
    return arg;
}

static void a_cancel_is_passed_on_by_every_await_that_waits(void **state)
{
    (void)state;
    run_case(each_await_main, NULL);
}

static void *cancelled_before_main(void *arg)
{
    struct seen seen = {0, 0, 0};
    weft_task *t = weft_spawn(sleep_and_tell, &seen);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_join(t, NULL), -ECANCELED);
    CHECK_EQUAL(seen.requests, 1);
    CHECK_EQUAL(weft_uncancel(), 0);

    t = weft_spawn(give_back, &seen);
    void *result = NULL;
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_join(t, &result), 0); /* it ran, and never waited */
    CHECK(result == &seen);
    CHECK_EQUAL(weft_uncancel(), 0);
    return arg;
}

static void item_37_a_task_cancelled_before_it_awaits_passes_the_cancel_on(void **state)
{
    (void)state;
    run_case(cancelled_before_main, NULL);
}

enum { CHAIN = 20 };

static void *chain_main(void *arg)
{
    struct seen seen = {0, 0, 0};
    struct awaiter a[CHAIN];
    weft_task *last = weft_spawn(sleep_and_tell, &seen);
    for (int i = 0; i < CHAIN; i++) {
        a[i] = (struct awaiter){.on = last};
        last = weft_spawn(await_it, &a[i]);
    }
    yield_until(&seen.is_waiting, 1);
    settle();
    CHECK(weft_cancel(last));
    CHECK_EQUAL(weft_join(last, NULL), 0);
    CHECK_EQUAL(seen.requests, 1);
    for (int i = 0; i < CHAIN; i++) {
        CHECK_EQUAL(a[i].awaited, i == 0 ? -ECANCELED : 0);
        CHECK_EQUAL(a[i].requests, 1);
        weft_put(a[i].on);
    }
    return arg;
}

static void a_cancel_is_passed_along_a_chain(void **state)
{
    (void)state;
    run_case(chain_main, NULL);
}

static void *from_below_main(void *arg)
{
    struct seen seen = {0, 0, 0};
    struct awaiter a[3];
    weft_task *t[3];
    weft_task *on = weft_spawn(sleep_and_tell, &seen);
    for (int i = 0; i < 3; i++) {
        a[i] = (struct awaiter){.on = on};
        t[i] = weft_spawn(await_it, &a[i]);
    }
    settle();
    CHECK(weft_cancel(on));
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
        CHECK_EQUAL(a[i].awaited, -ECANCELED);
        CHECK_EQUAL(a[i].requests, 0);
        CHECK_EQUAL(a[i].next_wait, 0);
    }
    weft_put(on);
    return arg;
}

static void item_32_the_end_of_a_cancelled_task_does_not_cancel_its_awaiters(void **state)
{
    (void)state;
    run_case(from_below_main, NULL);
}

static void *shared_main(void *arg)
{
    weft_task *on = weft_spawn(sleep_for_ever, NULL);
    struct awaiter a = {.on = on};
    struct awaiter b = {.on = on};
    weft_task *first = weft_spawn(await_it, &a);
    weft_task *second = weft_spawn(await_it, &b);
    settle();
    CHECK(weft_cancel(first));
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(weft_join(second, NULL), 0);
    CHECK_EQUAL(a.awaited, -ECANCELED);
    CHECK_EQUAL(a.next_wait, -ECANCELED);
    CHECK_EQUAL(b.awaited, -ECANCELED);
    CHECK_EQUAL(b.next_wait, 0);
    weft_put(on);
    return arg;
}

static void one_of_two_awaiters_takes_the_awaited_task_with_it(void **state)
{
    (void)state;
    run_case(shared_main, NULL);
}

/* --- nested ----------------------------------------------------------------------------------- */

static uint64_t nested_count(void)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &m), 0);
    return m.nested;
}

struct parent {
    struct seen child_seen;
    shared_int has_spawned; /* child is set: the child itself may have come first */
    weft_task *child;
    int joined;
    int requests;
};

static void *join_child(void *arg)
{
    struct parent *p = arg;
    p->child = weft_get(weft_spawn(sleep_and_tell, &p->child_seen));
    atomic_store_seq_cst(&p->has_spawned, 1);
    p->joined = weft_join(p->child, NULL);
    p->requests = weft_cancelling();
    return arg;
}

static void *parent_main(void *arg)
{
    struct parent p = {0};
    weft_task *t = weft_spawn(join_child, &p);
    yield_until(&p.has_spawned, 1);
    yield_until(&p.child_seen.is_waiting, 1);
    settle();
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(p.joined, -ECANCELED);
    CHECK_EQUAL(p.requests, 1);
    CHECK_EQUAL(p.child_seen.requests, 1);
    weft_put(p.child);
    return arg;
}

static void *parent_alone_main(void *arg)
{
    uint64_t before = nested_count();
    parent_main(arg);
    CHECK(nested_count() > before);
    return arg;
}

static void a_cancel_reaches_a_child_on_its_waiters_stack(void **state)
{
    (void)state;
    run_case(parent_main, NULL);
    run_case_alone(parent_alone_main, NULL);
}

static void *child_main(void *arg)
{
    struct parent p = {0};
    weft_task *t = weft_spawn(join_child, &p);
    yield_until(&p.has_spawned, 1);
    yield_until(&p.child_seen.is_waiting, 1);
    settle();
    CHECK(weft_cancel(p.child));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(p.joined, -ECANCELED);
    CHECK_EQUAL(p.requests, 0);
    CHECK_EQUAL(p.child_seen.requests, 1);
    weft_put(p.child);
    return arg;
}

static void a_cancel_of_such_a_child_is_the_childs_alone(void **state)
{
    (void)state;
    run_case(child_main, NULL);
    run_case_alone(child_main, NULL);
}

enum { DEPTH = 8 };

struct tower {
    weft_task *task[DEPTH]; /* [0] is the innermost */
    int joined[DEPTH];
    int requests[DEPTH];
    int next_wait[DEPTH];
    struct seen innermost;
};

struct storey {
    struct tower *tower;
    int height;
};

static void *build(void *arg)
{
    struct storey *s = arg;
    struct tower *tower = s->tower;
    if (s->height == 0) {
        return sleep_and_tell(&tower->innermost);
    }
    struct storey above = {tower, s->height - 1};
    weft_task *t = weft_spawn(build, &above);
    tower->task[above.height] = weft_get(t);
    tower->joined[s->height] = weft_join(t, NULL);
    tower->requests[s->height] = weft_cancelling();
    tower->next_wait[s->height] = weft_yield();
    return arg;
}

/* Cancel the storey of that height: it and those it waits for are told, those under it are not. */
static void *tower_main(void *arg)
{
    int height = (int)(intptr_t)arg;
    struct tower tower = {0};
    struct storey base = {&tower, DEPTH - 1};
    tower.task[DEPTH - 1] = weft_spawn(build, &base);
    yield_until(&tower.innermost.is_waiting, 1);
    settle();
    CHECK(weft_cancel(tower.task[height]));
    CHECK_EQUAL(weft_await(tower.task[DEPTH - 1], NULL), 0);
    CHECK_EQUAL(tower.innermost.requests, 1);
    for (int i = 1; i < DEPTH; i++) {
        CHECK_EQUAL(tower.joined[i], i == 1 ? -ECANCELED : 0);
        CHECK_EQUAL(tower.requests[i], i <= height ? 1 : 0);
        CHECK_EQUAL(tower.next_wait[i], i <= height ? -ECANCELED : 0);
    }
    for (int i = 0; i < DEPTH; i++) {
        weft_put(tower.task[i]);
    }
    return NULL;
}

static void a_cancel_goes_up_a_tower_of_nested_tasks(void **state)
{
    (void)state;
    for (int height = 0; height < DEPTH; height++) {
        run_case(tower_main, (void *)(intptr_t)height);
        run_case_alone(tower_main, (void *)(intptr_t)height);
    }
}

/* A child that takes the parent's cancel back for itself goes on; the parent has its own still. */
static void *uncancel_and_go_on(void *arg)
{
    struct seen *seen = arg;
    atomic_store_seq_cst(&seen->is_waiting, 1);
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    seen->requests = weft_cancelling();
    CHECK_EQUAL(weft_uncancel(), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_sleep(WEFT_US), 0);
        CHECK_EQUAL(weft_cancelling(), 0);
        CHECK_EQUAL(weft_scope_error(), 0);
    }
    CHECK_EQUAL(weft_join(weft_spawn(give_back, NULL), NULL), 0);
    return arg;
}

static void *join_uncancelling(void *arg)
{
    struct seen *seen = arg;
    void *result = NULL;
    CHECK_EQUAL(weft_join(weft_spawn(uncancel_and_go_on, seen), &result), 0);
    CHECK(result == seen);
    CHECK_EQUAL(weft_cancelling(), 1);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    return arg;
}

static void *uncancel_main(void *arg)
{
    struct seen seen = {0, 0, 0};
    weft_task *t = weft_spawn(join_uncancelling, &seen);
    yield_until(&seen.is_waiting, 1);
    settle();
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(seen.requests, 1);
    return arg;
}

static void a_nested_child_acknowledges_for_itself(void **state)
{
    (void)state;
    run_case(uncancel_main, NULL);
    run_case_alone(uncancel_main, NULL);
}

/* The parent is cancelled by its own child, which runs on its stack at that moment. */
static void *cancel_parent(void *arg)
{
    CHECK(weft_cancel(arg));
    int err = weft_yield();
    int count = weft_cancelling();
    CHECK(err == 0 || err == -ECANCELED);
    CHECK(count == 0 || count == 1); /* 0: it was stolen, and the parent does not wait for it yet */
    return (void *)(intptr_t)count;
}

static void *have_oneself_cancelled(void *arg)
{
    void *count = NULL;
    CHECK_EQUAL(weft_join(weft_spawn(cancel_parent, weft_self()), &count), 0);
    CHECK_EQUAL(weft_cancelling(), 1);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    *(int *)arg = (int)(intptr_t)count;
    return arg;
}

static void *by_child_main(void *arg)
{
    int count = -1;
    CHECK_EQUAL(weft_join(weft_spawn(have_oneself_cancelled, &count), NULL), 0);
    CHECK(count >= 0);
    return arg;
}

static void *by_child_alone_main(void *arg)
{
    int count = -1;
    CHECK_EQUAL(weft_join(weft_spawn(have_oneself_cancelled, &count), NULL), 0);
    CHECK_EQUAL(count, 1); /* its waiter passed it on to it */
    return arg;
}

static void a_child_that_cancels_its_waiter_is_told_as_well(void **state)
{
    (void)state;
    run_case(by_child_main, NULL);
    run_case_alone(by_child_alone_main, NULL);
}

/* A third task awaits a child that runs on its parent's stack. */
static void *third_main(void *arg)
{
    struct parent p = {0};
    weft_task *t = weft_spawn(join_child, &p);
    yield_until(&p.has_spawned, 1);
    yield_until(&p.child_seen.is_waiting, 1);
    struct awaiter third = {.on = p.child};
    weft_task *other = weft_spawn(await_it, &third);
    settle();
    CHECK(weft_cancel(other));
    CHECK_EQUAL(weft_join(other, NULL), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(third.awaited, -ECANCELED);
    CHECK_EQUAL(p.joined, -ECANCELED);
    CHECK_EQUAL(p.requests, 0);
    CHECK_EQUAL(p.child_seen.requests, 1);
    weft_put(p.child);
    return arg;
}

static void a_nested_child_can_be_awaited_by_others(void **state)
{
    (void)state;
    run_case(third_main, NULL);
    run_case_alone(third_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_31_a_cancel_is_passed_on_to_the_awaited_task),
        cmocka_unit_test(the_await_goes_on_until_the_end_and_gives_its_outcome),
        cmocka_unit_test(several_cancels_are_passed_on_as_one),
        cmocka_unit_test(a_cancel_is_passed_on_by_every_await_that_waits),
        cmocka_unit_test(item_37_a_task_cancelled_before_it_awaits_passes_the_cancel_on),
        cmocka_unit_test(a_cancel_is_passed_along_a_chain),
        cmocka_unit_test(item_32_the_end_of_a_cancelled_task_does_not_cancel_its_awaiters),
        cmocka_unit_test(one_of_two_awaiters_takes_the_awaited_task_with_it),
        cmocka_unit_test(a_cancel_reaches_a_child_on_its_waiters_stack),
        cmocka_unit_test(a_cancel_of_such_a_child_is_the_childs_alone),
        cmocka_unit_test(a_cancel_goes_up_a_tower_of_nested_tasks),
        cmocka_unit_test(a_nested_child_acknowledges_for_itself),
        cmocka_unit_test(a_child_that_cancels_its_waiter_is_told_as_well),
        cmocka_unit_test(a_nested_child_can_be_awaited_by_others),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
