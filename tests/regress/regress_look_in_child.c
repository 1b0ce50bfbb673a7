/* SPDX-License-Identifier: MIT */
/*
 * A child of fork that looked at its parent's tasks waited for ever for the lock of one that a
 * thread of the parent had just then.
 */
#include <sys/wait.h>

#include "task_help.h"

#include "future.h"

static void never_called(weft_future *f, void *arg)
{
    (void)f;
    (void)arg;
}

static void *nothing(void *arg)
{
    return arg;
}

static int look_at(weft_task *t)
{
    char line[128];
    alarm(20);
    bool is_right = weft_awaiters(t, NULL, 0) == 0 && weft_describe(t, line, sizeof line) > 0 &&
                    weft_task_name(t, line, sizeof line) == 5 && strcmp(line, "child") == 0 &&
                    weft_task_set_name(t, "other") == -ESHUTDOWN &&
                    weft_on_done_remove(t, never_called, NULL) == 0;
    return is_right ? 0 : 1;
}

static void a_child_does_not_wait_for_its_parents_locks(void **state)
{
    (void)state;
    weft_task *t;
    weft_runtime *rt = create_runtime(NULL);
    assert_int_equal(weft_runtime_spawn(rt, nothing, NULL, &t), 0);
    assert_int_equal(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
    assert_int_equal(weft_task_set_name(t, "child"), 0);
    weft__future_lock(t); /* as a thread that is in the middle of something */
    pid_t child = fork();
    if (child == 0) {
        _exit(look_at(t));
    }
    weft__future_unlock(t);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    weft_put(t);
    finish_runtime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_does_not_wait_for_its_parents_locks),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
