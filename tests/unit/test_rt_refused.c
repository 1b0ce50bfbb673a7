/* SPDX-License-Identifier: MIT */
/*
 * Goal: where the system refuses what a runtime needs (rings, descriptors, threads), no runtime is
 * made: the error is the documented one, one line on standard error names it, nothing is left
 * behind however often it is tried, and as soon as the system gives, a runtime is made.
 *
 * Method: a child process with a seccomp filter on one of its threads, which the workers that are
 * started from there inherit; or with a limit that is raised by one until it suffices, so that each
 * worker is once the one that fails, at each of its steps.
 */
#include "task_help.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../io/child_help.h"

#define ATTEMPTS 20
#define STEPS_MAX 200 /* more than 16 workers have descriptors */

/* --- what the child holds --------------------------------------------------------------------- */

static unsigned folder_count(const char *path)
{
    unsigned count = 0;
    DIR *d = opendir(path);
    CHILD_CHECK(d != NULL);
    while (readdir(d) != NULL) {
        count++;
    }
    closedir(d);
    return count;
}

static unsigned map_count(void)
{
    unsigned count = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    CHILD_CHECK(f != NULL);
    for (int c = fgetc(f); c != EOF; c = fgetc(f)) {
        count += c == '\n';
    }
    fclose(f);
    return count;
}

struct holdings {
    unsigned fds;
    unsigned threads;
};

static struct holdings what_is_held(void)
{
    return (struct holdings){folder_count("/proc/self/fd"), folder_count("/proc/self/task")};
}

/* A thread that was joined may be listed a moment longer, now as well as before. */
static void check_held(struct holdings before)
{
    CHILD_CHECK(folder_count("/proc/self/fd") == before.fds);
    while (folder_count("/proc/self/task") > before.threads) {
        usleep(1000); /* the child has an alarm */
    }
}

/* --- attempts --------------------------------------------------------------------------------- */

static void *give_back(void *arg)
{
    return arg;
}

/* What is refused to an attempt. */
struct limit {
    int resource;     /* -1: no limit, there may be a filter */
    const char *word; /* which the line contains */
    struct rlimit usual;
    struct rlimit now;
};

static const struct limit no_limit = {.resource = -1, .word = "io_uring"};

static void set_limit(const struct limit *l, bool is_on)
{
    if (l->resource >= 0) {
        CHILD_CHECK(setrlimit((__rlimit_resource_t)l->resource, is_on ? &l->now : &l->usual) == 0);
    }
}

/* Make a runtime, or run a task in one. Returns the error, which has to have said why. */
static int attempt(const struct limit *l, bool is_run)
{
    FILE *file;
    char text[1024];
    weft_runtime *rt = (weft_runtime *)&rt;
    void *result = &result;
    capture_begin(&file);
    set_limit(l, true);
    int err = is_run ? weft_run(give_back, NULL, &result) : weft_runtime_create(&rt, NULL);
    set_limit(l, false);
    int lines = capture_end(&file, text, sizeof text);
    if (err == 0) {
        CHILD_CHECK(lines == 0);
        CHILD_CHECK(is_run || (weft_runtime_close(rt) == 0 && weft_runtime_destroy(rt) == 0));
        return 0;
    }
    if (lines != 1 || strncmp(text, "weft: ", 6) != 0 || strstr(text, l->word) == NULL) {
        fprintf(stderr, "not one clear line: %s\n", text);
        CHILD_CHECK(false);
    }
    CHILD_CHECK(is_run || rt == (weft_runtime *)&rt);
    CHILD_CHECK(result == &result);
    return err;
}

/* --- no rings --------------------------------------------------------------------------------- */

static void *try_without_rings(void *arg)
{
    int err = *(const int *)arg;
    if (!refuse_syscall(__NR_io_uring_setup, err)) {
        return (void *)CHILD_SKIPPED;
    }
    struct holdings before = what_is_held();
    unsigned maps = 0;
    for (int i = 0; i < 2 * ATTEMPTS; i++) {
        CHILD_CHECK(attempt(&no_limit, i % 2 == 0) == -err);
        check_held(before);
        maps = i == ATTEMPTS ? map_count() : maps;
    }
#ifndef TEST_SANITIZED
    CHILD_CHECK(map_count() <= maps + ATTEMPTS / 2);
#endif
    return NULL;
}

static int without_rings(const void *arg)
{
    void *result = NULL;
    pthread_t thread = start_thread(try_without_rings, (void *)(uintptr_t)arg);
    pthread_join(thread, &result);
    /* The filter was that thread's. */
    CHILD_CHECK(attempt(&no_limit, false) == 0);
    CHILD_CHECK(attempt(&no_limit, true) == 0);
    return (int)(intptr_t)result;
}

static void assert_child(int (*fn)(const void *arg), const void *arg)
{
    int status = in_child(fn, arg);
    if (status == CHILD_SKIPPED) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void a_refused_ring_is_no_runtime(void **state)
{
    (void)state;
    static const int errors[] = {EPERM, ENOSYS};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        assert_child(without_rings, &errors[i]);
    }
}

/* --- too few descriptors ---------------------------------------------------------------------- */

/* From none on, until they suffice. */
static void raise_limit(struct limit *l, rlim_t from, int err, bool is_run)
{
    int got;
    CHILD_CHECK(attempt(&no_limit, false) == 0); /* what the C library keeps, it has then */
    l->now = l->usual;
    l->now.rlim_cur = from;
    struct holdings before = what_is_held();
    while ((got = attempt(l, is_run)) != 0) {
        CHILD_CHECK(got == err);
        check_held(before);
        CHILD_CHECK(++l->now.rlim_cur < from + STEPS_MAX);
    }
    check_held(before);
}

static int few_descriptors(const void *arg)
{
    (void)arg;
    struct limit l = {.resource = RLIMIT_NOFILE, .word = "descriptor"};
    CHILD_CHECK(getrlimit(RLIMIT_NOFILE, &l.usual) == 0);
    int next = dup(STDERR_FILENO);
    CHILD_CHECK(next > STDERR_FILENO);
    close(next);
    raise_limit(&l, (rlim_t)next, -EMFILE, false);
    CHILD_CHECK(l.now.rlim_cur > (rlim_t)next);
    raise_limit(&l, (rlim_t)next, -EMFILE, true);
    return 0;
}

static void too_few_descriptors_are_no_runtime(void **state)
{
    (void)state;
    assert_child(few_descriptors, NULL);
}

/* --- too few threads -------------------------------------------------------------------------- */

/* As a user who has no other processes; root may start as many as it likes. */
static int few_threads(const void *arg)
{
    (void)arg;
    struct limit l = {.resource = RLIMIT_NPROC, .word = "thread"};
    if (geteuid() != 0 || setuid(1000000 + (uid_t)getpid()) != 0) {
        return CHILD_SKIPPED;
    }
    CHILD_CHECK(getrlimit(RLIMIT_NPROC, &l.usual) == 0);
    raise_limit(&l, 1, -EAGAIN, false);
    CHILD_CHECK(l.now.rlim_cur > 1);
    raise_limit(&l, 1, -EAGAIN, true);
    return 0;
}

static void too_few_threads_are_no_runtime(void **state)
{
    (void)state;
    assert_child(few_threads, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_ring_is_no_runtime),
        cmocka_unit_test(too_few_descriptors_are_no_runtime),
        cmocka_unit_test(too_few_threads_are_no_runtime),
    };
    setenv("WEFT_BACKEND", "uring", 1); /* what goes on with epoll: io/test_backend.c */
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
