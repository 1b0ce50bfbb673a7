/* SPDX-License-Identifier: MIT */
/*
 * The mutex: who gets it and in which order, what a cancel does to one who waits for it, and what
 * is refused.
 */
#include "task_help.h"

/* What the tasks of a case share; each is one of `each`. */
static struct weft_mutex mutex;
static shared_int arrived;
static shared_int order_next;

struct each {
    int number;
    int got;   /* what the lock returned */
    int place; /* in the order in which they had it; from 1 on */
};

static void *lock_and_unlock(void *arg)
{
    struct each *e = arg;
    atomic_add_seq_cst(&arrived, 1);
    e->got = weft_mutex_lock(&mutex);
    if (e->got == 0) {
        e->place = atomic_add_seq_cst(&order_next, 1) + 1;
        CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    }
    return NULL;
}

static void begin(void)
{
    mutex = (struct weft_mutex)WEFT_MUTEX_INIT;
    atomic_store_seq_cst(&arrived, 0);
    atomic_store_seq_cst(&order_next, 0);
}

/* Spawn one, and let it go as far as it gets. */
static weft_task *spawn_waiter(struct each *e)
{
    int before = atomic_load_seq_cst(&arrived);
    weft_task *t = weft_spawn(lock_and_unlock, e);
    CHECK(t != NULL);
    yield_until(&arrived, before + 1);
    settle();
    return t;
}

/* ---- order, on one worker ---- */

static void *waiters_in_order(void *arg)
{
    enum { WAITERS = 3 };

    struct each each[WAITERS + 1] = {{0, 0, 0}};
    weft_task *tasks[WAITERS + 1];
    begin();
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    for (int i = 0; i < WAITERS; i++) {
        tasks[i] = spawn_waiter(&each[i]);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&order_next), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_mutex_trylock(&mutex), -EAGAIN); /* it is the first waiter's */
    tasks[WAITERS] = weft_spawn(lock_and_unlock, &each[WAITERS]);
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0); /* and the caller's after theirs */
    CHECK_EQUAL(atomic_load_seq_cst(&order_next), WAITERS);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    for (int i = 0; i <= WAITERS; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK_EQUAL(each[i].got, 0);
        CHECK_EQUAL(each[i].place, i + 1);
    }
    return arg;
}

static void item_167_first_come_first_served(void **state)
{
    (void)state;
    run_case_alone(waiters_in_order, NULL);
}

static void *holder_that_returns(void *arg)
{
    struct each each[2] = {{0, 0, 0}};
    begin();
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    weft_task *first = spawn_waiter(&each[0]);
    weft_task *second = spawn_waiter(&each[1]);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    /* It has been given to the first, which has not run: a newcomer waits behind both. */
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    CHECK_EQUAL(each[0].place, 1);
    CHECK_EQUAL(each[1].place, 2);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(weft_join(second, NULL), 0);
    return arg;
}

static void item_168_a_newcomer_queues_behind(void **state)
{
    (void)state;
    run_case_alone(holder_that_returns, NULL);
}

/* ---- cancels ---- */

static void *cancel_before_unlock(void *arg)
{
    struct each each[3] = {{0, 0, 0}};
    weft_task *tasks[3];
    begin();
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    for (int i = 0; i < 3; i++) {
        tasks[i] = spawn_waiter(&each[i]);
    }
    CHECK(weft_cancel(tasks[0]));
    CHECK_EQUAL(weft_join(tasks[0], NULL), 0); /* it leaves, though the mutex is locked */
    CHECK_EQUAL(each[0].got, -ECANCELED);
    CHECK(weft_cancel(tasks[1]));
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0); /* before that one has run */
    CHECK_EQUAL(weft_join(tasks[1], NULL), 0);
    CHECK_EQUAL(weft_join(tasks[2], NULL), 0);
    /* On several workers it may have come to the mutex only now. */
    CHECK(each[1].got == -ECANCELED || (each[1].got == 0 && arg == NULL));
    CHECK_EQUAL(each[2].got, 0);
    CHECK_EQUAL(weft_mutex_trylock(&mutex), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    return arg;
}

static void item_169_a_cancelled_waiter_is_passed_over(void **state)
{
    (void)state;
    run_case_alone(cancel_before_unlock, &mutex);
    run_case(cancel_before_unlock, NULL);
}

static void *cancel_after_unlock(void *arg)
{
    struct each each[2] = {{0, 0, 0}};
    begin();
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    weft_task *first = spawn_waiter(&each[0]);
    weft_task *second = spawn_waiter(&each[1]);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    (void)weft_cancel(first); /* on one worker, chosen and not yet running */
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(weft_join(second, NULL), 0);
    /* What was given is had. On several workers it may not have been. */
    CHECK(each[0].got == 0 || (each[0].got == -ECANCELED && arg == NULL));
    CHECK_EQUAL(each[1].got, 0);
    return arg;
}

static void item_170_171_cancelled_after_it_was_chosen(void **state)
{
    (void)state;
    run_case_alone(cancel_after_unlock, &mutex);
    run_case(cancel_after_unlock, NULL);
}

static void *lock_when_cancelled(void *arg)
{
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0); /* free: had at once */
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    atomic_add_seq_cst(&arrived, 1);
    spin_until(&arrived, 2);
    CHECK_EQUAL(weft_mutex_lock(&mutex), -ECANCELED);
    CHECK_EQUAL(weft_mutex_trylock(&mutex), -EAGAIN);
    atomic_add_seq_cst(&arrived, 1);
    int err = weft_mutex_lock_shielded(&mutex);
    CHECK_EQUAL(err, 0);
    CHECK_EQUAL(weft_cancelling(), 1);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    return arg;
}

static void *entry_rule(void *arg)
{
    begin();
    weft_task *t = weft_spawn(lock_when_cancelled, NULL);
    yield_until(&arrived, 1);
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    atomic_add_seq_cst(&arrived, 1);
    yield_until(&arrived, 3);
    settle();
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void *time_out(void *arg)
{
    struct weft_scope s;
    atomic_add_seq_cst(&arrived, 1);
    spin_until(&arrived, 2);
    weft_scope_enter(&s, WEFT_MS);
    CHECK_EQUAL(weft_mutex_lock(&mutex), -ETIMEDOUT); /* while it waits */
    CHECK_EQUAL(weft_mutex_lock(&mutex), -ETIMEDOUT); /* where it would wait */
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    weft_scope_enter(&s, 0);
    atomic_add_seq_cst(&arrived, 1);
    CHECK_EQUAL(weft_mutex_lock_shielded(&mutex), 0); /* waits, and is not cut short */
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0); /* free: had at once, and no wait has failed */
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_scope_exit(&s), 0);
    return arg;
}

static void *scopes(void *arg)
{
    begin();
    weft_task *t = weft_spawn(time_out, NULL);
    yield_until(&arrived, 1);
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    atomic_add_seq_cst(&arrived, 1);
    yield_until(&arrived, 3);
    settle();
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

/* With two workers at least: a task spins until another has come to some place. */
static void run_case_of_two(weft_fn fn)
{
    const char *workers = getenv("WEFT_WORKERS");
    struct weft_options options = {.workers = 2};
    options.workers = workers != NULL && atoi(workers) > 2 ? (unsigned)atoi(workers) : 2;
    run_case_with(&options, fn, NULL);
}

static void a_cancelled_task_gets_what_is_free(void **state)
{
    (void)state;
    run_case_of_two(entry_rule);
}

static void a_timeout_ends_the_wait(void **state)
{
    (void)state;
    run_case_of_two(scopes);
}

static void *shielded(void *arg)
{
    struct each *e = arg;
    atomic_add_seq_cst(&arrived, 1);
    e->got = weft_mutex_lock_shielded(&mutex);
    e->place = weft_cancelling();
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    return NULL;
}

static void *cancel_shielded(void *arg)
{
    struct each each = {0, -1, 0};
    begin();
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    weft_task *t = weft_spawn(shielded, &each);
    yield_until(&arrived, 1);
    settle();
    CHECK(weft_cancel(t));
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(each.got, 0);
    CHECK_EQUAL(each.place, 1);
    return arg;
}

static void a_shielded_lock_is_not_cut_short(void **state)
{
    (void)state;
    run_case(cancel_shielded, NULL);
}

/* ---- what is refused ---- */

static void *unlock_of_others(void *arg)
{
    CHECK_EQUAL(weft_mutex_unlock(&mutex), -EPERM);
    CHECK_EQUAL(weft_mutex_trylock(&mutex), -EAGAIN);
    return arg;
}

static void *refusals(void *arg)
{
    begin();
    CHECK_EQUAL(weft_mutex_unlock(&mutex), -EPERM); /* it is free, and stays so */
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    CHECK_EQUAL(weft_mutex_lock(&mutex), -EDEADLK);
    CHECK_EQUAL(weft_mutex_lock_shielded(&mutex), -EDEADLK);
    CHECK_EQUAL(weft_mutex_trylock(&mutex), -EAGAIN);
    CHECK_EQUAL(weft_join(weft_spawn(unlock_of_others, NULL), NULL), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), -EPERM);
    return arg;
}

static void item_172_173_unlock_by_another_is_refused(void **state)
{
    (void)state;
    run_case(refusals, NULL);
}

static void outside_a_task_it_is_refused(void **state)
{
    (void)state;
    begin();
    assert_int_equal(weft_mutex_lock(&mutex), -EPERM);
    assert_int_equal(weft_mutex_lock_shielded(&mutex), -EPERM);
    assert_int_equal(weft_mutex_trylock(&mutex), -EPERM);
    assert_int_equal(weft_mutex_unlock(&mutex), -EPERM);
}

/* ---- memory and fairness ---- */

struct counted {
    struct weft_mutex mutex;
    int users;
};

static void *use_and_drop(void *arg)
{
    struct counted *c = arg;
    CHECK_EQUAL(weft_mutex_lock(&c->mutex), 0);
    bool is_last = --c->users == 0;
    CHECK_EQUAL(weft_mutex_unlock(&c->mutex), 0);
    if (is_last) {
        free(c);
    }
    return NULL;
}

static void *last_one_frees(void *arg)
{
    enum { USERS = 4 };

    for (size_t round = 0; test_goes_on(round, test_scaled(500, 50)); round++) {
        struct counted *c = calloc(1, sizeof(*c));
        weft_task *tasks[USERS];
        c->users = USERS;
        for (int i = 0; i < USERS; i++) {
            tasks[i] = weft_spawn(use_and_drop, c);
        }
        for (int i = 0; i < USERS; i++) {
            CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        }
    }
    return arg;
}

static void the_last_user_may_free_it(void **state)
{
    (void)state;
    run_case(last_one_frees, NULL);
}

static shared_int greedy_stop;

static void *greedy(void *arg)
{
    while (atomic_load_seq_cst(&greedy_stop) == 0) {
        CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
        CHECK_EQUAL(weft_yield(), 0); /* so whoever wants it finds it locked */
        CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    }
    return arg;
}

static void *against_greedy(void *arg)
{
    enum { GREEDY = 3, TIMES = 50 };

    weft_task *tasks[GREEDY];
    begin();
    atomic_store_seq_cst(&greedy_stop, 0);
    for (int i = 0; i < GREEDY; i++) {
        tasks[i] = weft_spawn(greedy, NULL);
    }
    for (int i = 0; i < TIMES; i++) {
        CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
        CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
        CHECK_EQUAL(weft_yield(), 0);
    }
    atomic_store_seq_cst(&greedy_stop, 1);
    for (int i = 0; i < GREEDY; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    return arg;
}

static void nobody_is_starved(void **state)
{
    (void)state;
    run_case(against_greedy, NULL);
}

/* ---- two runtimes ---- */

static void *count_locked(void *count)
{
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
        int before = *(int *)count;
        CHECK_EQUAL(weft_yield(), 0);
        *(int *)count = before + 1;
        CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    }
    return NULL;
}

static void item_174_tasks_of_two_runtimes_share_it(void **state)
{
    (void)state;
    int count = 0;
    weft_runtime *rt[2] = {create_runtime(NULL), create_runtime(NULL)};
    begin();
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_runtime_spawn(rt[i % 2], count_locked, &count, NULL), 0);
    }
    finish_runtime(rt[0]);
    finish_runtime(rt[1]);
    assert_int_equal(count, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_167_first_come_first_served),
        cmocka_unit_test(item_168_a_newcomer_queues_behind),
        cmocka_unit_test(item_169_a_cancelled_waiter_is_passed_over),
        cmocka_unit_test(item_170_171_cancelled_after_it_was_chosen),
        cmocka_unit_test(a_cancelled_task_gets_what_is_free),
        cmocka_unit_test(a_timeout_ends_the_wait),
        cmocka_unit_test(a_shielded_lock_is_not_cut_short),
        cmocka_unit_test(item_172_173_unlock_by_another_is_refused),
        cmocka_unit_test(outside_a_task_it_is_refused),
        cmocka_unit_test(the_last_user_may_free_it),
        cmocka_unit_test(nobody_is_starved),
        cmocka_unit_test(item_174_tasks_of_two_runtimes_share_it),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
