/* SPDX-License-Identifier: MIT */
/*
 * Goal: weft_as_completed. Each future once, in the order in which they end; several takers; a
 * taker that fails has taken nothing.
 *
 * The numbers are those of the list of behaviours that asyncio's own tests fix.
 */
#include "task_help.h"

enum { FEW = 5, MANY = 40 }; /* MANY: more than the nodes in the structure */

static void make_promises(size_t n, weft_future **f)
{
    for (size_t i = 0; i < n; i++) {
        f[i] = weft_future_create();
        CHECK(f[i] != NULL);
    }
}

static void put_all(size_t n, weft_future **f)
{
    for (size_t i = 0; i < n; i++) {
        weft_put(f[i]);
    }
}

/* The next one, which has to be there. */
static weft_future *next_of(struct weft_as_completed *it)
{
    weft_future *f = NULL;
    CHECK_EQUAL(weft_as_completed_next(it, &f), 0);
    return f;
}

static void check_end(struct weft_as_completed *it)
{
    weft_future *f = NULL;
    CHECK_EQUAL(weft_as_completed_next(it, &f), -ENODATA);
    CHECK_EQUAL(weft_as_completed_next(it, &f), -ENODATA);
    CHECK(f == NULL);
}

/* --- order ------------------------------------------------------------------------------------ */

static void *order_main(void *arg)
{
    struct weft_as_completed it;
    weft_future *f[MANY] = {NULL};
    size_t n = (size_t)(intptr_t)arg;
    make_promises(n, f);
    CHECK_EQUAL(weft_future_set_result(f[n - 1], NULL), 0); /* before the begin */
    CHECK_EQUAL(weft_as_completed_init(&it, n, f), 0);
    CHECK(next_of(&it) == f[n - 1]);
    for (size_t i = 0; i < n - 1; i += 2) { /* the even ones, then the odd ones */
        CHECK_EQUAL(weft_future_set_error(f[i], -EIO), 0);
        CHECK_EQUAL(weft_result(f[i], NULL), -EIO);
    }
    for (size_t i = 1; i < n - 1; i += 2) {
        CHECK_EQUAL(weft_future_set_result(f[i], NULL), 0);
    }
    for (size_t i = 0; i < n - 1; i += 2) {
        CHECK(next_of(&it) == f[i]);
    }
    for (size_t i = 1; i < n - 1; i += 2) {
        CHECK(next_of(&it) == f[i]);
        weft_put(f[i]); /* it is the taker's now */
        f[i] = NULL;
    }
    check_end(&it);
    put_all(n, f);
    return NULL;
}

static void item_98_99_they_come_in_the_order_in_which_they_end(void **state)
{
    (void)state;
    run_case(order_main, (void *)FEW);
    run_case(order_main, (void *)MANY);
}

static void *sleep_for(void *ms)
{
    int err = weft_sleep((intptr_t)ms * 5 * WEFT_MS);
    return err < 0 ? weft_fail(err) : ms;
}

static void *tasks_main(void *arg)
{
    static const intptr_t delays[] = {4, 1, 3, 0, 2};
    struct weft_as_completed it;
    weft_future *f[FEW];
    for (int i = 0; i < FEW; i++) {
        f[i] = weft_spawn(sleep_for, (void *)delays[i]);
    }
    CHECK_EQUAL(weft_as_completed_init(&it, FEW, f), 0);
    unsigned met = 0;
    for (int i = 0; i < FEW; i++) {
        void *delay = NULL;
        CHECK_EQUAL(weft_join(next_of(&it), &delay), 0);
        met |= 1u << (intptr_t)delay;
    }
    CHECK_EQUAL(met, (1u << FEW) - 1);
    check_end(&it);
    return arg;
}

static void each_task_is_handed_out_once(void **state)
{
    (void)state;
    run_case(tasks_main, NULL);
}

/* --- takers ----------------------------------------------------------------------------------- */

struct taker {
    struct weft_as_completed *it;
    shared_int is_begun;
    int err;
    weft_future *got;
};

static void *take_one(void *arg)
{
    struct taker *t = arg;
    atomic_store_seq_cst(&t->is_begun, 1);
    t->err = weft_as_completed_next(t->it, &t->got);
    return NULL;
}

static weft_task *begin_to_take(struct taker *t)
{
    weft_task *task = weft_spawn(take_one, t);
    yield_until(&t->is_begun, 1);
    settle();
    return task;
}

/* Five takers of three: first come, first served, and the others are told. */
static void *takers_main(void *arg)
{
    struct weft_as_completed it;
    weft_future *f[3];
    struct taker t[5];
    weft_task *task[5];
    make_promises(3, f);
    CHECK_EQUAL(weft_as_completed_init(&it, 3, f), 0);
    for (int i = 0; i < 5; i++) {
        t[i] = (struct taker){.it = &it};
        task[i] = begin_to_take(&t[i]);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(!weft_done(task[i]));
        CHECK_EQUAL(weft_future_set_result(f[2 - i], NULL), 0);
        CHECK_EQUAL(weft_join(task[i], NULL), 0);
        CHECK_EQUAL(t[i].err, 0);
        CHECK(t[i].got == f[2 - i]);
    }
    for (int i = 3; i < 5; i++) {
        CHECK_EQUAL(weft_join(task[i], NULL), 0);
        CHECK_EQUAL(t[i].err, -ENODATA);
    }
    check_end(&it);
    put_all(3, f);
    return arg;
}

static void item_102_several_take_first_come_first_served(void **state)
{
    (void)state;
    run_case(takers_main, NULL);
}

static void *cancelled_main(void *arg)
{
    struct weft_as_completed it;
    weft_future *f[MANY] = {NULL};
    size_t n = (size_t)(intptr_t)arg;
    make_promises(n, f);
    CHECK_EQUAL(weft_as_completed_init(&it, n, f), 0);
    struct taker t[2] = {{.it = &it}, {.it = &it}};
    weft_task *task[2] = {begin_to_take(&t[0]), begin_to_take(&t[1])};
    CHECK(weft_cancel(task[0]));
    CHECK_EQUAL(weft_join(task[0], NULL), 0);
    CHECK_EQUAL(t[0].err, -ECANCELED);
    CHECK(!weft_done(f[0])); /* nothing is passed on */
    CHECK_EQUAL(weft_future_set_result(f[0], NULL), 0);
    CHECK_EQUAL(weft_join(task[1], NULL), 0);
    CHECK(t[1].got == f[0]); /* it goes to the next one */

    CHECK(weft_cancel(weft_self()));
    weft_future *got = NULL;
    CHECK_EQUAL(weft_as_completed_next(&it, &got), -ECANCELED);
    CHECK_EQUAL(weft_future_set_result(f[1], NULL), 0);
    CHECK(next_of(&it) == f[1]); /* satisfied at once; 101: it goes on where it was */
    CHECK_EQUAL(weft_as_completed_next(&it, &got), -ECANCELED);
    CHECK_EQUAL(weft_uncancel(), 0);
    for (size_t i = 2; i < n; i++) {
        CHECK_EQUAL(weft_future_set_result(f[i], NULL), 0);
        CHECK(next_of(&it) == f[i]);
    }
    check_end(&it);
    put_all(n, f);
    return NULL;
}

static void item_101_a_call_that_fails_has_taken_nothing(void **state)
{
    (void)state;
    run_case(cancelled_main, (void *)FEW);
    run_case(cancelled_main, (void *)MANY);
}

/* --- given up --------------------------------------------------------------------------------- */

static void *given_up_main(void *arg)
{
    struct weft_as_completed it;
    weft_future *f[MANY] = {NULL};
    size_t n = (size_t)(intptr_t)arg;
    for (size_t taken = 0; taken <= n; taken += n / 5) {
        make_promises(n, f);
        CHECK_EQUAL(weft_as_completed_init(&it, n, f), 0);
        for (size_t i = 0; i < taken; i++) {
            CHECK_EQUAL(weft_future_set_result(f[i], NULL), 0);
            CHECK(next_of(&it) == f[i]);
            weft_put(f[i]); /* gone: it must not be looked at */
            f[i] = NULL;
        }
        if (taken < n) {
            CHECK_EQUAL(weft_future_set_result(f[taken], NULL), 0); /* done and not handed out */
        }
        weft_as_completed_fini(&it);
        weft_as_completed_fini(&it);
        check_end(&it);
        for (size_t i = taken + 1; i < n; i++) {
            CHECK_EQUAL(weft_future_set_result(f[i], NULL), 0); /* nobody listens any more */
        }
        put_all(n, f);
    }
    return NULL;
}

static void an_iteration_can_be_given_up(void **state)
{
    (void)state;
    run_case(given_up_main, (void *)FEW);
    run_case(given_up_main, (void *)MANY);
}

static void *make_some(void *arg)
{
    make_promises(FEW, arg);
    return NULL;
}

/* The last reference to them takes their memory, as their runtime is gone. */
static void *gone_main(void *arg)
{
    weft_future **f = arg;
    struct weft_as_completed it;
    weft_future *watched[FEW + 1];
    memcpy(watched, f, FEW * sizeof *f);
    watched[FEW] = weft_future_create();
    CHECK_EQUAL(weft_as_completed_init(&it, FEW + 1, watched), 0);
    for (int i = 0; i < FEW; i++) {
        CHECK_EQUAL(weft_future_set_result(f[i], NULL), 0);
    }
    for (int i = 0; i < FEW; i++) {
        weft_put(next_of(&it));
    }
    weft_as_completed_fini(&it);
    weft_put(watched[FEW]);
    return NULL;
}

static void what_was_handed_out_is_not_looked_at(void **state)
{
    (void)state;
    weft_future *f[FEW];
    run_case(make_some, f);
    run_case(gone_main, f);
}

/* --- what may be given ------------------------------------------------------------------------ */

static void *twice_main(void *arg)
{
    struct weft_as_completed it;
    weft_future *f[3 * MANY];
    size_t n = (size_t)(intptr_t)arg;
    make_promises(n, f);
    for (size_t i = n; i < 3 * n; i++) {
        f[i] = f[i % n];
    }
    CHECK_EQUAL(weft_future_set_result(f[0], NULL), 0);
    CHECK_EQUAL(weft_as_completed_init(&it, 3 * n, f), 0);
    for (size_t i = 1; i < n; i++) {
        CHECK_EQUAL(weft_future_set_result(f[i], NULL), 0);
    }
    for (size_t i = 0; i < n; i++) {
        CHECK(next_of(&it) == f[i]);
    }
    check_end(&it);
    put_all(n, f);
    return NULL;
}

static void item_103_the_same_twice_comes_once(void **state)
{
    (void)state;
    run_case(twice_main, (void *)2);
    run_case(twice_main, (void *)FEW);
    run_case(twice_main, (void *)MANY);
}

static void *odd_main(void *arg)
{
    struct weft_as_completed it;
    weft_future *f[3] = {NULL, weft_future_create(), NULL};
    CHECK_EQUAL(weft_as_completed_init(&it, 0, NULL), 0);
    check_end(&it);
    CHECK_EQUAL(weft_as_completed_init(&it, 3, f), 0);
    CHECK(next_of(&it) == NULL); /* one that could not be made has failed */
    CHECK(next_of(&it) == NULL);
    CHECK_EQUAL(weft_future_set_result(f[1], NULL), 0);
    CHECK(next_of(&it) == f[1]);
    check_end(&it);
    weft_put(f[1]);
    f[0] = weft_self();
    CHECK_EQUAL(weft_as_completed_init(&it, 1, f), -EDEADLK);
    weft_as_completed_fini(&it);
    check_end(&it);
    CHECK_EQUAL(weft_as_completed_init(&it, 1, NULL), -EINVAL);
    CHECK_EQUAL(weft_as_completed_init(NULL, 0, NULL), -EINVAL);
    return arg;
}

static void nothing_oneself_and_null(void **state)
{
    (void)state;
    run_case(odd_main, NULL);
    struct weft_as_completed it;
    weft_future *f;
    CHECK_EQUAL(weft_as_completed_init(&it, 0, NULL), -EPERM);
    weft_as_completed_fini(&it);
    CHECK_EQUAL(weft_as_completed_next(&it, &f), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_98_99_they_come_in_the_order_in_which_they_end),
        cmocka_unit_test(each_task_is_handed_out_once),
        cmocka_unit_test(item_102_several_take_first_come_first_served),
        cmocka_unit_test(item_101_a_call_that_fails_has_taken_nothing),
        cmocka_unit_test(an_iteration_can_be_given_up),
        cmocka_unit_test(what_was_handed_out_is_not_looked_at),
        cmocka_unit_test(item_103_the_same_twice_comes_once),
        cmocka_unit_test(nothing_oneself_and_null),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
