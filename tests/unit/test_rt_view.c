/* SPDX-License-Identifier: MIT */
/*
 * Goal: each task is described as what it is: what it waits for, who has that, who awaits it, where
 * it stands.
 *
 * Method: tasks that wait in every way there is, until they are cancelled. They are asked what they
 * do until they do it. Functions are recognised in a backtrace by the unwind tables.
 */
#include "view_help.h"

#include <unwind.h>

static size_t place_of(weft_task *t, void *fn)
{
    void *frames[64];
    size_t n = weft_backtrace(t, frames, 64);
    size_t i = 0;
    while (i < n && _Unwind_FindEnclosingFunction((char *)frames[i] - 1) != fn) {
        i++;
    }
    return i < n ? i : SIZE_MAX;
}

static shared_int may_end;

static void *yield_until_told(void *arg)
{
    yield_until(&may_end, 1);
    return arg;
}

/* --- states ----------------------------------------------------------------------------------- */

static void *fail_io(void *arg)
{
    (void)arg;
    return weft_fail(-EIO);
}

static void *wait_firmly(void *arg)
{
    WEFT_SHIELD
    {
        (void)weft_await(arg, NULL);
    }
    return arg;
}

static void *states_main(void *arg)
{
    char line[LINE];
    const struct weft_spawn_options held = {.name = "held", .held = true};
    weft_task *t = weft_spawn_with(&held, return_it, (void *)0x42);
    check_ends_with(t, ": is held back");
    CHECK_EQUAL(weft_start(t), 0);
    CHECK_EQUAL(weft_await(t, NULL), 0);
    describe(t, line);
    CHECK_EQUAL(strncmp(line, "held (Task-", 11), 0);
    check_ends_with(t, "): has ended with 0x42");
    weft_put(t);

    t = weft_spawn(fail_io, NULL);
    CHECK_EQUAL(weft_await(t, NULL), -EIO);
    check_ends_with(t, ": has failed with -5 (Input/output error)");
    weft_put(t);

    atomic_store_seq_cst(&may_end, 0);
    t = weft_spawn(yield_until_told, NULL);
    describe(t, line);
    CHECK(strstr(line, "has not started") != NULL || strstr(line, "is ready") != NULL ||
          strstr(line, "is running") != NULL);
    atomic_store_seq_cst(&may_end, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    describe(weft_self(), line);
    CHECK(strstr(line, ": is running") != NULL);

    weft_future *promise = weft_future_create();
    t = weft_spawn(wait_firmly, promise);
    await_words(t, ": waits for a promise (0x");
    check_ends_with(promise, "): is pending");
    weft_cancel(t);
    check_ends_with(t, "), asked to end");
    weft_cancel(t);
    check_ends_with(t, "), asked to end 2 times");
    CHECK_EQUAL(weft_future_set_result(promise, NULL), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    check_ends_with(promise, "): has ended with (nil)");
    weft_put(promise);

    t = weft_spawn(sleep_long, NULL);
    await_words(t, ": sleeps for ever");
    CHECK_EQUAL(weft_describe(t, line, 4) > 4, true);
    CHECK_EQUAL(strlen(line), 3);
    weft_cancel(t);
    CHECK_EQUAL(weft_await(t, NULL), -ECANCELED);
    check_ends_with(t, ": has ended cancelled");
    weft_put(t);
    CHECK_EQUAL(weft_describe(NULL, line, LINE), -EINVAL);
    return arg;
}

static void item_6_a_task_is_described_by_its_state(void **state)
{
    (void)state;
    run_case(states_main, NULL);
}

/* --- waits ------------------------------------------------------------------------------------ */

static struct weft_mutex mutex;
static struct weft_mutex cond_mutex;
static struct weft_rwlock rwlock;
static struct weft_event event;
static struct weft_cond cond;
static struct weft_semaphore semaphore;
static struct weft_barrier barrier;
static weft_queue *empty_queue, *full_queue;
static weft_channel *channel, *send_channel;
static weft_broadcast *broadcast;
static weft_watch *watch;
static int pipe_fds[2];
static weft_task *sleeper;

static void *child_main(void *arg)
{
    return weft_sleep(WEFT_SECOND * 3600) == 0 ? arg : weft_fail(-ECANCELED);
}

static void wait_in_group(void)
{
    struct weft_group g;
    weft_group_enter(&g);
    CHECK_EQUAL(weft_group_go(&g, child_main, NULL), 0);
    (void)weft_group_exit(&g);
}

static void wait_broadcast(void)
{
    struct weft_subscription s;
    CHECK_EQUAL(weft_broadcast_subscribe(broadcast, &s), 0);
    uint64_t missed;
    int element;
    CHECK_EQUAL(weft_broadcast_receive(&s, &element, &missed), -ECANCELED);
}

static void wait_completed(void)
{
    struct weft_as_completed it;
    weft_future *f;
    CHECK_EQUAL(weft_as_completed_init(&it, 1, &sleeper), 0);
    CHECK_EQUAL(weft_as_completed_next(&it, &f), -ECANCELED);
    weft_as_completed_fini(&it);
}

static void wait_cond(void)
{
    CHECK_EQUAL(weft_mutex_lock_shielded(&cond_mutex), 0);
    CHECK_EQUAL(weft_cond_wait(&cond, &cond_mutex), -ECANCELED);
    CHECK_EQUAL(weft_mutex_unlock(&cond_mutex), 0);
}

static void wait_select(void)
{
    int element;
    struct weft_select_case cases[] = {{.kind = WEFT_SELECT_RECEIVE, .channel = channel,
                                        .element = &element}};
    CHECK_EQUAL(weft_select(cases, 1), -ECANCELED);
}

static const char *const waits[] = {
    "waits for a mutex (0x",
    "waits for a reader-writer lock, to read (0x",
    "waits for a reader-writer lock, to write (0x",
    "waits for an event (0x",
    "waits for a condition (0x",
    "waits for a semaphore (0x",
    "waits for a barrier (0x",
    "waits for an item of a queue (0x",
    "waits for room in a queue (0x",
    "waits for a queue's items to be done (0x",
    "waits for a channel, to receive (0x",
    "waits for a channel, to send (0x",
    "waits for one of several channels (0x",
    "waits for a broadcast (0x",
    "waits for a watch to change (0x",
    "waits for the next of several futures (0x",
    "waits for the children of a group (0x",
    "waits for 1 futures, of which 1 are pending",
    "waits for 1 futures, of which 1 are pending",
    "waits for sleeper (Task-",
    "waits for an operation on descriptor ",
    " us more",
};

enum { WAITS = sizeof waits / sizeof waits[0] };

static int wait_as(size_t how)
{
    void *item;
    char byte = 0;
    uint64_t seen = 0;
    switch (how) {
    case 0: return weft_mutex_lock(&mutex);
    case 1: return weft_rwlock_rdlock(&rwlock);
    case 2: return weft_rwlock_wrlock(&rwlock);
    case 3: return weft_event_wait(&event);
    case 4: wait_cond(); return 0;
    case 5: return weft_semaphore_acquire(&semaphore);
    case 6: return weft_barrier_wait(&barrier);
    case 7: return weft_queue_get(empty_queue, &item);
    case 8: return weft_queue_put(full_queue, &item);
    case 9: return weft_queue_join(full_queue);
    case 10: return weft_channel_receive(channel, &byte);
    case 11: return weft_channel_send(send_channel, &byte);
    case 12: wait_select(); return 0;
    case 13: wait_broadcast(); return 0;
    case 14: (void)weft_watch_get(watch, NULL, &seen); return weft_watch_wait(watch, &seen, NULL);
    case 15: wait_completed(); return 0;
    case 16: wait_in_group(); return 0;
    case 17: return weft_wait(1, &sleeper, WEFT_ALL_COMPLETED);
    case 18: return weft_wait(1, &sleeper, WEFT_FIRST_ERROR);
    case 19: return weft_shielded(sleeper, NULL);
    case 20: return (int)weft_read(pipe_fds[0], &byte, 1);
    default: return weft_sleep(3600 * WEFT_SECOND);
    }
}

static void *wait_main(void *arg)
{
    (void)wait_as((size_t)(uintptr_t)arg);
    return arg;
}

static void make_objects(void)
{
    mutex = (struct weft_mutex)WEFT_MUTEX_INIT;
    CHECK_EQUAL(weft_mutex_lock(&mutex), 0);
    CHECK_EQUAL(weft_rwlock_wrlock(&rwlock), 0);
    CHECK_EQUAL(weft_semaphore_init(&semaphore, 0), 0);
    CHECK_EQUAL(weft_barrier_init(&barrier, 2), 0);
    empty_queue = weft_queue_create(WEFT_FIFO, 1);
    full_queue = weft_queue_create(WEFT_FIFO, 1);
    CHECK_EQUAL(weft_queue_try_put(full_queue, NULL), 0);
    channel = weft_channel_create(1, 0);
    send_channel = weft_channel_create(1, 0);
    broadcast = weft_broadcast_create(sizeof(int), 4);
    watch = weft_watch_create(0, NULL);
    CHECK_EQUAL(pipe(pipe_fds), 0);
    sleeper = spawn_named("sleeper", sleep_long, (void *)1);
}

static void drop_objects(void)
{
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_rwlock_unlock(&rwlock), 0);
    CHECK_EQUAL(weft_queue_destroy(empty_queue), 0);
    CHECK_EQUAL(weft_queue_destroy(full_queue), 0);
    CHECK_EQUAL(weft_channel_destroy(channel), 0);
    CHECK_EQUAL(weft_channel_destroy(send_channel), 0);
    CHECK_EQUAL(weft_broadcast_destroy(broadcast), 0);
    CHECK_EQUAL(weft_watch_destroy(watch), 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    CHECK_EQUAL(weft_cancel_and_join(sleeper, NULL), 0);
}

static void *waits_main(void *arg)
{
    weft_task *t[WAITS];
    make_objects();
    for (size_t i = 0; i < WAITS; i++) {
        t[i] = weft_spawn(wait_main, (void *)(uintptr_t)i);
    }
    for (size_t i = 0; i < WAITS; i++) {
        await_words(t[i], waits[i]);
        CHECK(place_of(t[i], (void *)wait_main) != SIZE_MAX);
    }
    char *text;
    ssize_t count;
    text = dump_text(weft_runtime_current(), &count);
    CHECK_EQUAL(count, WAITS + 3); /* sleeper, the group's child, the caller */
    for (size_t i = 0; i < WAITS; i++) {
        CHECK(strstr(text, waits[i]) != NULL);
    }
    free(text);
    CHECK(weft_task_set_name(weft_self(), "owner") == 0);
    await_words(t[0], ") that owner (Task-");
    await_words(t[1], ") that owner (Task-");
    for (size_t i = 0; i < WAITS; i++) {
        CHECK_EQUAL(weft_cancel_and_join(t[i], NULL), 0);
    }
    drop_objects();
    return arg;
}

static void item_7_a_task_that_waits_names_what_it_waits_for(void **state)
{
    (void)state;
    run_case(waits_main, NULL);
}

/* --- backtraces ------------------------------------------------------------------------------- */

static __attribute__((noinline)) int inner(int64_t ns)
{
    int err = weft_sleep(ns);
    return err + 1;
}

static __attribute__((noinline)) int outer(int64_t ns)
{
    return inner(ns) * 2;
}

static void *deep_main(void *arg)
{
    return outer(WEFT_FOREVER) == 0 ? NULL : arg;
}

static void *backtrace_main(void *arg)
{
    weft_task *t = weft_spawn(deep_main, NULL);
    await_words(t, ": sleeps for ever");
    size_t first = place_of(t, (void *)inner);
    CHECK(first != SIZE_MAX);
    CHECK_EQUAL(place_of(t, (void *)outer), first + 1);
    CHECK_EQUAL(place_of(t, (void *)deep_main), first + 2);
    void *frames[3] = {NULL, NULL, NULL};
    CHECK_EQUAL(weft_backtrace(t, frames, 2), 2);
    CHECK(frames[1] != NULL);
    CHECK(frames[2] == NULL);
    CHECK_EQUAL(weft_backtrace(t, NULL, 0), 0);
    CHECK_EQUAL(weft_backtrace(weft_self(), frames, 3), 0);
    CHECK_EQUAL(weft_backtrace(NULL, frames, 3), 0);
    weft_cancel(t);
    (void)weft_await(t, NULL);
    CHECK_EQUAL(weft_backtrace(t, frames, 3), 0);
    weft_put(t);
    return arg;
}

static void item_18_the_stack_of_a_suspended_task_can_be_had(void **state)
{
    (void)state;
    run_case(backtrace_main, NULL);
}

/* --- who awaits whom -------------------------------------------------------------------------- */

enum { AWAITERS = 7 };

static weft_future *awaited[1];

static int await_as(size_t how)
{
    struct weft_group g;
    switch (how) {
    case 0: return weft_await(awaited[0], NULL);
    case 1: return weft_shielded(awaited[0], NULL);
    case 2: return weft_gather(1, awaited, NULL, NULL);
    case 3: return weft_wait(1, awaited, WEFT_FIRST_COMPLETED);
    case 4: return weft_wait_for(awaited[0], 3600 * WEFT_SECOND, NULL);
    case 5:
        WEFT_TIMEOUT(3600 * WEFT_SECOND)
        {
            return weft_await(awaited[0], NULL);
        }
        return 0;
    default:
        weft_group_enter(&g);
        awaited[0] = weft_group_spawn(&g, yield_until_told, NULL);
        return weft_group_exit(&g);
    }
}

static void *await_main(void *arg)
{
    (void)await_as((size_t)(uintptr_t)arg);
    return arg;
}

static void *awaiters_main(void *arg)
{
    weft_task *t[AWAITERS];
    awaited[0] = weft_future_create();
    await_count(awaited[0], 0);
    for (size_t i = 0; i < AWAITERS - 1; i++) {
        t[i] = weft_spawn(await_main, (void *)i);
    }
    await_count(awaited[0], AWAITERS - 1);
    check_awaiters(awaited[0], t, AWAITERS - 1);
    void *frame;
    CHECK_EQUAL(weft_backtrace(awaited[0], &frame, 1), 0);
    CHECK_EQUAL(weft_future_set_result(awaited[0], NULL), 0);
    CHECK_EQUAL(weft_gather(AWAITERS - 1, t, NULL, NULL), 0);
    check_awaiters(awaited[0], NULL, 0);
    weft_put(awaited[0]);
    for (size_t i = 0; i < AWAITERS - 1; i++) {
        weft_put(t[i]);
    }
    CHECK_EQUAL(weft_awaiters(NULL, NULL, 0), 0);
    return arg;
}

static void item_345_346_who_awaits_a_promise_is_found_however_it_waits(void **state)
{
    (void)state;
    run_case(awaiters_main, NULL);
}

static void *group_main(void *arg)
{
    atomic_store_seq_cst(&may_end, 0);
    awaited[0] = NULL;
    weft_task *t = weft_spawn(await_main, (void *)(AWAITERS - 1));
    await_words(t, "waits for the children of a group");
    check_awaiters(awaited[0], &t, 1);
    atomic_store_seq_cst(&may_end, 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_join(awaited[0], NULL), 0);
    return arg;
}

static void item_346_a_groups_task_is_found_as_the_awaiter_of_its_children(void **state)
{
    (void)state;
    run_case(group_main, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_6_a_task_is_described_by_its_state),
        cmocka_unit_test(item_7_a_task_that_waits_names_what_it_waits_for),
        cmocka_unit_test(item_18_the_stack_of_a_suspended_task_can_be_had),
        cmocka_unit_test(item_345_346_who_awaits_a_promise_is_found_however_it_waits),
        cmocka_unit_test(item_346_a_groups_task_is_found_as_the_awaiter_of_its_children),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
