/* SPDX-License-Identifier: MIT */
/*
 * Goal: callbacks without a fiber: each is called once, on a worker, in the order posted when there
 * is one worker; it may do everything but wait.
 *
 * Method: as test_rt_task.c. What is called when a future is done is in test_rt_on_done.c, timers
 * are in test_rt_timer.c.
 */
#include "task_help.h"

#include <sys/socket.h>

static void *give_back(void *arg)
{
    return arg;
}

static void *wait_for_flag(void *flag)
{
    yield_until(flag, 1);
    return flag;
}

static void count_call(void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
}

static void count_done(weft_future *f, void *arg)
{
    CHECK(weft_done(f));
    atomic_add_seq_cst((shared_int *)arg, 1);
}

/* --- posting ---------------------------------------------------------------------------------- */

struct place {
    weft_runtime *rt;
    shared_int calls;
    weft_runtime *seen_rt;
    weft_task *seen_self;
};

static void note_place(void *arg)
{
    struct place *p = arg;
    p->seen_rt = weft_runtime_current();
    p->seen_self = weft_self();
    CHECK_EQUAL(weft_cancelling(), 0);
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_scope_error(), 0);
    atomic_add_seq_cst(&p->calls, 1);
}

static void a_post_is_called_once_on_a_worker_and_is_no_task(void **state)
{
    (void)state;
    struct place p = {.rt = create_runtime(NULL), .seen_self = (weft_task *)&p};
    assert_int_equal(weft_post(p.rt, note_place, &p), 0);
    spin_until(&p.calls, 1);
    assert_ptr_equal(p.seen_rt, p.rt);
    assert_null(p.seen_self);
    finish_runtime(p.rt);
    assert_int_equal(atomic_load_seq_cst(&p.calls), 1);
}

struct waits {
    weft_task *done;
    weft_task *pending;
    shared_int calls;
};

static void try_all_waits(void *arg)
{
    struct waits *w = arg;
    char byte;
    struct pollfd fd = {.fd = 0, .events = POLLIN};
    CHECK_EQUAL(weft_await(w->done, NULL), -EPERM);
    CHECK_EQUAL(weft_await(w->pending, NULL), -EPERM);
    CHECK_EQUAL(weft_join(w->done, NULL), -EPERM); /* keeps the reference */
    CHECK_EQUAL(weft_join(w->pending, NULL), -EPERM);
    CHECK_EQUAL(weft_yield(), -EPERM);
    CHECK_EQUAL(weft_sleep(0), -EPERM);
    CHECK_EQUAL(weft_sleep(WEFT_MS), -EPERM);
    CHECK_EQUAL(weft_sleep(WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_sleep_until(0), -EPERM);
    CHECK_EQUAL(weft_read(0, &byte, 1), -EPERM);
    CHECK_EQUAL(weft_send(0, &byte, 1, 0), -EPERM);
    CHECK_EQUAL(weft_poll(&fd, 1), -EPERM);
    CHECK_EQUAL(weft_wait_fd(0, POLLIN), -EPERM);
    CHECK_EQUAL(weft_close(0), -EPERM);
    CHECK_EQUAL(weft_future_wait_blocking(w->pending, WEFT_FOREVER, NULL), -EDEADLK);
    CHECK_EQUAL(weft_run(give_back, NULL, NULL), -EBUSY);
    CHECK_EQUAL(weft_runtime_run(weft_runtime_current(), give_back, NULL, NULL), -EBUSY);
    CHECK_EQUAL(weft_runtime_close(weft_runtime_current()), -EBUSY);
    CHECK_EQUAL(weft_result(w->done, NULL), 0);
    CHECK_EQUAL(weft_result(w->pending, NULL), -EINPROGRESS);
    atomic_add_seq_cst(&w->calls, 1);
}

static void *waits_main(void *arg)
{
    shared_int flag = 0;
    struct waits w = {weft_spawn(give_back, NULL), weft_spawn(wait_for_flag, &flag), 0};
    CHECK_EQUAL(weft_await(w.done, NULL), 0);
    CHECK_EQUAL(weft_post(weft_runtime_current(), try_all_waits, &w), 0);
    yield_until(&w.calls, 1);
    atomic_store_seq_cst(&flag, 1);
    CHECK_EQUAL(weft_join(w.done, NULL), 0);
    CHECK_EQUAL(weft_join(w.pending, NULL), 0);
    return arg;
}

static void in_a_callback_no_call_waits(void **state)
{
    (void)state;
    run_case(waits_main, NULL);
}

struct work {
    shared_int calls;
    shared_int runs;
    weft_task *spawned;
    weft_task *pinned;
};

static void *count_run(void *arg)
{
    CHECK_EQUAL(weft_yield(), 0);
    atomic_add_seq_cst((shared_int *)arg, 1);
    return arg;
}

static void work_in_callback(void *arg)
{
    static const struct weft_spawn_options options = {.name = "by-callback", .pinned = true};
    struct work *w = arg;
    w->spawned = weft_spawn(count_run, &w->runs);
    w->pinned = weft_spawn_with(&options, count_run, &w->runs);
    CHECK_EQUAL(weft_go(count_run, &w->runs), 0);
    CHECK_EQUAL(weft_runtime_spawn(weft_runtime_current(), count_run, &w->runs, NULL), 0);
    CHECK_EQUAL(weft_post(weft_runtime_current(), count_call, &w->calls), 0);
    CHECK_EQUAL(weft_on_done(w->spawned, count_done, &w->calls), 0);
    CHECK_EQUAL(weft_on_done(w->pinned, count_done, &w->calls), 0);
    CHECK_EQUAL(weft_on_done_remove(w->pinned, count_done, &w->runs), 0);
    atomic_add_seq_cst(&w->calls, 1);
}

static void *work_main(void *arg)
{
    struct work w = {0};
    CHECK_EQUAL(weft_post(weft_runtime_current(), work_in_callback, &w), 0);
    yield_until(&w.calls, 4);
    yield_until(&w.runs, 4);
    CHECK_EQUAL(weft_join(w.spawned, NULL), 0);
    CHECK_EQUAL(weft_join(w.pinned, NULL), 0);
    return arg;
}

static void a_callback_may_spawn_post_and_register(void **state)
{
    (void)state;
    run_case(work_main, NULL);
}

/* --- order of posts, on one worker ------------------------------------------------------------ */

enum { POSTS = 20000 };

struct order {
    int count;
    int seen[POSTS];
};

struct numbered {
    struct order *order;
    int number;
    bool posts_another; /* number + POSTS / 2 */
};

static struct numbered numbers[POSTS];

static void take_place(void *arg)
{
    struct numbered *n = arg;
    n->order->seen[n->order->count++] = n->number;
    if (n->posts_another) {
        struct numbered *next = n + POSTS / 2;
        CHECK_EQUAL(weft_post(weft_runtime_current(), take_place, next), 0);
    }
}

static void number_all(struct order *order, bool posts_another)
{
    order->count = 0;
    for (int i = 0; i < POSTS; i++) {
        numbers[i] = (struct numbered){order, i, posts_another && i < POSTS / 2};
    }
}

static void assert_in_order(const struct order *order, int count)
{
    assert_int_equal(order->count, count);
    for (int i = 0; i < count; i++) {
        if (order->seen[i] != i) {
            print_error("place %d was taken by %d\n", i, order->seen[i]);
        }
        assert_int_equal(order->seen[i], i);
    }
}

static void *post_inside(void *arg)
{
    int count = *(int *)arg;
    for (int i = 0; i < count; i++) {
        CHECK_EQUAL(weft_post(weft_runtime_current(), take_place, &numbers[i]), 0);
    }
    return NULL;
}

static void item_62_posts_of_a_task_are_called_in_order(void **state)
{
    (void)state;
    static struct order order;
    int count = 1000;
    number_all(&order, false);
    run_case_alone(post_inside, &count);
    assert_in_order(&order, count);
}

static void also_when_they_are_more_than_a_deque_holds(void **state)
{
    (void)state;
    static struct order order;
    int count = POSTS;
    number_all(&order, false);
    run_case_alone(post_inside, &count);
    assert_in_order(&order, count);
}

static void item_63_posts_of_a_thread_are_called_in_order(void **state)
{
    (void)state;
    static struct order order;
    struct weft_options options = {.workers = 1};
    for (int round = 0; round < 3; round++) {
        weft_runtime *rt = create_runtime(&options);
        number_all(&order, false);
        for (int i = 0; i < POSTS; i++) {
            assert_int_equal(weft_post(rt, take_place, &numbers[i]), 0);
        }
        finish_runtime(rt);
        assert_in_order(&order, POSTS);
    }
}

static void *post_half(void *arg)
{
    for (int i = 0; i < POSTS / 2; i++) {
        CHECK_EQUAL(weft_post(weft_runtime_current(), take_place, &numbers[i]), 0);
    }
    return arg;
}

static void item_58_what_a_callback_posts_comes_after_what_was_posted_before(void **state)
{
    (void)state;
    static struct order order;
    number_all(&order, true);
    run_case_alone(post_half, NULL);
    assert_in_order(&order, POSTS);
}

/* --- nobody starves --------------------------------------------------------------------------- */

enum { BESIDE_LOOP = 3 }; /* one that sleeps, one that receives, one from outside */

struct loop {
    weft_runtime *rt;
    shared_int served; /* tasks that were beside it */
    shared_int has_stopped;
    int ends[2];
};

static void post_oneself(void *arg)
{
    struct loop *l = arg;
    if (atomic_load_seq_cst(&l->served) < BESIDE_LOOP) {
        CHECK_EQUAL(weft_post(l->rt, post_oneself, l), 0);
    } else {
        atomic_store_seq_cst(&l->has_stopped, 1);
    }
}

static void *sleep_beside_loop(void *arg)
{
    struct loop *l = arg;
    CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    atomic_add_seq_cst(&l->served, 1);
    return NULL;
}

static void *receive_beside_loop(void *arg)
{
    struct loop *l = arg;
    char byte;
    CHECK_EQUAL(weft_recv(l->ends[0], &byte, 1, 0), 1);
    atomic_add_seq_cst(&l->served, 1);
    return NULL;
}

/* On a plain thread. */
static void *send_and_spawn(void *arg)
{
    struct loop *l = arg;
    CHECK_EQUAL(write(l->ends[1], "x", 1), 1);
    CHECK_EQUAL(weft_runtime_spawn(l->rt, sleep_beside_loop, l, NULL), 0);
    return NULL;
}

static void *loop_main(void *arg)
{
    struct loop l = {.rt = weft_runtime_current()};
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, l.ends), 0);
    weft_task *sleeper = weft_spawn(sleep_beside_loop, &l);
    weft_task *receiver = weft_spawn(receive_beside_loop, &l);
    CHECK_EQUAL(weft_post(l.rt, post_oneself, &l), 0);
    CHECK_EQUAL(weft_yield(), 0);
    pthread_t thread = start_thread(send_and_spawn, &l);
    CHECK_EQUAL(weft_join(sleeper, NULL), 0);
    CHECK_EQUAL(weft_join(receiver, NULL), 0);
    yield_until(&l.has_stopped, 1);
    pthread_join(thread, NULL);
    CHECK_EQUAL(weft_close(l.ends[0]), 0);
    CHECK_EQUAL(weft_close(l.ends[1]), 0);
    return arg;
}

static void a_callback_that_posts_itself_starves_nobody(void **state)
{
    (void)state;
    run_case_alone(loop_main, NULL);
    run_case(loop_main, NULL);
}

enum { THREADS = 4 };

struct poster {
    weft_runtime *rt;
    shared_int *calls;
    int count;
};

static void *post_many(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < p->count; i++) {
        CHECK_EQUAL(weft_post(p->rt, count_call, p->calls), 0);
    }
    return NULL;
}

static void posts_of_many_threads_are_all_called(void **state)
{
    (void)state;
    shared_int calls = 0;
    struct poster p = {create_runtime(NULL), &calls, (int)test_scaled(20000, 2000)};
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        thread[i] = start_thread(post_many, &p);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    finish_runtime(p.rt); /* closing runs what is queued */
    assert_int_equal(atomic_load_seq_cst(&calls), THREADS * p.count);
}

static void a_closed_runtime_refuses_posts(void **state)
{
    (void)state;
    shared_int calls = 0;
    weft_runtime *rt = create_runtime(NULL);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_int_equal(weft_post(rt, count_call, &calls), -ESHUTDOWN);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    assert_int_equal(atomic_load_seq_cst(&calls), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_is_called_once_on_a_worker_and_is_no_task),
        cmocka_unit_test(in_a_callback_no_call_waits),
        cmocka_unit_test(a_callback_may_spawn_post_and_register),
        cmocka_unit_test(item_62_posts_of_a_task_are_called_in_order),
        cmocka_unit_test(also_when_they_are_more_than_a_deque_holds),
        cmocka_unit_test(item_63_posts_of_a_thread_are_called_in_order),
        cmocka_unit_test(item_58_what_a_callback_posts_comes_after_what_was_posted_before),
        cmocka_unit_test(a_callback_that_posts_itself_starves_nobody),
        cmocka_unit_test(posts_of_many_threads_are_all_called),
        cmocka_unit_test(a_closed_runtime_refuses_posts),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
