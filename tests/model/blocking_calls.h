/* SPDX-License-Identifier: MIT */
/* What futures ask of blocking work, for models in which none is a job's. */
#ifndef WEFT_BLOCKING_CALLS_H
#define WEFT_BLOCKING_CALLS_H

#include "blocking.h"
#include "tls.h"

bool weft__blocking_cancel(weft_future *of)
{
    (void)of;
    return false;
}

void weft__blocking_forget(struct blocking_job *b)
{
    (void)b;
}

const char *weft__blocking_name(const struct blocking_job *b)
{
    (void)b;
    return NULL;
}

struct job *weft__job_current(void)
{
    return NULL;
}

#endif
