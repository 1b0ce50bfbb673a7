/* SPDX-License-Identifier: MIT */
/*
 * Transports used from elsewhere: tasks and plain threads write, pause, close and abort while the
 * connection's own callbacks run on other workers; the runtime is closed under all that.
 */
#include "protocol_help.h"

/* ---- records of several writers ---- */

#define WRITERS 6
#define RECORDS 400

/* Long enough to be cut by the kernel now and then. */
struct record {
    int writer;
    int number;
    char filling[1016];
};

struct writer {
    weft_transport *t;
    int index;
};

static void *write_records(void *arg)
{
    const struct writer *w = arg;
    struct record r = {.writer = w->index};
    memset(r.filling, 'a' + w->index, sizeof r.filling);
    for (r.number = 0; r.number < RECORDS; r.number++) {
        struct iovec iov[2] = {{&r, 100}, {(char *)&r + 100, sizeof r - 100}};
        if (r.number % 2 == 0) {
            CHECK_EQUAL(weft_transport_write(w->t, &r, sizeof r), 0);
        } else {
            CHECK_EQUAL(weft_transport_writev(w->t, iov, 2), 0);
        }
        if (r.number % 16 == 0) {
            (void)weft_yield();
        }
    }
    return NULL;
}

/* Every record arrives whole, and those of one writer in order. */
static void receive_records(int fd)
{
    int next[WRITERS] = {0};
    struct record r;
    for (int i = 0; i < WRITERS * RECORDS; i++) {
        CHECK_EQUAL(weft_read_full(fd, &r, sizeof r, NULL), 0);
        CHECK(r.writer >= 0 && r.writer < WRITERS);
        CHECK_EQUAL(r.number, next[r.writer]++);
        for (size_t at = 0; at < sizeof r.filling; at++) {
            CHECK_EQUAL(r.filling[at], 'a' + r.writer);
        }
    }
}

static void write_from_everywhere(bool is_tcp)
{
    struct talk k = {0};
    struct writer w[WRITERS];
    pthread_t threads[WRITERS / 2];
    weft_task *tasks[WRITERS / 2];
    int fd = talk_begin_narrow(&k, is_tcp);
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){weft_transport_get(k.t), i};
    }
    for (int i = 0; i < WRITERS / 2; i++) {
        threads[i] = start_thread(write_records, &w[i]);
        tasks[i] = spawn(write_records, &w[WRITERS / 2 + i]);
    }
    receive_records(fd);
    for (int i = 0; i < WRITERS / 2; i++) {
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    weft_transport_close(k.t);
    yield_until(&k.lost, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&k.paused), atomic_load_seq_cst(&k.resumed));
    for (int i = 0; i < WRITERS; i++) {
        weft_transport_put(w[i].t);
    }
    check_end(fd);
    CHECK_EQUAL(weft_close(fd), 0);
}

static void *write_both(void *arg)
{
    write_from_everywhere(false);
    write_from_everywhere(true);
    return arg;
}

static void records_of_many_writers_stay_whole(void **state)
{
    (void)state;
    run_io(write_both, NULL);
}

/* ---- who ends it first ---- */

enum ender { END_CLOSE, END_ABORT, END_SHUT, END_PEER, END_RESET, END_PAUSE, ENDERS };

struct ending {
    weft_transport *t;
    int fd; /* the peer's */
    enum ender how;
};

static void *end_it(void *arg)
{
    const struct ending *e = arg;
    switch (e->how) {
    case END_CLOSE:
        weft_transport_close(e->t);
        break;
    case END_ABORT:
        weft_transport_abort(e->t);
        break;
    case END_SHUT:
        weft_transport_shutdown_write(e->t);
        break;
    case END_PEER:
        (void)shutdown(e->fd, SHUT_RDWR);
        break;
    case END_RESET:
        (void)weft_transport_write(e->t, "x", 1);
        break;
    default:
        weft_transport_pause_reading(e->t);
        weft_transport_resume_reading(e->t);
        break;
    }
    weft_transport_put(e->t);
    return NULL;
}

/* Two of them at once, from tasks and a thread, in all pairs; with something to send or not. */
static void end_in_pairs(enum ender first, enum ender second, bool has_output)
{
    struct talk k = {.echoes = true, .is_unchecked = true, .is_disturbed = true};
    int fd = has_output ? talk_begin_narrow(&k, false) : talk_begin(&k, true);
    (void)weft_transport_get(k.t);
    if (has_output) {
        char zeros[4096] = {0};
        while (weft_transport_buffered(k.t) == 0) {
            CHECK_EQUAL(weft_transport_write(k.t, zeros, sizeof zeros), 0);
        }
    }
    (void)weft_send(fd, "y", 1, MSG_DONTWAIT);
    struct ending e[2] = {{weft_transport_get(k.t), fd, first},
                          {weft_transport_get(k.t), fd, second}};
    pthread_t thread = start_thread(end_it, &e[0]);
    weft_task *task = spawn(end_it, &e[1]);
    CHECK_EQUAL(weft_join(task, NULL), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(close(fd), 0); /* the peer leaves, whatever was the matter */
    yield_until(&k.lost, 1);
    CHECK_EQUAL(weft_transport_fd(k.t) >= -1, 1);
    weft_transport_put(k.t);
}

static void *end_in_all_ways(void *arg)
{
    for (int first = 0; first < ENDERS; first++) {
        for (int second = 0; second < ENDERS; second++) {
            end_in_pairs((enum ender)first, (enum ender)second, false);
            end_in_pairs((enum ender)first, (enum ender)second, true);
        }
    }
    return arg;
}

static void it_is_lost_once_whoever_ends_it(void **state)
{
    (void)state;
    run_io(end_in_all_ways, NULL);
}

/* ---- callbacks do what callbacks may ---- */

static void *in_a_task(void *arg)
{
    struct talk *k = arg;
    CHECK_EQUAL(weft_sleep(0), 0);
    CHECK_EQUAL(weft_transport_write(k->t, "task", 4), 0);
    return NULL;
}

static void spawn_and_set(struct talk *k)
{
    weft_future *f = k->extra;
    CHECK_EQUAL(weft_go(in_a_task, k), 0);
    CHECK_EQUAL(weft_future_set_result(f, k), 0);
    CHECK_EQUAL(weft_sleep(1), -EPERM);
    CHECK_EQUAL(weft_await(f, NULL), -EPERM);
    char c;
    CHECK_EQUAL(weft_recv(0, &c, 1, 0), -EPERM);
}

static void *callbacks_work(void *arg)
{
    weft_future *f = weft_future_create();
    struct talk k = {.when_made = spawn_and_set, .extra = f};
    char buf[4];
    void *value = NULL;
    int fd = talk_begin(&k, true);
    CHECK_EQUAL(weft_await(f, &value), 0);
    CHECK(value == &k);
    weft_put(f);
    CHECK_EQUAL(weft_read_full(fd, buf, 4, NULL), 0);
    CHECK_EQUAL(memcmp(buf, "task", 4), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    yield_until(&k.lost, 1);
    return arg;
}

static void callbacks_may_spawn_and_set(void **state)
{
    (void)state;
    run_io(callbacks_work, NULL);
}

/* ---- a worker is busy ---- */

struct busy_case {
    int fds[8]; /* the peers' ends */
    shared_int answered;
};

/* A plain thread that talks to all of them, blocking. */
static void *talk_to_all(void *arg)
{
    struct busy_case *b = arg;
    for (int i = 0; i < 8; i++) {
        char c = 'x';
        CHECK_EQUAL(send(b->fds[i], &c, 1, 0), 1);
        CHECK_EQUAL(recv(b->fds[i], &c, 1, 0), 1);
    }
    atomic_store_seq_cst(&b->answered, 1);
    return NULL;
}

/* A task keeps its worker from everything until all connections, some of which are at home there,
 * have been answered; by others. */
static void *busy_worker(void *arg)
{
    struct busy_case b = {.answered = 0};
    struct talk k[8];
    memset(k, 0, sizeof k);
    for (int i = 0; i < 8; i++) {
        k[i].echoes = true;
        k[i].is_unchecked = true;
        b.fds[i] = talk_begin(&k[i], i % 2 == 0);
    }
    settle();
    pthread_t thread = start_thread(talk_to_all, &b);
    if (weft_runtime_workers(weft_runtime_current()) > 1) {
        while (atomic_load_seq_cst(&b.answered) == 0) {
            /* Busy is who uses the processor; who gives it away each time is hardly ever kicked. */
        }
    } else {
        yield_until(&b.answered, 1);
    }
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 8; i++) {
        CHECK_EQUAL(weft_close(b.fds[i]), 0);
        yield_until(&k[i].lost, 1);
    }
    return arg;
}

static void others_answer_for_a_busy_worker(void **state)
{
    (void)state;
    run_io(busy_worker, NULL);
}

/* ---- somebody closes the descriptor ---- */

static void *close_foreign(void *arg)
{
    struct talk k = {0};
    int fd = talk_begin(&k, true);
    CHECK_EQUAL(weft_close(weft_transport_fd(k.t)), 0); /* forbidden; must not hang */
    yield_until(&k.lost, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&k.error), -ECANCELED);
    check_end(fd);
    CHECK_EQUAL(weft_close(fd), 0);
    return arg;
}

static void a_descriptor_closed_by_others_ends_it(void **state)
{
    (void)state;
    run_io(close_foreign, NULL);
}

static void *receive_beside(void *arg)
{
    char c;
    return BOXED(weft_recv(UNBOXED(arg), &c, 1, 0));
}

static void *close_used(void *arg)
{
    struct talk k = {0};
    int fd = talk_begin(&k, false);
    int own = weft_transport_fd(k.t);
    weft_task *t = spawn(receive_beside, BOXED(own));
    yield_until_calls(own, 2);
    weft_transport_close(k.t);
    yield_until(&k.lost, 1);
    CHECK_EQUAL(joined(t), -ECANCELED);
    check_end(fd);
    CHECK_EQUAL(weft_close(fd), 0);
    return arg;
}

static void others_that_use_the_descriptor_are_ended(void **state)
{
    (void)state;
    run_io(close_used, NULL);
}

/* ---- the runtime is closed under load ---- */

#define BUSY 24

struct busy {
    struct talk k[BUSY];
    int fds[BUSY];
    weft_transport *t[BUSY];
    shared_int stops;
};

static void *begin_busy(void *arg)
{
    struct busy *b = arg;
    for (int i = 0; i < BUSY; i++) {
        b->k[i].echoes = true;
        b->k[i].holds = true;
        b->k[i].is_unchecked = true;
        b->k[i].is_disturbed = true;
        b->fds[i] = talk_begin(&b->k[i], i % 2 == 0);
        b->t[i] = weft_transport_get(b->k[i].t);
    }
    return NULL;
}

/* A plain thread that keeps all of them busy, until each write fails. */
static void *keep_busy(void *arg)
{
    struct busy *b = arg;
    char junk[700] = {0};
    unsigned live = 1;
    while (live > 0 || atomic_load_seq_cst(&b->stops) == 0) {
        live = 0;
        for (int i = 0; i < BUSY; i++) {
            live += weft_transport_write(b->t[i], junk, sizeof junk) == 0;
            (void)send(b->fds[i], junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL);
            char drop[4096];
            (void)recv(b->fds[i], drop, sizeof drop, MSG_DONTWAIT);
        }
    }
    return NULL;
}

static void the_runtime_may_be_closed_under_load(void **state)
{
    (void)state;
    int before = fd_count();
    for (int round = 0; round < 10; round++) {
        struct busy *b = calloc(1, sizeof *b);
        weft_runtime *rt = create_runtime(NULL);
        CHECK_EQUAL(weft_runtime_run(rt, begin_busy, b, NULL), 0);
        pthread_t thread = start_thread(keep_busy, b);
        while (atomic_load_seq_cst(&b->k[0].bytes) + atomic_load_seq_cst(&b->k[1].bytes) < 20000) {
            sched_yield();
        }
        CHECK_EQUAL(weft_runtime_close(rt), 0);
        atomic_store_seq_cst(&b->stops, 1);
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
        CHECK_EQUAL(weft_runtime_destroy(rt), 0);
        for (int i = 0; i < BUSY; i++) {
            CHECK_EQUAL(atomic_load_seq_cst(&b->k[i].lost), 1);
            weft_transport_put(b->t[i]);
            CHECK_EQUAL(close(b->fds[i]), 0);
        }
        free(b);
    }
    CHECK_EQUAL(fd_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_of_many_writers_stay_whole),
        cmocka_unit_test(it_is_lost_once_whoever_ends_it),
        cmocka_unit_test(callbacks_may_spawn_and_set),
        cmocka_unit_test(others_answer_for_a_busy_worker),
        cmocka_unit_test(a_descriptor_closed_by_others_ends_it),
        cmocka_unit_test(others_that_use_the_descriptor_are_ended),
        cmocka_unit_test(the_runtime_may_be_closed_under_load),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
