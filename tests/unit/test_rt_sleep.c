/* SPDX-License-Identifier: MIT */
/*
 * Goal: sleeping and yielding: never early, in order, ended at once by a cancel, whatever number is
 * given; and no work done for it while nothing is due.
 *
 * Method: bounds on time are one-sided (a sleep may be late, on a busy machine by much), but for
 * sleeps of an hour that must end at once. Where the order is the promise there is one worker.
 */
#include "task_help.h"

/* --- never early ------------------------------------------------------------------------------ */

struct nap {
    int64_t ns;
};

static void *sleep_so_long(void *arg)
{
    const struct nap *nap = arg;
    int64_t before = weft_now();
    CHECK_EQUAL(weft_sleep(nap->ns), 0);
    CHECK(weft_now() - before >= nap->ns);
    int64_t until = weft_now() + nap->ns;
    CHECK_EQUAL(weft_sleep_until(until), 0);
    CHECK(weft_now() >= until);
    return arg;
}

static void *naps_main(void *arg)
{
    uint64_t random = test_seed();
    size_t count = test_scaled(5000, 500);
    struct nap *naps = malloc(count * sizeof *naps);
    weft_task **t = malloc(count * sizeof(weft_task *));
    CHECK(naps != NULL && t != NULL);
    for (size_t i = 0; i < count; i++) {
        naps[i].ns = (int64_t)(test_random(&random) % (uint64_t)(20 * WEFT_MS));
        t[i] = weft_spawn(sleep_so_long, &naps[i]);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    free(t);
    free(naps);
    return arg;
}

static void item_54_a_sleep_is_never_early(void **state)
{
    (void)state;
    run_case(naps_main, NULL);
}

static void *halves_main(void *arg)
{
    int64_t start = weft_now();
    CHECK_EQUAL(weft_sleep_until(start + WEFT_MS), 0);
    CHECK_EQUAL(weft_sleep_until(start + 2 * WEFT_MS), 0);
    CHECK(weft_now() >= start + 2 * WEFT_MS);
    return arg;
}

static void item_52_absolute_sleeps_add_up(void **state)
{
    (void)state;
    run_case(halves_main, NULL);
}

static void *clock_main(void *arg)
{
    int64_t last = *(int64_t *)arg;
    for (int i = 0; i < 1000; i++) {
        int64_t now = weft_now();
        CHECK(now >= last);
        last = now;
        if (i % 100 == 0) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    *(int64_t *)arg = last;
    return NULL;
}

static void the_clock_is_one_inside_and_outside(void **state)
{
    (void)state;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t now = weft_now();
    assert_true(now >= t.tv_sec * WEFT_SECOND + t.tv_nsec);
    run_case(clock_main, &now);
    assert_true(weft_now() >= now);
    clock_gettime(CLOCK_MONOTONIC, &t);
    assert_true(t.tv_sec * WEFT_SECOND + t.tv_nsec >= now);
}

/* --- order, on one worker --------------------------------------------------------------------- */

#ifdef TEST_SANITIZED
enum { SLEEPERS = 100 };
#else
enum { SLEEPERS = 500 };
#endif

/* All start together, when they have their stacks, so that none is late for its deadline. */
struct order {
    bool may_begin;
    int64_t began_ns; /* the last one */
    int count;
    int seen[SLEEPERS];
};

struct sleeper {
    struct order *order;
    int number;
    int64_t for_ns; /* since the common start */
    int64_t until;
};

static void *sleep_and_take_place(void *arg)
{
    struct sleeper *s = arg;
    while (!s->order->may_begin) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    s->order->began_ns = weft_now();
    CHECK_EQUAL(weft_sleep_until(s->until), 0);
    s->order->seen[s->order->count++] = s->number;
    return NULL;
}

/* Run the sleepers; order tells in which order they woke. False: some were too late to sleep. */
static bool run_sleepers(struct sleeper *s, int count, struct order *order, int64_t lead_ns)
{
    weft_task *t[SLEEPERS];
    int64_t first = INT64_MAX;
    *order = (struct order){0};
    for (int i = 0; i < count; i++) {
        s[i].order = order;
        s[i].number = i;
        t[i] = weft_spawn(sleep_and_take_place, &s[i]);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    int64_t start = weft_now() + lead_ns;
    for (int i = 0; i < count; i++) {
        s[i].until = start + s[i].for_ns;
        first = s[i].until < first ? s[i].until : first;
    }
    order->may_begin = true;
    for (int i = 0; i < count; i++) {
        while (!weft_done(t[i])) { /* a join would start them in another order */
            CHECK_EQUAL(weft_yield(), 0);
        }
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    CHECK_EQUAL(order->count, count);
    return order->began_ns < first;
}

/* A round in which a sleeper was late shows nothing; another follows with more time. */
static void run_sleepers_in_time(struct sleeper *s, int count, struct order *order)
{
    int64_t lead_ns = 5 * WEFT_MS;
    while (!run_sleepers(s, count, order, lead_ns)) {
        lead_ns *= 2;
    }
}

static void *equal_main(void *arg)
{
    struct sleeper *s = arg;
    struct order order;
    for (int round = 0; round < 5; round++) {
        run_sleepers_in_time(s, SLEEPERS, &order);
        for (int i = 0; i < SLEEPERS; i++) {
            CHECK_EQUAL(order.seen[i], i);
        }
    }
    return NULL;
}

static void item_57_equal_deadlines_wake_in_the_order_in_which_the_sleeps_began(void **state)
{
    (void)state;
    static struct sleeper s[SLEEPERS];
    run_case_alone(equal_main, s);
}

static void *shuffled_main(void *arg)
{
    struct sleeper *s = arg;
    struct order order;
    uint64_t random = test_seed();
    for (int i = 0; i < SLEEPERS; i++) {
        s[i].for_ns = (int64_t)(test_random(&random) % 100) * 20 * WEFT_US;
    }
    run_sleepers_in_time(s, SLEEPERS, &order);
    for (int i = 1; i < SLEEPERS; i++) {
        const struct sleeper *a = &s[order.seen[i - 1]];
        const struct sleeper *b = &s[order.seen[i]];
        CHECK(a->until < b->until || (a->until == b->until && a->number < b->number));
    }
    return NULL;
}

static void sleeps_end_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    static struct sleeper s[SLEEPERS];
    run_case_alone(shuffled_main, s);
}

/* Returns false when the machine was too busy for all to begin before the first was due. */
static bool late_in_time(struct sleeper *s, int64_t ahead_ns)
{
    struct order order = {.may_begin = true};
    weft_task *t[10];
    int64_t start = weft_now() + ahead_ns;
    for (int i = 0; i < 10; i++) {
        s[i] = (struct sleeper){&order, i, 0, start - i * 100 * WEFT_US};
        t[i] = weft_spawn(sleep_and_take_place, &s[i]);
    }
    CHECK_EQUAL(weft_yield(), 0); /* they begin to sleep */
    bool is_in_time = weft_now() < start - WEFT_MS;
    while (weft_now() < start + WEFT_MS) {
        /* and all come to be due while the worker is busy */
    }
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    for (int i = 0; is_in_time && i < 10; i++) {
        CHECK_EQUAL(order.seen[i], 9 - i);
    }
    return is_in_time;
}

static void *late_main(void *arg)
{
    int64_t ahead_ns = 10 * WEFT_MS;
    while (!late_in_time(arg, ahead_ns)) {
        ahead_ns *= 2;
    }
    return NULL;
}

static void item_56_what_is_overdue_wakes_the_most_overdue_first(void **state)
{
    (void)state;
    static struct sleeper s[10];
    run_case_alone(late_main, s);
}

/* --- giving up the turn ----------------------------------------------------------------------- */

struct round {
    int count;
    int seen[64];
};

struct player {
    struct round *round;
    int number;
    int (*give_up_turn)(void);
};

static int by_yield(void)
{
    return weft_yield();
}

static int by_zero(void)
{
    return weft_sleep(0);
}

static int by_negative(void)
{
    return weft_sleep(-WEFT_SECOND);
}

static int by_minimum(void)
{
    return weft_sleep(INT64_MIN);
}

static int by_past(void)
{
    return weft_sleep_until(weft_now() - WEFT_SECOND);
}

static int by_far_past(void)
{
    return weft_sleep_until(INT64_MIN);
}

static void *play(void *arg)
{
    struct player *p = arg;
    for (int i = 0; i < 10; i++) {
        p->round->seen[p->round->count++] = p->number;
        CHECK_EQUAL(p->give_up_turn(), 0);
    }
    return NULL;
}

static void *turns_main(void *arg)
{
    static int (*const ways[])(void) = {by_yield,   by_zero, by_negative,
                                        by_minimum, by_past, by_far_past};
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        struct round round = {0};
        struct player p[3];
        weft_task *t[3];
        for (int i = 0; i < 3; i++) {
            p[i] = (struct player){&round, i, ways[w]};
            t[i] = weft_spawn(play, &p[i]);
        }
        while (round.count < 30) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        for (int i = 0; i < 30; i++) {
            CHECK_EQUAL(round.seen[i], i % 3);
        }
        for (int i = 0; i < 3; i++) {
            CHECK_EQUAL(weft_join(t[i], NULL), 0);
        }
    }
    return arg;
}

static void item_51_a_yield_or_a_sleep_of_nothing_gives_up_the_turn_once(void **state)
{
    (void)state;
    run_case_alone(turns_main, NULL);
}

static void *alone_main(void *arg)
{
    for (int i = 0; i < 1000; i++) { /* nobody to give the turn to */
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_sleep(0), 0);
    }
    return arg;
}

static void a_task_that_is_alone_may_yield(void **state)
{
    (void)state;
    run_case(alone_main, NULL);
}

/* --- cancelled -------------------------------------------------------------------------------- */

struct long_sleep {
    int64_t ns;
    bool is_absolute;
};

static void *sleep_too_long(void *arg)
{
    const struct long_sleep *l = arg;
    int err = l->is_absolute ? weft_sleep_until(l->ns) : weft_sleep(l->ns);
    return err < 0 ? weft_fail(err) : NULL;
}

static void *long_main(void *arg)
{
    static const struct long_sleep sleeps[] = {
        {60 * WEFT_MINUTE, false}, {WEFT_FOREVER, false},    {WEFT_FOREVER - 1, false},
        {WEFT_FOREVER, true},      {WEFT_FOREVER - 1, true}, {WEFT_FOREVER / 2, false},
    };
    enum { COUNT = sizeof sleeps / sizeof sleeps[0] };
    weft_task *t[COUNT];
    for (int i = 0; i < COUNT; i++) {
        t[i] = weft_spawn(sleep_too_long, (void *)(uintptr_t)&sleeps[i]);
    }
    settle();
    for (int i = 0; i < COUNT; i++) {
        CHECK(!weft_done(t[i]));
        CHECK_EQUAL(weft_cancel_and_join(t[i], NULL), -ECANCELED);
    }
    return arg;
}

static void the_longest_sleep_ends_at_once_when_cancelled(void **state)
{
    (void)state;
    run_case(long_main, NULL);
}

static void *sleep_again(void *arg)
{
    for (int i = 0; i < 20; i++) {
        int64_t before = weft_now();
        CHECK_EQUAL(weft_sleep(60 * WEFT_MINUTE), -ECANCELED);
        CHECK_EQUAL(weft_uncancel(), 0);
        CHECK_EQUAL(weft_sleep(WEFT_US), 0); /* the timer that was given up has left no trace */
        CHECK(weft_now() - before < 60 * WEFT_MINUTE);
        atomic_add_seq_cst((shared_int *)arg, 1);
    }
    return arg;
}

static void *again_main(void *arg)
{
    shared_int rounds = 0;
    weft_task *t = weft_spawn(sleep_again, &rounds);
    for (int i = 0; i < 20; i++) {
        CHECK(weft_cancel(t));
        yield_until(&rounds, i + 1);
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void a_cancelled_sleep_can_be_followed_by_another(void **state)
{
    (void)state;
    run_case(again_main, NULL);
}

/* Cancels by the thousand must leave nothing in the timers: one that is due later still works. */
static void *many_cancelled_main(void *arg)
{
    size_t count = test_scaled(20000, 1000);
    static const struct long_sleep hour = {60 * WEFT_MINUTE, false};
    struct nap nap = {30 * WEFT_MS};
    weft_task *last = weft_spawn(sleep_so_long, &nap);
    for (size_t i = 0; i < count; i++) {
        weft_task *t = weft_spawn(sleep_too_long, (void *)(uintptr_t)&hour);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_cancel_and_join(t, NULL), -ECANCELED);
    }
    CHECK_EQUAL(weft_join(last, NULL), 0);
    return arg;
}

static void cancelled_sleeps_leave_the_others_alone(void **state)
{
    (void)state;
    run_case(many_cancelled_main, NULL);
}

/* --- cost ------------------------------------------------------------------------------------- */

static void *short_sleeps_main(void *arg)
{
    struct weft_metrics before, after;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &before), 0);
    for (int i = 0; i < 50; i++) {
        CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    }
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &after), 0);
    CHECK(after.ring_enters - before.ring_enters <= 50 * 4);
    return arg;
}

static void item_55_sleeps_below_the_resolution_do_not_spin_in_the_kernel(void **state)
{
    (void)state;
    run_case_alone(short_sleeps_main, NULL);
}

static void *idle_main(void *arg)
{
    struct weft_metrics before, after;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &before), 0);
    CHECK_EQUAL(weft_sleep(50 * WEFT_MS), 0);
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &after), 0);
    CHECK(after.parks - before.parks <= 20);
    CHECK(after.ring_enters - before.ring_enters <= 50);
    return arg;
}

static void while_nothing_is_due_nobody_ticks(void **state)
{
    (void)state;
    run_case_alone(idle_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_54_a_sleep_is_never_early),
        cmocka_unit_test(item_52_absolute_sleeps_add_up),
        cmocka_unit_test(the_clock_is_one_inside_and_outside),
        cmocka_unit_test(item_57_equal_deadlines_wake_in_the_order_in_which_the_sleeps_began),
        cmocka_unit_test(sleeps_end_in_the_order_of_their_deadlines),
        cmocka_unit_test(item_56_what_is_overdue_wakes_the_most_overdue_first),
        cmocka_unit_test(item_51_a_yield_or_a_sleep_of_nothing_gives_up_the_turn_once),
        cmocka_unit_test(a_task_that_is_alone_may_yield),
        cmocka_unit_test(the_longest_sleep_ends_at_once_when_cancelled),
        cmocka_unit_test(a_cancelled_sleep_can_be_followed_by_another),
        cmocka_unit_test(cancelled_sleeps_leave_the_others_alone),
        cmocka_unit_test(item_55_sleeps_below_the_resolution_do_not_spin_in_the_kernel),
        cmocka_unit_test(while_nothing_is_due_nobody_ticks),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
