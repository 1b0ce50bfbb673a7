/* SPDX-License-Identifier: MIT */
/*
 * Children and pools of them, when what starting one needs is refused: no child is left that nobody
 * has, no zombie, no descriptor; what was begun can be waited for.
 *
 * Workers: 2
 */
#include "../io/process_help.h"

#include "fault_help.h"

static int run_child(void *arg)
{
    weft_process *p = NULL;
    struct weft_process_output output;
    int status = -1;
    (void)arg;
    int err = weft_process_shell("cat; echo done; exit 3", IN_OUT_ERR, &p);
    if (err < 0) {
        CHECK(p == NULL);
        return err;
    }
    err = weft_process_communicate(p, "given ", 6, &output);
    if (err == 0) {
        CHECK_EQUAL(output.out_bytes, 11);
        CHECK_EQUAL(memcmp(output.out, "given done\n", 11), 0);
        weft_process_output_fini(&output);
    }
    int closed = weft_process_close_stdin(p);
    CHECK(closed <= 0);
    int waited_for = weft_process_wait(p, &status);
    err = first_error(err, waited_for);
    if (waited_for < 0) {
        (void)weft_process_kill(p);
    } else {
        CHECK(status == 3 || err < 0);
    }
    (void)weft_process_close(p, NULL);
    return err;
}

/* Nobody waits for it. */
static int leave_child(void *arg)
{
    weft_process *p = NULL;
    (void)arg;
    int err = weft_process_shell("exit 0", NULL, &p);
    weft_process_put(p);
    while (err == 0) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD) {
            break;
        }
        (void)weft_sleep(WEFT_MS);
        SPARED(weft_process *q = NULL; int e = weft_process_shell("exit 0", NULL, &q);
               CHECK_EQUAL(e, 0); CHECK_EQUAL(weft_process_close(q, NULL), 0)); /* reaps */
    }
    return err;
}

static int echo_job(const void *in, size_t bytes, struct weft_process_reply *reply)
{
    return weft_process_reply_add(reply, in, bytes);
}

static int use_pool(void *arg)
{
    struct weft_process_pool_options options = {.workers = 2};
    weft_process_pool *pool = NULL;
    weft_future *jobs[4];
    const void *data;
    size_t bytes;
    (void)arg;
    int err = weft_process_pool_create(&options, &pool);
    if (err < 0) {
        return err;
    }
    for (size_t i = 0; i < COUNT(jobs); i++) {
        jobs[i] = weft_submit_process(pool, "echo", "text", 4);
        err = first_error(err, NULL_IS_ENOMEM(jobs[i]));
    }
    for (size_t i = 0; i < COUNT(jobs); i++) {
        int e = jobs[i] == NULL ? 0 : weft_await(jobs[i], NULL);
        if (jobs[i] != NULL && e == 0) {
            CHECK_EQUAL(weft_process_result(jobs[i], &data, &bytes), 0);
            CHECK(bytes == 4 && memcmp(data, "text", 4) == 0);
        }
        weft_put(jobs[i]);
        err = first_error(err, e);
    }
    int closed = weft_process_pool_close(pool);
    return first_error(err, closed);
}

static const struct fault_case cases[] = {
    {"weft_process_spawn", run_child, NULL, {-EPIPE}},
    {"weft_process_put", leave_child, NULL, {0}},
    {"weft_submit_process", use_pool, NULL, {-EPIPE, -ECONNRESET}},
};

static void want_of_anything_leaves_no_child(void **state)
{
    static const struct fault faults[] = {
        {INJECT_MEMORY, ENOMEM, 1},     {INJECT_MEMORY, ENOMEM, 3}, {INJECT_DESCRIPTOR, EMFILE, 1},
        {INJECT_DESCRIPTOR, ENFILE, 2}, {INJECT_SPAWN, EAGAIN, 1},  {INJECT_SPAWN, ENOMEM, 1},
        {INJECT_THREAD, EAGAIN, 1},     {INJECT_DESCRIPTOR, ENOMEM, 1},
    };
    (void)state;
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
    await_no_children();
}

/* To ask for a status is done again. */
static void interruptions_lose_no_status(void **state)
{
    static const struct fault faults[] = {{INJECT_WAITID, EINTR, 1}, {INJECT_WAITID, EINTR, 3}};
    (void)state;
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
    await_no_children();
}

static int do_without(void *arg)
{
    const struct fault_case *c = arg;
    CHECK_EQUAL(c->run(c->arg), 0);
    return 0;
}

/* A filter of system calls, as containers have them, that knows wait4 only. */
static void waitid_can_be_done_without(void **state)
{
    static const struct fault faults[] = {{INJECT_WAITID, EPERM, 0}, {INJECT_WAITID, ENOSYS, 0}};
    struct fault_case all[COUNT(cases)];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        all[i] = (struct fault_case){cases[i].name, do_without, (void *)(uintptr_t)&cases[i], {0}};
    }
    fault_run(all, COUNT(all), faults, COUNT(faults));
    await_no_children();
}

static void an_operation_that_fails_leaves_no_child(void **state)
{
    static const struct fault faults[] = {
        {INJECT_OPERATION, ENOMEM, 1},
        {INJECT_OPERATION, EIO, 1},
        {INJECT_OPERATION, 0, 3},
        {INJECT_ENTER, EAGAIN, 1},
    };
    (void)state;
    if (!inject_has_operations()) {
        skip();
    }
    fault_run(cases, COUNT(cases), faults, COUNT(faults));
    await_no_children();
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(want_of_anything_leaves_no_child),
        cmocka_unit_test(interruptions_lose_no_status),
        cmocka_unit_test(waitid_can_be_done_without),
        cmocka_unit_test(an_operation_that_fails_leaves_no_child),
    };
    CHECK_EQUAL(weft_process_register("echo", echo_job), 0);
    weft_process_main(argc, argv);
    fault_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
