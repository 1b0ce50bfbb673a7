/* SPDX-License-Identifier: MIT */
/*
 * Goal: the ways to make a task: lazily, held, pinned, with a stack of its own size, in nobody's
 * hands, and 100,000 at once.
 *
 * Method: as test_rt_task.c.
 */
#include "task_help.h"

#include <sys/socket.h>
#include <sys/syscall.h>

static void *give_back(void *arg)
{
    return arg;
}

static void *count_up(void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
    return arg;
}

/* --- lazily ----------------------------------------------------------------------------------- */

static void *lazy_main(void *arg)
{
    shared_int runs = 0;
    weft_task *t = weft_spawn(count_up, &runs);
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 0);
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 1);
    return arg;
}

static void item_1_on_one_worker_the_spawner_goes_on_first(void **state)
{
    (void)state;
    run_case_alone(lazy_main, NULL);
}

struct order {
    int count;
    int seen[200];
};

struct place {
    struct order *order;
    int number;
};

static void *take_place(void *arg)
{
    struct place *p = arg;
    p->order->seen[p->order->count++] = p->number;
    return NULL;
}

static void *order_main(void *arg)
{
    struct order order = {0};
    struct place places[200];
    weft_task *t[200];
    for (int i = 0; i < 200; i++) {
        places[i] = (struct place){&order, i};
        t[i] = weft_spawn(take_place, &places[i]);
    }
    while (order.count < 200) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    for (int i = 0; i < 200; i++) {
        CHECK_EQUAL(order.seen[i], i);
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return arg;
}

static void on_one_worker_tasks_start_in_the_order_of_their_spawns(void **state)
{
    (void)state;
    run_case_alone(order_main, NULL);
}

static void *go_main(void *arg)
{
    shared_int runs = 0;
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(weft_go(count_up, &runs), 0);
    }
    yield_until(&runs, 100);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 100);
    return arg;
}

static void what_goes_runs_once(void **state)
{
    (void)state;
    run_case(go_main, NULL);
}

static void *without_options_main(void *arg)
{
    int value;
    void *result = NULL;
    static const struct weft_spawn_options zero;
    CHECK_EQUAL(weft_join(weft_spawn_with(NULL, give_back, &value), &result), 0);
    CHECK(result == &value);
    result = NULL;
    CHECK_EQUAL(weft_join(weft_spawn_with(&zero, give_back, &value), &result), 0);
    CHECK(result == &value);
    return arg;
}

static void options_that_are_zero_change_nothing(void **state)
{
    (void)state;
    run_case(without_options_main, NULL);
}

static void *reserved_main(void *arg)
{
    shared_int runs = 0;
    struct weft_spawn_options options = {.name = "refused"};
    size_t count = sizeof options.reserved / sizeof options.reserved[0];
    uint64_t live = tasks_live(weft_runtime_current());
    for (size_t i = 0; i < count; i++) {
        options.reserved[i] = i == 0 ? 1 : (uint64_t)1 << 63;
        options.held = i == 1;
        CHECK(weft_spawn_with(&options, count_up, &runs) == NULL);
        options.reserved[i] = 0;
    }
    CHECK_EQUAL(tasks_live(weft_runtime_current()), live);
    options.held = false;
    CHECK_EQUAL(weft_join(weft_spawn_with(&options, count_up, &runs), NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 1);
    return arg;
}

static void what_is_reserved_has_to_be_zero(void **state)
{
    (void)state;
    run_case(reserved_main, NULL);
}

/* --- held ------------------------------------------------------------------------------------- */

static const struct weft_spawn_options held_options = {.held = true};

static void *start_it(void *t)
{
    CHECK_EQUAL(weft_start(t), 0);
    return NULL;
}

static void *held_main(void *arg)
{
    shared_int runs = 0;
    weft_task *t = weft_spawn_with(&held_options, count_up, &runs);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 0);
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_result(t, NULL), -EINPROGRESS);
    CHECK_EQUAL(weft_start(t), 0);
    CHECK_EQUAL(weft_start(t), -EALREADY);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    CHECK_EQUAL(weft_start(t), -EALREADY);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 1);

    t = weft_spawn(count_up, &runs);
    CHECK_EQUAL(weft_start(t), -EALREADY);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void a_held_task_runs_when_it_is_started(void **state)
{
    (void)state;
    run_case(held_main, NULL);
}

static void *held_awaited_main(void *arg)
{
    static const struct weft_spawn_options both = {.held = true, .pinned = true};
    for (int i = 0; i < 20; i++) {
        shared_int runs = 0;
        weft_task *t = weft_spawn_with(i % 2 == 0 ? &held_options : &both, count_up, &runs);
        pthread_t thread = start_thread(start_it, t);
        CHECK_EQUAL(weft_join(weft_get(t), NULL), 0);
        CHECK_EQUAL(atomic_load_seq_cst(&runs), 1);
        pthread_join(thread, NULL);
        weft_put(t);
    }
    return arg;
}

static void a_held_task_can_be_awaited_and_started_by_a_thread(void **state)
{
    (void)state;
    run_case(held_awaited_main, NULL);
}

static void *wait_once(void *arg)
{
    return weft_yield() == -ECANCELED ? arg : NULL;
}

static void *held_cancelled_main(void *arg)
{
    int value;
    void *result = NULL;
    weft_task *t = weft_spawn_with(&held_options, wait_once, &value);
    CHECK(weft_cancel(t));
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_start(t), 0);
    CHECK_EQUAL(weft_join(t, &result), 0);
    CHECK(result == &value);
    return arg;
}

static void a_held_task_keeps_a_cancel_for_its_start(void **state)
{
    (void)state;
    run_case(held_cancelled_main, NULL);
}

/* --- pinned ----------------------------------------------------------------------------------- */

static const struct weft_spawn_options pinned_options = {.pinned = true};

static long thread_id(void)
{
    return syscall(SYS_gettid);
}

static void *stay(void *arg)
{
    long home = (long)(intptr_t)arg; /* 0: whichever it is */
    home = home != 0 ? home : thread_id();
    for (int i = 0; i < 30; i++) {
        CHECK_EQUAL(thread_id(), home);
        CHECK_EQUAL(i % 3 == 0 ? weft_sleep(20 * WEFT_US) : weft_yield(), 0);
        CHECK_EQUAL(thread_id(), home);
        if (i % 10 == 0) {
            void *result = NULL;
            CHECK_EQUAL(weft_join(weft_spawn(wait_once, NULL), &result), 0);
            CHECK_EQUAL(thread_id(), home);
            CHECK_EQUAL(weft_join(weft_spawn_with(&pinned_options, give_back, NULL), NULL), 0);
            CHECK_EQUAL(thread_id(), home);
        }
    }
    return (void *)(intptr_t)home;
}

static void *pinned_main(void *arg)
{
    weft_task *t[40];
    weft_task *noise[40];
    for (int i = 0; i < 40; i++) {
        /* No wait between the two calls: the spawner is still where it was. */
        void *home = (void *)(intptr_t)thread_id();
        t[i] = weft_spawn_with(&pinned_options, stay, home);
        noise[i] = weft_spawn(wait_once, NULL);
        CHECK_EQUAL(weft_yield(), 0);
    }
    for (int i = 0; i < 40; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
        CHECK_EQUAL(weft_join(noise[i], NULL), 0);
    }
    return arg;
}

static void a_pinned_task_stays_on_the_worker_that_spawned_it(void **state)
{
    (void)state;
    run_case(pinned_main, NULL);
}

/* Others start it, wake it and cancel it. */
struct guest {
    long home;
    int fd;
    shared_int is_here;
};

static void *receive_at_home(void *arg)
{
    struct guest *g = arg;
    char byte;
    CHECK_EQUAL(thread_id(), g->home);
    for (ssize_t n = 1; n == 1;) {
        atomic_add_seq_cst(&g->is_here, 1);
        n = weft_recv(g->fd, &byte, 1, 0);
        CHECK(n == 1 || n == -ECANCELED);
        CHECK_EQUAL(thread_id(), g->home);
    }
    return arg;
}

static void *pinned_guest_main(void *arg)
{
    static const struct weft_spawn_options options = {.pinned = true, .held = true};
    int ends[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    for (int i = 0; i < 20; i++) {
        struct guest g = {.home = thread_id(), .fd = ends[0]};
        weft_task *t = weft_spawn_with(&options, receive_at_home, &g);
        if (i % 2 == 0) {
            pthread_join(start_thread(start_it, t), NULL);
        } else {
            CHECK_EQUAL(weft_join(weft_spawn(start_it, t), NULL), 0);
        }
        yield_until(&g.is_here, 1);
        CHECK_EQUAL(write(ends[1], "x", 1), 1);
        yield_until(&g.is_here, 2);
        CHECK_EQUAL(weft_cancel_and_join(t, NULL), 0);
    }
    CHECK_EQUAL(weft_close(ends[0]), 0);
    CHECK_EQUAL(weft_close(ends[1]), 0);
    return arg;
}

static void a_pinned_task_stays_whoever_starts_and_wakes_it(void **state)
{
    (void)state;
    run_case(pinned_guest_main, NULL);
}

static void *cancel_pinned_main(void *arg)
{
    for (int i = 0; i < 50; i++) {
        weft_task *t = weft_spawn_with(&pinned_options, wait_once, arg);
        CHECK_EQUAL(weft_cancel(t), true);
        CHECK_EQUAL(weft_yield(), 0); /* maybe on another worker now */
        CHECK_EQUAL(weft_join(t, NULL), 0);
    }
    return arg;
}

static void a_pinned_task_can_be_cancelled_and_awaited_from_anywhere(void **state)
{
    (void)state;
    run_case(cancel_pinned_main, NULL);
}

/* --- stacks ----------------------------------------------------------------------------------- */

/* Write to every page of what the task was promised, less the frames that are there. */
static __attribute__((noinline)) void use_stack(size_t bytes)
{
    volatile char *page = __builtin_alloca(bytes);
    for (size_t i = bytes; i >= 512; i -= 512) {
        page[i - 1] = 1;
    }
}

#define STACK_IN_USE ((size_t)6 * 1024)

static void *use_promise(void *arg)
{
    size_t bytes = (size_t)(uintptr_t)arg;
    use_stack(bytes - STACK_IN_USE);
    CHECK(weft_yield() == 0);
    use_stack(bytes - STACK_IN_USE);
    return arg;
}

static void *stacks_main(void *arg)
{
    static const size_t sizes[] = {16 * 1024,   20000,       65536,           65537,
                                   1000 * 1000, 1024 * 1024, 8 * 1024 * 1024, 64 * 1024 * 1024};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct weft_spawn_options options = {.stack_bytes = sizes[i]};
        void *bytes = (void *)(uintptr_t)sizes[i];
        CHECK_EQUAL(weft_join(weft_spawn_with(&options, use_promise, bytes), NULL), 0);
        weft_task *t = weft_spawn_with(&options, use_promise, bytes);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_join(t, NULL), 0);
    }
    return arg;
}

static void a_task_can_use_the_stack_it_asked_for(void **state)
{
    (void)state;
    run_case(stacks_main, NULL);
}

static void *small_parent(void *arg)
{
    static const struct weft_spawn_options big = {.stack_bytes = 1024 * 1024};
    CHECK_EQUAL(weft_join(weft_spawn_with(&big, use_promise, (void *)(uintptr_t)(1024 * 1024)),
                          NULL), 0);
    return arg;
}

static void *small_main(void *arg)
{
    static const struct weft_spawn_options small = {.stack_bytes = WEFT_STACK_BYTES_MIN};
    CHECK_EQUAL(weft_join(weft_spawn_with(&small, small_parent, arg), NULL), 0);
    return arg;
}

static void a_child_with_a_larger_stack_than_its_waiter_gets_it(void **state)
{
    (void)state;
    run_case(small_main, NULL);
}

static void *stack_range_main(void *arg)
{
    static const size_t refused[] = {1, 4096, WEFT_STACK_BYTES_MIN - 1, WEFT_STACK_BYTES_MAX + 1,
                                     SIZE_MAX};
    shared_int runs = 0;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct weft_spawn_options options = {.name = "refused", .stack_bytes = refused[i]};
        CHECK(weft_spawn_with(&options, count_up, &runs) == NULL);
    }
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&runs), 0);
    return arg;
}

static void a_stack_out_of_range_is_refused(void **state)
{
    (void)state;
    run_case(stack_range_main, NULL);
}

static void *fibonacci(void *arg)
{
    intptr_t n = (intptr_t)arg;
    if (n < 2) {
        return arg;
    }
    void *a = NULL;
    weft_task *t = weft_spawn(fibonacci, (void *)(n - 1));
    intptr_t b = (intptr_t)fibonacci((void *)(n - 2));
    CHECK_EQUAL(weft_join(t, &a), 0);
    return (void *)((intptr_t)a + b);
}

static void *tree_main(void *arg)
{
    CHECK_EQUAL((intptr_t)fibonacci(arg), test_scaled(6765, 377));
    return NULL;
}

static void children_of_children_can_be_joined(void **state)
{
    (void)state;
    run_case(tree_main, (void *)test_scaled(20, 14));
}

/* --- many ------------------------------------------------------------------------------------- */

struct crowd {
    size_t count;
    shared_int *runs; /* one a task */
    shared_int here;
    shared_int leave;
};

struct member {
    struct crowd *crowd;
    size_t number;
};

static void *be_one_of_many(void *arg)
{
    struct member *m = arg;
    struct crowd *c = m->crowd;
    atomic_add_seq_cst(&c->runs[m->number], 1);
    atomic_add_seq_cst(&c->here, 1);
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -ECANCELED);
    return weft_fail(-ECANCELED);
}

static void *crowd_main(void *arg)
{
    struct crowd *c = arg;
    weft_task **t = malloc(c->count * sizeof(weft_task *));
    struct member *members = malloc(c->count * sizeof *members);
    CHECK(t != NULL && members != NULL);
    for (size_t i = 0; i < c->count; i++) {
        members[i] = (struct member){c, i};
        t[i] = weft_spawn(be_one_of_many, &members[i]);
        CHECK(t[i] != NULL);
    }
    yield_until(&c->here, (int)c->count);
    CHECK_EQUAL(tasks_live(weft_runtime_current()), c->count + 1);
    for (size_t i = 0; i < c->count; i++) {
        CHECK(weft_cancel(t[i]));
    }
    for (size_t i = 0; i < c->count; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), -ECANCELED);
        CHECK_EQUAL(atomic_load_seq_cst(&c->runs[i]), 1);
    }
    free(members);
    free(t);
    return NULL;
}

static void a_hundred_thousand_tasks_live_at_once(void **state)
{
    (void)state;
    struct crowd c = {.count = test_scaled(100000, 1000)};
    c.runs = calloc(c.count, sizeof *c.runs);
    assert_non_null(c.runs);
    run_case(crowd_main, &c);
    free(c.runs);
}

static void *queue_many_main(void *arg)
{
    shared_int runs = 0;
    int count = (int)test_scaled(100000, 1000);
    for (int i = 0; i < count; i++) {
        CHECK_EQUAL(weft_go(count_up, &runs), 0); /* more than a deque holds */
    }
    yield_until(&runs, count);
    return arg;
}

static void a_hundred_thousand_tasks_wait_for_their_start(void **state)
{
    (void)state;
    run_case(queue_many_main, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_1_on_one_worker_the_spawner_goes_on_first),
        cmocka_unit_test(on_one_worker_tasks_start_in_the_order_of_their_spawns),
        cmocka_unit_test(what_goes_runs_once),
        cmocka_unit_test(options_that_are_zero_change_nothing),
        cmocka_unit_test(what_is_reserved_has_to_be_zero),
        cmocka_unit_test(a_held_task_runs_when_it_is_started),
        cmocka_unit_test(a_held_task_can_be_awaited_and_started_by_a_thread),
        cmocka_unit_test(a_held_task_keeps_a_cancel_for_its_start),
        cmocka_unit_test(a_pinned_task_stays_on_the_worker_that_spawned_it),
        cmocka_unit_test(a_pinned_task_stays_whoever_starts_and_wakes_it),
        cmocka_unit_test(a_pinned_task_can_be_cancelled_and_awaited_from_anywhere),
        cmocka_unit_test(a_task_can_use_the_stack_it_asked_for),
        cmocka_unit_test(a_child_with_a_larger_stack_than_its_waiter_gets_it),
        cmocka_unit_test(a_stack_out_of_range_is_refused),
        cmocka_unit_test(children_of_children_can_be_joined),
        cmocka_unit_test(a_hundred_thousand_tasks_live_at_once),
        cmocka_unit_test(a_hundred_thousand_tasks_wait_for_their_start),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
