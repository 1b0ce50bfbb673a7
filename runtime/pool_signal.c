/* SPDX-License-Identifier: MIT */
/*
 * The signal that interrupts a job in a system call.
 *
 * A single one may come just before the call, and do nothing. So a timer sends it to the job's
 * thread again and again until the job is over. It is made by who cancels, under the pool's lock,
 * which says that the job runs; and deleted by the job's thread, which has closed the signal before
 * and takes what is pending: so it reaches no other job, and nothing after the job. The signal is
 * open only while a job runs that asked for it.
 *
 * The handler does nothing, and has no SA_RESTART, so that calls fail with EINTR. It is installed
 * where there is none, when a job is interrupted, and stays.
 */
#include <signal.h>
#include <string.h>

#include "pool.h"

/* Older headers have the member, and not the name. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* How often it is sent: seldom enough to cost nothing, often enough for a person. */
#define AGAIN_NS (5 * WEFT_MS)

int weft__pool_signal_default(void)
{
    return SIGRTMIN + 7; /* of no use elsewhere, as far as is known */
}

static void handle(int signo)
{
    (void)signo;
}

/* False: there is no handler, and none can be had. */
static bool ensure_handler(int signo)
{
    struct sigaction now;
    if (sigaction(signo, NULL, &now) != 0) {
        return false;
    }
    bool is_free = (now.sa_flags & SA_SIGINFO) == 0 &&
                   (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN);
    if (!is_free) {
        return true; /* ours, or the program's */
    }
    struct sigaction ours;
    memset(&ours, 0, sizeof ours);
    ours.sa_handler = handle;
    return sigaction(signo, &ours, NULL) == 0;
}

void weft__pool_interrupt(struct pool_slot *slot)
{
    int signo = slot->pool->signal;
    if (!ensure_handler(signo)) {
        return;
    }
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = signo;
    event.sigev_notify_thread_id = slot->tid;
    if (timer_create(CLOCK_MONOTONIC, &event, &slot->timer) != 0) {
        return; /* no more signals may be pending: the job is not interrupted */
    }
    struct itimerspec every = {
        .it_interval = {.tv_nsec = AGAIN_NS},
        .it_value = {.tv_nsec = 1},
    };
    (void)timer_settime(slot->timer, 0, &every, NULL);
    slot->has_timer = true;
}

static void set_of(const struct weft_pool *pool, sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, pool->signal);
}

void weft__pool_signal_open(const struct weft_pool *pool)
{
    sigset_t set;
    set_of(pool, &set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void weft__pool_signal_close(const struct weft_pool *pool)
{
    sigset_t set;
    set_of(pool, &set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void weft__pool_signal_drain(const struct weft_pool *pool, timer_t timer)
{
    static const struct timespec at_once;
    sigset_t set;
    set_of(pool, &set);
    timer_delete(timer);
    while (sigtimedwait(&set, NULL, &at_once) > 0) {
    }
}
