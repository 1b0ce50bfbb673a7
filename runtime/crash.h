/* SPDX-License-Identifier: MIT */
/*
 * Crash: the report of what ends the process, on standard error, to be pasted as it is.
 *
 *     --- weft crash report ---
 *     weft: stack overflow in task 'parser' (id 7, fault at 0x7f...): it may rely on ...
 *     task: 'parser' (id 7)
 *     ...
 *     backtrace:
 *       at parse_value+0x12 (program+0x2d12)
 *     --- end of weft crash report ---
 *
 * Three ways lead here: a broken check (check.h), a stack overflow of a task or of a job on a
 * pool's thread, and, where the runtime's options ask for that, every fatal signal that is a
 * worker's own (fatal.h), or a thread's of a pool, in a job that the runtime waits for.
 *
 * One report at a time. Who reports has `reporter`; another thread that gets here waits until the
 * process is gone, or the first has gone on: the handler that a signal is passed on to may do that.
 * A fault in the midst of a report, which looks at what may be damaged, ends a section of it: the
 * handler jumps to the next one.
 *
 * Written in a signal handler on any thread, so nothing is allocated, no lock of the library is
 * taken, and what other threads own is read only where it is atomic. Two things are not
 * async-signal-safe by the book: dladdr, for the names of functions, takes the dynamic loader's
 * lock, which its holder gives back, unless that waits in turn for what the crashed thread holds;
 * and the unwinder goes by what the stack says. So the backtrace comes last, and all before it has
 * been written.
 *
 * Pairs
 *   P1  end: reporter, release -> begin: reporter, acquire (CAS)     the text's buffer
 *
 * Tested in tests/unit/test_rt_crash.c.
 */
#ifndef WEFT_CRASH_H
#define WEFT_CRASH_H

#include <stdbool.h>

#include "crash_text.h"
#include "fatal.h"

/* Where the backtrace begins. */
struct crash_place {
    const void *context; /* a signal's ucontext_t; NULL: the caller of `above` */
    uintptr_t above;     /* the start of the function that was called last */
};

/* A fatal_tell_fn. */
enum fatal_answer weft__crash_tell(int sig, siginfo_t *info, void *context);

/* The backtrace, a line a frame. Context: async-signal, on the thread that crashed. */
void weft__crash_backtrace(struct crash_text *text, const struct crash_place *place);

/* The program counter and stack pointer of a signal's context. */
uintptr_t weft__crash_pc(const void *context);
uintptr_t weft__crash_sp(const void *context);

#endif
