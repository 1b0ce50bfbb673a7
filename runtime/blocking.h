/* SPDX-License-Identifier: MIT */
/* Blocking work: what other parts of the runtime need of it; see blocking.c, blocking_job.c. */
#ifndef WEFT_BLOCKING_OBJECT_H
#define WEFT_BLOCKING_OBJECT_H

#include <weft/blocking.h>

#include "future.h"

struct job;

/* A job that was submitted, and has a future. */
struct blocking_job;

/* weft_run_blocking, with a name for reports. Context: task. */
int weft__run_blocking(const char *name, weft_fn fn, void *arg, void **result);

/* The runtime's pool, made when there is none; NULL: no memory. Context: worker. */
struct weft_pool *weft__blocking_pool(weft_runtime *rt);

/* How many threads a pool has at most where nothing else is said. */
unsigned weft__blocking_threads_default(void);

/* Submit a job. rt: of the caller; NULL: none. If that is simulated the job is over when this
 * returns. */
void weft__blocking_hand_over(weft_runtime *rt, struct weft_pool *pool, struct job *job);

/* Whether this thread runs a job that the close of rt would wait for; false for NULL. Context: any
 * thread. */
bool weft__blocking_is_job_of(const weft_runtime *rt);

/* Whether this thread runs a job during which rt, as it is simulated, stands still. Context: any
 * thread. */
bool weft__blocking_holds(const weft_runtime *rt);

/* Cancel the future of a job. Context: any thread, holding a reference. */
bool weft__blocking_cancel(weft_future *f);

/* The future of a job is gone. */
void weft__blocking_forget(struct blocking_job *b);

/* The name of the job, NULL when it has none. */
const char *weft__blocking_name(const struct blocking_job *b);

/* The threads of the runtime's pool are to end; wait for them, but for those that were let go.
 * Context: who closes, no worker is left. */
void weft__blocking_end(weft_runtime *rt);

#endif
