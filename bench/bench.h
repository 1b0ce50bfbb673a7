/* SPDX-License-Identifier: MIT */
/*
 * The frame of a micro-benchmark: it reads the options, starts a runtime, runs the rounds in its
 * main task, checks each result and prints the figures.
 *
 *     static bool round_run(void) { ...; return sum == 499999500000; }
 *
 *     int main(int argc, char **argv)
 *     {
 *         static const struct bench_spec spec = {
 *             .name = "skynet", .unit = "task", .units = 1111111, .round = round_run, ...};
 *         return bench_main(argc, argv, &spec);
 *     }
 *
 * A round is long (milliseconds and more), so that reading the clock twice is no part of it. The
 * median and the median absolute deviation are what to look at: the mean of a shared machine is the
 * mean of its other tenants.
 */
#ifndef WEFT_BENCH_H
#define WEFT_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/weft.h>

/* What is measured. */
struct bench_spec {
    const char *name;
    const char *unit; /* what `units` counts, in the singular */
    const char *what; /* for --help: the question it answers */
    uint64_t units;   /* in a round */
    /* One round, in a task. Returns whether its result was right. */
    bool (*round)(void);
};

/* Run the benchmark; returns the program's exit status: 1 when a result was wrong. */
int bench_main(int argc, char **argv, const struct bench_spec *spec);

#endif
