/* SPDX-License-Identifier: MIT */
/*
 * Tasks, promises, groups, timers, locals and what waits for many of them, when memory, stacks or
 * the ring's entrance fail: a call says so and has done nothing, or what was begun goes on.
 *
 * Workers: 1 2 3
 */
#include "fault_help.h"

#include <weft/timer.h>

#define MANY 40

static void *sleep_shortly(void *arg)
{
    shared_int *ended = arg;
    int err = weft_sleep(50 * WEFT_US);
    atomic_add_seq_cst(ended, 1);
    return err < 0 ? weft_fail(err) : NULL;
}

static void *count_up(void *arg)
{
    shared_int *count = arg;
    atomic_add_seq_cst(count, 1);
    return arg;
}

/* Each that could be spawned runs, once. */
static int spawn_sleepers(void *arg)
{
    weft_task *tasks[MANY];
    shared_int ended = 0;
    int begun = 0;
    int err = 0;
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        tasks[i] = weft_spawn(sleep_shortly, &ended);
        err = first_error(err, NULL_IS_ENOMEM(tasks[i]));
        begun += tasks[i] != NULL;
    }
    for (int i = 0; i < MANY; i++) {
        int e = tasks[i] != NULL ? weft_join(tasks[i], NULL) : 0;
        err = first_error(err, e);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&ended), begun);
    return err;
}

/* More than a queue has room for at first. */
static int go_many(void *arg)
{
    enum { TASKS = 700 };

    shared_int ended = 0;
    int begun = 0;
    int err = 0;
    (void)arg;
    for (int i = 0; i < TASKS; i++) {
        int e = weft_go(count_up, &ended);
        begun += e == 0;
        err = first_error(err, e);
    }
    while (atomic_load_seq_cst(&ended) < begun) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&ended), begun);
    return err;
}

static int spawn_with_options(void *arg)
{
    static const struct weft_spawn_options options[] = {
        {.name = "a name"},
        {.stack_bytes = 1024 * 1024},
        {.pinned = true, .stack_bytes = 16 * 1024},
        {.held = true},
    };
    weft_task *tasks[COUNT(options)];
    shared_int ended = 0;
    int begun = 0;
    int err = 0;
    (void)arg;
    for (size_t i = 0; i < COUNT(options); i++) {
        tasks[i] = weft_spawn_with(&options[i], sleep_shortly, &ended);
        err = first_error(err, NULL_IS_ENOMEM(tasks[i]));
        begun += tasks[i] != NULL;
        if (tasks[i] != NULL && options[i].held) {
            CHECK_EQUAL(weft_start(tasks[i]), 0);
        }
    }
    for (size_t i = 0; i < COUNT(options); i++) {
        char name[32];
        if (tasks[i] != NULL) {
            int e = weft_task_set_name(tasks[i], "another name");
            CHECK(weft_task_name(tasks[i], name, sizeof name) > 0);
            CHECK(e < 0 || strcmp(name, "another name") == 0);
            err = first_error(err, e);
            err = first_error(err, weft_join(tasks[i], NULL));
        }
    }
    CHECK_EQUAL(atomic_load_seq_cst(&ended), begun);
    return err;
}

static int run_group(void *arg)
{
    struct weft_group g;
    shared_int ended = 0;
    int begun = 0;
    int err = 0;
    (void)arg;
    weft_group_enter(&g);
    for (int i = 0; i < MANY; i++) {
        int e = weft_group_go(&g, sleep_shortly, &ended);
        begun += e == 0;
        err = first_error(err, e == -ECANCELED ? 0 : e); /* one has failed: it takes no more */
        weft_task *t = weft_group_spawn(&g, sleep_shortly, &ended);
        begun += t != NULL;
        weft_put(t);
    }
    err = first_error(weft_group_exit(&g), err);
    CHECK_EQUAL(atomic_load_seq_cst(&ended), begun);
    return err;
}

static void set_promise(void *arg)
{
    CHECK_EQUAL(weft_future_set_result(arg, &set_promise), 0);
}

static int keep_promise(void *arg)
{
    void *result = NULL;
    (void)arg;
    weft_future *f = weft_future_create();
    if (f == NULL) {
        return -ENOMEM;
    }
    int err = weft_post(weft_runtime_current(), set_promise, f);
    if (err < 0) {
        set_promise(f);
    }
    CHECK_EQUAL(weft_await(f, &result), 0);
    CHECK(result == &set_promise);
    weft_put(f);
    return err;
}

static void count_done(weft_future *f, void *arg)
{
    CHECK(weft_done(f));
    atomic_add_seq_cst((shared_int *)arg, 1);
}

static int tell_when_done(void *arg)
{
    shared_int told = 0;
    shared_int ended = 0;
    int asked = 0;
    (void)arg;
    weft_task *t = weft_spawn(sleep_shortly, &ended);
    int err = NULL_IS_ENOMEM(t);
    for (int i = 0; i < 3 && t != NULL; i++) {
        int e = weft_on_done(t, count_done, &told);
        asked += e == 0;
        err = first_error(err, e);
    }
    err = t == NULL ? err : first_error(err, weft_join(t, NULL));
    while (atomic_load_seq_cst(&told) < asked) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    return err;
}

enum many_way { BY_GATHER, BY_WAIT, BY_COMPLETION, BY_WAIT_FOR };

static int take_completed(size_t n, weft_future *const f[])
{
    struct weft_as_completed it;
    weft_future *next;
    size_t taken = 0;
    int err = weft_as_completed_init(&it, n, f);
    if (err < 0) {
        weft_as_completed_fini(&it);
        return err;
    }
    while ((err = weft_as_completed_next(&it, &next)) == 0) {
        CHECK(weft_done(next));
        taken++;
    }
    CHECK(err != -ENODATA || taken == n);
    weft_as_completed_fini(&it);
    return err == -ENODATA ? 0 : err;
}

static int await_many(void *arg)
{
    weft_future *all[MANY];
    shared_int ended = 0;
    size_t n = 0;
    int err = 0;
    while (n < MANY && err == 0) {
        all[n] = weft_spawn(sleep_shortly, &ended);
        err = NULL_IS_ENOMEM(all[n]);
        n += err == 0;
    }
    if (err == 0) {
        switch ((enum many_way)UNBOXED(arg)) {
        case BY_GATHER:
            err = weft_gather(n, all, NULL, NULL);
            break;
        case BY_WAIT:
            err = weft_wait(n, all, WEFT_ALL_COMPLETED);
            CHECK(err < 0 || err == MANY);
            err = err > 0 ? 0 : err;
            break;
        case BY_COMPLETION:
            err = take_completed(n, all);
            break;
        case BY_WAIT_FOR:
            err = weft_wait_for(all[0], WEFT_SECOND, NULL);
            break;
        }
    }
    for (size_t i = 0; i < n; i++) {
        err = first_error(err, weft_join(all[i], NULL));
    }
    CHECK_EQUAL(atomic_load_seq_cst(&ended), n);
    return err;
}

static int run_race(void *arg)
{
    enum { CONTENDERS = 12 };

    void *args[CONTENDERS];
    shared_int ended = 0;
    (void)arg;
    for (int i = 0; i < CONTENDERS; i++) {
        args[i] = &ended;
    }
    struct weft_race race = {.fn = sleep_shortly, .args = args, .count = CONTENDERS};
    int err = weft_staggered_race(&race, NULL);
    return err > 0 ? 0 : err;
}

static void ring_bell(void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
}

static int start_timers(void *arg)
{
    weft_timer *timers[MANY];
    shared_int rung = 0;
    int started = 0;
    int made = 0;
    int err = 0;
    (void)arg;
    while (made < MANY && err == 0) {
        err = weft_timer_create(&timers[made], weft_runtime_current(), ring_bell, &rung);
        made += err == 0;
    }
    for (int i = 0; i < made; i++) {
        int e = weft_timer_start(timers[i], WEFT_US);
        started += e == 0;
        err = first_error(err, e);
    }
    while (atomic_load_seq_cst(&rung) < started) {
        (void)weft_yield();
    }
    for (int i = 0; i < made; i++) {
        CHECK(!weft_timer_stop_and_wait(timers[i]));
        weft_timer_destroy(timers[i]);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&rung), started);
    return err;
}

/* A deadline that cannot be set: the wait inside says so. */
static int pass_deadline(void *arg)
{
    struct weft_scope s;
    (void)arg;
    weft_scope_enter(&s, 200 * WEFT_US);
    int err = weft_sleep(WEFT_FOREVER);
    int passed = weft_scope_exit(&s);
    CHECK(err == -ENOMEM || err == -ETIMEDOUT);
    CHECK(passed == 0 || passed == -ETIMEDOUT);
    return err == -ETIMEDOUT ? 0 : err;
}

static shared_int values;

static void drop_value(void *value)
{
    CHECK(value != NULL);
    atomic_sub_seq_cst(&values, 1);
}

static void *keep_locals(void *arg)
{
    weft_local_t *locals = arg;
    int err = 0;
    for (int i = 0; i < 8; i++) {
        atomic_add_seq_cst(&values, 1);
        int e = weft_local_set(locals[i], &values);
        if (e < 0) {
            atomic_sub_seq_cst(&values, 1);
        }
        CHECK(weft_local_get(locals[i]) == (e < 0 ? NULL : &values));
        err = first_error(err, e);
    }
    return err < 0 ? weft_fail(err) : NULL;
}

static int set_locals(void *arg)
{
    weft_local_t locals[8];
    int made = 0;
    int err = 0;
    (void)arg;
    atomic_store_seq_cst(&values, 0);
    while (made < 8 && err == 0) {
        err = weft_local_create_with(&locals[made], drop_value, NULL);
        made += err == 0;
    }
    weft_context *context = weft_context_create();
    err = first_error(err, NULL_IS_ENOMEM(context));
    if (err == 0) {
        struct weft_spawn_options in_context = {.context = context};
        weft_task *t = weft_spawn(keep_locals, locals);
        weft_task *u = weft_spawn_with(&in_context, keep_locals, locals);
        err = first_error(NULL_IS_ENOMEM(t), NULL_IS_ENOMEM(u));
        err = t == NULL ? err : first_error(err, weft_join(t, NULL));
        err = u == NULL ? err : first_error(err, weft_join(u, NULL));
    }
    weft_context_put(context);
    while (atomic_load_seq_cst(&values) != 0) {
        (void)weft_yield(); /* a task's values go after its outcome is known */
    }
    for (int i = 0; i < made; i++) {
        weft_local_destroy(locals[i]);
    }
    return err;
}

static const struct fault_case cases[] = {
    {"weft_spawn", spawn_sleepers, NULL, {0}},
    {"weft_go", go_many, NULL, {0}},
    {"weft_spawn_with", spawn_with_options, NULL, {0}},
    {"weft_group_go", run_group, NULL, {0}},
    {"weft_future_create", keep_promise, NULL, {0}},
    {"weft_on_done", tell_when_done, NULL, {0}},
    {"weft_gather", await_many, BOXED(BY_GATHER), {0}},
    {"weft_wait", await_many, BOXED(BY_WAIT), {0}},
    {"weft_as_completed_init", await_many, BOXED(BY_COMPLETION), {0}},
    {"weft_wait_for", await_many, BOXED(BY_WAIT_FOR), {-ETIMEDOUT}},
    {"weft_staggered_race", run_race, NULL, {0}},
    {"weft_timer_start", start_timers, NULL, {0}},
    {"weft_scope_enter", pass_deadline, NULL, {0}},
    {"weft_local_set", set_locals, NULL, {0}},
};

static void want_of_memory_is_told_by_each_call(void **state)
{
    static const struct fault faults[] = {
        {INJECT_MEMORY, ENOMEM, 1}, {INJECT_MEMORY, ENOMEM, 3}, {INJECT_MAP, ENOMEM, 1},
        {INJECT_MAP, ENOMEM, 3},    {INJECT_ADVICE, ENOMEM, 1}, {INJECT_ADVICE, ENOMEM, 3},
        {INJECT_BARRIER, ENOMEM, 2},
    };
    (void)state;
    fault_run_fresh(cases, COUNT(cases), faults, COUNT(faults));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(want_of_memory_is_told_by_each_call),
    };
    fault_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
