/* SPDX-License-Identifier: MIT */
/*
 * A signal that met weft_poll while it asked poll(2), which does not wait there, made it return
 * -EINTR. The library itself sends such signals to workers that it takes to be stuck.
 */
#include "../io/io_help.h"

#include <poll.h>
#include <sys/syscall.h>

#define ROUNDS 3000

static shared_int worker_tid;
static shared_int is_over;
static int fds[2];

static void ignore_signal(int signo)
{
    (void)signo;
}

static void *send_signals(void *arg)
{
    spin_until(&worker_tid, 1);
    while (atomic_load_seq_cst(&is_over) == 0) {
        (void)syscall(SYS_tgkill, getpid(), atomic_load_seq_cst(&worker_tid),
                      SIGUSR1); /* it may have ended by now */
        sched_yield();
    }
    return arg;
}

static void *send_bytes(void *count)
{
    for (size_t i = 0; i < (size_t)(uintptr_t)count; i++) {
        CHECK_EQUAL(weft_send(fds[1], "x", 1, 0), 1);
        CHECK_EQUAL(weft_yield(), 0);
    }
    return NULL;
}

static void *poll_beside_signals(void *arg)
{
    char byte;
    sigset_t set;
    size_t count = test_scaled(ROUNDS, ROUNDS / 10);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_EQUAL(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0); /* for this worker, the only one */
    weft_task *t = spawn(send_bytes, (void *)count);
    atomic_store_seq_cst(&worker_tid, (int)syscall(SYS_gettid));
    for (size_t i = 0; i < count; i++) {
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        CHECK_EQUAL(weft_poll(&p, 1), 1);
        CHECK_EQUAL(recv(fds[0], &byte, 1, MSG_DONTWAIT), 1);
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    atomic_store_seq_cst(&is_over, 1);
    return arg;
}

static void a_signal_does_not_end_it(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = ignore_signal, .sa_flags = SA_RESTART};
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    make_pair(fds);
    pthread_t sender = start_thread(send_signals, NULL);
    run_case_alone(poll_beside_signals, NULL);
    pthread_join(sender, NULL);
    close_both(fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_does_not_end_it),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
