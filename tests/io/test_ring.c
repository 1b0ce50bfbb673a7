/* SPDX-License-Identifier: MIT */
/*
 * The ring on the running kernel: every rung of the fallback chain does the same things. Each case
 * goes through the rungs by switching features off; what a kernel lacks is just not switched on.
 * How a ring is refused, or comes out smaller, is in test_ring_refused.c.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static const struct {
    const char *name;
    unsigned disable;
} rungs[] = {
    {"everything", 0},
    {"no DEFER_TASKRUN", WEFT_RING_WITHOUT_DEFER},
    {"no DEFER_TASKRUN, no COOP_TASKRUN", WEFT_RING_WITHOUT_DEFER | WEFT_RING_WITHOUT_COOP},
    {"no TASKRUN_FLAG", WEFT_RING_WITHOUT_TASKRUN_FLAG},
    {"no SUBMIT_ALL", WEFT_RING_WITHOUT_SUBMIT_ALL},
    {"no registered descriptor", WEFT_RING_WITHOUT_REGISTERED_FD},
    {"no NO_IOWAIT", WEFT_RING_WITHOUT_NO_IOWAIT},
};

#define RUNG_COUNT (sizeof(rungs) / sizeof(rungs[0]))

/* Longer than anything here takes, shorter than the limit of the test. */
#define LONG_NS (20 * WEFT_SECOND)

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

/* Descriptors open in this process, the one used for counting included. */
static int open_fd_count(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) != -1;
    }
    return count;
}

static void make(struct ring *r, unsigned entries, unsigned disable)
{
    char why[256];
    struct ring_options options = {.entries = entries, .disable = disable};
    int err = weft__ring_init(r, &options, why, sizeof(why));
    if (err != 0) {
        fail_msg("%d: %s", err, why);
    }
    assert_string_equal(why, "");
}

static void publish_nop(struct ring *r, uint64_t user_data)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    assert_non_null(sqe);
    io_uring_prep_nop(sqe);
    sqe->user_data = user_data;
    ring_publish(r);
}

/* Reap one completion, which is to be this one. */
static void reap(struct ring *r, uint64_t user_data, int res)
{
    int64_t end = now_ns() + LONG_NS;
    while (ring_peek(r) == NULL && now_ns() < end) {
        assert_int_equal(weft__ring_wait(r, WEFT_SECOND), 0);
    }
    const struct io_uring_cqe *cqe = ring_peek(r);
    assert_non_null(cqe);
    assert_int_equal(cqe->user_data, user_data);
    assert_int_equal(cqe->res, res);
    ring_advance(r, 1);
}

static void each_switch_switches(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 0, rungs[i].disable);
        const struct ring_features *f = &r.features;
        unsigned without = rungs[i].disable;
        print_message("%s: defer %d coop %d flag %d all %d registered %d no_iowait %d\n",
                      rungs[i].name, f->defer_taskrun, f->coop_taskrun, f->taskrun_flag,
                      f->submit_all, f->registered_fd, f->no_iowait);
        assert_false((without & WEFT_RING_WITHOUT_DEFER) != 0 && f->defer_taskrun);
        assert_false((without & WEFT_RING_WITHOUT_COOP) != 0 && f->coop_taskrun);
        assert_false((without & WEFT_RING_WITHOUT_TASKRUN_FLAG) != 0 && f->taskrun_flag);
        assert_false((without & WEFT_RING_WITHOUT_SUBMIT_ALL) != 0 && f->submit_all);
        assert_false((without & WEFT_RING_WITHOUT_REGISTERED_FD) != 0 && f->registered_fd);
        assert_false((without & WEFT_RING_WITHOUT_NO_IOWAIT) != 0 && f->no_iowait);
        assert_false(f->defer_taskrun && f->coop_taskrun);
        assert_true(!f->defer_taskrun || f->taskrun_flag);
        assert_false(f->is_probed);
        assert_false(weft__ring_supports(&r, IORING_OP_NOP));
        weft__ring_fini(&r);
    }
}

static void takes_the_best_rung_of_the_kernel(void **state)
{
    (void)state;
    const unsigned best = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    struct io_uring plain;
    struct ring r;
    if (io_uring_queue_init(8, &plain, best) != 0) {
        skip();
    }
    io_uring_queue_exit(&plain);
    make(&r, 0, 0);
    assert_true(r.features.defer_taskrun);
    assert_true(r.features.taskrun_flag);
    assert_true(r.features.submit_all);
    weft__ring_fini(&r);
}

static void sizes_are_rounded_and_bounded(void **state)
{
    (void)state;
    static const unsigned sizes[][2] = {
        {0, WEFT_RING_ENTRIES}, {1, 1}, {3, 4}, {256, 256}, {1000000, 4096}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct ring r;
        make(&r, sizes[i][0], 0);
        assert_int_equal(r.sq_entries, sizes[i][1]);
        assert_in_range(r.cq_entries, 4 * r.sq_entries, 8 * r.sq_entries);
        weft__ring_fini(&r);
    }
}

static void nop_goes_round(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 8, rungs[i].disable);
        for (uint64_t k = 0; k < 100; k++) {
            publish_nop(&r, k << 40);
            assert_int_equal(ring_unsubmitted(&r), 1);
            assert_int_equal(weft__ring_wait(&r, WEFT_FOREVER), 0);
            assert_int_equal(ring_unsubmitted(&r), 0);
            assert_int_equal(ring_pending(&r), 1);
            reap(&r, k << 40, 0);
            assert_null(ring_peek(&r));
        }
        assert_int_equal(ring_sqe_count(&r), 100);
        assert_int_equal(ring_cqe_count(&r), 100);
        assert_int_equal(ring_enter_count(&r), 100);
        weft__ring_fini(&r);
    }
}

static void only_what_is_published_is_submitted(void **state)
{
    (void)state;
    struct ring r;
    make(&r, 8, 0);
    for (unsigned i = 0; i < 3; i++) {
        struct io_uring_sqe *sqe = ring_sqe(&r);
        io_uring_prep_nop(sqe);
        sqe->user_data = i;
    }
    assert_int_equal(ring_unsubmitted(&r), 0);
    assert_int_equal(weft__ring_submit(&r), 0);
    assert_int_equal(ring_enter_count(&r), 0);
    ring_publish(&r);
    assert_int_equal(ring_unsubmitted(&r), 3);
    assert_int_equal(weft__ring_submit(&r), 0);
    assert_int_equal(ring_enter_count(&r), 1);
    for (unsigned i = 0; i < 3; i++) {
        reap(&r, i, 0);
    }
    weft__ring_fini(&r);
}

static void full_sq_gives_null_until_submitted(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 4, rungs[i].disable);
        for (unsigned turn = 0; turn < 5; turn++) {
            for (unsigned k = 0; k < 4; k++) {
                publish_nop(&r, turn * 4 + k);
            }
            assert_null(ring_sqe(&r));
            assert_null(ring_sqe(&r));
            assert_int_equal(ring_unsubmitted(&r), 4);
            assert_int_equal(weft__ring_submit(&r), 0);
            assert_int_equal(ring_unsubmitted(&r), 0);
            for (unsigned k = 0; k < 4; k++) {
                reap(&r, turn * 4 + k, 0);
            }
        }
        weft__ring_fini(&r);
    }
}

/* Also: the second time a slot comes it holds nothing of the first. */
static void bad_sqe_does_not_stop_its_batch(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 4, rungs[i].disable);
        for (unsigned k = 0; k < 4; k++) {
            struct io_uring_sqe *sqe = ring_sqe(&r);
            if (k % 2 == 1) {
                memset(sqe, 0xff, sizeof(*sqe));
            }
            sqe->flags = 0;
            sqe->user_data = k;
        }
        ring_publish(&r);
        assert_int_equal(weft__ring_submit(&r), 0);
        for (unsigned k = 0; k < 4; k++) {
            reap(&r, k, k % 2 == 1 ? -EINVAL : 0);
        }
        for (unsigned k = 0; k < 4; k++) {
            static const struct io_uring_sqe zero;
            struct io_uring_sqe *sqe = ring_sqe(&r);
            assert_memory_equal(sqe, &zero, sizeof(zero));
        }
        weft__ring_fini(&r);
    }
}

/* 100 nops into 16 CQEs. */
static void overflown_cq_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 4, rungs[i].disable);
        assert_int_equal(r.cq_entries, 16);
        uint64_t sent = 0;
        uint64_t seen = 0;
        while (sent < 100) {
            struct io_uring_sqe *sqe = ring_sqe(&r);
            if (sqe == NULL) {
                int err = weft__ring_submit(&r);
                if (err == -EBUSY) {
                    break; /* an old kernel wants a look at the CQ first */
                }
                assert_int_equal(err, 0);
                continue;
            }
            io_uring_prep_nop(sqe);
            sqe->user_data = sent++;
            ring_publish(&r);
        }
        while (seen < sent) {
            int err = weft__ring_wait(&r, WEFT_FOREVER);
            assert_true(err == 0 || err == -EBUSY);
            unsigned n = ring_pending(&r);
            assert_in_range(n, 1, 16);
            for (unsigned k = 0; k < n; k++) {
                assert_int_equal(ring_cqe_at(&r, k)->user_data, seen + k);
            }
            ring_advance(&r, n);
            seen += n;
            assert_true(seen == sent || ring_unsubmitted(&r) != 0 || ring_ready(&r));
        }
        assert_int_equal(weft__ring_wait(&r, 0), 0);
        assert_false(ring_ready(&r));
        weft__ring_fini(&r);
    }
}

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

/* Takes half of what is there. */
static void *consume_half(void *arg)
{
    struct ring *r = arg;
    unsigned n = ring_pending(r) / 2;
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++) {
        sum += ring_cqe_at(r, i)->user_data;
    }
    ring_advance(r, n);
    return (void *)(uintptr_t)sum;
}

static void another_thread_may_consume(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        pthread_t thread;
        void *sum;
        make(&r, 8, rungs[i].disable);
        for (unsigned turn = 0; turn < 10; turn++) {
            for (unsigned k = 0; k < 8; k++) {
                publish_nop(&r, k);
            }
            assert_int_equal(weft__ring_submit(&r), 0);
            assert_int_equal(ring_pending(&r), 8);
            assert_int_equal(pthread_create(&thread, NULL, consume_half, &r), 0);
            assert_int_equal(pthread_join(thread, &sum), 0);
            assert_int_equal((uintptr_t)sum, 0 + 1 + 2 + 3);
            for (unsigned k = 4; k < 8; k++) {
                reap(&r, k, 0);
            }
        }
        assert_int_equal(ring_cqe_count(&r), 80);
        weft__ring_fini(&r);
    }
}

static void fini_gives_everything_back(void **state)
{
    (void)state;
    struct ring r;
    int before = open_fd_count();
    make(&r, 8, 0);
    bool registered = r.features.registered_fd;
    assert_int_equal(open_fd_count(), before + 1);
    assert_int_equal(fcntl(r.uring.ring_fd, F_GETFD), FD_CLOEXEC);
    weft__ring_fini(&r);
    assert_int_equal(open_fd_count(), before);
    for (int i = 0; i < 40; i++) { /* more than a thread can register at once */
        make(&r, 8, 0);
        assert_true(r.features.registered_fd == registered);
        weft__ring_fini(&r);
    }
    assert_int_equal(open_fd_count(), before);
}

static void many_rings_do_without_a_registered_descriptor(void **state)
{
    (void)state;
    static struct ring rings[20];
    int registered = 0;
    for (size_t i = 0; i < 20; i++) {
        make(&rings[i], 4, 0);
        registered += rings[i].features.registered_fd;
    }
    assert_true(registered < 20);
    for (size_t i = 0; i < 20; i++) {
        publish_nop(&rings[i], i);
        reap(&rings[i], i, 0);
        weft__ring_fini(&rings[i]);
    }
}

static void child_cannot_touch_the_ring(void **state)
{
    (void)state;
    struct ring r;
    make(&r, 8, 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = {0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGSEGV, SIG_DFL);
        (void)ring_unsubmitted(&r);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    publish_nop(&r, 1);
    reap(&r, 1, 0);
    weft__ring_fini(&r);
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

static void parking_is_not_iowait(void **state)
{
    (void)state;
    struct parked with = {.disable = 0};
    struct parked without = {.disable = WEFT_RING_WITHOUT_NO_IOWAIT};
    bool is_free = parks_free(&with);
    bool is_free_without = parks_free(&without);
    print_message("parked thread leaves the CPU idle: %d, without NO_IOWAIT: %d\n", is_free,
                  is_free_without);
    if (!with.has_no_iowait || (!is_free && blocked_count() != 0)) {
        skip(); /* the kernel lacks it, or somebody else keeps a disk busy */
    }
    assert_true(is_free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_switch_switches),
        cmocka_unit_test(takes_the_best_rung_of_the_kernel),
        cmocka_unit_test(sizes_are_rounded_and_bounded),
        cmocka_unit_test(nop_goes_round),
        cmocka_unit_test(only_what_is_published_is_submitted),
        cmocka_unit_test(full_sq_gives_null_until_submitted),
        cmocka_unit_test(bad_sqe_does_not_stop_its_batch),
        cmocka_unit_test(overflown_cq_loses_nothing),
        cmocka_unit_test(timed_wait_takes_its_time),
        cmocka_unit_test(does_not_wait_when_there_is_something),
        cmocka_unit_test(idle_ring_makes_no_system_call),
        cmocka_unit_test(signal_ends_a_wait),
        cmocka_unit_test(arrival_makes_the_ring_ready),
        cmocka_unit_test(kick_in_a_handler_submits_and_reaps),
        cmocka_unit_test(another_thread_may_consume),
        cmocka_unit_test(fini_gives_everything_back),
        cmocka_unit_test(many_rings_do_without_a_registered_descriptor),
        cmocka_unit_test(child_cannot_touch_the_ring),
        cmocka_unit_test(parking_is_not_iowait),
    };
    struct ring r;
    char why[256];
    if (weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why)) != 0) {
        printf("skipped: %s\n", why);
        return 77;
    }
    weft__ring_fini(&r);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
