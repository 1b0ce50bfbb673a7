/* SPDX-License-Identifier: MIT */
/*
 * The ring on the running kernel: every rung of the fallback chain does the same things. Each case
 * goes through the rungs by switching features off; what a kernel lacks is just not switched on.
 * Waiting is in test_ring_wait.c; how a ring is refused, or comes out smaller, in
 * test_ring_refused.c.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring_help.h"

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
        cmocka_unit_test(another_thread_may_consume),
        cmocka_unit_test(fini_gives_everything_back),
        cmocka_unit_test(many_rings_do_without_a_registered_descriptor),
        cmocka_unit_test(child_cannot_touch_the_ring),
    };
    int skipped = ring_skip_status();
    return skipped != 0 ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
