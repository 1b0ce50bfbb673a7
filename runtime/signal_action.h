/* SPDX-License-Identifier: MIT */
/*
 * Signal actions: what the process does on a signal, as far as runtimes want to be told of it.
 *
 * Why a handler, and neither signalfd nor a pipe. A signalfd tells only of signals that are blocked
 * in every thread. A library does not have every thread: others are there before it and start
 * theirs when they like; one thread that has the signal open, and the default action kills the
 * process. Blocked signals are also inherited through exec by whatever is started, and several
 * signalfds for one signal share it out instead of each being told. A handler is the process's,
 * whatever the threads' masks; it needs one thread that has the signal open, which is how a process
 * is made. What it may do is what a handler may: so it does as little as marks a bit and sends a
 * worker a message, which are atomic operations and one write to the eventfd by which workers are
 * woken anyway. A pipe of its own would add two descriptors, an operation in flight for ever, and a
 * buffer that can be full, and tell no more than the bit does.
 *
 * Those who want to be told are sinks, one a runtime (signal_sinks.h).
 *
 * What was there before a signal's first sink came is kept in `previous`, and comes back with the
 * last; but when the handler is not ours any more, because somebody has installed another one, that
 * one stays. It may well call ours, so ours stays usable: without a sink, or in a forked child,
 * it does what was done before. While it does that, it is not entered again: the handler before may
 * be the one that calls ours.
 *
 * Only async-signal-safe calls are made from the handler; errno is kept.
 *
 * Invariants
 *   I1  a signal that some sink wants is handled by us, unless another handler was installed over
 *       ours, and `previous` of it stands still.
 *
 * Tested: tests/unit/test_rt_signal.c, tests/regress/regress_signal_as_it_is_taken.c.
 */
#ifndef WEFT_SIGNAL_ACTION_H
#define WEFT_SIGNAL_ACTION_H

#include "signal_sinks.h"

/*
 * Tell the sink of this signal; counted. s: zeroed at first, but for `arrive`
 * Context: any thread     Blocks: nothing
 * Returns 0, -EINVAL: it cannot be had, -EBUSY: it is a kick signal; nothing has changed then.
 */
int weft__signal_want(struct signal_sink *s, int signo);

/*
 * Take one wish back; the sink's last one may still be told. A handler that has begun, but finds no
 * wish any more, does what was done before, as with a signal that comes a moment later: one that
 * ends the process is not lost.
 * Context: any thread
 */
void weft__signal_unwant(struct signal_sink *s, int signo);

/* Take all wishes back. Nobody looks at the sink any more. Context: any thread. */
void weft__signal_sink_remove(struct signal_sink *s);

/*
 * What follows is for those who change what SIGINT does in other ways: between the two nobody else
 * here does, and where ours is in place, it can be told what to put back.
 */
void weft__signal_lock(void);
void weft__signal_unlock(void);

/* If `handler` is what was there before ours, have it be the default action instead. Lock held. */
void weft__signal_forget_previous(int signo, void (*handler)(int));

/* Hold the lock over a fork, so that it is free in the child, where there are no sinks. */
void weft__signal_fork_begin(void);
void weft__signal_fork_in_child(void);
void weft__signal_fork_end(void);

#endif
