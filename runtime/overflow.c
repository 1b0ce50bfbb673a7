/* SPDX-License-Identifier: MIT */
/*
 * The handler behind overflow.h.
 *
 * Passing a fault on. What was there before is kept in `previous`, and its mask and its flags
 * SA_NODEFER and SA_RESTART are ours too, so a handler that is called from here runs as if the
 * kernel had called it, except that it stands on the signal stack where the thread has one (64 KiB
 * are enough for the usual crash reporters). It may return, jump out or end the process: nothing is
 * held here. The default action is had by restoring it and returning: the instruction faults again
 * and the core dump shows it. A signal that somebody sent does not come again, so it is sent anew.
 * An ignored fault has the default action too, as in the kernel; an ignored signal is ignored.
 *
 * Replaced. When the last runtime goes and the current handler is not ours, it stays. It may well
 * call ours, so ours stays usable and `previous` as it was; and as long as that handler is the
 * current one, ours is not installed over it again: the two would call each other for ever.
 *
 * One message. The first thread to overflow writes and dies; others that get here wait for that.
 *
 * Only async-signal-safe calls are made from the handler; errno is kept.
 *
 * Pairs
 *   P1  set_describe: describe, release -> handler: describe, acquire     whatever describe reads
 *
 * Tested in tests/unit/test_overflow.c.
 */
#include "overflow.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "atomic.h"
#include "check.h"

enum { SIGNALS = 2 };

static const int signals[SIGNALS] = {SIGSEGV, SIGBUS};

static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
/* under the lock */
static unsigned install_count;
static bool is_replaced[SIGNALS]; /* by replacement, seen when the last one went */
static struct sigaction replacement[SIGNALS];
/* written under the lock before the handler is installed, read by it */
static struct sigaction previous[SIGNALS];
/* by anybody */
static _Atomic(int) is_reset[SIGNALS]; /* previous had SA_RESETHAND and was called */
static _Atomic(int) is_dying;
static _Atomic(overflow_describe_fn) describe_now;

void weft__overflow_set_describe(overflow_describe_fn describe)
{
    /* ORD P1: what describe reads was written before. */
    atomic_store_release(&describe_now, describe);
}

/* A line that is put together without the C library. */
struct line {
    char text[512];
    size_t bytes;
};

static void line_text(struct line *line, const char *text)
{
    while (*text != '\0' && line->bytes < sizeof(line->text)) {
        line->text[line->bytes++] = *text++;
    }
}

static void line_number(struct line *line, uint64_t number, unsigned base)
{
    char digits[21];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    line_text(line, digits + at);
}

static void report_write(const struct overflow_report *report, const void *address)
{
    struct line line;
    line.bytes = 0;
    line_text(&line, "weft: stack overflow in task '");
    line_text(&line, report->task_name);
    line_text(&line, "' (id ");
    line_number(&line, report->task_id, 10);
    line_text(&line, ", fault at 0x");
    line_number(&line, (uintptr_t)address, 16);
    line_text(&line, "): it may rely on ");
    line_number(&line, report->promised_bytes / 1024, 10);
    line_text(&line, " KiB of stack and has used up all of the ");
    line_number(&line, report->reserved_bytes / 1024, 10);
    line_text(&line, " KiB reserved; spawn it with a larger weft_spawn_options.stack_bytes\n");
    ssize_t written = write(STDERR_FILENO, line.text, line.bytes);
    (void)written; /* there is nobody else to tell */
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
    int i = sig == signals[0] ? 0 : 1;
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
    struct overflow_report report;
    memset(&report, 0, sizeof(report));
    /* ORD P1: what it reads is there. */
    overflow_describe_fn describe = atomic_load_acquire(&describe_now);
    if (info->si_code > 0 && describe != NULL && describe(info->si_addr, &report)) {
        report.task_name[sizeof(report.task_name) - 1] = '\0';
        /* ORD none: whoever comes first reports; nothing else is handed over. */
        while (atomic_exchange_acquire(&is_dying, 1) != 0) {
            pause();
        }
        report_write(&report, info->si_addr);
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

int weft__overflow_install(void)
{
    int err = 0;
    pthread_mutex_lock(&install_lock);
    if (install_count == 0) {
        int done = 0;
        while (done < SIGNALS && (err = install_one(done)) == 0) {
            done++;
        }
        while (err < 0 && done > 0) {
            uninstall_one(--done);
        }
    }
    install_count += err == 0;
    pthread_mutex_unlock(&install_lock);
    return err;
}

void weft__overflow_uninstall(void)
{
    pthread_mutex_lock(&install_lock);
    WEFT_ASSERT(install_count > 0);
    if (--install_count == 0) {
        for (int i = 0; i < SIGNALS; i++) {
            uninstall_one(i);
        }
    }
    pthread_mutex_unlock(&install_lock);
}

void weft__overflow_fork_begin(void)
{
    pthread_mutex_lock(&install_lock);
}

void weft__overflow_fork_end(void)
{
    pthread_mutex_unlock(&install_lock);
}
