/* SPDX-License-Identifier: MIT */
/*
 * Goal: the statements of scope.h leave their scope on every way out, once, and nest.
 *
 * Method: after each way out the task's deadline is what it was before. Compiled with -Wshadow.
 */
#include "task_help.h"

#define HOUR (60 * WEFT_MINUTE)

static int evaluated;

static int64_t evaluate(int64_t for_ns)
{
    evaluated++;
    return for_ns;
}

static int leave_by_return(void)
{
    WEFT_TIMEOUT(HOUR) {
        CHECK(weft_deadline() != WEFT_FOREVER);
        return 1;
    }
    return 0;
}

static int leave_by_goto(void)
{
    WEFT_TIMEOUT(HOUR) {
        WEFT_TIMEOUT(HOUR) {
            goto out;
        }
    }
    return 0;
out:
    return 1;
}

static int leave_by_break(void)
{
    int turns = 0;
    for (int i = 0; i < 3; i++) {
        turns++;
        WEFT_TIMEOUT(HOUR) {
            if (i < 3) {
                break; /* out of the block alone */
            }
            turns = 100;
        }
        WEFT_SHIELD {
            if (i < 3) {
                continue; /* the same */
            }
            turns = 100;
        }
    }
    return turns;
}

static void *ways_main(void *arg)
{
    CHECK_EQUAL(leave_by_return(), 1);
    CHECK_EQUAL(weft_deadline(), WEFT_FOREVER);
    CHECK_EQUAL(leave_by_goto(), 1);
    CHECK_EQUAL(weft_deadline(), WEFT_FOREVER);
    CHECK_EQUAL(leave_by_break(), 3);
    CHECK_EQUAL(weft_deadline(), WEFT_FOREVER);
    WEFT_TIMEOUT(evaluate(HOUR)) {
        CHECK_EQUAL(evaluated, 1);
    }
    CHECK_EQUAL(evaluated, 1);
    CHECK_EQUAL(weft_deadline(), WEFT_FOREVER);
    return arg;
}

static void every_way_out_leaves_the_scope(void **state)
{
    (void)state;
    run_case(ways_main, NULL);
}

static void *nested_main(void *arg)
{
    int err = 0;
    struct weft_scope outer;
    struct weft_scope inner;
    WEFT_TIMEOUT_AS(outer, 0) {
        WEFT_TIMEOUT_AS(inner, HOUR) WEFT_SHIELD WEFT_TIMEOUT(HOUR) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
        WEFT_SHIELD {
            CHECK_EQUAL(weft_sleep(WEFT_US), 0);
            WEFT_TIMEOUT(WEFT_MS)
                err = weft_sleep(HOUR);
        }
    }
    CHECK_EQUAL(err, -ETIMEDOUT);
    CHECK(weft_scope_expired(&outer));
    CHECK_EQUAL(weft_scope_result(&outer), -ETIMEDOUT);
    CHECK(!weft_scope_expired(&inner));
    CHECK_EQUAL(weft_scope_result(&inner), 0);
    CHECK_EQUAL(weft_scope_error(), 0);

    WEFT_TIMEOUT_AS(outer, HOUR) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK(!weft_scope_expired(&outer));
    WEFT_TIMEOUT_AS(outer, 0) {
    }
    CHECK(weft_scope_expired(&outer));
    return arg;
}

static void statements_nest_and_can_be_asked_afterwards(void **state)
{
    (void)state;
    run_case(nested_main, NULL);
}

static void *clean_up_main(void *arg)
{
    int err = 0;
    struct weft_scope s;
    WEFT_TIMEOUT_AS(s, 0) {
        CHECK_EQUAL(weft_yield(), -ETIMEDOUT);
        err = -EIO; /* of clean-up */
    }
    CHECK_EQUAL(err, -EIO);
    CHECK_EQUAL(weft_scope_result(&s), -ETIMEDOUT);
    CHECK_EQUAL(weft_yield(), 0);
    return arg;
}

static void item_126_an_error_of_clean_up_stands_beside_the_timeout(void **state)
{
    (void)state;
    run_case(clean_up_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_out_leaves_the_scope),
        cmocka_unit_test(statements_nest_and_can_be_asked_afterwards),
        cmocka_unit_test(item_126_an_error_of_clean_up_stands_beside_the_timeout),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
