/* SPDX-License-Identifier: MIT */
/*
 * A runtime that cannot be had: each thing that making, running and closing one needs is refused
 * in its turn. Then there is none, the reason is told, and nothing is left of it.
 *
 * Workers: 2
 */
#include "fault_help.h"

static void *nothing(void *arg)
{
    return arg;
}

static int run_one(const struct weft_options *options)
{
    void *result = NULL;
    weft_runtime *rt = NULL;
    int err = weft_runtime_create(&rt, options);
    if (err < 0) {
        CHECK(rt == NULL);
        return err;
    }
    err = weft_runtime_run(rt, nothing, rt, &result);
    CHECK(err < 0 || result == rt);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    return err;
}

static int run_plain(void *arg)
{
    (void)arg;
    return run_one(NULL);
}

static int run_with_debug(void *arg)
{
    (void)arg;
    struct weft_options options = {.debug = 1};
    return run_one(&options);
}

static int run_simulated(void *arg)
{
    (void)arg;
    struct weft_options options = {.simulation = 1, .seed = 7};
    return run_one(&options);
}

static int run_whole(void *arg)
{
    void *result = NULL;
    int err = weft_run(nothing, &err, &result);
    (void)arg;
    CHECK(err < 0 || result == &err);
    return err;
}

static const struct fault memory_faults[] = {
    {INJECT_MEMORY, ENOMEM, 1}, {INJECT_MEMORY, ENOMEM, 5}, {INJECT_MAP, ENOMEM, 1},
    {INJECT_MAP, ENOMEM, 5},    {INJECT_ADVICE, ENOMEM, 1}, {INJECT_ADVICE, ENOMEM, 5},
    {INJECT_THREAD, EAGAIN, 1},
};

static const struct fault kernel_faults[] = {
    {INJECT_RING, ENOMEM, 1},       {INJECT_RING, EMFILE, 1},       {INJECT_RING, EPERM, 0},
    {INJECT_RING, EINVAL, 1},       {INJECT_REGISTER, EINVAL, 1},   {INJECT_REGISTER, ENOMEM, 0},
    {INJECT_TIMER, EAGAIN, 1},      {INJECT_TIMER, EAGAIN, 0},      {INJECT_SIGNAL, EINVAL, 1},
    {INJECT_SIGNAL, EINVAL, 0},     {INJECT_DESCRIPTOR, EMFILE, 1}, {INJECT_DESCRIPTOR, ENFILE, 0},
    {INJECT_KERNEL, EPERM, 1},      {INJECT_KERNEL, ENOSYS, 0},     {INJECT_BARRIER, ENOMEM, 1},
    {INJECT_BARRIER, ENOMEM, 5},    {INJECT_CONTROL, EINVAL, 1},    {INJECT_ENTER, EINTR, 1},
    {INJECT_ENTER, EAGAIN, 1},      {INJECT_ENTER, EBUSY, 1},       {INJECT_ENTER, 0, 1},
};

static void want_of_memory_is_told_and_leaves_nothing(void **state)
{
    static const struct fault_case cases[] = {
        {"weft_runtime_create", run_plain, NULL, {0}},
        {"weft_runtime_create with debug", run_with_debug, NULL, {0}},
        {"weft_runtime_create, simulated", run_simulated, NULL, {0}},
        {"weft_run", run_whole, NULL, {0}},
    };
    (void)state;
    fault_walk_apart(cases, COUNT(cases), memory_faults, COUNT(memory_faults));
}

static void each_refusal_of_the_kernel_is_told_and_leaves_nothing(void **state)
{
    static const struct fault_case cases[] = {
        {"weft_runtime_create", run_plain, NULL, {-ENOSYS}}, /* what can do without has to */
    };
    (void)state;
    fault_walk_apart(cases, COUNT(cases), kernel_faults, COUNT(kernel_faults));
}

static void signals_that_cannot_be_had_are_told(void **state)
{
    static const struct fault_case cases[] = {{"weft_run", run_whole, NULL, {0}}};
    static const struct fault faults[] = {{INJECT_SIGNAL, EINVAL, 1}, {INJECT_SIGNAL, EINVAL, 0}};
    (void)state;
    fault_walk_apart(cases, COUNT(cases), faults, COUNT(faults));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(want_of_memory_is_told_and_leaves_nothing),
        cmocka_unit_test(each_refusal_of_the_kernel_is_told_and_leaves_nothing),
        cmocka_unit_test(signals_that_cannot_be_had_are_told),
    };
    fault_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
