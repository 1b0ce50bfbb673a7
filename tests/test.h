/* SPDX-License-Identifier: MIT */
/*
 * What every test includes: cmocka with the headers it needs before it, and the seed.
 *
 * A test file is a program of its own with a main that calls cmocka_run_group_tests; it is found by
 * its place (tests/<folder>/<name>.c), there is no list to edit. The seed comes from WEFT_TEST_SEED
 * or from the clock, and is printed, so that a failure can be repeated.
 */
#ifndef WEFT_TEST_H
#define WEFT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* The seed of this run; printed the first time. */
static inline uint64_t test_seed(void)
{
    static uint64_t seed;
    if (seed == 0) {
        const char *given = getenv("WEFT_TEST_SEED");
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        seed = given != NULL ? strtoull(given, NULL, 0)
                             : (uint64_t)t.tv_sec * 1000003u + (uint64_t)t.tv_nsec;
        seed += seed == 0;
        printf("seed: WEFT_TEST_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

/* The next number of a generator (splitmix64); *state may start anywhere. */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* GCC says by macros, clang by features, that a sanitizer is in the build. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif

/*
 * Whether a test that repeats itself to meet a rare moment goes on with this round, from 0 on: so
 * many times, but not for long on a machine where each sched_yield gives a time slice away.
 */
static inline bool test_goes_on(size_t round, size_t rounds)
{
    enum { ROUNDS_MIN = 10, SECONDS_MAX = 8 };

    static struct timespec begun;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    begun = round == 0 ? now : begun;
    return round < rounds && (round < ROUNDS_MIN || now.tv_sec - begun.tv_sec < SECONDS_MAX);
}

/* n, made smaller in the sanitizer builds, which are slow and limit fibers and memory. */
static inline size_t test_scaled(size_t n, size_t sanitized)
{
#ifdef TEST_SANITIZED
    (void)n;
    return sanitized;
#else
    (void)sanitized;
    return n;
#endif
}

#endif
