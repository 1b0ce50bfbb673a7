/* SPDX-License-Identifier: MIT */
/* Blocking work: what other parts of the runtime need of it; see blocking.c. */
#ifndef WEFT_BLOCKING_OBJECT_H
#define WEFT_BLOCKING_OBJECT_H

#include <weft/blocking.h>

#include "future.h"

/* A job that was submitted, and has a future. */
struct blocking_job;

/* Cancel the future of a job. Context: any thread, holding a reference. */
bool weft__blocking_cancel(weft_future *f);

/* The future of a job is gone. */
void weft__blocking_forget(struct blocking_job *b);

/* The name of the job, NULL when it has none. */
const char *weft__blocking_name(const struct blocking_job *b);

/* The threads of the runtime's pool are to end; wait for them. Context: who closes, no worker is
 * left. */
void weft__blocking_end(weft_runtime *rt);

/* weft_run_blocking, with a name for reports. Context: task. */
int weft__run_blocking(const char *name, weft_fn fn, void *arg, void **result);

#endif
