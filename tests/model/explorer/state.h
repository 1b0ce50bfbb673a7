/* SPDX-License-Identifier: MIT */
/*
 * What the explorer keeps: locations, store buffers, threads, the trace of the current execution.
 *
 * Histories. A thread is deterministic, so its local state is a function of what it has read. That
 * is kept as one hash (`history`). A location has a `version`: a hash of the history of its last
 * writer, so a reader's history covers its writers' too. Equal histories of all threads, equal
 * versions and equal buffers, and the same to wake up for, make equal states; see search.h.
 */
#ifndef WEFT_MODEL_STATE_H
#define WEFT_MODEL_STATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    MX_LOC_COUNT = 1024,   /* locations of a scenario; a power of two */
    MX_BUFFER_MAX = 14,    /* so that a sleep set has 16 bits a thread, one of them for its step */
    MX_BUFFER_DEFAULT = 8, /* stores under way */
    MX_DEPTH_MAX = 20000,  /* trace entries */
    MX_DEPTH_DEFAULT = 4000,
    MX_READS_MAX = 64,      /* locations read since the last cpu_relax() */
    MX_PLAIN_COUNT = 256,   /* announced plain variables; a power of two */
    MX_RETIRED_MAX = 256,   /* dead ranges */
    MX_ARENA_BYTES = 32768, /* memory of a thread's allocations */
    MX_STACK_BYTES = 65536,
};

enum mx_op_kind {
    MX_OP_LOAD,
    MX_OP_STORE,
    MX_OP_RMW,
    MX_OP_CAS,
    MX_OP_RELAX,
    MX_OP_HEAVY_BEGIN,
    MX_OP_HEAVY_END,
    MX_OP_CHOOSE,
    MX_OP_RETIRE,
    MX_OP_DRAIN, /* in the trace only */
};

struct mx_clock {
    uint32_t at[MODEL_THREADS_MAX];
};

/* One atomic variable. */
struct mx_loc {
    uintptr_t addr; /* 0: entry unused */
    size_t bytes;
    uint8_t users;       /* threads that ever used it, over all executions: more than one: shared */
    uint8_t reserved_by; /* thread + 1 whose RMW is under way */
    uint32_t execution;  /* the rest belongs to this one */
    uint64_t version;    /* 0: as setup left it */
    struct mx_clock clock; /* what an acquire of the present value brings */
};

/* A store under way. */
struct mx_entry {
    struct mx_loc *loc;
    uint64_t value;
    uint64_t version;
    uint32_t seq; /* of this thread; names the entry in sleep sets */
    bool is_release;
    bool is_rmw;         /* holds the reservation of loc */
    bool is_own_garbage; /* its thread has freed the memory since */
    struct mx_clock clock;
    struct model_place place;
};

/* The step that a thread stands before. */
struct mx_op {
    enum mx_op_kind kind;
    enum model_rmw rmw;
    enum model_order order;
    struct mx_loc *loc;
    uint64_t operand;  /* of a retire: the length */
    uint64_t expected; /* of a retire: the address */
    uint64_t result;
    bool succeeded;
    struct model_place place;
};

struct mx_read {
    struct mx_loc *loc;
    uint64_t value;
};

struct mx_thread {
    struct mx_op op;
    bool ended;
    uint64_t history;
    struct mx_clock clock;
    /* the store buffer, oldest first */
    struct mx_entry buffer[MX_BUFFER_MAX];
    uint32_t count;
    uint32_t next_seq;
    uint32_t settled_seq; /* entries below were buffered before the last decided step */
    /* heavy barrier: the others' entries below these have to reach memory */
    uint32_t mark[MODEL_THREADS_MAX];
    /* what was read since the last cpu_relax */
    struct mx_read reads[MX_READS_MAX];
    uint32_t read_count;
    uint32_t spins_left;
};

struct mx_plain {
    uintptr_t addr;
    uint32_t execution;
    int writer; /* -1: nobody yet */
    uint32_t written_at;
    struct mx_clock read_at;
};

struct mx_range {
    uintptr_t from;
    uintptr_t to;
};

struct mx_event {
    int thread;
    struct mx_op op;
    bool is_buffered;
    uint64_t value; /* drained */
};

static struct {
    const struct model_scenario *scenario;
    uint32_t buffer_max;
    uint32_t depth_max;
    int thread_count;
    struct mx_thread threads[MODEL_THREADS_MAX];
    int current; /* the thread that runs, or -1: the explorer, setup, check */
    uint32_t execution;
    uint64_t memory_hash;
    bool must_restart; /* something was taken for independent that is not */
    /* over all executions; the rest of an entry is reset on its first use in each */
    struct mx_loc locs[MX_LOC_COUNT];
    struct mx_plain plains[MX_PLAIN_COUNT];
    struct mx_range retired[MX_RETIRED_MAX];
    uint32_t retired_count;
    size_t arena_used[MODEL_THREADS_MAX + 1];
    /* failure */
    bool failed;
    char rule[256];
    jmp_buf failed_outside;
    /* trace */
    struct mx_event events[MX_DEPTH_MAX];
    uint32_t event_count;
    uint32_t step_count;
} mx;

static _Alignas(64) unsigned char model_arena[MODEL_THREADS_MAX + 1][MX_ARENA_BYTES];

static uint64_t mx_mix(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
    h *= 0xff51afd7ed558ccdu;
    return h ^ (h >> 32);
}

#endif
