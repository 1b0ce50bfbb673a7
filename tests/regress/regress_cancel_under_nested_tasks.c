/* SPDX-License-Identifier: MIT */
/*
 * A task is cancelled from elsewhere while the tasks that are nested on it run, and begin to
 * wait. The request was passed up to them both by the canceller, who held the fiber, and by the
 * fiber, which looks for requests after it has announced its wait: a data race, and the innermost
 * task counted two requests for one.
 */
#include "task_help.h"

#define DEPTH 30

static shared_int turn; /* of one round: 1 asks for the cancel, 2 says that it has been made */
static shared_int is_over;
static _Atomic(weft_task *) outermost;

/* What is asked of the outermost task reaches this one, once. */
static void *wait_on_top(void *arg)
{
    (void)arg;
    atomic_store_seq_cst(&turn, 1);
    while (weft_sleep(WEFT_MINUTE) == 0) {
    }
    spin_until(&turn, 2);
    CHECK_EQUAL(weft_cancelling(), 1);
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_yield(), 0);
    return NULL;
}

static void *nest(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    weft_task *t = depth == 0 ? weft_spawn(wait_on_top, NULL)
                              : weft_spawn(nest, (void *)(depth - 1));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_cancelling(), 1);
    return NULL;
}

static void *cancel_when_asked(void *arg)
{
    uint64_t random = test_seed();
    while (atomic_load_seq_cst(&is_over) == 0) {
        if (atomic_load_seq_cst(&turn) != 1) {
            sched_yield();
            continue;
        }
        for (uint64_t i = test_random(&random) % 64; i > 0; i--) {
            __asm__ volatile("");
        }
        CHECK(weft_cancel(atomic_load_seq_cst(&outermost)));
        atomic_store_seq_cst(&turn, 2);
    }
    return arg;
}

static void *body(void *arg)
{
    struct weft_spawn_options held = {.held = true};
    for (size_t i = 0; test_goes_on(i, test_scaled(10000, 500)); i++) {
        atomic_store_seq_cst(&turn, 0);
        weft_task *t = weft_spawn_with(&held, nest, (void *)(intptr_t)DEPTH);
        atomic_store_seq_cst(&outermost, t);
        CHECK_EQUAL(weft_start(t), 0);
        CHECK_EQUAL(weft_join(t, NULL), 0);
    }
    return arg;
}

static void one_request_is_one(void **state)
{
    (void)state;
    pthread_t canceller = start_thread(cancel_when_asked, NULL);
    run_case(body, NULL);
    atomic_store_seq_cst(&is_over, 1);
    pthread_join(canceller, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_is_one),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
