/* SPDX-License-Identifier: MIT */
/*
 * Simulation: a whole program of tasks on one thread, in an order that a seed decides, on a clock
 * that takes no time. For tests: of timeouts of an hour, in a moment; and of what happens only when
 * tasks come in one order out of thousands, and then again and again until it is mended.
 *
 *     for (uint64_t seed = 1; seed <= 1000; seed++) {
 *         struct weft_options options = {.simulation = true, .seed = seed};
 *         int err = weft_run_with(&options, my_test, NULL, NULL);
 *         if (err < 0) {
 *             printf("failed with seed %llu\n", (unsigned long long)seed);
 *         }
 *     }
 *
 * The same seed gives the same order, in the same program on the same machine; another seed another
 * one. With seed 0 one is chosen by chance (weft_simulation_seed tells it), and WEFT_SEED in the
 * environment gives it back.
 *
 * The order is as on many workers: none of the promises holds that are made for one worker, or for
 * tasks of the same worker. Every call may let others run, also one that blocks nothing (a spawn, a
 * cancel, an unlock): so hold no pthread mutex over a call.
 *
 * The clock (weft_now in a task or callback, and all deadlines) begins at one second. It stands
 * while something can run, and then jumps to the next deadline. A task that goes round and round
 * until something has happened would wait for ever: after 1000 turns at one moment, or readings of
 * the clock, each further one takes a microsecond.
 *
 * All of it stands still but while a plain thread waits for it: in weft_run, weft_runtime_run,
 * weft_runtime_close or weft_future_wait_blocking. What that thread does between two such calls
 * comes at the same place in each run.
 *
 * The world has a clock of its own. An operation on a descriptor in flight holds the simulated one
 * for up to 100 ms of real time since the last began or ended, and such a run cannot be replayed;
 * nor can one in which other threads have a hand (weft_simulation_replayable tells).
 *
 * Calls that block (blocking.h) are made at once, one at a time, while all of it stands still. So
 * what they wait for must not be a task of it: weft_future_wait_blocking refuses that (-EDEADLK),
 * but nothing sees a lock or a pipe that a task would have to see to.
 *
 * When every task waits and no deadline is ahead, a line on standard error says so after a second.
 */
#ifndef WEFT_SIMULATION_H
#define WEFT_SIMULATION_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/*
 * The seed of a runtime, whether it is simulated or not; 0 for NULL.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC uint64_t weft_simulation_seed(const weft_runtime *rt);

/*
 * Whether the seed tells all that has happened so far: no operation was in flight, and nothing came
 * from another thread while tasks ran. False for a runtime that is not simulated, and for NULL.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC bool weft_simulation_replayable(const weft_runtime *rt);

WEFT_END_DECLS

#endif
