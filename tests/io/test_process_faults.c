/* SPDX-License-Identifier: MIT */
/*
 * Processes when something goes wrong: programs that cannot be started, cancelled spawns, children
 * that do not end when they should, or go on when nobody knows them any more. No descriptor is left
 * open and no zombie is left.
 */
#include "process_help.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#include "child_help.h"

static weft_process *untouched = (weft_process *)&untouched;

static int start(const char *program, const char *directory)
{
    char *argv[] = {(char *)(uintptr_t)program, NULL};
    weft_process *p = untouched;
    struct weft_process_options o = {
        .argv = argv,
        .directory = directory,
        .in = WEFT_PROCESS_PIPE,
        .out = WEFT_PROCESS_PIPE,
        .err = WEFT_PROCESS_PIPE,
    };
    int err = weft_process_spawn(&o, &p);
    CHECK(err == 0 || p == untouched);
    if (err == 0) {
        (void)weft_process_close(p, NULL);
    }
    return err;
}

static void *fail_to_start(void *arg)
{
    (void)arg;
    int before = fd_count();
    CHECK_EQUAL(start("/no/such/program", NULL), -ENOENT);
    CHECK_EQUAL(start("no-such-program-at-all", NULL), -ENOENT);
    CHECK_EQUAL(start("/usr", NULL), -EACCES);
    CHECK_EQUAL(start("/bin/true", "/no/such/directory"), -ENOENT);
    CHECK_EQUAL(start("/bin/true", "/bin/true"), -ENOTDIR);
    CHECK_EQUAL(start("/bin/true", "/"), 0);
    CHECK_EQUAL(fd_count(), before);
    weft_process *p = untouched;
    struct weft_process_options o = {0};
    CHECK_EQUAL(weft_process_spawn(&o, &p), -EINVAL);
    CHECK_EQUAL(weft_process_spawn(NULL, &p), -EINVAL);
    CHECK_EQUAL(weft_process_shell(NULL, NULL, &p), -EINVAL);
    o.program = "/bin/true";
    CHECK_EQUAL(weft_process_shell("exit", &o, &p), -EINVAL);
    struct weft_process_options odd = {.reserved = {1}};
    CHECK_EQUAL(weft_process_shell("exit", &odd, &p), -EINVAL);
    struct weft_process_options unknown = {.out = (enum weft_process_stdio)17};
    CHECK_EQUAL(weft_process_shell("exit", &unknown, &p), -EINVAL);
    struct weft_process_options folded = {.in = WEFT_PROCESS_STDOUT};
    CHECK_EQUAL(weft_process_shell("exit", &folded, &p), -EINVAL);
    struct weft_process_options given = {.in = WEFT_PROCESS_FD, .in_fd = -1};
    CHECK_EQUAL(weft_process_shell("exit", &given, &p), -EBADF);
    CHECK(p == untouched);
    CHECK_EQUAL(fd_count(), before);
    return NULL;
}

static void item_297_a_failed_spawn_leaves_nothing(void **state)
{
    (void)state;
    run_process(fail_to_start, NULL);
}

/* In a child of its own: with ever more descriptors to be had, until it works. */
static void *start_with_few(void *arg)
{
    struct rlimit before, few;
    (void)arg;
    CHECK_EQUAL(start("/bin/true", NULL), 0); /* the pool and its thread are there */
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    int used = fd_count();
    int top = open("/dev/null", O_RDONLY | O_CLOEXEC); /* numbers below may be free */
    int refused = 0;
    int err = -EMFILE;
    for (int more = 0; err == -EMFILE; more++) {
        few = before;
        few.rlim_cur = (rlim_t)(top + more);
        CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
        err = start("/bin/true", NULL);
        refused += err == -EMFILE;
        CHECK(err == 0 || err == -EMFILE);
        CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
        CHECK_EQUAL(fd_count(), used + 1);
    }
    CHECK(refused >= 5); /* both ends of three pipes, and its own */
    close(top);
    return NULL;
}

static void want_of_descriptors_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    run_process(start_with_few, NULL);
}

static void *spawn_cancelled(void *arg)
{
    weft_process *p = untouched;
    (void)arg;
    cancel_myself();
    int err = weft_process_shell("exit 3", IN_OUT_ERR, &p);
    CHECK(err == -ECANCELED && p == untouched); /* nothing was begun */
    uncancel_myself();
    return NULL;
}

/* Its argument tells what came of it. */
static void *spawn_one(void *arg)
{
    weft_process **p = arg;
    int err = weft_process_shell("read x; exit 3", IN_OUT_ERR, p);
    return err < 0 ? weft_fail(err) : NULL;
}

static void *cancel_spawns(void *arg)
{
    uint64_t random = test_seed();
    (void)arg;
    for (size_t i = 0; test_goes_on(i, test_scaled(100, 20)); i++) {
        weft_process *p = NULL;
        weft_task *t = spawn(spawn_one, &p);
        for (uint64_t turns = test_random(&random) % 50; turns > 0; turns--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        int err = weft_cancel_and_join(t, NULL);
        CHECK_EQUAL(err, p == NULL ? -ECANCELED : 0); /* what was begun is the caller's */
        if (p != NULL) {
            CHECK_EQUAL(weft_process_close_stdin(p), 0);
            CHECK_EQUAL(waited(p), 3);
            weft_process_put(p);
        }
    }
    return NULL;
}

static void item_296_a_cancelled_spawn_leaves_no_child_that_nobody_has(void **state)
{
    (void)state;
    run_process(spawn_cancelled, NULL);
    run_process(cancel_spawns, NULL);
}

static void *close_processes(void *arg)
{
    int status = 0;
    (void)arg;
    weft_process *p = shell("read x", IN_OUT);
    CHECK_EQUAL(weft_process_close(p, &status), 0);
    CHECK_EQUAL(status, -SIGKILL);
    p = shell("exit 4", OUT_ONLY);
    CHECK_EQUAL(waited(p), 4);
    CHECK_EQUAL(weft_process_close(p, &status), 0);
    CHECK_EQUAL(status, 4);
    p = shell("exit 4", OUT_ONLY);
    siginfo_t info;
    CHECK_EQUAL(waitid(P_PID, (id_t)weft_process_pid(p), &info, WEXITED | WNOWAIT), 0);
    CHECK_EQUAL(weft_process_close(p, &status), 0); /* it has ended, and nobody was told yet */
    CHECK_EQUAL(status, 4);
    p = shell("read x", IN_OUT);
    cancel_myself();
    CHECK_EQUAL(weft_process_close(p, &status), 0);
    CHECK_EQUAL(status, -SIGKILL);
    uncancel_myself();
    return NULL;
}

static void item_298_a_close_kills_a_child_that_runs_and_no_other(void **state)
{
    (void)state;
    run_process(close_processes, NULL);
}

static void *leave_pipes_behind(void *arg)
{
    (void)arg;
    /* The child of the child has the pipes, and goes on until its input ends. */
    weft_process *p = shell("exec 3<&0; cat <&3 & echo begun; wait", IN_OUT);
    expect_line(p, "begun\n");
    CHECK_EQUAL(weft_process_kill(p), 0);
    CHECK_EQUAL(waited(p), -SIGKILL);
    weft_process_put(p);
    return NULL;
}

static void item_301_a_child_of_the_child_with_the_pipes_does_not_hold_up_the_wait(void **state)
{
    (void)state;
    run_process(leave_pipes_behind, NULL);
}

static void *ignore_sigterm(void *arg)
{
    (void)arg;
    weft_process *p = shell("trap '' TERM; echo ready; read x; read y", IN_OUT);
    expect_line(p, "ready\n");
    int err = 0;
    CHECK_EQUAL(weft_process_terminate(p), 0);
    WEFT_TIMEOUT(10 * WEFT_MS)
    {
        err = weft_process_wait(p, NULL);
    }
    CHECK_EQUAL(err, -ETIMEDOUT);
    CHECK_EQUAL(weft_process_kill(p), 0);
    CHECK_EQUAL(waited(p), -SIGKILL);
    weft_process_put(p);
    return NULL;
}

static void a_child_may_ignore_sigterm(void **state)
{
    (void)state;
    run_process(ignore_sigterm, NULL);
}

static void *close_own_pipes(void *arg)
{
    int life[2];
    (void)arg;
    make_pipe(life);
    struct weft_process_fd fd = {.fd = life[0], .as = 9};
    struct weft_process_options o = *IN_OUT_ERR;
    o.fds = &fd;
    o.fd_count = 1;
    weft_process *p = shell("exec <&- >&- 2>&-; read x <&9; exit 11", &o);
    struct weft_view view;
    expect_end(p);
    CHECK_EQUAL(weft_stream_read_line(weft_process_stderr(p), &view), 0);
    CHECK_EQUAL(weft_process_status(p, NULL), -EINPROGRESS);
    CHECK_EQUAL(weft_write(life[1], "x\n", 2), 2);
    CHECK_EQUAL(waited(p), 11);
    weft_process_put(p);
    close_both(life);
    return NULL;
}

static void a_child_may_close_its_pipes_and_go_on(void **state)
{
    (void)state;
    run_process(close_own_pipes, NULL);
}

static int lives[2]; /* children read from the first until the second is closed */

static void *leave_children(void *arg)
{
    enum { CHILDREN = 20 };

    (void)arg;
    for (int i = 0; i < CHILDREN; i++) {
        struct weft_process_options o = {.in = WEFT_PROCESS_FD, .in_fd = lives[0]};
        weft_process *p = shell("read x", &o);
        CHECK_EQUAL(kill(weft_process_pid(p), 0), 0);
        weft_process_put(p);
    }
    return NULL;
}

static void children_may_outlive_the_runtime_and_leave_no_zombies(void **state)
{
    siginfo_t info = {0};
    (void)state;
    int before = fd_count();
    for (int i = 0; i < 2; i++) { /* the thread that waits for them ends, and comes again */
        make_pipe(lives);
        run_case(leave_children, NULL);
        CHECK_EQUAL(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0);
        CHECK_EQUAL(info.si_pid, 0); /* there are children, and all run */
        close_both(lives);
        await_no_children();
        while (fd_count() != before) {
            sched_yield();
        }
    }
}

static void *wait_status(void *arg)
{
    int status = 0;
    int err = weft_process_wait(arg, &status);
    return err < 0 ? weft_fail(err) : BOXED(status);
}

/* The end of the child beside a cancel of one of two that wait for it. */
static void *cancel_beside_exit(void *arg)
{
    uint64_t random = test_seed();
    (void)arg;
    for (size_t i = 0; test_goes_on(i, test_scaled(150, 20)); i++) {
        void *status = NULL;
        weft_process *p = shell("read x; exit 5", IN_OUT);
        weft_task *one = spawn(wait_status, p);
        weft_task *other = spawn(wait_status, p);
        settle();
        CHECK_EQUAL(weft_process_close_stdin(p), 0);
        for (uint64_t turns = test_random(&random) % 64; turns > 0; turns--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        int err = weft_cancel_and_join(one, &status);
        CHECK(err == -ECANCELED || (err == 0 && UNBOXED(status) == 5));
        CHECK_EQUAL(joined(other), 5);
        CHECK_EQUAL(waited(p), 5);
        weft_process_put(p);
    }
    return NULL;
}

static void a_cancel_beside_the_exit_loses_no_status(void **state)
{
    (void)state;
    run_process(cancel_beside_exit, NULL);
}

static void *lose_the_status(void *arg)
{
    (void)arg;
    weft_process *p = shell("exit 3", OUT_ONLY);
    CHECK_EQUAL(waitpid(weft_process_pid(p), NULL, 0), weft_process_pid(p)); /* somebody else */
    CHECK_EQUAL(weft_process_wait(p, NULL), -ECHILD);
    CHECK_EQUAL(weft_process_status(p, NULL), -ECHILD);
    CHECK_EQUAL(weft_process_kill(p), -ESRCH);
    CHECK_EQUAL(weft_process_close(p, NULL), -ECHILD);
    return NULL;
}

static void a_status_that_somebody_else_got_is_lost_and_nothing_hangs(void **state)
{
    (void)state;
    run_process(lose_the_status, NULL);
}

static void *ask_in_vain(void *arg)
{
    weft_process *p = shell("exit 3", OUT_ONLY);
    (void)arg;
    CHECK_EQUAL(weft_process_wait(p, NULL), -EPERM);
    CHECK_EQUAL(weft_process_status(p, NULL), -EPERM);
    CHECK_EQUAL(weft_process_close(p, NULL), -EPERM);
    return NULL;
}

static int without_waits(const void *arg)
{
    (void)arg;
    if (!refuse_syscall(SYS_waitid, EPERM) || !refuse_syscall(SYS_wait4, EACCES)) {
        return CHILD_SKIPPED;
    }
    run_case(ask_in_vain, NULL); /* a zombie is left */
    return 0;
}

static void a_filter_that_refuses_all_waits_is_told_of(void **state)
{
    (void)state;
    int status = in_child(without_waits, NULL);
    if (status == CHILD_SKIPPED) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void *ignore_ends(void *arg)
{
    int status = 0;
    (void)arg;
    for (int i = 0; i < 20; i++) {
        weft_process *p = NULL;
        int err = weft_process_shell(i % 2 == 0 ? "read x" : "exit", IN_OUT, &p);
        CHECK(err == 0 || err == -ECHILD); /* it may have ended before anybody looked */
        if (err == 0) {
            CHECK(weft_process_close_stdin(p) <= 0);
            CHECK_EQUAL(weft_process_wait(p, &status), -ECHILD);
            CHECK_EQUAL(weft_process_kill(p), -ESRCH);
            weft_process_put(p);
        }
    }
    return NULL;
}

static void who_ignores_sigchld_gets_no_status_and_nothing_hangs(void **state)
{
    (void)state;
    signal(SIGCHLD, SIG_IGN);
    run_process(ignore_ends, NULL);
    signal(SIGCHLD, SIG_DFL);
}

static void *use_a_process(void *arg)
{
    (void)arg;
    weft_process *p = shell("read x; exit 12", IN_OUT);
    CHECK_EQUAL(weft_process_close_stdin(p), 0);
    CHECK_EQUAL(waited(p), 12);
    weft_process_put(p);
    return NULL;
}

static int fork_and_spawn(const void *arg)
{
    (void)arg;
    run_process(use_a_process, NULL);
    return 0;
}

static void item_307_a_forked_child_may_start_programs(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* says that such a child may not start threads */
#endif
    weft_runtime *rt = create_runtime(NULL);
    make_pipe(lives);
    CHECK_EQUAL(weft_runtime_run(rt, leave_children, NULL, NULL), 0); /* their thread is there */
    assert_int_equal(in_child(fork_and_spawn, NULL), 0);
    close_both(lives);
    finish_runtime(rt);
    await_no_children();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_296_a_cancelled_spawn_leaves_no_child_that_nobody_has),
        cmocka_unit_test(item_297_a_failed_spawn_leaves_nothing),
        cmocka_unit_test(want_of_descriptors_is_told_and_leaves_nothing),
        cmocka_unit_test(item_298_a_close_kills_a_child_that_runs_and_no_other),
        cmocka_unit_test(item_301_a_child_of_the_child_with_the_pipes_does_not_hold_up_the_wait),
        cmocka_unit_test(a_child_may_ignore_sigterm),
        cmocka_unit_test(a_child_may_close_its_pipes_and_go_on),
        cmocka_unit_test(children_may_outlive_the_runtime_and_leave_no_zombies),
        cmocka_unit_test(a_cancel_beside_the_exit_loses_no_status),
        cmocka_unit_test(a_status_that_somebody_else_got_is_lost_and_nothing_hangs),
        cmocka_unit_test(a_filter_that_refuses_all_waits_is_told_of),
        cmocka_unit_test(who_ignores_sigchld_gets_no_status_and_nothing_hangs),
        cmocka_unit_test(item_307_a_forked_child_may_start_programs),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
