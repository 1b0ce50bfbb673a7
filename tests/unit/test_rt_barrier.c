/* SPDX-License-Identifier: MIT */
/* The barrier of tasks: full rounds, one after the other; cancel, reset, abort. */
#include "task_help.h"

static struct weft_barrier barrier;
static shared_int through;

static void begin(int parties)
{
    CHECK_EQUAL(weft_barrier_init(&barrier, parties), 0);
    atomic_store_seq_cst(&through, 0);
}

struct each {
    int rounds;
    int got; /* in the last round */
};

static void *wait_here(void *arg)
{
    struct each *e = arg;
    for (int i = 0; i < e->rounds; i++) {
        e->got = weft_barrier_wait(&barrier);
        atomic_add_seq_cst(&through, 1);
    }
    return NULL;
}

/* In a task: let others run until so many wait. */
static void await_waiting(int count)
{
    while (weft_barrier_waiting(&barrier) != count) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

static void *one_party(void *arg)
{
    begin(1);
    CHECK_EQUAL(weft_barrier_wait(&barrier), 0);
    CHECK_EQUAL(weft_barrier_wait(&barrier), 0);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_barrier_wait(&barrier), 0); /* there is nobody to wait for */
    CHECK_EQUAL(weft_uncancel(), 0);
    struct weft_barrier zeroed = {0, NULL, 0, 0};
    CHECK_EQUAL(weft_barrier_wait(&zeroed), -EINVAL);
    return arg;
}

static void item_193_parties(void **state)
{
    (void)state;
    struct weft_barrier b = WEFT_BARRIER_INIT(3);
    assert_int_equal(weft_barrier_init(&b, 0), -EINVAL);
    assert_int_equal(weft_barrier_init(&b, -1), -EINVAL);
    assert_int_equal(b.parties, 3);
    assert_int_equal(weft_barrier_wait(&b), -EPERM);
    run_case(one_party, NULL);
}

static void *numbers(void *arg)
{
    enum { PARTIES = 5 };

    struct each each[PARTIES];
    weft_task *tasks[PARTIES];
    unsigned seen = 0;
    begin(PARTIES);
    for (int i = 0; i < PARTIES; i++) {
        each[i] = (struct each){1, -1};
        tasks[i] = i < PARTIES - 1 ? weft_spawn(wait_here, &each[i]) : NULL;
    }
    await_waiting(PARTIES - 1);
    CHECK_EQUAL(atomic_load_seq_cst(&through), 0);
    CHECK_EQUAL(weft_barrier_wait(&barrier), PARTIES - 1);
    CHECK_EQUAL(weft_barrier_waiting(&barrier), 0); /* also while they are on their way out */
    for (int i = 0; i < PARTIES - 1; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK(each[i].got >= 0 && each[i].got < PARTIES - 1);
        CHECK(arg == NULL || each[i].got == i);
        seen |= 1u << each[i].got;
    }
    CHECK_EQUAL(seen, (1u << (PARTIES - 1)) - 1);
    return NULL;
}

static void item_194_196_each_has_its_number(void **state)
{
    (void)state;
    run_case_alone(numbers, &barrier); /* in their order */
    run_case(numbers, NULL);
}

static void *rounds(void *arg)
{
    enum { PARTIES = 3, ROUNDS = 50 };

    struct each each[PARTIES - 1];
    weft_task *tasks[PARTIES - 1];
    begin(PARTIES);
    for (int i = 0; i < PARTIES - 1; i++) {
        each[i] = (struct each){ROUNDS, -1};
        tasks[i] = weft_spawn(wait_here, &each[i]);
    }
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(weft_barrier_wait(&barrier) >= 0);
        int count = atomic_load_seq_cst(&through); /* nobody can be two rounds ahead, or behind */
        CHECK(count >= i * (PARTIES - 1) && count <= (i + 1) * (PARTIES - 1));
    }
    for (int i = 0; i < PARTIES - 1; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK(each[i].got >= 0);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&through), ROUNDS * (PARTIES - 1));
    return arg;
}

static void item_195_round_after_round(void **state)
{
    (void)state;
    run_case(rounds, NULL);
}

static void *cancel_one(void *arg)
{
    struct each each[2] = {{1, -1}, {1, -1}};
    begin(3);
    weft_task *first = weft_spawn(wait_here, &each[0]);
    await_waiting(1);
    weft_task *second = weft_spawn(wait_here, &each[1]);
    await_waiting(2);
    CHECK(weft_cancel(first));
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(each[0].got, -ECANCELED);
    CHECK_EQUAL(weft_barrier_waiting(&barrier), 1);
    CHECK(!weft_barrier_is_broken(&barrier));
    each[0].got = -1;
    first = weft_spawn(wait_here, &each[0]); /* takes its place */
    await_waiting(2);
    CHECK_EQUAL(weft_barrier_wait(&barrier), 2);
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(weft_join(second, NULL), 0);
    CHECK_EQUAL(each[0].got + each[1].got, 1);
    return arg;
}

static void item_197_a_cancelled_party_just_leaves(void **state)
{
    (void)state;
    run_case(cancel_one, NULL);
}

/* The last one comes while a cancelled one has not yet left: the round is not full. */
static void *cancelled_in_the_queue(void *arg)
{
    struct each each[3] = {{1, -1}, {1, -1}, {1, -1}};
    weft_task *tasks[3];
    begin(3);
    for (int i = 0; i < 2; i++) {
        tasks[i] = weft_spawn(wait_here, &each[i]);
        await_waiting(i + 1);
    }
    tasks[2] = weft_spawn(wait_here, &each[2]);
    CHECK(weft_cancel(tasks[1]));
    /* On one worker the cancelled one has not run yet; the first is told to come again. */
    int number = weft_barrier_wait(&barrier);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    CHECK_EQUAL(each[1].got, -ECANCELED);
    CHECK_EQUAL(number + each[0].got + each[2].got, 3);
    CHECK(number != each[0].got && number != each[2].got && each[0].got != each[2].got);
    return arg;
}

static void a_round_is_not_full_with_a_cancelled_one(void **state)
{
    (void)state;
    run_case_alone(cancelled_in_the_queue, NULL);
}

static void *reset(void *arg)
{
    struct each each[2] = {{1, -1}, {1, -1}};
    weft_task *tasks[2];
    begin(3);
    weft_barrier_reset(&barrier); /* nothing to do */
    for (int i = 0; i < 2; i++) {
        tasks[i] = weft_spawn(wait_here, &each[i]);
    }
    await_waiting(2);
    weft_barrier_reset(&barrier);
    CHECK(!weft_barrier_is_broken(&barrier));
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK_EQUAL(each[i].got, -EPIPE);
        tasks[i] = weft_spawn(wait_here, &each[i]);
    }
    CHECK(weft_barrier_wait(&barrier) >= 0); /* it is as new */
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        CHECK(each[i].got >= 0);
    }
    return arg;
}

static void item_198_reset(void **state)
{
    (void)state;
    run_case(reset, NULL);
}

static void *reset_here(void *arg)
{
    weft_barrier_reset(&barrier);
    return arg;
}

/* One that is told to come again has waited all the time: a reset before it does is for it, too. */
static void *reset_in_between(void *arg)
{
    struct each each[2] = {{1, -1}, {1, -1}};
    weft_task *tasks[2];
    begin(3);
    for (int i = 0; i < 2; i++) {
        tasks[i] = weft_spawn(wait_here, &each[i]);
        await_waiting(i + 1);
    }
    weft_task *resetter = weft_spawn(reset_here, NULL);
    CHECK(weft_cancel(tasks[1]));
    /* On one worker the cancelled one has not run yet; the resetter comes before the first. */
    CHECK_EQUAL(weft_barrier_wait(&barrier), -EPIPE);
    CHECK_EQUAL(weft_join(resetter, NULL), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    CHECK_EQUAL(each[0].got, -EPIPE);
    CHECK_EQUAL(each[1].got, -ECANCELED);
    CHECK_EQUAL(weft_barrier_waiting(&barrier), 0);
    return arg;
}

static void a_reset_is_for_those_who_come_again(void **state)
{
    (void)state;
    run_case_alone(reset_in_between, NULL);
}

/* Those who were let go have their number whatever comes; the next round is turned out. */
static void *reset_behind(void *arg)
{
    struct each each[2] = {{1, -1}, {1, -1}};
    begin(2);
    weft_task *first = weft_spawn(wait_here, &each[0]);
    await_waiting(1);
    CHECK_EQUAL(weft_barrier_wait(&barrier), 1);
    weft_task *second = weft_spawn(wait_here, &each[1]);
    await_waiting(1);
    weft_barrier_reset(&barrier);
    CHECK_EQUAL(weft_join(first, NULL), 0);
    CHECK_EQUAL(weft_join(second, NULL), 0);
    CHECK_EQUAL(each[0].got, 0);
    CHECK_EQUAL(each[1].got, -EPIPE);
    return arg;
}

static void item_199_reset_between_rounds(void **state)
{
    (void)state;
    run_case(reset_behind, NULL);
}

static void *abort_all(void *arg)
{
    struct each each = {1, -1};
    begin(3);
    weft_task *t = weft_spawn(wait_here, &each);
    await_waiting(1);
    weft_barrier_abort(&barrier);
    CHECK(weft_barrier_is_broken(&barrier));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(each.got, -EPIPE);
    CHECK_EQUAL(weft_barrier_wait(&barrier), -EPIPE);
    weft_barrier_abort(&barrier);
    weft_barrier_reset(&barrier);
    CHECK(!weft_barrier_is_broken(&barrier));
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_barrier_wait(&barrier), -ECANCELED);
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_barrier_waiting(&barrier), 0);
    return arg;
}

static void item_200_abort(void **state)
{
    (void)state;
    run_case(abort_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_193_parties),
        cmocka_unit_test(item_194_196_each_has_its_number),
        cmocka_unit_test(item_195_round_after_round),
        cmocka_unit_test(item_197_a_cancelled_party_just_leaves),
        cmocka_unit_test(a_round_is_not_full_with_a_cancelled_one),
        cmocka_unit_test(item_198_reset),
        cmocka_unit_test(a_reset_is_for_those_who_come_again),
        cmocka_unit_test(item_199_reset_between_rounds),
        cmocka_unit_test(item_200_abort),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
