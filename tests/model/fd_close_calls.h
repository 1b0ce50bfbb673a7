/* SPDX-License-Identifier: MIT */
/* For model_fd_close.c: what close.c calls. */
#ifndef WEFT_FD_CLOSE_CALLS_H
#define WEFT_FD_CLOSE_CALLS_H

bool weft__wake(struct fiber *on, uint64_t ticket)
{
    bool is_ours = weft__wait_claim(on, ticket);
    if (is_ours) {
        weft__fiber_ready(on);
    }
    return is_ours;
}

void weft__send_to_worker(unsigned index, struct message *m)
{
    wait_of_closer = WEFT_CONTAINER(m, struct close_request, message)->wait;
    if (mutant != MUTANT_ONE_UNASKED || index != 1) {
        model_plain_write(&inbox[index]);
        atomic_store_release(&inbox[index], m);
    }
}

/* The second worker has the operation. */
struct poller *weft__poller_of(const struct worker *w)
{
    return w == &fibers[2].worker ? (struct poller *)(void *)&asked : NULL;
}

void weft__op_cancel_fd(struct poller *p, int fd)
{
    model_assert(fd == FD);
    if (p != NULL) {
        atomic_store_release(&asked, 1);
    }
}

unsigned weft_runtime_workers(const weft_runtime *rt)
{
    (void)rt;
    return WORKERS;
}

weft_runtime *weft_runtime_current(void)
{
    return NULL;
}

/* ---- what is not come to here ---- */

struct poller *weft__poller_current(void)
{
    return NULL;
}

int weft_yield(void)
{
    return 0;
}

#endif
