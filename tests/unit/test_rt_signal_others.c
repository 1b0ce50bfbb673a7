/* SPDX-License-Identifier: MIT */
/*
 * Goal: signals of several runtimes, of a program with handlers of its own, of weft_run, and of
 * forked children do not get into each other's way.
 *
 * Method: the process sends itself and its children signals.
 */
#include "signal_help.h"

static void two_runtimes_are_both_told(void **state)
{
    (void)state;
    weft_runtime *rt[2];
    weft_task *t[2];
    signal(ONE, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        rt[i] = runtime_make(NULL);
        t[i] = spawn_on(rt[i], wait_task, value_of(ONE));
    }
    for (int i = 0; i < 2; i++) {
        while (!weft_done(t[i])) {
            send_signal(ONE);
            sleep_ms(1);
        }
        void *got = NULL;
        assert_int_equal(weft_result(t[i], &got), 0);
        assert_int_equal((intptr_t)got, ONE);
        weft_put(t[i]);
    }
    runtime_end(rt[0]);
    assert_ptr_not_equal(action_of(ONE), SIG_IGN);
    t[1] = spawn_on(rt[1], wait_task, value_of(ONE));
    send_signal(ONE); /* kept, or told */
    assert_int_equal(wait_on(t[1]), 0);
    weft_put(t[1]);
    await_signals(ONE); /* those that nobody waited for are not to come in the next test */
    runtime_end(rt[1]);
    assert_ptr_equal(action_of(ONE), SIG_IGN);
    signal(ONE, SIG_DFL);
}

/* --- the program's own handlers --------------------------------------------------------------- */

static atomic_int programs_count;
static atomic_int programs_end_count;
static struct sigaction under_the_programs;

static void chaining_handler(int signo, siginfo_t *info, void *context)
{
    atomic_add_seq_cst(&programs_count, 1);
    under_the_programs.sa_sigaction(signo, info, context);
    atomic_add_seq_cst(&programs_end_count, 1);
}

static void *replaced_by_the_program(void *arg)
{
    struct calls c = {.event = WEFT_EVENT_INIT};
    signal(ONE, SIG_IGN);
    WEFT_ASSERT(weft_on_signal(ONE, note_call, &c) == 0);
    struct sigaction programs = {.sa_sigaction = chaining_handler, .sa_flags = SA_SIGINFO};
    WEFT_ASSERT(sigaction(ONE, &programs, &under_the_programs) == 0);
    send_signal(ONE);
    WEFT_ASSERT(weft_event_wait(&c.event) == 0 && atomic_load_seq_cst(&programs_count) == 1);
    WEFT_ASSERT(weft_on_signal_remove(ONE, note_call, &c) == 1);
    WEFT_ASSERT((void *)action_of(ONE) == (void *)chaining_handler);
    WEFT_ASSERT(weft_on_signal(ONE, note_call, &c) == 0);
    weft_event_clear(&c.event);
    send_signal(ONE);
    WEFT_ASSERT(weft_event_wait(&c.event) == 0 && atomic_load_seq_cst(&programs_count) == 2);
    WEFT_ASSERT(weft_on_signal_remove(ONE, note_call, &c) == 1);
    send_signal(ONE); /* it calls ours, which ignores it, as it was before */
    while (atomic_load_seq_cst(&programs_end_count) < 3) {
        (void)weft_sleep(WEFT_MS);
    }
    signal(ONE, SIG_DFL);
    return arg;
}

static void a_handler_of_the_programs_stays(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, replaced_by_the_program, NULL);
    runtime_end(rt);
}

static void *replaced_where_nothing_is_done(void *arg)
{
    struct calls c = {.event = WEFT_EVENT_INIT};
    int before = atomic_load_seq_cst(&programs_end_count);
    signal(SIGWINCH, SIG_DFL);
    WEFT_ASSERT(weft_on_signal(SIGWINCH, note_call, &c) == 0);
    struct sigaction programs = {.sa_sigaction = chaining_handler, .sa_flags = SA_SIGINFO};
    WEFT_ASSERT(sigaction(SIGWINCH, &programs, &under_the_programs) == 0);
    WEFT_ASSERT(weft_on_signal_remove(SIGWINCH, note_call, &c) == 1);
    send_signal(SIGWINCH); /* it calls ours, which has nothing to do, as by default */
    while (atomic_load_seq_cst(&programs_end_count) == before) {
        (void)weft_sleep(WEFT_MS);
    }
    WEFT_ASSERT((void *)action_of(SIGWINCH) == (void *)chaining_handler);
    signal(SIGWINCH, SIG_DFL);
    return arg;
}

static void it_stays_also_where_nothing_is_done_by_default(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, replaced_where_nothing_is_done, NULL);
    runtime_end(rt);
}

static void *interrupted_main(void *arg)
{
    struct calls c = {.event = WEFT_EVENT_INIT};
    weft_task *t = spawn_waiter(SIGINT);
    send_signal(SIGINT);
    join_got(t, SIGINT);
    WEFT_ASSERT(weft_on_signal(SIGINT, note_call, &c) == 0);
    send_signal(SIGINT);
    WEFT_ASSERT(weft_event_wait(&c.event) == 0 && weft_cancelling() == 0);
    if (arg != NULL) {
        return arg; /* the close takes it back */
    }
    WEFT_ASSERT(weft_on_signal_remove(SIGINT, note_call, &c) == 1);
    release(SIGINT, 0);
    send_signal(SIGINT);
    return weft_fail(weft_sleep(WEFT_FOREVER)); /* as without us */
}

static void an_interrupt_may_be_had_and_given_back(void **state)
{
    int something;
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* weft_run would have to be interrupted on the main thread */
#endif
    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_run(interrupted_main, &something, NULL), 0);
        assert_ptr_equal(action_of(SIGINT), SIG_DFL);
        assert_int_equal(weft_run(interrupted_main, NULL, NULL), -EINTR);
        assert_ptr_equal(action_of(SIGINT), SIG_DFL);
    }
}

/* --- fork ------------------------------------------------------------------------------------- */

static pid_t fork_sleeper(void)
{
    pid_t pid = fork();
    WEFT_ASSERT(pid >= 0);
    if (pid == 0) {
        alarm(20);
        sigset_t none;
        sigemptyset(&none);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
        for (;;) {
            pause();
        }
    }
    return pid;
}

static void childs_handler(int signo)
{
    _exit(signo + 100);
}

static void *signals_of_a_child(void *arg)
{
    struct calls c = {.event = WEFT_EVENT_INIT};
    int status;
    signal(TWO, childs_handler); /* there before ours */
    WEFT_ASSERT(weft_on_signal(ONE, note_call, &c) == 0);
    WEFT_ASSERT(weft_on_signal(TWO, note_call, &c) == 0);
    pid_t pid = fork_sleeper();
    WEFT_ASSERT(kill(pid, ONE) == 0 && waitpid(pid, &status, 0) == pid);
    WEFT_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == ONE);
    pid = fork_sleeper();
    WEFT_ASSERT(kill(pid, TWO) == 0 && waitpid(pid, &status, 0) == pid);
    WEFT_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == TWO + 100);
    WEFT_ASSERT(atomic_load_seq_cst(&c.count) == 0);
    send_signal(TWO);
    WEFT_ASSERT(weft_event_wait(&c.event) == 0 && c.signo == TWO);
    WEFT_ASSERT(weft_on_signal_remove(ONE, note_call, &c) == 1);
    WEFT_ASSERT(weft_on_signal_remove(TWO, note_call, &c) == 1);
    WEFT_ASSERT(action_of(TWO) == childs_handler);
    signal(TWO, SIG_DFL);
    return arg;
}

static void item_306_signals_of_a_forked_child_do_not_reach_the_parent(void **state)
{
    (void)state;
    if (!TEST_CHILD_MAY_START) {
        skip(); /* the tool does not run handlers in such a child */
    }
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, signals_of_a_child, NULL);
    runtime_end(rt);
}

static void *call_in_child(void *arg)
{
    struct calls c = {.event = WEFT_EVENT_INIT};
    WEFT_ASSERT(weft_on_signal(ONE, note_call, &c) == 0);
    send_signal(ONE);
    WEFT_ASSERT(weft_event_wait(&c.event) == 0 && atomic_load_seq_cst(&c.count) == 1);
    WEFT_ASSERT(weft_on_signal_remove(ONE, note_call, &c) == 1);
    return arg;
}

static void *wait_in_child(void *arg)
{
    weft_task *t = spawn_waiter(ONE);
    send_signal(ONE);
    join_got(t, ONE);
    send_signal(ONE); /* nobody waits */
    WEFT_ASSERT(wait_for_signal(ONE, 0) == ONE);
    release(ONE, 0);
    WEFT_ASSERT(action_of(ONE) == SIG_DFL);
    return arg;
}

static int child_with_its_own_runtime(void)
{
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, call_in_child, NULL); /* ONE is the parent's till here */
    (void)run_on(rt, wait_in_child, NULL);
    runtime_end(rt);
    return 0;
}

static void a_forked_child_may_have_signals_of_its_own(void **state)
{
    (void)state;
    if (!TEST_CHILD_MAY_START) {
        skip();
    }
    struct outcome out;
    weft_runtime *rt = runtime_make(NULL);
    weft_task *t = spawn_on(rt, wait_task, value_of(ONE));
    while (action_of(ONE) == SIG_DFL) {
        sleep_ms(1);
    }
    in_child(child_with_its_own_runtime, &out);
    assert_child_ok(&out);
    assert_false(weft_done(t));
    send_signal(ONE);
    assert_int_equal(wait_on(t), 0);
    weft_put(t);
    runtime_end(rt);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_runtimes_are_both_told),
        cmocka_unit_test(a_handler_of_the_programs_stays),
        cmocka_unit_test(it_stays_also_where_nothing_is_done_by_default),
        cmocka_unit_test(an_interrupt_may_be_had_and_given_back),
        cmocka_unit_test(item_306_signals_of_a_forked_child_do_not_reach_the_parent),
        cmocka_unit_test(a_forked_child_may_have_signals_of_its_own),
    };
    begin_signals();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
