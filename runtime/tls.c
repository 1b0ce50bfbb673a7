/* SPDX-License-Identifier: MIT */
/* The current worker and job; see tls.h. */
#include "tls.h"

#include "check.h"

/* used: where it is read the compiler does not see it. */
__thread struct worker *weft__thread_worker __attribute__((tls_model("initial-exec"), used));
static __thread struct job *current_job __attribute__((tls_model("initial-exec")));

#ifndef WEFT_TLS_INLINE
WEFT_NOINLINE struct worker *weft__worker_current(void)
{
    /* Keeps callers from being told, by link-time optimisation, that this reads a fixed address. */
    __asm__ volatile("");
    return weft__thread_worker;
}
#endif

WEFT_NOINLINE void weft__worker_set_current(struct worker *w)
{
    weft__thread_worker = w;
}

WEFT_NOINLINE struct job *weft__job_current(void)
{
    __asm__ volatile(""); /* or link-time optimisation tells callers that it is a fixed address */
    return current_job;
}

WEFT_NOINLINE void weft__job_set_current(struct job *job)
{
    current_job = job;
}
