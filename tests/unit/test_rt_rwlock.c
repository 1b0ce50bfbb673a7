/* SPDX-License-Identifier: MIT */
/* The reader-writer lock: who may be in together, in which order, and what a cancel does. */
#include "task_help.h"

static struct weft_rwlock lock;
static shared_int arrived;
static shared_int inside;
static shared_int go_out;

struct each {
    bool writes;
    int got;
    int place; /* in the order in which they had it; from 1 on */
};

static void begin(void)
{
    lock = (struct weft_rwlock)WEFT_RWLOCK_INIT;
    atomic_store_seq_cst(&arrived, 0);
    atomic_store_seq_cst(&inside, 0);
    atomic_store_seq_cst(&go_out, 0);
}

/* Lock, be inside until told to go, unlock. */
static void *use_lock(void *arg)
{
    struct each *e = arg;
    atomic_add_seq_cst(&arrived, 1);
    e->got = e->writes ? weft_rwlock_wrlock(&lock) : weft_rwlock_rdlock(&lock);
    if (e->got == 0) {
        e->place = atomic_add_seq_cst(&inside, 1) + 1;
        yield_until(&go_out, 1);
        CHECK_EQUAL(weft_rwlock_unlock(&lock), 0);
    }
    return NULL;
}

static weft_task *spawn_user(struct each *e)
{
    int before = atomic_load_seq_cst(&arrived);
    weft_task *t = weft_spawn(use_lock, e);
    CHECK(t != NULL);
    yield_until(&arrived, before + 1);
    settle();
    return t;
}

static void *readers_together(void *arg)
{
    struct each each[3] = {{false, 0, 0}, {false, 0, 0}, {true, 0, 0}};
    weft_task *tasks[3];
    begin();
    CHECK_EQUAL(weft_rwlock_rdlock(&lock), 0);
    tasks[0] = spawn_user(&each[0]);
    tasks[1] = spawn_user(&each[1]);
    yield_until(&inside, 2);
    CHECK_EQUAL(weft_rwlock_trywrlock(&lock), -EAGAIN);
    CHECK_EQUAL(weft_rwlock_tryrdlock(&lock), 0);
    CHECK_EQUAL(weft_rwlock_unlock(&lock), 0);
    tasks[2] = spawn_user(&each[2]);
    CHECK_EQUAL(atomic_load_seq_cst(&inside), 2);
    atomic_store_seq_cst(&go_out, 1);
    CHECK_EQUAL(weft_join(tasks[0], NULL), 0);
    CHECK_EQUAL(weft_join(tasks[1], NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&inside), 2); /* the caller still reads */
    CHECK_EQUAL(weft_rwlock_unlock(&lock), 0);
    CHECK_EQUAL(weft_join(tasks[2], NULL), 0);
    CHECK_EQUAL(each[2].place, 3);
    CHECK_EQUAL(weft_rwlock_unlock(&lock), -EPERM);
    return arg;
}

static void readers_are_in_together(void **state)
{
    (void)state;
    run_case(readers_together, NULL);
}

static void *in_order(void *arg)
{
    struct each each[5] = {
        {false, 0, 0}, {false, 0, 0}, {true, 0, 0}, {false, 0, 0}, {true, 0, 0}};
    weft_task *tasks[5];
    begin();
    CHECK_EQUAL(weft_rwlock_wrlock(&lock), 0);
    for (int i = 0; i < 5; i++) {
        tasks[i] = spawn_user(&each[i]);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&inside), 0);
    CHECK_EQUAL(weft_rwlock_unlock(&lock), 0);
    yield_until(&inside, 2); /* both readers, up to the writer */
    CHECK_EQUAL(weft_rwlock_tryrdlock(&lock), -EAGAIN); /* not past the writer */
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&inside), 2);
    atomic_store_seq_cst(&go_out, 1);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK_EQUAL(each[i].got, 0);
        CHECK(i < 2 || each[i].place == i + 1);
    }
    return arg;
}

static void first_come_first_served(void **state)
{
    (void)state;
    run_case_alone(in_order, NULL);
}

static void *cancelled_writer(void *arg)
{
    struct each each[3] = {{true, 0, 0}, {false, 0, 0}, {false, 0, 0}};
    weft_task *tasks[3];
    begin();
    CHECK_EQUAL(weft_rwlock_rdlock(&lock), 0);
    for (int i = 0; i < 3; i++) {
        tasks[i] = spawn_user(&each[i]);
    }
    CHECK(weft_cancel(tasks[0]));
    CHECK_EQUAL(weft_join(tasks[0], NULL), 0);
    CHECK_EQUAL(each[0].got, -ECANCELED);
    yield_until(&inside, 2); /* the readers behind it go on, beside the caller */
    atomic_store_seq_cst(&go_out, 1);
    CHECK_EQUAL(weft_join(tasks[1], NULL), 0);
    CHECK_EQUAL(weft_join(tasks[2], NULL), 0);
    CHECK_EQUAL(weft_rwlock_unlock(&lock), 0);
    CHECK_EQUAL(weft_rwlock_trywrlock(&lock), 0);
    CHECK_EQUAL(weft_rwlock_unlock(&lock), 0);
    return arg;
}

static void readers_behind_a_cancelled_writer_go_on(void **state)
{
    (void)state;
    run_case_alone(cancelled_writer, &lock);
    run_case(cancelled_writer, NULL);
}

static void *unlock_of_others(void *arg)
{
    CHECK_EQUAL(weft_rwlock_unlock(&lock), -EPERM);
    return arg;
}

static void *refusals(void *arg)
{
    begin();
    CHECK_EQUAL(weft_rwlock_unlock(&lock), -EPERM);
    CHECK_EQUAL(weft_rwlock_wrlock(&lock), 0);
    CHECK_EQUAL(weft_rwlock_wrlock(&lock), -EDEADLK);
    CHECK_EQUAL(weft_rwlock_rdlock(&lock), -EDEADLK);
    CHECK_EQUAL(weft_rwlock_tryrdlock(&lock), -EAGAIN);
    CHECK_EQUAL(weft_join(weft_spawn(unlock_of_others, NULL), NULL), 0);
    CHECK_EQUAL(weft_rwlock_unlock(&lock), 0);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_rwlock_rdlock(&lock), 0); /* free: had at once */
    CHECK_EQUAL(weft_rwlock_wrlock(&lock), -ECANCELED);
    CHECK_EQUAL(weft_rwlock_unlock(&lock), 0);
    CHECK_EQUAL(weft_uncancel(), 0);
    return arg;
}

static void what_is_refused(void **state)
{
    (void)state;
    run_case(refusals, NULL);
    assert_int_equal(weft_rwlock_rdlock(&lock), -EPERM);
    assert_int_equal(weft_rwlock_wrlock(&lock), -EPERM);
    assert_int_equal(weft_rwlock_tryrdlock(&lock), -EPERM);
    assert_int_equal(weft_rwlock_unlock(&lock), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_are_in_together),
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(readers_behind_a_cancelled_writer_go_on),
        cmocka_unit_test(what_is_refused),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
