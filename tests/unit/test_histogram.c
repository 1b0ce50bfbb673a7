/* SPDX-License-Identifier: MIT */
/*
 * The load generator's histogram against the plain truth: the same values, sorted.
 *
 * Percentiles may be off by the width of a bucket, 1/128 of the value, upwards only; the maximum
 * and the count are exact. Values are drawn evenly over the powers of two, so that every octave is
 * used.
 */
#include "test.h"

#include <math.h>
#include <string.h>

#include "../../tools/load/histogram.c"

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The value at a percentile, by its definition. */
static uint64_t sorted_percentile(const uint64_t *sorted, size_t n, double percent)
{
    double rank = ceil((double)n * percent / 100.0);
    return sorted[rank < 1 ? 0 : (size_t)rank - 1];
}

static void assert_percentiles(const struct histogram *h, const uint64_t *sorted, size_t n)
{
    static const double percents[] = {0, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100};
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        uint64_t want = sorted_percentile(sorted, n, percents[i]);
        uint64_t got = histogram_percentile(h, percents[i]);
        if (got < want || got > want + want / HISTOGRAM_SUB) {
            fail_msg("p%g of %zu values: %llu, sorted says %llu", percents[i], n,
                     (unsigned long long)got, (unsigned long long)want);
        }
    }
}

static uint64_t random_value(uint64_t *state)
{
    return test_random(state) >> (64 - 1 - test_random(state) % HISTOGRAM_VALUE_BITS);
}

static void test_empty(void **state)
{
    static struct histogram h;
    (void)state;
    assert_int_equal(histogram_count(&h), 0);
    assert_int_equal(histogram_max(&h), 0);
    assert_int_equal(histogram_percentile(&h, 50), 0);
    assert_true(histogram_mean(&h) <= 0);
}

static void test_buckets_have_no_gap(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t end = bucket_end(i);
        assert_int_equal(bucket_index(end), i);
        if (i + 1 < HISTOGRAM_BUCKETS) {
            assert_int_equal(bucket_index(end + 1), i + 1);
        } else {
            assert_int_equal(end, HISTOGRAM_MAX_NS);
        }
    }
}

static void test_small_values_are_exact(void **state)
{
    static struct histogram h;
    (void)state;
    for (uint64_t ns = 0; ns < 100; ns++) {
        histogram_record(&h, ns);
    }
    for (int percent = 1; percent <= 100; percent++) {
        assert_int_equal(histogram_percentile(&h, percent), percent - 1);
    }
    assert_int_equal(histogram_max(&h), 99);
}

static void test_percentiles_agree_with_sorting(void **state)
{
    static struct histogram h;
    static uint64_t values[20000];
    (void)state;
    uint64_t seed = test_seed();
    for (size_t n = 1; n <= 20000; n = n * 3 + 1) {
        memset(&h, 0, sizeof h);
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            values[i] = random_value(&seed);
            sum += (double)values[i];
            histogram_record(&h, values[i]);
        }
        qsort(values, n, sizeof *values, compare);
        assert_int_equal(histogram_count(&h), n);
        assert_int_equal(histogram_max(&h), values[n - 1]);
        assert_percentiles(&h, values, n);
        assert_true(fabs(histogram_mean(&h) * (double)n - sum) <= sum / HISTOGRAM_SUB + 1);
    }
}

static void test_merge_is_recording_both(void **state)
{
    static struct histogram parts[3];
    static struct histogram whole;
    static struct histogram merged;
    (void)state;
    uint64_t seed = test_seed();
    for (size_t i = 0; i < 10000; i++) {
        uint64_t ns = random_value(&seed);
        histogram_record(&parts[i % 3], ns);
        histogram_record(&whole, ns);
    }
    for (size_t i = 0; i < 3; i++) {
        histogram_merge(&merged, &parts[i]);
    }
    assert_memory_equal(&merged, &whole, sizeof whole);
}

static void test_too_large_counts_as_largest(void **state)
{
    static struct histogram h;
    (void)state;
    histogram_record(&h, UINT64_MAX);
    assert_int_equal(histogram_max(&h), HISTOGRAM_MAX_NS);
    assert_int_equal(histogram_percentile(&h, 50), HISTOGRAM_MAX_NS);
    assert_true(HISTOGRAM_MAX_NS > UINT64_C(1000) * 1000 * 1000 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_buckets_have_no_gap),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_percentiles_agree_with_sorting),
        cmocka_unit_test(test_merge_is_recording_both),
        cmocka_unit_test(test_too_large_counts_as_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
