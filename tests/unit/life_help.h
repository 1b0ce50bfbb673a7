/* SPDX-License-Identifier: MIT */
/*
 * For the tests of a runtime's life: what a process holds, a child with what it wrote, and the
 * moves that every test makes. Checks that may fail inside a task are WEFT_ASSERTs: cmocka's own
 * would jump off the fiber.
 */
#ifndef WEFT_LIFE_HELP_H
#define WEFT_LIFE_HELP_H

#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/weft.h>

#include "atomic.h"
#include "check.h"
#include "child_text.h"

#define CHILD_SKIPPED 77

/* A multi-threaded process that forks may not start threads in the child, says ThreadSanitizer. */
#if defined(__SANITIZE_THREAD__)
#define TEST_CHILD_MAY_START 0
#else
#define TEST_CHILD_MAY_START 1
#endif

/* A value for a task to take or return. */
static inline void *value_of(intptr_t n)
{
    return (void *)n;
}

/* --- what this process holds --- */

/* Entries of a folder, but for . and .. (and for the descriptor that is used to count). */
static inline unsigned folder_count(const char *path)
{
    unsigned count = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d) != NULL) {
        count++;
    }
    closedir(d);
    return count - 2;
}

static inline unsigned fd_count(void)
{
    return folder_count("/proc/self/fd") - 1;
}

static inline unsigned thread_count(void)
{
    return folder_count("/proc/self/task");
}

static inline unsigned map_count(void)
{
    unsigned count = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    assert_non_null(f);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) {
        count += c == '\n';
    }
    fclose(f);
    return count;
}

/* A thread that was joined may be listed a moment longer. */
static inline void assert_threads(unsigned count)
{
    for (int i = 0; i < 1000 && thread_count() != count; i++) {
        usleep(1000);
    }
    assert_int_equal(thread_count(), count);
}

static inline void sleep_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* --- a runtime --- */

static inline weft_runtime *runtime_make(const struct weft_options *options)
{
    weft_runtime *rt = NULL;
    int err = weft_runtime_create(&rt, options);
    WEFT_ASSERT(err == 0 && rt != NULL);
    return rt;
}

static inline void runtime_end(weft_runtime *rt)
{
    int err = weft_runtime_close(rt);
    WEFT_ASSERT(err == 0);
    err = weft_runtime_destroy(rt);
    WEFT_ASSERT(err == 0);
}

/* Run fn as a task of rt, which must not fail. */
static inline void *run_on(weft_runtime *rt, weft_fn fn, void *arg)
{
    void *result = NULL;
    int err = weft_runtime_run(rt, fn, arg, &result);
    WEFT_ASSERT(err == 0);
    return result;
}

static inline weft_task *spawn_on(weft_runtime *rt, weft_fn fn, void *arg)
{
    weft_task *t = NULL;
    int err = weft_runtime_spawn(rt, fn, arg, &t);
    WEFT_ASSERT(err == 0 && t != NULL);
    return t;
}

static inline weft_task *spawn_must(weft_fn fn, void *arg)
{
    weft_task *t = weft_spawn(fn, arg);
    WEFT_ASSERT(t != NULL);
    return t;
}

static inline int wait_on(weft_task *t)
{
    return weft_future_wait_blocking(t, WEFT_FOREVER, NULL);
}

/* In a task: until the flag is up. */
static inline void yield_until(atomic_int *flag)
{
    while (atomic_load_seq_cst(flag) == 0) {
        int err = weft_yield();
        WEFT_ASSERT(err == 0);
    }
}

/* On a plain thread: until the count is reached. */
static inline void wait_until(atomic_int *count, int reached)
{
    while (atomic_load_seq_cst(count) < reached) {
        sleep_ms(1);
    }
}

/* --- a child --- */

struct outcome {
    int status;      /* of wait(2) */
    char text[8192]; /* of its standard error */
};

/* Run fn in a child process; what it returns is the exit status. */
static inline void in_child(int (*fn)(void), struct outcome *out)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(60);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        _exit(fn());
    }
    close(ends[1]);
    child_text_read(ends[0], out->text, sizeof out->text);
    assert_int_equal(waitpid(pid, &out->status, 0), pid);
}

/* The child ended with status 0, or cannot do its test here. */
static inline void assert_child_ok(const struct outcome *out)
{
    if (WIFEXITED(out->status) && WEXITSTATUS(out->status) == CHILD_SKIPPED) {
        skip();
    }
    if (out->status != 0) {
        print_error("status %#x, standard error: %s\n", (unsigned)out->status, out->text);
    }
    assert_int_equal(out->status, 0);
}

static inline unsigned count_lines(const char *text)
{
    unsigned count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n';
    }
    return count;
}

#endif
