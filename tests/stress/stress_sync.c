/* SPDX-License-Identifier: MIT */
/*
 * Objects that tasks wait for, used by many at random while others are cancelled all the time:
 * nothing is lost, nothing is had twice, and everybody comes to the end.
 *
 * Each user has a canceller, who cancels it now and then; the user acknowledges it and goes on.
 */
#include "task_help.h"

enum { USERS = 12 };

struct user {
    weft_task *task;
    uint64_t random;
    long uses;
    long refused;
};

static struct user users[USERS];
static shared_int finished;
static size_t turns; /* of each user */

/* ---- mutex ---- */

static struct weft_mutex mutex;
static long plain_count; /* under the mutex */

static void *use_mutex(void *arg)
{
    struct user *u = arg;
    for (size_t i = 0; i < turns; i++) {
        bool shielded = test_random(&u->random) % 8 == 0;
        int err = shielded ? weft_mutex_lock_shielded(&mutex) : weft_mutex_lock(&mutex);
        if (err < 0) {
            CHECK_EQUAL(err, -ECANCELED);
            CHECK(!shielded);
            u->refused++;
            (void)weft_uncancel();
            continue;
        }
        long before = plain_count;
        if (test_random(&u->random) % 4 == 0) {
            (void)weft_yield();
        }
        plain_count = before + 1;
        u->uses++;
        CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
        if (test_random(&u->random) % 4 == 0) {
            (void)weft_yield();
        }
    }
    atomic_fetch_add(&finished, 1);
    return NULL;
}

static void *cancel_users(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    while (atomic_load(&finished) < USERS) {
        (void)weft_cancel(users[test_random(&random) % USERS].task);
        (void)weft_yield();
    }
    return NULL;
}

static void run_users(weft_fn use, uint64_t seed)
{
    memset(users, 0, sizeof(users));
    turns = test_scaled(3000, 300);
    struct weft_spawn_options held = {.held = true};
    for (int i = 0; i < USERS; i++) {
        users[i].random = seed + (uint64_t)i;
        users[i].task = weft_spawn_with(&held, use, &users[i]);
        CHECK(users[i].task != NULL);
    }
    weft_task *canceller = weft_spawn(cancel_users, (void *)(uintptr_t)seed);
    for (int i = 0; i < USERS; i++) {
        (void)weft_start(users[i].task);
    }
    CHECK_EQUAL(weft_join(canceller, NULL), 0);
    for (int i = 0; i < USERS; i++) {
        (void)weft_join(users[i].task, NULL);
    }
}

static void *mutex_case(void *arg)
{
    plain_count = 0;
    atomic_store(&finished, 0);
    run_users(use_mutex, test_seed());
    long uses = 0;
    long refused = 0;
    for (int i = 0; i < USERS; i++) {
        uses += users[i].uses;
        refused += users[i].refused;
    }
    CHECK_EQUAL(plain_count, uses);
    CHECK_EQUAL(uses + refused, USERS * (long)turns);
    CHECK_EQUAL(weft_mutex_trylock(&mutex), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    printf("mutex: %ld uses, %ld refused\n", uses, refused);
    return arg;
}

/* ---- semaphore ---- */

enum { PERMITS = 3 };

static struct weft_semaphore semaphore;
static shared_int permits_out;

static void *use_semaphore(void *arg)
{
    struct user *u = arg;
    for (size_t i = 0; i < turns; i++) {
        int n = 1 + (int)(test_random(&u->random) % PERMITS);
        int err = n == 1 && test_random(&u->random) % 2 == 0
                      ? weft_semaphore_tryacquire(&semaphore)
                      : weft_semaphore_acquire_many(&semaphore, n);
        if (err < 0) {
            CHECK(err == -ECANCELED || (err == -EAGAIN && n == 1));
            u->refused++;
            (void)weft_uncancel();
            continue;
        }
        CHECK(atomic_fetch_add(&permits_out, n) + n <= PERMITS);
        if (test_random(&u->random) % 4 != 0) {
            (void)weft_yield();
        }
        atomic_fetch_sub(&permits_out, n);
        u->uses++;
        CHECK_EQUAL(weft_semaphore_release_many(&semaphore, n), 0);
    }
    atomic_fetch_add(&finished, 1);
    return NULL;
}

static void *semaphore_case(void *arg)
{
    CHECK_EQUAL(weft_bounded_semaphore_init(&semaphore, PERMITS), 0);
    atomic_store(&finished, 0);
    run_users(use_semaphore, test_seed() + 1);
    CHECK_EQUAL(weft_semaphore_value(&semaphore), PERMITS);
    CHECK_EQUAL(weft_semaphore_release(&semaphore), -EOVERFLOW);
    CHECK_EQUAL(atomic_load(&permits_out), 0);
    return arg;
}

static void no_permit_is_lost(void **state)
{
    (void)state;
    run_case(semaphore_case, NULL);
}

/* ---- event: set and cleared all the time ---- */

static struct weft_event event;

static void *use_event(void *arg)
{
    struct user *u = arg;
    for (size_t i = 0; i < turns; i++) {
        int err = weft_event_wait(&event);
        CHECK(err == 0 || err == -ECANCELED);
        (void)weft_uncancel();
        if (test_random(&u->random) % 2 == 0) {
            weft_event_clear(&event);
        }
    }
    atomic_fetch_add(&finished, 1);
    return NULL;
}

static void *set_and_set(void *arg)
{
    while (atomic_load(&finished) < USERS) {
        weft_event_set(&event);
        sched_yield();
    }
    return arg;
}

static void *event_case(void *arg)
{
    pthread_t setter = start_thread(set_and_set, NULL);
    run_users(use_event, test_seed() + 2);
    CHECK_EQUAL(pthread_join(setter, NULL), 0);
    CHECK(event.first == NULL);
    return arg;
}

static void every_set_is_noticed(void **state)
{
    (void)state;
    atomic_store(&finished, 0);
    run_case(event_case, NULL);
}

static void a_mutex_has_one_owner(void **state)
{
    (void)state;
    run_case(mutex_case, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_has_one_owner),
        cmocka_unit_test(no_permit_is_lost),
        cmocka_unit_test(every_set_is_noticed),
    };
    (void)test_seed();
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
