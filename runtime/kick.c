/* SPDX-License-Identifier: MIT */
/*
 * The handler behind kick.h.
 *
 * Ours are told from others by what they carry: the address of the thread's struct kick, which the
 * kernel hands on from the timer and from rt_tgsigqueueinfo.
 *
 * Only async-signal-safe calls are made from the handler; errno is kept.
 *
 * Tested in tests/unit/test_kick.c.
 */
#include "kick.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weft/base.h>

#include "check.h"

/* Older headers have the member, and not the name. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define SIGNALS_MAX 65

static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
/* under the lock */
static unsigned install_count[SIGNALS_MAX];
static bool is_replaced[SIGNALS_MAX]; /* by replacement, seen when the last one went */
static struct sigaction replacement[SIGNALS_MAX];
/* written under the lock before the handler is installed, read by it */
static struct sigaction previous[SIGNALS_MAX];
static kick_fn on_kick;

/* The thread's own, while it can be kicked. */
static _Thread_local struct kick *volatile target;

static void pass_on(int sig, siginfo_t *info, void *context)
{
    const struct sigaction *before = &previous[sig];
    if (before->sa_handler == SIG_DFL || before->sa_handler == SIG_IGN) {
        return;
    }
    if ((before->sa_flags & SA_SIGINFO) != 0) {
        before->sa_sigaction(sig, info, context);
    } else {
        before->sa_handler(sig);
    }
}

static void handle(int sig, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    bool is_kind = info->si_code == SI_TIMER || info->si_code == SI_QUEUE;
    struct kick *k = is_kind ? info->si_value.sival_ptr : NULL;
    if (k == NULL || k != target) {
        pass_on(sig, info, context);
    } else {
        on_kick(k, info->si_code == SI_QUEUE);
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

int weft__kick_install(int sig, kick_fn fn)
{
    int err = 0;
    pthread_mutex_lock(&install_lock);
    if (install_count[sig] == 0) {
        struct sigaction now;
        err = sigaction(sig, NULL, &now) == 0 ? 0 : -errno;
        /* One that was installed over ours may call ours: the two would not end. */
        bool is_over = is_replaced[sig] && is_same(&now, &replacement[sig]);
        if (err == 0 && !is_ours(&now) && !is_over) {
            previous[sig] = now;
            is_replaced[sig] = false;
            on_kick = fn;
            struct sigaction ours;
            memset(&ours, 0, sizeof ours);
            ours.sa_sigaction = handle;
            ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
            ours.sa_mask = now.sa_mask;
            err = sigaction(sig, &ours, NULL) == 0 ? 0 : -errno;
        }
    }
    install_count[sig] += err == 0;
    pthread_mutex_unlock(&install_lock);
    return err;
}

void weft__kick_uninstall(int sig)
{
    pthread_mutex_lock(&install_lock);
    WEFT_ASSERT(install_count[sig] > 0);
    struct sigaction now;
    if (--install_count[sig] == 0 && sigaction(sig, NULL, &now) == 0) {
        if (is_ours(&now)) {
            sigaction(sig, &previous[sig], NULL);
        } else {
            is_replaced[sig] = now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN;
            replacement[sig] = now;
        }
    }
    pthread_mutex_unlock(&install_lock);
}

bool weft__kick_is_used(int sig)
{
    pthread_mutex_lock(&install_lock);
    bool is_used = install_count[sig] > 0;
    pthread_mutex_unlock(&install_lock);
    return is_used;
}

void weft__kick_fork_begin(void)
{
    pthread_mutex_lock(&install_lock);
}

void weft__kick_fork_end(void)
{
    pthread_mutex_unlock(&install_lock);
}

int weft__kick_thread_begin(struct kick *k, int sig, int64_t every_ns)
{
    memset(k, 0, sizeof *k);
    k->signal = sig;
    k->tid = (int)syscall(SYS_gettid);
    int err = pthread_getcpuclockid(pthread_self(), &k->cpu_clock);
    WEFT_ASSERT(err == 0);
    target = k;
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = sig;
    event.sigev_value.sival_ptr = k;
    event.sigev_notify_thread_id = k->tid;
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &k->timer) != 0) {
        return -EAGAIN;
    }
    struct itimerspec every = {
        .it_interval = {.tv_sec = every_ns / WEFT_SECOND, .tv_nsec = every_ns % WEFT_SECOND},
    };
    every.it_value = every.it_interval;
    if (timer_settime(k->timer, 0, &every, NULL) != 0) {
        timer_delete(k->timer);
        return -EAGAIN;
    }
    k->has_timer = true;
    return 0;
}

void weft__kick_thread_end(struct kick *k)
{
    if (k->has_timer) {
        timer_delete(k->timer);
        k->has_timer = false;
    }
    /* What others send from now on stays pending, and goes with the thread. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, k->signal);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    target = NULL;
}

void weft__kick_send(struct kick *k)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = k->signal;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = k;
    /* By number: pthread_sigqueue must not be given a thread that has been joined. */
    (void)syscall(SYS_rt_tgsigqueueinfo, info.si_pid, k->tid, k->signal, &info);
}

int64_t weft__kick_cpu_ns(const struct kick *k)
{
    struct timespec t;
    return clock_gettime(k->cpu_clock, &t) == 0 ? t.tv_sec * WEFT_SECOND + t.tv_nsec : 0;
}
