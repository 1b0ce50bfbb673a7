/* SPDX-License-Identifier: MIT */
/*
 * The current worker, and the current job on a thread of a pool: the only thread-local variables of
 * the library that matter to more than one file.
 *
 * A fiber may resume on another thread, and compilers keep the address of a thread-local variable
 * over a call. So the variable is reached through one function that is never inlined, and its
 * result is not kept over anything that can suspend.
 */
#ifndef WEFT_TLS_H
#define WEFT_TLS_H

struct job;
struct worker;

/* The worker whose thread this is, or NULL. Context: any thread. */
struct worker *weft__worker_current(void);

/* The job that this thread of a pool runs, or NULL. Context: any thread. */
struct job *weft__job_current(void);

/* Context: a pool's own thread. */
void weft__job_set_current(struct job *job);

/* Context: a worker's own thread, at its start and end; a forked child. */
void weft__worker_set_current(struct worker *w);

#endif
