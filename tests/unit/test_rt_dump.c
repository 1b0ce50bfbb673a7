/* SPDX-License-Identifier: MIT */
/*
 * Goal: a dump shows every task, and as trees who waits for whom, circles too; and it disturbs
 * nobody.
 */
#include "view_help.h"

/* --- the dump --------------------------------------------------------------------------------- */

static void *await_arg(void *arg)
{
    (void)weft_await(arg, NULL);
    return arg;
}

static void *await_nested(void *arg)
{
    const struct weft_spawn_options leaf = {.name = "leaf"};
    weft_task *t = weft_spawn_with(&leaf, await_arg, arg);
    (void)weft_join(t, NULL); /* mostly on this stack */
    return arg;
}

/* How many times `words` are in `text`. */
static int count_of(const char *text, const char *words)
{
    int n = 0;
    for (const char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words)) {
        n++;
    }
    return n;
}

/* root awaits middle, which awaits leaf, as does `other`; leaf awaits a promise. */
static void *tree_main(void *arg)
{
    ssize_t count;
    weft_future *promise = weft_future_create();
    weft_task *leaf = spawn_named("leaf", await_arg, promise);
    weft_task *middle = spawn_named("middle", await_arg, leaf);
    weft_task *root = spawn_named("root", await_arg, middle);
    weft_task *other = spawn_named("other", await_arg, leaf);
    weft_task *alone = spawn_named("alone", sleep_long, (void *)1);
    await_words(root, "waits for middle (Task-");
    await_words(middle, "waits for leaf (Task-");
    await_words(other, "waits for leaf (Task-");
    await_words(leaf, "waits for a promise");
    await_words(alone, "sleeps");
    char *text = dump_text(weft_runtime_current(), &count);
    CHECK_EQUAL(count, 6);
    const char *trees = strstr(text, "who waits for whom:\n");
    CHECK(trees != NULL);
    CHECK_EQUAL(count_of(text, "\n    awaited by middle (Task-"), 1);
    CHECK_EQUAL(count_of(text, "\n    awaited by other (Task-"), 1);
    CHECK_EQUAL(count_of(text, "\n    awaited by root (Task-"), 1);
    CHECK_EQUAL(count_of(text, "\n    awaited by "), 3);
    CHECK(count_of(text, "\n    at ") >= 5);
    CHECK_EQUAL(count_of(trees, "\nroot (Task-"), 1);
    CHECK_EQUAL(count_of(trees, "\n  middle (Task-"), 1);
    CHECK_EQUAL(count_of(trees, "\n    leaf (Task-"), 1);
    CHECK_EQUAL(count_of(trees, "\nother (Task-"), 1);
    CHECK_EQUAL(count_of(trees, "\n  leaf (Task-"), 1);
    CHECK_EQUAL(count_of(trees, "alone"), 0);
    CHECK_EQUAL(count_of(trees, "circle"), 0);
    free(text);
    CHECK_EQUAL(weft_future_set_result(promise, NULL), 0);
    CHECK_EQUAL(weft_join(root, NULL), 0);
    CHECK_EQUAL(weft_join(other, NULL), 0);
    CHECK_EQUAL(weft_cancel_and_join(alone, NULL), 0);
    weft_put(leaf);
    weft_put(middle);
    weft_put(promise);
    return arg;
}

static void item_344_347_348_a_dump_shows_each_task_and_trees(void **state)
{
    (void)state;
    run_case(tree_main, NULL);
}

static void *nested_main(void *arg)
{
    ssize_t count;
    weft_future *promise = weft_future_create();
    weft_task *root = spawn_named("root", await_nested, promise);
    await_count(promise, 1);
    weft_task *leaf;
    CHECK_EQUAL(weft_awaiters(promise, &leaf, 1), 1);
    await_words(leaf, "waits for a promise");
    await_words(root, "waits for leaf (Task-");
    check_awaiters(leaf, &root, 1);
    char *text = dump_text(weft_runtime_current(), &count);
    CHECK_EQUAL(count, 3);
    CHECK_EQUAL(count_of(text, "\nroot (Task-"), 1 + (strncmp(text, "root", 4) != 0));
    CHECK_EQUAL(count_of(text, "\n  leaf (Task-"), 1);
    free(text);
    CHECK_EQUAL(weft_future_set_result(promise, NULL), 0);
    CHECK_EQUAL(weft_join(root, NULL), 0);
    weft_put(leaf);
    weft_put(promise);
    return arg;
}

static void a_nested_task_is_awaited_by_the_one_below_it(void **state)
{
    (void)state;
    run_case(nested_main, NULL);
}

static weft_task *ring[3];

static void *ring_main(void *arg)
{
    size_t next = ((size_t)(uintptr_t)arg + 1) % 3;
    WEFT_TIMEOUT(WEFT_FOREVER)
    {
        (void)weft_shielded(ring[next], NULL);
    }
    return arg;
}

static void *circle_main(void *arg)
{
    static const char *const names[] = {"zero", "one", "two"};
    ssize_t count;
    for (size_t i = 0; i < 3; i++) {
        const struct weft_spawn_options options = {.name = names[i], .held = true};
        ring[i] = weft_spawn_with(&options, ring_main, (void *)i);
    }
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_start(ring[i]), 0);
    }
    weft_task *behind = spawn_named("behind", await_arg, ring[0]);
    for (size_t i = 0; i < 3; i++) {
        await_words(ring[i], "waits for ");
    }
    await_words(behind, "waits for zero");
    char *text = dump_text(weft_runtime_current(), &count);
    CHECK_EQUAL(count, 5);
    CHECK_EQUAL(count_of(text, ", and so on in a circle\n"), 1);
    CHECK_EQUAL(count_of(text, "\nbehind (Task-"), 1 + (strncmp(text, "behind", 6) != 0));
    free(text);
    /* Without somebody outside of it, it is no tree. */
    weft_cancel(ring[1]); /* ends its wait: the circle is open, and all end */
    CHECK_EQUAL(weft_join(behind, NULL), 0);
    CHECK_EQUAL(weft_gather(3, ring, NULL, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        weft_put(ring[i]);
    }
    return arg;
}

/* Two mutexes taken in both orders: nobody awaits anybody, and yet. */
static struct weft_mutex both[2];
static shared_int have_first;

static void *lock_both(void *arg)
{
    size_t first = (size_t)(uintptr_t)arg;
    CHECK_EQUAL(weft_mutex_lock(&both[first]), 0);
    atomic_add_seq_cst(&have_first, 1);
    yield_until(&have_first, 2);
    int err = weft_mutex_lock(&both[1 - first]);
    if (err == 0) {
        CHECK_EQUAL(weft_mutex_unlock(&both[1 - first]), 0);
    }
    CHECK_EQUAL(weft_mutex_unlock(&both[first]), 0);
    return arg;
}

static void *deadlock_main(void *arg)
{
    ssize_t count;
    weft_task *t[2];
    atomic_store_seq_cst(&have_first, 0);
    for (size_t i = 0; i < 2; i++) {
        t[i] = spawn_named(i == 0 ? "left" : "right", lock_both, (void *)i);
    }
    await_words(t[0], ") that right (Task-");
    await_words(t[1], ") that left (Task-");
    char *text = dump_text(weft_runtime_current(), &count);
    CHECK_EQUAL(count_of(text, "in a circle:\n"), 1);
    CHECK_EQUAL(count_of(text, ", which has the lock, and so on in a circle\n"), 1);
    free(text);
    weft_cancel(t[0]);
    CHECK_EQUAL(weft_join(t[0], NULL), 0);
    CHECK_EQUAL(weft_join(t[1], NULL), 0);
    return arg;
}

static void item_349_circles_are_found_and_end_the_tree(void **state)
{
    (void)state;
    run_case(circle_main, NULL);
    run_case(deadlock_main, NULL);
}

static void item_350_nobody_and_nothing_are_shown_as_such(void **state)
{
    (void)state;
    ssize_t count;
    weft_runtime *rt = create_runtime(NULL);
    char *text = dump_text(rt, &count);
    assert_int_equal(count, 0);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(weft_dump_tasks(NULL, stderr), -EINVAL);
    assert_int_equal(weft_dump_tasks(rt, NULL), -EINVAL);
    weft_task *t;
    assert_int_equal(weft_runtime_spawn(rt, sleep_long, NULL, &t), 0);
    text = dump_text(rt, &count);
    assert_int_equal(count, 1);
    assert_int_equal(strncmp(text, "Task-", 5), 0);
    assert_null(strstr(text, "who waits"));
    free(text);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_int_equal(weft_dump_tasks(rt, stderr), -ESHUTDOWN);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    check_ends_with(t, ": has ended cancelled");
    assert_int_equal(weft_awaiters(t, NULL, 0), 0);
    weft_put(t);
}

/* --- while everything goes on ----------------------------------------------------------------- */

static shared_int stop;

static void *busy_main(void *arg)
{
    while (atomic_load_seq_cst(&stop) == 0) {
        weft_task *t = weft_spawn(return_it, arg);
        CHECK_EQUAL(weft_mutex_lock(&both[0]), 0);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_mutex_unlock(&both[0]), 0);
        CHECK_EQUAL(weft_join(t, NULL), 0);
        WEFT_TIMEOUT(20 * WEFT_US)
        {
            (void)weft_sleep(10 * WEFT_US);
        }
    }
    return arg;
}

static void dumps_disturb_nobody(void **state)
{
    (void)state;
    enum { BUSY = 8 };
    weft_task *t[BUSY];
    weft_runtime *rt = create_runtime(NULL);
    atomic_store_seq_cst(&stop, 0);
    for (int i = 0; i < BUSY; i++) {
        assert_int_equal(weft_runtime_spawn(rt, busy_main, NULL, &t[i]), 0);
    }
    for (int i = 0; i < (int)test_scaled(300, 30); i++) {
        ssize_t count;
        free(dump_text(rt, &count));
        assert_true(count >= BUSY);
    }
    atomic_store_seq_cst(&stop, 1);
    for (int i = 0; i < BUSY; i++) {
        assert_int_equal(weft_future_wait_blocking(t[i], WEFT_FOREVER, NULL), 0);
        weft_put(t[i]);
    }
    finish_runtime(rt);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_344_347_348_a_dump_shows_each_task_and_trees),
        cmocka_unit_test(a_nested_task_is_awaited_by_the_one_below_it),
        cmocka_unit_test(item_349_circles_are_found_and_end_the_tree),
        cmocka_unit_test(item_350_nobody_and_nothing_are_shown_as_such),
        cmocka_unit_test(dumps_disturb_nobody),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
