/* SPDX-License-Identifier: MIT */
/* Timers of a worker: how many expire at a time, and when to wake up for those that come. */
#include "timers.h"

#include "test.h"

#define COUNT 10
#define START ((int64_t)1000000)

static struct deadline *expired[COUNT];
static unsigned expired_count;

static int64_t note(struct deadline *d, int64_t now_ns)
{
    (void)now_ns;
    expired[expired_count++] = d;
    return 0;
}

/* Arm so many, `gap_ns` after one another from START on. */
static void arm(struct timers *t, struct deadline *all, unsigned count, int64_t gap_ns)
{
    weft__timers_init(t);
    expired_count = 0;
    for (unsigned i = 0; i < count; i++) {
        all[i] = (struct deadline){.expire = note};
        assert_int_equal(weft__timers_arm(t, &all[i], START + i * gap_ns), 0);
    }
}

static void as_many_expire_as_may(void **state)
{
    (void)state;
    struct timers t;
    struct deadline all[COUNT];
    arm(&t, all, COUNT, 1);
    assert_int_equal(weft__timers_expire(&t, START + COUNT, 0), 0);
    assert_int_equal(weft__timers_expire(&t, START + COUNT, 4), 4);
    assert_int_equal(expired_count, 4);
    assert_int_equal(weft__timers_next(&t), START + 4);
    assert_true(weft__timers_disarm(&all[4]));
    assert_int_equal(weft__timers_expire(&t, START + 6, 4), 2);
    assert_int_equal(weft__timers_expire(&t, START + COUNT, 4), 3);
    for (unsigned i = 0; i < COUNT - 1; i++) {
        assert_ptr_equal(expired[i], &all[i < 4 ? i : i + 1]);
    }
    assert_int_equal(weft__timers_next(&t), INT64_MAX);
    weft__timers_fini(&t);
}

static void few_deadlines_are_kept_exactly(void **state)
{
    (void)state;
    struct timers t;
    struct deadline all[COUNT];
    arm(&t, all, 0, 0);
    assert_int_equal(weft__timers_wake_at(&t), INT64_MAX);
    weft__timers_fini(&t);
    arm(&t, all, TIMERS_BATCH_MIN - 1, 1);
    assert_int_equal(weft__timers_wake_at(&t), START);
    weft__timers_fini(&t);
    arm(&t, all, COUNT, TIMERS_BATCH_NS / (TIMERS_BATCH_MIN - 1) + 1);
    assert_int_equal(weft__timers_wake_at(&t), START);
    weft__timers_fini(&t);
}

static void many_deadlines_are_met_together(void **state)
{
    (void)state;
    struct timers t;
    struct deadline all[COUNT];
    arm(&t, all, COUNT, TIMERS_BATCH_NS / (TIMERS_BATCH_MIN - 1));
    assert_int_equal(weft__timers_wake_at(&t), START + TIMERS_BATCH_NS);
    weft__timers_fini(&t);
}

static void extreme_deadlines_do_not_overflow(void **state)
{
    (void)state;
    struct timers t;
    struct deadline all[COUNT];
    arm(&t, all, 0, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        all[i] = (struct deadline){.expire = note};
        assert_int_equal(weft__timers_arm(&t, &all[i], INT64_MAX - 1 - i), 0);
    }
    assert_int_equal(weft__timers_wake_at(&t), INT64_MAX - COUNT);
    struct deadline first = {.expire = note};
    assert_int_equal(weft__timers_arm(&t, &first, 1), 0);
    assert_int_equal(weft__timers_wake_at(&t), 1);
    weft__timers_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_expire_as_may),
        cmocka_unit_test(few_deadlines_are_kept_exactly),
        cmocka_unit_test(many_deadlines_are_met_together),
        cmocka_unit_test(extreme_deadlines_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
