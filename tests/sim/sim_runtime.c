/* SPDX-License-Identifier: MIT */
/*
 * Goal: a simulation is what its header says: the same seed gives the same run, other seeds others,
 * every order is met, time jumps, and the world is waited for, but not for ever.
 *
 * Method: small bodies whose order of events is written down, under many seeds.
 */
#include "sim_help.h"

#include <sys/socket.h>
#include <sys/wait.h>

#define EVENTS_MAX 64

/* What happened in a run, in order. */
static int events[EVENTS_MAX];
static int64_t times[EVENTS_MAX];
static size_t event_count;

static void note(int what)
{
    CHECK(event_count < EVENTS_MAX);
    times[event_count] = weft_now();
    events[event_count++] = what;
}

static uint64_t events_hash(void)
{
    uint64_t hash = 1;
    for (size_t i = 0; i < event_count; i++) {
        hash = (hash * 31 + (uint64_t)events[i]) * 31 + (uint64_t)times[i];
    }
    return hash;
}

static uint64_t run_hash(uint64_t seed, weft_fn fn)
{
    event_count = 0;
    CHECK(sim_run(seed, fn, NULL));
    return events_hash();
}

/* ---- the same again ---- */

static void on_done(weft_future *f, void *arg)
{
    (void)f;
    note(100 + (int)(intptr_t)arg);
}

static void *wander(void *arg)
{
    int i = (int)(intptr_t)arg;
    note(i);
    CHECK_EQUAL(weft_yield(), 0);
    note(10 + i);
    CHECK_EQUAL(weft_sleep(i % 3 * WEFT_MS), 0);
    note(20 + i);
    return NULL;
}

/* Goes on after the main task, is cancelled by the close, and maybe sleeps all the same. */
static void *linger(void *arg)
{
    int err = weft_sleep(WEFT_MS * (int64_t)(intptr_t)arg);
    note(200 + err);
    (void)weft_uncancel();
    note(300 + weft_sleep(WEFT_SECOND));
    return NULL;
}

static void *wander_body(void *arg)
{
    (void)arg;
    weft_task *t[4];
    CHECK_EQUAL(weft_go(linger, (void *)1000), 0);
    CHECK_EQUAL(weft_go(linger, (void *)2), 0);
    for (intptr_t i = 0; i < 4; i++) {
        t[i] = weft_spawn(wander, (void *)i);
        CHECK_EQUAL(weft_on_done(t[i], on_done, (void *)i), 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    note(-1);
    return NULL;
}

static void a_seed_gives_the_same_run_again(void **state)
{
    (void)state;
    uint64_t seen[50];
    for (uint64_t i = 0; i < 50; i++) {
        seen[i] = run_hash(i + 1, wander_body);
    }
    size_t distinct = 0;
    for (size_t i = 0; i < 50; i++) {
        assert_true(run_hash(i + 1, wander_body) == seen[i]);
        bool is_new = true;
        for (size_t k = 0; k < i; k++) {
            is_new = is_new && seen[k] != seen[i];
        }
        distinct += is_new;
    }
    assert_in_range(distinct, 40, 50);
}

/* ---- every order ---- */

static void *note_it(void *arg)
{
    note((int)(intptr_t)arg);
    return NULL;
}

static void *sleep_and_note(void *arg)
{
    CHECK_EQUAL(weft_sleep_until(2 * WEFT_SECOND), 0);
    return note_it(arg);
}

/* Spawn three of fn, go on, and wait for them. */
static void *three(weft_fn fn)
{
    weft_task *t[3];
    for (intptr_t i = 0; i < 3; i++) {
        t[i] = weft_spawn(fn, (void *)i);
    }
    note(3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return NULL;
}

static void *three_at_once(void *arg)
{
    (void)arg;
    return three(note_it);
}

static void *three_sleepers(void *arg)
{
    (void)arg;
    return three(sleep_and_note);
}

static void *three_pinned(void *arg)
{
    (void)arg;
    struct weft_spawn_options options = {.pinned = true};
    weft_task *t[3];
    for (intptr_t i = 0; i < 3; i++) {
        t[i] = weft_spawn_with(&options, note_it, (void *)i);
    }
    note(3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return NULL;
}

static void post_it(void *arg)
{
    note((int)(intptr_t)arg);
}

static void *three_posts(void *arg)
{
    (void)arg;
    for (intptr_t i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_post(weft_runtime_current(), post_it, (void *)i), 0);
    }
    note(3);
    while (event_count < 4) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    return NULL;
}

/* In how many orders the four events came under as many seeds. */
static size_t orders_met(weft_fn fn, size_t seeds)
{
    bool met[256] = {false};
    size_t count = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        (void)run_hash(seed, fn);
        assert_int_equal(event_count, 4);
        int order = 0;
        for (int i = 0; i < 4; i++) {
            order = order * 4 + events[i];
        }
        count += !met[order];
        met[order] = true;
    }
    return count;
}

static void every_order_is_met(void **state)
{
    (void)state;
    size_t seeds = test_scaled(600, 200);
    size_t most = test_scaled(18, 12); /* where there are fewer seeds the rarest may be missed */
    assert_in_range(orders_met(three_at_once, seeds), most, 24);
    assert_in_range(orders_met(three_pinned, seeds), most, 24);
    assert_int_equal(orders_met(three_sleepers, seeds), 6); /* the fourth is always the first */
    assert_int_equal(orders_met(three_posts, seeds), 6);
}

/* ---- the clock ---- */

static void *sleep_long(void *arg)
{
    CHECK_EQUAL(weft_sleep((intptr_t)arg * WEFT_MINUTE), 0);
    return NULL;
}

static void *a_year_body(void *arg)
{
    (void)arg;
    int64_t begun = weft_now();
    CHECK_EQUAL(begun, WEFT_SECOND);
    weft_task *hour = weft_spawn(sleep_long, (void *)60);
    weft_task *year = weft_spawn(sleep_long, (void *)525600);
    CHECK_EQUAL(weft_join(hour, NULL), 0);
    CHECK_EQUAL(weft_now() - begun, 60 * WEFT_MINUTE);
    CHECK_EQUAL(weft_join(year, NULL), 0);
    CHECK_EQUAL(weft_now() - begun, 525600 * WEFT_MINUTE);
    return NULL;
}

static void a_year_passes_at_once(void **state)
{
    (void)state;
    assert_true(sim_run(1, a_year_body, NULL));
}

/* On the main thread, with SIGINT as it is by default and ignored: these wait in different ways. */
static void weft_run_lets_it_pass_too(void **state)
{
    (void)state;
    struct weft_options options = {.simulation = true, .seed = 1};
    void (*before)(int) = signal(SIGINT, SIG_DFL);
    assert_int_equal(weft_run_with(&options, a_year_body, NULL, NULL), 0);
    (void)signal(SIGINT, SIG_IGN);
    assert_int_equal(weft_run_with(&options, a_year_body, NULL, NULL), 0);
    (void)signal(SIGINT, before);
}

static void *spin_body(void *arg)
{
    int64_t until = weft_now() + 10 * WEFT_MS;
    while (weft_now() < until) {
        if (arg != NULL) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    return NULL;
}

static void who_waits_by_looking_is_not_left_behind(void **state)
{
    (void)state;
    assert_true(sim_run(1, spin_body, NULL));
    assert_true(sim_run(1, spin_body, &state));
}

static void *never(void *arg)
{
    (void)weft_sleep(60 * WEFT_MINUTE);
    note((int)(intptr_t)arg);
    return NULL;
}

static void *leave_one_behind(void *arg)
{
    return weft_go(never, arg) == 0 ? NULL : weft_fail(-ENOMEM);
}

static void all_stands_still_while_nobody_waits(void **state)
{
    (void)state;
    struct weft_options options = {.simulation = true, .seed = 1};
    weft_runtime *rt = create_runtime(&options);
    event_count = 0;
    CHECK_EQUAL(weft_runtime_run(rt, leave_one_behind, (void *)1, NULL), 0);
    CHECK_EQUAL(usleep(20000), 0);
    assert_int_equal(event_count, 0); /* an hour would have been nothing */
    weft_task *t;
    CHECK_EQUAL(weft_runtime_spawn(rt, sleep_long, (void *)61, &t), 0);
    CHECK_EQUAL(usleep(20000), 0);
    assert_false(weft_done(t));
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
    weft_put(t);
    assert_int_equal(event_count, 1);
    assert_true(weft_simulation_replayable(rt));
    assert_int_equal(weft_simulation_seed(rt), 1);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
}

/* A timer that is ahead when all has ended is dropped by the close, however near it is. */
static void *leave_timer(void *arg)
{
    weft_timer **timer = arg;
    CHECK_EQUAL(weft_timer_create(timer, weft_runtime_current(), post_it, NULL), 0);
    CHECK_EQUAL(weft_timer_start(*timer, WEFT_US), 0);
    return NULL;
}

static void a_close_does_not_let_time_pass(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        weft_timer *timer = NULL;
        event_count = 0;
        assert_true(sim_run(seed, leave_timer, &timer));
        assert_int_equal(event_count, 0);
        weft_timer_destroy(timer);
    }
}

/* ---- the world ---- */

static int ends[2];

static void *read_one(void *arg)
{
    char c = 0;
    ssize_t n = weft_read(ends[0], &c, 1);
    note(n < 0 ? (int)n : c);
    return arg;
}

/* What is under way outside holds the clock: the hour is not over before. */
static void *wait_for_the_world(void *arg)
{
    weft_task *t = weft_spawn(read_one, arg);
    weft_task *hour = weft_spawn(never, (void *)1);
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
    CHECK_EQUAL(weft_write(ends[1], "x", 1), 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_join(hour, NULL), 0);
    return NULL;
}

/* Nothing will ever come: the hour passes all the same. */
static void *give_up_on_the_world(void *arg)
{
    weft_task *t = weft_spawn(read_one, arg);
    CHECK_EQUAL(weft_sleep(60 * WEFT_MINUTE), 0);
    CHECK_EQUAL(weft_cancel_and_join(t, NULL), 0);
    return NULL;
}

static void operations_hold_the_clock_for_a_while(void **state)
{
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    event_count = 0;
    assert_false(sim_run(1, wait_for_the_world, NULL));
    assert_int_equal(event_count, 2);
    assert_int_equal(events[0], 'x');
    event_count = 0;
    assert_false(sim_run(1, give_up_on_the_world, NULL));
    assert_int_equal(events[0], -ECANCELED);
    close(ends[0]);
    close(ends[1]);
}

static shared_int is_inside;

static void *post_meanwhile(void *arg)
{
    spin_until(&is_inside, 1);
    CHECK_EQUAL(weft_runtime_spawn(arg, note_it, NULL, NULL), 0);
    atomic_store_seq_cst(&is_inside, 2);
    return NULL;
}

static void *await_meanwhile(void *arg)
{
    atomic_store_seq_cst(&is_inside, 1);
    spin_until(&is_inside, 2);
    return arg;
}

static void other_threads_disturb(void **state)
{
    (void)state;
    struct weft_options options = {.simulation = true};
    weft_runtime *rt = create_runtime(&options);
    assert_true(weft_simulation_seed(rt) != 0);
    assert_true(weft_simulation_replayable(rt));
    event_count = 0;
    pthread_t thread = start_thread(post_meanwhile, rt);
    CHECK_EQUAL(weft_runtime_run(rt, await_meanwhile, NULL, NULL), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    assert_false(weft_simulation_replayable(rt));
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    assert_int_equal(event_count, 1);
}

static void a_wait_that_times_out_lets_go(void **state)
{
    (void)state;
    struct weft_options options = {.simulation = true};
    weft_runtime *rt = create_runtime(&options);
    weft_task *t;
    atomic_store_seq_cst(&is_inside, 0);
    CHECK_EQUAL(weft_runtime_spawn(rt, await_meanwhile, NULL, &t), 0);
    do { /* it runs only while somebody waits */
        CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_MS, NULL), -ETIMEDOUT);
    } while (atomic_load_seq_cst(&is_inside) == 0);
    assert_false(weft_simulation_replayable(rt));
    atomic_store_seq_cst(&is_inside, 2);
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
    weft_put(t);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
}

static void *wait_for_nothing(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER) < 0 ? weft_fail(-ECANCELED) : NULL;
}

static void a_standstill_is_named(void **state)
{
    (void)state;
    FILE *file;
    char text[500];
    struct weft_options options = {.simulation = true, .seed = 77};
    weft_runtime *rt = create_runtime(&options);
    weft_task *t;
    CHECK_EQUAL(weft_runtime_spawn(rt, wait_for_nothing, NULL, &t), 0);
    capture_begin(&file);
    int err;
    do { /* it is told after 2 s in which nobody came; on a busy machine we may come by then */
        err = weft_future_wait_blocking(t, 2500 * WEFT_MS, NULL);
    } while (lseek(fileno(file), 0, SEEK_END) == 0);
    int lines = capture_end(&file, text, sizeof text);
    assert_int_equal(err, -ETIMEDOUT);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(text, "WEFT_SEED=77"));
    weft_put(t);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
}

/* ---- options ---- */

static uint64_t seed_made(uint64_t given)
{
    struct weft_options options = {.simulation = true, .seed = given};
    weft_runtime *rt = create_runtime(&options);
    CHECK_EQUAL(weft_runtime_workers(rt), 1);
    uint64_t seed = weft_simulation_seed(rt);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    return seed;
}

static void options_and_the_environment(void **state)
{
    (void)state;
    struct weft_options two = {.simulation = true, .workers = 2};
    weft_runtime *rt = NULL;
    CHECK_EQUAL(weft_runtime_create(&rt, &two), -EINVAL);
    const char *before = getenv("WEFT_SEED");
    char *saved = before == NULL ? NULL : strdup(before);
    setenv("WEFT_SEED", "18446744073709551615", 1);
    assert_true(seed_made(0) == UINT64_MAX);
    assert_true(seed_made(5) == 5);
    static const char *const bad[] = {"0", "-1", "x", "1x", "18446744073709551616", " 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        FILE *file;
        char text[200];
        setenv("WEFT_SEED", bad[i], 1);
        capture_begin(&file);
        int err = weft_runtime_create(&rt, NULL);
        assert_int_equal(capture_end(&file, text, sizeof text), 1);
        assert_int_equal(err, -EINVAL);
        assert_true(seed_made(5) == 5); /* not asked for */
    }
    unsetenv("WEFT_SEED");
    assert_true(seed_made(0) != seed_made(0));
    if (saved != NULL) {
        setenv("WEFT_SEED", saved, 1);
        free(saved);
    }
    assert_int_equal(weft_simulation_seed(NULL), 0);
    assert_false(weft_simulation_replayable(NULL));
}

int main(int argc, char **argv)
{
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_the_same_run_again),
        cmocka_unit_test(every_order_is_met),
        cmocka_unit_test(a_year_passes_at_once),
        cmocka_unit_test(weft_run_lets_it_pass_too),
        cmocka_unit_test(who_waits_by_looking_is_not_left_behind),
        cmocka_unit_test(all_stands_still_while_nobody_waits),
        cmocka_unit_test(a_close_does_not_let_time_pass),
        cmocka_unit_test(operations_hold_the_clock_for_a_while),
        cmocka_unit_test(other_threads_disturb),
        cmocka_unit_test(a_wait_that_times_out_lets_go),
        cmocka_unit_test(a_standstill_is_named),
        cmocka_unit_test(options_and_the_environment),
    };
    sim_begin(argv[0]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
