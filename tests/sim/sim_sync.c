/* SPDX-License-Identifier: MIT */
/*
 * Goal: the objects that tasks wait for lose and double nothing, in whatever order a waiter queues
 * itself, is chosen, is cancelled, runs out of time and goes on.
 *
 * Method: a few tasks do random things with them, many in scopes that end soon, and cancel each
 * other. Each object is guarded by figures; in the end it must be as in the beginning. Nobody waits
 * without a limit for anything but what the holder gives back; so a wake-up that is lost shows as a
 * run that never ends. The seed decides on all of it. WEFT_SEED=<n> runs one.
 */
#include "sim_help.h"

enum { USERS = 5, STEPS = 12, PERMITS = 2, SEEDS = 2000, SEEDS_SANITIZED = 100 };

struct user {
    weft_task *task;
    uint64_t random;
};

static struct user users[USERS];
static struct weft_mutex mutex;
static struct weft_rwlock rwlock;
static struct weft_semaphore semaphore;
static struct weft_event event;
static struct weft_cond cond;
static struct weft_barrier barrier;
static int owners;     /* of the mutex */
static int readers;    /* of the lock */
static int writers;    /* of the lock */
static int permits;    /* of the semaphore that are out */
static int tokens;     /* put under the mutex, taken under it */
static int numbers[2]; /* of the barrier's rounds */

static int dice(struct user *u, int sides)
{
    return (int)(test_random(&u->random) % (uint64_t)sides);
}

/* With what was taken: keep it for some time, or not. */
static void hold(struct user *u)
{
    switch (dice(u, 3)) {
    case 0:
        (void)weft_yield();
        break;
    case 1:
        (void)weft_sleep(dice(u, 4) * WEFT_US);
        break;
    default:
        break;
    }
}

static void own(struct user *u, int err)
{
    if (err == 0) {
        CHECK_EQUAL(++owners, 1);
        hold(u);
        CHECK_EQUAL(owners--, 1);
        CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    }
}

static void use_rwlock(struct user *u)
{
    bool writes = dice(u, 2) == 0;
    if ((writes ? weft_rwlock_wrlock(&rwlock) : weft_rwlock_rdlock(&rwlock)) < 0) {
        return;
    }
    writers += writes;
    readers += !writes;
    CHECK(writers == 0 || (writers == 1 && readers == 0));
    hold(u);
    CHECK(writers == 0 || (writers == 1 && readers == 0));
    writers -= writes;
    readers -= !writes;
    CHECK_EQUAL(weft_rwlock_unlock(&rwlock), 0);
}

static void use_semaphore(struct user *u)
{
    int n = 1 + dice(u, PERMITS);
    if (weft_semaphore_acquire_many(&semaphore, n) == 0) {
        permits += n;
        CHECK(permits <= PERMITS);
        hold(u);
        permits -= n;
        CHECK_EQUAL(weft_semaphore_release_many(&semaphore, n), 0);
    }
}

static bool has_token(void *arg)
{
    (void)arg;
    return tokens > 0;
}

/* Put a token or take one: who has been told that there is one finds one. */
static void use_condition(struct user *u)
{
    if (weft_mutex_lock(&mutex) < 0) {
        return;
    }
    CHECK_EQUAL(++owners, 1);
    if (dice(u, 2) == 0) {
        tokens++;
        CHECK_EQUAL(weft_cond_notify(&cond, 1), 0);
    } else {
        struct weft_scope s;
        int err = 1;
        weft_scope_enter(&s, dice(u, 6) * WEFT_US);
        owners--;
        err = weft_cond_wait_for(&cond, &mutex, has_token, NULL);
        CHECK_EQUAL(++owners, 1); /* also when it failed */
        CHECK(err < 0 || tokens > 0);
        tokens -= err == 0;
        (void)weft_scope_exit(&s);
    }
    owners--;
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
}

static void use_barrier(struct user *u)
{
    struct weft_scope s;
    weft_scope_enter(&s, dice(u, 6) * WEFT_US);
    int number = weft_barrier_wait(&barrier);
    CHECK(number == -ECANCELED || number == -ETIMEDOUT || number == -EPIPE ||
          (number >= 0 && number < 2));
    if (number >= 0) {
        numbers[number]++;
    }
    (void)weft_scope_exit(&s);
    if (dice(u, 8) == 0) {
        weft_barrier_reset(&barrier);
    }
}

static void use_event(struct user *u)
{
    struct weft_scope s;
    weft_scope_enter(&s, dice(u, 6) * WEFT_US);
    int err = weft_event_wait(&event);
    CHECK(err == 0 || err == -ECANCELED || err == -ETIMEDOUT);
    int exit_err = weft_scope_exit(&s);
    CHECK(exit_err == 0 || exit_err == err); /* 0 also when it was a scope around this one */
    if (dice(u, 2) == 0) {
        weft_event_clear(&event);
    }
}

static void step(struct user *u)
{
    switch (dice(u, 9)) {
    case 0:
        own(u, weft_mutex_lock(&mutex));
        break;
    case 1:
        own(u, weft_mutex_lock_shielded(&mutex));
        break;
    case 2:
        use_rwlock(u);
        break;
    case 3:
        use_semaphore(u);
        break;
    case 4:
        use_condition(u);
        break;
    case 5:
        use_barrier(u);
        break;
    case 6:
        use_event(u);
        break;
    case 7:
        weft_event_set(&event);
        break;
    default:
        (void)weft_cancel(users[dice(u, USERS)].task);
        break;
    }
}

static void *user_main(void *arg)
{
    struct user *u = arg;
    for (int i = 0; i < STEPS; i++) {
        if (dice(u, 2) == 0) {
            struct weft_scope s;
            weft_scope_enter(&s, dice(u, 8) * WEFT_US);
            step(u);
            (void)weft_scope_exit(&s);
        } else {
            step(u);
        }
        if (dice(u, 2) == 0) {
            (void)weft_uncancel();
        }
    }
    return NULL;
}

static void *main_task(void *arg)
{
    struct weft_spawn_options held = {.held = true};
    mutex = (struct weft_mutex)WEFT_MUTEX_INIT;
    rwlock = (struct weft_rwlock)WEFT_RWLOCK_INIT;
    event = (struct weft_event)WEFT_EVENT_INIT;
    cond = (struct weft_cond)WEFT_COND_INIT;
    CHECK_EQUAL(weft_bounded_semaphore_init(&semaphore, PERMITS), 0);
    CHECK_EQUAL(weft_barrier_init(&barrier, 2), 0);
    owners = readers = writers = permits = tokens = numbers[0] = numbers[1] = 0;
    for (int i = 0; i < USERS; i++) {
        users[i].random = *(uint64_t *)arg * USERS + (uint64_t)i;
        users[i].task = weft_spawn_with(&held, user_main, &users[i]);
        CHECK(users[i].task != NULL);
    }
    for (int i = 0; i < USERS; i++) {
        CHECK_EQUAL(weft_start(users[i].task), 0);
    }
    for (int i = 0; i < USERS; i++) {
        CHECK_EQUAL(weft_await(users[i].task, NULL), 0);
    }
    for (int i = 0; i < USERS; i++) {
        weft_put(users[i].task);
    }
    CHECK_EQUAL(weft_mutex_trylock(&mutex), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_rwlock_trywrlock(&rwlock), 0);
    CHECK_EQUAL(weft_rwlock_unlock(&rwlock), 0);
    CHECK_EQUAL(weft_semaphore_value(&semaphore), PERMITS);
    CHECK_EQUAL(numbers[0], numbers[1]);
    CHECK_EQUAL(weft_barrier_waiting(&barrier), 0);
    CHECK(owners == 0 && readers == 0 && writers == 0 && permits == 0 && tokens >= 0);
    CHECK(mutex.first == NULL && rwlock.first == NULL && semaphore.first == NULL &&
          event.first == NULL && cond.first == NULL && barrier.first == NULL);
    return NULL;
}

static void nothing_is_lost_in_any_order(void **state)
{
    (void)state;
    uint64_t first = test_seed();
    for (size_t i = 0; test_goes_on(i, test_scaled(SEEDS, SEEDS_SANITIZED)); i++) {
        uint64_t seed = first + i;
        CHECK(sim_run(seed, main_task, &seed));
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_in_any_order),
    };
    sim_begin(argv[0]);
    if (sim_is_repeated()) {
        uint64_t seed = strtoull(getenv("WEFT_SEED"), NULL, 0);
        CHECK(sim_run(seed, main_task, &seed));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
