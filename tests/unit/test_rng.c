/* SPDX-License-Identifier: MIT */
/* The generator: the same seed gives the same numbers, others do not, and none is preferred. */
#include "rng.h"

#include "test.h"

static void seed_decides_the_stream(void **state)
{
    (void)state;
    struct rng a;
    struct rng b;
    struct rng shifted;
    rng_init(&a, 7);
    rng_init(&b, 7);
    rng_init(&shifted, 7 + 0x9e3779b97f4a7c15u);
    (void)rng_next(&a);
    (void)rng_next(&b);
    for (int i = 0; i < 100; i++) {
        uint64_t next = rng_next(&a);
        assert_true(next == rng_next(&b));
        assert_true(next != rng_next(&shifted));
    }
}

static void below_is_below_and_even(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 2, 3, 7, 10, 100, UINT32_MAX};
    struct rng r;
    rng_init(&r, test_seed());
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        uint32_t n = limits[i];
        unsigned lower_half = 0;
        for (unsigned k = 0; k < 100000; k++) {
            uint32_t x = rng_below(&r, n);
            assert_true(x < n);
            lower_half += x < n / 2;
        }
        /* Six deviations of a fair coin are below one percent of the throws. */
        double expected = 100000.0 * (n / 2) / n;
        assert_true(lower_half > expected - 1000 && lower_half < expected + 1000);
    }
}

static void every_value_comes(void **state)
{
    (void)state;
    struct rng r;
    unsigned counts[13] = {0};
    rng_init(&r, test_seed());
    for (unsigned i = 0; i < 13000; i++) {
        counts[rng_below(&r, 13)]++;
    }
    for (unsigned i = 0; i < 13; i++) {
        assert_true(counts[i] > 750 && counts[i] < 1250);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seed_decides_the_stream),
        cmocka_unit_test(below_is_below_and_even),
        cmocka_unit_test(every_value_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
