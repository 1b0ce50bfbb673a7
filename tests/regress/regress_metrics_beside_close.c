/* SPDX-License-Identifier: MIT */
/*
 * A close freed the pollers while a thread that had asked for the metrics was still reading their
 * counters; and when they were gone, what they had counted was missing from the figures. A close
 * also waited until for once nobody was reading, which several threads could keep up for minutes.
 */
#include "task_help.h"

#define ROUNDS 50
#define READERS 4

struct reader {
    weft_runtime *rt;
    shared_int rounds;
    shared_int is_over;
};

/* Every figure but that of the tasks that live and the stacks that are there only grows. */
static void check_grown(const struct weft_metrics *before, const struct weft_metrics *now)
{
    CHECK_EQUAL(now->workers, before->workers);
    CHECK(now->tasks_spawned >= before->tasks_spawned);
    CHECK(now->switches >= before->switches);
    CHECK(now->polls >= before->polls);
    CHECK(now->parks >= before->parks);
    CHECK(now->ring_enters >= before->ring_enters);
    CHECK(now->sqes >= before->sqes);
    CHECK(now->cqes >= before->cqes);
}

static void *read_metrics(void *arg)
{
    struct reader *r = arg;
    struct weft_metrics before, now;
    CHECK_EQUAL(weft_metrics(r->rt, &before), 0);
    while (atomic_load_seq_cst(&r->is_over) == 0) {
        CHECK_EQUAL(weft_metrics(r->rt, &now), 0);
        check_grown(&before, &now);
        before = now;
        atomic_add_seq_cst(&r->rounds, 1);
        sched_yield();
    }
    CHECK_EQUAL(weft_metrics(r->rt, &now), 0);
    check_grown(&before, &now);
    return NULL;
}

static void *write_and_sleep(void *arg)
{
    int ends[2];
    CHECK_EQUAL(pipe(ends), 0);
    CHECK_EQUAL(weft_write(ends[1], "x", 1), 1);
    CHECK_EQUAL(weft_close(ends[0]), 0);
    CHECK_EQUAL(weft_close(ends[1]), 0);
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    return arg;
}

static void figures_are_right_while_a_runtime_closes(void **state)
{
    (void)state;
    for (size_t i = 0; test_goes_on(i, test_scaled(ROUNDS, ROUNDS / 5)); i++) {
        struct reader r = {.rt = create_runtime(NULL)};
        struct weft_metrics open, closed;
        pthread_t threads[READERS];
        for (int k = 0; k < READERS; k++) {
            threads[k] = start_thread(read_metrics, &r);
        }
        CHECK_EQUAL(weft_runtime_run(r.rt, write_and_sleep, NULL, NULL), 0);
        CHECK_EQUAL(weft_metrics(r.rt, &open), 0);
        spin_until(&r.rounds, 3);
        CHECK_EQUAL(weft_runtime_close(r.rt), 0);
        atomic_store_seq_cst(&r.is_over, 1);
        for (int k = 0; k < READERS; k++) {
            pthread_join(threads[k], NULL);
        }
        CHECK_EQUAL(weft_metrics(r.rt, &closed), 0);
        check_grown(&open, &closed);
        CHECK_EQUAL(closed.tasks_live, 0);
        CHECK(closed.sqes > 0 && closed.cqes > 0 && closed.ring_enters > 0);
        CHECK_EQUAL(weft_runtime_destroy(r.rt), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_right_while_a_runtime_closes),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
