/* SPDX-License-Identifier: MIT */
/*
 * Goal: deadlines, cancels and completions that meet lose nothing and end each wait once.
 *
 * Method: random deadlines of about as long as the waits take, on many tasks at once, beside tasks
 * that cancel scopes and tasks. What a wait had won is counted: as many elements are received as
 * were sent, as many children end as were spawned.
 */
#include "task_help.h"

#define HOUR (60 * WEFT_MINUTE)

enum { TASKS = 16 };

static uint64_t base; /* the seed, for all tasks */

static int64_t short_time(uint64_t *seed)
{
    return (int64_t)(test_random(seed) % (100 * (uint64_t)WEFT_US));
}

/* --- elements --------------------------------------------------------------------------------- */

static weft_channel *channel;
static _Atomic(uint64_t) received;

static void *consume(void *arg)
{
    uint64_t seed = base + (uintptr_t)arg;
    for (;;) {
        uint64_t element;
        int err = 0;
        struct weft_scope s;
        WEFT_TIMEOUT_AS(s, short_time(&seed)) {
            err = weft_channel_receive(channel, &element);
        }
        if (err == 0) {
            atomic_add_seq_cst(&received, element);
        } else if (err == -EPIPE) {
            return NULL;
        }
        CHECK(err == 0 || err == -ETIMEDOUT);
        CHECK_EQUAL(weft_scope_result(&s), err);
        CHECK(err == 0 || weft_scope_expired(&s));
    }
}

static void *produce(void *arg)
{
    uint64_t seed = base * 3 + (uintptr_t)arg;
    uint64_t *sent = arg;
    for (uint64_t i = 1; i <= test_scaled(2000, 300);) {
        int err = 0;
        WEFT_TIMEOUT(short_time(&seed)) {
            err = weft_channel_send(channel, &i);
        }
        CHECK(err == 0 || err == -ETIMEDOUT);
        *sent += err == 0 ? i : 0;
        i += err == 0;
        if (test_random(&seed) % 8 == 0) {
            CHECK_EQUAL(weft_sleep(short_time(&seed)), 0);
        }
    }
    return NULL;
}

static void *elements_main(void *arg)
{
    uint64_t sent[TASKS] = {0};
    struct weft_group consumers;
    struct weft_group producers;
    atomic_store_seq_cst(&received, 0);
    channel = weft_channel_create(sizeof(uint64_t), 4);
    weft_group_enter(&consumers);
    weft_group_enter(&producers);
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQUAL(weft_group_go(&consumers, consume, &sent[i]), 0);
        CHECK_EQUAL(weft_group_go(&producers, produce, &sent[i]), 0);
    }
    CHECK_EQUAL(weft_group_exit(&producers), 0);
    weft_channel_close(channel);
    CHECK_EQUAL(weft_group_exit(&consumers), 0);
    uint64_t sum = 0;
    for (int i = 0; i < TASKS; i++) {
        sum += sent[i];
    }
    CHECK_EQUAL(atomic_load_seq_cst(&received), sum);
    CHECK_EQUAL(weft_channel_destroy(channel), 0);
    return arg;
}

static void what_is_sent_in_time_is_received_once(void **state)
{
    (void)state;
    run_case(elements_main, NULL);
}

/* --- a scope is gone when its task goes on ---------------------------------------------------- */

static _Atomic(struct weft_scope *) offered;
static shared_int is_over;

static void *cancel_offered(void *arg)
{
    while (atomic_load_seq_cst(&is_over) == 0) {
        struct weft_scope *s = atomic_exchange_seq_cst(&offered, NULL);
        if (s != NULL) {
            weft_scope_cancel(s);
        } else {
            (void)weft_yield();
        }
    }
    return arg;
}

static void *offer_scopes(void *arg)
{
    uint64_t seed = base;
    for (size_t round = 0; round < test_scaled(20000, 2000); round++) {
        struct weft_scope s;
        int err = 0;
        weft_scope_enter(&s, test_random(&seed) % 2 == 0 ? HOUR : short_time(&seed));
        atomic_store_seq_cst(&offered, &s);
        switch (test_random(&seed) % 3) {
        case 0:
            err = weft_sleep(WEFT_FOREVER);
            break;
        case 1:
            err = weft_sleep(HOUR);
            break;
        default:
            while (err == 0) {
                err = weft_yield();
            }
        }
        CHECK(err == -ECANCELED || err == -ETIMEDOUT);
        struct weft_scope *mine = &s;
        if (!atomic_cas_seq_cst(&offered, &mine, NULL)) {
            while (!weft_scope_expired(&s) || err != -ECANCELED) { /* its cancel is under way */
                err = weft_scope_error();
            }
        }
        err = weft_scope_exit(&s);
        CHECK(err == -ECANCELED || err == -ETIMEDOUT);
        memset(&s, 0xff, sizeof s);
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void *gone_main(void *arg)
{
    atomic_store_seq_cst(&is_over, 0);
    weft_task *t = weft_spawn(cancel_offered, NULL);
    CHECK_EQUAL(weft_join(weft_spawn(offer_scopes, NULL), NULL), 0);
    atomic_store_seq_cst(&is_over, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void a_scope_is_not_touched_after_its_task_went_on(void **state)
{
    (void)state;
    run_case(gone_main, NULL);
}

/* --- awaited, nested, cancelled --------------------------------------------------------------- */

static shared_int spawned;
static shared_int ended;

static void *descend(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    int err = 0;
    WEFT_TIMEOUT(short_time(&seed)) {
        uint64_t next = test_random(&seed);
        if (next % 4 != 0) {
            weft_task *t = weft_spawn(descend, &next);
            atomic_add_seq_cst(&spawned, 1);
            if (next % 8 == 1) {
                (void)weft_yield();
            }
            WEFT_TIMEOUT(short_time(&seed)) {
                err = weft_await(t, NULL);
            }
            if (next % 16 == 2) {
                weft_cancel(t);
            }
            CHECK(weft_done(t)); /* it was using our stack */
            weft_put(t);
        } else if (next % 32 == 4) {
            WEFT_SHIELD {
                CHECK_EQUAL(weft_sleep(short_time(&seed) / 8), 0);
            }
        } else {
            err = weft_sleep(short_time(&seed));
        }
    }
    CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED);
    atomic_add_seq_cst(&ended, 1);
    return err < 0 ? weft_fail(-ECANCELED) : NULL;
}

static void *descend_main(void *arg)
{
    uint64_t seed = base;
    uint64_t seeds[TASKS];
    weft_task *t[TASKS];
    for (size_t round = 0; test_goes_on(round, test_scaled(300, 20)); round++) {
        atomic_store_seq_cst(&spawned, TASKS);
        atomic_store_seq_cst(&ended, 0);
        for (int i = 0; i < TASKS; i++) {
            seeds[i] = test_random(&seed);
            t[i] = weft_spawn(descend, &seeds[i]);
        }
        for (int i = 0; i < TASKS; i++) {
            if (test_random(&seed) % 4 == 0) {
                weft_cancel(t[i]);
            }
            (void)weft_join(t[i], NULL);
        }
        CHECK_EQUAL(atomic_load_seq_cst(&ended), atomic_load_seq_cst(&spawned));
    }
    return arg;
}

static void tasks_that_await_each_other_within_deadlines_all_end(void **state)
{
    (void)state;
    run_case(descend_main, NULL);
}

/* --- groups ----------------------------------------------------------------------------------- */

static void *child(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    free(arg);
    int err = weft_sleep(short_time(&seed));
    atomic_add_seq_cst(&ended, 1);
    return err < 0 || test_random(&seed) % 8 != 0 ? NULL : weft_fail(-EIO);
}

static void *run_group(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    struct weft_group g;
    int err = 0;
    int failures = 0;
    int mine = 0;
    struct weft_scope s;
    WEFT_TIMEOUT_AS(s, 2 * short_time(&seed)) {
        weft_group_enter(&g);
        for (int i = 0; i < 20; i++) {
            uint64_t *own = malloc(sizeof *own);
            CHECK(own != NULL);
            *own = test_random(&seed);
            if (weft_group_go(&g, child, own) < 0) {
                free(own);
            } else {
                mine++;
            }
            if (test_random(&seed) % 8 == 0) {
                (void)weft_yield();
            }
        }
        if (test_random(&seed) % 4 == 0) {
            weft_group_cancel(&g);
        }
        err = weft_group_exit(&g);
        failures = (int)weft_group_error_count(&g);
        memset(&g, 0xff, sizeof g);
    }
    atomic_add_seq_cst(&spawned, mine);
    CHECK(err == 0 || err == -EIO || err == -ETIMEDOUT || err == -ECANCELED);
    CHECK((err == -EIO) == (failures > 0));
    CHECK(err != -ETIMEDOUT || weft_scope_expired(&s));
    return NULL;
}

static void *groups_main(void *arg)
{
    uint64_t seed = base;
    for (size_t round = 0; test_goes_on(round, test_scaled(200, 20)); round++) {
        uint64_t seeds[TASKS];
        weft_task *t[TASKS];
        atomic_store_seq_cst(&spawned, 0);
        atomic_store_seq_cst(&ended, 0);
        for (int i = 0; i < TASKS; i++) {
            seeds[i] = test_random(&seed);
            t[i] = weft_spawn(run_group, &seeds[i]);
        }
        for (int i = 0; i < TASKS; i++) {
            if (test_random(&seed) % 4 == 0) {
                weft_cancel(t[i]);
            }
            CHECK_EQUAL(weft_join(t[i], NULL), 0);
        }
        CHECK_EQUAL(atomic_load_seq_cst(&ended), atomic_load_seq_cst(&spawned));
    }
    return arg;
}

static void groups_outlive_their_children(void **state)
{
    (void)state;
    run_case(groups_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_in_time_is_received_once),
        cmocka_unit_test(a_scope_is_not_touched_after_its_task_went_on),
        cmocka_unit_test(tasks_that_await_each_other_within_deadlines_all_end),
        cmocka_unit_test(groups_outlive_their_children),
    };
    base = test_seed();
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
