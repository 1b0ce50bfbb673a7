/* SPDX-License-Identifier: MIT */
/*
 * Kick: the signal that reaches a worker in the middle of a task.
 *
 * A timer on the thread's own CPU clock sends it every so often, and others may. It comes while the
 * thread burns CPU and not while it blocks, so that the timer never cuts a system call short. What
 * is done then is rescue.c's business.
 *
 * The handler is installed for the process, the first time; the last weft__kick_uninstall puts back
 * what was there. A signal of that number that is none of ours goes to the handler that was there
 * before; its default action is left out, as it is to ignore it for SIGURG. A handler installed
 * over ours replaces it, unless it chains.
 */
#ifndef WEFT_KICK_H
#define WEFT_KICK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A thread that can be kicked. Owner: the thread; read by those who kick it. */
struct kick {
    int signal; /* 0: it cannot be */
    bool has_timer;
    timer_t timer;
    int tid;
    clockid_t cpu_clock;
};

/* What the handler calls, on the kicked thread. is_asked: another thread wants it, it was not the
 * timer. Context: async-signal. */
typedef void (*kick_fn)(struct kick *k, bool is_asked);

/*
 * Have the signal handled; counted, for each signal.
 * Context: any thread     Blocks: nothing
 * Returns 0 or -errno; nothing has changed then.
 */
int weft__kick_install(int sig, kick_fn fn);
void weft__kick_uninstall(int sig);

/* Whether a runtime kicks its workers by that signal. Context: any thread. */
bool weft__kick_is_used(int sig);

/* Hold the lock of the two over a fork, so that it is free in the child. */
void weft__kick_fork_begin(void);
void weft__kick_fork_end(void);

/*
 * From now on the calling thread is kicked for every so many nanoseconds of CPU that it uses. It
 * must have a signal stack, and the signal open in its mask, until weft__kick_thread_end.
 * Returns 0, or -EAGAIN: no timer can be had, and only others can kick it.
 */
int weft__kick_thread_begin(struct kick *k, int sig, int64_t every_ns);
void weft__kick_thread_end(struct kick *k);

/* Kick a thread, if it exists still. It may be in a system call, which is cut short then. */
void weft__kick_send(struct kick *k);

/* CPU time that a thread has used; 0 when it has ended. */
int64_t weft__kick_cpu_ns(const struct kick *k);

#endif
