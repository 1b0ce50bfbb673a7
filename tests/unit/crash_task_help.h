/* SPDX-License-Identifier: MIT */
/* A child process with a runtime whose task crashes, and ways to. */
#ifndef WEFT_CRASH_TASK_HELP_H
#define WEFT_CRASH_TASK_HELP_H

#include "crash_help.h"

#include <sys/mman.h>

#include "task_help.h"

static struct outcome out;
static struct weft_options options;

/* What the crashing task does. */
static void (*crash)(void);

static inline void *crashing(void *arg)
{
    crash();
    return arg;
}

static inline void *main_of_crashing(void *arg)
{
    (void)weft_sleep(1);
    struct weft_spawn_options spawn = {.name = "culprit"};
    weft_task *t = weft_spawn_with(&spawn, crashing, NULL);
    (void)weft_await(t, NULL);
    weft_put(t);
    return arg;
}

static inline void run_crashing(void)
{
    _exit(weft_run_with(&options, main_of_crashing, NULL, NULL) == 0 ? 0 : 99);
}

static inline void crash_in_child(void (*how)(void))
{
    crash = how;
    in_child(&out, run_crashing);
}

/* Ways to crash. */

static __attribute__((noinline)) int recurse(int n)
{
    volatile char frame[1000];
    frame[n % 1000] = (char)n;
    int below = n < 0 ? 0 : recurse(n + 1);
    return below + frame[n % 1000];
}

static inline void by_recursion(void)
{
    recurse(0);
}

static inline void by_broken_rule(void)
{
    weft_report_error(NULL, NULL, 5);
}

static inline void by_segv(void)
{
    *(volatile char *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
}

static inline void by_abort(void)
{
    abort();
}

#endif
