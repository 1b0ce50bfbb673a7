/* SPDX-License-Identifier: MIT */
/*
 * A thread cancels a task it holds while the task's runtime is closed and destroyed. The handle
 * stays good, but the canceller looked at the stack the task had run on, which was unmapped.
 */
#include "task_help.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static weft_task *current; /* lock; a reference */
static shared_int is_over;

static void *sleep_for_ever(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    return arg;
}

static void set_current(weft_task *t)
{
    pthread_mutex_lock(&lock);
    weft_task *before = current;
    current = t;
    pthread_mutex_unlock(&lock);
    weft_put(before);
}

static void *cancel_the_current(void *arg)
{
    while (atomic_load_seq_cst(&is_over) == 0) {
        pthread_mutex_lock(&lock);
        weft_task *t = weft_get(current);
        pthread_mutex_unlock(&lock);
        while (t != NULL && weft_cancel(t)) {
        }
        weft_put(t);
    }
    return arg;
}

static void the_handle_stays_good(void **state)
{
    (void)state;
    pthread_t canceller = start_thread(cancel_the_current, NULL);
    for (size_t i = 0; test_goes_on(i, test_scaled(1500, 100)); i++) {
        weft_task *t;
        weft_runtime *rt = create_runtime(NULL);
        CHECK_EQUAL(weft_runtime_spawn(rt, sleep_for_ever, NULL, &t), 0);
        set_current(t);
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    }
    atomic_store_seq_cst(&is_over, 1);
    pthread_join(canceller, NULL);
    set_current(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_handle_stays_good),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
