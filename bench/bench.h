/* SPDX-License-Identifier: MIT */
/*
 * The frame of a workload's program: it reads the options, starts a runtime, runs the rounds in its
 * main task, sees that each result was right, and prints one line of JSON for tools/bench.
 *
 *     static uint64_t tree_round(uint64_t levels) { ...; return sum == expected ? tasks : 0; }
 *
 *     int main(int argc, char **argv)
 *     {
 *         static const struct bench_spec spec = {
 *             .workload = "skynet", .size = 6, .size_of = "levels", .round = tree_round, ...};
 *         return bench_main(argc, argv, &spec);
 *     }
 *
 * A round is long (milliseconds and more), so that reading the clock twice is no part of it. What
 * comes out is nanoseconds a unit, round by round; tools/bench makes medians and ratios of them.
 * bench.go, bench.rs, bench.hpp and bench.py are the same for the peers.
 */
#ifndef WEFT_BENCH_H
#define WEFT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/weft.h>

/* What is measured. */
struct bench_spec {
    const char *workload;
    const char *implementation; /* NULL: weft */
    const char *what;           /* for --help: the question it answers */
    const char *size_of;        /* for --help: what --size counts */
    uint64_t size;              /* --size, when it is not given */
    /* One round. Returns how many units it did, or 0 when its result was wrong. */
    uint64_t (*round)(uint64_t size);
    bool is_cold;    /* the first round counts; without it one is run before */
    bool is_outside; /* no runtime is started: rounds run on the main thread */
};

/* Run the rounds and print the line; returns the program's exit status: 1 for a wrong result. */
int bench_main(int argc, char **argv, const struct bench_spec *spec);

/* The option --workers, or as many as the process may use CPUs. */
unsigned bench_workers(void);

/* Inside a round: this long, instead of the time from its begin to its end, is what it took. */
void bench_took(int64_t ns);

/* Inside a round: n more latencies, of which the line then shows p50, p99 and p99.9. */
void bench_latencies(const int64_t *ns, size_t n);

/* Inside a round: a figure more for the line; of several rounds the last one's is shown. */
void bench_figure(const char *key, double value);

/*
 * Between the two, a thread notes how much memory there is at most. What is more than there was at
 * the begin of the first round becomes the figures rss_each and page_tables_each of so many units.
 */
void bench_watch_begin(void);
void bench_watch_end(uint64_t units);

/* CPU time of the process so far. */
int64_t bench_cpu_ns(void);

/* A figure of /proc/self/status, such as VmRSS, in bytes; 0 when it cannot be read. */
double bench_status_bytes(const char *name);

#endif
