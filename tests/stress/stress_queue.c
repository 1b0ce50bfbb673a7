/* SPDX-License-Identifier: MIT */
/*
 * Goal: every item that was put is got exactly once, and owed until it is finished, whatever is
 * cancelled meanwhile, and when the queue is shut down in the middle.
 *
 * Method: each item is a number of its own. Putters go on to the next number when the last one was
 * put; one that was cancelled takes notice and puts the same number again. A task and a thread
 * cancel at random. What was noted as put and what was counted as got have to be the same; after an
 * immediate shutdown some may have been dropped, and a join ends all the same. Every third round is
 * a simulation, in which a task may be sent away at each hand-over.
 */
#include "task_help.h"

enum { PUTTERS = 4, GETTERS = 4, TASKS = PUTTERS + GETTERS };

struct round {
    bool is_simulated; /* in the order of the seed; and no thread cancels */
    weft_queue *queue;
    uint64_t seed;
    uint64_t count;    /* items that each putter has */
    bool is_immediate; /* the shutdown */
    shared_int *put;   /* by item */
    shared_int *got;
    shared_int putters_ended;
    shared_int is_over; /* the cancellers are to end */
    shared_int tickets; /* numbers of tasks given out */
    weft_task *tasks[TASKS];
};

static void take_notice(void)
{
    while (weft_uncancel() > 0) {
        /* all of them */
    }
    (void)weft_yield();
}

static int put_somehow(struct round *r, uint64_t item, uint64_t draw)
{
    void *p = (void *)(uintptr_t)item;
    return draw % 3 == 0 ? weft_queue_try_put(r->queue, p) : weft_queue_put(r->queue, p);
}

static void *putter(void *arg)
{
    struct round *r = arg;
    uint64_t number = (uint64_t)atomic_add_seq_cst(&r->tickets, 1);
    uint64_t state = r->seed + number;
    for (uint64_t i = 0; i < r->count; i++) {
        uint64_t item = number * r->count + i;
        int err;
        while ((err = put_somehow(r, item, test_random(&state))) == -EAGAIN || err == -ECANCELED) {
            take_notice();
        }
        if (err == -ESHUTDOWN) {
            break;
        }
        CHECK_EQUAL(err, 0);
        atomic_store_seq_cst(&r->put[item], 1);
    }
    atomic_add_seq_cst(&r->putters_ended, 1);
    return NULL;
}

static void *getter(void *arg)
{
    struct round *r = arg;
    uint64_t state = r->seed + 100 + (uint64_t)atomic_add_seq_cst(&r->tickets, 1);
    for (;;) {
        void *item = (void *)UINTPTR_MAX;
        int err = test_random(&state) % 3 == 0 ? weft_queue_try_get(r->queue, &item)
                                               : weft_queue_get(r->queue, &item);
        if (err == -ESHUTDOWN) {
            return NULL;
        }
        if (err < 0) {
            CHECK(err == -EAGAIN || err == -ECANCELED);
            take_notice();
            continue;
        }
        CHECK((uintptr_t)item < PUTTERS * r->count);
        atomic_add_seq_cst(&r->got[(uintptr_t)item], 1);
        CHECK_EQUAL(weft_queue_task_done(r->queue), 0);
    }
}

static void *canceller_task(void *arg)
{
    struct round *r = arg;
    uint64_t state = r->seed + 200;
    while (atomic_load_seq_cst(&r->is_over) == 0) {
        (void)weft_cancel(r->tasks[test_random(&state) % TASKS]);
        CHECK_EQUAL(weft_yield(), 0);
    }
    return NULL;
}

static void *canceller_thread(void *arg)
{
    struct round *r = arg;
    uint64_t state = r->seed + 300;
    while (atomic_load_seq_cst(&r->is_over) == 0) {
        (void)weft_cancel(r->tasks[test_random(&state) % TASKS]);
        sched_yield();
    }
    return NULL;
}

static void check_round(struct round *r, bool is_all)
{
    for (uint64_t i = 0; i < PUTTERS * r->count; i++) {
        int was_put = atomic_load_seq_cst(&r->put[i]);
        int was_got = atomic_load_seq_cst(&r->got[i]);
        CHECK(was_got == was_put || (was_got < was_put && r->is_immediate));
        CHECK(was_put == 1 || !is_all);
    }
}

static void *round_main(void *arg)
{
    struct round *r = arg;
    bool is_cut = r->seed % 2 == 0;
    for (int i = 0; i < TASKS; i++) { /* putters draw the first numbers */
        r->tasks[i] = weft_spawn(i < PUTTERS ? putter : getter, r);
        if (i == PUTTERS - 1) {
            while (atomic_load_seq_cst(&r->tickets) < PUTTERS) {
                CHECK_EQUAL(weft_yield(), 0);
            }
        }
    }
    weft_task *canceller = weft_spawn(canceller_task, r);
    pthread_t thread = r->is_simulated ? pthread_self() : start_thread(canceller_thread, r);
    uint64_t yields = is_cut ? r->seed / 4 % 500 : UINT64_MAX;
    for (uint64_t i = 0; i < yields && atomic_load_seq_cst(&r->putters_ended) < PUTTERS; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(weft_queue_shutdown(r->queue, r->is_immediate), 0);
    for (int i = 0; i < PUTTERS; i++) {
        CHECK_EQUAL(weft_await(r->tasks[i], NULL), 0);
    }
    CHECK_EQUAL(weft_queue_join(r->queue), 0);
    CHECK_EQUAL(weft_queue_task_done(r->queue), -EOVERFLOW);
    for (int i = PUTTERS; i < TASKS; i++) {
        CHECK_EQUAL(weft_await(r->tasks[i], NULL), 0);
    }
    atomic_store_seq_cst(&r->is_over, 1);
    CHECK_EQUAL(weft_join(canceller, NULL), 0);
    CHECK(r->is_simulated || pthread_join(thread, NULL) == 0);
    for (int i = 0; i < TASKS; i++) {
        weft_put(r->tasks[i]);
    }
    check_round(r, !is_cut);
    return NULL;
}

static void run_round(uint64_t seed, bool is_simulated)
{
    struct round r = {.is_simulated = is_simulated, .seed = seed, .count = test_scaled(1000, 100)};
    r.is_immediate = seed / 2 % 2 == 0;
    r.put = calloc(PUTTERS * r.count, sizeof r.put[0]);
    r.got = calloc(PUTTERS * r.count, sizeof r.got[0]);
    r.queue = weft_queue_create((enum weft_queue_kind)(seed / 8 % 3), seed / 32 % 5);
    struct weft_options options = {.simulation = is_simulated, .seed = seed};
    run_case_with(&options, round_main, &r);
    CHECK_EQUAL(weft_queue_destroy(r.queue), 0);
    free((void *)r.put);
    free((void *)r.got);
}

static void each_item_is_got_once(void **state)
{
    (void)state;
    uint64_t seeds = test_seed();
    for (size_t i = 0; test_goes_on(i, test_scaled(60, 20)); i++) {
        run_round(test_random(&seeds), i % 3 == 2);
    }
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_is_got_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
