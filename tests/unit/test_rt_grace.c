/* SPDX-License-Identifier: MIT */
/*
 * Goal: a close whose grace is over names on standard error who has not ended, leaves the runtime
 * as it was, and can be made again.
 *
 * Method: tasks that ignore their cancel until they are told, in a child process whose standard
 * error is read.
 */
#include "life_help.h"

static const struct weft_options short_grace = {.close_grace_ns = 20 * WEFT_MS};

static atomic_int is_told;
static atomic_int is_stuck;
static atomic_int is_asked; /* to end */

/* Burns its worker. */
static void *spin_until_told(void *arg)
{
    WEFT_ASSERT(weft_task_set_name(weft_self(), "burner") == 0);
    atomic_add_seq_cst(&is_stuck, 1);
    while (atomic_load_seq_cst(&is_told) == 0) {
        sched_yield();
    }
    return arg;
}

/* Takes every cancel and goes on. */
static void *ignore_until_told(void *arg)
{
    WEFT_ASSERT(weft_task_set_name(weft_self(), "ignorant") == 0);
    atomic_add_seq_cst(&is_stuck, 1);
    while (atomic_load_seq_cst(&is_told) == 0) {
        int err = weft_sleep(WEFT_MS);
        WEFT_ASSERT(err == 0 || err == -ECANCELED);
        atomic_or_seq_cst(&is_asked, err < 0);
        while (weft_uncancel() > 0) {
        }
    }
    return arg;
}

static void *give_back(void *arg)
{
    return arg;
}

static weft_runtime *stuck_runtime(weft_fn stuck, int count, weft_task **t)
{
    weft_runtime *rt = runtime_make(&short_grace);
    atomic_store_seq_cst(&is_told, 0);
    atomic_store_seq_cst(&is_stuck, 0);
    for (int i = 0; i < count; i++) {
        t[i] = spawn_on(rt, stuck, value_of(4));
    }
    wait_until(&is_stuck, count);
    return rt;
}

static void end_stuck(weft_runtime *rt, int count, weft_task **t)
{
    atomic_store_seq_cst(&is_told, 1);
    for (int i = 0; i < count; i++) {
        WEFT_ASSERT(wait_on(t[i]) == 0); /* it was not harmed */
        weft_put(t[i]);
    }
    int err;
    while ((err = weft_runtime_close(rt)) == -ETIMEDOUT) {
        /* nobody is stuck, but the machine is busy */
    }
    WEFT_ASSERT(err == 0 && weft_runtime_destroy(rt) == 0);
}

static unsigned count_of(const char *text, const char *words)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++) {
        count++;
    }
    return count;
}

static int close_beside_burner(void)
{
    weft_task *t;
    weft_runtime *rt = stuck_runtime(spin_until_told, 1, &t);
    WEFT_ASSERT(weft_runtime_close(rt) == -ETIMEDOUT);
    WEFT_ASSERT(weft_runtime_close(rt) == -ETIMEDOUT);
    WEFT_ASSERT(weft_runtime_destroy(rt) == -EBUSY);
    WEFT_ASSERT(!weft_done(t));
    end_stuck(rt, 1, &t);
    return 0;
}

static void a_burning_task_is_named(void **state)
{
    (void)state;
    struct outcome out;
    in_child(close_beside_burner, &out);
    assert_child_ok(&out);
    assert_int_equal(count_of(out.text, "task burner (id "), 2);
    assert_int_equal(count_of(out.text, "1 tasks have not ended"), 2);
}

/* Between two closes the runtime is an ordinary one. */
static int work_between_closes(void)
{
    weft_task *t;
    weft_runtime *rt = stuck_runtime(ignore_until_told, 1, &t);
    for (int i = 0; i < 3; i++) {
        WEFT_ASSERT(weft_runtime_close(rt) == -ETIMEDOUT);
        WEFT_ASSERT((intptr_t)run_on(rt, give_back, value_of(i)) == i);
    }
    end_stuck(rt, 1, &t);
    return 0;
}

static void a_runtime_that_did_not_close_works(void **state)
{
    (void)state;
    struct outcome out;
    in_child(work_between_closes, &out);
    assert_child_ok(&out);
    assert_non_null(strstr(out.text, "task ignorant (id "));
}

static int close_beside_many(void)
{
    weft_task *t[30];
    weft_runtime *rt = stuck_runtime(ignore_until_told, 30, t);
    WEFT_ASSERT(weft_runtime_close(rt) == -ETIMEDOUT);
    end_stuck(rt, 30, t);
    return 0;
}

static void the_first_of_many_are_named(void **state)
{
    (void)state;
    struct outcome out;
    in_child(close_beside_many, &out);
    assert_child_ok(&out);
    assert_non_null(strstr(out.text, "30 tasks have not ended"));
    assert_int_equal(count_of(out.text, "task ignorant (id "), 20);
}

/* weft_run does not return with its threads running: it names them and waits on. */
static void *leave_ignorant(void *arg)
{
    int err = weft_go(ignore_until_told, NULL);
    WEFT_ASSERT(err == 0);
    return arg;
}

/* Reads what is written to standard error, passes it on, and tells when the task is named. */
static void *tell_when_named(void *arg)
{
    const int *from_to = arg;
    char text[4096] = "";
    size_t n = 0;
    while (strstr(text, "task ignorant (id ") == NULL) {
        ssize_t got = read(from_to[0], text + n, sizeof text - 1 - n);
        WEFT_ASSERT(got > 0);
        n += (size_t)got;
        text[n] = '\0';
    }
    (void)!write(from_to[1], text, n);
    atomic_store_seq_cst(&is_told, 1);
    return NULL;
}

static int run_beside_ignorant(void)
{
    pthread_t teller;
    int ends[2];
    int from_to[2];
    void *result = NULL;
    atomic_store_seq_cst(&is_told, 0);
    atomic_store_seq_cst(&is_stuck, 0);
    WEFT_ASSERT(pipe(ends) == 0);
    from_to[0] = ends[0];
    from_to[1] = dup(STDERR_FILENO);
    WEFT_ASSERT(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    WEFT_ASSERT(pthread_create(&teller, NULL, tell_when_named, from_to) == 0);
    WEFT_ASSERT(weft_run_with(&short_grace, leave_ignorant, value_of(6), &result) == 0);
    WEFT_ASSERT((intptr_t)result == 6 && atomic_load_seq_cst(&is_told) == 1);
    pthread_join(teller, NULL);
    return 0;
}

static void run_waits_on(void **state)
{
    (void)state;
    struct outcome out;
    in_child(run_beside_ignorant, &out);
    assert_child_ok(&out);
    assert_non_null(strstr(out.text, "task ignorant (id "));
}

/* --- without a child --- */

static void *close_it(void *rt)
{
    return value_of(weft_runtime_close(rt));
}

static void one_thread_closes_at_a_time(void **state)
{
    (void)state;
    pthread_t closer;
    void *result = NULL;
    weft_runtime *rt = runtime_make(NULL);
    atomic_store_seq_cst(&is_told, 0);
    atomic_store_seq_cst(&is_stuck, 0);
    atomic_store_seq_cst(&is_asked, 0);
    weft_task *t = spawn_on(rt, ignore_until_told, NULL);
    wait_until(&is_stuck, 1);
    assert_int_equal(pthread_create(&closer, NULL, close_it, rt), 0);
    wait_until(&is_asked, 1); /* the close has begun */
    assert_int_equal(weft_runtime_close(rt), -EBUSY);
    assert_int_equal(weft_runtime_destroy(rt), -EBUSY);
    atomic_store_seq_cst(&is_told, 1);
    pthread_join(closer, &result);
    assert_int_equal((intptr_t)result, 0);
    weft_put(t);
    assert_int_equal(weft_runtime_close(rt), -ESHUTDOWN);
    assert_int_equal(weft_runtime_destroy(rt), 0);
}

static void a_grace_that_suffices_is_not_used_up(void **state)
{
    (void)state;
    static const int64_t graces[] = {WEFT_FOREVER, WEFT_FOREVER - 1, 20 * WEFT_SECOND};
    for (size_t i = 0; i < sizeof graces / sizeof graces[0]; i++) {
        struct weft_options options = {.close_grace_ns = graces[i]};
        weft_runtime *rt = runtime_make(&options);
        int64_t before = weft_now();
        runtime_end(rt);
        assert_true(weft_now() - before < 10 * WEFT_SECOND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burning_task_is_named),
        cmocka_unit_test(a_runtime_that_did_not_close_works),
        cmocka_unit_test(the_first_of_many_are_named),
        cmocka_unit_test(run_waits_on),
        cmocka_unit_test(one_thread_closes_at_a_time),
        cmocka_unit_test(a_grace_that_suffices_is_not_used_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
