/* SPDX-License-Identifier: MIT */
/*
 * Goal: a job runs once or is taken back, never both, whenever it is cancelled; its outcome says
 * which; threads that come and go lose none.
 *
 * Tasks wait for jobs and submit some, others cancel them at any time; the pool has few threads,
 * that end at once when they are idle, so that jobs meet each stage of their coming and going.
 */
#include "task_help.h"

enum { TASKS = 24, THREADS = 3, SECONDS_MAX = 4 };

struct tally {
    shared_int ran;
    shared_int over;    /* with the value of a job that has run */
    shared_int refused; /* -ECANCELED: has not run */
};

struct call {
    struct tally *tally;
    shared_int runs;
    unsigned spins;
};

static void *job(void *arg)
{
    struct call *c = arg;
    CHECK_EQUAL(atomic_add_seq_cst(&c->runs, 1), 0);
    for (unsigned i = 0; i < c->spins; i++) {
        sched_yield();
    }
    atomic_add_seq_cst(&c->tally->ran, 1);
    return c;
}

static void judge(struct call *c, int err, const void *result)
{
    CHECK(err == 0 || err == -ECANCELED);
    CHECK_EQUAL(atomic_load_seq_cst(&c->runs), err == 0);
    CHECK(err < 0 || result == c);
    atomic_add_seq_cst(err == 0 ? &c->tally->over : &c->tally->refused, 1);
}

struct actor {
    struct tally *tally;
    uint64_t seed;
    size_t rounds;
    int64_t until; /* but not longer, where each sched_yield gives a time slice away */
};

static void wait_for_one(struct actor *a)
{
    struct call c = {.tally = a->tally, .spins = (unsigned)(test_random(&a->seed) % 4)};
    void *result = NULL;
    int err = weft_run_blocking(job, &c, &result);
    judge(&c, err, result);
    while (weft_cancelling() > 0) {
        weft_uncancel();
    }
}

static void submit_one(struct actor *a)
{
    struct call c = {.tally = a->tally, .spins = (unsigned)(test_random(&a->seed) % 4)};
    weft_future *f = weft_submit_blocking(NULL, job, &c);
    CHECK(f != NULL);
    uint64_t turns = test_random(&a->seed) % 3;
    for (uint64_t i = 0; i < turns; i++) {
        (void)weft_yield();
    }
    if (test_random(&a->seed) % 2 == 0) {
        weft_cancel(f);
    }
    void *result = NULL;
    int err = weft_join(f, &result);
    judge(&c, err, result);
    while (weft_cancelling() > 0) {
        weft_uncancel();
    }
}

static void *act(void *arg)
{
    enum { ROUNDS_MIN = 10 };

    struct actor *a = arg;
    size_t i;
    for (i = 0; i < a->rounds && (i < ROUNDS_MIN || weft_now() < a->until); i++) {
        if (test_random(&a->seed) % 2 == 0) {
            wait_for_one(a);
        } else {
            submit_one(a);
        }
    }
    a->rounds = i;
    return NULL;
}

struct program {
    struct tally tally;
    struct actor actors[TASKS];
};

static void *body(void *arg)
{
    struct program *p = arg;
    weft_task *tasks[TASKS];
    size_t rounds = test_scaled(2000, 60);
    uint64_t seed = test_seed();
    int64_t until = weft_now() + SECONDS_MAX * WEFT_SECOND;
    for (int i = 0; i < TASKS; i++) {
        p->actors[i] = (struct actor){&p->tally, test_random(&seed), rounds, until};
        tasks[i] = weft_spawn(act, &p->actors[i]);
    }
    bool is_over = false;
    while (!is_over) {
        is_over = true;
        weft_cancel(tasks[test_random(&seed) % TASKS]);
        (void)weft_sleep((int64_t)(test_random(&seed) % 50) * WEFT_US);
        for (int i = 0; i < TASKS; i++) {
            is_over = is_over && weft_done(tasks[i]);
        }
    }
    size_t done = 0;
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        done += p->actors[i].rounds;
    }
    CHECK_EQUAL(atomic_load_seq_cst(&p->tally.over), atomic_load_seq_cst(&p->tally.ran));
    CHECK_EQUAL(atomic_load_seq_cst(&p->tally.over) + atomic_load_seq_cst(&p->tally.refused),
                (intmax_t)done);
    return NULL;
}

static void jobs_run_once_or_not_at_all(void **state)
{
    (void)state;
    static const int64_t idle_ns[] = {1, 20 * WEFT_US, WEFT_SECOND};
    for (size_t i = 0; i < sizeof idle_ns / sizeof idle_ns[0]; i++) {
        struct program *p = calloc(1, sizeof *p);
        struct weft_options options = {.blocking_threads_max = THREADS,
                                       .blocking_idle_ns = idle_ns[i]};
        run_case_with(&options, body, p);
        free(p);
    }
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_once_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
