/* SPDX-License-Identifier: MIT */
/*
 * The probe finds what is there on every rung, believes what is switched off, leaves the ring idle,
 * and refuses a ring that can be set up but not used.
 */
#include "probe.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "child_help.h"
#include "ring_help.h"

static void probe(struct ring *r)
{
    char why[256];
    int err = weft__probe(r, why, sizeof(why));
    if (err != 0) {
        fail_msg("%d: %s", err, why);
    }
    assert_string_equal(why, "");
    assert_true(r->features.is_probed);
}

static void finds_the_same_on_every_rung(void **state)
{
    (void)state;
    struct ring_features first = {0};
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 0, rungs[i].disable);
        probe(&r);
        const struct ring_features *f = &r.features;
        print_message("%s: cqe_skip %d poll %d accept %d recv %d cancel_fd %d\n", rungs[i].name,
                      f->cqe_skip, f->multishot_poll, f->multishot_accept, f->multishot_recv,
                      f->cancel_fd);
        if (i == 0) {
            first = *f;
        }
        assert_memory_equal(f->ops, first.ops, sizeof(f->ops));
        assert_int_equal(f->cqe_skip, first.cqe_skip);
        assert_int_equal(f->multishot_poll, first.multishot_poll);
        assert_int_equal(f->multishot_accept, first.multishot_accept);
        assert_int_equal(f->multishot_recv, first.multishot_recv);
        assert_int_equal(f->cancel_fd, first.cancel_fd);
        weft__ring_fini(&r);
    }
}

static void finds_what_the_kernel_has(void **state)
{
    (void)state;
    struct ring r;
    make(&r, 0, 0);
    probe(&r);
    assert_true(weft__ring_supports(&r, IORING_OP_NOP));
    assert_true(weft__ring_supports(&r, IORING_OP_RECV));
    assert_false(weft__ring_supports(&r, 255));
    assert_false(weft__ring_supports(&r, 256));
    assert_false(weft__ring_supports(&r, UINT32_MAX));
    /* A kernel that has this opcode got all of these before it. */
    if (weft__ring_supports(&r, IORING_OP_SEND_ZC)) {
        assert_true(r.features.cqe_skip);
        assert_true(r.features.multishot_poll);
        assert_true(r.features.multishot_accept);
        assert_true(r.features.multishot_recv);
        assert_true(r.features.cancel_fd);
    }
    weft__ring_fini(&r);
}

static void leaves_the_ring_idle(void **state)
{
    (void)state;
    static const unsigned entries[] = {1, 2, 256};
    int fds = open_fd_count();
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        struct ring r;
        make(&r, entries[i], 0);
        for (int k = 0; k < 3; k++) {
            probe(&r);
            assert_int_equal(open_fd_count(), fds + 1);
            assert_int_equal(ring_unsubmitted(&r), 0);
            assert_false(ring_ready(&r));
            assert_int_equal(weft__ring_wait(&r, WEFT_MS), 0);
            assert_null(ring_peek(&r));
        }
        publish_nop(&r, 1);
        reap(&r, 1, 0);
        weft__ring_fini(&r);
    }
    assert_int_equal(open_fd_count(), fds);
}

static void believes_what_is_switched_off(void **state)
{
    (void)state;
    struct ring r;
    make(&r, 0,
         WEFT_RING_WITHOUT_CQE_SKIP | WEFT_RING_WITHOUT_MULTISHOT_POLL |
             WEFT_RING_WITHOUT_MULTISHOT_ACCEPT | WEFT_RING_WITHOUT_MULTISHOT_RECV |
             WEFT_RING_WITHOUT_CANCEL_FD);
    probe(&r);
    assert_false(r.features.cqe_skip);
    assert_false(r.features.multishot_poll);
    assert_false(r.features.multishot_accept);
    assert_false(r.features.multishot_recv);
    assert_false(r.features.cancel_fd);
    weft__ring_fini(&r);
}

static void later_rings_take_it_over(void **state)
{
    (void)state;
    struct ring first;
    struct ring second;
    char why[256];
    make(&first, 0, 0);
    probe(&first);
    struct ring_features found = first.features;
    struct ring_options options = {.disable = WEFT_RING_WITHOUT_DEFER, .probed = &found};
    assert_int_equal(weft__ring_init(&second, &options, why, sizeof(why)), 0);
    assert_true(second.features.is_probed);
    assert_true(weft__ring_supports(&second, IORING_OP_RECV));
    assert_int_equal(second.features.multishot_poll, found.multishot_poll);
    assert_int_equal(second.features.no_iowait, found.no_iowait);
    assert_false(second.features.defer_taskrun); /* its own, not the first one's */
    weft__ring_fini(&second);
    found.no_iowait = false; /* as if a trial had shown so */
    assert_int_equal(weft__ring_init(&second, &options, why, sizeof(why)), 0);
    assert_false(second.features.no_iowait);
    publish_nop(&second, 1);
    reap(&second, 1, 0);
    weft__ring_fini(&second);
    weft__ring_fini(&first);
}

static void no_handler(int number)
{
    (void)number;
}

static void signals_do_not_disturb(void **state)
{
    (void)state;
    struct itimerval tick = {.it_interval.tv_usec = 100, .it_value.tv_usec = 100};
    struct itimerval none = {0};
    struct sigaction action = {.sa_handler = no_handler, .sa_flags = SA_RESTART};
    struct sigaction before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 0, rungs[i].disable);
        probe(&r);
        struct ring_features quiet = r.features;
        assert_int_equal(setitimer(ITIMER_REAL, &tick, NULL), 0);
        for (int k = 0; k < 5; k++) {
            probe(&r);
            assert_memory_equal(&r.features, &quiet, sizeof(quiet));
        }
        assert_int_equal(setitimer(ITIMER_REAL, &none, NULL), 0);
        weft__ring_fini(&r);
    }
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

/* Set up a ring, then lose a system call: the probe is to notice. */
static int probe_refused(const void *arg)
{
    const long *number = arg;
    struct ring r;
    char why[256];
    CHILD_CHECK(weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why)) == 0);
    int fds = open_fd_count();
    if (!refuse_syscall(*number, EPERM)) {
        return CHILD_SKIPPED;
    }
    int err = weft__probe(&r, why, sizeof(why));
    printf("%d: %s\n", err, why);
    CHILD_CHECK(err == -ENOSYS);
    CHILD_CHECK(strstr(why, "error 1)") != NULL);
    CHILD_CHECK(weft__probe(&r, NULL, 0) == -ENOSYS);
    CHILD_CHECK(open_fd_count() == fds);
    weft__ring_fini(&r);
    return 0;
}

static void refused_system_calls_are_noticed(void **state)
{
    (void)state;
    static const long numbers[] = {__NR_io_uring_register, __NR_io_uring_enter};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int status = in_child(probe_refused, &numbers[i]);
        if (status == CHILD_SKIPPED) {
            skip();
        }
        assert_int_equal(status, 0);
    }
}

static int probe_without_descriptors(const void *arg)
{
    (void)arg;
    struct ring r;
    char why[256];
    CHILD_CHECK(weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why)) == 0);
    int next = dup(0);
    CHILD_CHECK(next > 0);
    close(next);
    struct rlimit limit = {(rlim_t)next, (rlim_t)next};
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHILD_CHECK(weft__probe(&r, why, sizeof(why)) == -EMFILE);
    CHILD_CHECK(strstr(why, "descriptor") != NULL);
    weft__ring_fini(&r);
    return 0;
}

static void no_descriptor_left(void **state)
{
    (void)state;
    assert_int_equal(in_child(probe_without_descriptors, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_same_on_every_rung),
        cmocka_unit_test(finds_what_the_kernel_has),
        cmocka_unit_test(leaves_the_ring_idle),
        cmocka_unit_test(believes_what_is_switched_off),
        cmocka_unit_test(later_rings_take_it_over),
        cmocka_unit_test(signals_do_not_disturb),
        cmocka_unit_test(refused_system_calls_are_noticed),
        cmocka_unit_test(no_descriptor_left),
    };
    int skipped = ring_skip_status();
    return skipped != 0 ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
