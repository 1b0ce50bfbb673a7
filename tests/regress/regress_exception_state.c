/* SPDX-License-Identifier: MIT */
/*
 * C++ keeps the exceptions that are being handled in a structure of the thread. A task that
 * suspends in a catch block takes it along; but a fresh fiber began with that of the task before
 * it, so the new task was inside a catch block that was not its own; and so was a callback.
 *
 * What C++ does is played here: its accessor is defined, and the structure is two words.
 */
#include "task_help.h"

#define TASKS 40
#define TURNS 50

static __thread void *exceptions[2];

/* The library's weak reference finds this one. */
void *__cxa_get_globals(void);
__attribute__((noinline)) void *__cxa_get_globals(void)
{
    __asm__ volatile("");
    return exceptions;
}

static void expect_exceptions(const void *caught, uintptr_t uncaught)
{
    void *const *now = __cxa_get_globals();
    CHECK(now[0] == caught);
    CHECK_EQUAL((uintptr_t)now[1], uncaught);
}

static void set_exceptions(void *caught, uintptr_t uncaught)
{
    void **now = __cxa_get_globals();
    now[0] = caught;
    now[1] = (void *)uncaught;
}

static void *suspend_in_catch(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    char exception;
    expect_exceptions(NULL, 0);
    for (unsigned i = 0; i < TURNS; i++) {
        set_exceptions(&exception, i);
        CHECK_EQUAL(test_random(&random) % 8 == 0 ? weft_sleep(1) : weft_yield(), 0);
        expect_exceptions(&exception, i);
    }
    set_exceptions(NULL, 0);
    return arg;
}

static void callback(void *arg)
{
    (void)arg;
    expect_exceptions(NULL, 0);
}

static void *body(void *arg)
{
    weft_task *t[TASKS];
    char exception;
    for (int i = 0; i < TASKS; i++) {
        t[i] = weft_spawn(suspend_in_catch, (void *)(uintptr_t)(i + 1));
    }
    set_exceptions(&exception, 1);
    for (int i = 0; i < TURNS; i++) {
        CHECK_EQUAL(weft_post(weft_runtime_current(), callback, NULL), 0);
        CHECK_EQUAL(weft_sleep(1), 0);
        expect_exceptions(&exception, 1);
    }
    set_exceptions(NULL, 0);
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return arg;
}

static void each_task_has_its_own(void **state)
{
    (void)state;
    run_case(body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_has_its_own),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
