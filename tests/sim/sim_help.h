/* SPDX-License-Identifier: MIT */
/*
 * For tests in a simulation: one run with a seed, and how to repeat the one that failed.
 *
 * Whatever ends the process, a CHECK, an assertion of the library, a signal, the time limit: a line
 * on standard error names the seed that was running and the command to run it alone.
 */
#ifndef WEFT_SIM_HELP_H
#define WEFT_SIM_HELP_H

#include "task_help.h"

/* What runs now; 0: nothing. */
static volatile uint64_t sim_seed_now;
static const char *sim_program = "";

static void sim_tell_seed(void)
{
    if (sim_seed_now != 0) {
        dprintf(STDERR_FILENO, "seed %llu failed; again: WEFT_SEED=%llu %s\n",
                (unsigned long long)sim_seed_now, (unsigned long long)sim_seed_now, sim_program);
        sim_seed_now = 0;
    }
}

static void sim_on_signal(int signo)
{
    sim_tell_seed();
    signal(signo, SIG_DFL);
    raise(signo);
}

/* For main: name the seed when the process dies, and let it die when it hangs. */
static inline void sim_begin(const char *program)
{
    sim_program = program;
    signal(SIGABRT, sim_on_signal);
#ifndef TEST_SANITIZED /* which report these themselves, and then abort or exit */
    signal(SIGFPE, sim_on_signal);
    signal(SIGILL, sim_on_signal);
#endif
    (void)atexit(sim_tell_seed);
    help_limit_time();
}

/* Whether the seed of a run is given, for one that is to be repeated. */
static inline bool sim_is_repeated(void)
{
    const char *given = getenv("WEFT_SEED");
    return given != NULL && *given != '\0';
}

/* Run fn(arg) simulated, check that nothing is left of it. Returns whether it can be replayed. */
static inline bool sim_run(uint64_t seed, weft_fn fn, void *arg)
{
    struct weft_options options = {.simulation = true, .seed = seed};
    sim_seed_now = seed;
    weft_runtime *rt = create_runtime(&options);
    CHECK_EQUAL(weft_runtime_run(rt, fn, arg, NULL), 0);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(tasks_live(rt), 0);
    bool is_replayable = weft_simulation_replayable(rt);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    sim_seed_now = 0;
    return is_replayable;
}

/* Run fn(&seed) with so many seeds from the test's on, or with the one that is given alone; check
 * that each run can be replayed. */
static inline void sim_run_seeds(uint64_t count, weft_fn fn)
{
    bool is_repeated = sim_is_repeated();
    uint64_t first = is_repeated ? strtoull(getenv("WEFT_SEED"), NULL, 0) : test_seed();
    for (uint64_t i = 0; i < (is_repeated ? 1 : count); i++) {
        uint64_t seed = first + i;
        CHECK(sim_run(seed, fn, &seed));
    }
}

#endif
