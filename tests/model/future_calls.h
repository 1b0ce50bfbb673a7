/* SPDX-License-Identifier: MIT */
/* What future.c calls besides the wait, for models in which nobody frees a record, reports an
 * error or asks for a name. */
#ifndef WEFT_FUTURE_CALLS_H
#define WEFT_FUTURE_CALLS_H

bool weft__slab_is_ours(const weft_task *of)
{
    (void)of;
    return true;
}

struct slab_pool *weft__slab_pool_of(const weft_task *of)
{
    (void)of;
    return NULL;
}

void weft__slab_spill(struct slab_cache *cache, unsigned keep)
{
    (void)cache;
    (void)keep;
}

bool weft__report_future(weft_future *f, enum report_kind kind, int error)
{
    (void)f;
    (void)kind;
    (void)error;
    return false;
}

void weft__blocking_forget(struct blocking_job *b)
{
    (void)b;
}

void weft__extra_free(weft_task *t)
{
    (void)t;
}

void weft__task_end_unrun(weft_task *t)
{
    (void)t;
}

void weft__task_format_name(const weft_task *t, char *buf, size_t bytes)
{
    (void)t;
    (void)buf;
    (void)bytes;
}

#endif
