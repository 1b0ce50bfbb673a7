/* SPDX-License-Identifier: MIT */
/*
 * Objects that tasks wait for, used by many at random while others are cancelled all the time:
 * nothing is lost, nothing is had twice, and everybody comes to the end.
 *
 * One task cancels the users in turn; a user acknowledges it and goes on.
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
static size_t turns;   /* of each user */
static size_t cancels; /* of all, at most */

static void *cancel_users(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (size_t i = 0; i < cancels && atomic_load_seq_cst(&finished) < USERS; i++) {
        (void)weft_cancel(users[test_random(&random) % USERS].task);
        (void)weft_yield();
    }
    return NULL;
}

/* at_most: cancels; when they are over a wake-up that was lost is not made good by the next. */
static void run_users(weft_fn use, uint64_t seed, size_t at_most)
{
    memset(users, 0, sizeof(users));
    turns = test_scaled(3000, 300);
    cancels = at_most;
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
    atomic_add_seq_cst(&finished, 1);
    return NULL;
}


static void *mutex_case(void *arg)
{
    plain_count = 0;
    atomic_store_seq_cst(&finished, 0);
    run_users(use_mutex, test_seed(), SIZE_MAX);
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

static void a_mutex_has_one_owner(void **state)
{
    (void)state;
    run_case(mutex_case, NULL);
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
        CHECK(atomic_add_seq_cst(&permits_out, n) + n <= PERMITS);
        if (test_random(&u->random) % 4 != 0) {
            (void)weft_yield();
        }
        atomic_sub_seq_cst(&permits_out, n);
        u->uses++;
        CHECK_EQUAL(weft_semaphore_release_many(&semaphore, n), 0);
    }
    atomic_add_seq_cst(&finished, 1);
    return NULL;
}

static void *semaphore_case(void *arg)
{
    CHECK_EQUAL(weft_bounded_semaphore_init(&semaphore, PERMITS), 0);
    atomic_store_seq_cst(&finished, 0);
    run_users(use_semaphore, test_seed() + 1, test_scaled(3000, 300));
    CHECK_EQUAL(weft_semaphore_value(&semaphore), PERMITS);
    CHECK_EQUAL(weft_semaphore_release(&semaphore), -EOVERFLOW);
    CHECK_EQUAL(atomic_load_seq_cst(&permits_out), 0);
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
    atomic_add_seq_cst(&finished, 1);
    return NULL;
}

static void *set_and_set(void *arg)
{
    while (atomic_load_seq_cst(&finished) < USERS) {
        weft_event_set(&event);
        sched_yield();
    }
    return arg;
}

static void *event_case(void *arg)
{
    pthread_t setter = start_thread(set_and_set, NULL);
    run_users(use_event, test_seed() + 2, SIZE_MAX);
    CHECK_EQUAL(pthread_join(setter, NULL), 0);
    CHECK(event.first == NULL);
    return arg;
}

static void every_set_is_noticed(void **state)
{
    (void)state;
    atomic_store_seq_cst(&finished, 0);
    run_case(event_case, NULL);
}

/* ---- reader-writer lock: two figures that are the same to readers ---- */

static struct weft_rwlock rwlock;
static long written[2]; /* under the lock */

static void *use_rwlock(void *arg)
{
    struct user *u = arg;
    for (size_t i = 0; i < turns; i++) {
        bool writes = test_random(&u->random) % 4 == 0;
        int err = writes ? weft_rwlock_wrlock(&rwlock) : weft_rwlock_rdlock(&rwlock);
        if (err < 0) {
            CHECK_EQUAL(err, -ECANCELED);
            (void)weft_uncancel();
            continue;
        }
        CHECK_EQUAL(written[0], written[1]);
        if (writes) {
            written[0]++;
            u->uses++;
        }
        if (test_random(&u->random) % 2 == 0) {
            (void)weft_yield();
        }
        if (writes) {
            written[1]++;
        }
        CHECK_EQUAL(written[0], written[1]);
        CHECK_EQUAL(weft_rwlock_unlock(&rwlock), 0);
    }
    atomic_add_seq_cst(&finished, 1);
    return NULL;
}

static void *rwlock_case(void *arg)
{
    long uses = 0;
    atomic_store_seq_cst(&finished, 0);
    written[0] = written[1] = 0;
    run_users(use_rwlock, test_seed() + 3, test_scaled(3000, 300));
    for (int i = 0; i < USERS; i++) {
        uses += users[i].uses;
    }
    CHECK_EQUAL(written[0], uses);
    CHECK_EQUAL(weft_rwlock_trywrlock(&rwlock), 0);
    CHECK_EQUAL(weft_rwlock_unlock(&rwlock), 0);
    return arg;
}

static void a_writer_is_alone(void **state)
{
    (void)state;
    run_case(rwlock_case, NULL);
}

/* ---- condition: half of them fill a place, the others empty it ---- */

static struct weft_cond is_full;
static struct weft_cond is_empty;
static bool place; /* under the mutex */

static void *use_conditions(void *arg)
{
    struct user *u = arg;
    bool fills = (u - users) % 2 == 0;
    for (size_t done = 0; done < turns;) {
        CHECK_EQUAL(weft_mutex_lock_shielded(&mutex), 0);
        int err = 0;
        while (err == 0 && place == fills) {
            err = weft_cond_wait(fills ? &is_empty : &is_full, &mutex);
        }
        if (err == 0) {
            place = fills;
            done++;
            CHECK_EQUAL(weft_cond_notify(fills ? &is_full : &is_empty, 1), 0);
        }
        CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
        CHECK(err == 0 || err == -ECANCELED);
        (void)weft_uncancel();
    }
    atomic_add_seq_cst(&finished, 1);
    return NULL;
}

static void *condition_case(void *arg)
{
    atomic_store_seq_cst(&finished, 0);
    run_users(use_conditions, test_seed() + 4, test_scaled(3000, 300));
    CHECK(!place);
    return arg;
}

static void no_notify_is_lost(void **state)
{
    (void)state;
    run_case(condition_case, NULL);
}

/* ---- barrier: rounds of three ---- */

enum { PARTIES = 3 };

static struct weft_barrier barrier;
static shared_int numbers[PARTIES];

static void *use_barrier(void *arg)
{
    struct user *u = arg;
    for (size_t i = 0; i < turns; i++) {
        int number = weft_barrier_wait(&barrier);
        if (number >= 0) {
            atomic_add_seq_cst(&numbers[number], 1);
        } else {
            CHECK(number == -ECANCELED || number == -EPIPE);
            (void)weft_uncancel();
        }
        if (test_random(&u->random) % 512 == 0) {
            weft_barrier_reset(&barrier);
        }
    }
    atomic_add_seq_cst(&finished, 1);
    return NULL;
}

static void *barrier_case(void *arg)
{
    CHECK_EQUAL(weft_barrier_init(&barrier, PARTIES), 0);
    atomic_store_seq_cst(&finished, 0);
    run_users(use_barrier, test_seed() + 5, SIZE_MAX);
    for (int i = 0; i < PARTIES; i++) {
        CHECK_EQUAL(atomic_load_seq_cst(&numbers[i]), atomic_load_seq_cst(&numbers[0]));
    }
    CHECK_EQUAL(weft_barrier_waiting(&barrier), 0);
    printf("barrier: %d rounds\n", atomic_load_seq_cst(&numbers[0]));
    return arg;
}

static void rounds_are_full(void **state)
{
    (void)state;
    run_case(barrier_case, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_has_one_owner),
        cmocka_unit_test(no_permit_is_lost),
        cmocka_unit_test(every_set_is_noticed),
        cmocka_unit_test(a_writer_is_alone),
        cmocka_unit_test(no_notify_is_lost),
        cmocka_unit_test(rounds_are_full),
    };
    (void)test_seed();
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
