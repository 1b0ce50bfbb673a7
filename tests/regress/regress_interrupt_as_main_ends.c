/* SPDX-License-Identifier: MIT */
/*
 * An interrupt that came when the main task had just ended, and the handler was still there, was
 * lost: nobody was cancelled by it, and the process went on.
 */
#include "task_help.h"

#include <sys/wait.h>

enum { ROUNDS = 40 };

static void interrupt(weft_future *f, void *arg)
{
    (void)f;
    (void)arg;
    kill(getpid(), SIGINT);
}

static void *end_and_be_interrupted(void *arg)
{
    CHECK_EQUAL(weft_on_done(weft_self(), interrupt, NULL), 0);
    return arg;
}

static void it_ends_the_process(void **state)
{
    (void)state;
    for (size_t i = 0; i < test_scaled(ROUNDS, ROUNDS / 4); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            (void)weft_run(end_and_be_interrupted, NULL, NULL);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGINT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_ends_the_process)};
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
