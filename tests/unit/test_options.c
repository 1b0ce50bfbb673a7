/* SPDX-License-Identifier: MIT */
/*
 * Goal: good options arrive, each bad one is refused with -EINVAL before anything is started, and
 * the environment fills in what was left open and overrides nothing.
 *
 * Method: weft_runtime_create with one worker's threads counted; weft__options_complete for what
 * cannot be seen from outside.
 */
#include "life_help.h"

#include <limits.h>

#include "runtime_object.h"

static int save_environment(void **state)
{
    (void)state;
    unsetenv("WEFT_WORKERS");
    unsetenv("WEFT_BACKEND");
    return 0;
}

static struct weft_options completed(const struct weft_options *given)
{
    struct weft_options o;
    assert_int_equal(weft__options_complete(&o, given), 0);
    return o;
}

static void *give_back(void *arg)
{
    return arg;
}

/* Refused in every way in which options can be given, and nothing is left behind. */
static void assert_refused(const struct weft_options *o)
{
    unsigned threads = thread_count();
    unsigned fds = fd_count();
    weft_runtime *rt = (weft_runtime *)&rt;
    void *result = &result;
    assert_int_equal(weft_runtime_create(&rt, o), -EINVAL);
    assert_ptr_equal(rt, &rt);
    assert_int_equal(weft_run_with(o, give_back, NULL, &result), -EINVAL);
    assert_ptr_equal(result, &result);
    assert_int_equal(thread_count(), threads);
    assert_int_equal(fd_count(), fds);
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    static const struct weft_options bad[] = {
        {.workers = WEFT_WORKERS_MAX + 1},
        {.workers = UINT_MAX},
        {.ring_entries = 1},
        {.ring_entries = 7},
        {.ring_entries = 32769},
        {.ring_entries = UINT_MAX},
        {.stack_bytes = 1},
        {.stack_bytes = WEFT_STACK_BYTES_MIN - 1},
        {.stack_bytes = WEFT_STACK_BYTES_MAX + 1},
        {.stack_bytes = SIZE_MAX},
        {.backend = (enum weft_backend)3},
        {.backend = (enum weft_backend) - 1},
        {.overflow_report = 1},
        {.overflow_report = -2},
        {.interrupt = 1},
        {.interrupt = -2},
        {.spin_ns = -1},
        {.slice_ns = -1},
        {.slow_ns = -1},
        {.slice_ns = INT64_MIN},
        {.close_grace_ns = -1},
        {.reserved = {1}},
        {.reserved = {[sizeof bad[0].reserved / sizeof bad[0].reserved[0] - 1] = 1}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_refused(&bad[i]);
    }
    assert_int_equal(weft_runtime_create(NULL, NULL), -EINVAL);
}

static void the_bounds_themselves_are_good(void **state)
{
    (void)state;
    static const struct weft_options good[] = {
        {.workers = 1},
        {.workers = 5},
        {.ring_entries = 8},
        {.ring_entries = 9},
        {.ring_entries = 32768},
        {.stack_bytes = WEFT_STACK_BYTES_MIN},
        {.stack_bytes = WEFT_STACK_BYTES_MIN + 1},
        {.stack_bytes = 1024 * 1024},
        {.backend = WEFT_BACKEND_URING},
        {.overflow_report = -1},
        {.pin_workers = true},
        {.spin_ns = 1000},
        {.spin_ns = WEFT_FOREVER, .workers = 1},
        {.spin_ns = WEFT_FOREVER, .workers = 2},
        {.slice_ns = 1},
        {.slice_ns = WEFT_FOREVER},
        {.close_grace_ns = WEFT_FOREVER},
        {.seed = UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        void *result = NULL;
        struct weft_options o = good[i];
        o.workers = o.workers == 0 ? 2 : o.workers;
        assert_int_equal(weft_run_with(&o, give_back, value_of(3), &result), 0);
        assert_int_equal((intptr_t)result, 3);
    }
}

static void the_most_workers_there_may_be(void **state)
{
    (void)state;
    struct weft_options o = {.workers = (unsigned)test_scaled(WEFT_WORKERS_MAX, 60)};
    unsigned threads = thread_count();
    weft_runtime *rt = runtime_make(&o);
    assert_int_equal(weft_runtime_workers(rt), o.workers);
    assert_int_equal((intptr_t)run_on(rt, give_back, value_of(3)), 3);
    runtime_end(rt);
    assert_threads(threads);
}

static void defaults_are_filled_in(void **state)
{
    (void)state;
    struct weft_options o = completed(NULL);
    assert_in_range(o.workers, 1, WEFT_WORKERS_MAX);
    assert_int_equal(o.ring_entries, 256);
    assert_int_equal(o.stack_bytes, 64 * 1024);
    assert_int_equal(o.slice_ns, 10 * WEFT_MS);
    assert_true(o.close_grace_ns == WEFT_FOREVER);
    assert_int_equal(o.spin_ns, 0);
    assert_true(o.seed != 0);
    struct weft_options other = completed(NULL);
    assert_true(o.seed != other.seed);

    struct weft_options given = {.workers = 3, .ring_entries = 100, .seed = 9, .slice_ns = 7};
    o = completed(&given);
    assert_int_equal(o.workers, 3);
    assert_int_equal(o.ring_entries, 128);
    assert_int_equal(o.seed, 9);
    assert_int_equal(o.slice_ns, 7);
}

/* --- the environment --- */

static unsigned workers_made(const struct weft_options *o)
{
    unsigned threads = thread_count();
    weft_runtime *rt = runtime_make(o);
    unsigned workers = weft_runtime_workers(rt);
    assert_int_equal(thread_count(), threads + workers);
    runtime_end(rt);
    assert_threads(threads);
    return workers;
}

static void the_environment_says_how_many(void **state)
{
    (void)state;
    struct weft_options two = {.workers = 2};
    unsigned normal = workers_made(NULL);
    setenv("WEFT_WORKERS", "7", 1);
    assert_int_equal(workers_made(NULL), 7);
    assert_int_equal(workers_made(&(struct weft_options){.seed = 1}), 7);
    assert_int_equal(workers_made(&two), 2);
    setenv("WEFT_WORKERS", "", 1);
    assert_int_equal(workers_made(NULL), normal);
    unsetenv("WEFT_WORKERS");
    assert_int_equal(workers_made(NULL), normal);
}

static int refuse_workers(void)
{
    static const char *const bad[] = {"0",
                                      "-1",
                                      " 4",
                                      "+4",
                                      " -18446744073709551612", /* 4, to strtoul */
                                      "257",
                                      "4x",
                                      "x",
                                      "1.5",
                                      "0x4",
                                      " ",
                                      "4 ",
                                      "-18446744073709551615",
                                      "99999999999999999999"};
    struct weft_options two = {.workers = 2};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weft_runtime *rt = NULL;
        setenv("WEFT_WORKERS", bad[i], 1);
        WEFT_ASSERT(weft_runtime_create(&rt, NULL) == -EINVAL);
        WEFT_ASSERT(weft_run(give_back, NULL, NULL) == -EINVAL);
        WEFT_ASSERT(rt == NULL);
        if (TEST_CHILD_MAY_START) {
            WEFT_ASSERT(weft_run_with(&two, give_back, NULL, NULL) == 0); /* not asked for */
        }
    }
    return 0;
}

static void a_bad_number_of_workers_is_named(void **state)
{
    (void)state;
    struct outcome out;
    in_child(refuse_workers, &out);
    assert_child_ok(&out);
    assert_int_equal(count_lines(out.text), 28);
    assert_non_null(strstr(out.text, "WEFT_WORKERS=4x "));
}

static int choose_backends(void)
{
    struct weft_options uring = {.backend = WEFT_BACKEND_URING};
    struct weft_options epoll = {.backend = WEFT_BACKEND_EPOLL};
    struct weft_options o;
    static const char *const good[] = {"auto", "uring", "epoll", ""};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        setenv("WEFT_BACKEND", good[i], 1);
        WEFT_ASSERT(weft__options_complete(&o, NULL) == 0);
        WEFT_ASSERT(weft__options_complete(&o, &uring) == 0 && o.backend == WEFT_BACKEND_URING);
        WEFT_ASSERT(weft__options_complete(&o, &epoll) == 0 && o.backend == WEFT_BACKEND_EPOLL);
    }
    setenv("WEFT_BACKEND", "epoll", 1);
    WEFT_ASSERT(weft__options_complete(&o, NULL) == 0 && o.backend == WEFT_BACKEND_EPOLL);
    WEFT_ASSERT(weft_run(give_back, NULL, NULL) == 0);
    setenv("WEFT_BACKEND", "kqueue", 1);
    WEFT_ASSERT(weft_run(give_back, NULL, NULL) == -EINVAL);
    WEFT_ASSERT(weft__options_complete(&o, &uring) == 0);
    return 0;
}

static void the_environment_says_which_backend(void **state)
{
    (void)state;
    struct outcome out;
    in_child(choose_backends, &out);
    assert_child_ok(&out);
    assert_int_equal(count_lines(out.text), 1);
    assert_non_null(strstr(out.text, "WEFT_BACKEND=kqueue "));
}

/* --- what the options do --- */

static void *use_stack(void *bytes)
{
    volatile char room[64 * 1024 * 8];
    for (size_t i = 0; i < sizeof room; i += 4096) {
        room[i] = (char)i;
    }
    return value_of(room[0] + (intptr_t)bytes);
}

/* A task can rely on what was asked for: far more than the default and what is reserved for it. */
static void stacks_are_as_large_as_asked_for(void **state)
{
    (void)state;
    void *result = NULL;
    struct weft_options o = {.workers = 1, .stack_bytes = 1024 * 1024};
    assert_int_equal(weft_run_with(&o, use_stack, value_of(4), &result), 0);
    assert_int_equal((intptr_t)result, 4);
}

/* The CPU of the n-th place in a set, round and round. */
static size_t cpu_at(const cpu_set_t *set, unsigned n)
{
    n %= (unsigned)CPU_COUNT(set);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, set) || n-- > 0) {
        cpu++;
    }
    return cpu;
}

/* Look at the affinity of every worker there is; returns how many there are. */
static unsigned check_affinities(const cpu_set_t *program, bool is_pinned)
{
    unsigned count = 0;
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char path[300];
        unsigned index;
        cpu_set_t set;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *f = fopen(path, "r");
        if (f == NULL) {
            continue;
        }
        if (fscanf(f, "weft-%u", &index) == 1) {
            pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);
            assert_int_equal(sched_getaffinity(tid, sizeof set, &set), 0);
            assert_int_equal(CPU_COUNT(&set), is_pinned ? 1 : CPU_COUNT(program));
            assert_true(CPU_ISSET(cpu_at(program, index), &set));
            count++;
        }
        fclose(f);
    }
    closedir(d);
    return count;
}

static void pinned_workers_have_one_cpu(void **state)
{
    (void)state;
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    struct weft_options o = {.workers = 2 * (unsigned)CPU_COUNT(&set) + 1};
    o.workers = o.workers < 50 ? o.workers : 50;
    weft_runtime *rt = runtime_make(&o);
    assert_int_equal(check_affinities(&set, false), o.workers);
    runtime_end(rt);
    o.pin_workers = true;
    rt = runtime_make(&o);
    assert_int_equal(check_affinities(&set, true), o.workers);
    runtime_end(rt);
    cpu_set_t after;
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&after, &set));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(the_bounds_themselves_are_good),
        cmocka_unit_test(the_most_workers_there_may_be),
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(the_environment_says_how_many),
        cmocka_unit_test(a_bad_number_of_workers_is_named),
        cmocka_unit_test(the_environment_says_which_backend),
        cmocka_unit_test(stacks_are_as_large_as_asked_for),
        cmocka_unit_test(pinned_workers_have_one_cpu),
    };
    return cmocka_run_group_tests(tests, save_environment, NULL);
}
