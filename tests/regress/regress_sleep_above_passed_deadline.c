/* SPDX-License-Identifier: MIT */
/*
 * A task that ran on the stack of the one that awaits it never woke from a sleep, when the awaiting
 * one was cancelled, and the deadline of its scope passed later: the cancel had been passed on, so
 * the deadline was not looked at any more, and stayed the nearest; the sleep, which ended after it,
 * was taken for one that the deadline cuts short, and then nothing cut it short.
 */
#include "task_help.h"

static void *child(void *parent)
{
    CHECK(weft_cancel(parent));
    CHECK_EQUAL(weft_sleep(WEFT_SECOND), -ECANCELED); /* passed on */
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_sleep(20 * WEFT_MS), 0);
    return NULL;
}

static void *parent(void *arg)
{
    struct weft_scope s;
    weft_scope_enter(&s, 5 * WEFT_MS);
    CHECK_EQUAL(weft_join(weft_spawn(child, weft_self()), NULL), 0);
    (void)weft_scope_exit(&s);
    return arg;
}

static void *body(void *arg)
{
    CHECK_EQUAL(weft_join(weft_spawn(parent, arg), NULL), 0);
    return NULL;
}

static void the_sleep_ends(void **state)
{
    (void)state;
    run_case(body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_sleep_ends)};
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
