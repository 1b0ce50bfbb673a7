/* SPDX-License-Identifier: MIT */
/*
 * Stack overflow: a process-wide handler of SIGSEGV and SIGBUS that tells an overflow of a task's
 * stack from every other fault.
 *
 *     weft__overflow_set_describe(fn);       who knows which task runs here
 *     weft__overflow_install();              once a runtime; the last weft__overflow_uninstall
 *     ...                                    puts back what was there
 *
 * A fault goes to `describe`. If that knows it as an overflow, one line on standard error names the
 * task, its stack's sizes and the cure, and the process dies by the signal's default action, so
 * that a core dump shows the fault. Every other fault goes to the handler that was there before,
 * with its own mask and flags, or to the default action. A handler that is installed over this one
 * replaces it, unless it chains. Each worker needs a signal stack (signal_stack.h).
 */
#ifndef WEFT_OVERFLOW_H
#define WEFT_OVERFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_OVERFLOW_NAME_BYTES 64

/* What the message says. Owner: the handler; describe fills it in. */
struct overflow_report {
    char task_name[WEFT_OVERFLOW_NAME_BYTES]; /* terminated; cut to fit */
    uint64_t task_id;
    size_t promised_bytes;
    size_t reserved_bytes;
};

/*
 * Whether a fault at an address is a stack overflow of what runs on the calling thread; *report,
 * all zero before, says whose.
 * Context: async-signal, on any thread of the process
 */
typedef bool (*overflow_describe_fn)(const void *fault_address, struct overflow_report *report);

/* Say who describes; NULL: nobody, every fault is passed on. Context: any thread. */
void weft__overflow_set_describe(overflow_describe_fn describe);

/*
 * Install the handlers, the first time; else count.
 * Context: any thread     Blocks: nothing
 * Returns 0 or -errno; nothing has changed then.
 */
int weft__overflow_install(void);

/* Take one installation back; the last one restores the handlers, unless they were replaced. */
void weft__overflow_uninstall(void);

/* Hold the lock of the two over a fork, so that it is free in the child. */
void weft__overflow_fork_begin(void);
void weft__overflow_fork_end(void);

#endif
