/* SPDX-License-Identifier: MIT */
/*
 * Goal: what is said on standard error of tasks whose end nobody saw: an error that was never
 * looked at, once, and a held task that never ran; and nothing of all others.
 *
 * Method: standard error goes to a file from before the runtime is created until it is destroyed,
 * so that all of it is caught; lines are counted and searched for.
 */
#include "task_help.h"

struct report {
    int lines;
    char text[4096];
};

/* Run fn(arg) as the main task, and close; what was written meanwhile. */
static struct report report_of(weft_fn fn, void *arg)
{
    struct report r;
    FILE *file = NULL;
    capture_begin(&file);
    run_case(fn, arg);
    r.lines = capture_end(&file, r.text, sizeof r.text);
    return r;
}

static void assert_said(const struct report *r, const char *words)
{
    if (strstr(r->text, words) == NULL) {
        print_error("not found: %s\nin: %s\n", words, r->text);
    }
    assert_non_null(strstr(r->text, words));
}

static void *end_failed(void *arg)
{
    return weft_fail((int)(intptr_t)arg);
}

static void *fail_late(void *flag)
{
    yield_until(flag, 1);
    return weft_fail(-EIO);
}

#define BROKEN ((void *)(intptr_t)-EIO)

/* --- what is reported ------------------------------------------------------------------------- */

static void *dropped_after_main(void *arg)
{
    static const struct weft_spawn_options options = {.name = "loser"};
    weft_task *t = weft_spawn_with(&options, end_failed, BROKEN);
    while (!weft_done(t)) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK(!weft_cancelled(t)); /* to ask whether is not to look */
    weft_put(weft_get(t));
    weft_put(t);
    return arg;
}

static void an_error_that_nobody_looked_at_is_told_once(void **state)
{
    (void)state;
    struct report r = report_of(dropped_after_main, NULL);
    assert_int_equal(r.lines, 1);
    assert_said(&r, "loser");
    assert_said(&r, "-5");
    assert_said(&r, strerror(EIO));
}

static void *dropped_before_main(void *arg)
{
    shared_int flag = 0;
    weft_task *t = weft_spawn(fail_late, &flag);
    weft_put(t);
    CHECK_EQUAL(weft_yield(), 0);
    atomic_store_seq_cst(&flag, 1);
    while (tasks_live(weft_runtime_current()) != 1) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void also_when_the_task_ends_after_the_last_handle_went(void **state)
{
    (void)state;
    struct report r = report_of(dropped_before_main, NULL);
    assert_int_equal(r.lines, 1);
    assert_said(&r, "Task-");
}

static void *go_main(void *arg)
{
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_go(end_failed, BROKEN), 0);
    }
    CHECK_EQUAL(weft_runtime_spawn(weft_runtime_current(), end_failed, BROKEN, NULL), 0);
    return arg;
}

static void also_of_tasks_that_nobody_ever_held(void **state)
{
    (void)state;
    struct report r = report_of(go_main, NULL);
    assert_int_equal(r.lines, 4);
}

static void *wait_for_nobody(void *t)
{
    CHECK_EQUAL(weft_future_wait_blocking(t, 0, NULL), -ETIMEDOUT);
    return NULL;
}

static void *timed_out_main(void *arg)
{
    shared_int flag = 0;
    weft_task *t = weft_spawn(fail_late, &flag);
    pthread_t thread = start_thread(wait_for_nobody, t);
    pthread_join(thread, NULL);
    CHECK_EQUAL(weft_result(t, NULL), -EINPROGRESS);
    atomic_store_seq_cst(&flag, 1);
    while (!weft_done(t)) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_put(t);
    return arg;
}

static void to_have_looked_too_early_is_not_to_have_looked(void **state)
{
    (void)state;
    struct report r = report_of(timed_out_main, NULL);
    assert_int_equal(r.lines, 1);
}

/* --- what is not ------------------------------------------------------------------------------ */

static void look_at_result(weft_future *f, void *arg)
{
    CHECK_EQUAL(weft_result(f, NULL), -EIO);
    atomic_add_seq_cst((shared_int *)arg, 1);
}

static void *seen_main(void *arg)
{
    CHECK_EQUAL(weft_join(weft_spawn(end_failed, BROKEN), NULL), -EIO);
    CHECK_EQUAL(weft_cancel_and_join(weft_spawn(end_failed, BROKEN), NULL), -EIO);

    weft_task *t = weft_spawn(end_failed, BROKEN);
    CHECK_EQUAL(weft_await(t, NULL), -EIO);
    weft_put(t);

    t = weft_spawn(end_failed, BROKEN);
    while (!weft_done(t)) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(weft_result(t, NULL), -EIO);
    weft_put(t);

    shared_int calls = 0;
    t = weft_spawn(end_failed, BROKEN);
    CHECK_EQUAL(weft_on_done(t, look_at_result, &calls), 0);
    weft_put(t);
    yield_until(&calls, 1);
    return arg;
}

static void an_error_that_somebody_saw_is_not_told(void **state)
{
    (void)state;
    struct report r = report_of(seen_main, NULL);
    assert_string_equal(r.text, "");
}

static void *await_blocking(void *t)
{
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), -EIO);
    weft_put(t);
    return NULL;
}

static void *seen_outside_main(void *arg)
{
    weft_task *t = weft_spawn(end_failed, BROKEN);
    pthread_t thread = start_thread(await_blocking, t);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void an_error_that_a_thread_saw_is_not_told(void **state)
{
    (void)state;
    struct report r = report_of(seen_outside_main, NULL);
    assert_string_equal(r.text, "");
}

static void *give_back(void *arg)
{
    return arg;
}

static void *sleep_for_ever(void *arg)
{
    int err = weft_sleep(WEFT_FOREVER);
    return arg == NULL ? weft_fail(err) : arg;
}

static void *harmless_main(void *arg)
{
    weft_put(weft_spawn(give_back, &arg));
    CHECK_EQUAL(weft_go(give_back, &arg), 0);
    weft_put(weft_spawn(end_failed, (void *)(intptr_t)-ECANCELED));
    weft_task *t = weft_spawn(sleep_for_ever, NULL);
    CHECK(weft_cancel(t));
    weft_put(t);
    return NULL;
}

static void values_and_cancels_that_nobody_saw_are_not_told(void **state)
{
    (void)state;
    struct report r = report_of(harmless_main, NULL);
    assert_string_equal(r.text, "");
}

static void a_runs_own_error_is_returned_not_told(void **state)
{
    (void)state;
    FILE *file = NULL;
    char text[4096];
    capture_begin(&file);
    int err = weft_run(end_failed, BROKEN, NULL);
    capture_end(&file, text, sizeof text);
    assert_int_equal(err, -EIO);
    assert_string_equal(text, "");
}

/* --- held tasks ------------------------------------------------------------------------------- */

static void *count_up(void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
    return NULL;
}

static void *held_main(void *arg)
{
    static const struct weft_spawn_options options = {.name = "sleeping-beauty", .held = true};
    weft_task *t = weft_spawn_with(&options, count_up, arg);
    weft_put(weft_get(t));
    weft_put(t);
    settle();
    return NULL;
}

static void item_17_a_held_task_that_is_dropped_is_told_and_never_runs(void **state)
{
    (void)state;
    shared_int runs = 0;
    struct report r = report_of(held_main, &runs);
    assert_int_equal(r.lines, 1);
    assert_said(&r, "sleeping-beauty");
    assert_said(&r, "weft_start");
    assert_int_equal(atomic_load_seq_cst(&runs), 0);
}

static void *held_cancelled_main(void *arg)
{
    static const struct weft_spawn_options options = {.held = true};
    weft_task *t = weft_spawn_with(&options, count_up, arg);
    CHECK(weft_cancel(t));
    CHECK(!weft_done(t));
    weft_put(t);
    settle();
    return NULL;
}

static void also_when_it_was_cancelled(void **state)
{
    (void)state;
    shared_int runs = 0;
    struct report r = report_of(held_cancelled_main, &runs);
    assert_int_equal(r.lines, 1);
    assert_int_equal(atomic_load_seq_cst(&runs), 0);
}

static void *held_started_main(void *arg)
{
    static const struct weft_spawn_options options = {.held = true};
    weft_task *t = weft_spawn_with(&options, count_up, arg);
    CHECK_EQUAL(weft_start(t), 0);
    weft_put(t);
    return NULL;
}

static void a_held_task_that_was_started_may_be_dropped(void **state)
{
    (void)state;
    shared_int runs = 0;
    struct report r = report_of(held_started_main, &runs);
    assert_string_equal(r.text, "");
    assert_int_equal(atomic_load_seq_cst(&runs), 1);
}

static void *held_kept_main(void *arg)
{
    static const struct weft_spawn_options options = {.held = true};
    *(weft_task **)arg = weft_spawn_with(&options, give_back, arg);
    return NULL;
}

static void closing_ends_a_held_task_as_cancelled(void **state)
{
    (void)state;
    weft_task *t = NULL;
    weft_runtime *rt = create_runtime(NULL);
    assert_int_equal(weft_runtime_run(rt, held_kept_main, &t, NULL), 0);
    assert_false(weft_done(t));
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_true(weft_done(t));
    assert_true(weft_cancelled(t));
    assert_int_equal(weft_result(t, NULL), -ECANCELED);
    assert_int_equal(weft_start(t), -EALREADY);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    weft_put(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_that_nobody_looked_at_is_told_once),
        cmocka_unit_test(also_when_the_task_ends_after_the_last_handle_went),
        cmocka_unit_test(also_of_tasks_that_nobody_ever_held),
        cmocka_unit_test(to_have_looked_too_early_is_not_to_have_looked),
        cmocka_unit_test(an_error_that_somebody_saw_is_not_told),
        cmocka_unit_test(an_error_that_a_thread_saw_is_not_told),
        cmocka_unit_test(values_and_cancels_that_nobody_saw_are_not_told),
        cmocka_unit_test(a_runs_own_error_is_returned_not_told),
        cmocka_unit_test(item_17_a_held_task_that_is_dropped_is_told_and_never_runs),
        cmocka_unit_test(also_when_it_was_cancelled),
        cmocka_unit_test(a_held_task_that_was_started_may_be_dropped),
        cmocka_unit_test(closing_ends_a_held_task_as_cancelled),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
