/* SPDX-License-Identifier: MIT */
/*
 * weft_runtime_close while threads spawn and post as fast as they can: it had to wait for a moment
 * at which nothing was live, and nobody kept them from beginning more.
 */
#include "../task_help.h"

#define THREADS 4

static shared_int live; /* tasks and callbacks */

static void *short_task(void *arg)
{
    (void)weft_yield();
    atomic_sub_seq_cst(&live, 1);
    return arg;
}

static void short_callback(void *arg)
{
    (void)arg;
    atomic_sub_seq_cst(&live, 1);
}

/* Goes on until it is refused; but a busy machine may not come to run what is spawned. */
static void *spawn_and_post(void *arg)
{
    weft_runtime *rt = arg;
    int live_max = (int)test_scaled(20000, 1000);
    for (;;) {
        while (atomic_load_seq_cst(&live) > live_max) {
            sched_yield();
        }
        atomic_add_seq_cst(&live, 2);
        int err = weft_runtime_spawn(rt, short_task, NULL, NULL);
        if (err == 0) {
            err = weft_post(rt, short_callback, NULL);
        }
        if (err < 0) {
            CHECK_EQUAL(err, -ESHUTDOWN);
            return NULL;
        }
    }
}

static void close_ends(void **state)
{
    (void)state;
    for (size_t round = 0; round < test_scaled(20, 3); round++) {
        weft_runtime *rt = create_runtime(NULL);
        pthread_t thread[THREADS];
        atomic_store_seq_cst(&live, 0); /* those that were refused have not ended */
        for (int i = 0; i < THREADS; i++) {
            thread[i] = start_thread(spawn_and_post, rt);
        }
        usleep(1000); /* let them get going; nothing depends on it */
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        CHECK_EQUAL(tasks_live(rt), 0);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(thread[i], NULL);
        }
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(close_ends)};
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
