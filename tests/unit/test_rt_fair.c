/* SPDX-License-Identifier: MIT */
/*
 * Fairness on one worker: nothing that is ready, due or complete waits for ever, or for much longer
 * than its turn, behind tasks that go on and on.
 *
 * Every endless task here ends when the one that waits has got its turn; without the mechanism the
 * test hangs, or counts too many turns of the others.
 */
#include "../io/io_help.h"

#include <time.h>

static shared_int is_over;

static void *sleep_then_say_so(void *arg)
{
    (void)arg;
    CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    atomic_store_seq_cst(&is_over, 1);
    return NULL;
}

static void *say_so(void *arg)
{
    (void)arg;
    atomic_store_seq_cst(&is_over, 1);
    return NULL;
}

/* ---- items that have become slow ---- */

#define SLOW_TASKS 3

static int slow_turns;

static int64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

/* 2 ms of CPU between yields. */
static void *slow_task(void *arg)
{
    (void)arg;
    while (!atomic_load_seq_cst(&is_over)) {
        slow_turns++;
        for (int64_t until = thread_cpu_ns() + 2 * WEFT_MS; thread_cpu_ns() < until;) {
        }
        CHECK_EQUAL(weft_yield(), 0);
    }
    return NULL;
}

/* The worker has learnt that its items are quick, and then they are not. */
static void *quick_then_slow(void *arg)
{
    weft_task *t[SLOW_TASKS];
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_task *waiting = spawn(sleep_then_say_so, NULL);
    CHECK_EQUAL(weft_yield(), 0);
    for (int i = 0; i < SLOW_TASKS; i++) {
        t[i] = spawn(slow_task, NULL);
    }
    for (int i = 0; i < SLOW_TASKS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    CHECK_EQUAL(weft_join(waiting, NULL), 0);
    return NULL;
}

/* A turn comes after 10 ms of CPU, which the kernel's ticks may make 20; not after 128 items. */
static void a_turn_comes_when_items_are_slow(void **state)
{
    (void)state;
    slow_turns = 0;
    atomic_store_seq_cst(&is_over, 0);
    run_case_alone(quick_then_slow, NULL);
    CHECK(slow_turns < 50);
}

/* ---- a pair that hands off for ever ---- */

static int pair_fds[2][2];

/* Wait for a byte, pass it on: each makes the other ready, through the kernel. */
static void *pass_byte_on(void *arg)
{
    int self = UNBOXED(arg);
    char c;
    while (weft_recv(pair_fds[self][0], &c, 1, 0) == 1) {
        if (atomic_load_seq_cst(&is_over)) {
            CHECK_EQUAL(shutdown(pair_fds[!self][1], SHUT_WR), 0);
            return NULL;
        }
        CHECK_EQUAL(weft_send(pair_fds[!self][1], &c, 1, 0), 1);
    }
    CHECK_EQUAL(shutdown(pair_fds[!self][1], SHUT_WR), 0);
    return NULL;
}

static void *pair_beside(void *arg)
{
    weft_task *pair[2];
    make_pair(pair_fds[0]);
    make_pair(pair_fds[1]);
    for (int i = 0; i < 2; i++) {
        pair[i] = spawn(pass_byte_on, BOXED(i));
    }
    CHECK_EQUAL(weft_send(pair_fds[0][1], "x", 1, 0), 1);
    weft_task *waiting = spawn(*(weft_fn *)arg, NULL);
    CHECK_EQUAL(weft_join(waiting, NULL), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_join(pair[i], NULL), 0);
    }
    close_both(pair_fds[0]);
    close_both(pair_fds[1]);
    return NULL;
}

static void a_pair_starves_nobody(void **state)
{
    static weft_fn waits[] = {sleep_then_say_so, say_so};
    (void)state;
    for (int i = 0; i < 2; i++) {
        atomic_store_seq_cst(&is_over, 0);
        run_case_alone(pair_beside, &waits[i]);
    }
}

/* ---- spawning without end ---- */

/* Each spawns the next, which runs right after it. */
static void *spawn_the_next(void *arg)
{
    if (!atomic_load_seq_cst(&is_over)) {
        CHECK_EQUAL(weft_go(spawn_the_next, arg), 0);
    }
    return NULL;
}

static void *chain_beside_sleeper(void *arg)
{
    weft_task *waiting = spawn(sleep_then_say_so, arg);
    CHECK_EQUAL(weft_go(spawn_the_next, NULL), 0);
    CHECK_EQUAL(weft_join(waiting, NULL), 0);
    return NULL;
}

static void a_chain_of_spawns_starves_nobody(void **state)
{
    (void)state;
    atomic_store_seq_cst(&is_over, 0);
    run_case_alone(chain_beside_sleeper, NULL);
}

static void *say_nothing(void *arg)
{
    return arg;
}

/* Each runs on its waiter's stack. */
static void *await_children(void *arg)
{
    while (!atomic_load_seq_cst(&is_over)) {
        CHECK_EQUAL(weft_join(spawn(say_nothing, arg), NULL), 0);
    }
    return NULL;
}

static void *nesting_beside_sleeper(void *arg)
{
    weft_task *waiting = spawn(sleep_then_say_so, arg);
    CHECK_EQUAL(weft_join(spawn(await_children, NULL), NULL), 0);
    CHECK_EQUAL(weft_join(waiting, NULL), 0);
    return NULL;
}

static void nested_children_starve_nobody(void **state)
{
    (void)state;
    atomic_store_seq_cst(&is_over, 0);
    run_case_alone(nesting_beside_sleeper, NULL);
}

/* ---- work from outside ---- */

static void *yield_until_over(void *arg)
{
    yield_until(&is_over, 1);
    return arg;
}

static void *spawn_from_thread(void *arg)
{
    CHECK_EQUAL(weft_runtime_spawn(arg, say_so, NULL, NULL), 0);
    return NULL;
}

static void *yielders_beside_injected(void *arg)
{
    weft_task *t[10];
    (void)arg;
    for (int i = 0; i < 10; i++) {
        t[i] = spawn(yield_until_over, NULL);
    }
    pthread_t thread = start_thread(spawn_from_thread, weft_runtime_current());
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    pthread_join(thread, NULL);
    return NULL;
}

static void what_comes_from_outside_gets_its_turn(void **state)
{
    (void)state;
    atomic_store_seq_cst(&is_over, 0);
    run_case_alone(yielders_beside_injected, NULL);
}

/* ---- operations that complete at once, or fail ---- */

static void *read_zeros(void *arg)
{
    char c;
    while (!atomic_load_seq_cst(&is_over)) {
        CHECK_EQUAL(weft_read(UNBOXED(arg), &c, 1), 1);
    }
    return NULL;
}

static void *write_nowhere(void *arg)
{
    while (!atomic_load_seq_cst(&is_over)) {
        CHECK_EQUAL(weft_write(UNBOXED(arg), "x", 1), -EBADF);
    }
    return NULL;
}

static void *fail_at_once(void *arg)
{
    (void)arg;
    while (!atomic_load_seq_cst(&is_over)) {
        CHECK_EQUAL(weft_read(INT32_MAX, NULL, 0), -EBADF);
    }
    return NULL;
}

static void *operations_beside_sleeper(void *arg)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    weft_task *waiting = spawn(sleep_then_say_so, NULL);
    CHECK_EQUAL(weft_join(spawn(*(weft_fn *)arg, BOXED(fd)), NULL), 0);
    CHECK_EQUAL(weft_join(waiting, NULL), 0);
    CHECK_EQUAL(close(fd), 0);
    return NULL;
}

static void operations_that_never_wait_starve_nobody(void **state)
{
    static weft_fn operations[] = {read_zeros, write_nowhere, fail_at_once};
    (void)state;
    for (int i = 0; i < 3; i++) {
        atomic_store_seq_cst(&is_over, 0);
        run_case_alone(operations_beside_sleeper, &operations[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_comes_when_items_are_slow),
        cmocka_unit_test(a_pair_starves_nobody),
        cmocka_unit_test(a_chain_of_spawns_starves_nobody),
        cmocka_unit_test(nested_children_starve_nobody),
        cmocka_unit_test(what_comes_from_outside_gets_its_turn),
        cmocka_unit_test(operations_that_never_wait_starve_nobody),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
