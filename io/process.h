/* SPDX-License-Identifier: MIT */
/*
 * Process: the object behind weft_process.
 *
 * A child is a number until somebody has asked for its exit status, and may be another process's
 * number after that. So the number is used for nothing but to open the process descriptor, which
 * happens before anybody can have asked; signals and waits go through the descriptor. Where a
 * filter of system calls refuses to wait by it, the number is what is left: it is the child's as
 * long as the descriptor says that there is one.
 *
 * A wait is a poll of the descriptor, which all that wait do for themselves; whoever then finds it
 * readable asks for the status without waiting, under the lock, and the first gets it for all.
 * io_uring has an operation that waits and asks in one (WAITID). It would save one call of a
 * microsecond a child, and there can be only one of it for a child: when the task that has it is
 * cancelled, another of those that wait has to take over, and when it is cancelled as the child
 * ends, the status is taken from the child with nobody there. A poll takes nothing.
 *
 * Invariants
 *   I1  pidfd stays open while there is a reference, so what it stands for is this child.
 *   I2  the status is asked for once with success: has_ended, under the lock.
 *   I3  a child whose last reference went before it ended belongs to process_orphan.c.
 *
 * Pairs
 *   P1  put: refs, acq_rel  -> the last put: refs, acq_rel     all uses come before the end
 *
 * Tested: tests/io/test_process.c, tests/io/test_process_faults.c.
 */
#ifndef WEFT_PROCESS_OBJECT_H
#define WEFT_PROCESS_OBJECT_H

#include <pthread.h>

#include <weft/process.h>

#include "atomic.h"

/* A child that was left alone. */
struct orphan {
    struct orphan *next;
    int pidfd;
    pid_t pid;
};

struct weft_process {
    struct orphan orphan; /* first; used when nothing else of it is any more */
    _Atomic(uint32_t) refs;
    pid_t pid;             /* immutable */
    int pidfd;             /* I1 */
    weft_stream *stream[3]; /* in, out, err; NULL: none. The program's, one task at a time each */
    pthread_mutex_t lock;
    /* under lock */
    bool has_ended;
    int error;  /* what the last look said; 0, or -ECHILD (the status is lost) once it has ended */
    int status; /* exit code, or minus the signal */
};

/* Ask for the exit status of a child, without waiting. Returns 0: *status is set; -EINPROGRESS,
 * -ECHILD, or what a filter answers: it cannot be had. Context: any thread. */
int weft__process_reap(int pidfd, pid_t pid, int *status);

/* Have a child waited for whose handle is gone; the descriptor is given away, and the block of
 * malloc that begins with it, so that nothing is needed that could be refused. Context: any
 * thread. */
void weft__process_orphan(struct orphan *o);

/* Children that could not be waited for, for want of something: look whether they have ended.
 * Context: any thread. */
void weft__process_reap_left(void);

#endif
