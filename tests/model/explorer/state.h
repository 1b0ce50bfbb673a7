/* SPDX-License-Identifier: MIT */
/*
 * What the explorer keeps: locations, store buffers, threads, the trace of the current execution.
 *
 * Histories. A thread is deterministic, so its local state is a function of what it has read. That
 * is kept as one hash (`history`). A location has a `version`: a hash of the history of its last
 * writer, so a reader's history covers its writers' too. Equal histories of all threads, equal
 * versions and equal buffers make equal states; see search.h.
 */
#ifndef WEFT_MODEL_STATE_H
#define WEFT_MODEL_STATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    LOC_COUNT = 1024,   /* locations of a scenario; a power of two */
    BUFFER_MAX = 14,    /* so that a sleep set has 16 bits a thread, one of them for its step */
    BUFFER_DEFAULT = 8, /* stores under way */
    DEPTH_MAX = 20000,  /* trace entries */
    DEPTH_DEFAULT = 4000,
    READS_MAX = 64,      /* locations read since the last cpu_relax() */
    PLAIN_COUNT = 256,   /* announced plain variables; a power of two */
    RETIRED_MAX = 256,   /* dead ranges */
    ARENA_BYTES = 32768, /* memory of a thread's allocations */
    STACK_BYTES = 65536,
};

enum op_kind {
    OP_LOAD,
    OP_STORE,
    OP_RMW,
    OP_CAS,
    OP_RELAX,
    OP_HEAVY_BEGIN,
    OP_HEAVY_END,
    OP_CHOOSE,
    OP_RETIRE,
    OP_DRAIN, /* in the trace only */
};

struct clock {
    uint32_t at[MODEL_THREADS_MAX];
};

/* One atomic variable. */
struct loc {
    uintptr_t addr; /* 0: entry unused */
    size_t bytes;
    uint8_t users;       /* threads that ever used it, over all executions: more than one: shared */
    uint8_t reserved_by; /* thread + 1 whose RMW is under way */
    uint32_t execution;  /* the rest belongs to this one */
    uint64_t version;    /* 0: as setup left it */
    struct clock clock;  /* what an acquire of the present value brings */
};

/* A store under way. */
struct entry {
    struct loc *loc;
    uint64_t value;
    uint64_t version;
    uint32_t seq; /* of this thread; names the entry in sleep sets */
    bool is_release;
    bool is_rmw;         /* holds the reservation of loc */
    bool is_own_garbage; /* its thread has freed the memory since */
    struct clock clock;
    struct model_place place;
};

/* The step that a thread stands before. */
struct op {
    enum op_kind kind;
    enum model_rmw rmw;
    enum model_order order;
    struct loc *loc;
    uint64_t operand;  /* of a retire: the length */
    uint64_t expected; /* of a retire: the address */
    uint64_t result;
    bool succeeded;
    struct model_place place;
};

struct read {
    struct loc *loc;
    uint64_t value;
};

struct thread {
    struct op op;
    bool ended;
    uint64_t history;
    struct clock clock;
    /* the store buffer, oldest first */
    struct entry buffer[BUFFER_MAX];
    uint32_t count;
    uint32_t next_seq;
    /* heavy barrier: the others' entries below these have to reach memory */
    uint32_t mark[MODEL_THREADS_MAX];
    /* what was read since the last cpu_relax */
    struct read reads[READS_MAX];
    uint32_t read_count;
    uint32_t spins_left;
};

struct plain {
    uintptr_t addr;
    uint32_t execution;
    int writer; /* -1: nobody yet */
    uint32_t written_at;
    struct clock read_at;
};

struct range {
    uintptr_t from;
    uintptr_t to;
};

struct event {
    int thread;
    struct op op;
    bool is_buffered;
    uint64_t value; /* drained */
};

static struct {
    const struct model_scenario *scenario;
    uint32_t buffer_max;
    uint32_t depth_max;
    int thread_count;
    struct thread threads[MODEL_THREADS_MAX];
    int current; /* the thread that runs, or -1: the explorer, setup, check */
    uint32_t execution;
    uint64_t memory_hash;
    bool heavy_used;   /* somewhere; then a store's entry into the buffer is a step */
    bool must_restart; /* something was taken for independent that is not */
    /* over all executions; the rest of an entry is reset on its first use in each */
    struct loc locs[LOC_COUNT];
    struct plain plains[PLAIN_COUNT];
    struct range retired[RETIRED_MAX];
    uint32_t retired_count;
    size_t arena_used[MODEL_THREADS_MAX + 1];
    /* failure */
    bool failed;
    char rule[256];
    jmp_buf failed_outside;
    /* trace */
    struct event events[DEPTH_MAX];
    uint32_t event_count;
    uint32_t step_count;
} m;

static _Alignas(64) unsigned char model_arena[MODEL_THREADS_MAX + 1][ARENA_BYTES];

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
    h *= 0xff51afd7ed558ccdu;
    return h ^ (h >> 32);
}

#endif
