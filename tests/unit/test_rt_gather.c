/* SPDX-License-Identifier: MIT */
/*
 * Goal: weft_gather. Results in the order of the arguments, the first failure at once or all of
 * them, the cancel of the caller passed on to all that is pending; with a few children, and with so
 * many that the nodes are on the heap.
 *
 * The numbers are those of the list of behaviours that asyncio's own tests fix.
 */
#include "task_help.h"

enum { MANY = 40 }; /* more than the nodes on the stack */

static void *give_back(void *arg)
{
    return arg;
}

static void *yield_and_give_back(void *arg)
{
    for (intptr_t i = (intptr_t)arg % 5; i > 0; i--) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void *end_failed(void *error)
{
    return weft_fail((int)(intptr_t)error);
}

static void *sleep_for_ever(void *arg)
{
    int err = weft_sleep(WEFT_FOREVER);
    return err < 0 ? weft_fail(err) : arg;
}

static void *number(intptr_t n)
{
    return (void *)n;
}

static void put_all(size_t n, weft_future **f)
{
    for (size_t i = 0; i < n; i++) {
        weft_put(f[i]);
    }
}

/* --- success ---------------------------------------------------------------------------------- */

static void *order_main(void *arg)
{
    weft_future *f[MANY] = {NULL};
    void *results[MANY];
    int errors[MANY];
    for (size_t n = 0; n <= MANY; n += n < 20 ? 1 : 5) {
        for (size_t i = 0; i < n; i++) {
            f[i] = weft_spawn(i % 2 == 0 ? give_back : yield_and_give_back, number((intptr_t)i));
            results[i] = NULL;
            errors[i] = 1;
        }
        CHECK_EQUAL(weft_gather(n, f, results, arg == NULL ? NULL : errors), 0);
        for (size_t i = 0; i < n; i++) {
            CHECK(weft_done(f[i]));
            CHECK(results[i] == number((intptr_t)i));
            CHECK_EQUAL(errors[i], arg == NULL ? 1 : 0);
        }
        CHECK_EQUAL(weft_gather(n, f, NULL, arg == NULL ? NULL : errors), 0); /* all are done */
        put_all(n, f);
    }
    return NULL;
}

static void item_79_81_results_are_in_the_order_of_the_arguments(void **state)
{
    (void)state;
    run_case(order_main, NULL);
    run_case(order_main, "with errors");
}

static void *twice_main(void *arg)
{
    shared_int runs = 0;
    weft_future *p = weft_future_create();
    weft_task *t = weft_spawn(yield_and_give_back, number(3));
    weft_future *f[4] = {t, p, t, p};
    void *results[4] = {NULL};
    CHECK_EQUAL(weft_future_set_result(p, &runs), 0);
    CHECK_EQUAL(weft_gather(4, f, results, NULL), 0);
    CHECK(results[0] == number(3) && results[2] == number(3));
    CHECK(results[1] == &runs && results[3] == &runs);
    weft_put(t);
    weft_put(p);
    return arg;
}

static void item_80_one_that_is_given_twice_fills_both_places(void **state)
{
    (void)state;
    run_case(twice_main, NULL);
}

static void *set_it(void *f)
{
    settle();
    CHECK_EQUAL(weft_future_set_result(f, f), 0);
    weft_put(f);
    return NULL;
}

static void *set_it_on_a_thread(void *f)
{
    CHECK_EQUAL(weft_future_set_result(f, f), 0);
    weft_put(f);
    return NULL;
}

static void *mixed_main(void *arg)
{
    weft_future *f[3] = {weft_future_create(), weft_future_create(),
                         weft_spawn(yield_and_give_back, number(4))};
    void *results[3];
    CHECK_EQUAL(weft_go(set_it, weft_get(f[0])), 0);
    pthread_t thread = start_thread(set_it_on_a_thread, weft_get(f[1]));
    CHECK_EQUAL(weft_gather(3, f, results, NULL), 0);
    CHECK(results[0] == f[0] && results[1] == f[1] && results[2] == number(4));
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    put_all(3, f);
    return arg;
}

static void tasks_and_promises_are_gathered_alike(void **state)
{
    (void)state;
    run_case(mixed_main, NULL);
}

/* --- failure ---------------------------------------------------------------------------------- */

static void *first_main(void *arg)
{
    weft_future *gate = weft_future_create();
    weft_future *f[MANY];
    void *results[MANY];
    size_t n = (size_t)(intptr_t)arg;
    for (size_t i = 0; i < n; i++) {
        f[i] = i == 1 ? weft_spawn(end_failed, number(-EIO)) : weft_future_create();
        results[i] = &f;
    }
    CHECK_EQUAL(weft_gather(n, f, results, NULL), -EIO); /* while the others are pending */
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(weft_done(f[i]), i == 1);
        CHECK(results[i] == &f);
        if (i % 4 == 2) { /* consumed in silence */
            CHECK_EQUAL(weft_future_set_error(f[i], -EPIPE), 0);
        }
    }
    put_all(n, f);
    weft_put(gate);
    return NULL;
}

static void item_82_the_first_failure_is_returned_at_once(void **state)
{
    (void)state;
    char text[512];
    FILE *file;
    capture_begin(&file);
    run_case(first_main, number(3));
    run_case(first_main, number(MANY));
    CHECK_EQUAL(capture_end(&file, text, sizeof text), 0);
}

/* The one that fails first in time, not the first in the list. */
static void *in_time_main(void *arg)
{
    weft_future *f[3] = {weft_future_create(), weft_future_create(), weft_future_create()};
    CHECK_EQUAL(weft_go(set_it, weft_get(f[1])), 0);
    CHECK_EQUAL(weft_future_set_error(f[2], -EPIPE), 0);
    CHECK_EQUAL(weft_gather(3, f, NULL, NULL), -EPIPE);
    CHECK(!weft_done(f[0]));
    CHECK_EQUAL(weft_await(f[1], NULL), 0);
    CHECK_EQUAL(weft_future_set_error(f[0], -EIO), 0);
    CHECK_EQUAL(weft_gather(3, f, NULL, NULL), -EIO); /* both have failed: the first in the list */
    put_all(3, f);
    return arg;
}

static void the_first_failure_in_time_counts(void **state)
{
    (void)state;
    run_case(in_time_main, NULL);
}

static void *collect_main(void *arg)
{
    weft_future *f[5] = {
        weft_spawn(give_back, number(7)), weft_spawn(end_failed, number(-EIO)), NULL,
        weft_spawn(sleep_for_ever, NULL), weft_spawn(yield_and_give_back, number(4))};
    void *results[5];
    int errors[5];
    CHECK(weft_cancel(f[3]));
    for (int round = 0; round < 2; round++) {
        CHECK_EQUAL(weft_gather(5, f, round == 0 ? results : NULL, errors), 0);
        CHECK_EQUAL(errors[0], 0);
        CHECK_EQUAL(errors[1], -EIO);
        CHECK_EQUAL(errors[2], -ENOMEM);
        CHECK_EQUAL(errors[3], -ECANCELED);
        CHECK_EQUAL(errors[4], 0);
    }
    CHECK(results[0] == number(7) && results[4] == number(4));
    CHECK(results[1] == NULL && results[2] == NULL && results[3] == NULL);
    put_all(5, f);
    return arg;
}

static void item_83_84_every_outcome_is_stored(void **state)
{
    (void)state;
    run_case(collect_main, NULL);
}

static void *cancelled_child_main(void *arg)
{
    weft_future *f[2] = {weft_future_create(), weft_spawn(sleep_for_ever, NULL)};
    CHECK(weft_cancel(f[1]));
    CHECK_EQUAL(weft_gather(2, f, NULL, NULL), -ECANCELED);
    CHECK_EQUAL(weft_cancelling(), 0);
    CHECK(!weft_done(f[0]));
    CHECK_EQUAL(weft_gather(2, (weft_future *[]){f[0], NULL}, NULL, NULL), -ENOMEM);
    put_all(2, f);
    return arg;
}

static void item_84_a_cancelled_child_is_a_failure(void **state)
{
    (void)state;
    run_case(cancelled_child_main, NULL);
}

/* --- cancelled -------------------------------------------------------------------------------- */

struct stubborn {
    shared_int is_waiting;
    shared_int may_end;
    int requests;
    int error; /* it ends with; 0: with a value */
};

static void *clean_up(void *arg)
{
    struct stubborn *s = arg;
    atomic_add_seq_cst(&s->is_waiting, 1);
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    s->requests = weft_cancelling();
    CHECK_EQUAL(weft_uncancel(), 0);
    yield_until(&s->may_end, 1);
    return s->error < 0 ? weft_fail(s->error) : s;
}

struct gatherer {
    size_t n;
    weft_future **f;
    void **results;
    int *errors;
    shared_int is_begun;
    int gathered;
    int next_wait;
};

static void *gather_them(void *arg)
{
    struct gatherer *g = arg;
    atomic_store_seq_cst(&g->is_begun, 1);
    g->gathered = weft_gather(g->n, g->f, g->results, g->errors);
    g->next_wait = weft_yield();
    return NULL;
}

/* Cancel a gather of n stubborn children and a promise, and let them end. */
static void cancel_a_gather(size_t n, struct stubborn *s, struct gatherer *g)
{
    weft_task *t = weft_spawn(gather_them, g);
    for (size_t i = 0; i < n; i++) {
        yield_until(&s[i].is_waiting, 1);
    }
    yield_until(&g->is_begun, 1);
    settle();
    for (int i = 0; i < 3; i++) {
        CHECK(weft_cancel(t));
    }
    CHECK_EQUAL(weft_await(g->f[n], NULL), -ECANCELED); /* a promise ends at once */
    settle();
    for (size_t i = 0; i < n; i++) {
        CHECK(!weft_done(t)); /* as long as one of the children has not ended */
        atomic_store_seq_cst(&s[i].may_end, 1);
        int err = weft_await(g->f[i], NULL);
        CHECK_EQUAL(err, s[i].error);
        CHECK_EQUAL(s[i].requests, 1);
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(g->next_wait, -ECANCELED);
}

static void *broadcast_main(void *arg)
{
    static struct stubborn s[MANY];
    size_t n = (size_t)(intptr_t)arg;
    weft_future *f[MANY + 2];
    memset(s, 0, sizeof s);
    for (size_t i = 0; i < n; i++) {
        f[i] = weft_spawn(clean_up, &s[i]);
    }
    f[n] = weft_future_create();
    f[n + 1] = f[0]; /* twice, and yet it is passed on once */
    struct gatherer g = {.n = n + 2, .f = f};
    cancel_a_gather(n, s, &g);
    CHECK_EQUAL(g.gathered, -ECANCELED); /* the promise's outcome */
    put_all(n + 1, f);
    return NULL;
}

static void item_85_a_cancel_is_passed_on_to_all_and_they_are_waited_for(void **state)
{
    (void)state;
    run_case(broadcast_main, number(1));
    run_case(broadcast_main, number(5));
    run_case(broadcast_main, number(MANY));
}

static void *broadcast_errors_main(void *arg)
{
    struct stubborn s[3] = {{.error = 0}, {.error = -EIO}, {.error = -ECANCELED}};
    weft_future *f[4];
    void *results[4];
    int errors[4];
    for (size_t i = 0; i < 3; i++) {
        f[i] = weft_spawn(clean_up, &s[i]);
    }
    f[3] = weft_future_create();
    struct gatherer g = {.n = 4, .f = f, .results = results, .errors = errors};
    cancel_a_gather(3, s, &g);
    CHECK_EQUAL(g.gathered, -ECANCELED);
    CHECK(results[0] == &s[0] && errors[0] == 0);
    CHECK_EQUAL(errors[1], -EIO);
    CHECK_EQUAL(errors[2], -ECANCELED);
    CHECK_EQUAL(errors[3], -ECANCELED);
    put_all(4, f);
    return arg;
}

static void item_87_a_cancelled_gather_delivers_it_and_stores_all(void **state)
{
    (void)state;
    run_case(broadcast_errors_main, NULL);
}

/* Children that win in spite of the cancel: what they came to is the outcome. */
static void *won_main(void *arg)
{
    struct stubborn s[2] = {{.error = 0}, {.error = 0}};
    weft_future *f[2] = {weft_spawn(clean_up, &s[0]), weft_spawn(clean_up, &s[1])};
    void *results[2] = {NULL, NULL};
    int errors[2] = {1, 1};
    struct gatherer g = {.n = 2, .f = f, .results = results, .errors = arg == NULL ? NULL : errors};
    weft_task *t = weft_spawn(gather_them, &g);
    yield_until(&s[0].is_waiting, 1);
    yield_until(&s[1].is_waiting, 1);
    settle();
    CHECK(weft_cancel(t));
    atomic_store_seq_cst(&s[0].may_end, 1);
    atomic_store_seq_cst(&s[1].may_end, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(g.gathered, 0);
    CHECK_EQUAL(g.next_wait, -ECANCELED);
    CHECK(results[0] == &s[0] && results[1] == &s[1]);
    put_all(2, f);
    return NULL;
}

static void the_outcome_of_the_children_wins(void **state)
{
    (void)state;
    run_case(won_main, NULL);
    run_case(won_main, "with errors");
}

static void *cancelled_before_main(void *arg)
{
    weft_future *f[2] = {weft_spawn(give_back, number(1)), weft_spawn(sleep_for_ever, NULL)};
    CHECK_EQUAL(weft_await(f[0], NULL), 0);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_gather(1, f, NULL, NULL), 0); /* satisfied at once */
    CHECK_EQUAL(weft_gather(2, f, NULL, NULL), -ECANCELED);
    CHECK(weft_cancelled(f[1]));
    CHECK_EQUAL(weft_uncancel(), 0);
    put_all(2, f);
    return arg;
}

static void item_86_what_is_done_is_delivered_in_a_cancelled_task(void **state)
{
    (void)state;
    run_case(cancelled_before_main, NULL);
}

/* --- refused ---------------------------------------------------------------------------------- */

static void *try_to_gather(void *arg)
{
    struct gatherer *g = arg;
    g->gathered = weft_gather(g->n, g->f, NULL, NULL);
    return NULL;
}

static void *refused_main(void *arg)
{
    weft_future *f[2] = {weft_future_create(), weft_self()};
    CHECK_EQUAL(weft_gather(2, f, NULL, NULL), -EDEADLK);
    CHECK_EQUAL(weft_gather(1, NULL, NULL, NULL), -EINVAL);
    CHECK_EQUAL(weft_gather(0, NULL, NULL, NULL), 0);
    struct gatherer g = {.n = 2, .f = f};
    CHECK_EQUAL(weft_future_set_result(f[0], NULL), 0);
    CHECK_EQUAL(weft_join(weft_spawn(try_to_gather, &g), NULL), 0); /* what it is nested on */
    CHECK_EQUAL(g.gathered, -EDEADLK);
    weft_put(f[0]);
    return arg;
}

static void a_gather_of_oneself_is_refused(void **state)
{
    (void)state;
    run_case_alone(refused_main, NULL);
    CHECK_EQUAL(weft_gather(0, NULL, NULL, NULL), -EPERM);
}

/* --- nested ----------------------------------------------------------------------------------- */

static void *not_nested_main(void *arg)
{
    struct weft_metrics before;
    struct weft_metrics after;
    weft_future *f[3];
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &before), 0);
    for (int i = 0; i < 3; i++) {
        f[i] = weft_spawn(give_back, NULL);
    }
    CHECK_EQUAL(weft_gather(3, f, NULL, NULL), 0);
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &after), 0);
    CHECK_EQUAL(after.nested, before.nested);
    put_all(3, f);
    return arg;
}

static void children_are_not_run_on_the_callers_stack(void **state)
{
    (void)state;
    run_case(not_nested_main, NULL);
}

static void *two_runtimes_main(void *other)
{
    void *results[2];
    weft_future *f[2] = {weft_spawn(yield_and_give_back, number(3)), NULL};
    CHECK_EQUAL(weft_runtime_spawn(other, yield_and_give_back, number(4), &f[1]), 0);
    CHECK_EQUAL(weft_gather(2, f, results, NULL), 0);
    CHECK(results[0] == number(3) && results[1] == number(4));
    put_all(2, f);
    return NULL;
}

static void item_88_tasks_of_two_runtimes_are_gathered(void **state)
{
    (void)state;
    weft_runtime *other = create_runtime(NULL);
    run_case(two_runtimes_main, other);
    finish_runtime(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_79_81_results_are_in_the_order_of_the_arguments),
        cmocka_unit_test(item_80_one_that_is_given_twice_fills_both_places),
        cmocka_unit_test(tasks_and_promises_are_gathered_alike),
        cmocka_unit_test(item_88_tasks_of_two_runtimes_are_gathered),
        cmocka_unit_test(item_82_the_first_failure_is_returned_at_once),
        cmocka_unit_test(the_first_failure_in_time_counts),
        cmocka_unit_test(item_83_84_every_outcome_is_stored),
        cmocka_unit_test(item_84_a_cancelled_child_is_a_failure),
        cmocka_unit_test(item_85_a_cancel_is_passed_on_to_all_and_they_are_waited_for),
        cmocka_unit_test(item_87_a_cancelled_gather_delivers_it_and_stores_all),
        cmocka_unit_test(the_outcome_of_the_children_wins),
        cmocka_unit_test(item_86_what_is_done_is_delivered_in_a_cancelled_task),
        cmocka_unit_test(a_gather_of_oneself_is_refused),
        cmocka_unit_test(children_are_not_run_on_the_callers_stack),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
