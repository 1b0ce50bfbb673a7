/* SPDX-License-Identifier: MIT */
/*
 * Fatal: process-wide handlers of the signals by which a thread's own fault ends the process.
 *
 *     weft__fatal_set_tell(fn);         who knows what runs here, and writes the report
 *     weft__fatal_install(set);         once a runtime; the last weft__fatal_uninstall puts back
 *     ...                               what was there
 *
 * A signal goes to `tell`. If that has ended the matter (a stack overflow) the process dies
 * by the signal's default action, so that a core dump shows the fault. Every other one goes to the
 * handler that was there before, with its own mask and flags, or to the default action. A handler
 * that is installed over this one replaces it, unless it chains. Each worker needs a signal stack
 * (signal_stack.h).
 */
#ifndef WEFT_FATAL_H
#define WEFT_FATAL_H

#include <signal.h>

/* Which signals. */
enum fatal_set {
    FATAL_NONE = 0,
    FATAL_OVERFLOWS = 2, /* SIGSEGV, SIGBUS */
    FATAL_ALL = 5,       /* SIGFPE, SIGILL, SIGABRT too */
};

/* What becomes of one. */
enum fatal_answer {
    FATAL_PASSED, /* it goes where it would have gone */
    FATAL_ENDS,   /* the process ends by it */
};

/* Context: async-signal, on any thread of the process. */
typedef enum fatal_answer (*fatal_tell_fn)(int sig, siginfo_t *info, void *context);

/* Say who tells; NULL: nobody, every signal is passed on. Context: any thread. */
void weft__fatal_set_tell(fatal_tell_fn tell);

/*
 * Install the handlers of a set, each the first time; else count.
 * Context: any thread     Blocks: nothing
 * Returns 0 or -errno; nothing has changed then.
 */
int weft__fatal_install(enum fatal_set set);

/* Take one installation back; the last one of a signal restores its handler, unless that was
 * replaced. */
void weft__fatal_uninstall(enum fatal_set set);

/* Hold the lock of the two over a fork, so that it is free in the child. */
void weft__fatal_fork_begin(void);
void weft__fatal_fork_end(void);

#endif
