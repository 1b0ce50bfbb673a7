/* SPDX-License-Identifier: MIT */
/*
 * Placement: workers of one runtime wake on different CPUs while stalls are met.
 *
 * A worker that wakes to help another is of no use behind it on the same CPU. Kernels put it there:
 * who is woken goes where it ran before, or where the waker runs, unless an idle CPU is found; and
 * an idle CPU of a virtual machine is often not taken for one, as it looks as if the host had taken
 * it away. Nor is a thread that ran a moment ago moved to a CPU that has nothing to do.
 *
 * So a worker binds itself to a CPU before it sleeps, to the one it is on, or, if another worker
 * has that, to one that none has; and frees itself as soon as it wakes. No task runs while it is
 * bound, so nothing that a task starts, thread or process, inherits that.
 *
 * Nothing of this happens in a runtime that has met no stall lately (rescue.h): it costs a sleep
 * three system calls.
 *
 * Tested: tests/unit/test_rt_placement.c.
 */
#ifndef WEFT_PLACEMENT_H
#define WEFT_PLACEMENT_H

#include <stdbool.h>

struct worker;

/* CPUs with numbers beyond are left alone. */
#define PLACEMENT_CPUS 1024

/* Bind a worker that is about to sleep. False: it stays free, there are not enough CPUs or the
 * kernel refused. Context: owner, loop. */
bool weft__placement_bind(struct worker *w);

/* It has woken: free it again. Context: as above, after a bind. */
void weft__placement_unbind(struct worker *w);

/* Bind the thread to its CPU for good, as asked (options.pin_workers). A refusal costs speed, not
 * correctness. Context: owner, at its start. */
void weft__placement_pin(struct worker *w);

#endif
