/* SPDX-License-Identifier: MIT */
/*
 * Counters and histograms, kept apart by thread, so that counting a request is an ordinary
 * addition.
 *
 * A task goes on, after a wait, on any thread; so the address of a thread's share must not be kept
 * over a wait, not even by the compiler. Every function that counts is out of line, looks the share
 * up anew and does not wait. Each share has one writer; readers add up what they see.
 */
#include <stdatomic.h>

#include "../counter.h"
#include "load.h"

/* One thread's share. */
struct share {
    _Alignas(64) _Atomic(uint64_t) sent;
    _Atomic(uint64_t) done;
    struct histogram latency;
    struct histogram lateness;
};

/* Only pages that are written take memory, so shares for every possible worker cost nothing. */
static struct share shares[WEFT_WORKERS_MAX + 1];
static _Atomic(unsigned) share_next;

/* Errors are rare: one table for all. */
static _Atomic(uint64_t) errors[LOAD_STAGES][LOAD_ERRNO_MAX];

static struct share *share_mine(void)
{
    static _Thread_local struct share *mine;
    if (mine == NULL) {
        /* ORD none: hands out a number; nothing is published by it. */
        unsigned index = atomic_fetch_add_explicit(&share_next, 1, memory_order_relaxed);
        mine = &shares[index < WEFT_WORKERS_MAX ? index : WEFT_WORKERS_MAX];
    }
    return mine;
}

__attribute__((noinline)) void load_count_sent(uint64_t requests)
{
    counter_add(&share_mine()->sent, requests);
}

__attribute__((noinline)) void load_count_done(int64_t latency_ns, bool is_measured)
{
    struct share *s = share_mine();
    counter_add(&s->done, 1);
    if (is_measured) {
        histogram_record(&s->latency, latency_ns > 0 ? (uint64_t)latency_ns : 0);
    }
}

__attribute__((noinline)) void load_count_late(int64_t late_ns)
{
    histogram_record(&share_mine()->lateness, late_ns > 0 ? (uint64_t)late_ns : 0);
}

void load_count_error(enum load_stage stage, int err)
{
    unsigned index = (unsigned)(err < 0 ? -err : err);
    _Atomic(uint64_t) *counter = &errors[stage][index < LOAD_ERRNO_MAX ? index : 0];
    /* ORD none: a counter. */
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void load_totals_read(struct load_totals *totals)
{
    *totals = (struct load_totals){0};
    for (size_t i = 0; i <= WEFT_WORKERS_MAX; i++) {
        totals->sent += counter_read(&shares[i].sent);
        totals->done += counter_read(&shares[i].done);
    }
}

struct histogram *load_latencies(void)
{
    struct histogram *sum = calloc(1, sizeof *sum);
    for (size_t i = 0; sum != NULL && i <= WEFT_WORKERS_MAX; i++) {
        if (counter_read(&shares[i].done) > 0) {
            histogram_merge(sum, &shares[i].latency);
        }
    }
    return sum;
}

struct histogram *load_latenesses(void)
{
    struct histogram *sum = calloc(1, sizeof *sum);
    for (size_t i = 0; sum != NULL && i <= WEFT_WORKERS_MAX; i++) {
        if (counter_read(&shares[i].sent) > 0) {
            histogram_merge(sum, &shares[i].lateness);
        }
    }
    return sum;
}

uint64_t load_error_count(enum load_stage stage, unsigned err)
{
    return counter_read(&errors[stage][err]);
}

uint64_t load_errors(void)
{
    uint64_t sum = 0;
    for (unsigned stage = 0; stage < LOAD_STAGES; stage++) {
        for (unsigned err = 0; err < LOAD_ERRNO_MAX; err++) {
            sum += load_error_count(stage, err);
        }
    }
    return sum;
}

const char *load_stage_name(enum load_stage stage)
{
    static const char *const names[LOAD_STAGES] = {
        "connect", "handshake", "send", "receive", "closed by the server", "wrong bytes"};
    return names[stage];
}
