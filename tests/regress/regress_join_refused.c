/* SPDX-License-Identifier: MIT */
/*
 * weft_join that was refused took the reference all the same.
 *
 * Outside a task weft_join answers -EPERM and leaves the reference with the caller. When the task
 * was done already, the -EPERM was taken for the task's own error, and the reference went; the
 * caller, who still had to give it back, then freed a task that was somebody else's by now.
 */
#include "task_help.h"

static void *give_back(void *arg)
{
    return arg;
}

static void a_refused_join_leaves_the_reference(void **state)
{
    (void)state;
    int value;
    weft_runtime *rt = create_runtime(NULL);
    weft_task *t = NULL;
    assert_int_equal(weft_runtime_spawn(rt, give_back, &value, &t), 0);
    assert_int_equal(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_join(t, NULL), -EPERM);
    }
    void *result = NULL;
    assert_int_equal(weft_result(t, &result), 0);
    assert_ptr_equal(result, &value);
    weft_put(t);
    finish_runtime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_join_leaves_the_reference),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
