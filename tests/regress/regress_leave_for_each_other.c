/* SPDX-License-Identifier: MIT */
/*
 * Two fibers on two workers, each woken by the other before it has left its stack, as by a task
 * that waits on a condition and unlocks the mutex that the one who notifies it waits for. Each
 * worker is on one and has the other as its next: both waited, on their stacks, for the other to
 * leave.
 */
#include "task_help.h"

#include "park.h"

struct side {
    struct fiber *fiber;
    uint64_t ticket;
};

static struct side first;
static struct side second;
static shared_int step;

static void announce(struct side *side)
{
    side->fiber = weft__fiber_current();
    side->ticket = weft__wait_begin(side->fiber, WAIT_FIRM, NULL);
}

static void *first_waits(void *arg)
{
    announce(&first);
    atomic_store_seq_cst(&step, 1);
    spin_until(&step, 2);
    CHECK(weft__wake(second.fiber, second.ticket));
    atomic_store_seq_cst(&step, 3);
    weft__park(first.fiber);
    return arg;
}

static void *second_waits(void *arg)
{
    spin_until(&step, 1);
    CHECK(weft__wake(first.fiber, first.ticket));
    announce(&second);
    atomic_store_seq_cst(&step, 2);
    spin_until(&step, 3);
    weft__park(second.fiber);
    return arg;
}

static void *body(void *arg)
{
    for (size_t i = 0; i < test_scaled(100, 50); i++) {
        atomic_store_seq_cst(&step, 0);
        weft_task *a = weft_spawn(first_waits, NULL);
        weft_task *b = weft_spawn(second_waits, NULL);
        while (!weft_done(a) || !weft_done(b)) {
            settle(); /* an await could run one of them here */
        }
        CHECK_EQUAL(weft_join(a, NULL), 0);
        CHECK_EQUAL(weft_join(b, NULL), 0);
    }
    return arg;
}

static void both_go_on(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    if (weft_runtime_workers(rt) > 1) {
        CHECK_EQUAL(weft_runtime_run(rt, body, NULL, NULL), 0);
    }
    finish_runtime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_go_on),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
