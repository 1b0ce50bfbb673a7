/* SPDX-License-Identifier: MIT */
/*
 * What must hold: each account of a round is written from two sides, which agree when everything
 * has ended; and what is broken at any time is said at once, and counted.
 *
 * Pairs
 *   P2  soak_broken: is_said, release -> soak_broken_repeat: is_said, acquire     the line
 */
#include <errno.h>
#include <stdarg.h>

#include "soak.h"

enum { SAID_MAX = 20, LINE_BYTES = 256 };

static const char *const names[SOAK_ACCOUNTS] = {
    [SOAK_BYTES] = "bytes of clean connections, sent and received",
    [SOAK_TLS_BYTES] = "bytes of clean TLS connections, sent and received",
    [SOAK_DATAGRAMS] = "datagrams, sent and received or dropped",
    [SOAK_HANDLERS] = "handlers of connections, begun and ended",
    [SOAK_TRANSPORTS] = "transports, made and lost",
    [SOAK_QUEUE_ITEMS] = "items of the queue, put and got",
    [SOAK_QUEUE_SUM] = "their sum",
    [SOAK_CHANNEL_ITEMS] = "elements of the channel, sent and received",
    [SOAK_CHANNEL_SUM] = "their sum",
    [SOAK_LOCKS] = "locks of the mutex, and counted under it",
    [SOAK_PERMITS_IN] = "permits, acquired and released",
    [SOAK_READINGS] = "readings under the rwlock, begun and ended",
    [SOAK_WRITINGS] = "writings, and counted under the rwlock",
    [SOAK_GOODS] = "goods, put on the shelf and taken",
    [SOAK_CHILDREN] = "tasks to be cancelled, spawned and ended",
    [SOAK_PROCESSES] = "child processes, started and ended",
    [SOAK_JOBS] = "jobs of process pools, submitted and ended",
    [SOAK_STEPS] = "steps, begun and ended",
    [SOAK_ACTORS] = "actors, spawned and ended",
};

/* ORD none, for all of it: counters; what they belong to is ordered by the end of the round. */
static atomic_uint broken;
static char said[SAID_MAX][LINE_BYTES]; /* the first of them, and ... */
static atomic_bool is_said[SAID_MAX];   /* whether it is there */

void soak_in(struct soak_round *r, enum soak_account account, unsigned long long n)
{
    atomic_fetch_add_explicit(&r->accounts[account].in, n, memory_order_relaxed);
}

void soak_out(struct soak_round *r, enum soak_account account, unsigned long long n)
{
    atomic_fetch_add_explicit(&r->accounts[account].out, n, memory_order_relaxed);
}

void soak_ledger_init(struct soak_round *r)
{
    for (int i = 0; i < SOAK_ACCOUNTS; i++) {
        r->accounts[i].name = names[i];
        atomic_store_explicit(&r->accounts[i].in, 0, memory_order_relaxed);
        atomic_store_explicit(&r->accounts[i].out, 0, memory_order_relaxed);
    }
}

void soak_broken(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    unsigned before = atomic_fetch_add_explicit(&broken, 1, memory_order_relaxed);
    if (before < SAID_MAX) {
        fprintf(stderr, "broken: %s\n", line);
        memcpy(said[before], line, sizeof line);
        /* ORD P2: the line. */
        atomic_store_explicit(&is_said[before], true, memory_order_release);
    } else if (before == SAID_MAX) {
        fprintf(stderr, "broken: and more, which are counted only\n");
    }
}

unsigned soak_broken_count(void)
{
    return atomic_load_explicit(&broken, memory_order_relaxed);
}

void soak_broken_repeat(FILE *to)
{
    for (int i = 0; i < SAID_MAX; i++) {
        /* ORD P2: the line. */
        if (atomic_load_explicit(&is_said[i], memory_order_acquire)) {
            fprintf(to, "  %s\n", said[i]);
        }
    }
}

/* A cancel and a deadline are the soak's own doing, and so is what a peer does that is being closed
 * together with its runtime. */
bool soak_excused(const struct soak_round *r, int error)
{
    return error == -ECANCELED || error == -ETIMEDOUT || weft_scope_error() != 0 ||
           soak_is_closing(r);
}

void soak_ledger_check(struct soak_round *r)
{
    void *item;
    while (weft_queue_try_get(r->queue, &item) == 0) {
        soak_out(r, SOAK_QUEUE_ITEMS, 1);
        soak_out(r, SOAK_QUEUE_SUM, (uintptr_t)item);
    }
    uint64_t element;
    while (weft_channel_try_receive(r->channel, &element) == 0) {
        soak_out(r, SOAK_CHANNEL_ITEMS, 1);
        soak_out(r, SOAK_CHANNEL_SUM, element);
    }
    for (int i = 0; i < SOAK_ACCOUNTS; i++) {
        unsigned long long in = soak_count(&r->accounts[i].in);
        unsigned long long out = soak_count(&r->accounts[i].out);
        if (in != out) {
            soak_broken("round %u: %s: %llu and %llu", r->number, names[i], in, out);
        }
    }
    if (weft_semaphore_value(&r->semaphore) != SOAK_PERMITS) {
        soak_broken("round %u: the semaphore has %lld permits of %d", r->number,
                    (long long)weft_semaphore_value(&r->semaphore), SOAK_PERMITS);
    }
}
