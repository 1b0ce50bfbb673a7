/* SPDX-License-Identifier: MIT */
/*
 * For tests that run tasks: a runtime around a case, checks that work in tasks and callbacks, what
 * was written to standard error, a time limit.
 *
 *     static void *body(void *arg) { CHECK_EQUAL(weft_sleep(0), 0); return arg; }
 *     static void a_sleep_returns(void **state) { (void)state; run_case(body, NULL); }
 *
 * cmocka leaves a failed assertion by longjmp, which must not be done from a task's stack or
 * another thread. CHECK prints the place and both sides to the true standard error and ends the
 * process.
 */
#ifndef WEFT_TASK_HELP_H
#define WEFT_TASK_HELP_H

#include "test.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

#include "atomic.h"

/* Long enough for the slowest build on a busy machine; shorter than the limit of ctest. */
#ifdef TEST_SANITIZED
#define HELP_LIMIT_S 240
#else
#define HELP_LIMIT_S 50
#endif

/* Standard error itself, also while it is being captured; -1: as it is. */
static int help_true_stderr = -1;

static inline int help_stderr(void)
{
    return help_true_stderr >= 0 ? help_true_stderr : STDERR_FILENO;
}

__attribute__((noreturn, unused)) static void help_fail(const char *file, int line,
                                                        const char *what, intmax_t got,
                                                        intmax_t want)
{
    dprintf(help_stderr(), "%s:%d: error: %s: %" PRIdMAX " is not %" PRIdMAX "\n", file, line,
            what, got, want);
    abort();
}

#define CHECK_EQUAL(got, want) \
    do { \
        intmax_t check_got = (intmax_t)(got); \
        intmax_t check_want = (intmax_t)(want); \
        if (check_got != check_want) { \
            help_fail(__FILE__, __LINE__, #got " == " #want, check_got, check_want); \
        } \
    } while (0)

#define CHECK(rule) \
    do { \
        if (!(rule)) { \
            help_fail(__FILE__, __LINE__, #rule, 0, 1); \
        } \
    } while (0)

static inline void help_time_is_over(int signo)
{
    static const char text[] = "the test hangs: its time limit is over\n";
    (void)signo;
    (void)!write(help_stderr(), text, sizeof text - 1);
    abort();
}

/* From now on the process ends when it hangs. For main. */
static inline void help_limit_time(void)
{
    struct sigaction action = {.sa_handler = help_time_is_over};
    sigaction(SIGALRM, &action, NULL);
    alarm(HELP_LIMIT_S);
}

static inline uint64_t tasks_live(weft_runtime *rt)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(rt, &m), 0);
    return m.tasks_live;
}

static inline weft_runtime *create_runtime(const struct weft_options *options)
{
    weft_runtime *rt = NULL;
    CHECK_EQUAL(weft_runtime_create(&rt, options), 0);
    return rt;
}

/* Outside a task: wait until so many tasks are live. */
static inline void await_live(weft_runtime *rt, uint64_t count)
{
    while (tasks_live(rt) != count) {
        sched_yield();
    }
}

/* Wait until all tasks have ended by themselves, then close and destroy. */
static inline void finish_runtime(weft_runtime *rt)
{
    await_live(rt, 0);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(tasks_live(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
}

/* Run fn(arg) as the main task of a runtime of its own; all that it started has to end. */
static inline void run_case_with(const struct weft_options *options, weft_fn fn, void *arg)
{
    weft_runtime *rt = create_runtime(options);
    CHECK_EQUAL(weft_runtime_run(rt, fn, arg, NULL), 0);
    finish_runtime(rt);
}

/* With as many workers as WEFT_WORKERS says. */
static inline void run_case(weft_fn fn, void *arg)
{
    run_case_with(NULL, fn, arg);
}

/* With one: where the order of things is the promise. */
static inline void run_case_alone(weft_fn fn, void *arg)
{
    struct weft_options options = {.workers = 1};
    run_case_with(&options, fn, arg);
}

/* An int that tasks and threads share. */
typedef _Atomic(int) shared_int;

/* In a task: let others run until *value has reached `at_least`. */
static inline void yield_until(shared_int *value, int at_least)
{
    while (atomic_load_seq_cst(value) < at_least) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

/* On a plain thread, or where waits fail: the same. */
static inline void spin_until(shared_int *value, int at_least)
{
    while (atomic_load_seq_cst(value) < at_least) {
        sched_yield();
    }
}

/* Whether a task does nothing by itself: it waits, is held back, or has ended. */
static inline bool rests(weft_task *t)
{
    char line[256];
    CHECK(weft_describe(t, line, sizeof line) > 0);
    return strstr(line, " waits for ") != NULL || strstr(line, " is held back") != NULL ||
           strstr(line, " has ended") != NULL;
}

/* In a task: let others run until that one rests. */
static inline void yield_until_rests(weft_task *t)
{
    while (!rests(t)) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

/* In a task: how many of the first tasks of its runtime, itself left out, do not rest. */
static inline unsigned restless_tasks(void)
{
    weft_task *all[64];
    size_t n = weft_all_tasks(weft_runtime_current(), all, 64);
    unsigned count = 0;
    for (size_t i = 0; i < n && i < 64; i++) {
        count += all[i] != weft_self() && !rests(all[i]);
        weft_put(all[i]);
    }
    return count;
}

/* errno of the thread that the task is on now. The compiler may keep errno's address, and with it
 * the thread, over a wait. */
static __attribute__((noinline, unused)) int errno_now(void)
{
    return errno;
}

/* Tasks that look whether others rest, and do not rest themselves. */
static shared_int settlers;

/* In a task: give those that are about to wait time to do so. No result may depend on it, as there
 * may be others, which go on for ever. */
static inline void settle(void)
{
    CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    atomic_add_seq_cst(&settlers, 1);
    for (int i = 0; i < 20 && (int)restless_tasks() >= atomic_load_seq_cst(&settlers); i++) {
        sched_yield();
        CHECK_EQUAL(weft_yield(), 0);
    }
    atomic_sub_seq_cst(&settlers, 1);
}

static inline pthread_t start_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, fn, arg), 0);
    return thread;
}

/* What is written to standard error from here to capture_end goes to a file. */
static inline void capture_begin(FILE **file)
{
    fflush(stderr);
    *file = tmpfile();
    CHECK(*file != NULL);
    help_true_stderr = dup(STDERR_FILENO);
    CHECK(help_true_stderr >= 0);
    CHECK_EQUAL(dup2(fileno(*file), STDERR_FILENO), STDERR_FILENO);
}

/* Put standard error back. text: what was written, cut to fit. Returns the number of lines. */
static inline int capture_end(FILE **file, char *text, size_t bytes)
{
    fflush(stderr);
    CHECK_EQUAL(dup2(help_true_stderr, STDERR_FILENO), STDERR_FILENO);
    close(help_true_stderr);
    help_true_stderr = -1;
    rewind(*file);
    size_t n = fread(text, 1, bytes - 1, *file);
    text[n] = '\0';
    fclose(*file);
    int lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    return lines;
}

#endif
