/* SPDX-License-Identifier: MIT */
/*
 * Signal actions: the handler, and what it restores; see signal_action.h.
 *
 * Pairs
 *   P1  handler: walkers, seq_cst (signal_sinks.h P1); then which, seq_cst
 *       <-> set: which, seq_cst; then walkers, seq_cst
 *           who still reads the one before is waited for
 *   P2  want: wanted, then the action; unwant: the action, then wanted
 *       -> handle: called as the action is ours, then wanted: the sink is told
 *       (the kernel changes and reads actions under a lock of its own)
 */
#include "signal_action.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "check.h"
#include "kick.h"

static pthread_mutex_t action_lock = PTHREAD_MUTEX_INITIALIZER;
/* under the lock */
static uint32_t users[SIGNAL_NUMBERS];           /* sinks that want each */
static uint64_t replaced;                        /* another handler is over ours, which went */
static struct sigaction replacement[SIGNAL_NUMBERS];
/* read by the handler */
static struct signal_sinks sinks;
static struct sigaction previous[SIGNAL_NUMBERS][2]; /* written under the lock; which: I1, P1 */
static _Atomic(uint32_t) which[SIGNAL_NUMBERS];

/* The handler of before is called from ours: who calls ours in turn gets no further. */
static _Thread_local volatile sig_atomic_t is_passing;

/* The current one of the two. Lock held, or while counted as a walker. */
static struct sigaction *previous_of(int signo)
{
    /* ORD P1: who is counted finds one that nobody writes. */
    return &previous[signo - 1][atomic_load_seq_cst(&which[signo - 1])];
}

/* Write the other one, of which nobody reads, and have it be the current one; then wait until
 * nobody reads the one before, either. Lock held. */
static void previous_set(int signo, const struct sigaction *action)
{
    _Atomic(uint32_t) *current = &which[signo - 1];
    uint32_t other = 1 - atomic_load_relaxed(current); /* ORD none: written under the lock */
    previous[signo - 1][other] = *action;
    atomic_store_seq_cst(current, other); /* ORD P1: before the look for walkers */
    while (signal_sinks_is_walked(&sinks)) {
        sched_yield();
    }
}

/* Whether it does nothing. Then none of it is left to the kernel: the default action, installed for
 * that, would stay in the place of the handler that has called ours, or of ours for a new sink. */
static bool is_nothing(int signo, const struct sigaction *action)
{
    bool is_nothing_by_default =
        signo == SIGCHLD || signo == SIGCONT || signo == SIGURG || signo == SIGWINCH;
    return action->sa_handler == SIG_IGN ||
           (action->sa_handler == SIG_DFL && is_nothing_by_default);
}

/* What was done before any sink came. */
static void pass_on(int signo, siginfo_t *info, void *context, const struct sigaction *before)
{
    if (is_nothing(signo, before) || is_passing) {
        return;
    }
    if (before->sa_handler == SIG_DFL) {
        struct sigaction action;
        memset(&action, 0, sizeof action);
        action.sa_handler = SIG_DFL;
        sigaction(signo, &action, NULL);
        raise(signo); /* comes as the handler returns */
        return;
    }
    is_passing = 1;
    if ((before->sa_flags & SA_SIGINFO) != 0) {
        before->sa_sigaction(signo, info, context);
    } else {
        before->sa_handler(signo);
    }
    is_passing = 0;
}

static void handle(int signo, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    signal_sinks_enter(&sinks);
    bool is_told = signal_sinks_tell(&sinks, signo);
    struct sigaction before = *previous_of(signo);
    signal_sinks_leave(&sinks);
    if (!is_told) {
        pass_on(signo, info, context, &before); /* which may never return */
    }
    errno = saved_errno;
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handle;
}

static bool is_same(const struct sigaction *a, const struct sigaction *b)
{
    return (a->sa_flags & SA_SIGINFO) == (b->sa_flags & SA_SIGINFO) &&
           a->sa_handler == b->sa_handler;
}

/* Whether a program can have the signal, and go on after it. */
static bool can_be_had(int signo)
{
    static const int refused[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE,
                                  SIGILL,  SIGTRAP, SIGSYS,  SIGABRT};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (signo == refused[i]) {
            return false;
        }
    }
    sigset_t set;
    sigemptyset(&set);
    /* The C library keeps a few for itself, and says so. */
    return signo > 0 && signo <= SIGNAL_NUMBERS && sigaddset(&set, signo) == 0;
}

/* Install the handler. Lock held. Returns 0 or -errno. */
static int install(int signo)
{
    struct sigaction now;
    if (sigaction(signo, NULL, &now) != 0) {
        return -errno;
    }
    int i = signo - 1;
    /* One that was installed over ours may call ours: it stays where it is. */
    bool is_over = (replaced & signal_bit(signo)) != 0 && is_same(&now, &replacement[i]);
    if (is_ours(&now) || is_over) {
        return 0;
    }
    previous_set(signo, &now);
    replaced &= ~signal_bit(signo);
    struct sigaction ours;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART |
                    (now.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT));
    ours.sa_mask = now.sa_mask;
    return sigaction(signo, &ours, NULL) == 0 ? 0 : -errno;
}

static void uninstall(int signo)
{
    struct sigaction now;
    if (sigaction(signo, NULL, &now) != 0) {
        return;
    }
    if (is_ours(&now)) {
        sigaction(signo, previous_of(signo), NULL);
    } else if (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN) {
        replaced |= signal_bit(signo);
        replacement[signo - 1] = now;
    }
}

/* Lock held. Returns 0, or -errno: nothing has changed. */
static int want_first(struct signal_sink *s, int signo)
{
    /* The sink first: who finds the handler finds whom it tells.
     * ORD P2: before the action. */
    (void)atomic_or_seq_cst(&s->wanted, signal_bit(signo));
    if (!s->is_listed) {
        s->is_listed = true;
        signal_sinks_link(&sinks, s);
    }
    int err = users[signo - 1] == 0 ? install(signo) : 0;
    if (err < 0) {
        s->wishes[signo - 1] = 0;
        /* ORD none: as if it had not been there. */
        (void)atomic_and_seq_cst(&s->wanted, ~signal_bit(signo));
        return err;
    }
    users[signo - 1]++;
    return 0;
}

int weft__signal_want(struct signal_sink *s, int signo)
{
    if (!can_be_had(signo)) {
        return -EINVAL;
    }
    if (weft__kick_is_used(signo)) {
        return -EBUSY;
    }
    int err = 0;
    pthread_mutex_lock(&action_lock);
    if (s->wishes[signo - 1]++ == 0) {
        err = want_first(s, signo);
    }
    pthread_mutex_unlock(&action_lock);
    return err;
}

/* Lock held. */
static void unwant_all(struct signal_sink *s, int signo)
{
    int i = signo - 1;
    s->wishes[i] = 0;
    /* The action first: what comes until it has changed is still told. */
    if (--users[i] == 0) {
        uninstall(signo);
    }
    /* ORD P2: after the action. A handler that misses it tells the sink once more. */
    (void)atomic_and_seq_cst(&s->wanted, ~signal_bit(signo));
}

void weft__signal_unwant(struct signal_sink *s, int signo)
{
    pthread_mutex_lock(&action_lock);
    WEFT_ASSERT(s->wishes[signo - 1] > 0);
    if (s->wishes[signo - 1] == 1) {
        unwant_all(s, signo);
    } else {
        s->wishes[signo - 1]--;
    }
    pthread_mutex_unlock(&action_lock);
}

void weft__signal_sink_remove(struct signal_sink *s)
{
    pthread_mutex_lock(&action_lock);
    for (int signo = 1; signo <= SIGNAL_NUMBERS; signo++) {
        if (s->wishes[signo - 1] > 0) {
            unwant_all(s, signo);
        }
    }
    if (s->is_listed) {
        s->is_listed = false;
        signal_sinks_unlink(&sinks, s);
        while (signal_sinks_is_walked(&sinks)) {
            sched_yield();
        }
    }
    pthread_mutex_unlock(&action_lock);
}

void weft__signal_lock(void)
{
    pthread_mutex_lock(&action_lock);
}

void weft__signal_unlock(void)
{
    pthread_mutex_unlock(&action_lock);
}

void weft__signal_forget_previous(int signo, void (*handler)(int))
{
    struct sigaction before = *previous_of(signo);
    if ((before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == handler) {
        before.sa_handler = SIG_DFL;
        before.sa_flags = 0;
        previous_set(signo, &before);
    }
}

void weft__signal_fork_begin(void)
{
    pthread_mutex_lock(&action_lock);
}

void weft__signal_fork_in_child(void)
{
    memset(users, 0, sizeof users);
    atomic_store_relaxed(&sinks.first, NULL); /* ORD none: there is one thread */
    atomic_store_relaxed(&sinks.walkers, 0);  /* ORD none: as above; who walked is not here */
}

void weft__signal_fork_end(void)
{
    pthread_mutex_unlock(&action_lock);
}
