/* SPDX-License-Identifier: MIT */
/*
 * Goal: what is called when a future is done: once, queued and never from inside, in the order of
 * registration, or not at all when it was removed.
 *
 * Method: as test_rt_task.c.
 */
#include "task_help.h"

static void *give_back(void *arg)
{
    return arg;
}

static void *wait_for_flag(void *flag)
{
    yield_until(flag, 1);
    return flag;
}

static void count_done(weft_future *f, void *arg)
{
    CHECK(weft_done(f));
    atomic_add_seq_cst((shared_int *)arg, 1);
}

/* Where a callback was called. */
struct place {
    shared_int calls;
    weft_runtime *seen_rt;
};

static void *done_main(void *arg)
{
    shared_int calls = 0;
    shared_int flag = 0;
    weft_task *t = weft_spawn(wait_for_flag, &flag);
    CHECK_EQUAL(weft_on_done(t, count_done, &calls), 0);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&calls), 0);
    atomic_store_seq_cst(&flag, 1);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    yield_until(&calls, 1);
    CHECK_EQUAL(weft_on_done(t, count_done, &calls), 0); /* done already: queued at once */
    yield_until(&calls, 2);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&calls), 2);
    weft_put(t);
    return arg;
}

static void it_is_called_once_after_the_end(void **state)
{
    (void)state;
    run_case(done_main, NULL);
}

static void *not_inside_main(void *arg)
{
    shared_int calls = 0;
    weft_task *t = weft_spawn(give_back, NULL);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK_EQUAL(weft_on_done(t, count_done, &calls), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&calls),
                0); /* one worker: it is queued, not called from inside */
    yield_until(&calls, 1);
    weft_put(t);
    return arg;
}

static void it_is_never_called_from_inside_the_registration(void **state)
{
    (void)state;
    run_case_alone(not_inside_main, NULL);
}

static void *end_failed(void *arg)
{
    return weft_fail((int)(intptr_t)arg);
}

struct outcome {
    shared_int calls;
    int error;
    bool is_cancelled;
};

static void note_outcome(weft_future *f, void *arg)
{
    struct outcome *o = arg;
    o->error = weft_result(f, NULL);
    o->is_cancelled = weft_cancelled(f);
    atomic_add_seq_cst(&o->calls, 1);
}

static void *sleep_for_ever(void *arg)
{
    int err = weft_sleep(WEFT_FOREVER);
    return err < 0 ? weft_fail(err) : arg;
}

static void *any_end_main(void *arg)
{
    struct outcome failed = {0}, cancelled = {0};
    weft_task *t = weft_spawn(end_failed, (void *)(intptr_t)-EIO);
    CHECK_EQUAL(weft_on_done(t, note_outcome, &failed), 0);
    weft_put(t); /* the registration keeps it */
    t = weft_spawn(sleep_for_ever, NULL);
    CHECK_EQUAL(weft_on_done(t, note_outcome, &cancelled), 0);
    CHECK(weft_cancel(t));
    weft_put(t);
    yield_until(&failed.calls, 1);
    yield_until(&cancelled.calls, 1);
    CHECK_EQUAL(failed.error, -EIO);
    CHECK(!failed.is_cancelled);
    CHECK_EQUAL(cancelled.error, -ECANCELED);
    CHECK(cancelled.is_cancelled);
    return arg;
}

static void it_is_called_however_the_task_ends_and_keeps_it(void **state)
{
    (void)state;
    run_case(any_end_main, NULL);
}

enum { REGISTERED = 50 };

struct sequence {
    shared_int count;
    int seen[2 * REGISTERED];
    shared_int inside;
};

struct step {
    struct sequence *sequence;
    int number;
};

static void take_step(weft_future *f, void *arg)
{
    struct step *s = arg;
    struct sequence *q = s->sequence;
    CHECK(weft_done(f));
    CHECK_EQUAL(atomic_add_seq_cst(&q->inside, 1), 0); /* one after the other */
    q->seen[atomic_load_seq_cst(&q->count)] = s->number;
    atomic_sub_seq_cst(&q->inside, 1);
    atomic_add_seq_cst(&q->count, 1);
}

static void *order_main(void *arg)
{
    shared_int flag = 0;
    struct sequence q = {0};
    struct step steps[REGISTERED];
    weft_task *t = weft_spawn(wait_for_flag, &flag);
    for (int i = 0; i < REGISTERED; i++) {
        steps[i] = (struct step){&q, i};
        CHECK_EQUAL(weft_on_done(t, take_step, &steps[i]), 0);
    }
    atomic_store_seq_cst(&flag, 1);
    yield_until(&q.count, REGISTERED);
    for (int i = 0; i < REGISTERED; i++) {
        CHECK_EQUAL(q.seen[i], i);
    }
    weft_put(t);
    return arg;
}

static void those_of_one_future_run_in_the_order_they_were_added(void **state)
{
    (void)state;
    for (size_t i = 0; i < test_scaled(100, 10); i++) {
        run_case(order_main, NULL);
    }
}

static void *remove_main(void *arg)
{
    shared_int flag = 0;
    shared_int other = 0;
    struct sequence q = {0};
    struct step steps[3] = {{&q, 0}, {&q, 1}, {&q, 2}};
    weft_task *t = weft_spawn(wait_for_flag, &flag);
    for (int i = 0; i < 9; i++) {
        CHECK_EQUAL(weft_on_done(t, take_step, &steps[i % 3]), 0);
    }
    CHECK_EQUAL(weft_on_done_remove(t, count_done, &other), 0);
    CHECK_EQUAL(weft_on_done_remove(t, take_step, &other), 0);
    CHECK_EQUAL(weft_on_done_remove(t, count_done, &steps[0]), 0);
    CHECK_EQUAL(weft_on_done_remove(t, take_step, &steps[1]), 3);
    CHECK_EQUAL(weft_on_done_remove(t, take_step, &steps[1]), 0);
    CHECK_EQUAL(weft_on_done(t, take_step, &steps[1]), 0);
    atomic_store_seq_cst(&flag, 1);
    yield_until(&q.count, 7);
    static const int want[] = {0, 2, 0, 2, 0, 2, 1};
    for (int i = 0; i < 7; i++) {
        CHECK_EQUAL(q.seen[i], want[i]);
    }
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK_EQUAL(weft_on_done_remove(t, take_step, &steps[0]), 0);
    weft_put(t);
    return arg;
}

static void removing_takes_every_copy_and_leaves_the_others_in_order(void **state)
{
    (void)state;
    run_case(remove_main, NULL);
}

static void *all_removed_main(void *arg)
{
    shared_int flag = 0;
    shared_int calls = 0;
    weft_task *t = weft_spawn(wait_for_flag, &flag);
    CHECK_EQUAL(weft_on_done(t, count_done, &calls), 0);
    CHECK_EQUAL(weft_on_done_remove(t, count_done, &calls), 1);
    atomic_store_seq_cst(&flag, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&calls), 0);
    return arg;
}

static void what_was_removed_is_not_called(void **state)
{
    (void)state;
    run_case(all_removed_main, NULL);
}

struct remover {
    weft_task *t;
    void *arg;
    int removed;
};

static void *remove_from_thread(void *arg)
{
    struct remover *r = arg;
    r->removed = weft_on_done_remove(r->t, count_done, r->arg);
    return NULL;
}

/* Removal against the end: each registration is either called or removed, never both. */
static void *race_main(void *arg)
{
    for (size_t round = 0; round < test_scaled(200, 50); round++) {
        shared_int flag = 0;
        shared_int calls = 0;
        weft_task *t = weft_spawn(wait_for_flag, &flag);
        for (int i = 0; i < 5; i++) {
            CHECK_EQUAL(weft_on_done(t, count_done, &calls), 0);
        }
        struct remover r = {t, &calls, 0};
        pthread_t thread = start_thread(remove_from_thread, &r);
        atomic_store_seq_cst(&flag, 1);
        CHECK_EQUAL(weft_await(t, NULL), 0);
        pthread_join(thread, NULL);
        CHECK(r.removed == 0 || r.removed == 5);
        yield_until(&calls, 5 - r.removed);
        CHECK_EQUAL(atomic_load_seq_cst(&calls), 5 - r.removed);
        weft_put(t);
    }
    return arg;
}

static void each_registration_is_called_or_removed(void **state)
{
    (void)state;
    run_case(race_main, NULL);
}

/* --- two runtimes ----------------------------------------------------------------------------- */

static void note_runtime(weft_future *f, void *arg)
{
    struct place *p = arg;
    (void)f;
    p->seen_rt = weft_runtime_current();
    atomic_add_seq_cst(&p->calls, 1);
}

static void *elsewhere_main(void *arg)
{
    shared_int flag = 0;
    weft_task *t = NULL;
    struct place p[3] = {{0, NULL}};
    CHECK_EQUAL(weft_runtime_spawn(arg, wait_for_flag, &flag, &t), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_on_done(t, note_runtime, &p[i]), 0);
    }
    atomic_store_seq_cst(&flag, 1);
    for (int i = 0; i < 3; i++) {
        yield_until(&p[i].calls, 1);
        CHECK(p[i].seen_rt == weft_runtime_current());
    }
    weft_put(t);
    return NULL;
}

static void it_is_called_on_the_runtime_where_it_was_registered(void **state)
{
    (void)state;
    weft_runtime *other = create_runtime(NULL);
    run_case(elsewhere_main, other);
    finish_runtime(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_called_once_after_the_end),
        cmocka_unit_test(it_is_never_called_from_inside_the_registration),
        cmocka_unit_test(it_is_called_however_the_task_ends_and_keeps_it),
        cmocka_unit_test(those_of_one_future_run_in_the_order_they_were_added),
        cmocka_unit_test(removing_takes_every_copy_and_leaves_the_others_in_order),
        cmocka_unit_test(what_was_removed_is_not_called),
        cmocka_unit_test(each_registration_is_called_or_removed),
        cmocka_unit_test(it_is_called_on_the_runtime_where_it_was_registered),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
