/* SPDX-License-Identifier: MIT */
/*
 * A timer whose callback destroys it, or starts it anew, was used after its end.
 *
 * weft_timer_start looked into the timer once more after it was armed; by then the callback could
 * have run, on another thread, and have destroyed it. And a callback that started its timer while
 * somebody else destroyed it armed memory that was freed when the callback returned.
 */
#include "task_help.h"

struct shot {
    weft_timer *timer;
    shared_int calls;
};

static void destroy_own_timer(void *arg)
{
    struct shot *s = arg;
    weft_timer_destroy(s->timer);
    atomic_add_seq_cst(&s->calls, 1);
}

static void start_own_timer(void *arg)
{
    struct shot *s = arg;
    atomic_add_seq_cst(&s->calls, 1);
    int err = weft_timer_start(s->timer, 0);
    CHECK(err == 0 || err == -ESHUTDOWN);
}

enum { ROUNDS = 300 };

static void a_callback_may_destroy_its_timer_before_the_start_returns(void **state)
{
    (void)state;
    struct shot s = {0};
    weft_runtime *rt = create_runtime(NULL);
    for (size_t i = 0; test_goes_on(i, ROUNDS); i++) {
        assert_int_equal(weft_timer_create(&s.timer, rt, destroy_own_timer, &s), 0);
        assert_int_equal(weft_timer_start(s.timer, 0), 0);
        spin_until(&s.calls, (int)i + 1);
    }
    finish_runtime(rt);
}

static void a_callback_may_start_its_timer_while_it_is_destroyed(void **state)
{
    (void)state;
    static struct shot shots[ROUNDS]; /* each may be in use when the next begins */
    weft_runtime *rt = create_runtime(NULL);
    for (size_t i = 0; test_goes_on(i, ROUNDS); i++) {
        struct shot *s = &shots[i];
        assert_int_equal(weft_timer_create(&s->timer, rt, start_own_timer, s), 0);
        assert_int_equal(weft_timer_start(s->timer, 0), 0);
        spin_until(&s->calls, 1 + (int)(i % 3));
        weft_timer_destroy(s->timer);
    }
    finish_runtime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callback_may_destroy_its_timer_before_the_start_returns),
        cmocka_unit_test(a_callback_may_start_its_timer_while_it_is_destroyed),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
