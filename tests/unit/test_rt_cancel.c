/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a cancel does to a task, wherever it is: it is a request that fails every wait until
 * it is acknowledged, ends nothing but those, and decides nothing of the outcome.
 *
 * Method: the cases hold for every order of canceller and cancelled, so that they run unchanged on
 * any number of workers; a short sleep makes the interesting order likely. How requests are counted
 * is in test_rt_cancel_count.c, awaiting in test_rt_cancel_await.c, races in stress_cancel.c.
 */
#include "task_help.h"

#include <sys/socket.h>

static void *give_back(void *arg)
{
    return arg;
}

/* --- before the start ------------------------------------------------------------------------- */

struct start {
    shared_int runs;
    int first;
    int second;
};

static void *run_cancelled(void *arg)
{
    struct start *s = arg;
    atomic_add_seq_cst(&s->runs, 1);
    s->first = weft_yield();
    s->second = weft_sleep(60 * WEFT_MINUTE);
    return s->second < 0 ? weft_fail(s->second) : NULL;
}

static void *before_start_main(void *arg)
{
    static const struct weft_spawn_options held = {.held = true};
    struct start s = {0, 0, 0};
    weft_task *t = weft_spawn_with(&held, run_cancelled, &s);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_start(t), 0);
    CHECK_EQUAL(weft_await(t, NULL), -ECANCELED);
    CHECK(weft_cancelled(t));
    CHECK_EQUAL(atomic_load_seq_cst(&s.runs), 1);
    CHECK_EQUAL(s.first, -ECANCELED);
    CHECK_EQUAL(s.second, -ECANCELED);
    weft_put(t);
    return arg;
}

static void item_28_a_task_cancelled_before_its_start_runs_and_its_waits_fail(void **state)
{
    (void)state;
    run_case(before_start_main, NULL);
}

static void *not_waiting_main(void *arg)
{
    int value;
    void *result = NULL;
    for (int i = 0; i < 100; i++) {
        weft_task *t = weft_spawn(give_back, &value);
        weft_cancel(t);
        CHECK_EQUAL(weft_await(t, &result), 0);
        CHECK(result == &value);
        CHECK(!weft_cancelled(t));
        weft_put(t);
    }
    return arg;
}

static void item_36_a_task_that_never_waits_does_not_notice(void **state)
{
    (void)state;
    run_case(not_waiting_main, NULL);
}

/* --- while it waits --------------------------------------------------------------------------- */

static void *sleep_long(void *arg)
{
    int64_t before = weft_now();
    int err = weft_sleep(WEFT_MINUTE);
    CHECK(weft_now() - before < WEFT_MINUTE);
    (void)arg;
    return err < 0 ? weft_fail(err) : NULL;
}

static void *sleep_for_ever(void *arg)
{
    int err = weft_sleep(WEFT_FOREVER);
    return err < 0 ? weft_fail(err) : arg;
}

static void *yield_for_ever(void *arg)
{
    int err = 0;
    while (err == 0) {
        err = weft_yield();
    }
    (void)arg;
    return weft_fail(err);
}

static int pair[2];

static void *receive(void *arg)
{
    char byte;
    ssize_t n = weft_recv(pair[0], &byte, 1, 0);
    return n < 0 ? weft_fail((int)n) : arg;
}

/* Waits that fail are what ends these; all of them at once, then one by one. */
static void *waits_main(void *arg)
{
    static const weft_fn waits[] = {sleep_long, sleep_for_ever, yield_for_ever, receive};
    enum { COUNT = sizeof waits / sizeof waits[0] };
    weft_task *t[COUNT * 4];
    for (int i = 0; i < COUNT * 4; i++) {
        t[i] = weft_spawn(waits[i % COUNT], NULL);
    }
    settle();
    for (int i = 0; i < COUNT * 4; i++) {
        CHECK(!weft_done(t[i]));
        CHECK(weft_cancel(t[i]));
        CHECK_EQUAL(weft_await(t[i], NULL), -ECANCELED);
        CHECK(weft_cancelled(t[i]));
        weft_put(t[i]);
    }
    return arg;
}

static void item_47_a_task_that_sleeps_yields_or_reads_ends_at_the_time_of_the_cancel(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    run_case(waits_main, NULL);
    close(pair[0]);
    close(pair[1]);
}

static void *receive_again_main(void *arg)
{
    char byte = 0;
    for (int i = 0; i < 50; i++) {
        weft_task *t = weft_spawn(receive, NULL);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_cancel_and_join(t, NULL), -ECANCELED);
        CHECK_EQUAL(weft_send(pair[1], "x", 1, 0), 1);
        CHECK_EQUAL(weft_recv(pair[0], &byte, 1, 0), 1); /* nobody else took it */
        CHECK_EQUAL(byte, 'x');
    }
    return arg;
}

static void item_48_after_a_cancelled_receive_the_socket_can_be_used(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    run_case(receive_again_main, NULL);
    close(pair[0]);
    close(pair[1]);
}

struct turn {
    shared_int is_cancelled;
    int waits;
};

static void *spin_then_wait(void *arg)
{
    struct turn *turn = arg;
    spin_until(&turn->is_cancelled, 1);
    for (int i = 0; i < turn->waits; i++) {
        CHECK_EQUAL(weft_yield(), -ECANCELED);
        CHECK_EQUAL(weft_sleep(0), -ECANCELED);
        CHECK_EQUAL(weft_sleep(WEFT_US), -ECANCELED);
        CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
        CHECK_EQUAL(weft_sleep_until(0), -ECANCELED);
        CHECK_EQUAL(weft_wait_fd(pair[0], POLLOUT), -ECANCELED);
        CHECK_EQUAL(weft_send(pair[0], "x", 1, 0), -ECANCELED);
        CHECK_EQUAL(weft_recv(pair[0], &(char){0}, 1, 0), -ECANCELED);
        CHECK_EQUAL(weft_scope_error(), -ECANCELED);
        CHECK_EQUAL(weft_cancelling(), 1);
    }
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_scope_error(), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    CHECK_EQUAL(weft_send(pair[0], "x", 1, 0), 1);
    return arg;
}

struct cancel_order {
    weft_task *t;
    shared_int *told; /* raised after the cancel */
};

static void *cancel_it(void *arg)
{
    struct cancel_order *order = arg;
    CHECK(weft_cancel(order->t));
    atomic_store_seq_cst(order->told, 1);
    return NULL;
}

static void *level_main(void *arg)
{
    struct turn turn = {0, 100};
    weft_task *t = weft_spawn(spin_then_wait, &turn);
    struct cancel_order order = {t, &turn.is_cancelled};
    pthread_t thread = start_thread(cancel_it, &order); /* works beside a worker that is held up */
    void *result = NULL;
    CHECK_EQUAL(weft_join(t, &result), 0);
    CHECK(result == &turn);
    pthread_join(thread, NULL);
    return arg;
}

static void every_wait_fails_until_the_cancel_is_acknowledged(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    run_case(level_main, NULL);
    close(pair[0]);
    close(pair[1]);
}

static void *await_what_is_done_main(void *arg)
{
    weft_task *t = weft_spawn(give_back, arg);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    return arg;
}

static void to_await_what_is_done_is_no_wait(void **state)
{
    (void)state;
    run_case(await_what_is_done_main, NULL);
}

static void *ready_main(void *arg)
{
    weft_task *self = weft_self();
    shared_int told = 0;
    struct cancel_order order = {self, &told};
    weft_task *t = weft_spawn(cancel_it, &order);
    while (atomic_load_seq_cst(&told) == 0) {
        int err = weft_yield(); /* the cancel comes while we are queued, not waiting for anything */
        CHECK(err == 0 || err == -ECANCELED);
    }
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_cancelling(), 1);
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void item_38_a_cancel_of_a_task_that_could_run_meets_its_next_wait(void **state)
{
    (void)state;
    run_case(ready_main, NULL);
}

/* --- the outcome ------------------------------------------------------------------------------ */

static void *finished_main(void *arg)
{
    void *result = NULL;
    weft_task *t = weft_spawn(give_back, &result);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK(!weft_cancel(t));
    CHECK(!weft_cancelled(t));
    CHECK_EQUAL(weft_result(t, &result), 0);
    CHECK(result == &result);
    CHECK_EQUAL(weft_cancel_and_join(t, &result), 0);

    t = weft_spawn(sleep_long, NULL);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_await(t, NULL), -ECANCELED);
    CHECK(!weft_cancel(t));
    CHECK(weft_cancelled(t));
    CHECK_EQUAL(weft_cancel_and_join(t, NULL), -ECANCELED);
    return arg;
}

static void item_29_a_cancel_after_the_end_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    run_case(finished_main, NULL);
}

struct stubborn {
    shared_int is_waiting;
    shared_int may_end;
};

static void *note_cancel_and_stay(void *arg)
{
    struct stubborn *s = arg;
    atomic_store_seq_cst(&s->is_waiting, 1);
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    atomic_store_seq_cst(&s->is_waiting, 2);
    CHECK_EQUAL(weft_uncancel(), 0);
    yield_until(&s->may_end, 1);
    return arg;
}

static void *request_main(void *arg)
{
    struct stubborn s = {0, 0};
    weft_task *t = weft_spawn(note_cancel_and_stay, &s);
    yield_until(&s.is_waiting, 1);
    CHECK(weft_cancel(t));
    yield_until(&s.is_waiting, 2);
    CHECK(!weft_done(t));
    CHECK(!weft_cancelled(t));
    CHECK_EQUAL(weft_result(t, NULL), -EINPROGRESS);
    atomic_store_seq_cst(&s.may_end, 1);
    void *result = NULL;
    CHECK_EQUAL(weft_await(t, &result), 0);
    CHECK(result == &s);
    CHECK(!weft_cancelled(t));
    weft_put(t);
    return arg;
}

static void item_30_33_a_cancel_is_a_request_and_the_function_decides(void **state)
{
    (void)state;
    run_case(request_main, NULL);
}

static void *give_up_with_value(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    return arg;
}

static void *give_up_with_error(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    (void)arg;
    return weft_fail(-EPIPE);
}

static void *any_outcome_main(void *arg)
{
    void *result = NULL;
    weft_task *t = weft_spawn(give_up_with_value, &result);
    CHECK_EQUAL(weft_cancel_and_join(t, &result), 0);
    CHECK(result == &result);
    CHECK_EQUAL(weft_cancel_and_join(weft_spawn(give_up_with_error, NULL), &result), -EPIPE);
    CHECK(result == &result);
    CHECK_EQUAL(weft_cancel_and_join(weft_spawn(sleep_long, NULL), &result), -ECANCELED);
    CHECK(result == &result);
    return arg;
}

static void cancel_and_join_gives_the_outcome_whatever_it_is(void **state)
{
    (void)state;
    run_case(any_outcome_main, NULL);
}

/* Two whose waits end in one turn of the worker: who runs first cancels the other, now ready. */
struct winner {
    weft_task *other;
    int fd; /* -1: sleeps until wakes_at */
    int64_t wakes_at;
    ssize_t won;
    int next_wait;
};

static void *win_and_cancel_other(void *arg)
{
    struct winner *w = arg;
    char byte;
    w->won = w->fd < 0 ? weft_sleep_until(w->wakes_at) : weft_recv(w->fd, &byte, 1, 0);
    weft_cancel(w->other);
    w->next_wait = weft_yield();
    return arg;
}

static void run_winners(int fd0, int fd1, ssize_t want)
{
    static const struct weft_spawn_options held = {.held = true};
    int64_t wakes_at = weft_now() + 20 * WEFT_MS;
    struct winner w[2] = {{.fd = fd0, .wakes_at = wakes_at}, {.fd = fd1, .wakes_at = wakes_at}};
    weft_task *t[2];
    for (int i = 0; i < 2; i++) {
        t[i] = weft_spawn_with(&held, win_and_cancel_other, &w[i]);
        w[1 - i].other = t[i];
    }
    CHECK_EQUAL(weft_start(t[0]), 0);
    CHECK_EQUAL(weft_start(t[1]), 0);
    settle(); /* both wait */
    /* Else one of them may have come too late to sleep. */
    bool is_one_turn = fd0 >= 0 || weft_now() < wakes_at;
    if (fd0 >= 0) {
        CHECK_EQUAL(write(fd0, "x", 1) + write(fd1, "x", 1), 2); /* each is the other's peer */
    }
    CHECK_EQUAL(weft_await(t[0], NULL), 0);
    CHECK_EQUAL(weft_await(t[1], NULL), 0);
    if (is_one_turn) {
        CHECK_EQUAL(w[0].won, want);
        CHECK_EQUAL(w[1].won, want);
        CHECK_EQUAL((w[0].next_wait < 0) + (w[1].next_wait < 0), 1);
    }
    weft_put(t[0]);
    weft_put(t[1]);
}

static void *win_main(void *arg)
{
    for (int i = 0; i < 10; i++) {
        run_winners(-1, -1, 0);
        run_winners(pair[0], pair[1], 1);
    }
    return arg;
}

static void item_46_what_a_wait_has_won_is_kept_and_the_next_one_fails(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    run_case_alone(win_main, NULL);
    close(pair[0]);
    close(pair[1]);
}

/* --- oneself ---------------------------------------------------------------------------------- */

static void *cancel_self_and_wait(void *arg)
{
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    return arg;
}

static void *cancel_self_and_return(void *arg)
{
    CHECK(weft_cancel(weft_self()));
    return arg;
}

static void *self_main(void *arg)
{
    void *result = NULL;
    CHECK_EQUAL(weft_join(weft_spawn(cancel_self_and_wait, &result), &result), 0);
    CHECK(result == &result);
    result = NULL;
    weft_task *t = weft_spawn(cancel_self_and_return, &result);
    CHECK_EQUAL(weft_await(t, &result), 0);
    CHECK(result == &result);
    CHECK(!weft_cancelled(t));
    weft_put(t);
    CHECK_EQUAL(weft_cancelling(), 0);
    return arg;
}

static void item_35_a_task_may_cancel_itself(void **state)
{
    (void)state;
    run_case(self_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_28_a_task_cancelled_before_its_start_runs_and_its_waits_fail),
        cmocka_unit_test(item_36_a_task_that_never_waits_does_not_notice),
        cmocka_unit_test(item_47_a_task_that_sleeps_yields_or_reads_ends_at_the_time_of_the_cancel),
        cmocka_unit_test(item_48_after_a_cancelled_receive_the_socket_can_be_used),
        cmocka_unit_test(every_wait_fails_until_the_cancel_is_acknowledged),
        cmocka_unit_test(to_await_what_is_done_is_no_wait),
        cmocka_unit_test(item_38_a_cancel_of_a_task_that_could_run_meets_its_next_wait),
        cmocka_unit_test(item_29_a_cancel_after_the_end_is_refused_and_changes_nothing),
        cmocka_unit_test(item_30_33_a_cancel_is_a_request_and_the_function_decides),
        cmocka_unit_test(cancel_and_join_gives_the_outcome_whatever_it_is),
        cmocka_unit_test(item_46_what_a_wait_has_won_is_kept_and_the_next_one_fails),
        cmocka_unit_test(item_35_a_task_may_cancel_itself),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
