/* SPDX-License-Identifier: MIT */
/*
 * Workers that look whether others are stuck read their rings; and a worker that ended gave its
 * ring's memory back while another one looked. Later it waited until nobody looked, which those who
 * looked all the time never let it see.
 *
 * A thread here looks all the time, as one more worker would, on a clock that runs so that each
 * look is due.
 */
#include "task_help.h"

#include "runtime_object.h"

#define ROUNDS 200

static shared_int is_over;
static shared_int looks;

static void *look_at_all(void *arg)
{
    weft_runtime *rt = arg;
    static struct worker outsider;
    outsider = (struct worker){.rt = rt, .index = UINT32_MAX};
    int64_t now_ns = weft_now();
    while (atomic_load_seq_cst(&is_over) == 0) {
        now_ns += WEFT_MS;
        /* ORD none: a hint, which makes the next look due. */
        atomic_store_relaxed(&rt->rescue.watch_until_ns, INT64_MAX);
        (void)weft__rescue_look(&outsider, now_ns);
        atomic_add_seq_cst(&looks, 1);
    }
    return NULL;
}

static void a_worker_that_ends_is_left_alone(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 4};
    for (size_t round = 0; test_goes_on(round, test_scaled(ROUNDS, ROUNDS / 4)); round++) {
        weft_runtime *rt = create_runtime(&options);
        atomic_store_seq_cst(&is_over, 0);
        atomic_store_seq_cst(&looks, 0);
        pthread_t looker = start_thread(look_at_all, rt);
        spin_until(&looks, 3);
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        atomic_store_seq_cst(&is_over, 1);
        pthread_join(looker, NULL);
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_that_ends_is_left_alone),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
