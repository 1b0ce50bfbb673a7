/* SPDX-License-Identifier: MIT */
/*
 * The kick's handler: foreign signals go where they went before, and everything is put back.
 */
#include "task_help.h"

static shared_int foreign;
static shared_int foreign_value;

static void on_foreign(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    atomic_store_seq_cst(&foreign_value, info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
    atomic_add_seq_cst(&foreign, 1);
}

static void *main_task(void *arg)
{
    return arg;
}

static bool handler_is(int sig, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction now;
    CHECK_EQUAL(sigaction(sig, NULL, &now), 0);
    return now.sa_sigaction == handler;
}

static void install_foreign(int sig)
{
    struct sigaction action = {.sa_sigaction = on_foreign, .sa_flags = SA_SIGINFO};
    CHECK_EQUAL(sigaction(sig, &action, NULL), 0);
    atomic_store_seq_cst(&foreign, 0);
}

static void foreign_signals_are_passed_on(int sig, const struct weft_options *options)
{
    install_foreign(sig);
    weft_runtime *rt = create_runtime(options);
    CHECK(!handler_is(sig, on_foreign));
    CHECK_EQUAL(raise(sig), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&foreign), 1);
    CHECK_EQUAL(pthread_sigqueue(pthread_self(), sig, (union sigval){.sival_int = 4711}), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&foreign), 2);
    CHECK_EQUAL(atomic_load_seq_cst(&foreign_value), 4711);
    CHECK_EQUAL(weft_runtime_run(rt, main_task, NULL, NULL), 0);
    finish_runtime(rt);
    CHECK(handler_is(sig, on_foreign));
    CHECK_EQUAL(raise(sig), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&foreign), 3);
    signal(sig, SIG_DFL);
}

static void passes_foreign_signals_on(void **state)
{
    (void)state;
    foreign_signals_are_passed_on(SIGURG, &(struct weft_options){.workers = 2});
    foreign_signals_are_passed_on(SIGUSR2,
                                  &(struct weft_options){.workers = 2, .kick_signal = SIGUSR2});
    foreign_signals_are_passed_on(
        SIGRTMIN + 3, &(struct weft_options){.workers = 2, .kick_signal = SIGRTMIN + 3});
}

static void installs_none_when_refused(void **state)
{
    (void)state;
    struct weft_options options = {.kick_signal = -1};
    install_foreign(SIGURG);
    weft_runtime *rt = create_runtime(&options);
    CHECK(handler_is(SIGURG, on_foreign));
    finish_runtime(rt);
    CHECK(handler_is(SIGURG, on_foreign));
    signal(SIGURG, SIG_DFL);
}

static void two_runtimes_share_it(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 2};
    install_foreign(SIGURG);
    weft_runtime *a = create_runtime(&options);
    weft_runtime *b = create_runtime(&options);
    finish_runtime(a);
    CHECK(!handler_is(SIGURG, on_foreign));
    finish_runtime(b);
    CHECK(handler_is(SIGURG, on_foreign));
    signal(SIGURG, SIG_DFL);
}

/* A handler that the program installs later is the program's. */
static void a_later_handler_stays(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 2};
    weft_runtime *rt = create_runtime(&options);
    install_foreign(SIGURG);
    finish_runtime(rt);
    CHECK(handler_is(SIGURG, on_foreign));
    signal(SIGURG, SIG_DFL);
}

static void unfit_signals_are_refused(void **state)
{
    (void)state;
    const int unfit[] = {-2, SIGKILL, SIGSTOP, SIGSEGV, SIGPIPE, SIGRTMIN - 1, SIGRTMAX + 1, 1000};
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
        struct weft_options options = {.workers = 2, .kick_signal = unfit[i]};
        weft_runtime *rt = NULL;
        CHECK_EQUAL(weft_runtime_create(&rt, &options), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_foreign_signals_on),
        cmocka_unit_test(installs_none_when_refused),
        cmocka_unit_test(two_runtimes_share_it),
        cmocka_unit_test(a_later_handler_stays),
        cmocka_unit_test(unfit_signals_are_refused),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
