/* SPDX-License-Identifier: MIT */
/*
 * Workers that are kicked all the time, wherever they are, while tasks of every kind run: spawns
 * that are awaited, hand-offs, echoes, sleeps, cancels, and some that burn.
 *
 * A kick that another thread asks for makes the handler do its work as if the worker were late: it
 * takes the next slot away in the middle of whatever the scheduler is doing, enters the kernel, and
 * has others take over timers, messages and completions. Nothing may be lost or done twice.
 */
#include "../io/io_help.h"

#include "runtime_object.h"

static shared_int is_over;

/* ---- who kicks ---- */

static void *kick_all(void *arg)
{
    weft_runtime *rt = arg;
    uint64_t random = test_seed();
    struct timespec pause = {.tv_nsec = 20000};
    while (!atomic_load_seq_cst(&is_over)) {
        struct worker *w = &rt->workers[test_random(&random) % rt->worker_count];
        if (atomic_load_seq_cst(&w->rescue.is_kickable) != 0) {
            weft__kick_send(&w->rescue.kick);
        }
        if (test_random(&random) % 4 == 0) {
            (void)nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

/* ---- what runs ---- */

static void *sum_below(void *arg)
{
    int n = UNBOXED(arg);
    if (n < 2) {
        return BOXED(n);
    }
    weft_task *left = spawn(sum_below, BOXED(n - 1));
    weft_task *right = spawn(sum_below, BOXED(n - 2));
    return BOXED(joined(left) + joined(right));
}

static void *count_trees(void *arg)
{
    for (int i = 0; i < UNBOXED(arg); i++) {
        CHECK_EQUAL(joined(spawn(sum_below, BOXED(9))), 34);
    }
    return NULL;
}

struct echo {
    int fds[2];
    int rounds;
};

static void *echo_all(void *arg)
{
    struct echo *e = arg;
    int number;
    size_t done;
    while (weft_read_full(e->fds[1], &number, sizeof number, &done) == 0) {
        CHECK_EQUAL(weft_write_full(e->fds[1], &number, sizeof number, NULL), 0);
    }
    CHECK_EQUAL(done, 0);
    return NULL;
}

static void *count_echoes(void *arg)
{
    struct echo e = {.rounds = UNBOXED(arg)};
    make_pair(e.fds);
    weft_task *server = spawn(echo_all, &e);
    for (int i = 0; i < e.rounds; i++) {
        int back = -1;
        CHECK_EQUAL(weft_write_full(e.fds[0], &i, sizeof i, NULL), 0);
        CHECK_EQUAL(weft_read_full(e.fds[0], &back, sizeof back, NULL), 0);
        CHECK_EQUAL(back, i);
    }
    CHECK_EQUAL(weft_shutdown(e.fds[0], SHUT_WR), 0);
    CHECK_EQUAL(weft_join(server, NULL), 0);
    CHECK_EQUAL(weft_close(e.fds[0]), 0);
    CHECK_EQUAL(weft_close(e.fds[1]), 0);
    return NULL;
}

static void *count_sleeps(void *arg)
{
    for (int i = 0; i < UNBOXED(arg); i++) {
        CHECK_EQUAL(weft_sleep((i % 5) * 20 * WEFT_US), 0);
    }
    return NULL;
}

/* A receive that is cancelled, or closed, or gets its byte: one of them. */
static void *count_cancels(void *arg)
{
    for (int i = 0; i < UNBOXED(arg); i++) {
        int fds[2];
        make_pair(fds);
        weft_task *t = spawn(read_byte, BOXED(fds[0]));
        yield_until_calls(fds[0], 1);
        if (i % 3 == 0) {
            CHECK_EQUAL(weft_send(fds[1], "x", 1, 0), 1);
        }
        if (i % 3 == 1) {
            CHECK_EQUAL(weft_close(fds[0]), 0);
        } else {
            weft_cancel(t);
        }
        int got = joined(t);
        if (got != 1) {
            CHECK_EQUAL(got, -ECANCELED);
            if (i % 3 == 0) {
                char c;
                CHECK_EQUAL(weft_recv(fds[0], &c, 1, 0), 1); /* not lost */
            }
        }
        if (i % 3 != 1) {
            CHECK_EQUAL(weft_close(fds[0]), 0);
        }
        CHECK_EQUAL(weft_close(fds[1]), 0);
    }
    return NULL;
}

static void *burn_now_and_then(void *arg)
{
    for (int i = 0; i < UNBOXED(arg); i++) {
        for (int64_t until = weft_now() + 300 * WEFT_US; weft_now() < until;) {
        }
        CHECK_EQUAL(weft_yield(), 0);
    }
    return NULL;
}

#define EACH 3

static void *run_all(void *arg)
{
    static const struct {
        weft_fn fn;
        size_t times;
        size_t sanitized;
    } kinds[] = {
        {count_trees, 60, 6},     {count_echoes, 1500, 150},    {count_sleeps, 600, 60},
        {count_cancels, 300, 40}, {burn_now_and_then, 100, 20},
    };
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    weft_task *t[KINDS * EACH];
    (void)arg;
    for (int i = 0; i < KINDS * EACH; i++) {
        size_t times = test_scaled(kinds[i % KINDS].times, kinds[i % KINDS].sanitized);
        t[i] = spawn(kinds[i % KINDS].fn, BOXED(times));
    }
    for (int i = 0; i < KINDS * EACH; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return NULL;
}

static void nothing_is_lost(void **state)
{
    (void)state;
    int before = fd_count();
    atomic_store_seq_cst(&is_over, 0);
    weft_runtime *rt = create_runtime(NULL);
    pthread_t kicker = start_thread(kick_all, rt);
    CHECK_EQUAL(weft_runtime_run(rt, run_all, NULL, NULL), 0);
    await_live(rt, 0);
    atomic_store_seq_cst(&is_over, 1);
    pthread_join(kicker, NULL);
    finish_runtime(rt);
    CHECK_EQUAL(fd_count(), before);
}

/* Closing while everybody is kicked, and some burn. */
static void *burn_until_cancelled(void *arg)
{
    while (weft_yield() == 0) {
        for (int64_t until = weft_now() + 300 * WEFT_US; weft_now() < until;) {
        }
    }
    return arg;
}

static void *sleep_until_cancelled(void *arg)
{
    while (weft_sleep(50 * WEFT_US) == 0) {
    }
    return arg;
}

static void *start_burners(void *arg)
{
    for (int i = 0; i < 8; i++) {
        CHECK_EQUAL(weft_go(burn_until_cancelled, arg), 0);
        CHECK_EQUAL(weft_go(sleep_until_cancelled, arg), 0);
    }
    return NULL;
}

static void a_close_ends(void **state)
{
    (void)state;
    for (size_t round = 0; round < test_scaled(20, 3); round++) {
        atomic_store_seq_cst(&is_over, 0);
        weft_runtime *rt = create_runtime(NULL);
        CHECK_EQUAL(weft_runtime_run(rt, start_burners, NULL, NULL), 0);
        pthread_t kicker = start_thread(kick_all, rt);
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        atomic_store_seq_cst(&is_over, 1);
        pthread_join(kicker, NULL);
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(a_close_ends),
    };
    (void)test_seed();
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
