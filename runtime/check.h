/* SPDX-License-Identifier: MIT */
/*
 * Checks that stay on in every build. A broken one is a defect of the caller or ours: it ends the
 * process with a report (crash.h): the rule, the place, the task, and what to do about it.
 */
#ifndef WEFT_CHECK_H
#define WEFT_CHECK_H

#include <stddef.h>

#define WEFT_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEFT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define WEFT_NOINLINE __attribute__((noinline))

/* The object that holds a member, from the member's address. */
#define WEFT_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Write a crash report about a broken rule, and abort. `advice` may be NULL. */
__attribute__((noreturn, cold)) void weft__check_failed(const char *rule, const char *advice,
                                                        const char *file, int line);

/* One condition, no side effects. */
#define WEFT_ASSERT(rule) \
    do { \
        if (WEFT_UNLIKELY(!(rule))) { \
            weft__check_failed(#rule, (const char *)0, __FILE__, __LINE__); \
        } \
    } while (0)

/* The same for a rule that the program, not the library, has broken: says what to do. */
#define WEFT_REQUIRE(rule, advice) \
    do { \
        if (WEFT_UNLIKELY(!(rule))) { \
            weft__check_failed(#rule, advice, __FILE__, __LINE__); \
        } \
    } while (0)

#endif
