/* SPDX-License-Identifier: MIT */
/*
 * A handler that the program had installed over the kick's, and that chains to it, was taken for
 * the one from before when a later runtime installed the kick again: the two called each other
 * until the stack was full.
 */
#include "task_help.h"

static struct sigaction before;
static shared_int calls;

static void on_chained(int sig, siginfo_t *info, void *context)
{
    CHECK(atomic_add_seq_cst(&calls, 1) < 10);
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(sig, info, context);
    }
}

static void a_chaining_handler_is_called_once(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 1};
    weft_runtime *rt = create_runtime(&options);
    struct sigaction action = {.sa_sigaction = on_chained, .sa_flags = SA_SIGINFO};
    CHECK_EQUAL(sigaction(SIGURG, &action, &before), 0);
    finish_runtime(rt);
    for (int i = 1; i <= 2; i++) {
        rt = create_runtime(&options);
        CHECK_EQUAL(raise(SIGURG), 0);
        CHECK_EQUAL(atomic_load_seq_cst(&calls), i);
        finish_runtime(rt);
    }
    signal(SIGURG, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_chaining_handler_is_called_once)};
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
