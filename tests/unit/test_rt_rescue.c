/* SPDX-License-Identifier: MIT */
/*
 * A task that uses its worker's CPU and never waits: what waits behind it goes on elsewhere.
 *
 * Nothing here is a matter of time. The burning task burns until the others have got what they wait
 * for, so without the rescue these tests hang. All that waits is begun on the burner's worker: the
 * other workers are kept busy meanwhile by tasks that burn themselves.
 */
#include "../io/io_help.h"

#include <poll.h>
#include <time.h>

#include "runtime_object.h"

/* ---- the stage: all workers but the caller's are held up ---- */

struct stage {
    weft_task *holder[WEFT_WORKERS_MAX];
    unsigned holders;
    shared_int held;
    shared_int is_let_go;
};

/* Use the CPU until *value is at_least. */
static void burn_until(shared_int *value, int at_least)
{
    while (atomic_load_seq_cst(value) < at_least) {
        (void)weft_now(); /* a call, for the sanitizers that hold signals back until there is one */
    }
}

static void *hold_worker(void *arg)
{
    struct stage *s = arg;
    atomic_add_seq_cst(&s->held, 1);
    burn_until(&s->is_let_go, 1);
    return NULL;
}

static void stage_begin(struct stage *s)
{
    s->holders = weft_runtime_workers(weft_runtime_current()) - 1;
    atomic_store_seq_cst(&s->held, 0);
    atomic_store_seq_cst(&s->is_let_go, 0);
    for (unsigned i = 0; i < s->holders; i++) {
        s->holder[i] = weft_spawn(hold_worker, s);
        CHECK(s->holder[i] != NULL);
        /* Not by waits, which could take this task to a holder's worker. */
        while (atomic_load_seq_cst(&s->held) < (int)i + 1) {
            CHECK_EQUAL(weft_sleep(WEFT_US), 0);
        }
    }
}

static void stage_let_go(struct stage *s)
{
    atomic_store_seq_cst(&s->is_let_go, 1);
}

static void stage_end(struct stage *s)
{
    for (unsigned i = 0; i < s->holders; i++) {
        CHECK_EQUAL(weft_join(s->holder[i], NULL), 0);
    }
}

/* At least two: one alone has nobody to help it. */
static void run_rescue(weft_fn fn)
{
    struct weft_options options = {0};
    const char *workers = getenv("WEFT_WORKERS");
    if (workers == NULL || atoi(workers) < 2) {
        options.workers = 2;
    } else if (atoi(workers) > 4) {
        options.workers = 4; /* each is held up by a task that burns */
    }
    run_io_with(&options, fn, NULL);
}

static uint64_t rescues(void)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &m), 0);
    return m.rescues;
}

/* ---- what waits ---- */

#define WAITERS 8

struct waiters {
    struct stage stage;
    weft_task *task[WAITERS];
    shared_int done;
    int fds[2];
};

static struct waiters waiters;

static void *sleeper(void *arg)
{
    (void)arg;
    CHECK_EQUAL(weft_sleep(5 * WEFT_MS), 0);
    atomic_add_seq_cst(&waiters.done, 1);
    return NULL;
}

static void *receiver(void *arg)
{
    char c;
    (void)arg;
    CHECK_EQUAL(weft_recv(waiters.fds[0], &c, 1, 0), 1);
    atomic_add_seq_cst(&waiters.done, 1);
    return NULL;
}

static void *cancelled_receiver(void *arg)
{
    char c;
    (void)arg;
    CHECK_EQUAL(weft_recv(waiters.fds[0], &c, 1, 0), -ECANCELED);
    atomic_add_seq_cst(&waiters.done, 1);
    return NULL;
}

static void *accepter(void *arg)
{
    int fd = weft_accept(UNBOXED(arg), NULL, NULL, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(close(fd), 0);
    atomic_add_seq_cst(&waiters.done, 1);
    return NULL;
}

/* Spawn the waiters and let them begin to wait, on this worker. */
static void waiters_begin(weft_fn fn, void *arg)
{
    atomic_store_seq_cst(&waiters.done, 0);
    stage_begin(&waiters.stage);
    for (int i = 0; i < WAITERS; i++) {
        waiters.task[i] = spawn(fn, arg);
    }
    CHECK_EQUAL(weft_yield(), 0); /* they run, and park; what they want may not be submitted yet */
}

static void waiters_end(void)
{
    stage_end(&waiters.stage);
    for (int i = 0; i < WAITERS; i++) {
        CHECK_EQUAL(weft_join(waiters.task[i], NULL), 0);
    }
}

/* Use this worker's CPU until all waiters are done. */
static void burn_meanwhile(void)
{
    stage_let_go(&waiters.stage);
    burn_until(&waiters.done, WAITERS);
}

static void *burn_before_sleepers(void *arg)
{
    (void)arg;
    waiters_begin(sleeper, NULL);
    burn_meanwhile();
    CHECK(rescues() > 0);
    waiters_end();
    return NULL;
}

static void sleepers_wake(void **state)
{
    (void)state;
    run_rescue(burn_before_sleepers);
}

static void *burn_before_receivers(void *arg)
{
    (void)arg;
    make_pair(waiters.fds);
    waiters_begin(receiver, NULL);
    CHECK_EQUAL(write(waiters.fds[1], "12345678", WAITERS), WAITERS);
    burn_meanwhile();
    waiters_end();
    close_both(waiters.fds);
    return NULL;
}

static void receivers_receive(void **state)
{
    (void)state;
    run_rescue(burn_before_receivers);
}

static void *burn_before_accepters(void *arg)
{
    struct sockaddr_in address;
    int clients[WAITERS];
    (void)arg;
    int listener = make_listener(&address, WAITERS);
    waiters_begin(accepter, BOXED(listener));
    for (int i = 0; i < WAITERS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK_EQUAL(connect(clients[i], any_address(&address), sizeof address), 0);
    }
    burn_meanwhile();
    waiters_end();
    for (int i = 0; i < WAITERS; i++) {
        CHECK_EQUAL(close(clients[i]), 0);
    }
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void accepters_accept(void **state)
{
    (void)state;
    run_rescue(burn_before_accepters);
}

/* ---- requests to end ---- */

static void *canceller(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAITERS; i++) {
        weft_cancel(waiters.task[i]);
    }
    return NULL;
}

static void *burn_before_cancelled(void *arg)
{
    (void)arg;
    make_pair(waiters.fds);
    waiters_begin(cancelled_receiver, NULL);
    weft_task *t = spawn(canceller, NULL); /* run by another worker */
    burn_meanwhile();
    waiters_end();
    CHECK_EQUAL(weft_join(t, NULL), 0);
    close_both(waiters.fds);
    return NULL;
}

static void a_cancel_takes_effect(void **state)
{
    (void)state;
    run_rescue(burn_before_cancelled);
}

static void *closer(void *arg)
{
    (void)arg;
    CHECK_EQUAL(weft_close(waiters.fds[0]), 0);
    return NULL;
}

static void *burn_before_closed(void *arg)
{
    (void)arg;
    make_pair(waiters.fds);
    waiters_begin(cancelled_receiver, NULL);
    weft_task *t = spawn(closer, NULL);
    burn_meanwhile();
    waiters_end();
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_close(waiters.fds[1]), 0);
    return NULL;
}

static void a_close_ends_what_is_pending(void **state)
{
    (void)state;
    run_rescue(burn_before_closed);
}

/* ---- the next slot ---- */

static shared_int was_handed;

static void *ends_at_once(void *arg)
{
    return arg;
}

static void *await_it(void *arg)
{
    CHECK_EQUAL(weft_await(arg, NULL), 0);
    atomic_store_seq_cst(&was_handed, 1);
    return NULL;
}

/* A task that the burner has made ready last stands in the next slot. */
static void *burn_before_the_next(void *arg)
{
    struct stage stage;
    (void)arg;
    for (int round = 0; round < 3; round++) {
        atomic_store_seq_cst(&was_handed, 0);
        stage_begin(&stage);
        struct weft_spawn_options held = {.held = true};
        weft_task *t = weft_spawn_with(&held, ends_at_once, NULL);
        CHECK(t != NULL);
        weft_task *waiter = spawn(await_it, t);
        CHECK_EQUAL(weft_yield(), 0); /* it parks */
        CHECK_EQUAL(weft_start(t), 0);
        CHECK_EQUAL(weft_await(t, NULL), 0); /* nested here; its waiter becomes the next */
        stage_let_go(&stage);
        burn_until(&was_handed, 1);
        CHECK_EQUAL(weft_join(waiter, NULL), 0);
        weft_put(t);
        stage_end(&stage);
    }
    return NULL;
}

static void the_next_one_is_handed_over(void **state)
{
    (void)state;
    run_rescue(burn_before_the_next);
}

/* ---- what must not be disturbed ---- */

/* From now on the CPU timer alone may interrupt: others look only when stalls were met, which in a
 * slow build these are. What they may interrupt is in runtime.h. */
static void end_watch(void)
{
    atomic_store_seq_cst(&weft_runtime_current()->rescue.watch_until_ns, 0);
}

static int nap(void)
{
    end_watch();
    struct timespec t = {.tv_nsec = 30000000};
    return nanosleep(&t, NULL);
}

/* System calls that block a worker return as without the runtime, though others wait behind. */
static void *block_before_sleepers(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds);
    struct timeval limit = {.tv_usec = 30000};
    CHECK_EQUAL(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    for (int i = 0; i < 3; i++) {
        weft_task *t = spawn(sleeper, NULL);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(nap(), 0);
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        end_watch();
        CHECK_EQUAL(poll(&p, 1, 30), 0);
        char c;
        end_watch();
        CHECK_EQUAL(recv(fds[0], &c, 1, 0), -1);
        CHECK_EQUAL(errno_now(), EAGAIN);
        CHECK_EQUAL(weft_join(t, NULL), 0);
    }
    close_both(fds);
    return NULL;
}

static void blocking_calls_are_not_interrupted(void **state)
{
    (void)state;
    run_rescue(block_before_sleepers);
}

static void *burn_unkicked(void *arg)
{
    weft_task *t = spawn(sleeper, arg);
    CHECK_EQUAL(weft_yield(), 0);
    for (int64_t until = weft_now() + 40 * WEFT_MS; weft_now() < until;) {
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(rescues(), 0);
    return NULL;
}

static void none_are_kicked_when_refused(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 2, .kick_signal = -1};
    run_io_with(&options, burn_unkicked, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleepers_wake),
        cmocka_unit_test(receivers_receive),
        cmocka_unit_test(accepters_accept),
        cmocka_unit_test(a_cancel_takes_effect),
        cmocka_unit_test(a_close_ends_what_is_pending),
        cmocka_unit_test(the_next_one_is_handed_over),
        cmocka_unit_test(blocking_calls_are_not_interrupted),
        cmocka_unit_test(none_are_kicked_when_refused),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
