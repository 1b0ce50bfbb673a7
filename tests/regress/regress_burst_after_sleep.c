/* SPDX-License-Identifier: MIT */
/*
 * What a worker slept counted as the cost of the items before, so the next 30 turns had four items
 * each: a burst of operations was handed to the kernel four by four.
 */
#include "task_help.h"

#include <fcntl.h>

#define TASKS 200
#define BURSTS 30

static int null_fd;
static int64_t first_burst_ns;
static uint64_t fewest_enters;

/* All tasks begin an operation at the same time, after their worker has slept. */
static void *operate_in_bursts(void *arg)
{
    char byte = 0;
    for (int i = 0; i < BURSTS; i++) {
        CHECK_EQUAL(weft_sleep_until(first_burst_ns + i * 5 * WEFT_MS), 0);
        CHECK_EQUAL(weft_write(null_fd, &byte, 1), 1);
    }
    return arg;
}

static uint64_t ring_enters(void)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &m), 0);
    return m.ring_enters;
}

static void *body(void *arg)
{
    weft_task *t[TASKS];
    first_burst_ns = weft_now() + 10 * WEFT_MS;
    for (int i = 0; i < TASKS; i++) {
        t[i] = weft_spawn(operate_in_bursts, arg);
    }
    fewest_enters = UINT64_MAX;
    uint64_t before = ring_enters();
    for (int i = 0; i < BURSTS; i++) {
        /* Between two bursts; a busy machine spoils some of them. */
        CHECK_EQUAL(weft_sleep_until(first_burst_ns + i * 5 * WEFT_MS + 3 * WEFT_MS), 0);
        uint64_t now = ring_enters();
        fewest_enters = i > 0 && now - before < fewest_enters ? now - before : fewest_enters;
        before = now;
    }
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return arg;
}

static void a_burst_takes_few_turns(void **state)
{
    (void)state;
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(null_fd >= 0);
    run_case_alone(body, NULL);
    close(null_fd);
    /* Sanitizers make an item so dear that a turn has few in any case. */
    assert_true(fewest_enters <= test_scaled(TASKS / 16, 10 * TASKS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_takes_few_turns),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
