/* SPDX-License-Identifier: MIT */
/*
 * Goal: a broken rule and a stack overflow end the process with a report; other faults of a task
 * where that was asked for, and then meet what was there before. The report tells the
 * rule, the task, the worker, its last events, the versions and the backtrace, even when some of
 * that is damaged; there is one at a time.
 *
 * Method: each case runs a runtime in a child process that ends in some way; the parent reads its
 * standard error.
 */
#include "crash_task_help.h"

#include <pthread.h>

#include "runtime_object.h"

/* --- ways to crash ---------------------------------------------------------------------------- */

static void by_call_of_null(void)
{
    void (*volatile nothing)(void) = NULL;
    nothing();
    (void)weft_yield(); /* or the call is a jump */
}

#if defined(__x86_64__) && !defined(TEST_SANITIZED)
static void by_division(void)
{
    volatile int zero = 0;
    zero = 10 / zero;
}
#endif

static void by_trap(void)
{
#ifdef __x86_64__
    __asm__ volatile("ud2");
#else
    __asm__ volatile("udf #0");
#endif
}

static void by_damage(void)
{
    struct worker *w = weft__worker_current();
    w->fiber->top = (weft_task *)(uintptr_t)64;
    by_segv();
}

/* --- what always reports ---------------------------------------------------------------------- */

static void a_broken_rule_is_reported(void **state)
{
    (void)state;
    crash_in_child(by_broken_rule);
    expect_killed(&out, SIGABRT);
    expect_report(&out);
    expect_text(&out, "weft: broken rule: error < 0 && error > -4096\nweft:   at ");
    expect_text(&out, "\nweft:   weft_report_error takes a negative errno value\n");
    expect_text(&out, "\ntask: 'culprit' (id ");
    if (strcmp(getenv("WEFT_WORKERS"), "1") == 0) { /* else it may have been stolen */
        expect_text(&out, "), on the stack of 'Task-");
    }
    expect_text(&out, " KiB promised, ");
    expect_text(&out, ", worker ");
    expect_text(&out, "\nbackend: ");
    expect_text(&out, "\nbacktrace:\n  at test_rt_crash+0x");
}

static void no_worker_is_needed(void **state)
{
    (void)state;
    in_child(&out, by_broken_rule);
    expect_killed(&out, SIGABRT);
    expect_report(&out);
    expect_text(&out, "\ntask: none, on a thread of the program's\n");
    expect_text(&out, ", no worker\n");
}

static void an_overflow_is_reported(void **state)
{
    (void)state;
    crash_in_child(by_recursion);
    expect_killed(&out, SIGSEGV);
    expect_report(&out);
    expect_text(&out, "weft: stack overflow in task 'culprit' (id ");
    expect_text(&out, "): it may rely on 64 KiB of stack and has used up all of the 240 KiB");
    expect_text(&out, "weft_spawn_options.stack_bytes\n");
    expect_text(&out, " times\n");
}

static void *overflow_here(void *arg)
{
    by_recursion();
    return arg;
}

static void *overflow_on_all(void *arg)
{
    weft_task *t[8];
    for (size_t i = 0; i < 8; i++) {
        t[i] = weft_spawn(overflow_here, NULL);
    }
    return weft_await(t[7], NULL) == 0 ? arg : NULL;
}

static void run_overflows(void)
{
    (void)weft_run(overflow_on_all, NULL, NULL);
}

static void several_overflows_are_reported_once(void **state)
{
    (void)state;
    in_child(&out, run_overflows);
    expect_killed(&out, SIGSEGV);
    expect_report(&out);
}

/* --- what reports if asked for ---------------------------------------------------------------- */

static void other_faults_are_not_reported(void **state)
{
    (void)state;
    options = (struct weft_options){0};
    crash_in_child(by_segv);
    expect_killed(&out, SIGSEGV);
    assert_string_equal(out.text, "");
    crash_in_child(by_abort);
    expect_killed(&out, SIGABRT);
    assert_string_equal(out.text, "");
}

static void other_faults_are_reported_if_asked_for(void **state)
{
    static const struct {
        void (*how)(void);
        int sig;
        const char *said;
    } faults[] = {
        {by_segv, SIGSEGV, "weft: SIGSEGV at address 0x"},
        {by_call_of_null, SIGSEGV, "weft: SIGSEGV at address 0x0\n"},
        {by_trap, SIGILL, "weft: SIGILL at address 0x"},
        {by_abort, SIGABRT, "weft: SIGABRT\n"},
        {by_broken_rule, SIGABRT, "weft: broken rule: "},
        {by_recursion, SIGSEGV, "weft: stack overflow in task 'culprit'"},
#if defined(__x86_64__) && !defined(TEST_SANITIZED)
        {by_division, SIGFPE, "weft: SIGFPE at address 0x"},
#endif
    };

    (void)state;
    options = (struct weft_options){.crash_report = true};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        crash_in_child(faults[i].how);
        expect_killed(&out, faults[i].sig);
        expect_report(&out);
        expect_text(&out, faults[i].said);
        expect_text(&out, "\ntask: 'culprit' (id ");
    }
    options = (struct weft_options){0};
}

static void run_with_environment(void)
{
    setenv("WEFT_CRASH_REPORT", "1", 1);
    run_crashing();
}

static void run_with_bad_environment(void)
{
    setenv("WEFT_CRASH_REPORT", "yes", 1);
    run_crashing();
}

static void the_environment_can_ask_for_it(void **state)
{
    (void)state;
    crash = by_segv;
    in_child(&out, run_with_environment);
    expect_killed(&out, SIGSEGV);
    expect_report(&out);
    in_child(&out, run_with_bad_environment);
    expect_exit(&out, 99);
    expect_text(&out, "weft: WEFT_CRASH_REPORT=yes is not 0 or 1\n");
}

/* --- how it gets on with the program ---------------------------------------------------------- */

static void exit_42(int sig)
{
    _exit(sig == SIGILL ? 42 : 1);
}

static void run_over_handler(void)
{
    (void)signal(SIGILL, exit_42);
    run_crashing();
}

static void the_programs_handler_comes_next(void **state)
{
    (void)state;
    crash = by_trap;
    options = (struct weft_options){.crash_report = true};
    in_child(&out, run_over_handler);
    expect_exit(&out, 42);
    expect_report(&out);
    options = (struct weft_options){0};
    in_child(&out, run_over_handler);
    expect_exit(&out, 42);
    assert_string_equal(out.text, "");
}

/* A handler that goes on, at once and on the next worker: two reports, one after the other. */

static _Atomic(int) stepped;

static void step_over(int sig, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    (void)sig;
    (void)info;
    (void)atomic_add_seq_cst(&stepped, 1);
#ifdef __x86_64__
    c->uc_mcontext.gregs[REG_RIP] += 2;
#else
    c->uc_mcontext.pc += 4;
#endif
}

static void by_traps(void)
{
    by_trap();
    by_trap();
}

static void run_over_stepping_handler(void)
{
    struct sigaction action = {.sa_sigaction = step_over, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
    int err = weft_run_with(&options, main_of_crashing, NULL, NULL);
    _exit(err == 0 ? atomic_load_seq_cst(&stepped) : 99);
}

static void the_program_may_go_on(void **state)
{
    (void)state;
    crash = by_traps;
    options = (struct weft_options){.crash_report = true};
    in_child(&out, run_over_stepping_handler);
    expect_exit(&out, 2);
    options = (struct weft_options){0};
}

static void sent_to_process(void)
{
    kill(getpid(), SIGSEGV);
    for (;;) {
        pause();
    }
}

static void a_signal_that_was_sent_is_not_reported(void **state)
{
    (void)state;
    options = (struct weft_options){.crash_report = true};
    crash_in_child(sent_to_process);
    expect_killed(&out, SIGSEGV);
    assert_string_equal(out.text, "");
    options = (struct weft_options){0};
}

static void handlers_are_put_back(void **state)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction before[5], now;
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        sigaction(fatal[i], NULL, &before[i]);
    }
    options = (struct weft_options){.crash_report = true};
    weft_runtime *rt, *other;
    assert_int_equal(weft_runtime_create(&rt, &options), 0);
    options = (struct weft_options){0};
    assert_int_equal(weft_runtime_create(&other, &options), 0);
    sigaction(SIGILL, NULL, &now);
    assert_true(now.sa_sigaction != before[3].sa_sigaction);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    sigaction(SIGILL, NULL, &now);
    assert_true(now.sa_sigaction == before[3].sa_sigaction);
    sigaction(SIGSEGV, NULL, &now);
    assert_true(now.sa_sigaction != before[0].sa_sigaction);
    assert_int_equal(weft_runtime_close(other), 0);
    assert_int_equal(weft_runtime_destroy(other), 0);
    for (size_t i = 0; i < 5; i++) {
        sigaction(fatal[i], NULL, &now);
        assert_true(now.sa_sigaction == before[i].sa_sigaction);
    }
}

/* --- what it tells ---------------------------------------------------------------------------- */

static void a_damaged_task_does_not_end_it(void **state)
{
    (void)state;
    options = (struct weft_options){.crash_report = true};
    crash_in_child(by_damage);
    options = (struct weft_options){0};
    expect_killed(&out, SIGSEGV);
    expect_report(&out);
    expect_text(&out, "task: (the rest of this cannot be read)\n");
}

static void *sleeper(void *arg)
{
    (void)weft_sleep(WEFT_FOREVER);
    return arg;
}

static void cancel_and_crash(void)
{
    weft_task *t = weft_spawn(sleeper, NULL);
    (void)weft_yield();
    (void)weft_cancel(t);
    by_broken_rule();
}

static void what_is_rare_is_always_kept(void **state)
{
    (void)state;
    options = (struct weft_options){0};
    crash_in_child(cancel_and_crash);
    expect_report(&out);
    expect_text(&out, "last events before the crash:\n");
    expect_text(&out, " us: cancel Task-");
    expect_no_text(&out, "start Task-");
    expect_text(&out, "in debug mode more events are kept");
}

static void in_debug_mode_all_is_kept(void **state)
{
    (void)state;
    options = (struct weft_options){.debug = true};
    crash_in_child(cancel_and_crash);
    options = (struct weft_options){0};
    expect_report(&out);
    expect_text(&out, " us: cancel Task-");
    if (strcmp(getenv("WEFT_WORKERS"), "1") == 0) { /* else this was on other workers, maybe */
        expect_text(&out, " us: start Task-");
        expect_text(&out, " us: run Task-");
        expect_text(&out, " us: park Task-");
    }
    expect_no_text(&out, "in debug mode more events are kept");
}

static void the_ring_keeps_the_last(void **state)
{
    (void)state;
    struct recent r = {0};
    for (uint64_t i = 0; i < RECENT_EVENTS + 7; i++) {
        recent_note(&r, RECENT_START, i, (int64_t)i);
    }
    assert_int_equal(atomic_load_seq_cst(&r.count), RECENT_EVENTS + 7);
    for (uint64_t i = 7; i < RECENT_EVENTS + 7; i++) {
        struct recent_event *e = &r.events[i % RECENT_EVENTS];
        assert_int_equal(atomic_load_seq_cst(&e->what), i << RECENT_KIND_BITS | RECENT_START);
        assert_int_equal(atomic_load_seq_cst(&e->at_ns), i);
    }
}

static void callback_crash(void *arg)
{
    (void)arg;
    by_broken_rule();
}

static void *post_and_sleep(void *arg)
{
    (void)weft_post(weft_runtime_current(), callback_crash, NULL);
    (void)weft_sleep(WEFT_FOREVER);
    return arg;
}

static void run_callback(void)
{
    (void)weft_run(post_and_sleep, NULL, NULL);
}

static void a_callback_has_no_task(void **state)
{
    (void)state;
    in_child(&out, run_callback);
    expect_killed(&out, SIGABRT);
    expect_report(&out);
    expect_text(&out, "\ntask: none, in the worker's loop or a callback\n");
}

int main(void)
{
    setenv("WEFT_WORKERS", "1", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_rule_is_reported),
        cmocka_unit_test(no_worker_is_needed),
        cmocka_unit_test(an_overflow_is_reported),
        cmocka_unit_test(several_overflows_are_reported_once),
        cmocka_unit_test(other_faults_are_not_reported),
        cmocka_unit_test(other_faults_are_reported_if_asked_for),
        cmocka_unit_test(the_environment_can_ask_for_it),
        cmocka_unit_test(the_programs_handler_comes_next),
        cmocka_unit_test(the_program_may_go_on),
        cmocka_unit_test(a_signal_that_was_sent_is_not_reported),
        cmocka_unit_test(handlers_are_put_back),
        cmocka_unit_test(a_damaged_task_does_not_end_it),
        cmocka_unit_test(what_is_rare_is_always_kept),
        cmocka_unit_test(in_debug_mode_all_is_kept),
        cmocka_unit_test(the_ring_keeps_the_last),
        cmocka_unit_test(a_callback_has_no_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
