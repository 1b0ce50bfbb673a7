/* SPDX-License-Identifier: MIT */
/*
 * When the ring enters the kernel, how long it stays there, what ends it. On every rung.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "ring_help.h"

static void timed_wait_takes_its_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 8, rungs[i].disable);
        int64_t start = now_ns();
        assert_int_equal(weft__ring_wait(&r, 10 * WEFT_MS), 0);
        int64_t took = now_ns() - start;
        assert_null(ring_peek(&r));
        assert_in_range(took, 9 * WEFT_MS, LONG_NS);
        assert_int_equal(ring_enter_count(&r), 1);
        weft__ring_fini(&r);
    }
}

static void does_not_wait_when_there_is_something(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 8, rungs[i].disable);
        publish_nop(&r, 1);
        assert_int_equal(weft__ring_submit(&r), 0);
        assert_int_equal(ring_pending(&r), 1);
        uint64_t enters = ring_enter_count(&r);
        assert_int_equal(weft__ring_wait(&r, WEFT_FOREVER), 0);
        assert_int_equal(ring_enter_count(&r), enters);
        publish_nop(&r, 2); /* with something to submit it enters, and comes back at once */
        assert_int_equal(weft__ring_wait(&r, WEFT_FOREVER), 0);
        assert_int_equal(ring_enter_count(&r), enters + 1);
        reap(&r, 1, 0);
        reap(&r, 2, 0);
        weft__ring_fini(&r);
    }
}

static void idle_ring_makes_no_system_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 8, rungs[i].disable);
        for (int k = 0; k < 10; k++) {
            assert_int_equal(weft__ring_wait(&r, 0), 0);
            assert_int_equal(weft__ring_wait(&r, -5), 0);
            assert_int_equal(weft__ring_submit(&r), 0);
            weft__ring_kick(&r);
            assert_false(ring_ready(&r));
        }
        assert_int_equal(ring_enter_count(&r), 0);
        weft__ring_fini(&r);
    }
}

static void no_handler(int number)
{
    (void)number;
}

static void signal_ends_a_wait(void **state)
{
    (void)state;
    /* Again and again, for a first one could come before the wait. */
    struct itimerval tick = {.it_interval.tv_usec = 20000, .it_value.tv_usec = 20000};
    struct itimerval none = {0};
    struct sigaction action = {.sa_handler = no_handler, .sa_flags = SA_RESTART};
    struct sigaction before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 8, rungs[i].disable);
        assert_int_equal(setitimer(ITIMER_REAL, &tick, NULL), 0);
        assert_int_equal(weft__ring_wait(&r, WEFT_FOREVER), 0);
        assert_int_equal(weft__ring_wait(&r, WEFT_FOREVER - 1), 0);
        assert_int_equal(setitimer(ITIMER_REAL, &none, NULL), 0);
        assert_null(ring_peek(&r));
        assert_int_equal(ring_enter_count(&r), 2);
        publish_nop(&r, 1);
        reap(&r, 1, 0);
        weft__ring_fini(&r);
    }
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

/* A receive whose data arrives: visible as ready without a system call, reaped by one at most. */
static void arrival_makes_the_ring_ready(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        int pair[2];
        char byte = 0;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        make(&r, 8, rungs[i].disable);
        struct io_uring_sqe *sqe = ring_sqe(&r);
        io_uring_prep_recv(sqe, pair[0], &byte, 1, 0);
        sqe->user_data = 7;
        ring_publish(&r);
        assert_int_equal(weft__ring_submit(&r), 0);
        assert_false(ring_ready(&r));
        uint64_t enters = ring_enter_count(&r);
        assert_int_equal(write(pair[1], "x", 1), 1);
        int64_t end = now_ns() + LONG_NS;
        while (!ring_ready(&r) && now_ns() < end) {
        }
        assert_true(ring_ready(&r));
        assert_int_equal(weft__ring_wait(&r, 0), 0);
        assert_in_range(ring_enter_count(&r), enters, enters + 1);
        assert_int_equal(ring_pending(&r), 1);
        reap(&r, 7, 1);
        assert_int_equal(byte, 'x');
        weft__ring_fini(&r);
        close(pair[0]);
        close(pair[1]);
    }
}

static struct ring *kicked;

static void kick_handler(int number)
{
    (void)number;
    weft__ring_kick(kicked);
}

/* The owner never enters the kernel; a handler on its thread does. */
static void kick_in_a_handler_submits_and_reaps(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = kick_handler};
    struct sigaction before;
    assert_int_equal(sigaction(SIGURG, &action, &before), 0);
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        int pair[2];
        char byte = 0;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        make(&r, 8, rungs[i].disable);
        kicked = &r;
        struct io_uring_sqe *sqe = ring_sqe(&r);
        io_uring_prep_recv(sqe, pair[0], &byte, 1, 0);
        ring_publish(&r);
        assert_non_null(ring_sqe(&r)); /* the owner is in the middle of writing this one */
        errno = 4711;
        raise(SIGURG);
        assert_int_equal(errno, 4711);
        assert_int_equal(ring_unsubmitted(&r), 0);
        assert_int_equal(write(pair[1], "x", 1), 1);
        int64_t end = now_ns() + LONG_NS;
        while (ring_pending(&r) == 0 && now_ns() < end) {
            raise(SIGURG);
        }
        assert_int_equal(ring_pending(&r), 1);
        assert_int_equal(ring_peek(&r)->res, 1);
        ring_advance(&r, 1);
        assert_in_range(ring_enter_count(&r), 1, 1000000);
        weft__ring_fini(&r);
        close(pair[0]);
        close(pair[1]);
    }
    assert_int_equal(sigaction(SIGURG, &before, NULL), 0);
}

/* Tasks that the kernel counts as waiting for a disk, now. */
static int blocked_count(void)
{
    char line[256];
    int count = -1;
    FILE *f = fopen("/proc/stat", "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        (void)sscanf(line, "procs_blocked %d", &count);
    }
    if (f != NULL) {
        fclose(f);
    }
    return count;
}

struct parked {
    unsigned disable;
    bool has_no_iowait;
    int pair[2];
    _Atomic(bool) is_armed;
};

static void *park(void *arg)
{
    struct parked *p = arg;
    struct ring r;
    char byte;
    make(&r, 8, p->disable);
    p->has_no_iowait = r.features.no_iowait;
    struct io_uring_sqe *sqe = ring_sqe(&r);
    io_uring_prep_recv(sqe, p->pair[0], &byte, 1, 0);
    sqe->user_data = 1;
    ring_publish(&r);
    /* ORD none: a hint, the reader polls; join does the rest. */
    atomic_store_relaxed(&p->is_armed, true);
    reap(&r, 1, 1);
    weft__ring_fini(&r);
    return NULL;
}

/* While a thread is parked, is there a moment at which nobody counts as waiting for a disk? */
static bool parks_free(struct parked *p)
{
    pthread_t thread;
    bool is_free = false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p->pair), 0);
    assert_int_equal(pthread_create(&thread, NULL, park, p), 0);
    /* ORD none: see park. */
    while (!atomic_load_relaxed(&p->is_armed)) {
        usleep(1000);
    }
    usleep(50000);
    for (int i = 0; i < 30 && !is_free; i++) {
        is_free = blocked_count() == 0;
        usleep(5000);
    }
    assert_int_equal(write(p->pair[1], "x", 1), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(p->pair[0]);
    close(p->pair[1]);
    return is_free;
}

/* Whether somebody else waits for a disk, all the time. */
static bool is_disk_busy(void)
{
    for (int i = 0; i < 30; i++) {
        if (blocked_count() == 0) {
            return false;
        }
        usleep(5000);
    }
    return true;
}

static void parking_is_not_iowait(void **state)
{
    (void)state;
    struct parked with = {.disable = 0};
    struct parked without = {.disable = WEFT_RING_WITHOUT_NO_IOWAIT};
    bool is_free = false;
    for (int i = 0; i < 10 && !is_free; i++) { /* somebody else may have kept a disk busy */
        is_free = parks_free(&with);
    }
    bool is_free_without = parks_free(&without);
    print_message("parked thread leaves the CPU idle: %d, without NO_IOWAIT: %d\n", is_free,
                  is_free_without);
    if (!with.has_no_iowait || (!is_free && is_disk_busy())) {
        skip(); /* the kernel lacks it, or somebody else has kept one busy all the time */
    }
    assert_true(is_free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timed_wait_takes_its_time),
        cmocka_unit_test(does_not_wait_when_there_is_something),
        cmocka_unit_test(idle_ring_makes_no_system_call),
        cmocka_unit_test(signal_ends_a_wait),
        cmocka_unit_test(arrival_makes_the_ring_ready),
        cmocka_unit_test(kick_in_a_handler_submits_and_reaps),
        cmocka_unit_test(parking_is_not_iowait),
    };
    int skipped = ring_skip_status();
    return skipped != 0 ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
