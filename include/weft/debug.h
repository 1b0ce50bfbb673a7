/* SPDX-License-Identifier: MIT */
/*
 * Looking inside: what tasks are doing, what they wait for, and where they stand.
 *
 *     weft_dump_tasks(rt, stderr);            all of them, from any thread, at any time
 *
 *     loader (Task-7): waits for a mutex (0x55d0c8a3f040) that Task-3 has
 *         awaited by Task-1
 *         at weft_mutex_lock+0x4c (program+0x8f1c)
 *         at load_page+0x61 (program+0x2d11)
 *     ...
 *     who waits for whom:
 *     Task-1
 *       loader (Task-7)
 *         Task-3
 *
 * Nobody is stopped: tasks go on, and each is looked at for the moment in which its wait cannot
 * end. So a task is shown as it was at one time, and several as they were at different times. One
 * that runs, or is ready to, has no backtrace.
 *
 * A backtrace begins at the call of the library that waits. Nothing needs to be compiled for it in
 * a special way: it is found by the unwind tables, which compilers make for x86-64 and aarch64
 * unless they are told not to. The names are those that dladdr finds: link a program with -rdynamic
 * to have its functions named. A static function has no name there; `addr2line -fe program 0x2d11`
 * tells it, with the line.
 *
 * A crash report is written to standard error when the program, or the library, breaks a rule of
 * the library's, and when the stack of a task or of a blocking job overflows; with
 * weft_options.crash_report or WEFT_CRASH_REPORT=1 also for other faults and aborts of a task, and
 * of a blocking job, with the task that waits for it. It is made to be pasted into a report of a
 * defect:
 *
 *     --- weft crash report ---
 *     weft: broken rule: f->scope == NULL
 *     weft:   at runtime/switch.c:168
 *     weft:   a task leaves every scope that it has entered
 *     task: 'loader' (id 7)
 *     stack: 2104 bytes in use of 64 KiB promised, 240 KiB reserved
 *     thread: 4711 of process 4709, worker 1 of 2, seed 11865253
 *     worker 1, last events before the crash:
 *       -812.4 us: sleep
 *       -95.0 us: woken
 *       -94.8 us: steal from worker 0
 *     ...
 *     --- end of weft crash report ---
 *
 * The events are those of the scheduler: in debug mode (weft_set_debug) each start, switch and end
 * of a task, without it only what is rare.
 */
#ifndef WEFT_DEBUG_H
#define WEFT_DEBUG_H

#include <stdio.h>

#include <weft/base.h>

WEFT_BEGIN_DECLS

/*
 * Print every task of rt that has not ended, with what it does, who awaits it, and its backtrace.
 * Then who waits for whom, as trees: under a task those that it awaits, its groups' children, and
 * the task that has the mutex or the reader-writer lock for which it waits. A tree begins at a task
 * that nobody waits for; tasks outside of any are left out. A task that several wait for is shown
 * under each, with what is below it under the first. Tasks that wait for each other in a circle are
 * shown as one: none of them will go on by itself.
 * out: is written to in the calling thread, and not flushed
 * Context: any thread     Blocks: nothing but what writing to `out` does; a close of rt does not
 * wait for that
 * Returns how many tasks there were, -EINVAL for NULL, -ENOMEM, -ESHUTDOWN when rt is closed, or a
 * parent's in a child of fork; then nothing was printed.
 */
WEFT_PUBLIC ssize_t weft_dump_tasks(weft_runtime *rt, FILE *out);

/*
 * Describe a task or promise in a line, without its end: its name; "is running", "is ready to run",
 * "has not started", "is held back", "waits for" what, "has ended" with its value, its error, or
 * "cancelled"; how often it was asked to end, if so.
 * Context: any thread     Blocks: nothing
 * buf: cut to fit, always terminated when bytes > 0
 * Returns the length of the whole line; -EINVAL when f is NULL.
 */
WEFT_PUBLIC ssize_t weft_describe(weft_future *f, char *buf, size_t bytes);

/*
 * Who waits for a future, by weft_await and the like, by weft_gather, weft_wait and weft_shielded,
 * or because it is a child of a group of theirs. Callbacks and plain threads are not counted, nor
 * is one that runs f on its own stack, unless f waits.
 * Context: any thread     Blocks: nothing
 * out: gets up to n handles, each with a reference; NULL: none
 * Returns how many there are, also when that is more than n.
 */
WEFT_PUBLIC size_t weft_awaiters(weft_future *f, weft_task **out, size_t n);

/*
 * Where a task that waits stands: the return addresses of its calls, innermost first, for dladdr or
 * backtrace_symbols. A task that runs on its waiter's stack has the waiter's calls below its own.
 * Context: any thread     Blocks: nothing
 * frames: gets up to n of them
 * Returns how many it got; 0 for a task that does not wait, or awaits one on its own stack; 0 for
 * NULL.
 */
WEFT_PUBLIC size_t weft_backtrace(weft_task *task, void **frames, size_t n);

WEFT_END_DECLS

#endif
