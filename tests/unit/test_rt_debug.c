/* SPDX-License-Identifier: MIT */
/*
 * Goal: debug mode names those that hold up a worker: a task or callback that runs for long, and
 * one that blocks its thread, while it does; nobody else; and not while it is off.
 *
 * Method: standard error is captured. What is slow goes on until the clock says that it was, what
 * blocks until it has been told of. What is not to be named waits for longer than the limit.
 */
#include "task_help.h"

struct output {
    int lines;
    char text[8192];
};

static bool says(const struct output *out, const char *words)
{
    return strstr(out->text, words) != NULL;
}

static void assert_said(const struct output *out, const char *words)
{
    if (!says(out, words)) {
        print_error("not found: %s\nin: %s\n", words, out->text);
    }
    assert_true(says(out, words));
}

/* Whoever is slow is told of once: when it is over, or by who looks, if it finds the thread twice
 * where it was, asleep in the kernel. Memory that has to be fetched suffices on a busy machine. */
static void assert_named(const struct output *out, const char *name)
{
    char over[64];
    char meanwhile[64];
    snprintf(over, sizeof over, "%s took ", name);
    snprintf(meanwhile, sizeof meanwhile, "%s blocks worker ", name);
    assert_said(out, says(out, meanwhile) ? meanwhile : over);
}

static struct output output_of(const struct weft_options *options, weft_fn fn, void *arg)
{
    struct output out;
    FILE *file = NULL;
    capture_begin(&file);
    run_case_with(options, fn, arg);
    out.lines = capture_end(&file, out.text, sizeof out.text);
    return out;
}

#define SLOW_NS (5 * WEFT_MS)

static const struct weft_options with_debug = {.debug = true, .slow_ns = SLOW_NS};

static void burn(int64_t for_ns)
{
    int64_t until = weft_now() + for_ns;
    while (weft_now() < until) {
        /* burn */
    }
}

static void *burn_task(void *arg)
{
    burn(2 * SLOW_NS);
    return arg;
}

static weft_task *spawn_named(const char *name, weft_fn fn, void *arg)
{
    const struct weft_spawn_options options = {.name = name};
    return weft_spawn_with(&options, fn, arg);
}

static struct weft_metrics metrics_now(void)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &m), 0);
    return m;
}

/* --- slow ------------------------------------------------------------------------------------- */

static void *burn_and_yield(void *arg)
{
    CHECK_EQUAL(weft_yield(), 0);
    burn(2 * SLOW_NS);
    CHECK_EQUAL(weft_sleep(1), 0);
    return arg;
}

static shared_int calls;

static void burn_callback(void *arg)
{
    (void)arg;
    burn(2 * SLOW_NS);
    atomic_add_seq_cst(&calls, 1);
}

static void *slow_main(void *arg)
{
    weft_task *t = spawn_named("burns", burn_task, NULL);
    weft_task *u = spawn_named("burns later", burn_and_yield, NULL);
    atomic_store_seq_cst(&calls, 0);
    CHECK_EQUAL(weft_post(weft_runtime_current(), burn_callback, NULL), 0);
    yield_until(&calls, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_join(u, NULL), 0);
    while (metrics_now().slow < 3) { /* the callback is counted after its return */
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void item_337_slow_steps_are_named(void **state)
{
    (void)state;
    struct output out = output_of(&with_debug, slow_main, NULL);
    assert_named(&out, "task burns");
    assert_named(&out, "task burns later");
    assert_said(&out, "a callback (0x");
    assert_said(&out, " ms");
}

static void *parent_main(void *arg)
{
    static const struct weft_spawn_options child = {.name = "child"};
    CHECK_EQUAL(weft_task_set_name(weft_self(), "parent"), 0);
    CHECK_EQUAL(weft_join(weft_spawn_with(&child, burn_task, NULL), NULL), 0);
    return arg;
}

static void a_nested_tasks_time_is_its_own(void **state)
{
    (void)state;
    struct weft_options options = with_debug;
    options.workers = 1; /* it is nested */
    struct output out = output_of(&options, parent_main, NULL);
    assert_named(&out, "task child");
}

/* --- blocked ---------------------------------------------------------------------------------- */

struct pipe_ends {
    int end[2];
    weft_runtime *rt;
    shared_int before; /* how many calls were told to block before the reader's, and 1 */
};

static void *block_in_read(void *arg)
{
    struct pipe_ends *p = arg;
    struct weft_metrics m;
    char byte;
    CHECK_EQUAL(weft_metrics(p->rt, &m), 0);
    atomic_store_seq_cst(&p->before, (int)m.blocked + 1);
    CHECK_EQUAL(read(p->end[0], &byte, 1), 1); /* the plain call */
    return NULL;
}

static void *write_when_told(void *arg)
{
    struct pipe_ends *p = arg;
    struct weft_metrics m;
    spin_until(&p->before, 1);
    do {
        sched_yield();
        CHECK_EQUAL(weft_metrics(p->rt, &m), 0);
    } while ((int)m.blocked < atomic_load_seq_cst(&p->before));
    CHECK_EQUAL(write(p->end[1], "x", 1), 1);
    return NULL;
}

static void *block_main(void *arg)
{
    struct pipe_ends p = {.before = 0};
    CHECK_EQUAL(pipe(p.end), 0);
    p.rt = weft_runtime_current();
    pthread_t thread = start_thread(write_when_told, &p);
    CHECK_EQUAL(weft_join(spawn_named("reads", block_in_read, &p), NULL), 0);
    pthread_join(thread, NULL);
    close(p.end[0]);
    close(p.end[1]);
    return arg;
}

static void a_blocking_call_is_told_while_it_blocks(void **state)
{
    (void)state;
    struct output out = output_of(&with_debug, block_main, NULL);
    assert_said(&out, "task reads blocks worker ");
    assert_false(says(&out, "task reads took ")); /* told once */
}

/* --- not -------------------------------------------------------------------------------------- */

static void *wait_long(void *arg)
{
    CHECK_EQUAL(weft_sleep(600 * WEFT_MS), 0);
    return arg;
}

static void *waiting_main(void *arg)
{
    CHECK_EQUAL(weft_join(spawn_named("waits", wait_long, NULL), NULL), 0);
    return arg;
}

static void who_waits_is_not_named(void **state)
{
    (void)state;
    struct weft_options options = {.debug = true, .slow_ns = 300 * WEFT_MS};
    bool is_named = true;
    for (int i = 0; i < 5 && is_named; i++) { /* any step may be slow on a busy machine */
        struct output out = output_of(&options, waiting_main, NULL);
        is_named = says(&out, "waits");
    }
    assert_false(is_named);
}

static void *off_main(void *arg)
{
    CHECK(!weft_debug(weft_runtime_current()));
    CHECK_EQUAL(weft_join(weft_spawn(burn_task, NULL), NULL), 0);
    CHECK_EQUAL(metrics_now().slow, 0);
    return arg;
}

static void nobody_is_named_while_it_is_off(void **state)
{
    (void)state;
    struct weft_options options = {.slow_ns = SLOW_NS};
    struct output out = output_of(&options, off_main, NULL);
    assert_int_equal(out.lines, 0);
}

/* --- on and off ------------------------------------------------------------------------------- */

static void *switch_main(void *arg)
{
    weft_runtime *rt = weft_runtime_current();
    uint64_t slow = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(!weft_debug(rt));
        CHECK_EQUAL(weft_set_debug(rt, true), 0);
        CHECK_EQUAL(weft_set_debug(rt, true), 0);
        CHECK(weft_debug(rt));
        CHECK_EQUAL(weft_yield(), 0);
        weft_task *t = weft_spawn(burn_task, NULL);
        CHECK_EQUAL(weft_join(t, NULL), 0);
        CHECK(metrics_now().slow > slow);
        CHECK_EQUAL(weft_set_debug(rt, false), 0);
        CHECK_EQUAL(weft_join(weft_spawn(burn_task, NULL), NULL), 0);
        slow = metrics_now().slow;
    }
    return arg;
}

static void *is_on_main(void *arg)
{
    CHECK_EQUAL(weft_debug(weft_runtime_current()), arg != NULL);
    return NULL;
}

static void item_335_it_is_set_by_option_environment_and_call(void **state)
{
    (void)state;
    struct weft_options slow = {.slow_ns = SLOW_NS};
    struct output out = output_of(&slow, switch_main, NULL);
    assert_true(out.lines >= 3);
    struct weft_options option = {.debug = true, .slow_ns = WEFT_MINUTE};
    run_case_with(&option, is_on_main, &calls);
    setenv("WEFT_DEBUG", "1", 1);
    struct weft_options patient = {.slow_ns = WEFT_MINUTE};
    run_case_with(&patient, is_on_main, &calls);
    setenv("WEFT_DEBUG", "0", 1);
    run_case_with(&patient, is_on_main, NULL);
    run_case_with(&option, is_on_main, &calls);
    setenv("WEFT_DEBUG", "loud", 1);
    FILE *file = NULL;
    char text[256];
    weft_runtime *rt;
    capture_begin(&file);
    int err = weft_runtime_create(&rt, &patient);
    assert_int_equal(capture_end(&file, text, sizeof text), 1);
    assert_int_equal(err, -EINVAL);
    unsetenv("WEFT_DEBUG");
    assert_int_equal(weft_set_debug(NULL, true), -EINVAL);
    assert_false(weft_debug(NULL));
}

static void *from_outside(void *arg)
{
    CHECK(weft_spawn(is_on_main, NULL) == NULL);
    CHECK_EQUAL(weft_go(is_on_main, NULL), -EPERM);
    CHECK_EQUAL(weft_yield(), -EPERM);
    return arg;
}

static void *outside_main(void *arg)
{
    pthread_t thread = start_thread(from_outside, NULL);
    pthread_join(thread, NULL);
    return arg;
}

static void item_336_the_wrong_thread_is_refused_in_either_mode(void **state)
{
    (void)state;
    struct weft_options options = {.slow_ns = WEFT_MINUTE};
    run_case_with(&options, outside_main, NULL);
    options.debug = true;
    run_case_with(&options, outside_main, NULL);
}

static void a_closed_runtime_is_not_debugged(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(&with_debug);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_false(weft_debug(rt));
    assert_int_equal(weft_set_debug(rt, true), -ESHUTDOWN);
    assert_int_equal(weft_runtime_destroy(rt), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_337_slow_steps_are_named),
        cmocka_unit_test(a_nested_tasks_time_is_its_own),
        cmocka_unit_test(a_blocking_call_is_told_while_it_blocks),
        cmocka_unit_test(who_waits_is_not_named),
        cmocka_unit_test(nobody_is_named_while_it_is_off),
        cmocka_unit_test(item_335_it_is_set_by_option_environment_and_call),
        cmocka_unit_test(item_336_the_wrong_thread_is_refused_in_either_mode),
        cmocka_unit_test(a_closed_runtime_is_not_debugged),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
