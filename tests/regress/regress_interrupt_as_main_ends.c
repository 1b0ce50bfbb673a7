/* SPDX-License-Identifier: MIT */
/*
 * An interrupt that came when the main task had just ended, and the handler was still there, was
 * lost: nobody was cancelled by it, and the process went on.
 *
 * No thread but the main one takes the signal, and weft_run returns after the callback that sends
 * it. So it is taken in weft_run, by the handler or the default action; either ends the process.
 */
#include "task_help.h"

#include <sys/wait.h>

enum { ROUNDS = 40, RETURNED = 3 };

static void interrupt(weft_future *f, void *arg)
{
    (void)f;
    (void)arg;
    CHECK_EQUAL(kill(getpid(), SIGINT), 0);
}

static void *end_and_be_interrupted(void *arg)
{
    CHECK_EQUAL(weft_on_done(weft_self(), interrupt, NULL), 0);
    return arg;
}

static void it_ends_the_process(void **state)
{
    (void)state;
    for (size_t i = 0; test_goes_on(i, test_scaled(ROUNDS, ROUNDS / 4)); i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            CHECK_EQUAL(weft_run(end_and_be_interrupted, NULL, NULL), 0);
            _exit(RETURNED);
        }
        int status = 0;
        CHECK_EQUAL(waitpid(pid, &status, 0), pid);
        CHECK_EQUAL(WIFEXITED(status) ? WEXITSTATUS(status) : 0, 0);
        CHECK_EQUAL(WTERMSIG(status), SIGINT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_ends_the_process)};
    sigset_t set;
    help_limit_time();
    /* Who starts programs in the background may have it ignored, or blocked. */
    signal(SIGINT, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    CHECK_EQUAL(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
