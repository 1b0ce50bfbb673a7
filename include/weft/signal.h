/* SPDX-License-Identifier: MIT */
/*
 * Signals of the process, told to tasks and callbacks: not to code that has interrupted something,
 * but to code that may do whatever it likes.
 *
 *     weft_on_signal(SIGHUP, reload, config);           void reload(int signo, void *config)
 *
 *     sigset_t ends;                                    a task that waits for the end:
 *     sigemptyset(&ends);
 *     sigaddset(&ends, SIGTERM);
 *     sigaddset(&ends, SIGINT);
 *     int signo = weft_signal_wait(&ends);
 *
 * A signal is the runtime's from the first registration or wait on, until the last registration is
 * removed and weft_signal_release was called, or the runtime is closed. Then the process does again
 * what it did before, also for one that was sent earlier and that no thread has got to by then.
 * Meanwhile it does nothing else: SIGINT, too, no longer cancels the main task of weft_run. A
 * handler that the program installs itself meanwhile replaces ours, and stays.
 * Several runtimes may have the same signal, and each is told.
 *
 * Signals are not counted: of some that come before the first is told, one is. A thread of the
 * program's that has the signal open in its mask gets it and is interrupted; the main thread in
 * weft_run will do, but where all block it, it stays with the kernel (workers block nearly all).
 *
 * What cannot be had: SIGKILL and SIGSTOP; SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS and
 * SIGABRT, after which the thread that got it cannot go on; the kick signal of a runtime (SIGURG).
 *
 * fork: a child has the handlers of before, as far as its own signals go: those that were the
 * runtime's do in it what they did before, and reach no task of the parent's.
 */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <signal.h>
#include <sys/select.h> /* sigset_t in strict ISO C, too */

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* What a signal calls. It is a callback: it may spawn, post, set, cancel, and must not wait. */
typedef void (*weft_signal_fn)(int signo, void *arg);

/*
 * Have fn(signo, arg) called on a worker of the current runtime each time the signal comes, with
 * the caller's locals; one call of a registration at a time. Several registrations of a signal are
 * called in their order, on one worker.
 * Context: worker     Blocks: nothing
 * Returns 0; else nothing has changed: -EINVAL for what cannot be had (above) or a NULL fn, -EBUSY
 * for a kick signal, -ENOMEM, -EPERM outside a task or callback.
 */
WEFT_PUBLIC int weft_on_signal(int signo, weft_signal_fn fn, void *arg);

/*
 * Take back every registration of fn with arg for the signal with the current runtime. One that is
 * running ends; after that it is not called any more. With the last one the signal does again what
 * it did before, unless it was waited for.
 * Context: worker     Blocks: nothing
 * Returns how many were removed, -EPERM outside a task or callback.
 */
WEFT_PUBLIC int weft_on_signal_remove(int signo, weft_signal_fn fn, void *arg);

/*
 * Wait for one of the signals in set. All tasks that wait for it are told. One that comes while
 * nobody waits, after the first wait, is kept for the next; so a loop of waits misses none.
 * Context: task     Blocks: task
 * Returns the signal's number; one that is there at once is had by a cancelled task, too; else
 * -ECANCELED, -ETIMEDOUT; -EINVAL when set is empty or has what cannot be had (above), -EBUSY for a
 * kick signal, -ENOMEM, -EPERM outside a task: then nothing has changed.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_signal_wait(const sigset_t *set);

/*
 * The signals in set are not waited for any more; those that were kept are forgotten. What was not
 * waited for is passed over.
 * Context: worker     Blocks: nothing
 * Returns 0, -EBUSY when a task waits for one of them: nothing has changed then, -EPERM outside a
 * task or callback.
 */
WEFT_PUBLIC int weft_signal_release(const sigset_t *set);

WEFT_END_DECLS

#endif
