/* SPDX-License-Identifier: MIT */
/* The current worker and job; see tls.h. */
#include "tls.h"

#include <stddef.h>

#include "check.h"

static __thread struct worker *current __attribute__((tls_model("initial-exec")));
static __thread struct job *current_job __attribute__((tls_model("initial-exec")));

WEFT_NOINLINE struct worker *weft__worker_current(void)
{
    /* Keeps callers from being told, by link-time optimisation, that this reads a fixed address. */
    __asm__ volatile("");
    return current;
}

WEFT_NOINLINE void weft__worker_set_current(struct worker *w)
{
    current = w;
}

WEFT_NOINLINE struct job *weft__job_current(void)
{
    __asm__ volatile(""); /* as above */
    return current_job;
}

WEFT_NOINLINE void weft__job_set_current(struct job *job)
{
    current_job = job;
}
