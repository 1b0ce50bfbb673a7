/* SPDX-License-Identifier: MIT */
/* Sigint: the handler and the wait; see sigint.h. */
#include "sigint.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weft/task.h>

#include "fork.h"
#include "futex.h"
#include "runtime_object.h"
#include "signal_action.h"
#include "simulation.h"

/* The process has one main thread, and so one of these. */
static _Atomic(uint32_t) is_active;
static _Atomic(uint32_t) count; /* interrupts since it is */
static _Atomic(uint32_t) word;  /* futex: something has happened */
static uint64_t generation;     /* the process's */
static bool is_taken;           /* the main thread's: the interrupt has cancelled the main task */

struct sigint_waiter {
    struct waiter node;
    weft_runtime *drives; /* the runtime, when it is simulated; else NULL */
    struct simulation_driver driver;
    _Atomic(uint32_t) is_over;
};

static void word_raise(void)
{
    (void)atomic_add_seq_cst(&word, 1); /* ORD P1, P2: after what has happened */
    weft__futex_wake(&word, INT_MAX);
}

static void handle(int sig)
{
    int saved_errno = errno;
    bool is_ours = atomic_load_seq_cst(&is_active) != 0 && /* ORD none: the same thread's, mostly */
                   generation == weft__fork_generation();
    if (is_ours && atomic_add_seq_cst(&count, 1) == 0) { /* ORD P1: before the word */
        word_raise();
    } else {
        struct sigaction action;
        memset(&action, 0, sizeof action);
        action.sa_handler = SIG_DFL;
        sigaction(sig, &action, NULL);
        raise(sig); /* comes as the handler returns */
    }
    errno = saved_errno;
}

/* Lock held. */
static bool sigint_install(void)
{
    struct sigaction now;
    if (syscall(SYS_gettid) != getpid() ||
        /* ORD none: written by this thread. */
        atomic_load_relaxed(&is_active) != 0 || sigaction(SIGINT, NULL, &now) != 0 ||
        (now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL) {
        return false;
    }
    generation = weft__fork_generation();
    is_taken = false;
    atomic_store_relaxed(&count, 0);     /* ORD none: the handler is not there yet */
    atomic_store_relaxed(&is_active, 1); /* ORD none: as above */
    struct sigaction ours;
    memset(&ours, 0, sizeof ours);
    ours.sa_handler = handle;
    ours.sa_flags = SA_ONSTACK | SA_RESTART;
    ours.sa_mask = now.sa_mask;
    if (sigaction(SIGINT, &ours, NULL) != 0) {
        atomic_store_relaxed(&is_active, 0); /* ORD none: as above */
        return false;
    }
    return true;
}

bool weft__sigint_begin(void)
{
    weft__signal_lock();
    bool is_ours = sigint_install();
    weft__signal_unlock();
    return is_ours;
}

void weft__sigint_end(void)
{
    struct sigaction now;
    bool is_late = false;
    weft__signal_lock();
    if (sigaction(SIGINT, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
        now.sa_handler == handle) {
        now.sa_handler = SIG_DFL;
        now.sa_flags = 0;
        sigaction(SIGINT, &now, NULL);
        is_late = atomic_load_acquire(&count) != 0 && !is_taken; /* ORD P1: as the wait */
    }
    weft__signal_forget_previous(SIGINT, handle); /* where a task has the signal */
    /* ORD none: a handler that runs on another thread meanwhile counts, and wakes nobody. */
    atomic_store_seq_cst(&is_active, 0);
    weft__signal_unlock();
    if (is_late) {
        raise(SIGINT); /* it found no task to cancel: as if it had come a moment later */
    }
}

static void sigint_waiter_end(struct sigint_waiter *w)
{
    /* ORD P2: the last touch; the thread may go on and its stack with it. */
    atomic_store_release(&w->is_over, 1);
    word_raise();
}

static void sigint_tell(struct simulation_driver *d)
{
    sigint_waiter_end(WEFT_CONTAINER(d, struct sigint_waiter, driver));
}

static void sigint_wake(struct waiter *node, weft_future *f)
{
    (void)f;
    struct sigint_waiter *w = WEFT_CONTAINER(node, struct sigint_waiter, node);
    if (WEFT_UNLIKELY(w->drives != NULL)) {
        weft__simulation_tell(w->drives, &w->driver);
    } else {
        sigint_waiter_end(w);
    }
}

int weft__sigint_wait(weft_task *t, void **result)
{
    struct sigint_waiter w = {.node.wake = sigint_wake, .driver.tell = sigint_tell};
    bool has_told = false;
    bool is_waiting = weft__simulation_wait(t, &w.node, &w.drives);
    while (is_waiting) {
        uint32_t seen = atomic_load_acquire(&word); /* ORD P1, P2: before the looks */
        if (!has_told && atomic_load_acquire(&count) != 0) { /* ORD P1: after the word */
            has_told = true;
            is_taken = weft_cancel(t);
        }
        /* ORD P2: the waker is through with the waiter. */
        if (atomic_load_acquire(&w.is_over) != 0) {
            break;
        }
        weft__futex_wait(&word, seen, WEFT_FOREVER);
    }
    int err = weft_result(t, result);
    /* ORD none: the task has ended, and with it what it acknowledged. */
    bool is_ours_alone = has_told && atomic_load_relaxed(&t->cancel) <= 1;
    return err == -ECANCELED && is_ours_alone ? -EINTR : err;
}
