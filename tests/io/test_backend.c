/* SPDX-License-Identifier: MIT */
/*
 * Goal: where the kernel refuses io_uring, a program works unchanged on epoll, and one line says
 * why; a program that asked for io_uring gets a clear error. What drives a runtime can be asked.
 *
 * Method: child processes with a seccomp filter that answers io_uring_setup with an error, or kills
 * who calls it; in each, the same small program.
 */
#include "child_help.h"
#include "io_help.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* --- a program -------------------------------------------------------------------------------- */

static void *echo_once(void *arg)
{
    char buf[16];
    int fd = weft_accept(UNBOXED(arg), NULL, NULL, 0);
    CHECK(fd >= 0);
    ssize_t n = weft_recv(fd, buf, sizeof buf, 0);
    CHECK_EQUAL(weft_send(fd, buf, (size_t)n, 0), n);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void use_sockets(void)
{
    char buf[16];
    struct sockaddr_in address;
    int listener = make_listener(&address, 4);
    weft_task *server = spawn(echo_once, BOXED(listener));
    int fd = connected_to(&address);
    CHECK_EQUAL(weft_send(fd, "hello", 5, 0), 5);
    CHECK_EQUAL(weft_recv(fd, buf, sizeof buf, 0), 5);
    CHECK_EQUAL(joined(server), 0);
    weft_task *waiter = spawn(echo_once, BOXED(listener));
    yield_until_calls(listener, 1);
    int second = connected_to(&address);
    CHECK_EQUAL(weft_send(second, "!", 1, 0), 1);
    CHECK_EQUAL(joined(waiter), 0);
    CHECK_EQUAL(weft_close(second), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_close(listener), 0);
}

static void use_files(void)
{
    char buf[16];
    char path[] = "/tmp/test_backend.XXXXXX";
    close(mkostemp(path, O_CLOEXEC));
    int fd = weft_openat(AT_FDCWD, path, O_RDWR, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_unlinkat(AT_FDCWD, path, 0), 0);
    CHECK_EQUAL(weft_pwrite(fd, "file", 4, 0), 4);
    CHECK_EQUAL(weft_pread(fd, buf, sizeof buf, 0), 4);
    CHECK_EQUAL(weft_fsync(fd), 0);
    CHECK_EQUAL(weft_close(fd), 0);
}

static void *read_of(void *arg)
{
    char c;
    return BOXED(weft_read(UNBOXED(arg), &c, 1));
}

static void use_cancel(void)
{
    int fds[2];
    make_pipe(fds);
    weft_task *t = spawn(read_of, BOXED(fds[0]));
    yield_until_calls(fds[0], 1);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    WEFT_TIMEOUT(WEFT_MS) {
        CHECK_EQUAL(UNBOXED(read_of(BOXED(fds[0]))), -ETIMEDOUT);
    }
    CHECK_EQUAL(weft_write(fds[1], "x", 1), 1);
    CHECK_EQUAL(UNBOXED(read_of(BOXED(fds[0]))), 1);
    close_both(fds);
}

static void *use_all(void *arg)
{
    (void)arg;
    use_sockets();
    use_files();
    use_cancel();
    return NULL;
}

/* What the runtime was given, which is also in *why. */
static enum weft_backend run_program(const struct weft_options *options, char *why, size_t bytes)
{
    const char *reason = NULL;
    weft_runtime *rt = create_runtime(options);
    enum weft_backend backend = weft_runtime_backend(rt, &reason);
    CHECK_EQUAL(weft_runtime_backend(rt, NULL), backend);
    snprintf(why, bytes, "%s", reason);
    CHECK_EQUAL(weft_runtime_run(rt, use_all, NULL, NULL), 0);
    finish_runtime(rt);
    return backend;
}

/* --- refusals --------------------------------------------------------------------------------- */

struct refusal {
    uint32_t action; /* of the filter */
    int err;         /* what a program gets that asks for io_uring */
    const char *word;
};

static const struct refusal refusals[] = {
    {SECCOMP_RET_ERRNO | EPERM, -EPERM, "seccomp"},
    {SECCOMP_RET_ERRNO | ENOSYS, -ENOSYS, "ENOSYS"},
    {SECCOMP_RET_ERRNO | EACCES, -EACCES, "EACCES"},
    {SECCOMP_RET_ERRNO | ENOMEM, -ENOMEM, "ENOMEM"},
    {SECCOMP_RET_ERRNO | EINVAL, -ENOSYS, "EINVAL"},
    {SECCOMP_RET_KILL_PROCESS, -EPERM, "SIGSYS"},
    {SECCOMP_RET_TRAP, -EPERM, "SIGSYS"},
};

static int run_refused(const void *arg)
{
    const struct refusal *r = arg;
    struct weft_options uring = {.backend = WEFT_BACKEND_URING};
    struct weft_options epoll = {.backend = WEFT_BACKEND_EPOLL};
    FILE *file;
    char text[1024];
    char why[512];
    weft_runtime *rt = NULL;
    if (!filter_syscall(__NR_io_uring_setup, r->action)) {
        return CHILD_SKIPPED;
    }
    capture_begin(&file);
    CHILD_CHECK(run_program(&epoll, why, sizeof why) == WEFT_BACKEND_EPOLL && why[0] == '\0');
    CHILD_CHECK(capture_end(&file, text, sizeof text) == 0);
    for (int i = 0; i < 2; i++) {
        capture_begin(&file);
        CHILD_CHECK(run_program(NULL, why, sizeof why) == WEFT_BACKEND_EPOLL);
        CHILD_CHECK(strstr(why, r->word) != NULL);
        CHILD_CHECK(capture_end(&file, text, sizeof text) == (i == 0 ? 1 : 0));
        CHILD_CHECK(i > 0 || (strncmp(text, "weft: ", 6) == 0 && strstr(text, why) != NULL &&
                              strstr(text, "epoll") != NULL));
    }
    capture_begin(&file);
    CHILD_CHECK(weft_runtime_create(&rt, &uring) == r->err && rt == NULL);
    CHILD_CHECK(capture_end(&file, text, sizeof text) == 1 && strstr(text, r->word) != NULL);
    setenv("WEFT_BACKEND", "uring", 1);
    capture_begin(&file);
    CHILD_CHECK(weft_runtime_create(&rt, NULL) == r->err && rt == NULL);
    CHILD_CHECK(capture_end(&file, text, sizeof text) == 1 && strstr(text, r->word) != NULL);
    return 0;
}

static void a_program_goes_on_with_epoll(void **state)
{
    (void)state;
    unsetenv("WEFT_BACKEND");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        int status = in_child(run_refused, &refusals[i]);
        if (status == CHILD_SKIPPED) {
            skip();
        }
        assert_int_equal(status, 0);
    }
}

/* --- crash reports ---------------------------------------------------------------------------- */

static void *crash(void *arg)
{
    const struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    weft_report_error(NULL, NULL, 5); /* no error is positive */
    return arg;
}

/* The standard error of a child that crashes in a task. */
static void report_crash(char *text, size_t bytes)
{
    int status = 0;
    FILE *file;
    capture_begin(&file);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        _exit(weft_run(crash, NULL, NULL));
    }
    CHILD_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHILD_CHECK(capture_end(&file, text, bytes) > 1);
    CHILD_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static int crash_on_epoll(const void *arg)
{
    static char text[32768];
    (void)arg;
    setenv("WEFT_BACKEND", "epoll", 1);
    report_crash(text, sizeof text);
    CHILD_CHECK(strstr(text, "\nbackend: epoll, waits by epoll_") != NULL);
    CHILD_CHECK(strstr(text, " operations wait\n") != NULL);
    unsetenv("WEFT_BACKEND");
    if (!filter_syscall(__NR_io_uring_setup, SECCOMP_RET_ERRNO | ENOSYS)) {
        return CHILD_SKIPPED;
    }
    report_crash(text, sizeof text);
    CHILD_CHECK(strstr(text, " operations wait; ") != NULL);
    CHILD_CHECK(strstr(strstr(text, " operations wait; "), "ENOSYS") != NULL);
    return 0;
}

static void a_crash_report_says_why_it_is_epoll(void **state)
{
    (void)state;
    int status = in_child(crash_on_epoll, NULL);
    if (status == CHILD_SKIPPED) {
        skip();
    }
    assert_int_equal(status, 0);
}

/* --- where nothing is refused ----------------------------------------------------------------- */

static void the_environment_chooses(void **state)
{
    char why[512];
    (void)state;
    setenv("WEFT_BACKEND", "epoll", 1);
    assert_int_equal(run_program(NULL, why, sizeof why), WEFT_BACKEND_EPOLL);
    assert_string_equal(why, "");
    setenv("WEFT_BACKEND", "uring", 1);
    assert_int_equal(run_program(NULL, why, sizeof why), WEFT_BACKEND_URING);
    assert_string_equal(why, "");
    unsetenv("WEFT_BACKEND");
    assert_int_equal(run_program(NULL, why, sizeof why), WEFT_BACKEND_URING);
    assert_string_equal(why, "");
}

static void features_are_switched_off_by_name(void **state)
{
    char why[512];
    char text[1024];
    FILE *file;
    weft_runtime *rt = NULL;
    (void)state;
    unsetenv("WEFT_BACKEND");
    setenv("WEFT_URING_DISABLE", "multishot_poll,,no_iowait,", 1);
    assert_int_equal(run_program(NULL, why, sizeof why), WEFT_BACKEND_URING);
    setenv("WEFT_URING_DISABLE", "no_iowait,multishot_pol", 1);
    capture_begin(&file);
    assert_int_equal(weft_runtime_create(&rt, NULL), -EINVAL);
    assert_int_equal(capture_end(&file, text, sizeof text), 1);
    assert_non_null(strstr(text, "multishot_pol\n"));
    unsetenv("WEFT_URING_DISABLE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_goes_on_with_epoll),
        cmocka_unit_test(a_crash_report_says_why_it_is_epoll),
        cmocka_unit_test(the_environment_chooses),
        cmocka_unit_test(features_are_switched_off_by_name),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
