/* SPDX-License-Identifier: MIT */
/*
 * Counters of the server, kept apart by thread so that counting a request is an ordinary addition:
 * a counter shared by the workers would travel between their caches at every request.
 *
 * A task goes on, after a wait, on any thread. So the address of a thread's counters must not be
 * kept over a wait, not even by the compiler: every function here is out of line, looks the address
 * up anew and does not wait. Each counter has one writer; readers add up whatever they see.
 */
#include <stdatomic.h>

#include "../counter.h"
#include "echo.h"

/* One thread's share; more threads than WEFT_WORKERS_MAX never count, the last share is spare. */
struct tally {
    _Alignas(64) _Atomic(uint64_t) accepted;
    _Atomic(uint64_t) closed;
    _Atomic(uint64_t) failed;
    _Atomic(uint64_t) reads;
    _Atomic(uint64_t) bytes;
    _Atomic(uint64_t) pauses;
};

static struct tally tallies[WEFT_WORKERS_MAX + 1];
static _Atomic(unsigned) tally_next;

static struct tally *tally_mine(void)
{
    static _Thread_local struct tally *mine;
    if (mine == NULL) {
        /* ORD none: hands out a number; nothing is published by it. */
        unsigned index = atomic_fetch_add_explicit(&tally_next, 1, memory_order_relaxed);
        mine = &tallies[index < WEFT_WORKERS_MAX ? index : WEFT_WORKERS_MAX];
    }
    return mine;
}

__attribute__((noinline)) void echo_count_accepted(void)
{
    counter_add(&tally_mine()->accepted, 1);
}

__attribute__((noinline)) void echo_count_pause(void)
{
    counter_add(&tally_mine()->pauses, 1);
}

__attribute__((noinline)) void echo_count_read(size_t bytes)
{
    struct tally *t = tally_mine();
    counter_add(&t->reads, 1);
    counter_add(&t->bytes, bytes);
}

__attribute__((noinline)) void echo_count_closed(bool is_failed)
{
    struct tally *t = tally_mine();
    counter_add(&t->closed, 1);
    counter_add(&t->failed, is_failed);
}

void echo_totals_read(struct echo_totals *totals)
{
    *totals = (struct echo_totals){0};
    /* The closed ones first: read last, they could be more than the accepted ones. */
    for (size_t i = 0; i <= WEFT_WORKERS_MAX; i++) {
        totals->closed += counter_read(&tallies[i].closed);
    }
    for (size_t i = 0; i <= WEFT_WORKERS_MAX; i++) {
        totals->accepted += counter_read(&tallies[i].accepted);
        totals->failed += counter_read(&tallies[i].failed);
        totals->reads += counter_read(&tallies[i].reads);
        totals->bytes += counter_read(&tallies[i].bytes);
        totals->pauses += counter_read(&tallies[i].pauses);
    }
}
