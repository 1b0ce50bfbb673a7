/* SPDX-License-Identifier: MIT */
/*
 * Goal: time limits of waits for futures: weft_wait_for, and weft_wait, weft_gather, weft_shielded
 * and weft_as_completed inside scopes.
 *
 * Method: where times are compared, on the virtual clock of the simulation, exactly; the rest also
 * on real workers. The numbers are those of the list of behaviours that asyncio's own tests fix.
 */
#include "task_help.h"

static char value;

/* On the virtual clock, which stands still, and so do tasks, when fn has returned. */
static void run_case_virtual(weft_fn fn, void *arg)
{
    struct weft_options options = {.simulation = true, .seed = test_seed()};
    weft_runtime *rt = create_runtime(&options);
    CHECK_EQUAL(weft_runtime_run(rt, fn, arg, NULL), 0);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
}

static void run_case_both(weft_fn fn, void *arg)
{
    run_case(fn, arg);
    run_case_virtual(fn, arg);
}

/* --- children --------------------------------------------------------------------------------- */

/* Sleeps, and when it is cancelled cleans up for a time and ends with the error, or a value. */
struct sleeper {
    int64_t for_ns;
    int64_t clean_up_ns;
    int error; /* it ends with after a cancel; 0: a value */
    shared_int is_begun;
    shared_int has_ended;
    int requests;
};

static void *sleep_and_clean_up(void *arg)
{
    struct sleeper *s = arg;
    atomic_store_seq_cst(&s->is_begun, 1);
    int err = weft_sleep(s->for_ns);
    if (err < 0) {
        s->requests = weft_cancelling();
        (void)weft_uncancel();
        CHECK_EQUAL(weft_sleep(s->clean_up_ns), 0);
    }
    atomic_store_seq_cst(&s->has_ended, 1);
    return err < 0 && s->error < 0 ? weft_fail(s->error) : &value;
}

static weft_task *begin_sleeper(struct sleeper *s)
{
    weft_task *t = weft_spawn(sleep_and_clean_up, s);
    yield_until(&s->is_begun, 1);
    return t;
}

/* --- weft_wait_for ---------------------------------------------------------------------------- */

static void *done_main(void *arg)
{
    weft_future *f = weft_future_create();
    CHECK_EQUAL(weft_future_set_result(f, &value), 0);
    const int64_t limits[] = {-1, 0, WEFT_SECOND, WEFT_FOREVER};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        void *result = NULL;
        CHECK_EQUAL(weft_wait_for(f, limits[i], &result), 0); /* 109 */
        CHECK(result == &value);
    }
    weft_put(f);
    CHECK_EQUAL(weft_wait_for(NULL, 0, NULL), -ENOMEM);
    CHECK_EQUAL(weft_wait_for(weft_self(), 0, NULL), -EDEADLK);
    return arg;
}

static void item_109_what_is_done_is_returned(void **state)
{
    (void)state;
    run_case_both(done_main, NULL);
    CHECK_EQUAL(weft_wait_for(NULL, 0, NULL), -ENOMEM);
}

/* It runs all the same, as a spawned function does, but its first wait fails. */
static void *unstarted_main(void *arg)
{
    struct sleeper s = {.for_ns = WEFT_FOREVER, .error = -ECANCELED};
    weft_task *t = weft_spawn(sleep_and_clean_up, &s);
    CHECK_EQUAL(weft_wait_for(t, 0, NULL), -ETIMEDOUT);
    CHECK_EQUAL(atomic_load_seq_cst(&s.has_ended), 1);
    weft_put(t);
    return arg;
}

static void *zero_main(void *arg)
{
    struct sleeper s = {.for_ns = WEFT_FOREVER, .error = -ECANCELED};
    weft_task *t = begin_sleeper(&s);
    CHECK_EQUAL(weft_wait_for(t, 0, NULL), -ETIMEDOUT);
    CHECK_EQUAL(atomic_load_seq_cst(&s.has_ended), 1);
    CHECK_EQUAL(s.requests, 1);
    CHECK_EQUAL(weft_yield(), 0); /* it was the limit of that call alone */
    weft_put(t);
    return arg;
}

static void item_110_111_a_limit_of_zero_cancels_and_waits(void **state)
{
    (void)state;
    run_case_both(unstarted_main, NULL);
    run_case_both(zero_main, NULL);
}

static void *expiry_main(void *arg)
{
    struct sleeper s = {.for_ns = WEFT_FOREVER, .clean_up_ns = 3 * WEFT_SECOND,
                        .error = (int)(intptr_t)arg};
    weft_task *t = begin_sleeper(&s);
    int64_t begun = weft_now();
    void *result = NULL;
    int err = weft_wait_for(t, 2 * WEFT_SECOND, &result);
    CHECK_EQUAL(weft_now() - begun, 5 * WEFT_SECOND); /* 113: it overruns its limit */
    CHECK_EQUAL(atomic_load_seq_cst(&s.has_ended), 1);
    CHECK_EQUAL(s.requests, 1);
    CHECK_EQUAL(err, s.error == -ECANCELED ? -ETIMEDOUT : s.error);
    CHECK(result == (s.error == 0 ? &value : NULL));
    weft_put(t);
    return NULL;
}

static void item_112_113_it_returns_when_the_task_has_ended(void **state)
{
    (void)state;
    run_case_virtual(expiry_main, (void *)(intptr_t)-ECANCELED);
}

static void item_114_a_value_that_came_late_is_returned(void **state)
{
    (void)state;
    run_case_virtual(expiry_main, (void *)0);
}

static void item_115_another_error_is_returned(void **state)
{
    (void)state;
    run_case_virtual(expiry_main, (void *)(intptr_t)-EIO);
}

static void *in_time_main(void *arg)
{
    struct sleeper s = {.for_ns = WEFT_SECOND};
    weft_task *t = begin_sleeper(&s);
    int64_t begun = weft_now();
    void *result = NULL;
    CHECK_EQUAL(weft_wait_for(t, WEFT_MINUTE, &result), 0);
    CHECK(weft_now() - begun <= WEFT_SECOND);
    CHECK(result == &value);
    weft_put(t);
    CHECK_EQUAL(weft_sleep(2 * WEFT_MINUTE), 0); /* nothing goes off any more */
    return arg;
}

static void item_116_in_time_the_timer_is_dropped(void **state)
{
    (void)state;
    run_case_virtual(in_time_main, NULL);
}

struct caller {
    weft_future *f;
    int64_t for_ns;
    shared_int is_begun;
    int err;
    void *result;
    int next_wait;
};

static void *call_wait_for(void *arg)
{
    struct caller *c = arg;
    atomic_store_seq_cst(&c->is_begun, 1);
    c->err = weft_wait_for(c->f, c->for_ns, &c->result);
    c->next_wait = weft_yield();
    return NULL;
}

static void *caller_main(void *arg)
{
    const int64_t limits[] = {WEFT_MINUTE, WEFT_FOREVER};
    for (int i = 0; i < 2; i++) {
        struct sleeper s = {.for_ns = WEFT_FOREVER, .clean_up_ns = WEFT_MS, .error = -ECANCELED};
        struct caller c = {.f = begin_sleeper(&s), .for_ns = limits[i]};
        weft_task *t = weft_spawn(call_wait_for, &c);
        yield_until(&c.is_begun, 1);
        settle();
        CHECK(weft_cancel(t));
        CHECK_EQUAL(weft_join(t, NULL), 0);
        CHECK_EQUAL(atomic_load_seq_cst(&s.has_ended), 1);
        CHECK_EQUAL(s.requests, 1);
        CHECK_EQUAL(c.err, -ECANCELED);
        CHECK_EQUAL(c.next_wait, -ECANCELED);
        weft_put(c.f);
    }
    return arg;
}

static void item_117_a_cancel_of_the_caller_is_passed_on(void **state)
{
    (void)state;
    run_case_both(caller_main, NULL);
}

/* The future is done, its waiter has not gone on, and then the caller is cancelled. */
static void *won_main(void *arg)
{
    struct caller c = {.f = weft_future_create(), .for_ns = WEFT_MINUTE};
    weft_task *t = weft_spawn(call_wait_for, &c);
    yield_until(&c.is_begun, 1);
    settle();
    CHECK_EQUAL(weft_future_set_result(c.f, &value), 0);
    (void)weft_cancel(t);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(c.err, 0);
    CHECK(c.result == &value);
    CHECK_EQUAL(c.next_wait, -ECANCELED);
    weft_put(c.f);
    return arg;
}

static void item_118_a_result_that_was_won_is_returned(void **state)
{
    (void)state;
    run_case_alone(won_main, NULL);
}

/* Value and limit fall due together; whichever is first, no value is lost. */
static void *together_main(void *arg)
{
    for (int64_t early = -2; early <= 2; early++) {
        struct sleeper s = {.for_ns = WEFT_SECOND};
        weft_task *t = begin_sleeper(&s);
        void *result = NULL;
        CHECK_EQUAL(weft_wait_for(t, WEFT_SECOND + early, &result), 0);
        CHECK(result == &value);
        weft_put(t);
    }
    return arg;
}

static void item_119_a_value_at_the_limit_is_not_lost(void **state)
{
    (void)state;
    run_case_virtual(together_main, NULL);
}

static void *promise_main(void *arg)
{
    weft_future *f = weft_future_create();
    int64_t begun = weft_now();
    CHECK_EQUAL(weft_wait_for(f, 2 * WEFT_SECOND, NULL), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - begun, 2 * WEFT_SECOND);
    CHECK(weft_cancelled(f)); /* a promise ends at once */
    weft_put(f);
    return arg;
}

static void a_promise_ends_at_the_limit(void **state)
{
    (void)state;
    run_case_virtual(promise_main, NULL);
}

/* The deadline of an outer scope comes first: it is not this call's limit. */
static void *outer_main(void *arg)
{
    struct sleeper s = {.for_ns = WEFT_FOREVER, .error = -ECANCELED};
    weft_task *t = begin_sleeper(&s);
    struct weft_scope outer;
    weft_scope_enter(&outer, WEFT_SECOND);
    CHECK_EQUAL(weft_wait_for(t, WEFT_MINUTE, NULL), -ECANCELED);
    CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&outer), -ETIMEDOUT);
    weft_put(t);
    return arg;
}

static void an_outer_deadline_is_the_outer_scopes(void **state)
{
    (void)state;
    run_case_virtual(outer_main, NULL);
}

/* --- weft_wait in scopes ---------------------------------------------------------------------- */

static void *partial_main(void *arg)
{
    struct sleeper s[3] = {{.for_ns = WEFT_SECOND}, {.for_ns = 3 * WEFT_SECOND},
                           {.for_ns = 5 * WEFT_SECOND}};
    weft_future *f[3];
    for (int i = 0; i < 3; i++) {
        f[i] = begin_sleeper(&s[i]);
    }
    struct weft_scope limit;
    int64_t begun = weft_now();
    weft_scope_enter(&limit, 2 * WEFT_SECOND);
    CHECK_EQUAL(weft_wait(3, f, WEFT_ALL_COMPLETED), 1);
    CHECK(weft_now() - begun <= 2 * WEFT_SECOND);
    CHECK_EQUAL(weft_wait(3, f, WEFT_ALL_COMPLETED), 1); /* at once: its time is over */
    CHECK_EQUAL(weft_scope_exit(&limit), 0);             /* no wait failed */
    CHECK(weft_scope_expired(&limit));
    weft_scope_enter(&limit, 2 * WEFT_SECOND);
    CHECK_EQUAL(weft_wait(3, f, WEFT_ALL_COMPLETED), 2);
    CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&limit), -ETIMEDOUT);
    CHECK_EQUAL(weft_wait(3, f, WEFT_ALL_COMPLETED), 3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(s[i].requests, 0); /* nothing was cancelled */
        weft_put(f[i]);
    }
    return arg;
}

static void item_96_at_the_deadline_the_count_so_far_is_returned(void **state)
{
    (void)state;
    run_case_virtual(partial_main, NULL);
}

/* The child's timer was set first: it runs first, also when both are late. */
static void *exact_main(void *arg)
{
    for (int i = 0; i < 5; i++) {
        struct sleeper s = {.for_ns = 2 * WEFT_MS};
        weft_future *f[1] = {begin_sleeper(&s)};
        struct weft_scope limit;
        weft_scope_enter(&limit, 2 * WEFT_MS);
        CHECK_EQUAL(weft_wait(1, f, WEFT_ALL_COMPLETED), 1);
        CHECK_EQUAL(weft_scope_exit(&limit), 0);
        weft_put(f[0]);
    }
    return arg;
}

static void item_97_one_that_ends_at_the_deadline_counts(void **state)
{
    (void)state;
    run_case_alone(exact_main, NULL);
}

static void *outer_wait_main(void *arg)
{
    weft_future *f[1] = {weft_future_create()};
    struct weft_scope outer;
    struct weft_scope inner;
    weft_scope_enter(&outer, WEFT_SECOND);
    weft_scope_enter(&inner, WEFT_MINUTE);
    CHECK_EQUAL(weft_wait(1, f, WEFT_ALL_COMPLETED), -ETIMEDOUT);
    CHECK_EQUAL(weft_wait(1, f, WEFT_ALL_COMPLETED), -ETIMEDOUT);
    CHECK_EQUAL(weft_shielded(f[0], NULL), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&inner), 0);
    CHECK_EQUAL(weft_scope_exit(&outer), -ETIMEDOUT);
    weft_scope_enter(&inner, WEFT_MINUTE);
    weft_scope_cancel(&inner);
    CHECK_EQUAL(weft_wait(1, f, WEFT_ALL_COMPLETED), -ECANCELED);
    CHECK_EQUAL(weft_scope_exit(&inner), -ECANCELED);
    CHECK(!weft_done(f[0]));
    weft_put(f[0]);
    return arg;
}

static void *limited_shield_main(void *arg)
{
    weft_future *f = weft_future_create();
    struct weft_scope limit;
    for (int i = 0; i < 2; i++) {
        weft_scope_enter(&limit, i * WEFT_MINUTE);
        CHECK_EQUAL(weft_shielded(f, NULL), -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_exit(&limit), -ETIMEDOUT);
        CHECK(!weft_done(f));
    }
    CHECK_EQUAL(weft_future_set_result(f, NULL), 0);
    weft_put(f);
    return arg;
}

static void item_120_the_limit_of_a_shielded_wait_does_not_touch_the_future(void **state)
{
    (void)state;
    run_case_virtual(limited_shield_main, NULL);
}

static void the_end_of_an_outer_scope_is_an_error(void **state)
{
    (void)state;
    run_case_virtual(outer_wait_main, NULL);
}

/* --- the others in scopes --------------------------------------------------------------------- */

static void *gather_main(void *arg)
{
    struct sleeper s[2] = {{.for_ns = WEFT_FOREVER, .clean_up_ns = WEFT_SECOND},
                           {.for_ns = WEFT_FOREVER, .error = -ECANCELED}};
    weft_future *f[2] = {begin_sleeper(&s[0]), begin_sleeper(&s[1])};
    int errors[2];
    struct weft_scope limit;
    int64_t begun = weft_now();
    weft_scope_enter(&limit, 2 * WEFT_SECOND);
    CHECK_EQUAL(weft_gather(2, f, NULL, errors), -ETIMEDOUT);
    CHECK(weft_now() - begun >= 3 * WEFT_SECOND); /* all have ended */
    CHECK_EQUAL(weft_scope_exit(&limit), -ETIMEDOUT);
    CHECK_EQUAL(errors[0], 0);
    CHECK_EQUAL(errors[1], -ECANCELED);
    CHECK_EQUAL(s[0].requests, 1);
    CHECK_EQUAL(s[1].requests, 1);
    for (int i = 0; i < 2; i++) {
        weft_put(f[i]);
        f[i] = weft_future_create();
    }
    weft_scope_enter(&limit, 2 * WEFT_SECOND);
    CHECK_EQUAL(weft_gather(2, f, NULL, NULL), -ECANCELED); /* what they came to */
    CHECK_EQUAL(weft_scope_exit(&limit), -ETIMEDOUT);
    weft_put(f[0]);
    weft_put(f[1]);
    return arg;
}

static void a_deadline_is_passed_on_by_a_gather(void **state)
{
    (void)state;
    run_case_virtual(gather_main, NULL);
}

/* Children that have all ended when the deadline comes: nothing failed. */
static void *gather_done_main(void *arg)
{
    weft_future *f[1] = {weft_future_create()};
    struct weft_scope limit;
    CHECK_EQUAL(weft_future_set_result(f[0], NULL), 0);
    weft_scope_enter(&limit, 0);
    CHECK_EQUAL(weft_gather(1, f, NULL, NULL), 0);
    CHECK_EQUAL(weft_wait(1, f, WEFT_ALL_COMPLETED), 1);
    CHECK_EQUAL(weft_shielded(f[0], NULL), 0);
    CHECK_EQUAL(weft_wait_for(f[0], 0, NULL), 0);
    CHECK_EQUAL(weft_scope_exit(&limit), 0);
    weft_put(f[0]);
    return arg;
}

static void what_is_done_is_taken_in_a_scope_that_has_ended(void **state)
{
    (void)state;
    run_case_both(gather_done_main, NULL);
}

static void *as_completed_main(void *arg)
{
    struct sleeper s[2] = {{.for_ns = WEFT_SECOND}, {.for_ns = 3 * WEFT_SECOND}};
    weft_future *f[2] = {begin_sleeper(&s[0]), begin_sleeper(&s[1])};
    struct weft_as_completed it;
    struct weft_scope limit;
    weft_future *next = NULL;
    CHECK_EQUAL(weft_as_completed_init(&it, 2, f), 0);
    weft_scope_enter(&limit, 2 * WEFT_SECOND);
    CHECK_EQUAL(weft_as_completed_next(&it, &next), 0);
    CHECK(next == f[0]);
    CHECK_EQUAL(weft_as_completed_next(&it, &next), -ETIMEDOUT);
    CHECK_EQUAL(weft_scope_exit(&limit), -ETIMEDOUT);
    CHECK(!weft_done(f[1]));
    CHECK_EQUAL(weft_as_completed_next(&it, &next), 0); /* it goes on where it was */
    CHECK(next == f[1]);
    CHECK_EQUAL(weft_as_completed_next(&it, &next), -ENODATA);
    for (int i = 0; i < 2; i++) {
        void *result = NULL;
        CHECK_EQUAL(weft_join(f[i], &result), 0);
        CHECK(result == &value);
    }
    return arg;
}

static void item_100_after_a_timeout_an_iteration_goes_on(void **state)
{
    (void)state;
    run_case_virtual(as_completed_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_109_what_is_done_is_returned),
        cmocka_unit_test(item_110_111_a_limit_of_zero_cancels_and_waits),
        cmocka_unit_test(item_112_113_it_returns_when_the_task_has_ended),
        cmocka_unit_test(item_114_a_value_that_came_late_is_returned),
        cmocka_unit_test(item_115_another_error_is_returned),
        cmocka_unit_test(item_116_in_time_the_timer_is_dropped),
        cmocka_unit_test(item_117_a_cancel_of_the_caller_is_passed_on),
        cmocka_unit_test(item_118_a_result_that_was_won_is_returned),
        cmocka_unit_test(item_119_a_value_at_the_limit_is_not_lost),
        cmocka_unit_test(a_promise_ends_at_the_limit),
        cmocka_unit_test(an_outer_deadline_is_the_outer_scopes),
        cmocka_unit_test(item_96_at_the_deadline_the_count_so_far_is_returned),
        cmocka_unit_test(item_97_one_that_ends_at_the_deadline_counts),
        cmocka_unit_test(item_120_the_limit_of_a_shielded_wait_does_not_touch_the_future),
        cmocka_unit_test(the_end_of_an_outer_scope_is_an_error),
        cmocka_unit_test(a_deadline_is_passed_on_by_a_gather),
        cmocka_unit_test(what_is_done_is_taken_in_a_scope_that_has_ended),
        cmocka_unit_test(item_100_after_a_timeout_an_iteration_goes_on),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
