/* SPDX-License-Identifier: MIT */
/* What a crash report says of the task, its worker and the machine. Context: async-signal, on the
 * thread that crashed. */
#ifndef WEFT_CRASH_FACTS_H
#define WEFT_CRASH_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "crash_text.h"

struct job;
struct worker;

#define WEFT_CRASH_NAME_BYTES 64

/* The name of the task that w runs, "none" where there is none; w may be NULL. */
void weft__crash_task_name(const struct worker *w, char *buf, size_t bytes);

/* The task, its id, what it is nested on, and its stack. */
void weft__crash_task(struct crash_text *text, const struct worker *w, uintptr_t sp);

/* The job of a pool's thread that is no worker's, and who waits for it. */
void weft__crash_job(struct crash_text *text, struct job *job);

/* The worker, what it and the others did last. */
void weft__crash_worker(struct crash_text *text, struct worker *w);

/* Versions, kernel, processors, backend. */
void weft__crash_versions(struct crash_text *text, const struct worker *w);

#endif
