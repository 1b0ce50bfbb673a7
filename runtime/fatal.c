/* SPDX-License-Identifier: MIT */
/*
 * The handler behind fatal.h.
 *
 * Passing a fault on. What was there before is kept in `previous`, and its mask and its flags
 * SA_NODEFER and SA_RESTART are ours too, so a handler that is called from here runs as if the
 * kernel had called it, except that it stands on the signal stack where the thread has one (64 KiB
 * are enough for the usual crash reporters). It may return, jump out or end the process: nothing is
 * held here. The default action is had by restoring it and returning: the instruction faults again
 * and the core dump shows it. A signal that somebody sent does not come again, so it is sent anew.
 * An ignored fault has the default action too, as in the kernel; an ignored signal is ignored.
 * abort() raises its signal again, by default, when a handler has returned.
 *
 * Replaced. When the last runtime goes and the current handler is not ours, it stays. It may well
 * call ours, so ours stays usable and `previous` as it was; and as long as that handler is the
 * current one, ours is not installed over it again: the two would call each other for ever.
 *
 * Only async-signal-safe calls are made from the handler; errno is kept.
 *
 * Pairs
 *   P1  set_tell: tell, release -> handler: tell, acquire     whatever tell reads
 *
 * Tested in tests/unit/test_fatal.c.
 */
#include "fatal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "atomic.h"
#include "check.h"

/* The first ones are those of FATAL_OVERFLOWS. */
static const int signals[FATAL_ALL] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
/* under the lock */
static unsigned install_count[FATAL_ALL];
static bool is_replaced[FATAL_ALL]; /* by replacement, seen when the last one went */
static struct sigaction replacement[FATAL_ALL];
/* written under the lock before the handler is installed, read by it */
static struct sigaction previous[FATAL_ALL];
/* by anybody */
static _Atomic(int) is_reset[FATAL_ALL]; /* previous had SA_RESETHAND and was called */
static _Atomic(fatal_tell_fn) tell_now;

void weft__fatal_set_tell(fatal_tell_fn tell)
{
    /* ORD P1: what tell reads was written before. */
    atomic_store_release(&tell_now, tell);
}

/* Have the default action happen, on return from the handler. */
static void die_by_default(int sig, const siginfo_t *info)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    sigaction(sig, &action, NULL);
    bool is_sent = info->si_code <= 0 || (sig == SIGBUS && info->si_code == BUS_MCEERR_AO);
    if (is_sent) {
        raise(sig);
    }
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
    int i = 0;
    while (signals[i] != sig) {
        i++;
    }
    const struct sigaction *before = &previous[i];
    bool is_default = before->sa_handler == SIG_DFL;
    if (before->sa_handler == SIG_IGN) {
        if (info->si_code <= 0) {
            return;
        }
        is_default = true;
    }
    if (!is_default && (before->sa_flags & (int)SA_RESETHAND) != 0) {
        /* ORD none: of two threads one gets the handler; nothing else depends on it. */
        is_default = atomic_exchange_acquire(&is_reset[i], 1) != 0;
    }
    if (is_default) {
        die_by_default(sig, info);
    } else if ((before->sa_flags & SA_SIGINFO) != 0) {
        before->sa_sigaction(sig, info, context);
    } else {
        before->sa_handler(sig);
    }
}

static void handle(int sig, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    /* ORD P1: what it reads is there. */
    fatal_tell_fn tell = atomic_load_acquire(&tell_now);
    if (tell != NULL && tell(sig, info, context) == FATAL_ENDS) {
        die_by_default(sig, info);
    } else {
        pass_on(sig, info, context);
    }
    errno = saved_errno;
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handle;
}

/* Whether two actions are the same handler. */
static bool is_same(const struct sigaction *a, const struct sigaction *b)
{
    return (a->sa_flags & SA_SIGINFO) == (b->sa_flags & SA_SIGINFO) &&
           a->sa_handler == b->sa_handler;
}

/* Install the handler of one signal. Returns 0 or -errno. */
static int install_one(int i)
{
    struct sigaction now;
    if (sigaction(signals[i], NULL, &now) != 0) {
        return -errno;
    }
    if (is_ours(&now) || (is_replaced[i] && is_same(&now, &replacement[i]))) {
        return 0;
    }
    struct sigaction ours = now;
    previous[i] = now;
    is_replaced[i] = false;
    atomic_store_relaxed(&is_reset[i], 0); /* ORD none: the handler is not there yet */
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (now.sa_flags & (int)(SA_NODEFER | SA_RESTART));
    return sigaction(signals[i], &ours, NULL) == 0 ? 0 : -errno;
}

static void uninstall_one(int i)
{
    struct sigaction now;
    if (sigaction(signals[i], NULL, &now) != 0) {
        return;
    }
    if (is_ours(&now)) {
        sigaction(signals[i], &previous[i], NULL);
    } else {
        is_replaced[i] = now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN;
        replacement[i] = now;
    }
}

/* Lock held. */
static void take_back(int i)
{
    WEFT_ASSERT(install_count[i] > 0);
    if (--install_count[i] == 0) {
        uninstall_one(i);
    }
}

int weft__fatal_install(enum fatal_set set)
{
    int err = 0;
    int done = 0;
    pthread_mutex_lock(&install_lock);
    while (done < (int)set && (install_count[done] > 0 || (err = install_one(done)) == 0)) {
        install_count[done++]++;
    }
    while (err < 0 && done > 0) {
        take_back(--done);
    }
    pthread_mutex_unlock(&install_lock);
    return err;
}

void weft__fatal_uninstall(enum fatal_set set)
{
    pthread_mutex_lock(&install_lock);
    for (int i = 0; i < (int)set; i++) {
        take_back(i);
    }
    pthread_mutex_unlock(&install_lock);
}

void weft__fatal_fork_begin(void)
{
    pthread_mutex_lock(&install_lock);
}

void weft__fatal_fork_end(void)
{
    pthread_mutex_unlock(&install_lock);
}
