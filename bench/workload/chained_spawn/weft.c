/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a task cost that is made by the one before it, with nobody waiting?
 *
 * A chain: each task spawns the next and ends. The figure is a spawn nobody awaits, plus the way
 * through the ready queue, with never more than one of them ready. It does not show spawning from a
 * deep stack, or beside others.
 */
#include "bench.h"

static uint64_t left; /* handed on from task to task */
static weft_task *end;

static void *last(void *arg)
{
    return arg;
}

static void *link_run(void *arg)
{
    int err = --left > 0 ? weft_go(link_run, arg) : weft_start(end);
    return err < 0 ? weft_fail(err) : arg;
}

static uint64_t chain_round(uint64_t size)
{
    static const struct weft_spawn_options held = {.held = true};
    left = size;
    end = weft_spawn_with(&held, last, NULL);
    int err = weft_go(link_run, NULL);
    return err == 0 && weft_join(end, NULL) == 0 && left == 0 ? size : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "chained_spawn",
        .what = "Each task spawns the next: the cost of a spawn that nobody awaits.",
        .size_of = "tasks",
        .size = 500000,
        .round = chain_round};
    return bench_main(argc, argv, &spec);
}
