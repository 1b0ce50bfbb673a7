/* SPDX-License-Identifier: MIT */
/*
 * Calls that block, in a simulation: they are made at once, in the order of the seed; what would
 * never go on is refused.
 */
#include "sim_help.h"

#include <weft/blocking.h>

#define CALLS 10

static int order[3 * CALLS];
static int order_count;

static void *job_notes(void *arg)
{
    order[order_count++] = (int)(intptr_t)arg;
    return arg;
}

static void *call_ten(void *arg)
{
    for (int i = 0; i < CALLS; i++) {
        void *got = NULL;
        if (i % 2 == 0) {
            CHECK_EQUAL(weft_run_blocking(job_notes, arg, &got), 0);
        } else {
            weft_future *f = weft_submit_blocking(NULL, job_notes, arg);
            CHECK_EQUAL(weft_join(f, &got), 0);
        }
        CHECK(got == arg);
    }
    return NULL;
}

static void *three_call(void *arg)
{
    weft_task *t[3];
    order_count = 0;
    for (int i = 0; i < 3; i++) {
        t[i] = weft_spawn(call_ten, (void *)(intptr_t)(i + 1));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return arg;
}

static void jobs_run_in_the_order_of_the_seed(void **state)
{
    (void)state;
    int before[3 * CALLS], first[3 * CALLS];
    unsigned others = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        CHECK(sim_run(seed, three_call, NULL));
        assert_int_equal(order_count, 3 * CALLS);
        memcpy(before, order, sizeof order);
        CHECK(sim_run(seed, three_call, NULL));
        assert_memory_equal(before, order, sizeof order);
        if (seed == 1) {
            memcpy(first, order, sizeof order);
        }
        others += memcmp(first, order, sizeof order) != 0;
    }
    assert_true(others > 0);
}

static shared_int notes;

static void *note(void *arg)
{
    atomic_add_seq_cst(&notes, 1);
    return arg;
}

static void *job_waits_for_task(void *arg)
{
    weft_runtime *rt = arg;
    weft_task *t;
    CHECK_EQUAL(weft_runtime_spawn(rt, note, NULL, &t), 0);
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), -EDEADLK);
    CHECK_EQUAL(weft_runtime_run(rt, note, NULL, NULL), -EBUSY);
    return t;
}

static void *wait_for_job(void *rt)
{
    void *t;
    CHECK_EQUAL(weft_run_blocking(job_waits_for_task, rt, &t), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return NULL;
}

static void a_job_for_which_all_stands_still_does_not_wait_for_a_task(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct weft_options options = {.simulation = true, .seed = seed};
        weft_runtime *rt = create_runtime(&options);
        atomic_store_seq_cst(&notes, 0);
        CHECK_EQUAL(weft_runtime_run(rt, wait_for_job, rt, NULL), 0);
        assert_int_equal(atomic_load_seq_cst(&notes), 1);
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    sim_begin(argv[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_the_order_of_the_seed),
        cmocka_unit_test(a_job_for_which_all_stands_still_does_not_wait_for_a_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
