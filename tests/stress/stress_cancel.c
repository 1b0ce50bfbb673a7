/* SPDX-License-Identifier: MIT */
/*
 * Cancels against everything a task can be doing: ending, sleeping, receiving, awaiting, running
 * on its waiter's stack. Goal: no request is lost or counted twice, none that was acknowledged
 * fails a later wait, no byte is lost, every task ends exactly once, nothing hangs.
 *
 * Method: some tasks are targets; plain threads and one task cancel random targets as fast as they
 * can, and count for each target how often. A target acknowledges what it meets, and when it has
 * withdrawn from the board compares. A hang ends in the time limit.
 */
#include "task_help.h"

#include <sys/socket.h>

enum { SLOTS = 6, DEPTH = 4, CANCELLERS = 2 };

/* Who can be cancelled at the moment. */
struct target {
    pthread_mutex_t lock;
    weft_task *task; /* NULL: nobody */
    int issued;      /* requests since it was published */
};

struct board {
    struct target targets[SLOTS][DEPTH];
    shared_int is_over;
    uint64_t seed;
    int rounds;
};

static struct board board;

static void publish(struct target *t, weft_task *task)
{
    pthread_mutex_lock(&t->lock);
    t->task = task;
    t->issued = 0;
    pthread_mutex_unlock(&t->lock);
}

/* From now on nobody is cancelled through t. Returns how many requests there were. */
static int withdraw(struct target *t)
{
    pthread_mutex_lock(&t->lock);
    t->task = NULL;
    int issued = t->issued;
    pthread_mutex_unlock(&t->lock);
    return issued;
}

static void cancel_somebody(uint64_t *random)
{
    struct target *t = &board.targets[test_random(random) % SLOTS][test_random(random) % DEPTH];
    pthread_mutex_lock(&t->lock);
    if (t->task != NULL && weft_cancel(t->task)) {
        t->issued++;
    }
    pthread_mutex_unlock(&t->lock);
}

static void *cancel_from_thread(void *arg)
{
    uint64_t random = board.seed + (uint64_t)(uintptr_t)arg;
    while (atomic_load_seq_cst(&board.is_over) == 0) {
        cancel_somebody(&random);
        if (test_random(&random) % 4 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void *cancel_from_task(void *arg)
{
    uint64_t random = board.seed + (uint64_t)(uintptr_t)arg;
    while (atomic_load_seq_cst(&board.is_over) == 0) {
        cancel_somebody(&random);
        CHECK_EQUAL(weft_yield(), 0);
    }
    return NULL;
}

/* Run fn in one task a slot until all have returned, with everybody cancelling. */
static void *scenario_main(void *arg)
{
    const weft_fn fn = *(weft_fn *)arg;
    static const struct weft_spawn_options options = {.stack_bytes = 256 * 1024};
    weft_task *t[SLOTS];
    weft_task *canceller = weft_spawn(cancel_from_task, (void *)(uintptr_t)CANCELLERS);
    for (int i = 0; i < SLOTS; i++) {
        t[i] = weft_spawn_with(&options, fn, (void *)(intptr_t)i);
    }
    for (int i = 0; i < SLOTS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    atomic_store_seq_cst(&board.is_over, 1);
    CHECK_EQUAL(weft_join(canceller, NULL), 0);
    return NULL;
}

static void run_scenario(weft_fn fn, size_t rounds, size_t sanitized)
{
    pthread_t thread[CANCELLERS];
    board.seed = test_seed();
    board.rounds = (int)test_scaled(rounds, sanitized);
    atomic_store_seq_cst(&board.is_over, 0);
    weft_runtime *rt = create_runtime(NULL);
    for (uintptr_t i = 0; i < CANCELLERS; i++) {
        thread[i] = start_thread(cancel_from_thread, (void *)i);
    }
    CHECK_EQUAL(weft_runtime_run(rt, scenario_main, &fn, NULL), 0);
    for (int i = 0; i < CANCELLERS; i++) {
        pthread_join(thread[i], NULL);
    }
    finish_runtime(rt);
}

/* Acknowledge all there is. Returns how many requests that were. */
static int acknowledge_all(void)
{
    int count = 0;
    while (weft_cancelling() > 0) {
        (void)weft_uncancel();
        count++;
    }
    return count;
}

/* A wait has failed: there is a request for it. Acknowledges one. */
static int acknowledge(ssize_t err)
{
    CHECK_EQUAL(err, -ECANCELED);
    CHECK(weft_cancelling() > 0);
    (void)weft_uncancel();
    return 1;
}

/* The target has withdrawn: what it met is what was issued, and it can wait again. */
static void check_account(int met, int issued)
{
    met += acknowledge_all();
    CHECK_EQUAL(met, issued);
    CHECK_EQUAL(weft_scope_error(), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_sleep(WEFT_US), 0);
}

/* --- the end of the task ---------------------------------------------------------------------- */

struct short_life {
    shared_int runs;
    int waits;
};

static void *live_shortly(void *arg)
{
    struct short_life *life = arg;
    atomic_add_seq_cst(&life->runs, 1);
    for (int i = 0; i < life->waits; i++) {
        int err = weft_yield();
        if (err < 0) {
            CHECK_EQUAL(err, -ECANCELED);
            return weft_fail(err);
        }
    }
    return life;
}

static void *spawn_short_lives(void *arg)
{
    struct target *targets = board.targets[(intptr_t)arg];
    uint64_t random = board.seed + (uint64_t)(uintptr_t)arg;
    for (int round = 0; round < board.rounds; round++) {
        struct short_life life[DEPTH];
        weft_task *t[DEPTH];
        for (int i = 0; i < DEPTH; i++) {
            life[i] = (struct short_life){0, (int)(test_random(&random) % 3)};
            t[i] = weft_spawn(live_shortly, &life[i]);
            publish(&targets[i], t[i]);
        }
        for (int i = 0; i < DEPTH; i++) {
            void *result = NULL;
            int err = weft_await(t[i], &result);
            CHECK(err == -ECANCELED || (err == 0 && result == &life[i]));
            CHECK_EQUAL(weft_cancelled(t[i]), err == -ECANCELED);
            CHECK_EQUAL(atomic_load_seq_cst(&life[i].runs), 1);
            CHECK(!weft_cancel(t[i]));
            int issued = withdraw(&targets[i]);
            CHECK(err == 0 || (issued > 0 && life[i].waits > 0));
            CHECK_EQUAL(weft_result(t[i], NULL), err);
            weft_put(t[i]);
        }
    }
    return NULL;
}

static void against_the_end_of_the_task(void **state)
{
    (void)state;
    run_scenario(spawn_short_lives, 3000, 200);
}

/* --- sleeping --------------------------------------------------------------------------------- */

static void *sleep_often(void *arg)
{
    struct target *target = &board.targets[(intptr_t)arg][0];
    uint64_t random = board.seed + (uint64_t)(uintptr_t)arg;
    int met = 0;
    publish(target, weft_self());
    for (int round = 0; round < board.rounds; round++) {
        int err = weft_sleep((int64_t)(test_random(&random) % 40) * WEFT_US);
        if (err < 0) {
            met += acknowledge(err);
        }
        if (round % 8 == 0) {
            met += acknowledge_all(); /* also what no wait has met yet */
        }
    }
    check_account(met, withdraw(target));
    return NULL;
}

static void against_the_expiry_of_a_sleep(void **state)
{
    (void)state;
    run_scenario(sleep_often, 10000, 1000);
}

/* --- receiving -------------------------------------------------------------------------------- */

struct feed {
    int fd;
    uint64_t random;
};

static void *feed_bytes(void *arg)
{
    struct feed *f = arg;
    for (int i = 0; i < board.rounds; i++) {
        uint8_t byte = (uint8_t)i;
        CHECK_EQUAL(weft_send(f->fd, &byte, 1, 0), 1);
        if (test_random(&f->random) % 2 == 0) {
            CHECK_EQUAL(weft_sleep((int64_t)(test_random(&f->random) % 20) * WEFT_US), 0);
        }
    }
    return NULL;
}

static void *receive_bytes(void *arg)
{
    struct target *target = &board.targets[(intptr_t)arg][0];
    uint64_t random = board.seed + (uint64_t)(uintptr_t)arg;
    int pair[2];
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct feed feed = {pair[1], random};
    weft_task *feeder = weft_spawn(feed_bytes, &feed);
    int met = 0;
    int received = 0;
    publish(target, weft_self());
    while (received < board.rounds) {
        uint8_t bytes[4];
        ssize_t n = weft_recv(pair[0], bytes, 1 + test_random(&random) % 4, 0);
        if (n < 0) {
            met += acknowledge(n);
            continue;
        }
        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++) {
            CHECK_EQUAL(bytes[i], (uint8_t)received); /* none lost, none twice */
            received++;
        }
    }
    check_account(met, withdraw(target));
    CHECK_EQUAL(weft_join(feeder, NULL), 0);
    CHECK_EQUAL(weft_close(pair[0]), 0);
    CHECK_EQUAL(weft_close(pair[1]), 0);
    return NULL;
}

static void against_the_arrival_of_data(void **state)
{
    (void)state;
    run_scenario(receive_bytes, 5000, 500);
}

/* --- awaiting --------------------------------------------------------------------------------- */

struct child {
    unsigned kind;
    int err;      /* of its wait */
    int requests; /* it had when it ended */
};

static void *be_awaited(void *arg)
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
    default:
        c->err = weft_sleep(WEFT_FOREVER); /* until its waiter is cancelled */
        CHECK_EQUAL(c->err, -ECANCELED);
        break;
    }
    c->requests = weft_cancelling();
    CHECK(c->err == 0 || c->requests == 1);
    return c->err < 0 ? weft_fail(c->err) : c;
}

static void *await_often(void *arg)
{
    struct target *target = &board.targets[(intptr_t)arg][0];
    uint64_t random = board.seed + (uint64_t)(uintptr_t)arg;
    int met = 0;
    publish(target, weft_self());
    for (int round = 0; round < board.rounds; round++) {
        struct child c = {(unsigned)(test_random(&random) % 4), 0, 0};
        weft_task *t = weft_spawn(be_awaited, &c);
        if (test_random(&random) % 2 == 0) {
            int err = weft_yield(); /* so that it has started, and is not run by the await */
            met += err < 0 ? acknowledge(err) : 0;
        }
        CHECK_EQUAL(weft_join(t, NULL), c.err);
        CHECK(c.requests == 0 || c.requests == 1); /* passed on once */
        CHECK(c.requests == 0 || weft_cancelling() > 0); /* and not what was acknowledged before */
        met += acknowledge_all();
    }
    check_account(met, withdraw(target));
    return NULL;
}

static void against_the_registration_of_an_await(void **state)
{
    (void)state;
    run_scenario(await_often, 2000, 200);
}

/* --- nested children -------------------------------------------------------------------------- */

struct storey {
    struct target *targets; /* of its own and those above */
    int above;              /* how many there are */
    int64_t sleep_ns;       /* of the last one */
    int passed_on;          /* requests that came from below: 0 or 1 */
};

/* Builds the next storey on its own stack where it can, and accounts for what it was asked. */
static void *build_storey(void *arg)
{
    struct storey *s = arg;
    publish(s->targets, weft_self());
    int err = 0;
    if (s->above == 0) {
        err = weft_sleep(s->sleep_ns);
        CHECK(err == 0 || (err == -ECANCELED && weft_cancelling() > 0));
    } else {
        struct storey next = {s->targets + 1, s->above - 1, s->sleep_ns, 0};
        void *result = NULL;
        err = weft_join(weft_spawn(build_storey, &next), &result);
        CHECK_EQUAL(err, 0);
        CHECK(result == &next);
        /* What was passed on was asked of us, and we have acknowledged nothing yet. */
        CHECK(next.passed_on == 0 || weft_cancelling() > 0);
    }
    int issued = withdraw(s->targets);
    s->passed_on = weft_cancelling() - issued;
    CHECK(s->passed_on == 0 || s->passed_on == 1);
    return s;
}

static void *build_towers(void *arg)
{
    uint64_t random = board.seed + (uint64_t)(uintptr_t)arg;
    for (int round = 0; round < board.rounds; round++) {
        struct storey ground = {
            .targets = board.targets[(intptr_t)arg],
            .above = DEPTH - 1,
            .sleep_ns = (int64_t)(test_random(&random) % 40) * WEFT_US,
        };
        void *result = NULL;
        CHECK_EQUAL(weft_join(weft_spawn(build_storey, &ground), &result), 0);
        CHECK(result == &ground);
        CHECK_EQUAL(ground.passed_on, 0); /* nobody cancels us */
        CHECK_EQUAL(weft_cancelling(), 0);
    }
    return NULL;
}

static void against_nested_children(void **state)
{
    (void)state;
    run_scenario(build_towers, 3000, 200);
}

/* --- all at once ------------------------------------------------------------------------------ */

static void *do_all(void *arg)
{
    static const weft_fn all[] = {spawn_short_lives, sleep_often, receive_bytes, await_often,
                                  build_towers};
    return all[(uintptr_t)arg % (sizeof all / sizeof all[0])](arg);
}

static void against_all_at_once(void **state)
{
    (void)state;
    run_scenario(do_all, 3000, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_the_end_of_the_task),
        cmocka_unit_test(against_the_expiry_of_a_sleep),
        cmocka_unit_test(against_the_arrival_of_data),
        cmocka_unit_test(against_the_registration_of_an_await),
        cmocka_unit_test(against_nested_children),
        cmocka_unit_test(against_all_at_once),
    };
    for (int i = 0; i < SLOTS * DEPTH; i++) {
        pthread_mutex_init(&board.targets[i / DEPTH][i % DEPTH].lock, NULL);
    }
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
