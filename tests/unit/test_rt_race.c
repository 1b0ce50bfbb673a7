/* SPDX-License-Identifier: MIT */
/*
 * Goal: a staggered race begins the next contender when the one before has failed or the delay is
 * over, and not otherwise; has one winner; waits for all; loses no result; can be called off.
 *
 * Method: where the delay matters, a simulation, on whose clock contenders take exact times. Else
 * events, on all workers.
 */
#include "task_help.h"

enum { MAX = 20, UNTOUCHED = 77 };

/* What a contender does: it takes its time and then ends like that. */
struct contender {
    int64_t takes_ns; /* WEFT_FOREVER: until it is cancelled */
    int error;        /* 0: it succeeds, also when it was cancelled */
    int64_t began_ns; /* -1: never */
    bool has_ended;
    int cancels;
    shared_int *gate; /* it waits for that first, whatever is asked of it */
};

static struct contender contenders[MAX];
static void *pointers[MAX];
static int errors[MAX];
static int64_t start_ns;
static shared_int dropped;

static void *contend(void *arg)
{
    struct contender *c = arg;
    c->began_ns = weft_now() - start_ns;
    if (weft_sleep(c->takes_ns) < 0 && c->error == 0 && c->takes_ns == WEFT_FOREVER) {
        c->error = -ECANCELED;
    }
    if (c->gate != NULL) {
        while (atomic_load_seq_cst(c->gate) == 0) {
            WEFT_SHIELD
            {
                CHECK_EQUAL(weft_yield(), 0);
            }
        }
    }
    c->cancels = weft_cancelling();
    c->has_ended = true;
    return c->error < 0 ? weft_fail(c->error) : arg;
}

static void drop(void *result)
{
    struct contender *c = result;
    CHECK(c->has_ended);
    atomic_add_seq_cst(&dropped, 1);
}

static struct weft_race race_of(size_t count, int64_t delay_ns)
{
    for (size_t i = 0; i < MAX; i++) {
        pointers[i] = &contenders[i];
        contenders[i].began_ns = -1;
        contenders[i].has_ended = false;
        contenders[i].cancels = 0;
        errors[i] = UNTOUCHED;
    }
    atomic_store_seq_cst(&dropped, 0);
    start_ns = weft_now();
    struct weft_race race = {
        .count = count,
        .fn = contend,
        .args = pointers,
        .delay_ns = delay_ns,
        .drop = drop,
        .errors = errors,
    };
    return race;
}

static int run_race(size_t count, int64_t delay_ns, void **result)
{
    struct weft_race race = race_of(count, delay_ns);
    int winner = weft_staggered_race(&race, result);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQUAL(contenders[i].has_ended, contenders[i].began_ns >= 0);
        CHECK_EQUAL(errors[i] == WEFT_RACE_NOT_BEGUN, contenders[i].began_ns < 0);
    }
    return winner;
}

static void run_simulated(weft_fn fn)
{
    struct weft_options options = {.workers = 1, .simulation = true, .seed = test_seed()};
    run_case_with(&options, fn, NULL);
}

#define MS WEFT_MS

/* --- when the next begins --------------------------------------------------------------------- */

static void *order_main(void *arg)
{
    void *result = NULL;
    contenders[0] = (struct contender){.takes_ns = 10 * MS};
    contenders[1] = (struct contender){.takes_ns = 10 * MS};
    CHECK_EQUAL(run_race(2, WEFT_FOREVER, &result), 0); /* nobody behind a winner */
    CHECK(result == &contenders[0]);
    CHECK_EQUAL(contenders[1].began_ns, -1);
    CHECK_EQUAL(run_race(2, 20 * MS, &result), 0);
    CHECK_EQUAL(contenders[1].began_ns, -1);

    contenders[0] = (struct contender){.takes_ns = 10 * MS, .error = -EIO};
    CHECK_EQUAL(run_race(2, WEFT_FOREVER, &result), 1); /* on failure */
    CHECK(result == &contenders[1]);
    CHECK_EQUAL(contenders[1].began_ns / MS, 10);
    CHECK_EQUAL(errors[0], -EIO);
    CHECK_EQUAL(errors[1], 0);

    /* The first fails when the second is under way: the third is due by the second. */
    contenders[0] = (struct contender){.takes_ns = 150 * MS, .error = -EIO};
    contenders[1] = (struct contender){.takes_ns = 500 * MS};
    contenders[2] = (struct contender){.takes_ns = 10 * MS, .error = -EPIPE};
    contenders[3] = (struct contender){.takes_ns = 10 * MS};
    CHECK_EQUAL(run_race(4, 100 * MS, &result), 3);
    CHECK_EQUAL(contenders[1].began_ns / MS, 100);
    CHECK_EQUAL(contenders[2].began_ns / MS, 200);
    CHECK_EQUAL(contenders[3].began_ns / MS, 210); /* on failure, before the delay */
    CHECK_EQUAL(errors[1], -ECANCELED); /* had it not been called off, it would have succeeded */
    CHECK_EQUAL(errors[2], -EPIPE);

    contenders[0] = (struct contender){.takes_ns = 30 * MS};
    contenders[1] = (struct contender){.takes_ns = 10 * MS};
    CHECK_EQUAL(run_race(3, 0, &result), 1); /* all at once */
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQUAL(contenders[i].began_ns, 0);
    }
    return arg;
}

static void item_104_the_next_begins_on_failure_or_after_the_delay(void **state)
{
    (void)state;
    run_simulated(order_main);
}

/* --- the outcomes ----------------------------------------------------------------------------- */

static void *errors_main(void *arg)
{
    contenders[0] = (struct contender){.takes_ns = WEFT_FOREVER};
    contenders[1] = (struct contender){.takes_ns = 10 * MS};
    contenders[2] = (struct contender){.takes_ns = 10 * MS};
    CHECK_EQUAL(run_race(3, 100 * MS, NULL), 1); /* the winner's value is dropped, too */
    CHECK_EQUAL(errors[0], -ECANCELED);
    CHECK_EQUAL(errors[1], 0);
    CHECK_EQUAL(errors[2], WEFT_RACE_NOT_BEGUN);
    CHECK_EQUAL(contenders[0].cancels, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&dropped), 1);
    return arg;
}

static void item_105_losers_have_been_cancelled_and_others_not_begun(void **state)
{
    (void)state;
    run_simulated(errors_main);
}

static void *all_fail_main(void *arg)
{
    void *result = arg;
    for (size_t i = 0; i < MAX; i++) { /* more than have their handles on the stack */
        contenders[i] = (struct contender){.error = -1 - (int)i};
    }
    CHECK_EQUAL(run_race(MAX, WEFT_FOREVER, &result), -1);
    for (size_t i = 0; i < MAX; i++) {
        CHECK_EQUAL(errors[i], -1 - (int)i);
    }
    CHECK_EQUAL(run_race(0, WEFT_FOREVER, &result), -ENODATA);
    CHECK(result == arg);
    CHECK_EQUAL(atomic_load_seq_cst(&dropped), 0);

    struct weft_race race = race_of(1, 0);
    race.reserved[3] = 1;
    CHECK_EQUAL(weft_staggered_race(&race, &result), -EINVAL);
    race = race_of(1, 0);
    race.fn = NULL;
    CHECK_EQUAL(weft_staggered_race(&race, &result), -EINVAL);
    CHECK_EQUAL(weft_staggered_race(NULL, &result), -EINVAL);
    CHECK_EQUAL(errors[0], UNTOUCHED);
    return arg;
}

static void item_106_without_a_winner_all_errors_are_returned(void **state)
{
    (void)state;
    run_case(all_fail_main, NULL);
    struct weft_race race = {.count = 1, .fn = contend};
    assert_int_equal(weft_staggered_race(&race, NULL), -EPERM);
}

/* All succeed, some although they were cancelled: one wins, each other result is dropped. */
static void *several_main(void *arg)
{
    for (int round = 0; round < 50; round++) {
        void *result = NULL;
        for (size_t i = 0; i < MAX; i++) {
            contenders[i] = (struct contender){.takes_ns = round % 2 == 0 ? 0 : 10 * WEFT_US};
        }
        int winner = run_race(MAX, 0, &result);
        CHECK(winner >= 0 && result == &contenders[winner]);
        CHECK_EQUAL(atomic_load_seq_cst(&dropped), MAX - 1);
        for (int i = 0; i < MAX; i++) {
            CHECK_EQUAL(errors[i], i == winner ? 0 : -ECANCELED);
        }
    }
    return arg;
}

static void item_107_of_several_that_succeed_at_once_one_wins(void **state)
{
    (void)state;
    run_case(several_main, NULL);
}

/* --- called off ------------------------------------------------------------------------------- */

static shared_int gate;
static int expected;

static void *called_off(void *arg)
{
    void *result = arg;
    CHECK_EQUAL(run_race(3, 0, &result), expected);
    CHECK(result == arg);
    CHECK_EQUAL(atomic_load_seq_cst(&dropped), 1); /* of the one that succeeded all the same */
    while (weft_cancelling() > 0) {
        (void)weft_uncancel();
    }
    return arg;
}

static void set_contenders(void)
{
    atomic_store_seq_cst(&gate, 0);
    contenders[0] = (struct contender){.takes_ns = WEFT_FOREVER, .gate = &gate};
    contenders[1] = (struct contender){.takes_ns = WEFT_MINUTE * 60, .error = -EIO};
    contenders[2] = (struct contender){.takes_ns = WEFT_MINUTE * 60};
}

static void await_cancel_of(size_t i)
{
    while (!contenders[i].has_ended) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

static void *cancel_main(void *arg)
{
    set_contenders();
    expected = -ECANCELED;
    weft_task *t = weft_spawn(called_off, NULL);
    CHECK_EQUAL(weft_sleep(MS), 0);
    weft_cancel(t);
    await_cancel_of(1);
    CHECK_EQUAL(weft_sleep(MS), 0);
    CHECK(!weft_done(t)); /* the first one takes its time */
    weft_cancel(t);       /* which is told again */
    CHECK_EQUAL(weft_sleep(MS), 0);
    atomic_store_seq_cst(&gate, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(contenders[0].cancels, 2);
    CHECK_EQUAL(contenders[1].cancels, 1);

    set_contenders();
    atomic_store_seq_cst(&gate, 1);
    expected = -ETIMEDOUT;
    struct weft_scope s;
    weft_scope_enter(&s, 10 * MS);
    (void)called_off(NULL);
    CHECK_EQUAL(weft_scope_exit(&s), -ETIMEDOUT);
    return arg;
}

static void item_108_a_cancel_ends_all_and_is_passed_on_again(void **state)
{
    (void)state;
    run_simulated(cancel_main);
}

static void *win_and_cancel(void *arg)
{
    void *result = NULL;
    contenders[0] = (struct contender){.takes_ns = 10 * MS};
    contenders[1] = (struct contender){.takes_ns = WEFT_FOREVER, .gate = &gate};
    atomic_store_seq_cst(&gate, 0);
    CHECK_EQUAL(run_race(2, 0, &result), 0);
    CHECK(result == &contenders[0]);
    CHECK_EQUAL(weft_sleep(1), -ECANCELED);
    return arg;
}

static void *late_cancel_main(void *arg)
{
    weft_task *t = weft_spawn(win_and_cancel, NULL);
    CHECK_EQUAL(weft_sleep(20 * MS), 0);
    weft_cancel(t);
    CHECK_EQUAL(weft_sleep(20 * MS), 0);
    atomic_store_seq_cst(&gate, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void a_cancel_after_the_win_is_left_for_the_next_wait(void **state)
{
    (void)state;
    run_simulated(late_cancel_main);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_104_the_next_begins_on_failure_or_after_the_delay),
        cmocka_unit_test(item_105_losers_have_been_cancelled_and_others_not_begun),
        cmocka_unit_test(item_106_without_a_winner_all_errors_are_returned),
        cmocka_unit_test(item_107_of_several_that_succeed_at_once_one_wins),
        cmocka_unit_test(item_108_a_cancel_ends_all_and_is_passed_on_again),
        cmocka_unit_test(a_cancel_after_the_win_is_left_for_the_next_wait),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
