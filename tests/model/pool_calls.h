/* SPDX-License-Identifier: MIT */
/* For model_blocking.c: what blocking.c calls. */
#ifndef WEFT_POOL_CALLS_H
#define WEFT_POOL_CALLS_H

bool weft__wake(struct fiber *on, uint64_t ticket)
{
    bool is_ours = ticket != 0 && weft__wait_claim(on, ticket);
    if (is_ours) {
        weft__fiber_ready(on);
    }
    return is_ours;
}

void weft__pool_submit(struct weft_pool *to, struct job *job)
{
    (void)to;
    (void)job;
    atomic_store_release(&place, PLACE_IN_LINE);
}

bool weft__pool_withdraw(struct weft_pool *from, struct job *job)
{
    uint32_t in_line = PLACE_IN_LINE;
    (void)from;
    (void)job;
    return atomic_cas_acquire(&place, &in_line, PLACE_BACK) || mutant == MUTANT_WITHDRAW_LATE;
}

/* As if the look on had taken long enough. */
int64_t weft_now(void)
{
    return now_ns += WATCH_NS;
}

/* ---- what is not come to here ---- */

unsigned weft__cpu_count(void)
{
    return 1;
}

void weft__give_turn(void)
{
}

struct job *weft__job_current(void)
{
    return NULL;
}

int weft__locals_capture(struct local_set **set)
{
    (void)set;
    return 0;
}

void weft__locals_drop(struct local_set *set)
{
    (void)set;
}

struct weft_pool *weft__pool_create(const struct pool_config *config)
{
    (void)config;
    return NULL;
}

bool weft__pool_end_threads(struct weft_pool *of, int64_t until_ns)
{
    (void)of;
    (void)until_ns;
    return true;
}

void weft__pool_release(struct weft_pool *of)
{
    (void)of;
}

void weft__rescue_block_begin(struct worker *w)
{
    (void)w;
}

void weft__rescue_block_end(struct worker *w)
{
    (void)w;
}

void weft__job_await(struct job *job)
{
    (void)job;
}

#endif
