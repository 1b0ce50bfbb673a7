/* SPDX-License-Identifier: MIT */
/*
 * A signal that came when the runtime's handler had just been installed, and the sink was not known
 * to want it yet, was taken for one that nobody wants: it went to the handler before, or ended the
 * process where there was none.
 *
 * The C library's sigaction is replaced by one that has a signal come as soon as the handler is
 * there, and as late as it still is.
 */
#include "task_help.h"

#include <dlfcn.h>

typedef int sigaction_fn(int, const struct sigaction *, struct sigaction *);

static atomic_int is_armed;
static atomic_int told_before; /* the program's handler */

static void programs_handler(int signo)
{
    (void)signo;
    atomic_add_seq_cst(&told_before, 1);
}

/* As if it interrupted this thread here. */
static void signal_comes(int signo, const struct sigaction *now)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = signo;
    CHECK((now->sa_flags & SA_SIGINFO) != 0);
    now->sa_sigaction(signo, &info, NULL);
    CHECK_EQUAL(atomic_load_seq_cst(&told_before), 0);
}

int sigaction(int signo, const struct sigaction *action, struct sigaction *before)
{
    sigaction_fn *real;
    *(void **)&real = dlsym(RTLD_NEXT, "sigaction");
    bool comes = signo == SIGUSR1 && action != NULL && atomic_load_seq_cst(&is_armed) != 0;
    if (comes && action->sa_handler == programs_handler) {
        struct sigaction now;
        CHECK_EQUAL(real(signo, NULL, &now), 0);
        signal_comes(signo, &now);
    }
    int err = real(signo, action, before);
    if (comes && action->sa_handler != programs_handler) {
        signal_comes(signo, action);
    }
    return err;
}

static void *wait_and_release(void *arg)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_EQUAL(weft_signal_wait(&set), SIGUSR1);
    CHECK_EQUAL(weft_signal_release(&set), 0);
    return arg;
}

static void it_is_told_from_the_first_moment_to_the_last(void **state)
{
    (void)state;
    struct sigaction programs = {.sa_handler = programs_handler};
    CHECK_EQUAL(sigaction(SIGUSR1, &programs, NULL), 0);
    atomic_store_seq_cst(&is_armed, 1);
    run_case(wait_and_release, NULL);
    atomic_store_seq_cst(&is_armed, 0);
    struct sigaction now;
    CHECK_EQUAL(sigaction(SIGUSR1, NULL, &now), 0);
    CHECK(now.sa_handler == programs_handler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_told_from_the_first_moment_to_the_last),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
