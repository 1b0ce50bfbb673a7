/* SPDX-License-Identifier: MIT */
/*
 * Goal: the error handler gets what nobody retrieved, once, with the future whole, as a callback
 * that has the locals of the one that failed; also while the runtime closes, and afterwards; and
 * nothing is printed then. Without one, what is in test_rt_report.c.
 *
 * Method: a handler that notes what it was given; standard error is captured around the runtime.
 */
#include "task_help.h"

enum { NOTES_MAX = 64 };

struct notes {
    weft_runtime *rt;
    shared_int count;
    int error[NOTES_MAX];
    char name[NOTES_MAX][32];
    intptr_t local[NOTES_MAX];
    bool is_worker[NOTES_MAX];
    weft_future *kept; /* the first that is to be */
    bool keeps;
};

static weft_local_t local;
static pthread_mutex_t notes_lock = PTHREAD_MUTEX_INITIALIZER;

static void note(weft_runtime *rt, weft_future *f, int error, void *arg)
{
    struct notes *n = arg;
    pthread_mutex_lock(&notes_lock);
    int i = atomic_load_seq_cst(&n->count);
    CHECK(i < NOTES_MAX);
    n->rt = rt;
    n->error[i] = error;
    n->local[i] = (intptr_t)weft_local_get(local);
    n->is_worker[i] = weft_runtime_current() == rt;
    n->name[i][0] = '\0';
    if (f != NULL && weft_task_id(f) != 0) {
        CHECK(weft_task_name(f, n->name[i], sizeof n->name[i]) > 0);
        CHECK(weft_done(f));
        CHECK_EQUAL(weft_result(f, NULL), error);
    }
    CHECK_EQUAL(weft_yield(), -EPERM); /* it cannot wait */
    CHECK(weft_self() == NULL);
    if (n->keeps && f != NULL && n->kept == NULL) {
        n->kept = weft_get(f);
    }
    atomic_add_seq_cst(&n->count, 1);
    pthread_mutex_unlock(&notes_lock);
}

/* Run fn(notes) as the main task with the handler, and close; nothing may be printed. */
static void run_noted(weft_fn fn, struct notes *n)
{
    char text[1024];
    FILE *file = NULL;
    struct weft_options options = {.error_handler = note, .error_handler_arg = n};
    capture_begin(&file);
    int err = weft_run_with(&options, fn, n, NULL);
    int lines = capture_end(&file, text, sizeof text);
    if (lines != 0) {
        print_error("%s", text);
    }
    assert_int_equal(err, 0);
    assert_int_equal(lines, 0);
}

static void *end_failed(void *arg)
{
    return weft_fail((int)(intptr_t)arg);
}

#define BROKEN ((void *)(intptr_t)-EIO)

static void await_notes(struct notes *n, int count)
{
    yield_until(&n->count, count);
}

/* --- what it gets ----------------------------------------------------------------------------- */

static void *loser_main(void *arg)
{
    static const struct weft_spawn_options options = {.name = "loser"};
    CHECK_EQUAL(weft_local_set(local, (void *)(intptr_t)1), 0);
    weft_task *t = weft_spawn_with(&options, end_failed, BROKEN);
    CHECK_EQUAL(weft_local_set(local, (void *)(intptr_t)2), 0);
    weft_put(t);
    await_notes(arg, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_go(end_failed, (void *)(intptr_t)-EPROTO), 0);
    }
    await_notes(arg, 4);
    return NULL;
}

static void item_338_a_handler_gets_runtime_error_and_task(void **state)
{
    (void)state;
    struct notes n = {0};
    run_noted(loser_main, &n);
    assert_int_equal(atomic_load_seq_cst(&n.count), 4);
    assert_non_null(n.rt);
    assert_int_equal(n.error[0], -EIO);
    assert_string_equal(n.name[0], "loser");
    for (int i = 1; i < 4; i++) {
        assert_int_equal(n.error[i], -EPROTO);
        assert_true(n.is_worker[i]);
    }
    /* item 340: the values of the one that failed, not of who dropped it */
    assert_int_equal(n.local[0], 1);
    assert_int_equal(n.local[1], 2);
}

static void *set_and_fail(void *arg)
{
    CHECK_EQUAL(weft_local_set(local, arg), 0);
    return weft_fail(-EIO);
}

static void call_failing(void *n)
{
    (void)n;
    CHECK_EQUAL(weft_local_set(local, (void *)(intptr_t)7), 0);
    weft_report_error(NULL, NULL, -EDOM);
}

static void *context_main(void *arg)
{
    CHECK_EQUAL(weft_go(set_and_fail, (void *)(intptr_t)5), 0);
    await_notes(arg, 1);
    weft_context *context = weft_context_create();
    const struct weft_spawn_options options = {.context = context};
    weft_put(weft_spawn_with(&options, set_and_fail, (void *)(intptr_t)6));
    await_notes(arg, 2);
    weft_context_put(context);
    CHECK_EQUAL(weft_post(weft_runtime_current(), call_failing, NULL), 0);
    await_notes(arg, 3);
    CHECK_EQUAL(weft_local_set(local, (void *)(intptr_t)8), 0);
    weft_report_error(NULL, weft_self(), -ERANGE);
    await_notes(arg, 4);
    return NULL;
}

static void note_reported(weft_runtime *rt, weft_future *f, int error, void *arg)
{
    CHECK(error != -ERANGE || f != NULL);
    note(rt, error == -ERANGE ? NULL : f, error, arg);
}

static void item_340_it_runs_with_the_locals_of_what_failed(void **state)
{
    (void)state;
    struct notes n = {0};
    struct weft_options options = {.error_handler = note_reported, .error_handler_arg = &n};
    assert_int_equal(weft_run_with(&options, context_main, &n, NULL), 0);
    assert_int_equal(atomic_load_seq_cst(&n.count), 4);
    static const int errors[] = {-EIO, -EIO, -EDOM, -ERANGE};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(n.error[i], errors[i]);
        assert_int_equal(n.local[i], 5 + i);
        assert_true(n.is_worker[i]);
    }
}

static void call_after(void *count)
{
    atomic_add_seq_cst((shared_int *)count, 1);
}

static void *callback_main(void *arg)
{
    shared_int count = 0;
    CHECK_EQUAL(weft_post(weft_runtime_current(), call_failing, NULL), 0);
    CHECK_EQUAL(weft_post(weft_runtime_current(), call_after, &count), 0);
    yield_until(&count, 1);
    await_notes(arg, 1);
    return NULL;
}

static void item_066_a_callbacks_error_is_told_and_the_next_one_runs(void **state)
{
    (void)state;
    struct notes n = {0};
    run_noted(callback_main, &n);
    assert_int_equal(atomic_load_seq_cst(&n.count), 1);
    assert_int_equal(n.error[0], -EDOM);
}

static void *promise_main(void *arg)
{
    weft_future *f = weft_future_create();
    CHECK(f != NULL);
    CHECK_EQUAL(weft_future_set_error(f, -EIO), 0);
    weft_put(f);
    await_notes(arg, 1);
    static const struct weft_spawn_options held = {.held = true, .name = "held"};
    weft_put(weft_spawn_with(&held, end_failed, BROKEN));
    await_notes(arg, 2);
    return NULL;
}

static void promises_and_held_tasks_are_told(void **state)
{
    (void)state;
    struct notes n = {0};
    run_noted(promise_main, &n);
    assert_int_equal(atomic_load_seq_cst(&n.count), 2);
    assert_int_equal(n.error[0], -EIO);
    assert_int_equal(n.error[1], -ECANCELED);
    assert_string_equal(n.name[1], "held");
}

static void *seen_main(void *arg)
{
    CHECK_EQUAL(weft_join(weft_spawn(end_failed, BROKEN), NULL), -EIO);
    weft_task *t = weft_spawn(end_failed, (void *)(intptr_t)-ECANCELED);
    weft_put(t);
    (void)arg;
    return NULL;
}

static void what_somebody_saw_is_not_told(void **state)
{
    (void)state;
    struct notes n = {0};
    run_noted(seen_main, &n);
    assert_int_equal(atomic_load_seq_cst(&n.count), 0);
}

/* --- when ------------------------------------------------------------------------------------- */

static void *fail_when_cancelled(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    return weft_fail((int)(intptr_t)arg);
}

static void *leave_behind(void *arg)
{
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(weft_go(fail_when_cancelled, BROKEN), 0);
    }
    return arg;
}

static void item_324_errors_of_left_overs_are_told_and_change_nothing(void **state)
{
    (void)state;
    struct notes n = {0};
    run_noted(leave_behind, &n);
    assert_int_equal(atomic_load_seq_cst(&n.count), 10);
    for (int i = 0; i < 10; i++) {
        assert_true(n.is_worker[i]);
    }
}

static void also_when_the_runtime_is_gone(void **state)
{
    (void)state;
    struct notes n = {0};
    struct weft_options options = {.error_handler = note, .error_handler_arg = &n};
    weft_runtime *rt = create_runtime(&options);
    weft_task *t[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_runtime_spawn(rt, end_failed, BROKEN, &t[i]), 0);
    }
    finish_runtime(rt);
    assert_int_equal(atomic_load_seq_cst(&n.count), 0);
    weft_put(t[0]);
    assert_int_equal(atomic_load_seq_cst(&n.count), 1);
    assert_false(n.is_worker[0]);
    assert_int_equal(weft_result(t[1], NULL), -EIO);
    weft_put(t[1]);
    assert_int_equal(atomic_load_seq_cst(&n.count), 1);
}

static void *keep_main(void *arg)
{
    struct notes *n = arg;
    n->keeps = true;
    CHECK_EQUAL(weft_go(end_failed, BROKEN), 0);
    await_notes(n, 1);
    return NULL;
}

static void the_handler_may_keep_the_future(void **state)
{
    (void)state;
    struct notes n = {0};
    run_noted(keep_main, &n);
    assert_int_equal(weft_result(n.kept, NULL), -EIO);
    weft_put(n.kept); /* told once */
    assert_int_equal(atomic_load_seq_cst(&n.count), 1);
}

/* --- setting ---------------------------------------------------------------------------------- */

static void *reset_main(void *arg)
{
    struct notes *n = arg;
    weft_runtime *rt = weft_runtime_current();
    CHECK_EQUAL(weft_go(end_failed, BROKEN), 0); /* to standard error */
    while (tasks_live(rt) != 1) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_set_error_handler(rt, note, n);
    CHECK_EQUAL(weft_go(end_failed, BROKEN), 0);
    await_notes(n, 1);
    weft_set_error_handler(rt, NULL, NULL);
    CHECK_EQUAL(weft_go(end_failed, BROKEN), 0); /* to standard error */
    weft_set_error_handler(NULL, note, n);
    return NULL;
}

static void item_338_resetting_brings_the_default_back(void **state)
{
    (void)state;
    struct notes n = {0};
    char text[1024];
    FILE *file = NULL;
    capture_begin(&file);
    run_case(reset_main, &n);
    int lines = capture_end(&file, text, sizeof text);
    assert_int_equal(lines, 2);
    assert_int_equal(atomic_load_seq_cst(&n.count), 1);
}

/* Errors that its own work fails with are told as any others, and the runtime lives on. */
static void fail_again(weft_runtime *rt, weft_future *f, int error, void *arg)
{
    shared_int *count = arg;
    (void)rt;
    (void)f;
    if (error == -EIO) {
        CHECK_EQUAL(weft_go(end_failed, (void *)(intptr_t)-EPROTO), 0);
        weft_report_error(NULL, NULL, -EDOM);
    }
    atomic_add_seq_cst(count, 1);
}

static void *again_main(void *arg)
{
    CHECK_EQUAL(weft_go(end_failed, BROKEN), 0);
    yield_until(arg, 3);
    return arg;
}

static void item_339_an_error_inside_the_handler_is_told_too(void **state)
{
    (void)state;
    shared_int count = 0;
    struct weft_options options = {.error_handler = fail_again, .error_handler_arg = &count};
    run_case_with(&options, again_main, &count);
    assert_int_equal(atomic_load_seq_cst(&count), 3);
}

static void outside_it_goes_to_standard_error(void **state)
{
    (void)state;
    char text[256];
    FILE *file = NULL;
    capture_begin(&file);
    weft_report_error(NULL, NULL, -EIO);
    assert_int_equal(capture_end(&file, text, sizeof text), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_338_a_handler_gets_runtime_error_and_task),
        cmocka_unit_test(item_340_it_runs_with_the_locals_of_what_failed),
        cmocka_unit_test(item_066_a_callbacks_error_is_told_and_the_next_one_runs),
        cmocka_unit_test(promises_and_held_tasks_are_told),
        cmocka_unit_test(what_somebody_saw_is_not_told),
        cmocka_unit_test(item_324_errors_of_left_overs_are_told_and_change_nothing),
        cmocka_unit_test(also_when_the_runtime_is_gone),
        cmocka_unit_test(the_handler_may_keep_the_future),
        cmocka_unit_test(item_338_resetting_brings_the_default_back),
        cmocka_unit_test(item_339_an_error_inside_the_handler_is_told_too),
        cmocka_unit_test(outside_it_goes_to_standard_error),
    };
    help_limit_time();
    if (weft_local_create(&local) < 0) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_local_destroy(local);
    return failed;
}
