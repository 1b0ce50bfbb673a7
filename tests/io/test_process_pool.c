/* SPDX-License-Identifier: MIT */
/*
 * Process pools: jobs in other processes, their results and errors, and what becomes of them when
 * a worker crashes, is killed, or retires.
 */
#include "process_help.h"

#include <sys/mman.h>

/* --- jobs, which run in workers --------------------------------------------------------------- */

static int echo(const void *in, size_t n, struct weft_process_reply *reply)
{
    return weft_process_reply_add(reply, in, n);
}

/* So many bytes of the pattern, in pieces. */
static int pattern(const void *in, size_t n, struct weft_process_reply *reply)
{
    size_t bytes;
    char piece[5000];
    if (n != sizeof bytes) {
        return -EINVAL;
    }
    memcpy(&bytes, in, n);
    for (size_t at = 0; at < bytes; at += sizeof piece) {
        size_t part = bytes - at < sizeof piece ? bytes - at : sizeof piece;
        pattern_fill(piece, at, part);
        if (weft_process_reply_add(reply, piece, part) < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int refuse(const void *in, size_t n, struct weft_process_reply *reply)
{
    (void)weft_process_reply_add(reply, in, n);
    return -EDOM;
}

static int crash(const void *in, size_t n, struct weft_process_reply *reply)
{
    (void)in;
    (void)n;
    (void)reply;
    signal(SIGSEGV, SIG_DFL); /* a sanitizer may have a handler */
    raise(SIGSEGV);
    return 0;
}

static int leave(const void *in, size_t n, struct weft_process_reply *reply)
{
    (void)n;
    (void)reply;
    _exit(*(const unsigned char *)in);
}

/* Until it is killed. */
static int hang(const void *in, size_t n, struct weft_process_reply *reply)
{
    (void)in;
    (void)n;
    (void)reply;
    for (;;) {
        pause();
    }
    return 0;
}

/* The child reads the file of that name to its end, and has the worker's descriptors meanwhile. */
static int fork_and_crash(const void *in, size_t n, struct weft_process_reply *reply)
{
    char c;
    (void)n;
    (void)reply;
    int fd = open(in, O_RDONLY | O_CLOEXEC);
    if (fork() == 0) {
        _exit(fd >= 0 && read(fd, &c, 1) == 0 ? 0 : 1);
    }
    raise(SIGKILL);
    return 0;
}

static int own_pid(const void *in, size_t n, struct weft_process_reply *reply)
{
    pid_t pid = getpid();
    (void)in;
    (void)n;
    return weft_process_reply_add(reply, &pid, sizeof pid);
}

static char initialized[64];

static int initialize(const void *in, size_t n, struct weft_process_reply *reply)
{
    if (n >= sizeof initialized) {
        (void)weft_process_reply_add(reply, "too long", 8);
        return -EMSGSIZE;
    }
    memcpy(initialized, in, n);
    return 0;
}

static int tell_initialized(const void *in, size_t n, struct weft_process_reply *reply)
{
    (void)in;
    (void)n;
    return weft_process_reply_add(reply, initialized, strlen(initialized));
}

static int count_fds(const void *in, size_t n, struct weft_process_reply *reply)
{
    int count = fd_count();
    (void)in;
    (void)n;
    return weft_process_reply_add(reply, &count, sizeof count);
}

static void register_all(void)
{
    CHECK_EQUAL(weft_process_register("echo", echo), 0);
    CHECK_EQUAL(weft_process_register("pattern", pattern), 0);
    CHECK_EQUAL(weft_process_register("refuse", refuse), 0);
    CHECK_EQUAL(weft_process_register("crash", crash), 0);
    CHECK_EQUAL(weft_process_register("leave", leave), 0);
    CHECK_EQUAL(weft_process_register("hang", hang), 0);
    CHECK_EQUAL(weft_process_register("fork_and_crash", fork_and_crash), 0);
    CHECK_EQUAL(weft_process_register("own_pid", own_pid), 0);
    CHECK_EQUAL(weft_process_register("initialize", initialize), 0);
    CHECK_EQUAL(weft_process_register("tell_initialized", tell_initialized), 0);
    CHECK_EQUAL(weft_process_register("count_fds", count_fds), 0);
}

/* --- in the pool's process -------------------------------------------------------------------- */

static weft_process_pool *pool_of(unsigned workers)
{
    weft_process_pool *pool = NULL;
    struct weft_process_pool_options o = {.workers = workers};
    CHECK_EQUAL(weft_process_pool_create(&o, &pool), 0);
    return pool;
}

static weft_future *submit(weft_process_pool *pool, const char *name, const void *in, size_t n)
{
    weft_future *f = weft_submit_process(pool, name, in, n);
    CHECK(f != NULL);
    return f;
}

/* The answer is an int. */
static int number_of(weft_process_pool *pool, const char *name)
{
    const void *data;
    size_t bytes;
    int number;
    weft_future *f = submit(pool, name, NULL, 0);
    CHECK_EQUAL(weft_await(f, NULL), 0);
    CHECK_EQUAL(weft_process_result(f, &data, &bytes), 0);
    CHECK_EQUAL(bytes, sizeof number);
    memcpy(&number, data, bytes);
    weft_put(f);
    return number;
}

/* The job fails with that, and its message contains the text. */
static void expect_failure(weft_future *f, int error, const char *text)
{
    const void *data;
    CHECK_EQUAL(weft_await(f, NULL), error);
    CHECK_EQUAL(weft_process_result(f, &data, NULL), error);
    if (strstr(data, text) == NULL) {
        dprintf(help_stderr(), "message: %s\n", (const char *)data);
        CHECK(strstr(data, text) != NULL);
    }
    weft_put(f);
}

static void *call_jobs(void *arg)
{
    const void *data = NULL;
    size_t bytes;
    void *value = NULL;
    (void)arg;
    weft_process_pool *pool = pool_of(2);
    for (int i = 0; i < 5; i++) {
        weft_future *f = submit(pool, "echo", "hello", (size_t)i);
        CHECK_EQUAL(weft_await(f, &value), 0);
        CHECK_EQUAL(weft_process_result(f, &data, &bytes), 0);
        CHECK(value == data);
        CHECK_EQUAL(bytes, i);
        CHECK_EQUAL(memcmp(data, "hello", (size_t)i), 0);
        CHECK_EQUAL(((const char *)data)[i], 0);
        weft_put(f);
    }
    CHECK(number_of(pool, "own_pid") != getpid());
    CHECK(number_of(pool, "count_fds") <= 4 + 3); /* 0 to 3; opendir's, . and .. */
    expect_failure(submit(pool, "refuse", "why", 3), -EDOM, "why");
    expect_failure(submit(pool, "no such job", NULL, 0), -ENOENT, "name");
    weft_future *p = weft_future_create();
    CHECK_EQUAL(weft_process_result(p, &data, &bytes), -EINVAL);
    CHECK_EQUAL(bytes, 0);
    weft_put(p);
    weft_put(submit(pool, "echo", "x", 1)); /* nobody wants to know */
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    return NULL;
}

static void jobs_answer_and_fail_by_name(void **state)
{
    (void)state;
    run_process(call_jobs, NULL);
}

static void *big_results(void *arg)
{
    enum { JOBS = 6 };

    const size_t bytes = test_scaled(5 << 20, 1 << 20);
    weft_future *f[2 * JOBS];
    char *in = malloc(bytes);
    (void)arg;
    CHECK(in != NULL);
    pattern_fill(in, 0, bytes);
    weft_process_pool *pool = pool_of(2);
    for (int i = 0; i < JOBS; i++) {
        f[2 * i] = submit(pool, "pattern", &bytes, sizeof bytes);
        f[2 * i + 1] = submit(pool, "echo", in, bytes);
    }
    free(in);
    for (int i = 0; i < 2 * JOBS; i++) {
        const void *data;
        size_t n;
        CHECK_EQUAL(weft_await(f[i], NULL), 0);
        CHECK_EQUAL(weft_process_result(f[i], &data, &n), 0);
        CHECK_EQUAL(n, bytes);
        CHECK(pattern_fits(data, 0, n));
        weft_put(f[i]);
    }
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    return NULL;
}

static void item_319_results_and_arguments_larger_than_any_pipe(void **state)
{
    (void)state;
    run_process(big_results, NULL);
}

static void *crash_workers(void *arg)
{
    (void)arg;
    unsigned char code = 42;
    weft_process_pool *pool = pool_of(1);
    int pid = number_of(pool, "own_pid");
    weft_future *before = submit(pool, "echo", "a", 1);
    weft_future *bad = submit(pool, "crash", NULL, 0);
    weft_future *after = submit(pool, "echo", "b", 1);
    CHECK_EQUAL(weft_join(before, NULL), 0);
    expect_failure(bad, -EPIPE, "signal 11");
    CHECK_EQUAL(weft_join(after, NULL), 0); /* only the one that it was at */
    CHECK(number_of(pool, "own_pid") != pid);
    expect_failure(submit(pool, "leave", &code, 1), -EPIPE, "status 42");
    pid = number_of(pool, "own_pid");
    CHECK_EQUAL(kill(pid, SIGKILL), 0); /* while it has nothing to do */
    siginfo_t info;
    CHECK_EQUAL(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK(number_of(pool, "own_pid") != pid);
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    return NULL;
}

static void item_317_a_worker_that_crashes_fails_its_job_and_is_replaced(void **state)
{
    (void)state;
    run_process(crash_workers, NULL);
}

static void *fork_in_workers(void *arg)
{
    (void)arg;
    int life[2];
    char path[64];
    make_pipe(life);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), life[0]);
    weft_process_pool *pool = pool_of(1);
    expect_failure(submit(pool, "fork_and_crash", path, strlen(path) + 1), -EPIPE, "signal 9");
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    close_both(life);
    return NULL;
}

static void a_child_that_a_job_has_forked_does_not_hide_the_end_of_the_worker(void **state)
{
    (void)state;
    run_process(fork_in_workers, NULL);
}

static void *kill_amid_results(void *arg)
{
    const size_t bytes = test_scaled(8 << 20, 2 << 20);
    uint64_t random = test_seed();
    (void)arg;
    weft_process_pool *pool = pool_of(1);
    unsigned broken = 0;
    for (size_t i = 0; test_goes_on(i, test_scaled(40, 8)); i++) {
        int pid = number_of(pool, "own_pid");
        weft_future *f = submit(pool, "pattern", &bytes, sizeof bytes);
        for (uint64_t turns = test_random(&random) % 200; turns > 0; turns--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        CHECK_EQUAL(kill(pid, SIGKILL), 0);
        int err = weft_await(f, NULL);
        CHECK(err == 0 || err == -EPIPE);
        if (err < 0) {
            expect_failure(f, -EPIPE, "signal 9");
            broken++;
        } else {
            weft_put(f);
        }
    }
    CHECK(broken > 0);
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    return NULL;
}

static void a_worker_may_be_killed_in_the_middle_of_a_large_result(void **state)
{
    (void)state;
    run_process(kill_amid_results, NULL);
}

static void *retire_workers(void *arg)
{
    (void)arg;
    weft_process_pool *pool = NULL;
    struct weft_process_pool_options o = {
        .workers = 1,
        .jobs_max = 2,
        .initializer = "initialize",
        .initializer_in = "made ready",
        .initializer_bytes = 10,
    };
    CHECK_EQUAL(weft_process_pool_create(&o, &pool), 0);
    int pid[5];
    for (int i = 0; i < 5; i++) {
        pid[i] = number_of(pool, "own_pid");
    }
    CHECK(pid[0] == pid[1] && pid[1] != pid[2] && pid[2] == pid[3] && pid[3] != pid[4]);
    for (int i = 0; i < 3; i++) {
        const void *data;
        weft_future *f = submit(pool, "tell_initialized", NULL, 0);
        CHECK_EQUAL(weft_await(f, NULL), 0);
        CHECK_EQUAL(weft_process_result(f, &data, NULL), 0);
        CHECK_EQUAL(strcmp(data, "made ready"), 0);
        weft_put(f);
    }
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    char much[100] = "";
    o.initializer_in = much;
    o.initializer_bytes = sizeof much;
    CHECK_EQUAL(weft_process_pool_create(&o, &pool), 0);
    expect_failure(submit(pool, "own_pid", NULL, 0), -EMSGSIZE, "too long");
    expect_failure(submit(pool, "own_pid", NULL, 0), -EMSGSIZE, "too long");
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    return NULL;
}

static void item_318_errors_carry_a_message_and_workers_retire(void **state)
{
    (void)state;
    run_process(call_jobs, NULL);
    run_process(retire_workers, NULL);
}

static void *cancel_jobs(void *arg)
{
    (void)arg;
    weft_process_pool *pool = pool_of(1);
    int pid = number_of(pool, "own_pid");
    weft_future *running = submit(pool, "hang", NULL, 0);
    weft_future *queued = submit(pool, "echo", "x", 1);
    weft_future *last = submit(pool, "own_pid", NULL, 0);
    yield_until_rests(running); /* it waits for the worker's answer */
    CHECK(!weft_done(running) && !weft_done(queued));
    CHECK_EQUAL(weft_cancel_and_join(queued, NULL), -ECANCELED);
    CHECK(!weft_done(running));
    CHECK_EQUAL(weft_cancel_and_join(running, NULL), -ECANCELED);
    const void *data;
    CHECK_EQUAL(weft_await(last, NULL), 0);
    CHECK_EQUAL(weft_process_result(last, &data, NULL), 0);
    CHECK(memcmp(data, &pid, sizeof pid) != 0); /* that one is dead */
    CHECK_EQUAL(kill(pid, 0), -1);
    weft_put(last);
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    return NULL;
}

static void a_job_may_be_cancelled_queued_or_running(void **state)
{
    (void)state;
    run_process(cancel_jobs, NULL);
}

static void *close_task(void *pool)
{
    int err = weft_process_pool_close(pool);
    return err < 0 ? weft_fail(err) : NULL;
}

static void *close_early(void *arg)
{
    enum { JOBS = 20 };

    weft_future *f[JOBS];
    (void)arg;
    weft_process_pool *pool = pool_of(2);
    for (int i = 0; i < JOBS; i++) {
        f[i] = submit(pool, "echo", "x", 1);
    }
    CHECK_EQUAL(weft_process_pool_close(pool), 0); /* what was submitted is done */
    for (int i = 0; i < JOBS; i++) {
        CHECK(weft_done(f[i]));
        CHECK_EQUAL(weft_join(f[i], NULL), 0);
    }
    pool = pool_of(2);
    for (int i = 0; i < JOBS; i++) {
        f[i] = submit(pool, "hang", "x", 1);
    }
    weft_task *closer = spawn(close_task, pool);
    yield_until_rests(closer); /* so that it has closed the way in */
    CHECK(!weft_done(closer));
    weft_future *late = submit(pool, "echo", NULL, 0);
    CHECK_EQUAL(weft_join(late, NULL), -ESHUTDOWN);
    CHECK_EQUAL(weft_cancel_and_join(closer, NULL), -ECANCELED);
    for (int i = 0; i < JOBS; i++) {
        CHECK_EQUAL(weft_join(f[i], NULL), -ECANCELED);
    }
    return NULL;
}

static void a_close_waits_for_all_jobs_or_cancels_them(void **state)
{
    (void)state;
    run_process(close_early, NULL);
}

static void what_is_wrong_is_refused(void **state)
{
    weft_process_pool *pool = NULL;
    struct weft_process_pool_options odd = {.reserved = {1}};
    struct weft_process_pool_options many = {.workers = WEFT_PROCESS_WORKERS_MAX + 1};
    (void)state;
    assert_int_equal(weft_process_register("echo", echo), -EEXIST);
    assert_int_equal(weft_process_register("", echo), -EINVAL);
    assert_int_equal(weft_process_register(NULL, echo), -EINVAL);
    assert_int_equal(weft_process_register("other", NULL), -EINVAL);
    assert_int_equal(weft_process_pool_create(&odd, &pool), -EINVAL);
    assert_int_equal(weft_process_pool_create(&many, &pool), -EINVAL);
    assert_int_equal(weft_process_pool_create(NULL, &pool), 0);
    assert_null(weft_submit_process(pool, "echo", NULL, 0));
    assert_int_equal(weft_process_pool_close(pool), -EPERM);
    run_process(close_task, pool);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(jobs_answer_and_fail_by_name),
        cmocka_unit_test(item_319_results_and_arguments_larger_than_any_pipe),
        cmocka_unit_test(item_317_a_worker_that_crashes_fails_its_job_and_is_replaced),
        cmocka_unit_test(a_child_that_a_job_has_forked_does_not_hide_the_end_of_the_worker),
        cmocka_unit_test(a_worker_may_be_killed_in_the_middle_of_a_large_result),
        cmocka_unit_test(item_318_errors_carry_a_message_and_workers_retire),
        cmocka_unit_test(a_job_may_be_cancelled_queued_or_running),
        cmocka_unit_test(a_close_waits_for_all_jobs_or_cancels_them),
    };
    weft_process_pool *pool = NULL;
    CHECK_EQUAL(weft_process_pool_create(NULL, &pool), -EPERM); /* weft_process_main comes first */
    register_all();
    weft_process_main(argc, argv);
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
