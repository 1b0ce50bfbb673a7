/* SPDX-License-Identifier: MIT */
/*
 * Processes: their streams, their ends, what they are started with.
 *
 * Children are lines of shell that do what they are told on their pipes, so that nothing depends on
 * how long they take.
 */
#include "process_help.h"

/* --- ends ------------------------------------------------------------------------------------- */

static void *pass_codes(void *arg)
{
    (void)arg;
    CHECK_EQUAL(status_of("exit 0"), 0);
    CHECK_EQUAL(status_of("exit 7"), 7);
    CHECK_EQUAL(status_of("exit 255"), 255);
    CHECK_EQUAL(status_of("kill -TERM $$"), -SIGTERM);
    CHECK_EQUAL(status_of("no-such-command-at-all 2>&-"), 127);
    weft_process *p = shell("read x", IN_OUT);
    int status;
    CHECK_EQUAL(weft_process_status(p, &status), -EINPROGRESS);
    CHECK_EQUAL(weft_process_kill(p), 0);
    CHECK_EQUAL(waited(p), -SIGKILL);
    CHECK_EQUAL(weft_process_status(p, &status), 0);
    CHECK_EQUAL(status, -SIGKILL);
    weft_process_put(p);
    p = shell("read x", IN_OUT);
    CHECK_EQUAL(weft_process_terminate(p), 0);
    CHECK_EQUAL(waited(p), -SIGTERM);
    weft_process_put(p);
    p = shell("read x", IN_OUT);
    CHECK_EQUAL(weft_process_send_signal(p, 12345), -EINVAL);
    CHECK_EQUAL(weft_process_send_signal(p, 0), 0);
    CHECK_EQUAL(weft_process_send_signal(p, SIGHUP), 0);
    CHECK_EQUAL(waited(p), -SIGHUP);
    weft_process_put(p);
    return NULL;
}

static void item_288_exit_codes_and_signals_are_told(void **state)
{
    (void)state;
    run_process(pass_codes, NULL);
}

static void *wait_status(void *arg)
{
    int status = 0;
    int err = weft_process_wait(arg, &status);
    return err < 0 ? weft_fail(err) : BOXED(status);
}

static void *wait_together(void *arg)
{
    enum { WAITERS = 10 };

    weft_task *t[WAITERS];
    (void)arg;
    weft_process *p = shell("read x; exit 33", IN_OUT);
    for (int i = 0; i < WAITERS; i++) {
        t[i] = spawn(wait_status, p);
    }
    settle();
    CHECK_EQUAL(weft_process_close_stdin(p), 0);
    for (int i = 0; i < WAITERS; i++) {
        CHECK_EQUAL(joined(t[i]), 33);
    }
    CHECK_EQUAL(waited(p), 33);
    CHECK_EQUAL(weft_process_wait(p, NULL), 0);
    cancel_myself();
    CHECK_EQUAL(waited(p), 33); /* it has ended: there is nothing to wait for */
    uncancel_myself();
    weft_process_put(p);
    return NULL;
}

static void item_294_any_number_of_tasks_may_wait_for_a_child(void **state)
{
    (void)state;
    run_process(wait_together, NULL);
}

static void *cancel_waits(void *arg)
{
    (void)arg;
    weft_process *p = shell("read x; exit 5", IN_OUT);
    weft_task *one = spawn(wait_status, p);
    weft_task *other = spawn(wait_status, p);
    settle();
    CHECK_EQUAL(weft_cancel_and_join(one, NULL), -ECANCELED);
    int err = 0;
    WEFT_TIMEOUT(WEFT_MS)
    {
        err = weft_process_wait(p, NULL);
    }
    CHECK_EQUAL(err, -ETIMEDOUT);
    CHECK_EQUAL(weft_process_status(p, NULL), -EINPROGRESS);
    CHECK_EQUAL(weft_process_close_stdin(p), 0);
    CHECK_EQUAL(joined(other), 5);
    CHECK_EQUAL(waited(p), 5);
    weft_process_put(p);
    return NULL;
}

static void item_295_a_wait_that_is_cancelled_leaves_the_child_alone(void **state)
{
    (void)state;
    run_process(cancel_waits, NULL);
}

static void *signal_the_ended(void *arg)
{
    (void)arg;
    weft_process *p = shell("exit 0", OUT_ONLY);
    expect_end(p); /* it ends, or has ended, and was not waited for */
    int err = weft_process_kill(p);
    CHECK(err == 0 || err == -ESRCH);
    (void)waited(p);
    CHECK_EQUAL(weft_process_kill(p), -ESRCH);
    CHECK_EQUAL(weft_process_terminate(p), -ESRCH);
    CHECK_EQUAL(weft_process_send_signal(p, SIGHUP), -ESRCH);
    weft_process_put(p);
    return NULL;
}

static void item_299_a_child_that_has_ended_is_not_signalled(void **state)
{
    (void)state;
    run_process(signal_the_ended, NULL);
}

static void *wait_elsewhere(void *arg)
{
    weft_runtime *other = arg;
    weft_task *t = NULL;
    weft_process *p = shell("read x; exit 4", IN_OUT);
    CHECK_EQUAL(weft_runtime_spawn(other, wait_status, p, &t), 0);
    settle();
    CHECK_EQUAL(weft_process_close_stdin(p), 0);
    CHECK_EQUAL(joined(t), 4);
    weft_process_put(p);
    return NULL;
}

static void item_302_children_are_watched_from_any_runtime_without_sigchld(void **state)
{
    (void)state;
    struct sigaction before;
    CHECK_EQUAL(sigaction(SIGCHLD, NULL, &before), 0);
    CHECK(before.sa_handler == SIG_DFL);
    weft_runtime *other = create_runtime(NULL);
    run_process(wait_elsewhere, other);
    CHECK_EQUAL(sigaction(SIGCHLD, NULL, &before), 0);
    CHECK(before.sa_handler == SIG_DFL);
    finish_runtime(other);
}

/* --- communicate ------------------------------------------------------------------------------ */

static void *feed_and_collect(void *arg)
{
    struct weft_process_output o;
    (void)arg;
    weft_process *p = shell("cat; echo done >&2; exit 3", IN_OUT_ERR);
    CHECK_EQUAL(weft_process_communicate(p, "some text", 9, &o), 0);
    CHECK_EQUAL(o.out_bytes, 9);
    CHECK_EQUAL(strcmp(o.out, "some text"), 0);
    CHECK_EQUAL(o.err_bytes, 5);
    CHECK_EQUAL(strcmp(o.err, "done\n"), 0);
    CHECK_EQUAL(o.status, 3);
    CHECK(weft_process_stdin(p) == NULL);
    weft_process_output_fini(&o);
    weft_process_put(p);
    for (int i = 0; i < 2; i++) { /* no input closes the pipe as well */
        p = shell("cat", IN_OUT);
        CHECK_EQUAL(weft_process_communicate(p, i == 0 ? NULL : "", 0, &o), 0);
        CHECK_EQUAL(o.out_bytes, 0);
        CHECK_EQUAL(strcmp(o.out, ""), 0);
        CHECK(o.err == NULL);
        CHECK_EQUAL(o.status, 0);
        weft_process_output_fini(&o);
        weft_process_put(p);
    }
    return NULL;
}

static void item_289_communicate_feeds_collects_and_waits(void **state)
{
    (void)state;
    run_process(feed_and_collect, NULL);
}

static void *refuse_input(void *arg)
{
    static char much[1 << 20];
    struct weft_process_output o;
    (void)arg;
    weft_process *p = shell("exec <&-; echo closed; exit 6", IN_OUT);
    CHECK_EQUAL(weft_process_communicate(p, much, sizeof much, &o), 0);
    CHECK_EQUAL(strcmp(o.out, "closed\n"), 0);
    CHECK_EQUAL(o.status, 6);
    weft_process_output_fini(&o);
    weft_process_put(p);
    p = shell("exec <&-; echo closed; read y; exit 6", IN_OUT);
    expect_line(p, "closed\n");
    (void)weft_stream_write(weft_process_stdin(p), much, 4096);
    int err = weft_stream_drain(weft_process_stdin(p));
    while (err == 0) { /* the pipe takes what goes out only when nobody waits */
        CHECK_EQUAL(weft_yield(), 0);
        ssize_t n = weft_stream_write(weft_process_stdin(p), "x", 1);
        err = n < 0 ? (int)n : weft_stream_drain(weft_process_stdin(p));
    }
    CHECK_EQUAL(err, -EPIPE);
    CHECK_EQUAL(weft_process_close(p, NULL), 0);
    return NULL;
}

static void item_290_a_child_may_close_its_input_early(void **state)
{
    (void)state;
    run_process(refuse_input, NULL);
}

static void *much_both_ways(void *arg)
{
    enum { BYTES = 3 << 20 };

    struct weft_process_output o;
    char *in = malloc(BYTES);
    (void)arg;
    CHECK(in != NULL);
    pattern_fill(in, 0, BYTES);
    weft_process *p = shell("tee /dev/stderr", IN_OUT_ERR);
    CHECK_EQUAL(weft_process_communicate(p, in, BYTES, &o), 0);
    CHECK_EQUAL(o.out_bytes, BYTES);
    CHECK_EQUAL(o.err_bytes, BYTES);
    CHECK(pattern_fits(o.out, 0, BYTES));
    CHECK(pattern_fits(o.err, 0, BYTES));
    weft_process_output_fini(&o);
    weft_process_put(p);
    free(in);
    p = shell("echo first; echo second", OUT_ONLY);
    CHECK_EQUAL(waited(p), 0); /* what is left in the pipe is read after the end */
    expect_line(p, "first\n");
    expect_line(p, "second\n");
    expect_end(p);
    weft_process_put(p);
    return NULL;
}

static void item_291_output_larger_than_all_buffers_is_delivered_whole(void **state)
{
    (void)state;
    run_process(much_both_ways, NULL);
}

static void *cut_communicate_short(void *arg)
{
    struct weft_process_output o;
    int err = 0;
    (void)arg;
    weft_process *p = shell("read x; read y; exit 9", IN_OUT_ERR);
    WEFT_TIMEOUT(WEFT_MS)
    {
        err = weft_process_communicate(p, NULL, 0, &o);
    }
    CHECK(err == -ETIMEDOUT || err == 0); /* it may be that quick */
    weft_process_output_fini(&o);
    p = weft_process_get(p);
    weft_process_put(p);
    CHECK_EQUAL(weft_process_close(p, NULL), 0);
    return NULL;
}

static void a_communicate_that_is_cut_short_leaves_the_child(void **state)
{
    (void)state;
    run_process(cut_communicate_short, NULL);
}

/* --- what a child has ------------------------------------------------------------------------- */

static void *no_streams(void *arg)
{
    struct weft_process_output o;
    (void)arg;
    struct weft_process_options null = {
        .in = WEFT_PROCESS_NULL,
        .out = WEFT_PROCESS_NULL,
        .err = WEFT_PROCESS_NULL,
    };
    weft_process *p = shell("echo a; echo b >&2; read x || exit 8", &null);
    CHECK(weft_process_stdin(p) == NULL && weft_process_stdout(p) == NULL);
    CHECK(weft_process_stderr(p) == NULL);
    CHECK_EQUAL(weft_process_communicate(p, "x", 1, &o), 0);
    CHECK(o.out == NULL && o.err == NULL && o.status == 8);
    weft_process_put(p);
    struct weft_process_options folded = {.out = WEFT_PROCESS_PIPE, .err = WEFT_PROCESS_STDOUT};
    p = shell("echo a; echo b >&2", &folded);
    CHECK_EQUAL(weft_process_communicate(p, NULL, 0, &o), 0);
    CHECK_EQUAL(strcmp(o.out, "a\nb\n"), 0);
    CHECK(o.err == NULL);
    weft_process_output_fini(&o);
    weft_process_put(p);
    return NULL;
}

static void item_292_what_is_no_pipe_is_no_stream_and_errors_may_be_folded(void **state)
{
    (void)state;
    run_process(no_streams, NULL);
}

static void *inherit_nothing(void *arg)
{
    (void)arg;
    weft_process *first = shell("cat; echo over", IN_OUT);
    weft_process *second = shell("read x", IN_OUT);
    CHECK_EQUAL(weft_process_close_stdin(first), 0);
    expect_line(first, "over\n"); /* though the second runs, and was started later */
    CHECK_EQUAL(waited(first), 0);
    weft_process_put(first);
    CHECK_EQUAL(weft_process_close(second, NULL), 0);
    int open = fcntl(STDOUT_FILENO, F_DUPFD, 50); /* not close-on-exec */
    weft_process *p = shell("i=3; while test $i -le 100; do test -e /proc/$$/fd/$i && echo $i;"
                            " i=$((i + 1)); done; echo no more", OUT_ONLY);
    expect_line(p, "no more\n");
    CHECK_EQUAL(waited(p), 0);
    weft_process_put(p);
    struct weft_process_options keep = {.out = WEFT_PROCESS_PIPE, .keep_fds = true};
    char command[100];
    snprintf(command, sizeof command, "test -e /proc/$$/fd/%d && echo there", open);
    p = shell(command, &keep);
    expect_line(p, "there\n");
    CHECK_EQUAL(waited(p), 0);
    weft_process_put(p);
    close(open);
    return NULL;
}

static void item_293_a_child_has_no_descriptor_that_it_was_not_given(void **state)
{
    (void)state;
    run_process(inherit_nothing, NULL);
}

static void *give_descriptors(void *arg)
{
    int a[2], b[2];
    char buf[4];
    (void)arg;
    make_pipe(a);
    make_pipe(b);
    /* Each other's places, and one that stays in its own. */
    int low = a[1] < b[1] ? a[1] : b[1];
    int high = a[1] < b[1] ? b[1] : a[1];
    struct weft_process_fd fds[] = {{low, high}, {high, low}, {a[0], a[0]}};
    struct weft_process_options o = {.fds = fds, .fd_count = 3};
    char command[200];
    snprintf(command, sizeof command, "cd /proc/$$/fd; printf low >%d; printf hi >%d; test -e %d",
             low, high, a[0]);
    weft_process *p = shell(command, &o);
    CHECK_EQUAL(waited(p), 0);
    weft_process_put(p);
    CHECK_EQUAL(read(low == a[1] ? b[0] : a[0], buf, 4), 3); /* it was at the other's number */
    CHECK_EQUAL(memcmp(buf, "low", 3), 0);
    CHECK_EQUAL(read(low == a[1] ? a[0] : b[0], buf, 4), 2);
    fds[1].as = high;
    CHECK_EQUAL(weft_process_shell("exit", &o, &p), -EINVAL);
    fds[1].as = WEFT_PROCESS_FD_MAX + 1;
    CHECK_EQUAL(weft_process_shell("exit", &o, &p), -EINVAL);
    fds[1].as = 2;
    CHECK_EQUAL(weft_process_shell("exit", &o, &p), -EINVAL);
    fds[1] = (struct weft_process_fd){.fd = 4000, .as = WEFT_PROCESS_FD_MAX};
    CHECK_EQUAL(weft_process_shell("exit", &o, &p), -EBADF);
    close_both(a);
    close_both(b);
    return NULL;
}

static void descriptors_may_be_given(void **state)
{
    (void)state;
    run_process(give_descriptors, NULL);
}

static void *surroundings(void *arg)
{
    (void)arg;
    CHECK_EQUAL(status_of("-no-such-command 2>/dev/null"), 127); /* no option of the shell's */
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo $MINE-$HOME; pwd; kill -TERM $$;"
                    " echo survived"}, NULL};
    char *environment[] = {(char[]){"MINE=1"}, (char[]){"PATH=/bin:/usr/bin"}, NULL};
    struct weft_process_options o = {
        .argv = argv,
        .environment = environment,
        .directory = "/usr",
        .out = WEFT_PROCESS_PIPE,
        .new_group = true,
    };
    weft_process *p = NULL;
    CHECK_EQUAL(weft_process_spawn(&o, &p), 0); /* found in PATH */
    expect_line(p, "1-\n");
    expect_line(p, "/usr\n");
    CHECK_EQUAL(getpgid(weft_process_pid(p)), weft_process_pid(p));
    expect_end(p);
    CHECK_EQUAL(waited(p), -SIGTERM); /* which no worker's mask has blocked */
    weft_process_put(p);
    o.new_group = false;
    o.new_session = true;
    argv[2] = (char[]){"read x"};
    o.in = WEFT_PROCESS_PIPE;
    CHECK_EQUAL(weft_process_spawn(&o, &p), 0);
    CHECK_EQUAL(getsid(weft_process_pid(p)), weft_process_pid(p));
    CHECK_EQUAL(weft_process_close(p, NULL), 0);
    return NULL;
}

static void a_child_has_the_surroundings_it_is_given(void **state)
{
    (void)state;
    run_process(surroundings, NULL);
}

static void outside_a_task_nothing_is_started(void **state)
{
    weft_process *p = NULL;
    struct weft_process_options o = {0};
    (void)state;
    assert_int_equal(weft_process_shell("exit", NULL, &p), -EPERM);
    assert_int_equal(weft_process_spawn(&o, &p), -EPERM);
    assert_null(p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_288_exit_codes_and_signals_are_told),
        cmocka_unit_test(item_289_communicate_feeds_collects_and_waits),
        cmocka_unit_test(item_290_a_child_may_close_its_input_early),
        cmocka_unit_test(item_291_output_larger_than_all_buffers_is_delivered_whole),
        cmocka_unit_test(item_292_what_is_no_pipe_is_no_stream_and_errors_may_be_folded),
        cmocka_unit_test(item_293_a_child_has_no_descriptor_that_it_was_not_given),
        cmocka_unit_test(item_294_any_number_of_tasks_may_wait_for_a_child),
        cmocka_unit_test(item_295_a_wait_that_is_cancelled_leaves_the_child_alone),
        cmocka_unit_test(item_299_a_child_that_has_ended_is_not_signalled),
        cmocka_unit_test(item_302_children_are_watched_from_any_runtime_without_sigchld),
        cmocka_unit_test(a_communicate_that_is_cut_short_leaves_the_child),
        cmocka_unit_test(descriptors_may_be_given),
        cmocka_unit_test(a_child_has_the_surroundings_it_is_given),
        cmocka_unit_test(outside_a_task_nothing_is_started),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
