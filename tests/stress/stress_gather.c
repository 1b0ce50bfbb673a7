/* SPDX-License-Identifier: MIT */
/*
 * Goal: gather, wait, as_completed and shielded, while their futures end on all workers and on a
 * plain thread, and the waiter is cancelled at any moment. No child is lost or handed out twice, no
 * wake-up is missed, a cancel is passed on once, and the stack that the nodes were on is used again
 * at once.
 *
 * Method: many tasks, each of which makes children of all kinds, waits for them in one of the ways,
 * checks what it was told, takes the children back and begins again. Beside it a killer cancels it
 * now and then.
 */
#include "task_help.h"

enum { WAITERS = 6, CHILDREN = 24, RING = 256 };

static uint64_t seed;
static int rounds;

/* Promises on their way to the thread that sets them. */
static struct {
    pthread_mutex_t lock;
    weft_future *waiting[RING];
    size_t count;
    bool is_over;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool ring_add(weft_future *f)
{
    pthread_mutex_lock(&ring.lock);
    bool has_room = ring.count < RING;
    if (has_room) {
        ring.waiting[ring.count++] = weft_get(f);
    }
    pthread_mutex_unlock(&ring.lock);
    return has_room;
}

static void *set_promises(void *arg)
{
    for (bool is_over = false; !is_over;) {
        weft_future *f = NULL;
        pthread_mutex_lock(&ring.lock);
        if (ring.count > 0) {
            f = ring.waiting[--ring.count];
        }
        is_over = ring.is_over && f == NULL;
        pthread_mutex_unlock(&ring.lock);
        if (f != NULL) {
            int err = weft_future_set_result(f, f);
            CHECK(err == 0 || err == -EALREADY);
            weft_put(f);
        } else {
            sched_yield();
        }
    }
    return arg;
}

/* --- children --------------------------------------------------------------------------------- */

struct child {
    unsigned kind;
    int err;      /* it came to */
    int requests; /* it had when it ended */
};

static void *be_a_child(void *arg)
{
    struct child *c = arg;
    switch (c->kind) {
    case 0:
        break;
    case 1:
        c->err = weft_yield();
        break;
    case 2:
        c->err = weft_sleep(10 * WEFT_US);
        break;
    case 3:
        c->err = -EIO;
        break;
    default:
        c->err = weft_sleep(WEFT_FOREVER);
        break;
    }
    c->requests = weft_cancelling();
    CHECK(c->err != -ECANCELED || c->requests > 0);
    return c->err < 0 ? weft_fail(c->err) : c;
}

struct round {
    size_t n;
    struct child children[CHILDREN];
    weft_future *f[CHILDREN];
    bool is_for_ever; /* one of them ends only when it is cancelled */
};

static void make_children(struct round *r, uint64_t *random)
{
    bool may_be_for_ever = test_random(random) % 3 == 0;
    r->n = 1 + test_random(random) % CHILDREN;
    r->is_for_ever = false;
    for (size_t i = 0; i < r->n; i++) {
        unsigned kind = (unsigned)(test_random(random) % (may_be_for_ever ? 6 : 4));
        r->children[i] = (struct child){kind, 0, 0};
        if (test_random(random) % 4 == 0) {
            r->f[i] = weft_future_create();
            CHECK(r->f[i] != NULL);
            if (!ring_add(r->f[i])) {
                CHECK_EQUAL(weft_future_set_result(r->f[i], r->f[i]), 0);
            }
        } else {
            r->f[i] = weft_spawn(be_a_child, &r->children[i]);
            r->is_for_ever = r->is_for_ever || kind > 3;
        }
    }
}

/* What a child that is done came to. */
static void check_child(const struct round *r, size_t i, int err, const void *result)
{
    CHECK(weft_done(r->f[i]));
    CHECK_EQUAL(weft_result(r->f[i], NULL), err);
    if (err == 0) {
        CHECK(result == &r->children[i] || result == r->f[i]);
    }
}

static size_t count_done(const struct round *r)
{
    size_t count = 0;
    for (size_t i = 0; i < r->n; i++) {
        count += weft_done(r->f[i]);
    }
    return count;
}

/* Whether the caller has been cancelled, so that a wait may fail. */
static void check_cancelled(int err)
{
    CHECK_EQUAL(err, -ECANCELED);
    CHECK(weft_cancelling() > 0);
}

/* --- the ways to wait ------------------------------------------------------------------------- */

static void gather_first(struct round *r)
{
    void *results[CHILDREN];
    int err = weft_gather(r->n, r->f, results, NULL);
    if (err == 0 || weft_cancelling() == 0) {
        CHECK(err == 0 || err == -EIO);
    }
    for (size_t i = 0; err == 0 && i < r->n; i++) {
        check_child(r, i, 0, results[i]);
    }
}

static void gather_all(struct round *r)
{
    void *results[CHILDREN];
    int errors[CHILDREN];
    int err = weft_gather(r->n, r->f, results, errors);
    if (err < 0) {
        check_cancelled(err);
    }
    for (size_t i = 0; i < r->n; i++) {
        check_child(r, i, errors[i], results[i]);
        CHECK(r->children[i].requests <= 1); /* it is passed on once, and nobody else cancels */
    }
}

static void wait_for_some(struct round *r, enum weft_wait_mode mode)
{
    int count = weft_wait(r->n, r->f, mode);
    if (count < 0) {
        check_cancelled(count);
        return;
    }
    CHECK((size_t)count <= count_done(r));
    bool any_failed = false;
    for (size_t i = 0; i < r->n; i++) {
        any_failed = any_failed || weft_result(r->f[i], NULL) == -EIO;
    }
    bool is_first = mode == WEFT_FIRST_COMPLETED || (mode == WEFT_FIRST_ERROR && any_failed);
    CHECK((size_t)count >= (is_first ? 1 : r->n));
}

static void take_each(struct round *r)
{
    struct weft_as_completed it;
    weft_future *f;
    size_t count = 0;
    bool is_taken[CHILDREN] = {false};
    CHECK_EQUAL(weft_as_completed_init(&it, r->n, r->f), 0);
    int err;
    while ((err = weft_as_completed_next(&it, &f)) == 0) {
        size_t i = 0;
        while (r->f[i] != f) {
            i++;
        }
        CHECK(i < r->n && weft_done(f) && !is_taken[i]);
        is_taken[i] = true;
        count++;
    }
    if (err == -ENODATA) {
        CHECK_EQUAL(count, r->n);
        return;
    }
    check_cancelled(err);
    weft_as_completed_fini(&it);
    memset(&it, 0xa5, sizeof it);
}

static void wait_shielded(struct round *r)
{
    int err = weft_shielded(r->f[0], NULL);
    if (!weft_done(r->f[0])) {
        check_cancelled(err);
    }
}

/* --- rounds ----------------------------------------------------------------------------------- */

struct killer {
    weft_task *victim;
    int64_t after_ns;
    int times;
};

static void *kill_it(void *arg)
{
    struct killer *k = arg;
    (void)weft_sleep(k->after_ns);
    for (int i = 0; i < k->times; i++) {
        CHECK(weft_cancel(k->victim));
    }
    return NULL;
}

/* Called with what the killer has asked for maybe still to come. */
static void finish_round(struct round *r, weft_task *killer)
{
    CHECK_EQUAL(weft_join(killer, NULL), 0);
    while (weft_uncancel() > 0) {
        /* all that was asked of us */
    }
    for (size_t i = 0; i < r->n; i++) {
        (void)weft_cancel(r->f[i]);
    }
    for (size_t i = 0; i < r->n; i++) {
        int err = weft_join(r->f[i], NULL);
        CHECK(err == 0 || err == -EIO || err == -ECANCELED);
    }
}

static void wait_in_some_way(struct round *r, unsigned way)
{
    switch (way) {
    case 0:
        gather_first(r);
        break;
    case 1:
        gather_all(r);
        break;
    case 2:
        wait_for_some(r, WEFT_ALL_COMPLETED);
        break;
    case 3:
        wait_for_some(r, WEFT_FIRST_COMPLETED);
        break;
    case 4:
        wait_for_some(r, WEFT_FIRST_ERROR);
        break;
    case 5:
        take_each(r);
        break;
    default:
        wait_shielded(r);
        break;
    }
}

static void *wait_often(void *arg)
{
    uint64_t random = seed + (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < rounds; i++) {
        struct round r;
        make_children(&r, &random);
        struct killer k = {weft_self(), (int64_t)(test_random(&random) % 60) * WEFT_US,
                           r.is_for_ever ? 2 : (int)(test_random(&random) % 3)};
        weft_task *killer = weft_spawn(kill_it, &k);
        wait_in_some_way(&r, (unsigned)(test_random(&random) % 7));
        finish_round(&r, killer);
    }
    return NULL;
}

static void *all_main(void *arg)
{
    weft_future *waiters[WAITERS];
    for (intptr_t i = 0; i < WAITERS; i++) {
        waiters[i] = weft_spawn(wait_often, (void *)i);
    }
    CHECK_EQUAL(weft_gather(WAITERS, waiters, NULL, NULL), 0);
    for (int i = 0; i < WAITERS; i++) {
        weft_put(waiters[i]);
    }
    return arg;
}

static void waits_for_several_under_cancel(void **state)
{
    (void)state;
    seed = test_seed();
    rounds = (int)test_scaled(3000, 250);
    ring.is_over = false;
    pthread_t setter = start_thread(set_promises, NULL);
    run_case(all_main, NULL);
    pthread_mutex_lock(&ring.lock);
    ring.is_over = true;
    pthread_mutex_unlock(&ring.lock);
    pthread_join(setter, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_several_under_cancel),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
