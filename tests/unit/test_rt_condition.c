/* SPDX-License-Identifier: MIT */
/* The condition: whom a notify wakes, who has the mutex when, and what a cancel does. */
#include "task_help.h"

static struct weft_mutex mutex;
static struct weft_cond cond;
static int waiting;  /* under the mutex */
static int returned; /* under the mutex */
static bool is_true; /* under the mutex */

struct each {
    int got;
    int place;      /* in the order in which they returned; from 1 on */
    int cancelling; /* requests it saw then */
};

static void *wait_for_notify(void *arg)
{
    struct each *e = arg;
    CHECK_EQUAL(weft_mutex_lock_shielded(&mutex), 0);
    waiting++;
    e->got = weft_cond_wait(&cond, &mutex);
    e->place = ++returned; /* which needs the mutex */
    e->cancelling = weft_cancelling();
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    return NULL;
}

static void begin(void)
{
    mutex = (struct weft_mutex)WEFT_MUTEX_INIT;
    cond = (struct weft_cond)WEFT_COND_INIT;
    waiting = 0;
    returned = 0;
    is_true = false;
}

static void lock(void)
{
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
}

static void unlock(void)
{
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
}

/* Let others run until so many wait, or have returned: both are told under the mutex, which a
 * waiter gives up only when it is in the queue. */
static void await_count(const int *count, int at_least)
{
    for (;;) {
        lock();
        int now = *count;
        unlock();
        if (now >= at_least) {
            return;
        }
        CHECK_EQUAL(weft_yield(), 0);
    }
}

static weft_task *spawn_waiter(struct each *e)
{
    int before = waiting;
    weft_task *t = weft_spawn(wait_for_notify, e);
    CHECK(t != NULL);
    await_count(&waiting, before + 1);
    return t;
}

static bool holds(void *arg)
{
    return *(bool *)arg;
}

static void *refusals(void *arg)
{
    struct each each = {0, 0, 0};
    begin();
    CHECK_EQUAL(weft_cond_wait(&cond, &mutex), -EPERM);
    CHECK_EQUAL(weft_cond_wait_for(&cond, &mutex, holds, &is_true), -EPERM);
    is_true = true;
    CHECK_EQUAL(weft_cond_wait_for(&cond, &mutex, holds, &is_true), 0);
    CHECK_EQUAL(weft_cond_notify(&cond, 1), 0); /* there is nobody */
    weft_task *t = spawn_waiter(&each);
    CHECK_EQUAL(weft_cond_notify(&cond, 1), -EPERM);
    CHECK_EQUAL(weft_cond_notify_all(&cond), -EPERM);
    struct weft_mutex other = WEFT_MUTEX_INIT;
    CHECK_EQUAL(weft_mutex_lock(&other), 0);
    CHECK_EQUAL(weft_cond_wait(&cond, &other), -EINVAL);
    CHECK_EQUAL(weft_mutex_unlock(&other), 0);
    lock();
    CHECK_EQUAL(weft_cond_notify(&cond, 1), 0);
    unlock();
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(each.got, 0);
    return arg;
}

static void item_179_without_the_mutex_it_is_refused(void **state)
{
    (void)state;
    run_case(refusals, NULL);
    assert_int_equal(weft_cond_wait(&cond, &mutex), -EPERM);
}

static void *notify_some(void *arg)
{
    enum { WAITERS = 5 };

    struct each each[WAITERS] = {{0, 0, 0}};
    weft_task *tasks[WAITERS];
    begin();
    for (int i = 0; i < WAITERS; i++) {
        tasks[i] = spawn_waiter(&each[i]);
    }
    lock();
    CHECK_EQUAL(weft_cond_notify(&cond, 2), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(returned, 0); /* they wait for the mutex */
    unlock();
    await_count(&returned, 2);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    lock();
    CHECK_EQUAL(returned, 2); /* and nobody else */
    CHECK_EQUAL(weft_cond_notify(&cond, 1), 0);
    CHECK_EQUAL(weft_cond_notify(&cond, 0), 0);
    CHECK_EQUAL(weft_cond_notify_all(&cond), 0);
    unlock();
    for (int i = 0; i < WAITERS; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK_EQUAL(each[i].got, 0);
        CHECK(arg == NULL || each[i].place == i + 1);
    }
    return NULL;
}

static void item_180_181_notify(void **state)
{
    (void)state;
    run_case_alone(notify_some, &cond); /* in their order */
    run_case(notify_some, NULL);
}

static void *cancel_waiters(void *arg)
{
    struct each each[2] = {{0, 0, 0}};
    begin();
    weft_task *first = spawn_waiter(&each[0]);
    weft_task *second = spawn_waiter(&each[1]);
    lock();
    CHECK(weft_cancel(first));
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(returned, 0); /* it has to lock the mutex first */
    CHECK_EQUAL(weft_cond_notify(&cond, 1), 0); /* so this is for the other */
    unlock();
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(weft_join(second, NULL), 0);
    CHECK_EQUAL(each[0].got, -ECANCELED);
    CHECK_EQUAL(each[0].cancelling, 1);
    CHECK_EQUAL(each[1].got, 0);
    return arg;
}

static void item_182_the_mutex_is_held_when_cancelled(void **state)
{
    (void)state;
    run_case(cancel_waiters, NULL);
}

static void *cancel_when_cancelled(void *arg)
{
    begin();
    CHECK(weft_cancel(weft_self()));
    lock();
    CHECK_EQUAL(weft_cond_wait(&cond, &mutex), -ECANCELED);
    CHECK_EQUAL(weft_cond_wait_for(&cond, &mutex, holds, &is_true), -ECANCELED);
    is_true = true;
    CHECK_EQUAL(weft_cond_wait_for(&cond, &mutex, holds, &is_true), 0);
    unlock();
    CHECK_EQUAL(weft_uncancel(), 0);
    return arg;
}

static void a_cancelled_task_does_not_wait(void **state)
{
    (void)state;
    run_case(cancel_when_cancelled, NULL);
}

static void *cancel_notified(void *arg)
{
    struct each each[2] = {{0, 0, 0}};
    begin();
    weft_task *first = spawn_waiter(&each[0]);
    weft_task *second = spawn_waiter(&each[1]);
    lock();
    CHECK_EQUAL(weft_cond_notify(&cond, 1), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_yield(), 0); /* maybe it waits for the mutex already */
    }
    CHECK(weft_cancel(first));
    unlock();
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(each[0].got, 0); /* it has had the notify, and says so */
    CHECK_EQUAL(each[0].cancelling, 1);
    lock();
    CHECK_EQUAL(returned, 1);
    CHECK_EQUAL(weft_cond_notify(&cond, 1), 0);
    unlock();
    CHECK_EQUAL(weft_join(second, NULL), 0);
    CHECK_EQUAL(each[1].got, 0);
    return arg;
}

static void item_183_184_cancelled_after_the_notify(void **state)
{
    (void)state;
    run_case(cancel_notified, NULL);
}

static void *wait_for_true(void *arg)
{
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    waiting++;
    int err = weft_cond_wait_for(&cond, &mutex, holds, &is_true);
    CHECK_EQUAL(err, 0);
    CHECK(is_true);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    return arg;
}

static void *predicate(void *arg)
{
    begin();
    weft_task *t = weft_spawn(wait_for_true, NULL);
    await_count(&waiting, 1);
    for (int i = 0; i < 3; i++) {
        lock();
        CHECK_EQUAL(weft_cond_notify_all(&cond), 0); /* it is not true yet */
        unlock();
        CHECK_EQUAL(weft_yield(), 0);
        CHECK(!weft_done(t));
    }
    lock();
    is_true = true;
    CHECK_EQUAL(weft_cond_notify(&cond, 1), 0);
    unlock();
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void item_185_wait_for(void **state)
{
    (void)state;
    run_case(predicate, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_179_without_the_mutex_it_is_refused),
        cmocka_unit_test(item_180_181_notify),
        cmocka_unit_test(item_182_the_mutex_is_held_when_cancelled),
        cmocka_unit_test(a_cancelled_task_does_not_wait),
        cmocka_unit_test(item_183_184_cancelled_after_the_notify),
        cmocka_unit_test(item_185_wait_for),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
