/* SPDX-License-Identifier: MIT */
/*
 * Goal: memory of idle stacks goes back after the time that was said, with one wake-up of one
 * worker, in bounded portions; what is in use keeps its contents; what went back reads as zeros.
 *
 * Method: one thread, caches for two imaginary workers, a clock that is a number here. Memory is
 * judged by /proc/self and by marks that the owners leave in the headers.
 */
#include "stack_fixture.h"

/* Give a cache `count` stacks that were used two pages deep, and take the marks off. */
static void burst(struct stack_cache *cache, struct stack **s, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        s[i] = get(cache, DEFAULT_CLASS);
        *mark_of(s[i]) = 7;
        *((volatile char *)weft__stack_top(s[i]) - 2 * page_bytes()) = 1;
    }
    for (size_t i = 0; i < count; i++) {
        stack_cache_put(cache, s[i]);
    }
}

/* Call decay as a worker does that looks for work in between; the time to wake up, or NEVER. */
static int64_t decay(struct stack_cache *cache, int64_t now_ns)
{
    int64_t due;
    do {
        due = weft__stack_cache_decay(cache, now_ns);
    } while (due <= now_ns);
    return due;
}

static void test_a_burst_goes_back_with_one_wake_up(void **state)
{
    (void)state;
    size_t count = test_scaled(20000, 2000);
    struct stack **s = calloc(count, sizeof(*s));
    struct stack_fixture f;
    fixture_init(&f, NULL);
    size_t before = rss_kib();
    burst(&f.cache[0], s, count);
    size_t full = rss_kib();
    assert_int_equal(decay(&f.cache[0], START), START + PERIOD);
    assert_in_range(counted(&f), count, count + 32);
    /* Another worker need not wake. */
    assert_int_equal(decay(&f.cache[1], START + 1), STACK_NEVER);
    assert_int_equal(decay(&f.cache[0], START + PERIOD / 2), START + PERIOD);
    assert_int_equal(decay(&f.cache[0], START + PERIOD), STACK_NEVER);
    assert_int_equal(counted(&f), f.cache[0].bin[DEFAULT_CLASS].keep);
#if !defined(WEFT_ASAN) && !defined(WEFT_TSAN)
    assert_true(full - before >= count * 2 * page_bytes() / 1024);
    assert_true(rss_kib() - before < 1024);
#endif
    (void)before;
    (void)full;
    /* What was given back is readable, zero, and comes back usable; and not as it was. */
    size_t zeros = 0;
    for (size_t i = 0; i < count; i++) {
        zeros += *mark_of(s[i]) == 0;
    }
    assert_true(zeros >= count - 8);
    burst(&f.cache[1], s, count);
    assert_int_equal(decay(&f.cache[0], START + 2 * PERIOD), START + 3 * PERIOD);
    assert_int_equal(decay(&f.cache[0], START + 3 * PERIOD), STACK_NEVER);
    fixture_fini(&f);
    free(s);
}

static void test_what_is_in_use_again_stays(void **state)
{
    (void)state;

    enum { COUNT = 600 };
    static struct stack *s[COUNT];
    struct stack_fixture f;
    fixture_init(&f, NULL);
    burst(&f.cache[0], s, COUNT);
    assert_int_equal(decay(&f.cache[0], START), START + PERIOD);
    for (int i = 0; i < 300; i++) {
        s[i] = get(&f.cache[0], DEFAULT_CLASS);
        *mark_of(s[i]) = 9;
    }
    assert_true(decay(&f.cache[0], START + PERIOD) >= START + 2 * PERIOD);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(*mark_of(s[i]), 9);
    }
    assert_in_range(counted(&f), 300, 300 + 64);
    /* Idle for less than a period when the time comes: kept until the next one. */
    for (int i = 0; i < 300; i++) {
        stack_cache_put(&f.cache[0], s[i]);
    }
    assert_int_equal(decay(&f.cache[0], START + 5 * PERIOD / 2), START + 7 * PERIOD / 2);
    assert_int_equal(*mark_of(s[0]), 9);
    assert_int_equal(decay(&f.cache[0], START + 7 * PERIOD / 2), STACK_NEVER);
    assert_int_equal(*mark_of(s[0]), 0);
    fixture_fini(&f);
}

static void test_memory_that_came_back_has_another_epoch(void **state)
{
    (void)state;
    struct stack_fixture f;
    struct stack *s[3];
    fixture_init(&f, NULL);
    burst(&f.cache[0], s, 3);
    uint32_t epoch = s[0]->epoch;
    struct stack *held = get(&f.cache[0], DEFAULT_CLASS); /* so that the slab is not renewed */
    for (int round = 0; round < 2; round++) {
        weft__stack_cache_fini(&f.cache[0]);
        weft__stack_pool_decay(&f.pool, START, true);
        assert_int_equal(counted(&f), round == 0 ? 1 : 0);
        weft__stack_cache_init(&f.cache[0], &f.pool);
        struct stack *again = get(&f.cache[0], DEFAULT_CLASS);
        assert_true(again->epoch > epoch);
        epoch = again->epoch;
        assert_true(write_is_fatal(again->low - 1));
        stack_cache_put(&f.cache[0], again);
        if (round == 0) {
            stack_cache_put(&f.cache[0], held);
        }
    }
    fixture_fini(&f);
}

static void test_decay_does_a_bounded_amount_at_a_time(void **state)
{
    (void)state;

    enum { COUNT = 4096 };
    static struct stack *s[COUNT];
    struct stack_fixture f;
    fixture_init(&f, NULL);
    for (int i = 0; i < COUNT; i++) {
        s[i] = get(&f.cache[0], DEFAULT_CLASS);
    }
    for (int i = 0; i < COUNT; i += 2) { /* no neighbours: the most calls */
        stack_cache_put(&f.cache[0], s[i]);
    }
    weft__stack_cache_fini(&f.cache[0]);
    assert_int_equal(weft__stack_cache_decay(&f.cache[0], START), START + PERIOD);
    size_t left = counted(&f);
    int64_t due;
    do {
        due = weft__stack_cache_decay(&f.cache[0], START + PERIOD);
        assert_in_range(left - counted(&f), 1, 64);
        left = counted(&f);
    } while (due <= START + PERIOD);
    assert_int_equal(due, STACK_NEVER);
    assert_int_equal(left, COUNT / 2);
    fixture_fini(&f);
}

static void test_decay_can_be_off(void **state)
{
    (void)state;
    const struct stack_options options = {.decay_ns = -1};
    struct stack *s[200];
    struct stack_fixture f;
    fixture_init(&f, &options);
    burst(&f.cache[0], s, 200);
    assert_int_equal(decay(&f.cache[0], START), STACK_NEVER);
    assert_int_equal(decay(&f.cache[0], START + 9 * PERIOD), STACK_NEVER);
    assert_in_range(counted(&f), 200, 232);
    fixture_fini(&f);
}

static void test_a_keeper_that_goes_leaves_the_duty(void **state)
{
    (void)state;
    struct stack *s[200];
    struct stack_fixture f;
    fixture_init(&f, NULL);
    burst(&f.cache[0], s, 200);
    assert_int_equal(decay(&f.cache[0], START), START + PERIOD);
    weft__stack_cache_fini(&f.cache[0]);
    assert_int_equal(decay(&f.cache[1], START + 1), START + PERIOD);
    assert_int_equal(decay(&f.cache[1], START + PERIOD), START + 2 * PERIOD);
    assert_int_equal(decay(&f.cache[1], START + 2 * PERIOD), STACK_NEVER);
    assert_int_equal(counted(&f), 0);
    fixture_fini(&f);
}

/* A worker that parks again soon keeps its surplus, but wakes once to hand it over. */
static void test_a_surplus_is_handed_over_once_a_period(void **state)
{
    (void)state;
    struct stack *s[60];
    struct stack_fixture f;
    fixture_init(&f, NULL);
    burst(&f.cache[0], s, 60);
    decay(&f.cache[0], START);
    burst(&f.cache[0], s, 60);
    assert_int_equal(decay(&f.cache[0], START + PERIOD / 2), START + PERIOD);
    assert_in_range(f.cache[0].bin[DEFAULT_CLASS].count, 9, 64);
    assert_int_equal(decay(&f.cache[0], START + PERIOD), START + 2 * PERIOD);
    assert_int_equal(f.cache[0].bin[DEFAULT_CLASS].count, 8);
    assert_int_equal(decay(&f.cache[0], START + 2 * PERIOD), STACK_NEVER);
    assert_int_equal(counted(&f), 8);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_goes_back_with_one_wake_up),
        cmocka_unit_test(test_what_is_in_use_again_stays),
        cmocka_unit_test(test_memory_that_came_back_has_another_epoch),
        cmocka_unit_test(test_decay_does_a_bounded_amount_at_a_time),
        cmocka_unit_test(test_decay_can_be_off),
        cmocka_unit_test(test_a_keeper_that_goes_leaves_the_duty),
        cmocka_unit_test(test_a_surplus_is_handed_over_once_a_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
