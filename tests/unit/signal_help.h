/* SPDX-License-Identifier: MIT */
/*
 * For the tests of signals: the process sends itself some, and looks what it does on them.
 *
 * ThreadSanitizer runs a handler when the thread that got the signal next calls what it knows to
 * block, which the main thread of a runtime does not; there a thread of the test's own has the
 * signals open, and all others block them.
 */
#ifndef WEFT_SIGNAL_HELP_H
#define WEFT_SIGNAL_HELP_H

#include "life_help.h"

#include <signal.h>

#define ONE SIGUSR1
#define TWO SIGUSR2

/* What the sender did before is seen by who was told: the tools do not know that of kill(2). */
static atomic_int sent;

static inline void send_signal(int signo)
{
    atomic_add_seq_cst(&sent, 1);
    int err = kill(getpid(), signo);
    WEFT_ASSERT(err == 0);
}

/* How often the thread that receives the signals (below) has been through its loop. */
static atomic_int receiver_turns;

static inline void pause_shortly(void)
{
    if (weft_sleep(WEFT_MS) < 0) {
        sleep_ms(1); /* not in a task, or in one that was cancelled */
    }
}

/*
 * Until some thread has got to the signals that were sent: none is left with the kernel, or put off
 * by the tool, for later, when the process may do something else on it. A handler may only have
 * begun. Where the caller does not block the signal, it is the one that gets it.
 */
static inline void await_signals(int signo)
{
    sigset_t pending;
    int err;
    do {
        pause_shortly();
        err = sigpending(&pending);
        WEFT_ASSERT(err == 0);
    } while (sigismember(&pending, signo) == 1);
#ifdef __SANITIZE_THREAD__
    /* To that thread's next call. */
    int turns = atomic_load_seq_cst(&receiver_turns);
    while (atomic_load_seq_cst(&receiver_turns) - turns < 2) {
        pause_shortly();
    }
#endif
}

/* What the process does on a signal. */
static inline void (*action_of(int signo))(int)
{
    struct sigaction now;
    int err = sigaction(signo, NULL, &now);
    WEFT_ASSERT(err == 0);
    return now.sa_handler;
}

static inline sigset_t set_of(int first, int second)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, first);
    if (second != 0) {
        sigaddset(&set, second);
    }
    return set;
}

static inline int wait_for_signal(int first, int second)
{
    sigset_t set = set_of(first, second);
    return weft_signal_wait(&set);
}

static inline void release(int first, int second)
{
    sigset_t set = set_of(first, second);
    int err = weft_signal_release(&set);
    WEFT_ASSERT(err == 0);
}

static inline void *wait_task(void *signo)
{
    int got = wait_for_signal((int)(intptr_t)signo, 0);
    return got < 0 ? weft_fail(got) : value_of(got);
}

/* In a task: until the process does something else than that on a signal. */
static inline void yield_until_taken(int signo, void (*before)(int))
{
    while (action_of(signo) == before) {
        (void)weft_yield();
    }
}

/* A task that waits for a signal, of which nobody has wanted to know; what comes is not lost. */
static inline weft_task *spawn_waiter(int signo)
{
    void (*before)(int) = action_of(signo);
    weft_task *t = spawn_must(wait_task, value_of(signo));
    yield_until_taken(signo, before);
    return t;
}

static inline void join_got(weft_task *t, int signo)
{
    void *got = NULL;
    int err = weft_join(t, &got);
    WEFT_ASSERT(err == 0 && (intptr_t)got == signo);
}

struct calls {
    atomic_int count;
    atomic_int running;
    struct weft_event event;
    int signo;
    void *local;
    int sleep_error;
};

static weft_local_t a_local;

static inline void note_call(int signo, void *arg)
{
    struct calls *c = arg;
    (void)atomic_load_seq_cst(&sent);
    c->signo = signo;
    c->local = weft_local_get(a_local);
    c->sleep_error = weft_sleep(WEFT_MS);
    atomic_add_seq_cst(&c->count, 1);
    weft_event_set(&c->event);
}

/* Where the main thread would not get the signals, have another one do so. For main. */
static inline void *receive(void *arg)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    for (;;) {
        sleep_ms(1);
        atomic_add_seq_cst(&receiver_turns, 1);
    }
    return arg;
}

static inline void begin_signals(void)
{
    alarm(TEST_CHILD_MAY_START ? 50 : 240);
    signal(SIGINT, SIG_DFL); /* a shell may have had it ignored */
#ifdef __SANITIZE_THREAD__
    pthread_t receiver;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    int err = pthread_create(&receiver, NULL, receive, NULL);
    WEFT_ASSERT(err == 0);
#else
    (void)receive;
#endif
}

#endif
