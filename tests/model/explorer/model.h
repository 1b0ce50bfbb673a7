/* SPDX-License-Identifier: MIT */
/*
 * Model explorer: runs a scenario of two to four threads through all their interleavings.
 *
 * The threads are ordinary functions that use runtime/atomic.h; compiled with -DWEFT_MODEL each
 * atomic access is a step. Between two steps the explorer decides who goes on, and tries every
 * decision. Use:
 *
 *     #include "explorer/model.h"        // the whole explorer: a model test is one source file
 *     #include "mutex.h"                 // the code under test, and its .c if it has one
 *
 *     static struct mutex m;
 *     static int count;
 *
 *     static void setup(void) { mutex_init(&m); count = 0; }       // before each execution
 *     static void adder(void)
 *     {
 *         mutex_lock(&m);                          // may spin with cpu_relax()
 *         model_plain_write(&count);               // fails if two threads can get here at once
 *         count++;
 *         mutex_unlock(&m);
 *     }
 *     static void check(void) { model_assert(count == 2); }        // after each execution
 *
 *     int main(void)
 *     {
 *         return model_run(&(struct model_scenario){
 *             .name = "two adders", .setup = setup, .threads = {adder, adder}, .check = check});
 *     }
 *
 * It prints `two adders [weak]: explored 5 executions, ...`, or the rule that was broken and the
 * trace of the interleaving that broke it. Tests are the files tests/model/model_*.c.
 *
 * What is explored
 *   MODEL_SC    interleavings alone.
 *   MODEL_TSO   each thread has a FIFO store buffer, as on x86: a store that is not seq_cst waits
 *               there, and when it reaches memory is a step of its own. Loads see the own buffer
 *               first. RMWs and seq_cst stores wait until the own buffer is empty.
 *   MODEL_WEAK  (default; contains the other two) A relaxed store may overtake earlier ones to
 *               other locations; a release store may not. RMWs weaker than release do not wait for
 *               earlier stores, and RMWs weaker than seq_cst are themselves buffered: the location
 *               is reserved for them, but others still read the old value.
 *   barrier_heavy: what others have buffered when it begins is in memory when it returns.
 *
 * What is not: loads that are reordered with each other, stores with earlier loads. So a missing
 * acquire does not show in the values of atomics. It does show in plain data, when the accesses to
 * it are announced with model_plain_read and model_plain_write: these fail unless the
 * release-acquire pairs order them (in every mode, without regard to the values).
 *
 * Rules for scenarios
 *   - Threads must be deterministic: no clock, no rand(), no statics that setup does not set.
 *     To try alternatives ask model_choose(n), which returns each of 0..n-1 in turn.
 *   - Wait for another thread only in a loop that calls cpu_relax(): the thread then sleeps until
 *     one of the locations that it has used since the last cpu_relax() has another value. If that
 *     never happens the failure is "deadlock", with where each one stands; so a lost wake-up is
 *     found as a deadlock. A loop that gives up after n turns needs `spins`: how often a thread may
 *     go on regardless.
 *   - Shared plain data, announced or not, must be protected by the atomics; otherwise executions
 *     that differ only there are taken for the same and one of them is not run. Counting up in
 *     several threads is fine, since the order does not matter.
 *   - malloc, calloc, aligned_alloc and free are the explorer's; to say that other memory (a wait
 *     node on a stack) is gone, call model_retire.
 *   - setup and check run alone, and see and write memory directly.
 *   - The explorer's own names begin with mx_ and MX_.
 *
 * Size. Executions that reach a state known already (the same reads-from history of all threads,
 * the same buffers) are cut; independent steps are not permuted (sleep sets); accesses to locations
 * that one thread alone uses are no steps. Some 10^5 states take seconds. What helps when that is
 * not enough: fewer operations, MODEL_TSO, value_states, model_forget, preemptions_max.
 */
#ifndef WEFT_MODEL_H
#define WEFT_MODEL_H

#ifndef WEFT_MODEL
#error "model tests are compiled with -DWEFT_MODEL"
#endif

#include "model_atomic.h"

#define MODEL_THREADS_MAX 4

enum model_memory {
    MODEL_WEAK,
    MODEL_TSO,
    MODEL_SC,
};

struct model_scenario {
    const char *name;
    void (*setup)(void);                      /* may be NULL */
    void (*threads[MODEL_THREADS_MAX])(void); /* as many as are not NULL */
    void (*check)(void);                      /* may be NULL */
    enum model_memory memory;
    /* Bounds; 0: none, or the default. */
    uint32_t preemptions_max; /* involuntary switches an execution; 0: any number */
    uint32_t depth_max;       /* steps an execution; 0: 4000 */
    uint64_t executions_max;  /* 0: any number; more are a failure */
    uint32_t buffer_max;      /* stores that a thread can have under way; 0: 8; 14 at most */
    uint32_t spins;           /* how often each thread may pass cpu_relax() with nothing changed */
    /*
     * Take states for the same when the values in memory are, whoever wrote them. Far fewer states;
     * allowed when plain data that several threads write is at most counted up, or never read.
     */
    bool value_states;
    /* Explore everything, without any of the reductions: to test the explorer itself. */
    bool unreduced;
};

struct model_result {
    bool failed;
    char rule[256];      /* what was broken */
    uint64_t executions; /* complete or cut */
    uint64_t states;     /* with more than one way on */
};

/* Explore, stop at the first failure. Prints nothing. */
struct model_result model_explore(const struct model_scenario *s);

/* Explore and print the count, or the failure and its trace. Returns 0, or 1 after a failure. */
int model_run(const struct model_scenario *s);

/*
 * Explore and expect a failure whose rule contains `text`: for mutations, which show that a test
 * can fail. Returns 0 when it was found, 1 when there was none or another.
 */
int model_finds(const struct model_scenario *s, const char *text);

/* In threads, setup or check: this must hold. */
#define model_assert(rule) \
    ((rule) ? (void)0 : model_fail("%s, at %s:%d", #rule, __FILE__, __LINE__))

__attribute__((noreturn, format(printf, 1, 2))) void model_fail(const char *format, ...);

/* In a thread: return each of 0..count-1 (at most 60), in different executions. */
int model_choose(int count);

/* In a thread: which one, from 0. */
int model_self(void);

/* In a thread: sleep until the condition, a mere reading of atomics, holds. */
#define model_wait_until(condition) \
    do { \
        uint64_t mx_mark = model_mark(); \
        while (!(condition)) { \
            cpu_relax(); \
            model_rewind(mx_mark); \
        } \
    } while (0)

/*
 * In a thread: what it has read so far matters no more, `local` is all that it still knows, with
 * what it has written to plain data that is not announced. For the heads of loops: states that
 * differ in the way there alone are taken for the same. Needs value_states.
 */
#define model_forget(local) model_forget_at((local), __LINE__)
void model_forget_at(uint64_t local, int line);

/* In a thread: the point that it is at; and be there again, having found nothing new meanwhile. */
uint64_t model_mark(void);
void model_rewind(uint64_t mark);

/* Announce accesses to plain data; they fail when nothing orders them against another thread's. */
void model_plain_read(const volatile void *p);
void model_plain_write(const volatile void *p);

/* From here on this memory is gone: any access to atomics or announced plain data in it fails. */
void model_retire(const volatile void *p, size_t bytes);

/* It is there again: another object at the same place. */
void model_revive(const volatile void *p, size_t bytes);

/* The explorer itself: a model test is one source file. */
#include "state.h"

#include "fiber.h"

#include "memory.h"

#include "plain.h"

#include "buffer.h"

#include "ready.h"

#include "step.h"

#include "access.h"

#include "known.h"

#include "transition.h"

#include "run.h"

#include "search.h"

#include "report.h"

#endif
