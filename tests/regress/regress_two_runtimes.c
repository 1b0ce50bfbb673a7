/* SPDX-License-Identifier: MIT */
/*
 * Two runtimes in a process got in each other's way.
 *
 * A worker that ended a task woke the awaiter of another runtime: it put it in that runtime's queue
 * and then looked there for a worker to wake. By then the awaiter could have run and ended, and the
 * runtime could be closed and freed. And creating a runtime wrote a variable of the whole process
 * that the workers of others were reading.
 *
 * Both were rare; the thread sanitizer reports either as a race at once, the address sanitizer the
 * first one now and then.
 */
#include "task_help.h"

static void *end_soon(void *arg)
{
    return arg;
}

static void *await_elsewhere(void *arg)
{
    weft_task *t = NULL;
    CHECK_EQUAL(weft_runtime_spawn(arg, end_soon, NULL, &t), 0);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    weft_put(t);
    return NULL;
}

static void a_runtime_outlives_the_wake_of_its_last_task(void **state)
{
    (void)state;
    weft_runtime *other = create_runtime(NULL);
    for (size_t i = 0; test_goes_on(i, test_scaled(100, 30)); i++) {
        run_case(await_elsewhere, other);
    }
    finish_runtime(other);
}

static void *drop_held(void *arg)
{
    weft_put(arg);
    return NULL;
}

static void *make_held(void *arg)
{
    struct weft_spawn_options options = {.held = true};
    *(weft_task **)arg = weft_spawn_with(&options, end_soon, NULL);
    return NULL;
}

static void a_runtime_outlives_the_drop_of_a_held_task(void **state)
{
    (void)state;
    for (size_t i = 0; test_goes_on(i, test_scaled(100, 30)); i++) {
        FILE *file = NULL;
        char text[256];
        weft_runtime *rt = create_runtime(NULL);
        weft_task *t = NULL;
        CHECK_EQUAL(weft_runtime_run(rt, make_held, &t, NULL), 0);
        capture_begin(&file); /* it may say that the task was dropped; closing may come first */
        pthread_t thread = start_thread(drop_held, t);
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
        pthread_join(thread, NULL);
        CHECK(capture_end(&file, text, sizeof text) <= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_runtime_outlives_the_wake_of_its_last_task),
        cmocka_unit_test(a_runtime_outlives_the_drop_of_a_held_task),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
