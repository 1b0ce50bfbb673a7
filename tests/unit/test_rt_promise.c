/* SPDX-License-Identifier: MIT */
/*
 * Goal: promises. One outcome, from whoever comes first; it reaches all who wait, tasks and
 * threads; a cancel ends one at once; they come and go without a runtime as with one.
 *
 * The numbers are those of the list of behaviours that asyncio's own tests fix.
 */
#include "task_help.h"

#include <sys/wait.h>

static char value;

static void *pass_through(void *arg)
{
    return arg;
}

/* --- the outcome ------------------------------------------------------------------------------ */

static void check_pending(weft_future *f)
{
    void *result = &value;
    CHECK(!weft_done(f));
    CHECK(!weft_cancelled(f));
    CHECK_EQUAL(weft_result(f, &result), -EINPROGRESS);
    CHECK(result == &value);
}

static void check_set_once(weft_future *f, int outcome)
{
    CHECK(weft_done(f));
    CHECK_EQUAL(weft_future_set_result(f, NULL), -EALREADY);
    CHECK_EQUAL(weft_future_set_error(f, -EIO), -EALREADY);
    CHECK(!weft_cancel(f));
    void *result = NULL;
    CHECK_EQUAL(weft_result(f, &result), outcome);
    CHECK(result == (outcome == 0 ? &value : NULL));
    CHECK_EQUAL(weft_cancelled(f), outcome == -ECANCELED);
}

static void set_in_each_way(void)
{
    weft_future *f = weft_future_create();
    CHECK(f != NULL);
    check_pending(f); /* 67 */
    CHECK_EQUAL(weft_future_set_result(f, &value), 0);
    check_set_once(f, 0); /* 68, 69 */
    weft_put(f);

    f = weft_future_create();
    CHECK_EQUAL(weft_future_set_error(f, -EPIPE), 0);
    check_set_once(f, -EPIPE);
    weft_put(f);

    f = weft_future_create();
    CHECK(weft_cancel(f));
    check_set_once(f, -ECANCELED);
    weft_put(f);

    weft_put(weft_future_create());
    CHECK_EQUAL(weft_future_set_result(NULL, NULL), -ENOMEM);
    CHECK_EQUAL(weft_future_set_error(NULL, -EIO), -ENOMEM);
}

static void *in_task_main(void *arg)
{
    set_in_each_way();
    weft_future *f = weft_future_create();
    CHECK_EQUAL(weft_task_id(f), 0);
    CHECK_EQUAL(weft_task_name(f, NULL, 0), -EINVAL);
    CHECK_EQUAL(weft_stack_high_water(f), 0);
    weft_put(f);
    return arg;
}

static void item_67_68_69_the_first_outcome_stays(void **state)
{
    (void)state;
    set_in_each_way(); /* where there is no runtime at all */
    run_case(in_task_main, NULL);
}

static void *task_main(void *arg)
{
    weft_task *t = weft_spawn(pass_through, &value);
    CHECK_EQUAL(weft_future_set_result(t, NULL), -EINVAL);
    CHECK_EQUAL(weft_future_set_error(t, -EIO), -EINVAL);
    void *result = NULL;
    CHECK_EQUAL(weft_await(t, &result), 0);
    CHECK(result == &value);
    CHECK_EQUAL(weft_future_set_result(t, NULL), -EINVAL);
    weft_put(t);
    return arg;
}

static void item_8_a_task_is_not_set_by_hand(void **state)
{
    (void)state;
    run_case(task_main, NULL);
}

/* --- waiting ---------------------------------------------------------------------------------- */

struct wait {
    weft_future *f;
    shared_int is_begun;
    int (*wait)(weft_future *, void **);
    int err;
    void *result;
    int next;
};

static void *wait_task(void *arg)
{
    struct wait *w = arg;
    atomic_store_seq_cst(&w->is_begun, 1);
    w->err = w->wait(w->f, &w->result);
    w->next = weft_yield();
    return NULL;
}

static void *set_from_thread(void *f)
{
    CHECK_EQUAL(weft_future_set_result(f, &value), 0);
    weft_put(f);
    return NULL;
}

enum { WAITERS = 5 };

static void *many_main(void *arg)
{
    struct wait w[WAITERS];
    weft_task *t[WAITERS];
    weft_future *f = weft_future_create();
    for (int i = 0; i < WAITERS; i++) {
        w[i] = (struct wait){.f = f, .wait = i % 2 == 0 ? weft_await : weft_shielded};
        t[i] = weft_spawn(wait_task, &w[i]);
    }
    settle();
    pthread_t thread = pthread_self();
    if (arg != NULL) {
        thread = start_thread(set_from_thread, weft_get(f));
    } else {
        CHECK_EQUAL(weft_future_set_result(f, &value), 0);
    }
    for (int i = 0; i < WAITERS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
        CHECK_EQUAL(w[i].err, 0);
        CHECK(w[i].result == &value);
    }
    void *result = NULL;
    CHECK_EQUAL(weft_await(f, &result), 0); /* 70 */
    CHECK(result == &value);
    weft_put(f);
    if (arg != NULL) {
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
    }
    return NULL;
}

static void item_70_all_who_wait_get_the_outcome(void **state)
{
    (void)state;
    run_case(many_main, NULL);
    run_case(many_main, &value);
}

static void *set_error_later(void *f)
{
    settle();
    CHECK_EQUAL(weft_future_set_error(f, -EIO), 0);
    weft_put(f);
    return NULL;
}

static void item_78_a_thread_waits_for_a_promise(void **state)
{
    (void)state;
    weft_future *f = weft_future_create();
    CHECK_EQUAL(weft_future_wait_blocking(f, WEFT_MS, NULL), -ETIMEDOUT);
    weft_runtime *rt = create_runtime(NULL);
    weft_task *t = NULL;
    CHECK_EQUAL(weft_runtime_spawn(rt, set_error_later, weft_get(f), &t), 0);
    CHECK_EQUAL(weft_future_wait_blocking(f, WEFT_FOREVER, NULL), -EIO);
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
    weft_put(t);
    weft_put(f);
    finish_runtime(rt);
}

/* --- cancelling ------------------------------------------------------------------------------- */

static void *cancel_main(void *arg)
{
    struct wait w[2] = {{.wait = weft_await}, {.wait = weft_await}};
    weft_task *t[2];
    weft_future *f = weft_future_create();
    for (int i = 0; i < 2; i++) {
        w[i].f = f;
        t[i] = weft_spawn(wait_task, &w[i]);
        yield_until(&w[i].is_begun, 1);
    }
    settle();
    CHECK(arg != NULL ? weft_cancel(f) : weft_cancel(t[0]));
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
        CHECK_EQUAL(w[i].err, -ECANCELED);
    }
    CHECK(weft_cancelled(f));
    CHECK_EQUAL(w[0].next, arg != NULL ? 0 : -ECANCELED);
    CHECK_EQUAL(w[1].next, 0);
    weft_put(f);
    return NULL;
}

static void a_cancel_of_an_awaiter_ends_the_promise_for_all(void **state)
{
    (void)state;
    run_case(cancel_main, NULL);
    run_case(cancel_main, &value);
}

static void *before_main(void *arg)
{
    weft_future *f = weft_future_create();
    weft_cancel(weft_self());
    CHECK_EQUAL(weft_await(f, NULL), -ECANCELED);
    CHECK(weft_cancelled(f));
    CHECK_EQUAL(weft_await(f, NULL), -ECANCELED);
    weft_put(f);

    f = weft_future_create();
    CHECK_EQUAL(weft_shielded(f, NULL), -ECANCELED);
    CHECK(!weft_done(f));
    CHECK_EQUAL(weft_future_set_result(f, &value), 0);
    void *result = NULL;
    CHECK_EQUAL(weft_shielded(f, &result), 0); /* satisfied at once */
    CHECK(result == &value);
    CHECK_EQUAL(weft_await(f, NULL), 0);
    weft_put(f);
    CHECK_EQUAL(weft_uncancel(), 0);
    return arg;
}

static void a_cancelled_task_ends_what_it_awaits_and_not_what_it_shields(void **state)
{
    (void)state;
    run_case(before_main, NULL);
}

static void *expire(void *arg)
{
    CHECK_EQUAL(weft_future_set_result(arg, NULL), -EALREADY);
    weft_put(arg);
    return NULL;
}

static void *late_main(void *arg)
{
    weft_future *f = weft_future_create();
    CHECK(weft_cancel(f));
    CHECK_EQUAL(weft_join(weft_spawn(expire, weft_get(f)), NULL), 0);
    CHECK_EQUAL(weft_await(f, NULL), -ECANCELED);
    weft_put(f);
    return arg;
}

static void item_77_who_sets_a_cancelled_one_is_told(void **state)
{
    (void)state;
    run_case(late_main, NULL);
}

/* --- callbacks -------------------------------------------------------------------------------- */

struct calls {
    shared_int count;
    int order[8];
    weft_future *f;
    weft_future *other;
};

struct registration {
    struct calls *calls;
    int number;
};

static void note_call(weft_future *f, void *arg)
{
    struct registration *r = arg;
    CHECK(f == r->calls->f);
    CHECK(weft_done(f));
    int at = atomic_load_seq_cst(&r->calls->count);
    r->calls->order[at] = r->number;
    atomic_store_seq_cst(&r->calls->count, at + 1);
}

static void *callbacks_main(void *arg)
{
    struct calls calls = {.f = weft_future_create()};
    struct registration r[4];
    for (int i = 0; i < 4; i++) {
        r[i] = (struct registration){&calls, i};
        CHECK_EQUAL(weft_on_done(calls.f, note_call, &r[i]), 0);
    }
    CHECK_EQUAL(weft_on_done(calls.f, note_call, &r[1]), 0);
    CHECK_EQUAL(weft_on_done_remove(calls.f, note_call, &r[1]), 2); /* 72 */
    CHECK_EQUAL(weft_on_done_remove(calls.f, note_call, &r[1]), 0);
    CHECK_EQUAL(weft_future_set_result(calls.f, NULL), 0);
    yield_until(&calls.count, 3);
    CHECK_EQUAL(calls.order[0], 0); /* 71 */
    CHECK_EQUAL(calls.order[1], 2);
    CHECK_EQUAL(calls.order[2], 3);
    weft_put(calls.f);
    return arg;
}

static void item_71_72_callbacks_run_in_order_and_can_be_removed(void **state)
{
    (void)state;
    run_case(callbacks_main, NULL);
}

static void *queued_main(void *arg)
{
    struct calls calls = {.f = weft_future_create()};
    struct registration r = {&calls, 0};
    CHECK_EQUAL(weft_on_done(calls.f, note_call, &r), 0);
    CHECK_EQUAL(weft_future_set_result(calls.f, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&calls.count), 0); /* not inside the call */
    yield_until(&calls.count, 1);
    weft_put(calls.f);
    return arg;
}

static void item_71_a_callback_runs_after_the_call_that_sets(void **state)
{
    (void)state;
    run_case_alone(queued_main, NULL);
}

/* A callback that adds and removes others, and sets the next promise. */
static void meddle(weft_future *f, void *arg)
{
    struct registration *r = arg;
    CHECK_EQUAL(weft_on_done_remove(f, meddle, arg), 0);
    CHECK_EQUAL(weft_on_done(f, note_call, arg), 0);
    CHECK_EQUAL(weft_future_set_result(r->calls->other, &value), 0);
}

static void *meddle_main(void *arg)
{
    struct calls calls = {.f = weft_future_create(), .other = weft_future_create()};
    struct registration r[2] = {{&calls, 0}, {&calls, 1}};
    CHECK_EQUAL(weft_on_done(calls.f, meddle, &r[0]), 0);
    CHECK_EQUAL(weft_on_done(calls.f, note_call, &r[1]), 0);
    CHECK_EQUAL(weft_future_set_error(calls.f, -EIO), 0);
    yield_until(&calls.count, 2);
    void *result = NULL;
    CHECK_EQUAL(weft_await(calls.other, &result), 0);
    CHECK(result == &value);
    CHECK_EQUAL(weft_result(calls.f, NULL), -EIO);
    weft_put(calls.f);
    weft_put(calls.other);
    return arg;
}

static void item_73_callbacks_may_change_the_list(void **state)
{
    (void)state;
    run_case(meddle_main, NULL);
}

/* --- what nobody looked at -------------------------------------------------------------------- */

static void drop_some(void)
{
    weft_future *f = weft_future_create();
    CHECK_EQUAL(weft_future_set_error(f, -EIO), 0);
    weft_put(f); /* 75: the one line */

    f = weft_future_create();
    CHECK_EQUAL(weft_future_set_error(f, -EIO), 0);
    CHECK_EQUAL(weft_result(f, NULL), -EIO);
    weft_put(f); /* 76: it was read */
    f = weft_future_create();
    CHECK_EQUAL(weft_future_set_error(f, -EIO), 0);
    CHECK(!weft_cancel(f));
    weft_put(f); /* 76: it was called off */
    f = weft_future_create();
    CHECK_EQUAL(weft_future_set_result(f, &value), 0);
    weft_put(f);
    f = weft_future_create();
    CHECK(weft_cancel(f));
    weft_put(f);
    weft_put(weft_future_create());
}

static void *drop_main(void *arg)
{
    drop_some();
    return arg;
}

static void item_75_76_an_error_nobody_saw_is_reported_once(void **state)
{
    (void)state;
    char text[512];
    FILE *file;
    capture_begin(&file);
    drop_some();
    run_case(drop_main, NULL);
    CHECK_EQUAL(capture_end(&file, text, sizeof text), 2);
    CHECK(strstr(text, "weft: a promise failed with -5 (Input/output error)") != NULL);
}

/* --- memory ----------------------------------------------------------------------------------- */

struct kept {
    weft_future *f[2];
};

static void *keep_main(void *arg)
{
    struct kept *kept = arg;
    kept->f[0] = weft_future_create();
    kept->f[1] = weft_future_create();
    return NULL;
}

static void a_promise_outlives_its_runtime(void **state)
{
    (void)state;
    struct kept kept;
    run_case(keep_main, &kept);
    check_pending(kept.f[0]);
    CHECK_EQUAL(weft_future_set_result(kept.f[0], &value), 0);
    check_set_once(kept.f[0], 0);
    weft_put(kept.f[0]);
    weft_put(kept.f[1]); /* unset */
}

/* Made on one thread, freed on another. */
static void *make_many(void *arg)
{
    weft_future **f = arg;
    for (int i = 0; i < 1000; i++) {
        f[i] = weft_future_create();
        CHECK(f[i] != NULL);
    }
    return NULL;
}

static void *put_many(void *arg)
{
    weft_future **f = arg;
    for (int i = 0; i < 1000; i++) {
        CHECK_EQUAL(weft_future_set_result(f[i], NULL), 0);
        weft_put(f[i]);
    }
    return NULL;
}

static void promises_go_between_threads_and_tasks(void **state)
{
    (void)state;
    static weft_future *f[2][1000];
    for (int round = 0; round < 3; round++) {
        pthread_t thread = start_thread(make_many, f[0]);
        pthread_t other = start_thread(make_many, f[1]);
        pthread_join(thread, NULL);
        pthread_join(other, NULL);
        run_case(put_many, f[0]);
        run_case(make_many, f[0]);
        thread = start_thread(put_many, f[0]);
        put_many(f[1]);
        pthread_join(thread, NULL);
    }
}

static int in_child(weft_future *parents)
{
    bool is_right = weft_future_set_result(parents, NULL) == -ESHUTDOWN && !weft_cancel(parents);
    weft_put(parents);
    weft_future *own = weft_future_create();
    is_right = is_right && own != NULL;
    is_right = is_right && weft_future_set_result(own, &value) == 0 && weft_done(own);
    weft_put(own);
    return is_right ? 0 : 1;
}

static void a_forked_child_has_promises_of_its_own(void **state)
{
    (void)state;
    weft_future *f = weft_future_create();
    pid_t pid = fork();
    if (pid == 0) {
        _exit(in_child(f));
    }
    int status = -1;
    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(weft_future_set_result(f, &value), 0);
    weft_put(f);
}

/* --- several who set -------------------------------------------------------------------------- */

enum { SETTERS = 3 };

struct race {
    weft_future *f;
    shared_int ready;
    shared_int won;
    int by_tasks; /* how many of the setters are tasks */
};

static void *race_to_set(void *arg)
{
    struct race *r = arg;
    bool is_task = weft_self() != NULL;
    int number = atomic_add_seq_cst(&r->ready, 1);
    while (atomic_load_seq_cst(&r->ready) < SETTERS) {
        if (is_task) {
            weft_yield();
        } else {
            sched_yield();
        }
    }
    int err = number == 0   ? weft_future_set_result(r->f, &value)
              : number == 1 ? weft_future_set_error(r->f, -EIO)
              : weft_cancel(r->f) ? 0
                                  : -EALREADY;
    CHECK(err == 0 || err == -EALREADY);
    atomic_add_seq_cst(&r->won, err == 0);
    weft_put(r->f);
    return NULL;
}

static void *race_main(void *arg)
{
    struct race r = {.f = weft_future_create()};
    struct wait w = {.f = weft_get(r.f), .wait = weft_await};
    weft_task *waiter = weft_spawn(wait_task, &w);
    weft_task *t = weft_spawn(race_to_set, (weft_get(r.f), &r));
    pthread_t thread[SETTERS - 1];
    for (int i = 0; i < SETTERS - 1; i++) {
        weft_get(r.f);
        thread[i] = start_thread(race_to_set, &r);
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_join(waiter, NULL), 0);
    for (int i = 0; i < SETTERS - 1; i++) {
        pthread_join(thread[i], NULL);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&r.won), 1);
    CHECK_EQUAL(weft_result(r.f, NULL), w.err);
    CHECK((w.err == 0) == (w.result == &value));
    weft_put(r.f);
    weft_put(w.f);
    return arg;
}

static void item_68_of_several_one_sets(void **state)
{
    (void)state;
    for (size_t round = 0; test_goes_on(round, test_scaled(100, 20)); round++) {
        run_case(race_main, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_67_68_69_the_first_outcome_stays),
        cmocka_unit_test(item_8_a_task_is_not_set_by_hand),
        cmocka_unit_test(item_70_all_who_wait_get_the_outcome),
        cmocka_unit_test(item_78_a_thread_waits_for_a_promise),
        cmocka_unit_test(a_cancel_of_an_awaiter_ends_the_promise_for_all),
        cmocka_unit_test(a_cancelled_task_ends_what_it_awaits_and_not_what_it_shields),
        cmocka_unit_test(item_77_who_sets_a_cancelled_one_is_told),
        cmocka_unit_test(item_71_72_callbacks_run_in_order_and_can_be_removed),
        cmocka_unit_test(item_71_a_callback_runs_after_the_call_that_sets),
        cmocka_unit_test(item_73_callbacks_may_change_the_list),
        cmocka_unit_test(item_75_76_an_error_nobody_saw_is_reported_once),
        cmocka_unit_test(a_promise_outlives_its_runtime),
        cmocka_unit_test(promises_go_between_threads_and_tasks),
        cmocka_unit_test(a_forked_child_has_promises_of_its_own),
        cmocka_unit_test(item_68_of_several_one_sets),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
