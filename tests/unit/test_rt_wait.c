/* SPDX-License-Identifier: MIT */
/*
 * Goal: weft_wait in its three modes, and weft_shielded: both wait and pass nothing on.
 *
 * The numbers are those of the list of behaviours that asyncio's own tests fix.
 */
#include "task_help.h"

enum { MANY = 40 }; /* more than the nodes on the stack */

static const enum weft_wait_mode modes[] = {WEFT_ALL_COMPLETED, WEFT_FIRST_COMPLETED,
                                            WEFT_FIRST_ERROR};

static void make_promises(size_t n, weft_future **f)
{
    for (size_t i = 0; i < n; i++) {
        f[i] = weft_future_create();
        CHECK(f[i] != NULL);
    }
}

static void set_all(size_t n, weft_future **f)
{
    for (size_t i = 0; i < n; i++) {
        (void)weft_future_set_result(f[i], NULL);
    }
}

static void put_all(size_t n, weft_future **f)
{
    for (size_t i = 0; i < n; i++) {
        weft_put(f[i]);
    }
}

/* A task that waits, and what it came to. */
struct wait {
    size_t n;
    weft_future **f;
    enum weft_wait_mode mode;
    shared_int is_begun;
    int done;
    int next_wait;
};

static void *wait_task(void *arg)
{
    struct wait *w = arg;
    atomic_store_seq_cst(&w->is_begun, 1);
    w->done = weft_wait(w->n, w->f, w->mode);
    w->next_wait = weft_yield();
    return NULL;
}

static weft_task *begin_wait(struct wait *w)
{
    weft_task *t = weft_spawn(wait_task, w);
    yield_until(&w->is_begun, 1);
    settle();
    CHECK(!weft_done(t));
    return t;
}

/* --- all -------------------------------------------------------------------------------------- */

static void *all_main(void *arg)
{
    weft_future *f[MANY] = {NULL};
    size_t n = (size_t)(intptr_t)arg;
    make_promises(n, f);
    struct wait w = {.n = n, .f = f, .mode = WEFT_ALL_COMPLETED};
    weft_task *t = begin_wait(&w);
    for (size_t i = 0; i < n; i++) {
        CHECK(!weft_done(t));
        CHECK_EQUAL(i % 3 == 1 ? weft_future_set_error(f[i], -EIO)
                               : weft_future_set_result(f[i], NULL), 0);
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(w.done, n); /* errors are not raised */
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        CHECK_EQUAL(weft_wait(n, f, modes[i]), n); /* again: at once */
    }
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(weft_result(f[i], NULL), i % 3 == 1 ? -EIO : 0);
    }
    put_all(n, f);
    return NULL;
}

static void item_90_all_are_waited_for_and_their_errors_stay_theirs(void **state)
{
    (void)state;
    run_case(all_main, (void *)1);
    run_case(all_main, (void *)5);
    run_case(all_main, (void *)MANY);
}

static void *refused_main(void *arg)
{
    weft_future *f[3] = {weft_future_create(), weft_self(), weft_self()};
    CHECK_EQUAL(weft_wait(0, f, WEFT_ALL_COMPLETED), -EINVAL);
    CHECK_EQUAL(weft_wait(1, NULL, WEFT_ALL_COMPLETED), -EINVAL);
    CHECK_EQUAL(weft_wait(1, f, (enum weft_wait_mode)3), -EINVAL);
    CHECK_EQUAL(weft_wait(3, f, WEFT_FIRST_COMPLETED), -EDEADLK);
    CHECK_EQUAL(weft_shielded(weft_self(), NULL), -EDEADLK);
    CHECK_EQUAL(weft_shielded(NULL, NULL), -ENOMEM);
    CHECK_EQUAL(weft_future_set_result(f[0], NULL), 0);
    f[1] = f[0];
    f[2] = NULL; /* has failed, so it is done */
    CHECK_EQUAL(weft_wait(2, f, WEFT_ALL_COMPLETED), 2);
    CHECK_EQUAL(weft_wait(3, f, WEFT_ALL_COMPLETED), 3);
    weft_put(f[0]);
    f[0] = weft_future_create();
    f[1] = f[0];
    CHECK_EQUAL(weft_wait(3, f, WEFT_FIRST_ERROR), 1);
    CHECK_EQUAL(weft_wait(3, f, WEFT_FIRST_COMPLETED), 1);
    struct wait w = {.n = 2, .f = f, .mode = WEFT_ALL_COMPLETED};
    weft_task *t = begin_wait(&w);
    CHECK_EQUAL(weft_future_set_result(f[0], NULL), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(w.done, 2);
    weft_put(f[0]);
    return arg;
}

static void item_91_the_same_twice_and_what_is_refused(void **state)
{
    (void)state;
    run_case(refused_main, NULL);
    CHECK_EQUAL(weft_wait(1, (weft_future *[]){NULL}, WEFT_ALL_COMPLETED), -EPERM);
    CHECK_EQUAL(weft_shielded(NULL, NULL), -ENOMEM);
}

/* --- the first -------------------------------------------------------------------------------- */

/* Wait in a mode, end the one at `at` with the error (or 0), and look how many were done. */
static void wait_for_one(size_t n, enum weft_wait_mode mode, size_t at, int error)
{
    weft_future *f[MANY] = {NULL};
    make_promises(n, f);
    struct wait w = {.n = n, .f = f, .mode = mode};
    weft_task *t = begin_wait(&w);
    CHECK_EQUAL(error < 0 ? weft_future_set_error(f[at], error)
                          : weft_future_set_result(f[at], NULL), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(w.done, 1);
    CHECK_EQUAL(w.next_wait, 0);
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(weft_done(f[i]), i == at);
    }
    CHECK_EQUAL(weft_wait(n, f, mode), 1); /* at once */
    (void)weft_result(f[at], NULL);
    set_all(n, f);
    put_all(n, f);
}

static void *first_main(void *arg)
{
    size_t n = (size_t)(intptr_t)arg;
    for (size_t at = 0; at < n; at += n / 2) {
        wait_for_one(n, WEFT_FIRST_COMPLETED, at, 0);
        wait_for_one(n, WEFT_FIRST_COMPLETED, at, -EIO);
        wait_for_one(n, WEFT_FIRST_COMPLETED, at, -ECANCELED);
        wait_for_one(n, WEFT_FIRST_ERROR, at, -EIO);
    }
    return NULL;
}

static void item_92_94_the_first_one_ends_the_wait(void **state)
{
    (void)state;
    run_case(first_main, (void *)3);
    run_case(first_main, (void *)MANY);
}

static void *really_done_main(void *arg)
{
    weft_future *f[3];
    make_promises(3, f);
    struct wait w = {.n = 3, .f = f, .mode = WEFT_FIRST_COMPLETED};
    weft_task *t = begin_wait(&w);
    CHECK_EQUAL(weft_future_set_result(f[2], NULL), 0);
    CHECK_EQUAL(weft_future_set_result(f[0], NULL), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0); /* it had no turn in between */
    CHECK_EQUAL(w.done, 2);
    put_all(3, f);
    return arg;
}

static void item_93_all_that_are_done_count(void **state)
{
    (void)state;
    run_case_alone(really_done_main, NULL);
}

static void *cancelled_main(void *arg)
{
    weft_future *f[3];
    make_promises(3, f);
    struct wait w = {.n = 3, .f = f, .mode = WEFT_FIRST_ERROR};
    weft_task *t = begin_wait(&w);
    CHECK(weft_cancel(f[1])); /* is no failure */
    CHECK_EQUAL(weft_future_set_result(f[0], NULL), 0);
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_future_set_result(f[2], NULL), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(w.done, 3); /* none failed: all were waited for */
    put_all(3, f);
    return arg;
}

static void item_95_a_cancelled_one_is_no_error(void **state)
{
    (void)state;
    run_case(cancelled_main, NULL);
}

/* --- cancelled -------------------------------------------------------------------------------- */

static void *nothing_passed_main(void *arg)
{
    weft_future *f[MANY] = {NULL};
    size_t n = (size_t)(intptr_t)arg;
    make_promises(n, f);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct wait w = {.n = n, .f = f, .mode = modes[i]};
        weft_task *t = begin_wait(&w);
        CHECK(weft_cancel(t));
        CHECK_EQUAL(weft_join(t, NULL), 0);
        CHECK_EQUAL(w.done, -ECANCELED);
        CHECK_EQUAL(w.next_wait, -ECANCELED);
    }
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_wait(n, f, WEFT_ALL_COMPLETED), -ECANCELED);
    CHECK(!weft_done(f[0]));
    set_all(n, f);
    CHECK_EQUAL(weft_wait(n, f, WEFT_ALL_COMPLETED), n); /* satisfied at once */
    CHECK_EQUAL(weft_uncancel(), 0);
    put_all(n, f);
    return NULL;
}

static void item_49_a_cancel_ends_the_wait_and_passes_nothing_on(void **state)
{
    (void)state;
    run_case(nothing_passed_main, (void *)3);
    run_case(nothing_passed_main, (void *)MANY);
}

/* A cancelled task that asks until another has ended. */
static void *loop_main(void *arg)
{
    weft_future *f[1] = {weft_spawn(wait_task, arg)};
    CHECK(weft_cancel(weft_self()));
    while (weft_wait(1, f, WEFT_ALL_COMPLETED) < 0 || weft_shielded(f[0], NULL) < 0) {
        /* others have their turn */
    }
    CHECK_EQUAL(weft_uncancel(), 0);
    weft_put(f[0]);
    return NULL;
}

static void a_cancelled_loop_lets_others_run(void **state)
{
    (void)state;
    struct wait w = {.n = 0};
    run_case_alone(loop_main, &w);
}

/* --- shielded --------------------------------------------------------------------------------- */

struct inner {
    shared_int is_begun;
    shared_int may_end;
    int error;
};

static void *inner_task(void *arg)
{
    struct inner *in = arg;
    atomic_store_seq_cst(&in->is_begun, 1);
    while (atomic_load_seq_cst(&in->may_end) == 0) {
        int err = weft_yield();
        if (err < 0) {
            return weft_fail(err);
        }
    }
    return in->error < 0 ? weft_fail(in->error) : in;
}

struct shield {
    weft_future *f;
    shared_int is_begun;
    int err;
    void *result;
};

static void *shield_task(void *arg)
{
    struct shield *s = arg;
    atomic_store_seq_cst(&s->is_begun, 1);
    s->err = weft_shielded(s->f, &s->result);
    return NULL;
}

static weft_task *begin_shield(struct shield *s)
{
    weft_task *t = weft_spawn(shield_task, s);
    yield_until(&s->is_begun, 1);
    settle();
    return t;
}

static void *pass_main(void *arg)
{
    struct inner in = {.error = (int)(intptr_t)arg};
    struct shield s = {.f = weft_spawn(inner_task, &in)};
    weft_task *t = begin_shield(&s);
    atomic_store_seq_cst(&in.may_end, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(s.err, in.error);
    CHECK(s.result == (in.error < 0 ? NULL : &in));
    s.result = NULL;
    CHECK_EQUAL(weft_shielded(s.f, &s.result), in.error); /* 140 */
    CHECK(s.result == (in.error < 0 ? NULL : &in));
    weft_put(s.f);
    return NULL;
}

static void item_137_140_the_outcome_passes_through(void **state)
{
    (void)state;
    run_case(pass_main, (void *)0);
    run_case(pass_main, (void *)(intptr_t)-EIO);
}

static void *outer_main(void *arg)
{
    struct inner in = {.error = 0};
    struct shield s = {.f = weft_spawn(inner_task, &in)};
    weft_task *t = begin_shield(&s);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(s.err, -ECANCELED);
    CHECK(!weft_done(s.f)); /* it runs on to its end */
    atomic_store_seq_cst(&in.may_end, 1);
    void *result = NULL;
    CHECK_EQUAL(weft_join(s.f, &result), 0);
    CHECK(result == &in);
    return arg;
}

static void item_138_a_cancel_leaves_the_inner_task_running(void **state)
{
    (void)state;
    run_case(outer_main, NULL);
}

static void *cancel_inner_main(void *arg)
{
    struct inner in = {.error = 0};
    struct shield s = {.f = weft_spawn(inner_task, &in)};
    weft_task *t = begin_shield(&s);
    CHECK(weft_cancel(s.f));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(s.err, -ECANCELED);
    CHECK(weft_cancelled(s.f));
    weft_put(s.f);
    return arg;
}

static void item_139_a_cancel_of_the_inner_task_comes_through(void **state)
{
    (void)state;
    run_case(cancel_inner_main, NULL);
}

static void *report_main(void *arg)
{
    struct inner in = {.error = (int)(intptr_t)arg};
    struct shield s[2];
    weft_task *t[2];
    weft_task *inner = weft_spawn(inner_task, &in);
    for (int i = 0; i < 2; i++) {
        s[i] = (struct shield){.f = inner};
        t[i] = begin_shield(&s[i]);
        CHECK(weft_cancel(t[i]));
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
        CHECK_EQUAL(s[i].err, -ECANCELED);
    }
    atomic_store_seq_cst(&in.may_end, 1);
    while (!weft_done(inner)) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_put(inner);
    return NULL;
}

static int reports(int error)
{
    char text[512];
    FILE *file;
    capture_begin(&file);
    run_case(report_main, (void *)(intptr_t)error);
    return capture_end(&file, text, sizeof text);
}

static void item_142_143_144_an_error_left_behind_is_reported_once(void **state)
{
    (void)state;
    CHECK_EQUAL(reports(0), 0);
    CHECK_EQUAL(reports(-EIO), 1);
}

struct gathering {
    weft_future *f[2];
    shared_int is_begun;
    int err;
};

static void *gather_task(void *arg)
{
    struct gathering *g = arg;
    atomic_store_seq_cst(&g->is_begun, 1);
    g->err = weft_gather(2, g->f, NULL, NULL);
    return NULL;
}

static weft_task *begin_gather(struct gathering *g)
{
    weft_task *t = weft_spawn(gather_task, g);
    yield_until(&g->is_begun, 1);
    settle();
    return t;
}

static void *gather_shields_main(void *arg)
{
    weft_future *inner[2];
    make_promises(2, inner);
    struct shield s[2] = {{.f = inner[0]}, {.f = inner[1]}};
    struct gathering g = {.f = {begin_shield(&s[0]), begin_shield(&s[1])}};
    weft_task *t = begin_gather(&g);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(s[i].err, -ECANCELED);
        CHECK(!weft_done(inner[i]));
    }
    put_all(2, g.f);
    put_all(2, inner);
    return arg;
}

static void item_89_a_cancelled_gather_does_not_reach_through_shields(void **state)
{
    (void)state;
    run_case(gather_shields_main, NULL);
}

static void *shield_gather_main(void *arg)
{
    struct gathering g = {.err = 1};
    make_promises(2, g.f);
    struct shield s = {.f = begin_gather(&g)};
    weft_task *t = begin_shield(&s);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(s.err, -ECANCELED);
    CHECK(!weft_done(s.f));
    CHECK_EQUAL(weft_future_set_result(g.f[0], NULL), 0); /* neither was cancelled */
    CHECK_EQUAL(weft_future_set_result(g.f[1], NULL), 0);
    CHECK_EQUAL(weft_join(s.f, NULL), 0);
    CHECK_EQUAL(g.err, 0);
    put_all(2, g.f);
    return arg;
}

static void item_141_a_gather_can_be_shielded(void **state)
{
    (void)state;
    run_case(shield_gather_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_90_all_are_waited_for_and_their_errors_stay_theirs),
        cmocka_unit_test(item_91_the_same_twice_and_what_is_refused),
        cmocka_unit_test(item_92_94_the_first_one_ends_the_wait),
        cmocka_unit_test(item_93_all_that_are_done_count),
        cmocka_unit_test(item_95_a_cancelled_one_is_no_error),
        cmocka_unit_test(item_49_a_cancel_ends_the_wait_and_passes_nothing_on),
        cmocka_unit_test(a_cancelled_loop_lets_others_run),
        cmocka_unit_test(item_137_140_the_outcome_passes_through),
        cmocka_unit_test(item_138_a_cancel_leaves_the_inner_task_running),
        cmocka_unit_test(item_139_a_cancel_of_the_inner_task_comes_through),
        cmocka_unit_test(item_142_143_144_an_error_left_behind_is_reported_once),
        cmocka_unit_test(item_89_a_cancelled_gather_does_not_reach_through_shields),
        cmocka_unit_test(item_141_a_gather_can_be_shielded),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
