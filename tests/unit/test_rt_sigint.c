/* SPDX-License-Identifier: MIT */
/*
 * Goal: the first SIGINT during weft_run cancels the main task, the second ends the process; both
 * only where nobody else has decided what SIGINT does; and afterwards all is as it was.
 *
 * Method: the main task sends the signal to its process. What ends the process does so in a child.
 */
#include "life_help.h"

#include <signal.h>

/* What the process does on SIGINT. */
static void (*action_now(void))(int)
{
    struct sigaction now;
    int err = sigaction(SIGINT, NULL, &now);
    WEFT_ASSERT(err == 0);
    return now.sa_handler;
}

static void interrupt_self(void)
{
    int err = kill(getpid(), SIGINT);
    WEFT_ASSERT(err == 0);
}

/* In the main task: until so many requests are there. */
static void await_requests(int count)
{
    while (weft_cancelling() < count) {
        (void)weft_yield();
    }
}

/* --- the first -------------------------------------------------------------------------------- */

static void *sleep_main(void *arg)
{
    WEFT_ASSERT(action_now() != SIG_DFL);
    interrupt_self();
    int err = weft_sleep(WEFT_FOREVER);
    WEFT_ASSERT(err == -ECANCELED && weft_cancelling() == 1);
    return arg == NULL ? weft_fail(err) : arg;
}

static void item_326_an_interrupt_cancels_the_main_task(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_run(sleep_main, NULL, NULL), -EINTR);
        assert_ptr_equal(action_now(), SIG_DFL);
    }
}

static void *yield_main(void *arg)
{
    interrupt_self();
    while (weft_yield() == 0) {
        /* it never waits for anything */
    }
    return weft_fail(arg == NULL ? -ECANCELED : -EIO);
}

static void item_326_also_one_that_only_yields(void **state)
{
    (void)state;
    assert_int_equal(weft_run(yield_main, NULL, NULL), -EINTR);
}

static void the_main_task_may_end_as_it_likes(void **state)
{
    (void)state;
    void *result = NULL;
    assert_int_equal(weft_run(sleep_main, &result, &result), 0);
    assert_ptr_equal(result, &result);
    assert_int_equal(weft_run(yield_main, &result, NULL), -EIO);
}

static void *sleep_for_ever(void *flag)
{
    atomic_store_seq_cst((atomic_int *)flag, 1);
    return weft_fail(weft_sleep(WEFT_FOREVER));
}

static void *await_main(void *arg)
{
    atomic_int flag = 0;
    weft_task *t = spawn_must(sleep_for_ever, &flag);
    yield_until(&flag);
    interrupt_self();
    int err = weft_join(t, NULL);
    WEFT_ASSERT(err == -ECANCELED);
    (void)arg;
    return weft_fail(err);
}

static void an_interrupt_is_passed_on_as_any_cancel(void **state)
{
    (void)state;
    assert_int_equal(weft_run(await_main, NULL, NULL), -EINTR);
}

static void *uncancel_main(void *arg)
{
    interrupt_self();
    await_requests(1);
    int left = weft_uncancel();
    WEFT_ASSERT(left == 0 && weft_sleep(1) == 0);
    return arg;
}

static void an_interrupt_can_be_acknowledged(void **state)
{
    (void)state;
    assert_int_equal(weft_run(uncancel_main, NULL, NULL), 0);
}

static void *cancelled_too_main(void *arg)
{
    interrupt_self();
    await_requests(1);
    (void)weft_cancel(weft_self());
    (void)arg;
    return weft_fail(weft_sleep(1));
}

static void item_327_a_cancel_by_somebody_else_is_a_plain_cancel(void **state)
{
    (void)state;
    assert_int_equal(weft_run(cancelled_too_main, NULL, NULL), -ECANCELED);
}

/* --- the second ------------------------------------------------------------------------------- */

static void *stubborn_main(void *arg)
{
    interrupt_self();
    await_requests(1);
    interrupt_self();
    for (;;) {
        (void)weft_yield();
    }
    return arg;
}

static int run_stubborn(void)
{
    (void)weft_run(stubborn_main, NULL, NULL);
    return 1;
}

static void the_second_ends_the_process(void **state)
{
    (void)state;
    struct outcome out;
    in_child(run_stubborn, &out);
    assert_true(WIFSIGNALED(out.status));
    assert_int_equal(WTERMSIG(out.status), SIGINT);
}

/* --- where it is none of ours ----------------------------------------------------------------- */

static void *expect_action(void *action)
{
    WEFT_ASSERT((void *)action_now() == action);
    return NULL;
}

static atomic_int caught;

static void catch_signal(int sig)
{
    (void)sig;
    atomic_add_seq_cst(&caught, 1);
}

static void *caught_main(void *arg)
{
    int before = atomic_load_seq_cst(&caught);
    interrupt_self();
    while (atomic_load_seq_cst(&caught) == before) {
        int err = weft_yield();
        WEFT_ASSERT(err == 0);
    }
    WEFT_ASSERT(weft_cancelling() == 0);
    return arg;
}

static void a_handler_of_the_program_stays(void **state)
{
    (void)state;
    signal(SIGINT, catch_signal);
    assert_int_equal(weft_run(caught_main, NULL, NULL), 0);
    assert_ptr_equal(action_now(), catch_signal);
    signal(SIGINT, SIG_IGN);
    assert_int_equal(weft_run(expect_action, (void *)SIG_IGN, NULL), 0);
    assert_ptr_equal(action_now(), SIG_IGN);
    signal(SIGINT, SIG_DFL);
}

static void *install_main(void *arg)
{
    signal(SIGINT, catch_signal);
    return caught_main(arg);
}

static void also_one_that_is_installed_meanwhile(void **state)
{
    (void)state;
    assert_int_equal(weft_run(install_main, NULL, NULL), 0);
    assert_ptr_equal(action_now(), catch_signal);
    signal(SIGINT, SIG_DFL);
}

static void *run_on_thread(void *arg)
{
    int err = weft_run(expect_action, (void *)SIG_DFL, NULL);
    WEFT_ASSERT(err == 0);
    return arg;
}

static void only_weft_run_on_the_main_thread_and_unless_refused(void **state)
{
    (void)state;
    struct weft_options options = {.interrupt = -1};
    assert_int_equal(weft_run_with(&options, expect_action, (void *)SIG_DFL, NULL), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_on_thread, NULL), 0);
    pthread_join(thread, NULL);
    weft_runtime *rt = runtime_make(NULL);
    assert_int_equal(weft_runtime_run(rt, expect_action, (void *)SIG_DFL, NULL), 0);
    runtime_end(rt);
}

static void *left_over(void *arg)
{
    (void)weft_sleep(WEFT_FOREVER);
    return expect_action(arg);
}

static void *leave_one(void *arg)
{
    return (void *)(intptr_t)weft_go(left_over, arg);
}

static void while_the_rest_is_awaited_it_is_as_before(void **state)
{
    (void)state;
    assert_int_equal(weft_run(leave_one, (void *)SIG_DFL, NULL), 0);
}

static void *fork_main(void *arg)
{
    pid_t pid = fork();
    WEFT_ASSERT(pid >= 0);
    if (pid == 0) {
        interrupt_self();
        for (;;) {
            pause();
        }
    }
    int status;
    pid_t ended = waitpid(pid, &status, 0);
    WEFT_ASSERT(ended == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    WEFT_ASSERT(weft_cancelling() == 0);
    return arg;
}

static void a_forked_child_has_the_default_action(void **state)
{
    (void)state;
    assert_int_equal(weft_run(fork_main, NULL, NULL), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_326_an_interrupt_cancels_the_main_task),
        cmocka_unit_test(item_326_also_one_that_only_yields),
        cmocka_unit_test(the_main_task_may_end_as_it_likes),
        cmocka_unit_test(an_interrupt_is_passed_on_as_any_cancel),
        cmocka_unit_test(an_interrupt_can_be_acknowledged),
        cmocka_unit_test(item_327_a_cancel_by_somebody_else_is_a_plain_cancel),
        cmocka_unit_test(the_second_ends_the_process),
        cmocka_unit_test(a_handler_of_the_program_stays),
        cmocka_unit_test(also_one_that_is_installed_meanwhile),
        cmocka_unit_test(only_weft_run_on_the_main_thread_and_unless_refused),
        cmocka_unit_test(while_the_rest_is_awaited_it_is_as_before),
        cmocka_unit_test(a_forked_child_has_the_default_action),
    };
#ifdef __SANITIZE_THREAD__
    /* It runs a handler when the interrupted thread next calls what it knows to block, and does not
     * know futex(2), where weft_run waits. */
    printf("SKIP: ThreadSanitizer keeps signals back\n");
    return 77;
#endif
    alarm(60);
    signal(SIGINT, SIG_DFL); /* a shell may have had it ignored */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
