/* SPDX-License-Identifier: MIT */
/*
 * Goal: tasks are looked at while they begin, wait for all kinds of things, nested or not, are
 * cancelled and end; who looks sees whole views, and disturbs nobody.
 *
 * Two threads dump all tasks over and over; a task describes and walks others. Meanwhile families
 * come and go.
 */
#include "unit/blocking_help.h"

#define FAMILIES 100
#define AT_ONCE 12

static shared_int is_over;
static shared_int dumps;
static struct weft_mutex lock = WEFT_MUTEX_INIT;
static struct weft_rwlock shared_lock = WEFT_RWLOCK_INIT;

static void *sleep_a_little(void *arg)
{
    (void)weft_sleep((intptr_t)arg % 5 * 20 * WEFT_US);
    return arg;
}

static void *lock_a_little(void *arg)
{
    if (weft_mutex_lock(&lock) == 0) {
        (void)weft_yield();
        CHECK_EQUAL(weft_mutex_unlock(&lock), 0);
    }
    if (weft_rwlock_rdlock(&shared_lock) == 0) {
        (void)weft_yield();
        CHECK_EQUAL(weft_rwlock_unlock(&shared_lock), 0);
    }
    if (weft_rwlock_wrlock(&shared_lock) == 0) {
        (void)weft_yield();
        CHECK_EQUAL(weft_rwlock_unlock(&shared_lock), 0);
    }
    return arg;
}

static void *job(void *arg)
{
    return arg;
}

static void *run_a_job(void *arg)
{
    (void)weft_run_blocking(job, arg, NULL);
    return arg;
}

/* A child on its own stack, if it gets there first, which does the same. */
static void *nest(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    weft_fn fn = depth == 0 ? lock_a_little : nest;
    (void)weft_join(weft_spawn(fn, (void *)(depth == 0 ? 0 : depth - 1)), NULL);
    return arg;
}

static void *have_children(void *arg)
{
    struct weft_group g;
    weft_group_enter(&g);
    (void)weft_group_go(&g, sleep_a_little, arg);
    (void)weft_group_go(&g, lock_a_little, arg);
    (void)weft_group_go(&g, run_a_job, arg);
    (void)weft_group_exit(&g);
    return arg;
}

static void *wait_for_some(void *arg)
{
    weft_task *t[3] = {weft_spawn(sleep_a_little, arg), weft_spawn(nest, (void *)3),
                       weft_spawn(run_a_job, arg)};
    (void)weft_wait(3, t, WEFT_FIRST_COMPLETED);
    (void)weft_shielded(t[1], NULL);
    (void)weft_gather(3, t, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        weft_cancel(t[i]);
        weft_put(t[i]);
    }
    return arg;
}

static void *family(void *arg)
{
    static const weft_fn members[] = {nest, have_children, wait_for_some, lock_a_little,
                                      run_a_job};
    intptr_t i = (intptr_t)arg;
    weft_task *t = weft_spawn(members[i % 5], (void *)(i % 7));
    if (i % 3 == 0) {
        (void)weft_yield();
        weft_cancel(t);
    }
    (void)weft_join(t, NULL);
    return arg;
}

static void *dump_all(void *arg)
{
    FILE *out = fopen("/dev/null", "w");
    CHECK(out != NULL);
    while (atomic_load_seq_cst(&is_over) == 0) {
        CHECK(weft_dump_tasks(arg, out) >= 0);
        atomic_add_seq_cst(&dumps, 1);
    }
    fclose(out);
    return NULL;
}

static void *look_around(void *arg)
{
    weft_task *t[64];
    char line[256];
    while (atomic_load_seq_cst(&is_over) == 0) {
        size_t n = weft_all_tasks(weft_runtime_current(), t, 64);
        for (size_t i = 0; i < n && i < 64; i++) {
            void *frames[16];
            weft_task *who[4];
            CHECK(weft_describe(t[i], line, sizeof line) > 0);
            (void)weft_backtrace(t[i], frames, 16);
            size_t awaiters = weft_awaiters(t[i], who, 4);
            for (size_t k = 0; k < awaiters && k < 4; k++) {
                weft_put(who[k]);
            }
            weft_put(t[i]);
        }
        (void)weft_yield();
    }
    return arg;
}

static void *body(void *arg)
{
    weft_task *t[AT_ONCE];
    pthread_t threads[2];
    weft_task *looker = weft_spawn(look_around, NULL);
    threads[0] = start_thread(dump_all, weft_runtime_current());
    threads[1] = start_thread(dump_all, weft_runtime_current());
    yield_until(&dumps, 2);
    for (size_t i = 0; test_goes_on(i, test_scaled(FAMILIES, FAMILIES / 10)); i++) {
        for (size_t k = 0; k < AT_ONCE; k++) {
            t[k] = weft_spawn(family, (void *)(i * AT_ONCE + k));
        }
        for (size_t k = 0; k < AT_ONCE; k++) {
            CHECK_EQUAL(weft_join(t[k], NULL), 0);
        }
    }
    atomic_store_seq_cst(&is_over, 1);
    CHECK_EQUAL(weft_join(looker, NULL), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return arg;
}

static void tasks_are_dumped_while_they_come_and_go(void **state)
{
    (void)state;
    run_case(body, NULL);
    printf("%d dumps\n", atomic_load_seq_cst(&dumps));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_dumped_while_they_come_and_go),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
