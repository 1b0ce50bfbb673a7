/* SPDX-License-Identifier: MIT */
/*
 * A task that awaited a child in a catch block ran it on its own stack, where C++ still held the
 * waiter's exception for the one being handled: std::current_exception and a bare throw were the
 * waiter's in the child.
 *
 * What C++ does is played here, as in regress_exception_state.c.
 */
#include "task_help.h"

#define ROUNDS 200

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

/* Has exceptions of its own, and a child; may be left in the middle of them. */
static void *child(void *depth)
{
    char exception;
    expect_exceptions(NULL, 0);
    set_exceptions(&exception, 1);
    if (depth != NULL) {
        CHECK_EQUAL(weft_join(weft_spawn(child, NULL), NULL), 0);
    } else {
        CHECK_EQUAL(weft_yield(), 0);
    }
    expect_exceptions(&exception, 1);
    set_exceptions(NULL, 0);
    return depth;
}

static void *wait_in_catch(void *arg)
{
    char exception;
    for (uintptr_t i = 0; i < ROUNDS; i++) {
        /* Caught, being thrown, both. */
        void *caught = i % 3 == 0 ? NULL : &exception;
        uintptr_t uncaught = i % 3 == 1 ? 0 : 1;
        set_exceptions(caught, uncaught);
        CHECK_EQUAL(weft_join(weft_spawn(child, arg), NULL), 0);
        expect_exceptions(caught, uncaught);
        set_exceptions(NULL, 0);
    }
    return arg;
}

static void a_child_does_not_see_its_waiters(void **state)
{
    int deep;
    (void)state;
    run_case(wait_in_catch, NULL);
    run_case(wait_in_catch, &deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_does_not_see_its_waiters),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
