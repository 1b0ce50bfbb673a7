/* SPDX-License-Identifier: MIT */
/*
 * A request that was acknowledged at once ended the wait that came after it.
 *
 * A canceller counts its request, then looks whether the task waits. A task that was running could
 * see the count, acknowledge it and go to sleep, or await a child, between the two: the canceller
 * found it waiting and ended that wait, or had the child end, though nothing was asked any more.
 */
#include "task_help.h"

enum { CANCELLERS = 2 };

struct game {
    weft_task *task;
    shared_int issued;
    shared_int is_over;
};

static void *cancel_often(void *arg)
{
    struct game *g = arg;
    while (atomic_load_seq_cst(&g->is_over) == 0) {
        CHECK(weft_cancel(g->task));
        atomic_add_seq_cst(&g->issued, 1);
        sched_yield();
    }
    return NULL;
}

static void *tell_requests(void *arg)
{
    int err = weft_sleep(WEFT_US);
    *(int *)arg = weft_cancelling();
    return err < 0 ? weft_fail(err) : NULL;
}

/* Acknowledge all there is, then wait; what fails the wait has to be there still. */
static int acknowledge_and_wait(void)
{
    int met = 0;
    int rounds = (int)test_scaled(60000, 5000);
    for (int round = 0; round < rounds; round++) {
        while (weft_cancelling() > 0) {
            weft_uncancel();
            met++;
        }
        int requests = 0;
        int err = 0;
        if (round % 2 == 0) {
            err = weft_sleep(WEFT_US);
        } else {
            err = weft_join(weft_spawn(tell_requests, &requests), NULL);
        }
        CHECK(err == 0 || err == -ECANCELED);
        CHECK(err == 0 || weft_cancelling() > 0);
        CHECK(requests == 0 || weft_cancelling() > 0);
    }
    return met;
}

static void *acknowledge_main(void *arg)
{
    struct game *g = arg;
    pthread_t thread[CANCELLERS];
    g->task = weft_self();
    for (int i = 0; i < CANCELLERS; i++) {
        thread[i] = start_thread(cancel_often, g);
    }
    int met = acknowledge_and_wait();
    atomic_store_seq_cst(&g->is_over, 1);
    for (int i = 0; i < CANCELLERS; i++) {
        pthread_join(thread[i], NULL);
    }
    while (weft_cancelling() > 0) {
        weft_uncancel();
        met++;
    }
    CHECK_EQUAL(met, atomic_load_seq_cst(&g->issued));
    return NULL;
}

static void an_acknowledged_request_ends_no_later_wait(void **state)
{
    (void)state;
    struct game g = {0};
    run_case(acknowledge_main, &g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acknowledged_request_ends_no_later_wait),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
