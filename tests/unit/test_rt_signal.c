/* SPDX-License-Identifier: MIT */
/*
 * Goal: signals reach tasks and callbacks, each that was sent reaches somebody or is kept, and what
 * the process did before on a signal it does again when nobody wants it.
 *
 * Method: the process sends itself signals.
 */
#include "signal_help.h"

/* --- callbacks -------------------------------------------------------------------------------- */

static void *register_and_sleep(void *arg)
{
    struct calls c = {.event = WEFT_EVENT_INIT};
    int err = weft_local_create(&a_local);
    WEFT_ASSERT(err == 0);
    err = weft_local_set(a_local, arg);
    WEFT_ASSERT(err == 0);
    err = weft_on_signal(ONE, note_call, &c);
    WEFT_ASSERT(err == 0);
    for (int i = 1; i <= 3; i++) {
        c.local = NULL;
        weft_event_clear(&c.event);
        send_signal(ONE);
        err = weft_event_wait(&c.event); /* all workers sleep */
        WEFT_ASSERT(err == 0 && atomic_load_seq_cst(&c.count) == i);
        WEFT_ASSERT(c.signo == ONE && c.local == arg && c.sleep_error == -EPERM);
    }
    err = weft_on_signal_remove(ONE, note_call, &c);
    WEFT_ASSERT(err == 1);
    return arg;
}

static void item_303_a_handler_runs_as_a_callback_and_wakes_a_sleeping_runtime(void **state)
{
    int something;
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    assert_ptr_equal(run_on(rt, register_and_sleep, &something), &something);
    runtime_end(rt);
}

static void ignore(int signo, void *arg)
{
    (void)signo;
    (void)arg;
}

static void programs_handler(int signo)
{
    (void)signo;
}

static void *remove_again(void *arg)
{
    void (*before)(int) = action_of(ONE);
    WEFT_ASSERT(weft_on_signal_remove(ONE, ignore, NULL) == 0);
    WEFT_ASSERT(weft_on_signal(ONE, ignore, NULL) == 0);
    WEFT_ASSERT(weft_on_signal(ONE, ignore, NULL) == 0);
    WEFT_ASSERT(weft_on_signal(ONE, ignore, arg) == 0);
    WEFT_ASSERT(weft_on_signal(TWO, ignore, arg) == 0);
    WEFT_ASSERT(action_of(ONE) != before && action_of(TWO) != SIG_DFL);
    WEFT_ASSERT(weft_on_signal_remove(ONE, ignore, NULL) == 2);
    WEFT_ASSERT(action_of(ONE) != before);
    WEFT_ASSERT(weft_on_signal_remove(ONE, ignore, arg) == 1);
    WEFT_ASSERT(action_of(ONE) == before);
    WEFT_ASSERT(weft_on_signal_remove(ONE, ignore, arg) == 0);
    WEFT_ASSERT(action_of(TWO) != SIG_DFL);
    return arg; /* the close takes back TWO */
}

static void item_304_removing_restores_what_was_before_and_so_does_the_close(void **state)
{
    int something;
    (void)state;
    for (int i = 0; i < 3; i++) {
        void (*before)(int) = i == 0 ? SIG_DFL : i == 1 ? SIG_IGN : programs_handler;
        signal(ONE, before);
        weft_runtime *rt = runtime_make(NULL);
        (void)run_on(rt, remove_again, &something);
        assert_ptr_not_equal(action_of(TWO), SIG_DFL);
        runtime_end(rt);
        assert_ptr_equal(action_of(ONE), before);
        assert_ptr_equal(action_of(TWO), SIG_DFL);
    }
    signal(ONE, SIG_DFL);
}

static void *refused(void *arg)
{
    static const int none[] = {0,       -1,     65,     SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,
                               SIGFPE,  SIGILL, SIGTRAP, SIGSYS, SIGABRT, 32,      33};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        WEFT_ASSERT(weft_on_signal(none[i], ignore, NULL) == -EINVAL);
    }
    WEFT_ASSERT(weft_on_signal(ONE, NULL, NULL) == -EINVAL && action_of(ONE) == SIG_DFL);
    void (*kick)(int) = action_of(SIGURG);
    WEFT_ASSERT(weft_on_signal(SIGURG, ignore, NULL) == -EBUSY && action_of(SIGURG) == kick);
    sigset_t set = set_of(ONE, SIGKILL);
    WEFT_ASSERT(weft_signal_wait(&set) == -EINVAL && action_of(ONE) == SIG_DFL);
    sigemptyset(&set);
    WEFT_ASSERT(weft_signal_wait(&set) == -EINVAL && weft_signal_wait(NULL) == -EINVAL);
    WEFT_ASSERT(weft_signal_release(&set) == 0 && weft_signal_release(NULL) == 0);
    return arg;
}

static void item_305_what_cannot_be_caught_is_refused_and_nothing_changes(void **state)
{
    sigset_t set = set_of(ONE, 0);
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, refused, NULL);
    runtime_end(rt);
    assert_int_equal(weft_on_signal(ONE, ignore, NULL), -EPERM);
    assert_int_equal(weft_on_signal_remove(ONE, ignore, NULL), -EPERM);
    assert_int_equal(weft_signal_wait(&set), -EPERM);
    assert_int_equal(weft_signal_release(&set), -EPERM);
}

/* Sends itself the signal again while it is called; is never called beside itself. */
static void call_again(int signo, void *arg)
{
    struct calls *c = arg;
    WEFT_ASSERT(atomic_add_seq_cst(&c->running, 1) == 0);
    int count = atomic_add_seq_cst(&c->count, 1) + 1;
    if (count < 20) {
        send_signal(signo);
        /* Some stay so long that another worker has to deliver it, while this one is called. */
        int64_t until = weft_now() + (count % 5 == 0 ? 30 * WEFT_MS : WEFT_MS);
        while (weft_now() < until) {
            /* others may well be told of it meanwhile */
        }
    } else {
        weft_event_set(&c->event);
    }
    atomic_sub_seq_cst(&c->running, 1);
}

static void *one_at_a_time(void *arg)
{
    struct calls c = {.event = WEFT_EVENT_INIT};
    WEFT_ASSERT(weft_on_signal(ONE, call_again, &c) == 0);
    send_signal(ONE);
    WEFT_ASSERT(weft_event_wait(&c.event) == 0);
    WEFT_ASSERT(weft_on_signal_remove(ONE, call_again, &c) == 1);
    while (atomic_load_seq_cst(&c.running) != 0) {
        (void)weft_yield();
    }
    return arg;
}

static void a_callback_runs_once_at_a_time_and_misses_none(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, one_at_a_time, NULL);
    runtime_end(rt);
}

static void remove_myself(int signo, void *arg)
{
    struct calls *c = arg;
    WEFT_ASSERT(weft_on_signal_remove(signo, remove_myself, arg) == 1);
    atomic_add_seq_cst(&c->count, 1);
    weft_event_set(&c->event);
}

static void *removed_from_inside(void *arg)
{
    struct calls c = {.event = WEFT_EVENT_INIT};
    signal(ONE, SIG_IGN);
    WEFT_ASSERT(weft_on_signal(ONE, remove_myself, &c) == 0);
    send_signal(ONE);
    WEFT_ASSERT(weft_event_wait(&c.event) == 0);
    WEFT_ASSERT(action_of(ONE) == SIG_IGN);
    send_signal(ONE);
    await_signals(ONE); /* while it is ignored */
    WEFT_ASSERT(atomic_load_seq_cst(&c.count) == 1);
    signal(ONE, SIG_DFL);
    return arg;
}

static void a_callback_may_remove_itself(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, removed_from_inside, NULL);
    runtime_end(rt);
}

/* --- waits ------------------------------------------------------------------------------------ */

static void *wait_for_several(void *arg)
{
    signal(ONE, SIG_IGN);
    weft_task *one = spawn_waiter(ONE);
    weft_task *both = spawn_must(wait_task, value_of(ONE));
    send_signal(ONE);
    join_got(one, ONE);
    /* Whether the second was waiting by then or not: it has been told, or is by another one. */
    while (!weft_done(both)) {
        send_signal(ONE);
        (void)weft_yield();
    }
    join_got(both, ONE);
    await_signals(ONE); /* those that nobody waited for are not to come in the next test */
    release(ONE, 0);
    WEFT_ASSERT(action_of(ONE) == SIG_IGN);
    signal(ONE, SIG_DFL);
    return arg;
}

static void all_that_wait_are_told(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, wait_for_several, NULL);
    runtime_end(rt);
}

static void *keep_and_take(void *arg)
{
    weft_task *t = spawn_waiter(ONE);
    send_signal(ONE);
    join_got(t, ONE);
    send_signal(ONE); /* nobody waits */
    WEFT_ASSERT(wait_for_signal(TWO, ONE) == ONE);
    send_signal(TWO);
    WEFT_ASSERT(wait_for_signal(TWO, 0) == TWO);
    release(ONE, TWO);
    WEFT_ASSERT(action_of(ONE) == SIG_DFL && action_of(TWO) == SIG_DFL);
    return arg;
}

static void what_comes_while_nobody_waits_is_kept(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, keep_and_take, NULL);
    runtime_end(rt);
}

static void *cut_short(void *arg)
{
    weft_task *t = spawn_waiter(ONE);
    sigset_t set = set_of(ONE, TWO);
    while (weft_signal_release(&set) == 0) {
        (void)weft_yield(); /* it does not wait yet */
    }
    WEFT_ASSERT(weft_signal_release(&set) == -EBUSY);
    WEFT_ASSERT(weft_cancel_and_join(t, NULL) == -ECANCELED);
    int got = 0;
    WEFT_TIMEOUT(WEFT_MS) {
        got = wait_for_signal(ONE, TWO);
    }
    WEFT_ASSERT(got == -ETIMEDOUT && action_of(ONE) != SIG_DFL);
    send_signal(ONE);
    (void)weft_sleep(WEFT_MS);
    WEFT_ASSERT(weft_cancel(weft_self()));
    got = wait_for_signal(ONE, 0); /* kept, if it is there by now */
    WEFT_ASSERT(got == ONE || got == -ECANCELED);
    WEFT_ASSERT(wait_for_signal(TWO, 0) == -ECANCELED);
    WEFT_ASSERT(weft_uncancel() == 0);
    WEFT_ASSERT(got == ONE || wait_for_signal(ONE, 0) == ONE);
    return arg; /* the close gives both back */
}

static void a_wait_ends_as_any_other(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, cut_short, NULL);
    runtime_end(rt);
    assert_ptr_equal(action_of(ONE), SIG_DFL);
}

static void *cancel_beside_signals(void *arg)
{
    uint64_t random = test_seed();
    weft_task *first = spawn_waiter(ONE);
    send_signal(ONE);
    join_got(first, ONE);
    for (size_t i = 0; test_goes_on(i, test_scaled(500, 100)); i++) {
        weft_task *t = spawn_must(wait_task, value_of(ONE));
        for (uint64_t turns = test_random(&random) % 4; turns > 0; turns--) {
            (void)weft_yield();
        }
        bool is_first = test_random(&random) % 2 == 0;
        if (is_first) {
            send_signal(ONE);
        }
        (void)weft_cancel(t);
        if (!is_first) {
            send_signal(ONE);
        }
        int err = weft_join(t, NULL);
        WEFT_ASSERT(err == 0 || err == -ECANCELED);
        if (err < 0) {
            WEFT_ASSERT(wait_for_signal(ONE, 0) == ONE); /* not lost */
        }
    }
    return arg;
}

static void a_signal_beside_a_cancel_is_not_lost(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    (void)run_on(rt, cancel_beside_signals, NULL);
    runtime_end(rt);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_303_a_handler_runs_as_a_callback_and_wakes_a_sleeping_runtime),
        cmocka_unit_test(item_304_removing_restores_what_was_before_and_so_does_the_close),
        cmocka_unit_test(item_305_what_cannot_be_caught_is_refused_and_nothing_changes),
        cmocka_unit_test(a_callback_runs_once_at_a_time_and_misses_none),
        cmocka_unit_test(a_callback_may_remove_itself),
        cmocka_unit_test(all_that_wait_are_told),
        cmocka_unit_test(what_comes_while_nobody_waits_is_kept),
        cmocka_unit_test(a_wait_ends_as_any_other),
        cmocka_unit_test(a_signal_beside_a_cancel_is_not_lost),
    };
    begin_signals();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
