/* SPDX-License-Identifier: MIT */
/*
 * What a wait is for was said by most that wait, and stayed said when it was over: a task that then
 * waited for a job was looked at as one that still waited for a mutex, for futures, for an
 * operation, of which there were none.
 */
#include <sys/socket.h>

#include "unit/blocking_help.h"
#include "unit/view_help.h"

struct looked_at {
    void *(*wait)(void *arg); /* a wait that says what it is for */
    struct gate gate;
};

struct locked {
    struct weft_mutex m;
    weft_task *waiter;
    shared_int is_locked;
};

static void *unlock_when_awaited(void *arg)
{
    struct locked *l = arg;
    CHECK_EQUAL(weft_mutex_lock(&l->m), 0);
    atomic_store_seq_cst(&l->is_locked, 1);
    await_words(l->waiter, "waits for a mutex");
    CHECK_EQUAL(weft_mutex_unlock(&l->m), 0);
    return arg;
}

static void *wait_for_mutex(void *arg)
{
    struct locked l = {.m = WEFT_MUTEX_INIT, .waiter = weft_self()};
    weft_task *other = weft_spawn(unlock_when_awaited, &l);
    yield_until(&l.is_locked, 1);
    CHECK_EQUAL(weft_mutex_lock(&l.m), 0);
    CHECK_EQUAL(weft_mutex_unlock(&l.m), 0);
    CHECK_EQUAL(weft_join(other, NULL), 0);
    return arg;
}

static void *sleep_shortly(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    return arg;
}

static void *wait_for_futures(void *arg)
{
    weft_task *t[2] = {weft_spawn(sleep_shortly, NULL), weft_spawn(sleep_shortly, NULL)};
    CHECK_EQUAL(weft_wait(2, t, WEFT_ALL_COMPLETED), 2);
    weft_put(t[0]);
    weft_put(t[1]);
    return arg;
}

static void *write_later(void *arg)
{
    CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    CHECK_EQUAL(weft_write((int)(intptr_t)arg, "x", 1), 1);
    return NULL;
}

static void *wait_for_operation(void *arg)
{
    int fds[2];
    char byte;
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    weft_task *other = weft_spawn(write_later, (void *)(intptr_t)fds[1]);
    CHECK_EQUAL(weft_read(fds[0], &byte, 1), 1);
    CHECK_EQUAL(weft_join(other, NULL), 0);
    close(fds[0]);
    close(fds[1]);
    return arg;
}

static void *wait_then_run_a_job(void *arg)
{
    struct looked_at *l = arg;
    (void)l->wait(NULL);
    CHECK_EQUAL(weft_run_blocking(job_at_gate, &l->gate, NULL), 0);
    return arg;
}

static void *body(void *arg)
{
    static void *(*const waits[])(void *) = {wait_for_mutex, wait_for_futures, wait_for_operation};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        struct looked_at l = {.wait = waits[i], .gate = GATE_CLOSED};
        weft_task *t = weft_spawn(wait_then_run_a_job, &l);
        void *frames[4];
        gate_await(&l.gate, 1);
        await_words(t, "waits for a call");
        CHECK(weft_backtrace(t, frames, 4) > 0);
        gate_open(&l.gate);
        CHECK_EQUAL(weft_join(t, NULL), 0);
    }
    return arg;
}

static void a_task_that_waits_for_a_job_is_shown_as_that(void **state)
{
    (void)state;
    run_case(body, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_waits_for_a_job_is_shown_as_that),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
